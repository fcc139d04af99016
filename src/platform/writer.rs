//! Writes the statuses of Platforms. The wanted status is computed from memory every second and after each change,
//! and is written only if it differs from the cached status. The counts of a guard are durable once a status holds
//! them.

mod due;
mod ended;
mod load;
mod repeats;
mod rounds;
mod telling;

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::ended::EndedWrite;
use self::repeats::Repeats;
use self::rounds::Rounds;
use self::telling::{refused_note, tell, tell_hold, tell_trouble};
use super::attempts::Attempts;
use super::credentials::PlatformWord;
use super::directory::Access;
use super::finalizer::{self, FinalizerStep, Going};
use super::lost::LostBounds;
use super::object::PlatformObject;
use super::status::Unwatched;
use super::{PlatformContext, Tenants};
use crate::api::names::ObjectKey;
use crate::api::platform::{Platform, PlatformReason, PlatformStatus};
use crate::api::status;
use crate::clock::Now;
use crate::guard::Told;
use crate::sight::WatchKind;
use crate::writes::{self, End};

/// Interval between two computations of all statuses.
const TICK: Duration = Duration::from_secs(1);
/// The time after which a trouble of this process is reported in the statuses of Platforms.
const TOLD_AFTER: Duration = Duration::from_secs(60);
/// Shortest interval between two computations of what is due, apart from ticks.
const APART: Duration = Duration::from_millis(1);
/// Highest number of writes in flight that have not become slow.
const AT_ONCE: usize = 8;
/// A write that takes longer than this makes room for the next: a slow admission webhook slows down only its own
/// namespaces.
const SLOW: Duration = Duration::from_secs(1);

/// Writes the statuses until cancelled.
pub(super) async fn run(context: PlatformContext, cancel: CancellationToken) {
    let mut writer = Writer {
        context: Arc::new(context),
        written: Repeats::default(),
        complained: Repeats::default(),
        statuses: Attempts::default(),
        complaints: Attempts::default(),
        finalizers: Attempts::default(),
        going: Going::default(),
        unwatched: BTreeMap::new(),
        lost: LostBounds::default(),
        under_way: FuturesUnordered::new(),
        busy: HashSet::new(),
        rounds: Rounds::default(),
        turns: Arc::new(Semaphore::new(AT_ONCE)),
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => return,
        () = writer.load() => {}
    }
    let due = writer.context.directory.status_due();
    let mut begun = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            Some(ended) = writer.under_way.next() => writer.take_in(ended),
            _ = ticks.tick() => writer.begin_due(),
            // Notifications may come all the time. The pause leaves time to take in the results of writes in flight.
            () = async { sleep_until(begun + APART).await; due.notified().await } => {
                writer.begin_due();
                begun = Instant::now();
            }
        }
    }
}

struct Writer {
    context: Arc<PlatformContext>,
    /// The last statuses that were written: full ones, and complaints, which only say that a full one is refused.
    written: Repeats,
    complained: Repeats,
    /// The last attempts to write statuses, complaints, and finalizers.
    statuses: Attempts,
    complaints: Attempts,
    finalizers: Attempts,
    going: Going,
    /// The Secrets whose watch has failed for long, each with the start and the report of the failure.
    unwatched: BTreeMap<ObjectKey, (Instant, Unwatched)>,
    /// Platforms with an unreadable guard record and an unknown application: the whole bound counts as sent.
    lost: LostBounds,
    /// The writes in flight, at most one for each Platform.
    under_way: FuturesUnordered<BoxFuture<'static, EndedWrite>>,
    busy: HashSet<ObjectKey>,
    rounds: Rounds,
    /// Limits the number of writes in flight that have not become slow.
    turns: Arc<Semaphore>,
}

/// A status that has to be written.
struct Due {
    object: PlatformObject,
    status: PlatformStatus,
    /// Whether this status is a complaint, which only says that a full status is refused.
    complains: bool,
    /// The guard whose record this status holds, and the number of the round of writes of that record.
    round: Option<(u64, u64)>,
}

/// One Platform and its cached state, copied out of the directory.
struct Known {
    object: PlatformObject,
    access: Access,
    tenants: Option<Tenants>,
}

impl Writer {
    /// Starts all writes that are due.
    fn begin_due(&mut self) {
        // Under an incomplete definition, any write would drop the fields that the definition lacks.
        if !self.context.sight.may_write(WatchKind::Platforms) {
            return;
        }
        let Now { wall, tick: now } = self.context.clock.now();
        let known = self.known();
        for Known { object, .. } in &known {
            if let Some(id) = &object.release_hold {
                self.context.guards.release(&object.key, id, wall);
            }
        }
        let waiting = self.try_awaited(&known);
        self.lost.place(&self.context.guards, wall);
        let guards = &self.context.guards;
        let told = guards.records(|group| self.rounds.is_open(group), wall);
        for (object, step) in self.steps(&known, now) {
            let context = Arc::clone(&self.context);
            self.begin(object.key.clone(), async move {
                let end = finalizer::patch(&context.client, &object, step).await;
                EndedWrite::Finalizers(Box::new(object), end)
            });
        }
        self.tell_refused();
        let (mut due, safe) = self.due(known, &told, &waiting, (wall, now));
        self.settle_records(&told, &mut due, &safe);
        for due in due {
            let context = Arc::clone(&self.context);
            self.begin(due.object.key.clone(), async move {
                let (due, end) = write(&context, due).await;
                EndedWrite::Status(Box::new(due), end)
            });
        }
    }

