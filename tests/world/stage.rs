//! A stage for scenes: two applications, their Platforms, and people who say what they want, on record.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use version_package_operator::api::names::{FINALIZER, PAUSED_ANNOTATION, RELEASE_HOLD_ANNOTATION};

use crate::judge::{self, Meant};
use crate::objects::{package, platform, secret};
use crate::record::{At, Event, Rule};
use crate::wishes::{Fate, Key, Wish};
use crate::world::{World, until};

/// The namespace of the Platforms and their Secrets.
pub const IOT: &str = "iot";
/// The namespaces of packages.
pub const FLEET: &str = "fleet";
pub const DEPOT: &str = "depot";
/// How long each deletion can be called off.
pub const GRACE: Duration = Duration::from_secs(5);
/// So many deletions go without a person.
pub const BOUND: usize = 4;
/// Everything is quiet from so long after the last thing was done...
const SETTLED: Duration = Duration::from_secs(90);
/// ...for so long at least.
const QUIET: Duration = Duration::from_secs(120);

const PACKAGES: &str = "versionpackages";
const PLATFORMS: &str = "platforms";

/// A world with Platforms in it.
pub struct Stage<'a> {
    pub world: &'a World,
    wishes: RefCell<BTreeMap<Key, Wish>>,
    /// How many effects and lines of watches there were when the scene had come to its end.
    at_end: Cell<(usize, usize)>,
}

/// Which application people mean by a Platform.
fn application(platform: &str) -> &'static str {
    match platform {
        "staging" => "app-2",
        _ => "app-1",
    }
}

/// What the judges are to go by.
pub fn meant() -> Meant {
    let packages = ["app-1", "app-2"].into_iter().flat_map(|application| {
        let files = (1..=20).map(|number| format!("package-{number:05}"));
        files.map(move |file| (application.to_owned(), file))
    });
    Meant {
        grace: GRACE,
        bound: BOUND,
        quota: 100,
        packages: packages.collect(),
        secrets: ["first-secret", "second-secret", "third-secret"]
            .map(str::to_owned)
            .to_vec(),
    }
}

impl<'a> Stage<'a> {
    /// Two applications of 20 packages each, and three Platforms: two of the first application, one of the second.
    pub async fn set(world: &'a World) -> Self {
        for namespace in [IOT, FLEET, DEPOT] {
            world.add_namespace(namespace, &json!({})).await;
        }
        world.platform.register("app-1", "first-secret", 20);
        world.platform.register("app-2", "second-secret", 20);
        world.show_secrets(IOT, &["production", "spare", "staging"]);
        let all = [
            ("production", "first-secret"),
            ("spare", "first-secret"),
            ("staging", "second-secret"),
        ];
        for (name, words) in all {
            let secret = secret(name, application(name), words);
            world.people.create("secrets", IOT, &secret).await;
            let more = json!({
                // The two Platforms of one application are one platform.
                "endpoint": format!("https://{}.example.com:8743", application(name)),
                "guard": {"gracePeriod": "5s", "maxDeletions": BOUND},
                "inventory": {"interval": "0s"},
            });
            world
                .people
                .create(PLATFORMS, IOT, &platform(name, &more))
                .await;
        }
        Self {
            world,
            wishes: RefCell::default(),
            at_end: Cell::default(),
        }
    }

    /// Somebody creates an object, in the namespace [`FLEET`] unless it is named otherwise: `namespace/name`.
    pub async fn create(&self, name: &str, platform: &str, file: &str, more: &Value) {
        let key = key(name);
        let object = package(&key.name, platform, file, more);
        self.world
            .people
            .create(PACKAGES, &key.namespace, &object)
            .await;
        let fate = match more["lifecycle"].as_str() {
            Some("Retired") => Fate::Retired,
            _ => Fate::Stay,
        };
        let wish = Wish {
            platform: platform.to_owned(),
            application: application(platform).to_owned(),
            file: file.to_owned(),
            fate,
            retain: more["deletionPolicy"] == "Retain",
            paused: false,
            mistaken: more["expect"]["version"] == "mistaken",
        };
        self.say(key, Some(wish));
    }

    /// The same of a plain object of `production`, and waits until it is accepted.
    pub async fn wish(&self, name: &str, file: &str) {
        self.create(name, "production", file, &json!({})).await;
        self.comes_to(name, "Active").await;
    }

