//! Runs both controllers and the inventory reader: their contexts, the wake-ups between them, and their clean stop.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::counts::{count, tenants};
use super::process_health::ProcessHealth;
use crate::admin::Readiness;
use crate::api::names::ObjectKey;
use crate::inventory::{self, Reader};
use crate::leader::LastWords;
use crate::package;
use crate::package::cache::managed::Managed;
use crate::package::turns::workqueue::Workqueue;
use crate::platform;
use crate::remote::client::Connect;
use crate::session::Sessions;

/// How long a stop waits for the answers of calls in flight.
const ANSWERS: Duration = Duration::from_secs(8);
/// How long a stop then waits for the passes that handle those answers.
const FINISH: Duration = Duration::from_millis(1500);

/// The dependencies of both controllers.
pub(super) struct Rooms {
    pub(super) context: Arc<package::PackageContext>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) connect: Connect,
    pub(super) last_words: Arc<LastWords>,
    pub(super) readiness: Arc<Readiness>,
}

/// The receivers of wake-ups from the sessions and from the guards.
pub(super) type WakeUps = (
    mpsc::UnboundedReceiver<ObjectKey>,
    mpsc::UnboundedReceiver<Vec<ObjectKey>>,
);

impl Rooms {
    /// Runs both controllers until `stop`; then starts no new calls, and waits for the calls and passes in flight.
    pub(super) async fn reconcile(
        &self,
        wakes: WakeUps,
        health: ProcessHealth,
        stop: &CancellationToken,
    ) {
        let cancel = CancellationToken::new();
        // If the Lease is lost, this future is dropped. Then this drop guard cancels both controllers.
        let _left = cancel.clone().drop_guard();
        let (changed, platforms_changed) = mpsc::unbounded_channel();
        let inventory = self.read_lists(changed.clone(), &cancel);
        let platforms = platform::run(self.platforms(), changed, cancel.clone());
        let platforms = tokio::spawn(platforms);
        let begun = Arc::new(AtomicBool::new(false));
        let packages = self.packages(&begun, &cancel);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.chores(wakes, platforms_changed, health) => {}
        }
        tracing::info!("stopping: nothing new is sent");
        self.sessions.close();
        if tokio::time::timeout(ANSWERS, self.sessions.drained())
            .await
            .is_err()
        {
            tracing::warn!("calls under way are abandoned; the next start tries them again");
        }
        let begun = begun.load(Ordering::Relaxed);
        let queue = begun.then_some(&*self.context.queue);
        let controllers = async { tokio::join!(packages, platforms, inventory) };
        if !finish(queue, controllers, &cancel).await {
            tracing::warn!("passes under way are abandoned; the next start begins them anew");
        }
    }

    /// Creates the context of the Platform controller.
    fn platforms(&self) -> platform::PlatformContext {
        let context = &self.context;
        let (cache, inventory) = (context.cache.clone(), context.inventory.clone());
        platform::PlatformContext {
            client: context.client.clone(),
            clock: context.clock.clone(),
            sessions: self.sessions.clone(),
            directory: context.directory.clone(),
            guards: context.guards.clone(),
            connect: self.connect.clone(),
            census: Box::new(move |platform, users| {
                cache
                    .is_complete()
                    .then(|| tenants(&cache, &inventory, platform, users))
            }),
            events: context.events.clone(),
            audit: context.audit.clone(),
            sight: context.sight.clone(),
            last_words: self.last_words.heard.clone(),
            metrics: context.metrics.clone(),
        }
    }

    /// Starts the VersionPackage controller; `begun` is set once passes may start.
    fn packages(&self, begun: &Arc<AtomicBool>, cancel: &CancellationToken) -> JoinHandle<()> {
        let (context, sessions) = (self.context.clone(), self.sessions.clone());
        let (readiness, begun, cancel) = (self.readiness.clone(), begun.clone(), cancel.clone());
        tokio::spawn(async move {
            // Only after a complete list does a missing Platform mean that the Platform does not exist.
            context.directory.listed().await;
            readiness.open("platforms");
            let guards = context.guards.clone();
            let led = async {
                sessions.led().await;
                guards.loaded().await;
                begun.store(true, Ordering::Relaxed);
            };
            package::run(context, led, cancel).await;
        })
    }

    /// Forwards wake-ups to the work queue, and updates readiness and gauges once a second.
    async fn chores(
        &self,
        (mut woken, mut judged): WakeUps,
        mut platforms_changed: mpsc::UnboundedReceiver<ObjectKey>,
        mut health: ProcessHealth,
    ) {
        let package::PackageContext {
            cache,
            queue,
            sight,
            memory,
            metrics,
            ..
        } = &*self.context;
        let mut known = HashSet::new();
        let (mut looks, mut rounds) = (sight.changes(), sight.rounds());
        let mut hindered = sight.hindrance().is_some();
        self.sessions.bar(hindered);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                // A hindrance comes first, because it bars the sessions from calls. The frequent wake-ups come last.
                biased;
                () = looks.changed() => {
                    let was = std::mem::replace(&mut hindered, sight.hindrance().is_some());
                    self.sessions.bar(hindered);
                    if was && !hindered {
                        queue.add_all(cache.keys());
                    }
                }
                () = rounds.changed() => memory.forget_versions(),
                _ = tick.tick() => {
                    health.look();
                    if cache.is_complete() {
                        self.readiness.open("packages");
                    }
                    count(metrics, cache, &self.sessions, &mut known);
                }
                Some(key) = woken.recv() => queue.add(key),
                Some(keys) = judged.recv() => queue.add_all(keys),
                Some(platform) = platforms_changed.recv() => {
                    queue.add_wakes(cache.concerned_by(&platform));
                }
            }
        }
    }

    /// Reads the lists of packages while this process leads.
    fn read_lists(
        &self,
        changed: mpsc::UnboundedSender<ObjectKey>,
        cancel: &CancellationToken,
    ) -> JoinHandle<()> {
        let context = &self.context;
        let reader = Reader {
            inventory: context.inventory.clone(),
            directory: context.directory.clone(),
            objects: Arc::new(Managed {
                cache: context.cache.clone(),
                memory: context.memory.clone(),
                directory: context.directory.clone(),
            }),
            metrics: context.metrics.clone(),
            audit: context.audit.clone(),
            events: context.events.clone(),
            clock: context.clock.clone(),
            changed,
        };
        let (sessions, cancel) = (self.sessions.clone(), cancel.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = sessions.led() => inventory::run(reader, cancel.clone()).await,
            }
        })
    }
}

/// Waits for the passes over the objects in `queue`, then ends the controllers; returns whether both ended in time.
/// `queue` is `None` for a process that never led: its queue holds every object, and no worker takes from it.
async fn finish(
    queue: Option<&Workqueue>,
    controllers: impl Future,
    cancel: &CancellationToken,
) -> bool {
    let ends = async {
        // The pass after an answer removes the finalizer, so the passes are waited for. No pass can start a call any
        // more.
        if let Some(queue) = queue {
            queue.idle().await;
        }
        cancel.cancel();
        controllers.await
    };
    let ended = tokio::time::timeout(FINISH, ends).await;
    cancel.cancel();
    ended.is_ok()
}

#[cfg(test)]
mod tests;
