//! Loads the guard records from the statuses, before this process writes any status.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use super::super::lost::LostBounds;
use super::super::object::PlatformObject;
use super::Writer;
use crate::api::platform::Platform;
use crate::follow::{list, told};
use crate::guard::{self, Unused};
use crate::raw::Raw;

/// How long loading waits at the start for all Secrets to be read.
const ASSESSED_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two attempts to list the Platforms at the start.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Number of Platforms in one page of a list.
const PAGE: u32 = 500;

impl Writer {
    /// Loads the guard records from a fresh list of Platforms, since a watch may be behind the last writes of the
    /// process before.
    pub(super) async fn load(&mut self) {
        // Before the credentials are known, it is not known which Platforms share a guard.
        let assessed = self.context.directory.assessed();
        if timeout(ASSESSED_WITHIN, assessed).await.is_err() {
            warn!(
                "some Secrets can't be read yet; until they are read, the guard counts the deletions of each of their Platforms apart"
            );
        }
        let api = Raw::all::<Platform>(self.context.client.clone());
        loop {
            match list(api.clone(), PAGE, PlatformObject::from).await {
                Ok(mut objects) => {
                    let now = self.context.clock.wall();
                    self.lost = LostBounds::count(&mut objects, now);
                    let statuses = objects.iter();
                    let statuses = statuses.map(|o| (&o.key, &*o.uid, &o.status));
                    let words = self.context.last_words.get();
                    let unused =
                        words.map_or_else(Unused::default, |words| guard::unused_of(words));
                    self.context.guards.load(statuses, &unused, now);
                    return;
                }
                Err(error) => {
                    let error = told(&error);
                    warn!(error, "the Platforms can't be read");
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