    /// Somebody deletes an object.
    pub async fn delete(&self, name: &str) {
        let key = key(name);
        let people = &self.world.people;
        let object = self.world.package(&key.namespace, &key.name).await;
        let code = people.delete(PACKAGES, &key.namespace, &key.name).await;
        if code != 200 {
            return;
        }
        let finalizers = object.map(|object| object["metadata"]["finalizers"].clone());
        let finalizers = finalizers.and_then(|all| all.as_array().cloned());
        if finalizers.is_some_and(|all| all.contains(&json!(FINALIZER))) {
            self.change(&key, |wish| wish.fate = Fate::Deleted);
        } else {
            // A limit that the README names: it has gone before the operator could know.
            self.say(key, None);
        }
    }

    pub async fn retire(&self, name: &str) {
        self.edit(name, json!({"lifecycle": "Retired"}), |wish| {
            if wish.fate == Fate::Stay {
                wish.fate = Fate::Retired;
            }
        })
        .await;
    }

    /// Somebody takes a retirement back.
    pub async fn revive(&self, name: &str) {
        self.edit(name, json!({"lifecycle": "Active"}), |wish| {
            if wish.fate == Fate::Retired {
                wish.fate = Fate::Stay;
            }
        })
        .await;
    }

    pub async fn retain(&self, name: &str) {
        self.edit(name, json!({"deletionPolicy": "Retain"}), |wish| {
            wish.retain = true;
        })
        .await;
    }

    pub async fn pause(&self, name: &str, paused: bool) {
        let value = if paused { json!("true") } else { Value::Null };
        let change = json!({"metadata": {"annotations": {PAUSED_ANNOTATION: value}}});
        self.patch(name, &change, |wish| wish.paused = paused).await;
    }

    /// Somebody takes our finalizer off by hand.
    pub async fn force(&self, name: &str) {
        let key = key(name);
        let Some(object) = self.world.package(&key.namespace, &key.name).await else {
            return;
        };
        let finalizers = object["metadata"]["finalizers"].as_array();
        let others = finalizers.into_iter().flatten();
        let others: Vec<_> = others
            .filter(|finalizer| **finalizer != FINALIZER)
            .collect();
        let change = json!({"metadata": {"finalizers": others}});
        let people = &self.world.people;
        people
            .patch(PACKAGES, &key.namespace, &key.name, &change)
            .await;
        if self
            .world
            .package(&key.namespace, &key.name)
            .await
            .is_none()
        {
            self.say(key, None);
        }
    }

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

    /// Whether an object of this name is there.
    pub async fn is_there(&self, name: &str) -> bool {
        let key = key(name);
        let object = self.world.package(&key.namespace, &key.name).await;
        object.is_some()
    }

    /// All names that people have used: `namespace/name`.
    pub fn names(&self) -> Vec<String> {
        let wishes = self.wishes.borrow();
        wishes.keys().map(ToString::to_string).collect()
    }

    /// Waits until an object is in a phase.
    pub async fn comes_to(&self, name: &str, phase: &str) {
        let key = key(name);
        self.world.comes_to(&key.namespace, &key.name, phase).await;
    }

    /// Waits until an object says this reason.
    pub async fn says(&self, name: &str, reason: &str) {
        let key = key(name);
        until(&format!("{name} says {reason}"), async || {
            let object = self.world.package(&key.namespace, &key.name).await?;
            (ready(&object)["reason"] == reason).then_some(())
        })
        .await;
    }

    /// Waits until an object is gone.
    pub async fn goes(&self, name: &str) {
        let key = key(name);
        self.world.goes(&key.namespace, &key.name).await;
    }

    /// Somebody deletes the namespace [`FLEET`] with everything in it.
    pub async fn end_fleet(&self) {
        self.world.people.delete_namespace(FLEET).await;
        let keys: Vec<Key> = self.wishes.borrow().keys().cloned().collect();
        for key in keys.iter().filter(|key| key.namespace == FLEET) {
            self.change(key, |wish| wish.fate = Fate::Deleted);
        }
        self.world.end_namespaces().await;
    }

    /// How many effects and lines of watches there were when all was done.
    pub fn at_end(&self) -> (usize, usize) {
        self.at_end.get()
    }

    /// Waits until all that was asked for is done; sees that it stays quiet then; and has everything judged that happened.
    pub async fn ends(&self) {
        self.ends_but_for(&[]).await;
    }

