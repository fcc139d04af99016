//! Actions of people on Platforms and their Secrets.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use version_package_operator::api::names::{
    ABANDON_ANNOTATION, CONFIRM_ANNOTATION, RELEASE_HOLD_ANNOTATION, REQUESTED_AT_ANNOTATION,
};

use super::{BOUND, IOT, NAMES, PLATFORMS, Stage, application, ready};
use crate::objects::{platform, secret};
use crate::people::PEOPLE;
use crate::record::{Event, Rule};
use crate::world::until;

impl Stage<'_> {
    /// Creates all Platforms and their Secrets.
    pub(super) async fn bring_platforms(&self) {
        let all = [
            ("production", "first-secret"),
            ("spare", "first-secret"),
            ("staging", "second-secret"),
        ];
        for (name, words) in all {
            let secret = secret(name, application(name), words);
            self.world.people.create("secrets", IOT, &secret).await;
            self.bring_platform(name).await;
        }
    }

    /// Deletes the namespace [`IOT`]: the Secrets are deleted at once, a Platform waits for the objects that need it.
    pub async fn delete_iot(&self) {
        let world = self.world;
        world.people.delete_namespace(IOT).await;
        world.cluster.end_namespaces();
        world.record.take_changes(PEOPLE);
    }

    /// Abandons all Platforms, and creates the namespace again with everything that was in it.
    pub async fn bring_iot_back(&self) {
        for name in NAMES {
            self.give_up_platform(name).await;
        }
        self.world.end_namespaces().await;
        self.world.add_namespace(IOT, &json!({})).await;
        self.bring_platforms().await;
        for name in NAMES {
            self.rule(name, Rule::Enforce);
        }
    }

    /// Creates a Platform with the initial spec of all Platforms.
    pub async fn bring_platform(&self, name: &str) {
        let more = json!({
            // The two Platforms of one application are the same platform.
            "endpoint": format!("https://{}.example.com:8743", application(name)),
            "guard": {"gracePeriod": "5s", "maxDeletions": BOUND},
            "inventory": {"interval": "0s"},
        });
        let people = &self.world.people;
        people.create(PLATFORMS, IOT, &platform(name, &more)).await;
    }

    /// Abandons a Platform although objects need it: they are held until it exists again.
    pub async fn give_up_platform(&self, name: &str) {
        let people = &self.world.people;
        if let Some(platform) = people.get(PLATFORMS, IOT, name) {
            let uid = &platform["metadata"]["uid"];
            let abandon = json!({"metadata": {"annotations": {ABANDON_ANNOTATION: uid}}});
            people.patch(PLATFORMS, IOT, name, &abandon).await;
            people.delete(PLATFORMS, IOT, name).await;
        }
    }

    /// Whether a Platform exists, even if it is being deleted.
    pub fn has_platform(&self, name: &str) -> bool {
        self.world.people.get(PLATFORMS, IOT, name).is_some()
    }

    /// Has the credential of a Platform tried.
    pub async fn ask_of_platform(&self, name: &str, word: &str) {
        let change = json!({"metadata": {"annotations": {REQUESTED_AT_ANNOTATION: word}}});
        self.world.people.patch(PLATFORMS, IOT, name, &change).await;
    }

    /// Changes the spec of a Platform.
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
            let platform = people.get(PLATFORMS, IOT, name)?;
            platform["status"]["hold"]["id"].as_str().map(str::to_owned)
        })
        .await;
        let change = json!({"metadata": {"annotations": {RELEASE_HOLD_ANNOTATION: id}}});
        let code = people.patch(PLATFORMS, IOT, name, &change).await;
        assert_eq!(code, 200);
        self.rule(name, Rule::Released);
    }

    /// Replaces a Secret, so that it has exactly these credentials.
    pub async fn put_secret(&self, name: &str, app_id: &str, words: &str) {
        self.delete_secret(name).await;
        let people = &self.world.people;
        people
            .create("secrets", IOT, &secret(name, app_id, words))
            .await;
    }

    /// Deletes a Secret, if it exists.
    pub async fn delete_secret(&self, name: &str) {
        let code = self.world.people.delete("secrets", IOT, name).await;
        assert!([200, 404].contains(&code), "{name}: {code}");
    }

    /// Confirms every Platform as it is.
    pub async fn confirm_platforms(&self) {
        self.confirm_those(|_| true).await;
    }

    /// Confirms the Platforms that report a possible loss of fields.
    pub async fn confirm_lost_platforms(&self) {
        self.confirm_those(|platform| ready(platform)["reason"] == "FieldsLost")
            .await;
    }

    async fn confirm_those(&self, meant: impl Fn(&Value) -> bool) {
        let people = &self.world.people;
        for name in NAMES {
            let platform = people.get(PLATFORMS, IOT, name);
            if let Some(platform) = platform.filter(&meant) {
                let uid = &platform["metadata"]["uid"];
                for word in [&Value::Null, uid] {
                    let change = json!({"metadata": {"annotations": {CONFIRM_ANNOTATION: word}}});
                    people.patch(PLATFORMS, IOT, name, &change).await;
                }
            }
        }
    }

    /// Releases the current holds of all Platforms.
    pub async fn release_all(&self) {
        for name in NAMES {
            let people = &self.world.people;
            let platform = people.get(PLATFORMS, IOT, name);
            let hold = platform.map(|platform| platform["status"]["hold"]["id"].clone());
            if let Some(id @ Value::String(_)) = hold {
                let change = json!({"metadata": {"annotations": {RELEASE_HOLD_ANNOTATION: id}}});
                people.patch(PLATFORMS, IOT, name, &change).await;
                self.rule(name, Rule::Released);
            }
        }
    }

    /// Releases holds until everything is as wished: after a crash, calls that may have been sent count once more, and
    /// the guard holds deletions that the limit would allow.
    pub async fn release_what_is_held(&self) {
        for _ in 0..20 {
            sleep(Duration::from_secs(15)).await;
            self.release_all().await;
            if self.all_stand() {
                return;
            }
        }
    }

    fn rule(&self, platform: &str, rule: Rule) {
        let platform = platform.to_owned();
        self.world.record.add(Event::Ruled { platform, rule });
    }
}