    /// Tells the guards which records are durable already or can't be written now, and starts a round of writes for
    /// each other record.
    fn settle_records(
        &mut self,
        told: &BTreeMap<ObjectKey, Told>,
        due: &mut [Due],
        safe: &HashSet<u64>,
    ) {
        let mut settled = HashSet::new();
        for told in told.values() {
            let Told::Record(record) = told else {
                continue;
            };
            let group = record.group();
            if !settled.insert(group) {
                continue;
            }
            let writes = due.iter_mut().filter_map(|due| due.round.as_mut());
            let mut writes: Vec<_> = writes.filter(|round| round.0 == group).collect();
            if safe.contains(&group) {
                self.context.guards.recorded(record);
            } else if !writes.is_empty() {
                let number = self.rounds.begins((**record).clone(), writes.len());
                for round in &mut writes {
                    round.1 = number;
                }
            } else if record.urgent {
                self.context.guards.not_recorded(record);
            }
        }
    }

    fn begin(&mut self, key: ObjectKey, write: impl Future<Output = EndedWrite> + Send + 'static) {
        self.busy.insert(key);
        let turns = Arc::clone(&self.turns);
        self.under_way.push(Box::pin(async move {
            let turn = turns.acquire_owned().await;
            let mut write = pin!(write);
            if let Ok(ended) = timeout(SLOW, &mut write).await {
                return ended;
            }
            drop(turn);
            write.await
        }));
    }

    /// Requests tries of the credentials that decide whether a release or a raised bound of a Platform counts for
    /// another Platform's hold; returns the Platforms whose release or bound waits for a try.
    fn try_awaited(&self, known: &[Known]) -> HashSet<ObjectKey> {
        let guards = &self.context.guards;
        let (mut awaited, mut waiting) = (HashSet::new(), HashSet::new());
        for Known { object, .. } in known {
            let decide = guards.waits_for(&object.key, object.release_hold.as_deref());
            if !decide.is_empty() {
                waiting.insert(object.key.clone());
                awaited.extend(decide);
            }
        }
        for Known { object, access, .. } in known {
            if let (Access::Granted(grant), true) = (access, awaited.contains(&object.key)) {
                grant.session.try_credential(false);
            }
        }
        waiting
    }

    /// The Platforms, copied out of the directory first. So no session is called, and no objects are counted, while the
    /// directory is locked.
    fn known(&mut self) -> Vec<Known> {
        let blind = self.context.sight.trouble(TOLD_AFTER, Instant::now());
        let blind = blind.map(|trouble| {
            let why = trouble.words;
            let message = format!("The operator can't do its work as it should, and goes on by itself once this is over: {why}");
            Access::Refused(PlatformWord::new(PlatformReason::Blind, message))
        });
        let view = self.context.directory.view();
        for repeats in [&mut self.written, &mut self.complained] {
            repeats.retain(|key| view.platforms.contains_key(key));
        }
        let all = [
            &mut self.statuses,
            &mut self.complaints,
            &mut self.finalizers,
        ];
        for attempts in all {
            attempts.retain(|key| view.platforms.contains_key(key));
        }
        self.going.retain(|key| view.platforms.contains_key(key));
        // A Platform whose version was forgotten is skipped until the watch shows it again.
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

    /// The finalizer changes that are due now.
    fn steps(&mut self, known: &[Known], now: Instant) -> Vec<(PlatformObject, FinalizerStep)> {
        let mut steps = Vec::new();
        for Known {
            object, tenants, ..
        } in known
        {
            if self.busy.contains(&object.key) {
                continue;
            }
            let known = self.going.known_to_go(object, now);
            let step = finalizer::step(object, tenants.as_ref().map(|all| &all.users), known);
            if step == FinalizerStep::Keep {
                self.finalizers.forget(&object.key);
                continue;
            }
            let (may, news) = self.finalizers.may(object, now);
            if let Some(words) = news {
                let refusal = finalizer::refusal(&words);
                tell(&self.context, object, refused_note(&refusal));
            }
            if may {
                steps.push((object.clone(), step));
            }
        }
        steps
    }
}

/// Writes one status and returns how the write ended.
async fn write(context: &PlatformContext, due: Due) -> (Due, End) {
    let Due { object, status, .. } = &due;
    // Once the guard is known again, the unreadable parts of its record can be dropped.
    let mut beside = object.beside.clone();
    if status.guard.is_some() {
        beside.unreadable.clear();
    }
    let body = status::patch(status, &object.uid, &beside);
    let end = writes::status::<Platform>(&context.client, &object.target(), &body).await;
    let end = match end {
        End::Taken(stored)
            if status::changed_on_the_way(&body, &stored["status"], &["guard", "hold", "uid"])
                .is_some() =>
        {
            End::Refused("the API server took the write, but the guard's record in the status, the hold, or the uid by which the guard counts is not as it was written: an admission policy or webhook changes it".to_owned())
        }
        end => end,
    };
    if let End::Taken(stored) = &end {
        debug!(platform = %object.key, "status written");
        context
            .directory
            .status_written(PlatformObject::stored(stored));
        tell_hold(context, object, status);
        tell_trouble(context, object, status);
    }
    (due, end)
}
