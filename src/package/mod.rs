//! The VersionPackage controller.
//!
//! ```text
//! watch -> read -> observe -> ask the guard -> decide (pure) -> act (one effect) -> conclude (pure) -> report -> next wake-up
//! ```
//!
//! The intent comes before the call, and has to come back. All `VersionPackage`s come through one watch, in the order of
//! their changes, so a cache that shows our own intent also shows every change that was made before it. The decision is
//! then taken once more from that cache, with nothing awaited between the decision and the call. If the decision has
//! changed, the permit goes back unused. An intent that doesn't come back within 5 s restarts the watch: an operator
//! that is blind deletes nothing.
//!
//! The Platform, and the Namespace where a selector asks, come through other watches. So a pass that is about to use
//! its permit reads them with a GET that is at most a second old (`crate::platform`, `confirm.rs`).

// The cache and what fills it; what this process remembers; who else is concerned; who is looked at next.
pub mod cache;
pub mod memory;
pub mod claims;
pub mod turns;
// The stages of a pass.
mod reads;
pub mod observe;
pub mod decide;
pub mod act;
pub mod effect;
pub mod conclude;
pub mod errand;
pub mod report;
pub mod writer;
#[cfg(test)]
pub(crate) mod fixtures;

use std::sync::Arc;

use kube::Client;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::decide::{Hearing, Observation, hearing};
use crate::api::names::ObjectKey;
use crate::clock::{Clock, Now};
use crate::guard::{Guards, Judgement, OnRecord};
use crate::inventory::Inventory;
use crate::package::turns::api_slots::Slot;
use crate::platform::Directory;
use crate::sight::{Sight, WatchKind};
use crate::telemetry::audit::AuditLog;
use crate::telemetry::events::Events;
use crate::telemetry::metrics::Metrics;

/// How long the API server may take for one ordinary call.
pub use crate::writes::TIMEOUT as API_TIMEOUT;

/// What passes are wired from. No stage sees it: each is handed what it may touch.
pub struct PackageContext {
    /// The API server.
    pub client: Client,
    /// The clocks.
    pub clock: Clock,
    /// All `VersionPackage`s.
    pub cache: Arc<cache::Cache>,
    /// Who is looked at next.
    pub queue: Arc<turns::workqueue::Workqueue>,
    /// What this process remembers of objects.
    pub memory: Arc<memory::Memory>,
    /// Where writes take long.
    pub slow: Arc<turns::slow::Slow>,
    /// All `Platform`s.
    pub directory: Arc<Directory>,
    /// Which deletions are too many at once.
    pub guards: Arc<Guards>,
    /// What the platforms list.
    pub inventory: Arc<Inventory>,
    /// Publishes events.
    pub events: Events,
    /// Whether the cluster is seen as it is.
    pub sight: Arc<Sight>,
    /// Makes the watch anew.
    pub restart: Arc<Notify>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Where ends are written down.
    pub audit: AuditLog,
}

impl PackageContext {
    fn intake(&self) -> cache::intake::Intake<'_> {
        cache::intake::Intake {
            cache: &self.cache,
            memory: &self.memory,
            guards: &self.guards,
            queue: &self.queue,
            clock: &self.clock,
        }
    }

    fn readers(&self) -> reads::Readers<'_> {
        reads::Readers {
            cache: &self.cache,
            memory: &self.memory,
            directory: &self.directory,
            clock: &self.clock,
        }
    }

    fn sources(&self) -> observe::Sources<'_> {
        observe::Sources {
            cache: &self.cache,
            memory: &self.memory,
            slow: &self.slow,
            directory: &self.directory,
            inventory: &self.inventory,
            sight: &self.sight,
            audit: &self.audit,
            clock: &self.clock,
        }
    }

    fn writer(&self) -> writer::Writer<'_> {
        writer::Writer {
            client: &self.client,
            sight: &self.sight,
            cache: &self.cache,
        }
    }

    fn means(&self) -> act::Means<'_> {
        act::Means {
            writer: self.writer(),
            memory: &self.memory,
            guards: &self.guards,
            inventory: &self.inventory,
            metrics: &self.metrics,
        }
    }

    fn reach(&self) -> report::Reach<'_> {
        report::Reach {
            memory: &self.memory,
            queue: &self.queue,
            cache: &self.cache,
            directory: &self.directory,
            guards: &self.guards,
            inventory: &self.inventory,
            restart: &self.restart,
            audit: &self.audit,
            events: &self.events,
            metrics: &self.metrics,
        }
    }
}

