//! Takes over what the statuses say of guards, before this process writes any.

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

/// So long the guards wait for the Secrets at the start.
const ASSESSED_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries to read what the statuses say at the start.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Platforms in one page of a list.
const PAGE: u32 = 500;

impl Writer {
    /// Takes over what the statuses say of guards: a list just now, since a watch may be behind the last
    /// words of the process before.
    pub(super) async fn load(&mut self) {
        // Before the credentials are known, nobody can tell who counts together.
        let assessed = self.context.directory.assessed();
        if timeout(ASSESSED_WITHIN, assessed).await.is_err() {
            warn!(
                "some Secrets can't be read yet; until they are, their Platforms count by themselves"
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
