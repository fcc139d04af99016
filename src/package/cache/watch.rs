//! The watch of all `VersionPackage`s, which feeds the cache.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::follow::{WatchScope, follow, told};
use crate::object::watched::Watched;
use crate::package::cache::packed::Packed;
use crate::package::cache::{Cache, Changes, Event};
use crate::sight::{Sight, WatchKind};

/// Timeout of the watch request, in seconds. A watch that has silently failed can't hide changes for longer.
const WATCH_SECONDS: u32 = 50;

/// Runs the watch until `cancel`. A signal of `restart` restarts it with a consistent list.
///
/// `changed` is called with the changes of each event.
pub async fn run(
    client: Client,
    cache: Arc<Cache>,
    (sight, clock): (Arc<Sight>, Clock),
    restart: Arc<Notify>,
    cancel: CancellationToken,
    changed: impl Fn(Changes),
) {
    let api = Api::<Watched>::all(client);
    let wanted = WatchScope {
        page: 200,
        seconds: WATCH_SECONDS,
        fields: None,
    };
    while !cancel.is_cancelled() {
        let eye = sight.eye(WatchKind::Packages);
        let mut events = std::pin::pin!(follow(api.clone(), wanted.clone(), eye));
        loop {
            let event = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                () = restart.notified() => break,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => changed(cache.apply(taken_in(event, &sight, clock.wall()))),
                Some(Err(error)) => {
                    let why = told(&error);
                    tracing::warn!(why, "the watch of VersionPackages failed and is made anew");
                }
                None => break,
            }
        }
    }
}

/// Converts `event` for the cache. An object that may have lost fields is marked as undecodable.
fn taken_in(event: watcher::Event<Watched>, sight: &Sight, now: Timestamp) -> Event {
    let judged = |object: Watched, listed| {
        let doubt = sight.doubts(WatchKind::Packages, &object.lineage(), listed);
        Packed::read(object.doubted(doubt), now)
    };
    match event {
        watcher::Event::Init => Event::ListBegins,
        watcher::Event::InitApply(object) => Event::Listed(judged(object, true)),
        watcher::Event::InitDone => Event::ListEnds,
        watcher::Event::Apply(object) => Event::Applied(judged(object, false)),
        watcher::Event::Delete(object) => {
            sight.forget(WatchKind::Packages, &object.lineage().uid);
            Event::Deleted(Packed::read(object, now))
        }
    }
}
