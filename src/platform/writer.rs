//! Writes the statuses of Platforms: what should be said is worked out from memory every second and
//! after each change, and a write is made only where it differs from what the cache shows. What the
//! guard counts is safe once it stands there.

mod telling;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, ListParams};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::telling::{refused_note, status_refused, tell, tell_end, tell_hold};
use super::attempts::Attempts;
use super::credentials::Refusal;
use super::directory::{Access, Grant};
use super::guard::{self, Record, Unused};
use super::in_use::{self, Going, Step};
use super::lost::Lost;
use super::object::Object;
use super::status::{Look, is_due, next, tells_the_same};
use super::{Context, Directory, Tenants};
use crate::api::names::ObjectKey;
use crate::api::platform::{Platform, PlatformReason, PlatformStatus};
use crate::api::status;
use crate::raw::Raw;
use crate::session::State;
use crate::sight::Kind;
use crate::writes::{self, End};

/// How often sessions are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// The same status isn't written again sooner, be it that its echo is late or that somebody else writes the same fields.
const REPEAT: Duration = Duration::from_secs(4);
/// The Platforms tell of what keeps this process from its work after so long.
const TOLD_AFTER: Duration = Duration::from_secs(60);
/// Writes under way at a time.
const AT_ONCE: usize = 8;

