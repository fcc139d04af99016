//! Writes the statuses of Platforms: what should be said is worked out from memory every second and
//! after each change, and a write is made only where it differs from what the cache shows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Count;
use super::directory::{Access, Directory, Grant, View};
use super::object::Object;
use super::status::{Look, is_due, next};
use crate::api::names::{FIELD_MANAGER, ObjectKey};
use crate::api::platform::{Platform, PlatformStatus};

/// How often sessions are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The same status isn't written again sooner, be it that the write failed, that its echo is late
/// or that somebody else writes the same fields.
const REPEAT: Duration = Duration::from_secs(4);
/// Writes under way at a time.
const AT_ONCE: usize = 8;

/// Keeps the statuses true until cancelled.
pub(super) async fn run(
    client: kube::Client,
    directory: Arc<Directory>,
    count: Count,
    cancel: CancellationToken,
) {
    let mut writer = Writer {
        client,
        directory,
        count,
        written: HashMap::new(),
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let round = async {
            tokio::select! {
                _ = ticks.tick() => {}
                () = writer.directory.status_due.notified() => {}
            }
            writer.write_due().await;
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = round => {}
        }
    }
}

struct Writer {
    client: kube::Client,
    directory: Arc<Directory>,
    count: Count,
    written: HashMap<ObjectKey, (Instant, PlatformStatus)>,
}

impl Writer {
    async fn write_due(&mut self) {
        let due = self.due(Timestamp::now(), Instant::now());
        let (client, directory) = (&self.client, &self.directory);
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, |(object, status)| async move {
                write(client, directory, &object, &status).await;
            })
            .await;
    }

    /// What has to be written now.
    fn due(&mut self, wall: Timestamp, now: Instant) -> Vec<(Object, PlatformStatus)> {
        // Copied out first: neither a session nor the counts are asked under the lock.
        let known: Vec<(Object, Access, Option<ObjectKey>)> = {
            let view = self.directory.view();
            self.written
                .retain(|key, _| view.platforms.contains_key(key));
            let entries = view.platforms.values();
            entries
                .map(|entry| {
                    let served_by = match &entry.access {
                        Access::Granted(grant) => login_of(&view, grant),
                        Access::Unread | Access::Refused(_) => None,
                    };
                    (entry.object.clone(), entry.access.clone(), served_by)
                })
                .collect()
        };
        let mut due = Vec::new();
        for (object, access, served_by) in known {
            let snapshot = match &access {
                Access::Granted(grant) => Some(grant.session.snapshot()),
                Access::Unread | Access::Refused(_) => None,
            };
            let status = next(&Look {
                object: &object,
                access: &access,
                snapshot: snapshot.as_ref(),
                packages: (self.count)(&object.key),
                served_by: served_by.as_ref(),
                now: (wall, now),
            });
            let Some(status) = status else { continue };
            let last = self.written.get(&object.key);
            let since = last.map(|(at, _)| now.saturating_duration_since(*at));
            let repeats = last.is_some_and(|(_, written)| *written == status)
                && since.is_some_and(|since| since < REPEAT);
            if !repeats && is_due(&object.status, &status, since) {
                self.written
                    .insert(object.key.clone(), (now, status.clone()));
                due.push((object, status));
            }
        }
        due
    }
}

/// The Platform whose login serves a session into which `grant` brought only a token.
fn login_of(view: &View, grant: &Grant) -> Option<ObjectKey> {
    if grant.logs_in {
        return None;
    }
    let others = view.platforms.values().filter(|other| match &other.access {
        Access::Granted(theirs) => theirs.logs_in && theirs.key == grant.key,
        Access::Unread | Access::Refused(_) => false,
    });
    // The first by name, so that the message doesn't change from look to look.
    others.map(|other| other.object.key.clone()).min()
}

async fn write(
    client: &kube::Client,
    directory: &Directory,
    object: &Object,
    status: &PlatformStatus,
) {
    let key = &object.key;
    let kind = ApiResource::erase::<Platform>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &kind);
    // With the uid, an object created anew under the same name isn't given this status.
    let patch = Patch::Apply(json!({
        "apiVersion": Platform::api_version(&()),
        "kind": Platform::kind(&()),
        "metadata": {"name": &*key.name, "namespace": &*key.namespace, "uid": object.uid},
        "status": status,
    }));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let call = api.patch_status(&key.name, &params, &patch);
    match timeout(WRITE_TIMEOUT, call).await {
        Ok(Ok(written)) => {
            debug!(platform = %key, "status written");
            if written.uid().as_deref() == Some(object.uid.as_str()) {
                directory.status_written(Object::from(written));
            }
        }
        Ok(Err(kube::Error::Api(answer))) if answer.is_not_found() || answer.is_conflict() => {
            debug!(platform = %key, "the Platform went before its status was written");
        }
        Ok(Err(error)) => warn!(platform = %key, %error, "the status can't be written"),
        Err(_) => warn!(platform = %key, "the status can't be written: no answer in time"),
    }
}
