//! The end of a scene: everything requested is done, nothing happens any more, and no promise was broken.

use std::time::Duration;

use tokio::time::sleep;

use super::{Stage, meant, ready};
use crate::judge;
use crate::record::{At, Event};
use crate::wishes::{Fate, Key, Wish};
use crate::world::until;

/// How long nothing must happen.
const QUIET: Duration = Duration::from_secs(120);
/// How long after the last event this quiet period must begin at the latest.
const SETTLED: Duration = Duration::from_secs(180);

impl Stage<'_> {
    /// Waits until everything requested is done, checks that it then stays quiet, and has all events judged.
    pub async fn ends(&self) {
        self.ends_but_for(&[]).await;
    }

    /// As [`Self::ends`], with any outcome for these packages.
    pub async fn ends_but_for(&self, files: &[&str]) {
        let wishes = self.wishes.borrow().clone();
        for (key, wish) in &wishes {
            until(&format!("{key} is as it is wished: {wish:?}"), async || {
                self.stands(key, wish).then_some(())
            })
            .await;
        }
        self.stranger_leaves().await;
        let faults = &self.world.faults;
        self.at_end.set((faults.effects().len(), faults.lines()));
        // From here on it must be quiet.
        faults.clear();
        self.gets_quiet().await;
        let events = self.world.record.events();
        let breaches = judge::breaches(&meant(), &events);
        assert!(breaches.is_empty(), "{breaches:#?}");
        for (key, wish) in &wishes {
            // Where two objects were for one package, one may have released it and the other kept it.
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

    /// Waits until nothing has happened for [`QUIET`].
    async fn gets_quiet(&self) {
        let record = &self.world.record;
        let done = record.now();
        let mut since = done;
        loop {
            sleep((since + QUIET).saturating_sub(record.now())).await;
            let events = record.events();
            let mut later = events.iter().rev().take_while(|at| at.at > since);
            let Some((at, what)) = later.find_map(|at| Some((at.at, noise(&at.event)?))) else {
                return;
            };
            assert!(
                at < done + SETTLED,
                "it does not get quiet after {done:?}: {what} at {at:?}"
            );
            since = at;
        }
    }

    /// Whether all objects are as wished.
    pub fn all_stand(&self) -> bool {
        let wishes = self.wishes.borrow();
        wishes.iter().all(|(key, wish)| self.stands(key, wish))
    }

    /// Whether an object is as wished: a deleted one is gone, a retired one reports that its package is gone or claimed
    /// by another object, a live one that its package is wanted or missing; and whether the report is true.
    fn stands(&self, key: &Key, wish: &Wish) -> bool {
        let object = self.world.package(&key.namespace, &key.name);
        let Some(object) = object else {
            return wish.fate == Fate::Deleted;
        };
        let (phase, reason) = (&object["status"]["phase"], &ready(&object)["reason"]);
        match wish.fate {
            Fate::Deleted => false,
            Fate::Retired => {
                let is_wanted = || self.wishes.borrow().values().any(|other| other.wants(wish));
                phase == "Gone" || reason == "StillClaimed" && is_wanted()
            }
            Fate::Stay => {
                let is_there = || self.world.platform.has(&wish.application, &wish.file);
                phase == "Active" || reason == "PackageMissing" && !is_there()
            }
        }
    }
}

/// A description of an event that breaks the quiet: any but renewals of the Lease and changes of wishes.
fn noise(event: &Event) -> Option<String> {
    match event {
        Event::Kept(kept) if kept.resource != "leases" => {
            Some(format!("{} wrote {} {}", kept.by, kept.resource, kept.key))
        }
        Event::Called(call) => Some(format!("{} called {}", call.by, call.path)),
        Event::Noted(line) => Some(line.to_string()),
        Event::Kept(_) | Event::Said(..) | Event::Ruled { .. } | Event::Met { .. } => None,
    }
}