/// So long the guards wait for the Secrets at the start.
const ASSESSED_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries to read what the statuses say at the start.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Keeps the statuses true until cancelled.
pub(super) async fn run(context: Context, cancel: CancellationToken) {
    let mut writer = Writer {
        context,
        written: HashMap::new(),
        statuses: Attempts::default(),
        finalizers: Attempts::default(),
        going: Going::default(),
        lost: Lost::default(),
    };
    tokio::select! {
        () = cancel.cancelled() => return,
        () = writer.load() => {}
    }
    let due = writer.context.directory.status_due();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let round = async {
            tokio::select! {
                _ = ticks.tick() => {}
                () = due.notified() => {}
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
    context: Context,
    written: HashMap<ObjectKey, (Instant, PlatformStatus)>,
    /// The last writes of statuses and of finalizers.
    statuses: Attempts,
    finalizers: Attempts,
    going: Going,
    /// Platforms whose guard's record can't be read and whose application isn't known yet: so many may have been sent.
    lost: Lost,
}

/// A status to be written.
struct Due {
    object: Object,
    status: PlatformStatus,
    /// The guard that it puts on record.
    group: Option<u64>,
}

/// One Platform and what is known of it, copied out of the directory.
struct Known {
    object: Object,
    access: Access,
    tenants: Option<Tenants>,
}

impl Writer {
    /// Takes over what the statuses say of guards: a list just now, since a watch may be behind the last
    /// words of the process before.
    async fn load(&mut self) {
        // Before the credentials are known, nobody can tell who counts together.
        let assessed = self.context.directory.assessed();
        if timeout(ASSESSED_WITHIN, assessed).await.is_err() {
            warn!(
                "some Secrets can't be read yet; until they are, their Platforms count by themselves"
            );
        }
        let kind = ApiResource::erase::<Platform>(&());
        let api: Api<Raw> = Api::all_with(self.context.client.clone(), &kind);
        loop {
            match timeout(READ_TIMEOUT, api.list(&ListParams::default())).await {
                Ok(Ok(list)) => {
                    let mut objects: Vec<Object> =
                        list.items.into_iter().map(Object::from).collect();
                    let now = Timestamp::now();
                    self.lost = Lost::count(&mut objects, now);
                    let statuses = objects.iter();
                    let statuses = statuses.map(|o| (&o.key, &*o.uid, &o.status));
                    let words = self.context.last_words.get();
                    let unused =
                        words.map_or_else(Unused::default, |words| guard::unused_of(words));
                    self.context.guards.load(statuses, &unused, now);
                    return;
                }
                Ok(Err(error)) => warn!(%error, "the Platforms can't be read"),
                Err(_) => warn!("the Platforms can't be read: no answer in time"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn write_due(&mut self) {
        // What the definition lacks would be lost by any write.
        if !self.context.sight.may_write(Kind::Platforms) {
            return;
        }
        let (wall, now) = (Timestamp::now(), Instant::now());
        let known = self.known();
        for Known { object, .. } in &known {
            if let Some(id) = &object.release_hold {
                self.context.guards.release(&object.key, id, wall);
            }
        }
        self.try_awaited(&known);
        self.lost.place(&self.context.guards, wall);
        let records = self.context.guards.records(wall);
        let steps = self.steps(&known, now);
        let stepping: HashSet<ObjectKey> = steps.iter().map(|(o, _)| o.key.clone()).collect();
        let (due, mut safe) = self.due(known, &records, &stepping, (wall, now));
        let context = &self.context;
        let patches = futures::stream::iter(steps);
        let ends: Vec<_> = patches
            .map(|(object, step)| async move {
                let end = in_use::patch(&context.client, &object, step).await;
                (object, end)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (object, end) in ends {
            let news = self.finalizers.ended(&object, &end, Instant::now());
            if let Some(words) = news {
                let refusal = in_use::refusal(&words);
                tell(context, &object, refused_note(&refusal));
            }
            tell_end(context, &object, "finalizers", &end);
        }
        let refused = in_use::refusals(&self.finalizers, Instant::now());
        context.directory.finalizers_refused(refused);
        let ends: Vec<_> = futures::stream::iter(due)
            .map(|due| write(context, due))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut written = Vec::new();
        for (due, end) in ends {
            let object = &due.object;
            let news = self.statuses.ended(object, &end, Instant::now());
            if let Some(words) = news {
                tell(context, object, status_refused(&words));
            }
            tell_end(context, object, "status", &end);
            if let End::Taken(_) = end {
                written.extend(due.group);
            } else {
                // Nothing of it stands there.
                self.written.remove(&object.key);
            }
        }
        safe.extend(written);
        for record in records.values() {
            if safe.contains(&record.group()) {
                context.guards.recorded(record);
            } else if record.urgent {
                context.guards.not_recorded(record);
            }
        }
    }

    /// Has the credentials tried that decide whether a release or a raised bound of a Platform counts for a hold of others.
    fn try_awaited(&self, known: &[Known]) {
        let guards = &self.context.guards;
        let awaited = known.iter().flat_map(|Known { object, .. }| {
            let released = object.release_hold.as_deref();
            guards.waits_for(&object.key, released)
        });
        let awaited: HashSet<ObjectKey> = awaited.collect();
        for Known { object, access, .. } in known {
            if let (Access::Granted(grant), true) = (access, awaited.contains(&object.key)) {
                grant.session.try_credential(false);
            }
        }
    }

    /// Copied out first: neither a session nor the census is asked under the lock.
    fn known(&mut self) -> Vec<Known> {
        let blind = self.context.sight.trouble(TOLD_AFTER, Instant::now());
        let blind = blind.map(|trouble| {
            let why = trouble.words;
            let message = format!("The operator can't do its work as it should: {why}");
            Access::Refused(Refusal::new(PlatformReason::Blind, message))
        });
        let view = self.context.directory.view();
        self.written
            .retain(|key, _| view.platforms.contains_key(key));
        for attempts in [&mut self.statuses, &mut self.finalizers] {
            attempts.retain(|key| view.platforms.contains_key(key));
        }
        self.going.retain(|key| view.platforms.contains_key(key));
        // One whose version was forgotten says nothing before it is shown anew.
        let entries = view.platforms.values();
        let entries = entries.filter(|entry| entry.object.generation > 0);
        let mut known: Vec<Known> = entries
            .map(|entry| Known {
                object: entry.object.clone(),
                access: match (&blind, view.finalizers_refused.get(&entry.object.key)) {
                    (Some(blind), _) => blind.clone(),
                    (None, Some(refusal)) => Access::Refused(refusal.clone()),
                    (None, None) => entry.access.clone(),
                },
                tenants: None,
            })
            .collect();
        drop(view);
        for Known {
            object, tenants, ..
        } in &mut known
        {
            *tenants = (self.context.census)(&object.key, object.deleted_at.is_some());
        }
        known
    }

    /// What is to be done with finalizers now.
    fn steps(&mut self, known: &[Known], now: Instant) -> Vec<(Object, Step)> {
        let mut steps = Vec::new();
        for Known {
            object, tenants, ..
        } in known
        {
            let known = self.going.known_to_go(object, now);
            let step = in_use::step(object, tenants.as_ref().map(|all| &all.users), known);
            if step == Step::Keep {
                self.finalizers.forget(&object.key);
                continue;
            }
            let (may, news) = self.finalizers.may(object, now);
            if let Some(words) = news {
                let refusal = in_use::refusal(&words);
                tell(&self.context, object, refused_note(&refusal));
            }
            if may {
                steps.push((object.clone(), step));
            }
        }
        steps
    }

    /// What has to be written now, and whose guard stands in a status already as it should.
    fn due(
        &mut self,
        known: Vec<Known>,
        records: &HashMap<ObjectKey, Record>,
        stepping: &HashSet<ObjectKey>,
        now: (Timestamp, Instant),
    ) -> (Vec<Due>, HashSet<u64>) {
        let mut due = Vec::new();
        let mut safe = HashSet::new();
        let overdue = self.context.audit.overdue();
        for known in known {
            let Known {
                object,
                access,
                tenants,
            } = known;
            let (snapshot, other_logins) = match &access {
                Access::Granted(grant) => {
                    let snapshot = grant.session.snapshot();
                    let others = if snapshot.takes_turns || snapshot.state == State::Superseded {
                        other_logins(&self.context.directory, grant)
                    } else {
                        Vec::new()
                    };
                    (Some(snapshot), others)
                }
                Access::Unread | Access::Refused(_) => (None, Vec::new()),
            };
            let record = records.get(&object.key);
            let group = record.map(Record::group);
            let status = next(&Look {
                object: &object,
                access: &access,
                snapshot: snapshot.as_ref(),
                packages: tenants.as_ref().map(|all| all.counts.clone()),
                users: tenants.as_ref().map(|all| &all.users),
                record,
                other_logins: &other_logins,
                overdue: overdue.as_ref(),
                now,
            });
            let Some(status) = status else { continue };
            // Its version is another one by then.
            if stepping.contains(&object.key) {
                continue;
            }
            let urgent = record.is_some_and(|record| record.is_urgent_for(&object.key));
            let last = self.written.get(&object.key);
            let since = last.map(|(at, _)| now.1.saturating_duration_since(*at));
            let repeats = last.is_some_and(|(_, written)| *written == status)
                && since.is_some_and(|since| since < REPEAT);
            // A record that can't be read is replaced by the one that counts for it.
            let heals = status.guard.is_some() && !object.beside.unreadable.is_empty();
            if !repeats && (heals || is_due(&object.status, &status, urgent, since)) {
                let (may, news) = self.statuses.may(&object, now.1);
                if let Some(words) = news {
                    tell(&self.context, &object, status_refused(&words));
                }
                if !may {
                    continue;
                }
                self.written
                    .insert(object.key.clone(), (now.1, status.clone()));
                due.push(Due {
                    object,
                    status,
                    group,
                });
            } else if tells_the_same(&object.status, &status) {
                // A guard that began anew may have nothing else to say; without this it waits for a
                // write that never comes.
                safe.extend(group);
            }
        }
        (due, safe)
    }
}

/// The Platforms that bring another login of the same application which the platform accepts, by name, so that the
/// message doesn't change from look to look.
fn other_logins(directory: &Directory, grant: &Grant) -> Vec<(ObjectKey, String)> {
    let view = directory.view();
    let others = view.platforms.values().filter_map(|other| {
        let Access::Granted(theirs) = &other.access else {
            return None;
        };
        let is_other = theirs.key == grant.key && theirs.credential != grant.credential;
        let key = other.object.key.clone();
        let spec = &other.object.wanted.as_ref().ok()?.spec;
        let secret = format!("{}/{}", key.namespace, spec.credentials_secret_ref.name);
        (is_other && theirs.logs_in).then(|| (key, secret, Arc::clone(&theirs.session)))
    });
    let others: Vec<_> = others.collect();
    drop(view);
    let proven = others
        .into_iter()
        .filter(|(_, _, session)| session.proof().is_proven());
    let mut proven: Vec<_> = proven.map(|(key, secret, _)| (key, secret)).collect();
    proven.sort_unstable();
    proven
}

/// Writes one status; tells how that ended.
async fn write(context: &Context, due: Due) -> (Due, End) {
    let Due { object, status, .. } = &due;
    // Once the guard is known again, what could not be read of it is over.
    let mut beside = object.beside.clone();
    if status.guard.is_some() {
        beside.unreadable.clear();
    }
    let body = status::patch(status, &object.uid, &beside);
    let end = writes::status::<Platform>(&context.client, &object.target(), &body).await;
    let end = match end {
        End::Taken(stored)
            if status::changed_on_the_way(&body, &stored["status"], &["guard", "hold"])
                .is_some() =>
        {
            End::Refused("the write was taken, but the guard's record is not as it was written: an admission policy or webhook changes it".to_owned())
        }
        end => end,
    };
    if let End::Taken(stored) = &end {
        debug!(platform = %object.key, "status written");
        context.directory.status_written(Object::stored(stored));
        tell_hold(context, object, status);
    }
    (due, end)
}
