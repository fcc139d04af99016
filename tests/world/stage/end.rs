//! The end of a scene: all that was asked for is done, nothing happens any more, and no promise was broken.

use std::time::Duration;

use tokio::time::sleep;

use super::{Stage, meant, ready};
use crate::judge;
use crate::record::{At, Event};
use crate::wishes::{Fate, Wish};
use crate::world::until;

/// Everything is quiet from so long after the last thing was done...
const SETTLED: Duration = Duration::from_secs(180);
/// ...for so long at least.
const QUIET: Duration = Duration::from_secs(120);

impl Stage<'_> {
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
        self.stranger_leaves().await;
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
                Event::Kept(_) | Event::Said(..) | Event::Ruled { .. } | Event::Met { .. } => None,
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
        until(&format!("{name} is Gone"), async || {
            let object = self.object(name).await?;
            let claimed = wanted && ready(&object)["reason"] == "StillClaimed";
            (object["status"]["phase"] == "Gone" || claimed).then_some(())
        })
        .await;
    }

    /// Waits until a live object says that its package is wanted; or that it is missing, where it is.
    async fn is_as_wished(&self, name: &str, wish: &Wish) {
        until(&format!("{name} is Active"), async || {
            let object = self.object(name).await?;
            let missing = !self.world.platform.has(&wish.application, &wish.file);
            let told = ready(&object)["reason"] == "PackageMissing" && missing;
            (object["status"]["phase"] == "Active" || told).then_some(())
        })
        .await;
    }
}
