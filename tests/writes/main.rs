//! The operator's writes to the API server: the owner of a status, conflicts, and the reports of refusals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod conflicts;
mod foreign;
mod provenance;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod upgrade;
mod webhook;

use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use support::{Layout, Rig};

/// A Platform whose deletions run at once.
fn at_once() -> Layout<'static> {
    Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxDeletions": 1000, "window": "10m", "gracePeriod": "0s"},
        }),
        ..Layout::default()
    }
}

/// Removes all finalizers of an object by force, and creates it again at once.
async fn replace(rig: &Rig<'_>, name: &str, manifest: &Value) {
    let api = rig.packages();
    rig.kubectl(&["delete", "vp", name, "--wait=false", "--ignore-not-found"])
        .expect_ok();
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let params = PatchParams::default();
    if let Err(error) = api.patch(name, &params, &none).await {
        assert!(
            matches!(&error, kube::Error::Api(s) if s.code == 404),
            "{error}"
        );
    }
    let object: DynamicObject = serde_json::from_value(manifest.clone()).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// Writes a status by Update, as backup tools do.
async fn update_status(api: &Api<DynamicObject>, name: &str, change: impl Fn(&mut Value)) {
    for _ in 0..50 {
        let mut object = api.get(name).await.unwrap();
        let status = &mut object.data["status"];
        change(status);
        let params = PostParams {
            field_manager: Some("velero".to_owned()),
            ..PostParams::default()
        };
        match api.replace_status(name, &params, &object).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the status of {name} could not be written");
}

/// The uid of an object.
fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap()
}

/// Long enough for anything that would go wrong.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}
