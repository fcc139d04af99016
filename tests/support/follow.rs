//! The tests' own watches of a fleet: they report when objects are marked, get a reason, and are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::Api;
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use tokio::sync::mpsc;

use super::{pace, ready};

/// Watches `count` objects from `version` on until all have had this reason.
pub async fn saying(api: Api<DynamicObject>, version: String, count: usize, reason: &str) {
    let params = WatchParams::default().timeout(290);
    let events = api.watch(&params, &version).await;
    let mut events = events.expect("a watch").boxed();
    let mut said = BTreeSet::new();
    while said.len() < count {
        match next(&mut events).await {
            WatchEvent::Modified(object) | WatchEvent::Added(object) => {
                if ready(&object.data)["reason"] == reason {
                    said.insert(object.metadata.name);
                }
            }
            WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
    }
}

/// Watches from `version` on and sends the name and time of each removed object, until the receiver is dropped.
pub async fn tell_gone(
    api: Api<DynamicObject>,
    version: String,
    tell: mpsc::UnboundedSender<(String, Duration)>,
) {
    let params = WatchParams::default().timeout(290);
    let events = api.watch_metadata(&params, &version).await;
    let mut events = events.expect("a watch").boxed();
    loop {
        match next(&mut events).await {
            WatchEvent::Deleted(object) => {
                let name = object.metadata.name.expect("a name");
                if tell.send((name, pace::now())).is_err() {
                    return;
                }
            }
            WatchEvent::Added(_)
            | WatchEvent::Modified(_)
            | WatchEvent::Bookmark(_)
            | WatchEvent::Error(_) => {}
        }
    }
}

/// Watches `count` objects from `version` on until all are gone. Returns when each was marked for deletion, and when
/// the last was gone.
pub async fn ends(
    api: Api<DynamicObject>,
    version: String,
    count: usize,
) -> (Vec<Duration>, Duration) {
    let params = WatchParams::default().timeout(290);
    let mut events = api
        .watch_metadata(&params, &version)
        .await
        .expect("a watch")
        .boxed();
    let mut asked = BTreeMap::new();
    let mut gone = 0;
    while gone < count {
        match next(&mut events).await {
            WatchEvent::Modified(object) if object.metadata.deletion_timestamp.is_some() => {
                asked.entry(object.metadata.name).or_insert_with(pace::now);
            }
            WatchEvent::Deleted(_) => gone += 1,
            WatchEvent::Added(_)
            | WatchEvent::Modified(_)
            | WatchEvent::Bookmark(_)
            | WatchEvent::Error(_) => {}
        }
    }
    let mut asked: Vec<_> = asked.into_values().collect();
    asked.sort_unstable();
    (asked, pace::now())
}

/// The next event of a watch, which must neither fail nor end.
async fn next<K>(
    events: &mut (impl Stream<Item = kube::Result<WatchEvent<K>>> + Unpin),
) -> WatchEvent<K> {
    let event = events.try_next().await.expect("the watch stands");
    match event.expect("the watch goes on") {
        WatchEvent::Error(error) => panic!("the watch failed: {error:?}"),
        event => event,
    }
}
