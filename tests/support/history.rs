//! Records every version of every object in a watch, including short-lived ones.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use kube::Api;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{SOON, kstatus, ready, wait_for};

/// The versions seen so far. Dropping it ends the watch.
pub struct History {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    versions: Vec<Value>,
    gone: Vec<String>,
}

impl History {
    /// Follows the objects of one kind in one namespace from now on.
    pub(super) async fn follow(api: Api<DynamicObject>) -> Self {
        let listed = api.list(&ListParams::default()).await.expect("a list");
        let from = listed.metadata.resource_version.expect("a version");
        let watch = api.watch(&WatchParams::default(), &from).await;
        let mut watch = watch.expect("a watch").boxed();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Some(event) = watch.next().await {
                let mut seen = kept.lock().unwrap_or_else(PoisonError::into_inner);
                match event.expect("the watch goes on") {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        let object = serde_json::to_value(object).expect("an object is JSON");
                        seen.versions.push(object);
                    }
                    WatchEvent::Deleted(object) => {
                        seen.gone.push(object.metadata.name.expect("a name"));
                    }
                    WatchEvent::Bookmark(_) => {}
                    WatchEvent::Error(error) => panic!("the watch failed: {error:?}"),
                }
            }
        });
        Self { seen, task }
    }

    /// Waits until the watch has shown the removal of the object, and so everything before it.
    pub async fn gone(&self, name: &str) {
        wait_for(&format!("{name} to go"), SOON, async || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.gone.iter().any(|gone| gone == name).then_some(())
        })
        .await;
    }

    /// All versions so far.
    pub fn versions(&self) -> Vec<Value> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.versions.clone()
    }

    /// The reasons of an object in their order, without repetitions.
    pub fn reasons(&self, name: &str) -> Vec<String> {
        let of_this = self.versions().into_iter();
        let mut reasons: Vec<String> = of_this
            .filter(|object| object["metadata"]["name"] == name)
            .filter_map(|object| Some(ready(&object)["reason"].as_str()?.to_owned()))
            .collect();
        reasons.dedup();
        reasons
    }

    /// Compares the kstatus result of every version with the promise of its phase.
    pub fn assert_kstatus(&self) {
        let versions = self.versions();
        let results = kstatus(&versions);
        assert_eq!(results.len(), versions.len());
        for (object, result) in versions.iter().zip(results) {
            assert_eq!(result, promised(object), "{object:#}");
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The promised kstatus result of an object, by its phase.
fn promised(object: &Value) -> &'static str {
    let status = &object["status"];
    if object["metadata"].get("deletionTimestamp").is_some() {
        return "Terminating";
    }
    if status["observedGeneration"] != object["metadata"]["generation"] {
        return "InProgress";
    }
    match status["phase"].as_str() {
        Some("Active" | "Gone") => "Current",
        Some("Waiting" | "Deleting") => "InProgress",
        Some("Held" | "Stalled") => "Failed",
        other => panic!("{other:?} is no phase"),
    }
}
