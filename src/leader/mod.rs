//! The one process that sends anything to a platform: it holds a Lease, and leaves the calls of the
//! last window in it for the next one.
//!
//! ```text
//! look at the Lease -> evaluate (pure) -> create, take, renew: replaced only as it was seen
//!                                          |
//!                                          +-> sessions: until when, and how many calls, may go
//! ```
//!
//! A holder that can't renew sends nothing that could outlast its Lease; whoever waits judges the end
//! of a foreign Lease by its own clock, from when it first saw the last renewal, so clocks needn't
//! agree. A stop while a call connects is caught by the call's time-out, which began at the last look
//! and is looked at again before the connection is used. What is left: a process that stands still
//! between such a look and the write to the socket, for longer than the Lease, may send one call when
//! it goes on.
//!
//! Every process, a single replica and a local run too, lists and watches at once, but reconciles only from the moment
//! at which it holds the Lease (30 s, renewed every 5 s). What is due waits in the work queue meanwhile, each object
//! once, so a standby takes over without a list. Losing the Lease ends the process.
//!
//! The monotonic clock of a suspended machine may stand still with the machine. Then only the next renewal, due within
//! five seconds, finds that the Lease is another's. Where renewals only fail, such a leader sends until half a Lease
//! (15 s by its own clock) after the last renewal, like any leader that can't reach the API server.

mod evaluate;
mod home;
mod identity;
mod last_words;
mod lease;
mod settings;
mod store;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::evaluate::{LeaseStep, LeaseView, Me};
use self::home::Home;
pub use self::home::Source;
pub use self::identity::identity;
pub use self::last_words::LastWords;
pub use self::settings::{LeaderSettings, client_config};
use self::store::Refused;
use crate::clock::Clock;
use crate::raw::Lean;
use crate::session::{Inheritance, Sessions};
use crate::sight::Sight;

/// A binding that is made anew is gone for no longer.
const MADE_ANEW: Duration = Duration::from_secs(2);
/// How long the last write of a clean stop may take.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// This process must end: it doesn't hold the Lease any more.
#[derive(Debug, thiserror::Error)]
#[error(
    "the Lease {namespace}/{} was lost: {why}; this process ends so that it sends nothing more",
    lease::NAME
)]
pub struct Lost {
    namespace: String,
    why: String,
}

/// How an event names the Lease.
pub fn about(namespace: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("coordination.k8s.io/v1".to_owned()),
        kind: Some("Lease".to_owned()),
        name: Some(lease::NAME.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ObjectReference::default()
    }
}

/// Told why the binding doesn't let this process lead, and when it does.
type Forbidden = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// Takes the Lease, keeps it and gives it back.
pub struct Leader {
    client: kube::Client,
    api: Api<Lean<Lease>>,
    home: Home,
    forbidden: Forbidden,
    settings: LeaderSettings,
    sessions: Arc<Sessions>,
    sight: Arc<Sight>,
    clock: Clock,
    me: Me,
    /// The last version that was seen, to be replaced as it is, and what it says.
    last: Option<(Lease, LeaseView)>,
    /// The newest version of it that was seen.
    newest: u64,
    /// Whether the last renewal was newer than all that the watches had seen.
    writes_are_newest: bool,
    /// Who holds the Lease, as last seen.
    holder: watch::Sender<String>,
    last_words: Arc<LastWords>,
}

impl Leader {
    /// `client` is made from [`client_config`]; `sessions` are told what they may do, `forbidden` why the
    /// `ClusterRoleBinding` doesn't let this process lead, and when it does.
    pub fn new(
        client: kube::Client,
        settings: LeaderSettings,
        sessions: Arc<Sessions>,
        (sight, clock): (Arc<Sight>, Clock),
        forbidden: impl Fn(Option<&str>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            api: Api::namespaced(client.clone(), &settings.namespace),
            client,
            home: Home::new(settings.namespace.clone(), settings.source, settings.in_pod),
            forbidden: Arc::new(forbidden),
            me: Me {
                identity: settings.identity.clone(),
                term: None,
            },
            settings,
            sessions,
            sight,
            clock,
            last: None,
            newest: 0,
            writes_are_newest: false,
            holder: watch::Sender::default(),
            last_words: Arc::default(),
        }
    }

    /// What the leader before has left, and what this one leaves.
    pub fn last_words(&self) -> Arc<LastWords> {
        Arc::clone(&self.last_words)
    }

    /// The identity of who holds the Lease, as last seen; empty where nobody does.
    pub fn holder(&self) -> watch::Receiver<String> {
        self.holder.subscribe()
    }

