//! Waits for the Lease and takes it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::evaluate::{LeaseStep, is_abandoned};
use super::store::Refused;
use super::{Leader, home, lease};
use crate::session::Inheritance;

impl Leader {
    /// Waits for the Lease and takes it; returns the end of the Lease, or `None` if `stop` came first.
    pub(super) async fn campaign(&mut self, stop: &CancellationToken) -> Option<Instant> {
        tracing::info!(
            identity = self.me.identity,
            namespace = self.settings.namespace,
            "waiting for the Lease"
        );
        let mut complaint = String::new();
        let mut home_due = Instant::now();
        while !stop.is_cancelled() {
            let mut pause = self.settings.pause();
            // A process that may not lead in its namespace reports this, no matter which process holds the Lease.
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
                // Another process was faster: the next read shows its identity.
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

    /// Reads the Lease, and takes it if possible. Returns the end of the Lease if this process has taken it. If another
    /// process holds the Lease, shortens `pause` to the end of that Lease.
    async fn attempt(&mut self, pause: &mut Duration) -> Result<Option<Instant>, Refused> {
        match self.look().await? {
            LeaseStep::WaitUntil(ends) => {
                *pause = (*pause).min(ends.saturating_duration_since(Instant::now()));
                Ok(None)
            }
            // This process does not lead, so it has no Lease to renew or to lose.
            LeaseStep::Renew | LeaseStep::Lost => Ok(None),
            how @ (LeaseStep::Create | LeaseStep::Acquire | LeaseStep::TakeBack) => {
                self.may_begin().await?;
                self.take(how).await.map(Some)
            }
        }
    }

    /// Whether the present `ClusterRoleBinding` lets this process begin to lead.
    async fn may_begin(&mut self) -> Result<(), Refused> {
        let reading = home::read(&self.client, self.settings.request()).await;
        let (duration, now) = (self.settings.duration, Instant::now());
        let verdict = self.home.may_begin(&reading, duration, now);
        let verdict = verdict.map_err(|why| why.to_string());
        (self.forbidden)(verdict.as_ref().err().map(String::as_str));
        verdict.map_err(Refused::Failed)
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
        // An earlier process of the same identity ended just now, and its last calls may still be in flight. The
        // calls of any other holder ended with its Lease, or before that holder gave the Lease back.
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
            // The calls of the previous leader are recorded in a Lease of another namespace.
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
            .is_some_and(|before| is_abandoned(lease::renewed_at(before), self.clock.wall()))
        {
            let why = "no process has renewed the Lease for a long time, and the store of the API server (etcd) may have been restored from a backup meanwhile";
            self.sight.begin_anew(why, taken);
        }
        self.me.term = Some(lease::seen(&held, self.settings.duration).term);
        let words = before.as_ref().filter(|_| !moved);
        if let Some(words) = words.and_then(lease::last_words) {
            // The cell is set only here, since a process has only one term.
            let _ = self.last_words.heard.set(words.to_owned());
        }
        if let Some(before) = &before {
            self.sight.recall(lease::losses(before), taken);
        }
        self.remember(Some(held), taken);
        self.sessions.lead(inheritance);
        Ok(begun + self.settings.duration)
    }
}