    /// The same, whatever became of these packages.
    pub async fn ends_but_for(&self, files: &[&str]) {
        let wishes = self.wishes.borrow().clone();
        let wanted = |wish: &Wish| wishes.values().any(|other| other.wants(wish));
        for (key, wish) in &wishes {
            let name = key.to_string();
            match wish.fate {
                Fate::Deleted => self.goes(&name).await,
                Fate::Retired => self.is_retired(&name, wanted(wish)).await,
                Fate::Stay => self.is_as_wished(&name, wish).await,
            }
        }
        let faults = &self.world.faults;
        self.at_end.set((faults.effects().len(), faults.lines()));
        sleep(SETTLED).await;
        let before = self.world.record.events().len();
        sleep(QUIET).await;
        let events = self.world.record.events();
        let noise: Vec<_> = events[before..]
            .iter()
            .filter_map(|At { at, event }| match event {
                Event::Kept(kept) if kept.resource != "leases" => Some(format!(
                    "{at:?}: {} wrote {} {}",
                    kept.by, kept.resource, kept.key
                )),
                Event::Called(call) => Some(format!("{at:?}: {} called {}", call.by, call.path)),
                Event::Noted(line) => Some(format!("{at:?}: {line}")),
                Event::Kept(_) | Event::Said(..) | Event::Ruled { .. } => None,
            })
            .collect();
        assert!(noise.is_empty(), "it is not quiet at the end: {noise:#?}");
        let breaches = judge::breaches(&meant(), &events);
        assert!(breaches.is_empty(), "{breaches:#?}");
        for (key, wish) in &wishes {
            // Of what two objects were for, one may have let go and the other one kept it.
            let names = |at: &&At| matches!(&at.event, Event::Said(other, Some(said)) if other != key && said.is_for(wish));
            if files.contains(&&*wish.file) || events.iter().any(|at| names(&at)) {
                continue;
            }
            let there = self.world.platform.has(&wish.application, &wish.file);
            assert!(
                !there || !wish.asks(),
                "the package of {key} is still there"
            );
        }
    }

    /// Waits until a retired object says that its package is gone; or that another one wants it, where one does.
    async fn is_retired(&self, name: &str, wanted: bool) {
        let key = key(name);
        until(&format!("{name} is Gone"), async || {
            let object = self.world.package(&key.namespace, &key.name).await?;
            let claimed = wanted && ready(&object)["reason"] == "StillClaimed";
            (object["status"]["phase"] == "Gone" || claimed).then_some(())
        })
        .await;
    }

    /// Waits until a live object says that its package is wanted; or that it is missing, where it is.
    async fn is_as_wished(&self, name: &str, wish: &Wish) {
        let key = key(name);
        until(&format!("{name} is Active"), async || {
            let object = self.world.package(&key.namespace, &key.name).await?;
            let missing = !self.world.platform.has(&wish.application, &wish.file);
            let told = ready(&object)["reason"] == "PackageMissing" && missing;
            (object["status"]["phase"] == "Active" || told).then_some(())
        })
        .await;
    }

    async fn edit(&self, name: &str, spec: Value, change: impl FnOnce(&mut Wish)) {
        self.patch(name, &json!({"spec": spec}), change).await;
    }

    async fn patch(&self, name: &str, patch: &Value, change: impl FnOnce(&mut Wish)) {
        let key = key(name);
        let people = &self.world.people;
        let code = people
            .patch(PACKAGES, &key.namespace, &key.name, patch)
            .await;
        if code == 200 {
            self.change(&key, change);
        }
    }

    fn change(&self, key: &Key, change: impl FnOnce(&mut Wish)) {
        let wish = self.wishes.borrow().get(key).cloned();
        if let Some(mut wish) = wish {
            change(&mut wish);
            self.say(key.clone(), Some(wish));
        }
    }

    fn say(&self, key: Key, wish: Option<Wish>) {
        let mut wishes = self.wishes.borrow_mut();
        match &wish {
            Some(wish) => wishes.insert(key.clone(), wish.clone()),
            None => wishes.remove(&key),
        };
        self.world.record.add(Event::Said(key, wish));
    }

    fn rule(&self, platform: &str, rule: Rule) {
        let platform = platform.to_owned();
        self.world.record.add(Event::Ruled { platform, rule });
    }
}

/// `name` or `namespace/name`.
fn key(name: &str) -> Key {
    match name.split_once('/') {
        Some((namespace, name)) => Key::new(namespace, name),
        None => Key::new(FLEET, name),
    }
}

fn ready(object: &Value) -> &Value {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == "Ready")
        .unwrap_or(&Value::Null)
}
