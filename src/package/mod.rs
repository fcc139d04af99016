//! The VersionPackage controller.
//!
//! ```text
//! watch -> observe -> decide (pure) -> act (one effect) -> conclude (pure) -> report -> next wake-up
//! ```

pub mod act;
pub mod cache;
pub mod claims;
pub mod conclude;
pub mod decide;
pub mod effect;
#[cfg(test)]
mod fixtures;
pub mod memory;
pub mod object;
pub mod observe;
pub mod packed;
pub mod report;
pub mod slot;
pub mod watch;
pub mod workqueue;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::runtime::events::Recorder;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::slot::Slot;
use crate::api::names::ObjectKey;
use crate::platform::Directory;
use crate::telemetry::metrics::Metrics;

/// How long the API server may take for one ordinary call.
pub const API_TIMEOUT: Duration = Duration::from_secs(10);
/// How many passes may talk to the API server at once; waiting for the platform counts nothing here.
const PASSES: usize = 32;

/// What every pass works with.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// All `VersionPackage`s.
    pub cache: Arc<cache::Cache>,
    /// Who is looked at next.
    pub queue: Arc<workqueue::Workqueue>,
    /// What this process remembers of objects.
    pub memory: memory::Memory,
    /// All `Platform`s.
    pub directory: Arc<Directory>,
    /// Publishes events.
    pub recorder: Recorder,
    /// Makes the watch anew.
    pub restart: Arc<Notify>,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

/// One pass over one object; returns when to look again without being woken.
///
/// `slot` is held up to the last write of the pass, but for the time in which the platform is waited for.
pub async fn reconcile(context: &Context, key: &ObjectKey, mut slot: Slot) -> Option<Instant> {
    let observed = observe::observe(context, key).await?;
    let decision = decide::decide(&observed.facts, observed.now);
    let effect = act::act(context, &observed, &decision, &mut slot).await;
    let failures = observed.failure.as_ref().map_or(0, |failure| failure.count);
    let now = decide::Now {
        wall: k8s_openapi::jiff::Timestamp::now(),
        tick: Instant::now(),
    };
    let report = conclude::conclude(
        &observed.facts,
        &decision,
        &effect,
        failures,
        now,
        fastrand::f64(),
    );
    context.metrics.passed(effect.word());
    report::deliver(context, &observed, &effect, report).await
}

/// Watches at once and reconciles from `led` on until cancelled; then waits for the passes under way.
pub async fn run(context: Arc<Context>, led: impl Future<Output = ()>, cancel: CancellationToken) {
    let passes = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(PASSES));
    let watching = tokio::spawn({
        let context = context.clone();
        let cancel = cancel.clone();
        async move {
            let (client, cache, restart) = (
                context.client.clone(),
                context.cache.clone(),
                context.restart.clone(),
            );
            watch::run(client, cache, restart, cancel, |changes| {
                take(&context, changes);
            })
            .await;
        }
    });
    // Meanwhile the queue holds each object once, so that a new leader begins at once with all.
    tokio::select! {
        () = cancel.cancelled() => {}
        () = led => {}
    }
    // A standby's objects wait for nobody.
    let led_since = Instant::now();
    loop {
        let next = async {
            let slot = Slot::taken(&slots).await;
            (slot, context.queue.next().await)
        };
        let (slot, key) = tokio::select! {
            () = cancel.cancelled() => break,
            next = next => next,
        };
        let context = context.clone();
        let span = tracing::info_span!("pass", object = %key);
        passes.spawn(
            async move {
                let wake = reconcile(&context, &key, slot).await;
                if let Some(due) = context.queue.done(&key, wake) {
                    context.metrics.reconciled(due.max(led_since).elapsed());
                }
            }
            .instrument(span),
        );
    }
    passes.close();
    passes.wait().await;
    watching.abort();
}

/// Takes in what the watch changed.
fn take(context: &Context, changes: cache::Changes) {
    if changes.listed {
        context.memory.set_blind(false);
    }
    for uid in &changes.gone {
        for key in context.memory.forget(uid) {
            context.queue.add(key);
        }
    }
    if changes.listed {
        context.queue.add_all(changes.wake);
    } else {
        for key in changes.wake {
            context.queue.add(key);
        }
    }
}