    /// Waits for the Lease, then keeps it until `stop`, and gives it back with the last calls in it.
    ///
    /// # Errors
    /// When the Lease was held and is lost. Nothing that was begun may outlast it, so the process ends.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Lost> {
        match self.campaign(&stop).await {
            Some(ends) => self.hold(ends, &stop).await,
            None => Ok(()),
        }
    }

    /// Waits for the Lease; returns its end, or `None` when told to stop before.
    async fn campaign(&mut self, stop: &CancellationToken) -> Option<Instant> {
        tracing::info!(
            identity = self.me.identity,
            namespace = self.settings.namespace,
            "waiting for the Lease"
        );
        let mut complaint = String::new();
        let mut home_due = Instant::now();
        while !stop.is_cancelled() {
            let mut pause = self.settings.pause();
            // A process that will never lead here says so, whoever holds the Lease.
            let may_begin = if Instant::now() >= home_due {
                self.may_begin().await
            } else {
                Ok(())
            };
            let attempt = match may_begin {
                Ok(()) => {
                    home_due = home_due.max(Instant::now() + self.settings.period());
                    self.attempt(&mut pause).await
                }
                Err(refused) => Err(refused),
            };
            match attempt {
                Ok(Some(ends)) => {
                    self.sight.lease(None, Instant::now());
                    return Some(ends);
                }
                Ok(None) => {
                    self.sight.lease(None, Instant::now());
                    complaint.clear();
                }
                // Another was faster: the next look shows who.
                Err(Refused::Outrun) => {}
                Err(Refused::Failed(error)) => {
                    self.sight.lease(Some(error.clone()), Instant::now());
                    if error != complaint {
                        tracing::warn!(error, "the Lease can't be read or taken");
                    }
                    complaint = error;
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        None
    }

    /// Looks at the Lease and takes it where it may be taken; returns its end then. Shortens `pause` where it ends before.
    async fn attempt(&mut self, pause: &mut Duration) -> Result<Option<Instant>, Refused> {
        match self.look().await? {
            LeaseStep::WaitUntil(ends) => {
                *pause = (*pause).min(ends.saturating_duration_since(Instant::now()));
                Ok(None)
            }
            // Not a leader, so there is nothing to renew or to lose.
            LeaseStep::Renew | LeaseStep::Lost => Ok(None),
            how @ (LeaseStep::Create | LeaseStep::Acquire | LeaseStep::TakeBack) => {
                self.may_begin().await?;
                self.take(how).await.map(Some)
            }
        }
    }

    /// Whether the binding, as it is now, lets this process begin to lead.
    async fn may_begin(&mut self) -> Result<(), Refused> {
        let reading = home::read(&self.client, self.settings.request()).await;
        let (duration, now) = (self.settings.duration, Instant::now());
        let verdict = self.home.may_begin(&reading, duration, now);
        (self.forbidden)(verdict.as_ref().err().map(String::as_str));
        verdict.map_err(Refused::Failed)
    }

    /// Looks at the binding as often as the Lease is renewed; ends with why this term does.
    fn away(&self) -> impl Future<Output = String> + use<> {
        let (client, home) = (self.client.clone(), self.home.clone());
        let forbidden = Arc::clone(&self.forbidden);
        let (period, request) = (self.settings.period(), self.settings.request());
        async move {
            let mut complaint = None;
            loop {
                let mut reading = home::read(&client, request).await;
                if reading == home::BindingReading::Unbound {
                    sleep(MADE_ANEW).await;
                    reading = home::read(&client, request).await;
                }
                if let Some(why) = home.ends_term(&reading) {
                    forbidden(Some(&why));
                    return why;
                }
                let wrong = home.judge(&reading).err();
                if wrong != complaint {
                    if let Some(error) = &wrong {
                        tracing::warn!(error, "this term goes on, but no other begins");
                    }
                    // One that only can't be read is asked again soon, and says nothing of this process.
                    if !matches!(reading, home::BindingReading::Failed(_)) {
                        forbidden(wrong.as_deref());
                    }
                    complaint = wrong;
                }
                sleep(period).await;
            }
        }
    }

    /// Takes the Lease; returns its end.
    async fn take(&mut self, how: LeaseStep) -> Result<Instant, Refused> {
        let begun = Instant::now();
        let (before, view) = self.last.clone().unzip();
        let fresh = lease::fresh();
        let old = before.as_ref().filter(|_| how != LeaseStep::Create);
        let base = old.unwrap_or(&fresh);
        let wanted = lease::acquired(
            base,
            &self.me.identity,
            self.settings.duration,
            self.clock.wall(),
        );
        let held = self.put(&wanted).await?;
        let taken = Instant::now();
        // A process of this identity ended just now, and what it sent last may still be under way; the calls of any other
        // one ended with its Lease, or before it was given back.
        let own = view
            .as_ref()
            .is_some_and(|view| view.seen.holder == self.me.identity);
        let lingering = if own {
            self.settings.call_timeout
        } else {
            Duration::ZERO
        };
        let moved = self.home.has_moved(self.settings.duration, taken);
        let inheritance = match (&before, &view) {
            // Its calls stand in a Lease of another namespace.
            _ if moved => Inheritance::unknown(taken, lingering),
            (Some(before), Some(view)) => match lease::call_log(before) {
                Some(text) => Inheritance::read(text, view.since, taken, lingering),
                None => Inheritance::unknown(taken, lingering),
            },
            _ => Inheritance::nothing(),
        };
        tracing::info!(how = ?how, "holding the Lease");
        if before
            .as_ref()
            .is_some_and(|before| lease::is_abandoned(before, self.clock.wall()))
        {
            let why = "nobody has renewed the Lease for long, and a store may have been restored meanwhile";
            self.sight.begin_anew(why, taken);
        }
        self.me.term = Some(lease::seen(&held, self.settings.duration).term);
        let words = before.as_ref().filter(|_| !moved);
        if let Some(words) = words.and_then(lease::last_words) {
            // A process leads once, and this is the first term.
            let _ = self.last_words.heard.set(words.to_owned());
        }
        if let Some(before) = &before {
            self.sight.recall(lease::losses(before), taken);
        }
        self.remember(Some(held), taken);
        self.sessions.lead(inheritance);
        Ok(begun + self.settings.duration)
    }

    /// Renews the Lease, which lasts until `ends`, until told to stop.
    async fn hold(&mut self, mut ends: Instant, stop: &CancellationToken) -> Result<(), Lost> {
        let mut due = Instant::now();
        let mut away = AbortOnDropHandle::new(tokio::spawn(self.away()));
        let mut losses = self.sight.losses();
        loop {
            tokio::select! {
                biased;
                () = sleep_until(ends) => return Err(self.lost("it could not be renewed in time")),
                why = &mut away => {
                    let why = why.unwrap_or_else(|error| error.to_string());
                    return Err(self.lost(&why));
                }
                () = stop.cancelled() => {
                    self.release().await;
                    return Ok(());
                }
                // A process that ends now would take what it saw with it.
                Ok(()) = losses.changed() => {
                    due = Instant::now();
                    continue;
                }
                () = sleep_until(due) => {}
                sooner = self.sessions.scarce(due) => {
                    due = sooner.unwrap_or(due);
                    continue;
                }
            }
            let begun = Instant::now();
            let renewed = tokio::select! {
                // One that was taken counts, however late that is seen: whether it has ended too is looked at next.
                biased;
                renewed = self.renew() => renewed,
                () = sleep_until(ends) => continue,
                why = &mut away => {
                    let why = why.unwrap_or_else(|error| error.to_string());
                    return Err(self.lost(&why));
                }
            };
            match renewed {
                Ok(()) => {
                    self.sight.lease(None, Instant::now());
                    ends = begun + self.settings.duration;
                    due = begun + self.settings.period();
                    self.sessions.recorded(ends);
                }
                Err(Refused::Outrun) => {
                    due = Instant::now();
                    match self.look().await {
                        Ok(LeaseStep::Lost) => return Err(self.lost("another process holds it")),
                        Ok(_) => {}
                        Err(_) => due += self.settings.pause(),
                    }
                }
                Err(Refused::Failed(error)) => {
                    let now = Instant::now();
                    self.sight.lease(Some(error.clone()), now);
                    let left = ends.saturating_duration_since(now);
                    tracing::warn!(error, ?left, "the Lease could not be renewed");
                    due = now + self.settings.pause();
                }
            }
        }
    }

    /// Writes that this process still leads, and what the next leader has to know.
    async fn renew(&mut self) -> Result<(), Refused> {
        // A renewal may be late by one that failed.
        let until = Instant::now() + self.settings.period() * 5 / 4;
        let record = self.sessions.record(until);
        let Some((lease, _)) = &self.last else {
            return Err(Refused::Outrun);
        };
        let lease = lease::renewed(
            lease,
            record,
            &self.sight.losses().borrow(),
            self.clock.wall(),
        );
        let seen = self.sight.newest();
        let held = self.put(&lease).await?;
        self.compare_write(&held, seen, Instant::now());
        self.remember(Some(held), Instant::now());
        Ok(())
    }

    /// Leaves the last calls and gives the Lease back. Where that fails it runs out by itself.
    async fn release(&mut self) {
        let attempt = async {
            loop {
                let record = self.sessions.record(Instant::now());
                let Some((lease, _)) = &self.last else {
                    return Ok(());
                };
                let lease = lease::released(
                    lease,
                    record,
                    &self.sight.losses().borrow(),
                    self.last_words.own.get(),
                    self.clock.wall(),
                );
                match self.put(&lease).await {
                    Ok(_) => return Ok(()),
                    Err(Refused::Outrun) => match self.look().await {
                        Ok(LeaseStep::Renew | LeaseStep::Create) => {}
                        Ok(_) => return Err("it isn't ours any more".to_owned()),
                        Err(Refused::Outrun) => return Err("it changes all the time".to_owned()),
                        Err(Refused::Failed(error)) => return Err(error),
                    },
                    Err(Refused::Failed(error)) => return Err(error),
                }
            }
        };
        match timeout(LAST_WRITE, attempt).await {
            Ok(Ok(())) => tracing::info!("the Lease was given back"),
            Ok(Err(error)) => {
                tracing::warn!(error, "the Lease could not be given back; it runs out");
            }
            Err(_) => tracing::warn!("the Lease could not be given back in time; it runs out"),
        }
    }

    fn lost(&self, why: &str) -> Lost {
        Lost {
            namespace: self.settings.namespace.clone(),
            why: why.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
