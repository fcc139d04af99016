//! The one watch of all `VersionPackage`s, which feeds the cache.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::cache::{Cache, Changes, Event};
use super::object::Watched;
use crate::watch_backoff::WatchBackoff;

/// A quiet watch is made anew after this long; a silent one can't hide changes for longer.
const WATCH_TIMEOUT: Duration = Duration::from_secs(50);

/// Watches until cancelled; `restart` makes the watch anew, with a consistent list.
///
/// `changed` is told what each event changed.
pub async fn run(
    client: Client,
    cache: Arc<Cache>,
    restart: Arc<Notify>,
    cancel: CancellationToken,
    changed: impl Fn(Changes),
) {
    let api = Api::<Watched>::all(client);
    // The default list is a consistent one: a cache may be late, never a step into the past.
    let timeout = u32::try_from(WATCH_TIMEOUT.as_secs()).unwrap_or(50);
    let config = watcher::Config::default().timeout(timeout).page_size(200);
    while !cancel.is_cancelled() {
        let mut events = std::pin::pin!(
            watcher::watcher(api.clone(), config.clone()).backoff(WatchBackoff::default())
        );
        loop {
            let event = tokio::select! {
                () = cancel.cancelled() => return,
                () = restart.notified() => break,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => changed(cache.apply(Event::from(event))),
                Some(Err(error)) => {
                    tracing::warn!(%error, "the watch of VersionPackages failed and is made anew");
                }
                None => break,
            }
        }
    }
}

impl From<watcher::Event<Watched>> for Event {
    fn from(event: watcher::Event<Watched>) -> Self {
        match event {
            watcher::Event::Init => Self::ListBegins,
            watcher::Event::InitApply(object) => Self::Listed(object.into()),
            watcher::Event::InitDone => Self::ListEnds,
            watcher::Event::Apply(object) => Self::Applied(object.into()),
            watcher::Event::Delete(object) => Self::Deleted(object.into()),
        }
    }
}
