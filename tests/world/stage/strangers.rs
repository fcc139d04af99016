//! Another tenant, who names an application without its credentials.

use serde_json::{Value, json};
use version_package_operator::api::names::{
    ABANDON_ANNOTATION, ACCEPT_ANNOTATION, DISREGARD_ANNOTATION,
};

use super::{PACKAGES, PLATFORMS, Stage};
use crate::objects::{package, platform};

/// The namespace of the stranger.
pub const STRANGE: &str = "strange";

impl Stage<'_> {
    /// Creates a stranger's Platform for the first application, with an invented token.
    pub async fn stranger(&self) {
        let means_harm = json!({
            "quota": {"calls": 1, "window": "1h"},
            "guard": {"gracePeriod": "0s", "maxDeletions": 0},
        });
        self.stranger_with("made-up-token", means_harm).await;
    }

    /// Creates a stranger's Platform with this token; `more` is merged into its spec.
    pub async fn stranger_with(&self, token: &str, mut more: Value) {
        let world = self.world;
        world.add_namespace(STRANGE, &json!({})).await;
        world.show_secrets(STRANGE, &["theirs"]);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"},
            "stringData": {"appKey": "app-1", "accessToken": token},
        });
        world.people.create("secrets", STRANGE, &secret).await;
        more["endpoint"] = json!("https://app-1.example.com:8743");
        more["inventory"] = json!({"interval": "0s"});
        let theirs = platform("theirs", &more);
        world.people.create(PLATFORMS, STRANGE, &theirs).await;
    }

    /// Creates an object of the stranger. It is no wish of our people.
    pub async fn strange(&self, name: &str, file: &str, more: &Value) {
        let mut object = package(name, "theirs", file, more);
        object["spec"]["platformRef"] = json!({"name": "theirs"});
        self.world.people.create(PACKAGES, STRANGE, &object).await;
    }

    /// Deletes the stranger's Platform: for it a credential would be tried once an hour, for ever.
    pub async fn stranger_leaves(&self) {
        let people = &self.world.people;
        let theirs = people.get(PLATFORMS, STRANGE, "theirs");
        if let Some(theirs) = theirs {
            let uid = &theirs["metadata"]["uid"];
            let abandon = json!({"metadata": {"annotations": {ABANDON_ANNOTATION: uid}}});
            people.patch(PLATFORMS, STRANGE, "theirs", &abandon).await;
            people.delete(PLATFORMS, STRANGE, "theirs").await;
        }
    }

    /// Overrules the claims of all objects of the stranger.
    pub async fn disregard_strangers(&self, names: &[String]) {
        let mut uids = Vec::new();
        for strange in ["x", "y"] {
            let theirs = self.world.package(STRANGE, strange);
            uids.extend(theirs.and_then(|o| Some(o["metadata"]["uid"].as_str()?.to_owned())));
        }
        let change = json!({"metadata": {"annotations": {DISREGARD_ANNOTATION: uids.join(",")}}});
        for name in names {
            self.patch(name, &change, |_| {}).await;
        }
    }

    /// Confirms the application of an object.
    pub async fn accept(&self, name: &str, app_id: &str) {
        let change = json!({"metadata": {"annotations": {ACCEPT_ANNOTATION: app_id}}});
        self.patch(name, &change, |_| {}).await;
    }
}
