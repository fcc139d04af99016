//! The stage of the scenes: two applications, their Platforms, and people whose wishes are recorded.

mod cluster;
mod end;
mod older;
mod packages;
mod platforms;
mod strangers;

pub use self::cluster::Backup;
pub use self::older::OldLease;
pub use self::packages::has_ours;
pub use self::strangers::STRANGE;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::Fault;
use crate::judge::Meant;
use crate::record::Event;
use crate::wishes::{Key, Wish};
use crate::world::{World, until};

/// The namespace of the Platforms and their Secrets.
pub const IOT: &str = "iot";
/// The namespaces of packages.
pub const FLEET: &str = "fleet";
pub const DEPOT: &str = "depot";
/// The grace period of each deletion.
pub const GRACE: Duration = Duration::from_secs(5);
/// How many deletions run without a release.
pub const BOUND: usize = 4;
const PACKAGES: &str = "versionpackages";
const PLATFORMS: &str = "platforms";

/// A world with Platforms.
pub struct Stage<'a> {
    pub world: &'a World,
    wishes: RefCell<BTreeMap<Key, Wish>>,
    /// The numbers of effects and watch lines when the scene had reached its end.
    at_end: Cell<(usize, usize)>,
}

/// The name of a Platform that doesn't exist.
pub const NOWHERE: &str = "prodution";
/// The Platforms.
pub const NAMES: [&str; 3] = ["production", "spare", "staging"];

/// The application that people mean by a Platform.
pub fn application(platform: &str) -> &'static str {
    match platform {
        "staging" => "app-2",
        NOWHERE => "none",
        _ => "app-1",
    }
}

/// The intentions that the judges check against.
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
        secrets: [
            "first-secret",
            "second-secret",
            "third-secret",
            "made-up-token",
        ]
        .map(str::to_owned)
        .to_vec(),
    }
}

impl<'a> Stage<'a> {
    /// Creates two applications with 20 packages each, and three Platforms: two of the first application, one of the
    /// second.
    pub async fn set(world: &'a World) -> Self {
        for namespace in [IOT, FLEET, DEPOT] {
            world.add_namespace(namespace, &json!({})).await;
        }
        world.platform.register("app-1", "first-secret", 20);
        world.platform.register("app-2", "second-secret", 20);
        world.show_secrets(IOT, &NAMES);
        let stage = Self {
            world,
            wishes: RefCell::default(),
            at_end: Cell::default(),
        };
        stage.bring_platforms().await;
        stage
    }

    /// Waits until an object is in a phase.
    pub async fn comes_to(&self, name: &str, phase: &str) {
        let key = key(name);
        self.world.comes_to(&key.namespace, &key.name, phase).await;
    }

    /// The current object; `None` where it doesn't exist.
    pub fn object(&self, name: &str) -> Option<Value> {
        let key = key(name);
        self.world.package(&key.namespace, &key.name)
    }

    /// Waits until an object has this reason.
    pub async fn says(&self, name: &str, reason: &str) {
        until(&format!("{name} says {reason}"), async || {
            let object = self.object(name)?;
            (ready(&object)["reason"] == reason).then_some(())
        })
        .await;
    }

    /// Whether an object has this reason now.
    pub fn is_said(&self, name: &str, reason: &str) -> bool {
        let object = self.object(name);
        object.is_some_and(|object| ready(&object)["reason"] == reason)
    }

    /// Waits until an object is deleted.
    pub async fn goes(&self, name: &str) {
        let key = key(name);
        self.world.goes(&key.namespace, &key.name).await;
    }

    /// Whether a fault has hit an effect.
    pub fn has_met(&self, fault: Fault) -> bool {
        let events = self.world.record.events();
        let mut met = events.iter().map(|at| &at.event);
        met.any(|event| matches!(event, Event::Met { fault: met, .. } if *met == fault))
    }

    /// The numbers of effects and watch lines when everything was done.
    pub fn at_end(&self) -> (usize, usize) {
        self.at_end.get()
    }
}

/// Parses `name` or `namespace/name`.
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
