//! The VersionPackage controller.
//!
//! ```text
//! watch -> read -> observe -> ask the guard -> decide (pure) -> act (one effect) -> conclude (pure) -> report -> next wake-up
//! ```
//!
//! The operator writes an intent into the status before each call, and waits until the watch shows the intent. All
//! `VersionPackage`s come through one watch, in the order of their changes, so a cache that shows an intent also shows
//! every change that was made before the intent. The decision is then taken once more from the cache, with no await
//! between the decision and the call. If the decision has changed, the permit goes back unused. If the intent doesn't
//! come back within 5 s, the watch is restarted: an operator with a stale cache must delete nothing.
//!
//! The Platform comes through another watch, and so does the Namespace. A pass that is about to use its permit
//! therefore reads the Platform by a GET that is at most a second old. If `allowedNamespaces` has a selector, the pass
//! reads the Namespace in the same way (`crate::platform`, `confirm.rs`).

// State: the cache and its watch, the memory of this process, the claims of other objects, the work queue.
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

/// Timeout of one ordinary call to the API server.
pub use crate::writes::TIMEOUT as API_TIMEOUT;

/// Everything that the passes use. Each stage gets only the parts that it needs, never the whole context.
pub struct PackageContext {
    /// Client of the API server.
    pub client: Client,
    /// Steady clock and wall clock.
    pub clock: Clock,
    /// Cache of all `VersionPackage`s.
    pub cache: Arc<cache::Cache>,
    /// Work queue of object keys to reconcile.
    pub queue: Arc<turns::workqueue::Workqueue>,
    /// What this process remembers of each object.
    pub memory: Arc<memory::Memory>,
    /// Namespaces whose writes take long.
    pub slow: Arc<turns::slow::Slow>,
    /// Directory of all `Platform`s.
    pub directory: Arc<Directory>,
    /// Guards against mass deletions, one for each application.
    pub guards: Arc<Guards>,
    /// Inventory: the packages that the platforms list.
    pub inventory: Arc<Inventory>,
    /// Publisher of Kubernetes events.
    pub events: Events,
    /// Whether this process sees the cluster as it is.
    pub sight: Arc<Sight>,
    /// Signal that restarts the watch.
    pub restart: Arc<Notify>,
    /// Metrics of the operator.
    pub metrics: Arc<Metrics>,
    /// Audit log: one line for each finished deletion.
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

/// Runs one pass over the object `key`. The result is the time at which the object is looked at again if nothing wakes
/// it before; `None` if only a wake-up starts the next pass.
///
/// The pass holds `slot` until its last write. It gives the slot up while it waits for the platform, the audit log or a
/// slow API server.
pub async fn reconcile(
    context: &PackageContext,
    key: &ObjectKey,
    mut slot: Slot,
) -> Option<Instant> {
    // A write through an incomplete definition would drop fields. Once the definition is complete again, all objects
    // are listed anew, and that list wakes all of them.
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
        Err(error) => effect::Effect::Unaudited(error.to_string()),
    };
    let now = match effect {
        // If the pass had no effect, the time of the report is the time of the observation.
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

/// Runs the errands and writes the status that follow from `effect`, as of `now`. The result is the time of the next
/// look at the object, as in [`reconcile`].
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
        // The outcome of the deletion isn't in the audit log yet. The pass that writes the audit line also writes this
        // status.
        effect = effect::Effect::Unaudited(error.to_string());
        report = conclude(&effect);
    }
    let written = match &report.status {
        Some(status) => {
            let (writer, guards) = (context.writer(), &context.guards);
            // While the write hangs, the object can't use its ticket or permit, so other objects get them. An object
            // that waits behind another object has no ticket or permit. So it blocks nobody, and keeps its place.
            let behind = effect.waits_behind();
            let hangs = || {
                if !behind {
                    report::at_once(&reach, observed, errand::Errand::LeaveSeat);
                }
            };
            let status = (status, report.mark.as_deref());
            let write = report::write(writer, guards, &seen.object, status, (&mut slot, hangs));
            Some(write.await)
        }
        None => None,
    };
    let then = (context.clock.now(), fastrand::f64());
    let rest = conclude::afterwards(seen, &effect, report, written, then);
    // None of these errands writes an audit line, so they cannot fail.
    let _ = report::run(&reach, observed, rest.errands, &mut slot).await;
    rest.wake
}

/// If the object is no longer in the cache, forgets everything that this process remembers of it. The watch may show
/// the removal of the object during a pass, or before a write of the pass is answered. The pass may then have
/// remembered something after the removal. Returns the objects that waited behind the removed object.
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

/// Starts the watch at once, and reconciles from the completion of `led` until `cancel`. Then waits for the passes
/// under way.
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
    // Until this process leads, the work queue only collects the objects, each of them once. So a new leader begins
    // with all objects at the same time.
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = led => {}
    }
    // The reconcile latency counts from the moment of leadership: a standby's objects are not overdue.
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

/// Tells the guard what the object asks for, and returns the guard's judgement.
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
