//! Objects that may want a package hold its deletion, and others don't: whatever the Secrets said meanwhile, whoever
//! names the package, and whether or not the object is decodable.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod anew;
mod exits;
mod strangers;
#[path = "../support/mod.rs"]
mod support;

// The tests share an operator, so each names packages of its own.
use serde_json::{Value, json};
use support::{
    Layout, Operator, Plane, Rig, SOON, SimulatorOptions, ready, start_operator, wait_for,
};
use tokio::sync::OnceCell;

/// Another application on the same platform, and its secret.
const STRANGER: &str = "stranger";
const THEIR_SECRET: &str = "their-own-secret";
const OUR_SECRET: &str = "correct-horse-battery";
/// The only package of the other application.
const THEIRS: &str = "theirs-00001";

/// The operator of all tests here. Its API server accepts any text as `retireAfter`, as a later version might define
/// it, so that undecodable objects can be stored.
async fn operator() -> &'static Operator {
    static STARTED: OnceCell<Operator> = OnceCell::const_new();
    let start = async {
        let plane = Plane::shared();
        plane.install();
        let text = std::fs::read_to_string("crds/versionpackages.iodm.dev.yaml").unwrap();
        let mut definition: Value = serde_saphyr::from_str(&text).unwrap();
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let spec = definition.pointer_mut(spec).unwrap();
        let time = spec["retireAfter"].as_object_mut().unwrap();
        for narrower in ["format", "x-kubernetes-validations"] {
            time.remove(narrower);
        }
        plane.apply(&definition.to_string()).expect_ok();
        let mut operator = start_operator(plane, &[]);
        operator.ready().await;
        operator
    };
    STARTED.get_or_init(|| start).await
}

/// A namespace with a Platform, on a simulator that also knows the other application.
async fn rig(subject: &str) -> Rig<'static> {
    operator().await;
    let layout = Layout {
        simulator: SimulatorOptions {
            flags: &["--app-id", STRANGER, "--secret", THEIR_SECRET],
            ..Layout::default().simulator
        },
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "allowedNamespaces": {"from": "Same"}}),
    };
    let rig = Rig::on(Plane::shared(), subject, layout).await;
    let packages = json!({"appId": STRANGER, "packages": [{"fileId": THEIRS}]});
    rig.simulator.switch("/packages", &packages).await;
    rig
}

/// Puts the credentials of an application into the Secret of the Platform `production`.
fn set_credentials(rig: &Rig<'_>, application: &str, secret: &str) {
    let credentials = json!({"stringData": {"appId": application, "secret": secret}});
    rig.patch("secret/production-app", &credentials);
}

fn apply(rig: &Rig<'_>, name: &str, file_id: &str) {
    let manifest = rig.manifest(name, file_id, &json!({}));
    rig.plane.apply(&manifest.to_string()).expect_ok();
}

/// Another tenant's namespace, with a Platform of theirs on the same platform.
#[expect(clippy::unused_async, reason = "as all that makes a rig")]
async fn neighbours(rig: &Rig<'_>, application: &str, secret: &str) -> String {
    let namespace = rig.plane.namespace("neighbours");
    let secrets = ["theirs-app", "theirs-ca"];
    rig.plane.grant_secrets(&namespace, &secrets);
    let spec = json!({"quota": {"calls": 100, "window": "1s"}});
    let manifests = rig.simulator.platform(&namespace, "theirs", &spec);
    let mut list: Value = serde_json::from_str(&manifests).unwrap();
    list["items"][0]["stringData"] = json!({"appId": application, "secret": secret});
    rig.plane.apply(&list.to_string()).expect_ok();
    namespace
}

/// An object of the other tenant.
fn theirs(rig: &Rig<'_>, namespace: &str, name: &str, file_id: &str) -> Value {
    let spec = json!({"platformRef": {"name": "theirs"}});
    let mut object = rig.manifest(name, file_id, &spec);
    object["metadata"]["namespace"] = json!(namespace);
    object
}

fn get(rig: &Rig<'_>, namespace: &str, name: &str) -> Option<Value> {
    let said = rig
        .plane
        .kubectl(&["-n", namespace, "get", "vp", name, "-o", "json"]);
    serde_json::from_str(&said.stdout).ok()
}

/// Waits until an object of the other tenant has `reason`; returns it.
async fn their_reason(rig: &Rig<'_>, namespace: &str, name: &str, reason: &str) -> Value {
    wait_for(&format!("{name} to be {reason}"), SOON, async || {
        get(rig, namespace, name).filter(|object| ready(object)["reason"] == reason)
    })
    .await
}

fn message(object: &Value) -> String {
    ready(object)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap().to_owned()
}