/// One pass over one object; returns when to look again without being woken.
///
/// `slot` is held up to the last write of the pass, but for the time in which the platform, the audit log or a slow API server is
/// waited for.
pub async fn reconcile(
    context: &PackageContext,
    key: &ObjectKey,
    mut slot: Slot,
) -> Option<Instant> {
    // What its definition lacks would be lost by any write; the list that ends this time wakes everybody.
    if !context.sight.may_write(WatchKind::Packages) {
        return None;
    }
    let reach = context.reach();
    let reads = reads::read(&context.readers(), key, &mut slot).await?;
    let mut observed = observe::observe(&context.sources(), key, reads)?;
    for errand in decide::noticed(&observed.facts, observed.now) {
        report::at_once(&reach, &observed, errand);
    }
    observed.facts.guard = ask(&context.guards, &observed.facts, observed.now);
    let decision = decide::decide(&observed.facts, observed.now);
    let first = conclude::beforehand(&observed.facts, &decision, observed.now);
    let effect = match report::run(&reach, &observed, first, &mut slot).await {
        Ok(()) => {
            let decision = (&decision, fastrand::u64(..));
            act::act(&context.means(), &observed, decision, &mut slot).await
        }
        Err(error) => effect::Effect::Unaudited(error),
    };
    let now = match effect {
        // What is said is as of the look that it rests on.
        effect::Effect::Nothing => observed.now,
        _ => context.clock.now(),
    };
    context.metrics.passed(effect.word());
    let wake = tell(context, &observed, &decision, effect, now, slot).await;
    let (cache, memory, guards) = (&context.cache, &context.memory, &context.guards);
    let freed = forget_gone(cache, memory, guards, &observed.facts.object);
    context.queue.add_each(freed);
    wake
}

/// Does what follows from `effect`, as of `now`; returns when to look again.
async fn tell(
    context: &PackageContext,
    observed: &observe::Observed,
    decision: &decide::Decision,
    mut effect: effect::Effect,
    now: decide::Now,
    mut slot: Slot,
) -> Option<Instant> {
    let (seen, reach) = (&observed.facts, context.reach());
    let conclude = |effect: &_| conclude::conclude(seen, decision, effect, now, fastrand::f64());
    let mut report = conclude(&effect);
    let errands = std::mem::take(&mut report.errands);
    if let Err(error) = report::run(&reach, observed, errands, &mut slot).await {
        // The pass that writes the line says what this one had to say.
        effect = effect::Effect::Unaudited(error);
        report = conclude(&effect);
    }
    let written = match &report.status {
        Some(status) => {
            let (writer, guards) = (context.writer(), &context.guards);
            // Its turn, or its permit, would wait with the write, and others can use it.
            let hangs = || report::at_once(&reach, observed, errand::Errand::LeaveSeat);
            let status = (status, report.mark.as_deref());
            let write = report::write(writer, guards, &seen.object, status, (&mut slot, hangs));
            Some(write.await)
        }
        None => None,
    };
    let then = (context.clock.now(), fastrand::f64());
    let rest = conclude::afterwards(seen, &effect, report, written, then);
    // It writes nothing down any more.
    let _ = report::run(&reach, observed, rest.errands, &mut slot).await;
    rest.wake
}

/// Forgets what a pass has remembered of an object that went meanwhile: the watch may tell so while it is looked at, or
/// before a write of ours is answered. Returns those who waited behind it.
fn forget_gone(
    cache: &cache::Cache,
    memory: &memory::Memory,
    guards: &Guards,
    object: &crate::object::Object,
) -> Vec<ObjectKey> {
    if cache.has(&object.key, &object.uid) {
        return Vec::new();
    }
    guards.forget(&object.uid);
    memory.forget(&object.uid)
}

/// Watches at once and reconciles from `led` on until cancelled; then waits for the passes under way.
pub async fn run(
    context: Arc<PackageContext>,
    led: impl Future<Output = ()>,
    cancel: CancellationToken,
) {
    let watching = tokio::spawn({
        let context = context.clone();
        let cancel = cancel.clone();
        async move {
            let (client, cache, restart) = (
                context.client.clone(),
                context.cache.clone(),
                context.restart.clone(),
            );
            let (sight, clock) = (context.sight.clone(), context.clock.clone());
            cache::watch::run(client, cache, (sight, clock), restart, cancel, |changes| {
                context.intake().take(changes);
            })
            .await;
        }
    });
    // Meanwhile the queue holds each object once, so that a new leader begins at once with all.
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = led => {}
    }
    // A standby's objects wait for nobody.
    let led_since = Instant::now();
    let (queue, slow) = (context.queue.clone(), context.slow.clone());
    let metrics = context.metrics.clone();
    let pass = move |key: ObjectKey, slot: Slot| {
        let context = context.clone();
        async move { reconcile(&context, &key, slot).await }
    };
    let ended = move |due: Instant| metrics.reconciled(due.max(led_since).elapsed());
    turns::runner::serve(queue, slow, cancel, pass, ended).await;
    watching.abort();
}

/// Tells the guard what an object asks for, and asks what it may do.
fn ask(guards: &Guards, seen: &Observation, now: Now) -> Judgement {
    match hearing(seen, now) {
        Some(Hearing::Asks(application, asked)) => {
            return guards.judge(&seen.object.uid, &application, asked, now.wall);
        }
        Some(Hearing::Aside(marked)) => {
            let marked = marked.as_ref();
            let marked = marked.map(|(application, platform, hold)| (application, platform, hold));
            guards.leave(&seen.object.uid, marked);
        }
        None => {}
    }
    Judgement::Free(OnRecord::Counted)
}
