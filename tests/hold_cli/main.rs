//! `vpo hold` changes exactly the objects of a hold. No operator runs here: the tests write the statuses by hand, so
//! that only the effects of the command show.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod release;
mod retain;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Api;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use support::{Plane, SOON, Said, alone, tool, wait_for};
use tokio::sync::MutexGuard;

/// The number of concurrent requests to the API server.
const AT_ONCE: usize = 16;

/// A namespace on a control plane without an operator.
struct Stage {
    plane: &'static Plane,
    namespace: String,
    packages: Api<DynamicObject>,
    platforms: Api<DynamicObject>,
    _turn: MutexGuard<'static, ()>,
}

fn kind(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("iodm.dev", "v1alpha1", kind), plural)
}

fn merge(change: &Value) -> Patch<&Value> {
    Patch::Merge(change)
}

impl Stage {
    /// Runs one test at a time, without holds of the previous one: the command works on the whole cluster.
    async fn enter(subject: &str) -> Self {
        let (turn, plane) = alone().await;
        for kind in ["vp", "plat"] {
            let delete = ["delete", kind, "--all", "-A", "--wait=false"];
            plane.kubectl(&delete).expect_ok();
            let format =
                "jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{\"\\n\"}{end}";
            let kept = plane.kubectl(&["get", kind, "-A", "-o", format]);
            // The remaining objects wait for an operator that doesn't run.
            for line in kept.expect_ok().lines() {
                let (namespace, name) = line.split_once(' ').unwrap();
                let object = format!("{kind}/{name}");
                let free = r#"{"metadata":{"finalizers":null}}"#;
                let patch = [
                    "-n",
                    namespace,
                    "patch",
                    &object,
                    "--type=merge",
                    "-p",
                    free,
                ];
                plane.kubectl(&patch).expect_ok();
            }
        }
        let namespace = plane.namespace(subject);
        let client = plane.client().await;
        Self {
            packages: Api::namespaced_with(
                client.clone(),
                &namespace,
                &kind("VersionPackage", "versionpackages"),
            ),
            platforms: Api::namespaced_with(client, &namespace, &kind("Platform", "platforms")),
            plane,
            namespace,
            _turn: turn,
        }
    }

