//! The state that an older version of the operator left: files in `tests/world/older`.

use serde_json::{Value, json};
use version_package_operator::simulator::answer::Verdict;

use super::{IOT, NAMES, PACKAGES, PLATFORMS, Stage, key};
use crate::record::{Called, Event};
use crate::world::{HOME, manifests};

/// The number of calls of the first application in the older Leases.
const OLD_CALLS: usize = 97;
/// The pod of the older version.
const OLD_POD: &str = "vpo-old";

/// How an older version left its Lease.
#[derive(Debug, Clone, Copy)]
pub enum OldLease {
    /// Released in order, with the limit learned from a refusal.
    GivenBack,
    /// Held until a crash, by the first version, which recorded nothing about refusals.
    Held,
}

impl Stage<'_> {
    /// Installs both definitions of the first version.
    pub async fn make_definitions_old(&self) {
        for file in [
            "tests/world/older/versionpackages.yaml",
            "tests/world/older/platforms.yaml",
        ] {
            self.world.people.define(&manifests(file)[0]).await;
        }
    }

    /// Rewrites all statuses in the form of the first version: the API server drops the fields that its definitions
    /// lack.
    pub async fn make_statuses_old(&self) {
        self.make_definitions_old().await;
        let people = &self.world.people;
        let none = json!({"status": {"uid": null, "endpoint": null}});
        for name in self.names() {
            let key = key(&name);
            people
                .patch_status(PACKAGES, &key.namespace, &key.name, &none)
                .await;
        }
        for name in NAMES {
            people.patch_status(PLATFORMS, IOT, name, &none).await;
        }
        self.give_fields_back().await;
    }

    /// Simulates an older version that has just made almost as many calls as the quota allows, and left its Lease.
    pub async fn make_lease_old(&self, how: OldLease) {
        assert_eq!(self.leave_lease(how).await, 200);
        for _ in 0..OLD_CALLS {
            self.world.record.add(Event::Called(Called {
                by: OLD_POD.to_owned(),
                application: Some("app-1".to_owned()),
                method: "GET".to_owned(),
                path: "/an/older/call".to_owned(),
                verdict: Verdict::Shown,
            }));
        }
    }

    /// Writes the Lease of an older version; returns the code of the answer.
    pub async fn leave_lease(&self, how: OldLease) -> u16 {
        let text = match how {
            OldLease::GivenBack => include_str!("../older/lease-given-back.json"),
            OldLease::Held => include_str!("../older/lease-held.json"),
        };
        let lease: Value = serde_json::from_str(text).unwrap();
        self.world.people.patch("leases", HOME, HOME, &lease).await
    }
}
