//! What people say of Platforms and their Secrets.

use serde_json::{Value, json};
use version_package_operator::api::names::RELEASE_HOLD_ANNOTATION;

use super::{IOT, PLATFORMS, Stage};
use crate::objects::secret;
use crate::record::{Event, Rule};
use crate::world::until;

impl Stage<'_> {
    /// Somebody changes the spec of a Platform.
    pub async fn change_platform(&self, name: &str, spec: Value) {
        let rule = match spec["mode"].as_str() {
            Some("Observe") => Some(Rule::Observe),
            Some("Enforce") => Some(Rule::Enforce),
            _ => None,
        };
        let change = json!({"spec": spec});
        let people = &self.world.people;
        let code = people.patch(PLATFORMS, IOT, name, &change).await;
        assert_eq!(code, 200, "{name}: {change}");
        if let Some(rule) = rule {
            self.rule(name, rule);
        }
    }

    /// Waits until a Platform has a hold, and releases it.
    pub async fn release(&self, name: &str) {
        let people = &self.world.people;
        let id = until(&format!("{name} has a hold"), async || {
            let platform = people.get(PLATFORMS, IOT, name).await?;
            platform["status"]["hold"]["id"].as_str().map(str::to_owned)
        })
        .await;
        let change = json!({"metadata": {"annotations": {RELEASE_HOLD_ANNOTATION: id}}});
        let code = people.patch(PLATFORMS, IOT, name, &change).await;
        assert_eq!(code, 200);
        self.rule(name, Rule::Released);
    }

    /// Somebody changes a Secret, so that it has just these credentials.
    pub async fn put_secret(&self, name: &str, app_id: &str, words: &str) {
        let people = &self.world.people;
        let code = people.delete("secrets", IOT, name).await;
        assert_eq!(code, 200);
        people
            .create("secrets", IOT, &secret(name, app_id, words))
            .await;
    }

    /// Releases what is held on any Platform just now.
    pub async fn release_all(&self) {
        for name in ["production", "spare", "staging"] {
            let people = &self.world.people;
            let platform = people.get(PLATFORMS, IOT, name).await;
            let hold = platform.map(|platform| platform["status"]["hold"]["id"].clone());
            if let Some(id @ Value::String(_)) = hold {
                let change = json!({"metadata": {"annotations": {RELEASE_HOLD_ANNOTATION: id}}});
                people.patch(PLATFORMS, IOT, name, &change).await;
                self.rule(name, Rule::Released);
            }
        }
    }

    fn rule(&self, platform: &str, rule: Rule) {
        let platform = platform.to_owned();
        self.world.record.add(Event::Ruled { platform, rule });
    }
}