    fn manifest(&self, kind: &str, name: &str, spec: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "iodm.dev/v1alpha1", "kind": kind,
            "metadata": {"namespace": self.namespace, "name": name},
            "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    /// Creates a Platform that shows a hold.
    async fn platform(&self, name: &str, status: &Value) {
        let spec = json!({
            "endpoint": "https://iot.example.com:8743", "credentialsSecretRef": {"name": "app"},
        });
        let object = self.manifest("Platform", name, &spec);
        self.platforms
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        self.tell(name, status).await;
    }

    /// Writes the status of a Platform as the operator would.
    async fn tell(&self, name: &str, status: &Value) {
        let mut status = status.clone();
        status["uid"] = json!(self.platforms.get(name).await.unwrap().metadata.uid);
        let change = json!({"status": status});
        let params = PatchParams::default();
        self.platforms
            .patch_status(name, &params, &merge(&change))
            .await
            .unwrap();
    }

    /// Creates a package with our finalizer that belongs to `hold`, being deleted or only retired.
    async fn package(&self, name: &str, hold: &str, terminating: bool) {
        let lifecycle = if terminating { "Active" } else { "Retired" };
        let spec = json!({
            "platformRef": {"name": "production"}, "fileId": name, "lifecycle": lifecycle,
        });
        let mut object = self.manifest("VersionPackage", name, &spec);
        object.metadata.finalizers = Some(vec!["iodm.dev/package".to_owned()]);
        self.packages
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
        if terminating {
            self.packages
                .delete(name, &DeleteParams::default())
                .await
                .unwrap();
        }
        self.carry(name, Some(hold)).await;
    }

    async fn all_terminating(&self, names: &[String], hold: &str) {
        let made = names.iter().map(|name| self.package(name, hold, true));
        stream::iter(made)
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
    }

    /// Adds an object to a hold, or removes it from one.
    async fn carry(&self, name: &str, hold: Option<&str>) {
        let uid = self.packages.get(name).await.unwrap().metadata.uid;
        let change = json!({"status": {"uid": uid, "phase": "Held", "deletion": {"hold": hold}}});
        let params = PatchParams::default();
        self.packages
            .patch_status(name, &params, &merge(&change))
            .await
            .unwrap();
    }

    /// Merges a change into an object as a user would.
    async fn change(&self, name: &str, change: Value) {
        let params = PatchParams::default();
        self.packages
            .patch(name, &params, &merge(&change))
            .await
            .unwrap();
    }

    /// Releases an object.
    async fn free(&self, name: &str) {
        self.change(name, json!({"metadata": {"finalizers": null}}))
            .await;
    }

    async fn policy(&self, name: &str) -> String {
        let object = self.packages.get(name).await.unwrap();
        object.data["spec"]["deletionPolicy"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The Platforms with a release annotation, and the holds that these name.
    async fn asked(&self) -> Vec<(String, String)> {
        let all = self.platforms.list(&ListParams::default()).await.unwrap();
        let asked = all.items.into_iter().filter_map(|platform| {
            let meta = platform.metadata;
            let id = meta.annotations?.remove("iodm.dev/release-hold")?;
            Some((meta.name?, id))
        });
        asked.collect()
    }

    fn hold(&self, arguments: &[&str]) -> Said {
        Self::hold_as(self.plane.kubeconfig(), arguments)
    }

    fn hold_as(kubeconfig: &Path, arguments: &[&str]) -> Said {
        Talk::begin(kubeconfig, arguments).end("")
    }

    /// The name of an object of this namespace in the output.
    fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// A kubeconfig of a user with these verbs for our kinds.
    fn somebody(&self, name: &str, verbs: &str) -> PathBuf {
        let plane = self.plane;
        let in_namespace = |arguments: &[&str]| {
            let mut all = vec!["-n", &*self.namespace];
            all.extend(arguments);
            plane.kubectl(&all).expect_ok();
        };
        in_namespace(&["create", "serviceaccount", name]);
        let role = self.shown(name).replace('/', "-");
        if !verbs.is_empty() {
            let kinds = "--resource=platforms.iodm.dev,versionpackages.iodm.dev";
            let verbs = format!("--verb={verbs}");
            plane
                .kubectl(&["create", "clusterrole", &role, &verbs, kinds])
                .expect_ok();
            let who = format!("--serviceaccount={}:{name}", self.namespace);
            let role = format!("--clusterrole={role}");
            plane
                .kubectl(&[
                    "create",
                    "clusterrolebinding",
                    &self.shown(name).replace('/', "-"),
                    &role,
                    &who,
                ])
                .expect_ok();
        }
        plane.kubeconfig_for(&self.namespace, name)
    }
}

/// A running `vpo hold`.
struct Talk(Child);

impl Talk {
    fn begin(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let child = Command::new(tool::vpo())
            .arg("hold")
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vpo can be run");
        Self(child)
    }

    /// Reads up to the question; returns the output before it.
    fn question(&mut self) -> String {
        let mut said = Vec::new();
        let mut byte = [0];
        let out = self.0.stdout.as_mut().unwrap();
        while !said.ends_with(b": ") || !String::from_utf8_lossy(&said).contains("Type the id to") {
            assert_eq!(
                out.read(&mut byte).unwrap(),
                1,
                "{}",
                String::from_utf8_lossy(&said)
            );
            said.push(byte[0]);
        }
        String::from_utf8(said).unwrap()
    }

    /// Answers the question, and waits for the end.
    fn end(mut self, answer: &str) -> Said {
        // A command without a question may have ended already.
        let _ = self.0.stdin.take().unwrap().write_all(answer.as_bytes());
        let output = self.0.wait_with_output().unwrap();
        Said {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn held(id: &str, count: i32) -> Value {
    let hold = json!({
        "id": id, "since": "2026-11-23T12:00:00Z", "count": count, "counted": count + 10,
        "reason": "more than 50 deletions were asked for within 10m",
        "platform": "iot/production", "platformUid": "uid", "bound": 50,
    });
    json!({"hold": hold, "guard": {"application": "app-1"}})
}

fn released(id: &str) -> Value {
    let released = json!([{"id": id, "time": "2026-11-23T12:05:00Z", "count": 3}]);
    json!({"hold": null, "guard": {"released": released}})
}

fn names(prefix: &str, number: usize) -> Vec<String> {
    (0..number).map(|n| format!("{prefix}-{n:02}")).collect()
}

#[tokio::test]
async fn a_refusal_is_quoted() {
    let stage = Stage::enter("refused").await;
    let said = stage.hold(&["release", "h-1", "--yes"]).expect_refused();
    assert!(
        said.contains("there is no hold h-1; there are no holds at all"),
        "{said}"
    );
    stage.platform("production", &held("h-1", 1)).await;
    for verb in ["release", "retain"] {
        let said = stage.hold(&[verb, "h-9", "--yes"]).expect_refused();
        assert!(
            said.contains("there is no hold h-9; there is h-1 (1 deletion of app-1)"),
            "{said}"
        );
    }
    let early = stage.hold(&["retain", "h-1", "--yes"]).expect_refused();
    assert!(
        early.contains("no VersionPackage names the hold h-1 in its status yet"),
        "{early}"
    );
    stage.package("one", "h-1", true).await;

    let nobody = stage.somebody("nobody", "");
    let said = Stage::hold_as(&nobody, &["list"]).expect_refused();
    assert!(
        said.contains("Platforms can't be listed: platforms.iodm.dev is forbidden: User"),
        "{said}"
    );
    let reader = stage.somebody("reader", "get,list");
    Stage::hold_as(&reader, &["list"]).expect_ok();
    let said = Stage::hold_as(&reader, &["release", "h-1", "--yes"]).expect_refused();
    let why = format!(
        "Platform {} can't be annotated: platforms.iodm.dev \"production\" is forbidden",
        stage.shown("production")
    );
    assert!(said.contains(&why), "{said}");
    let refused = Stage::hold_as(&reader, &["retain", "h-1", "--yes"]);
    assert!(
        !refused.ok && refused.stderr.contains("refused for 1 VersionPackage of 1"),
        "{refused:?}"
    );
    let why = format!(
        "  {}: versionpackages.iodm.dev \"one\" is forbidden",
        stage.shown("one")
    );
    assert!(refused.stdout.contains(&why), "{}", refused.stdout);
    assert_eq!(stage.policy("one").await, "Delete");

    for (arguments, why) in [
        (["release", "h-1", "--timeout=2h"], "0s to 1h"),
        (["list", "--output", "yaml"], "possible values: table, json"),
    ] {
        let said = stage.hold(&arguments).expect_refused();
        assert!(said.contains(why), "{said}");
    }
    let nowhere =
        stage
            .plane
            .write_kubeconfig("nowhere", "https://127.0.0.1:1", stage.plane.ca(), "t");
    let began = tokio::time::Instant::now();
    let said = Stage::hold_as(&nowhere, &["list"]).expect_refused();
    assert!(said.contains("the API server can't be asked"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(60));
}
