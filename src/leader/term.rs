//! Renews the Lease while this process leads, and gives it back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::evaluate::LeaseStep;
use super::store::Refused;
use super::{Leader, Lost, home, lease};

/// Longest time that a binding is missing while it is created anew.
const MADE_ANEW: Duration = Duration::from_secs(2);
/// Timeout of the last write of a clean stop.
const LAST_WRITE: Duration = Duration::from_secs(1);

impl Leader {
    /// Reads the binding as often as the Lease is renewed; returns the reason if the binding ends this term.
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
                    let why = why.to_string();
                    forbidden(Some(&why));
                    return why;
                }
                let wrong = home.judge(&reading).err().map(|why| why.to_string());
                if wrong != complaint {
                    if let Some(error) = &wrong {
                        tracing::warn!(
                            error,
                            "this process keeps the Lease for now, but once it loses the Lease it can't take the Lease again while this lasts"
                        );
                    }
                    // An unreadable binding is read again soon, and says nothing about this process.
                    if !matches!(reading, home::BindingReading::Failed(_)) {
                        forbidden(wrong.as_deref());
                    }
                    complaint = wrong;
                }
                sleep(period).await;
            }
        }
    }

    /// Renews the Lease until `stop`. Without a renewal, the Lease lasts until `ends`.
    pub(super) async fn hold(
        &mut self,
        mut ends: Instant,
        stop: &CancellationToken,
    ) -> Result<(), Lost> {
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
                // The Lease is renewed at once to record the change: if this process ended before that, the change
                // would be lost.
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
                // A successful renewal counts, however late it is noticed; the next iteration checks whether the
                // Lease has ended.
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

    /// Writes a renewal of the Lease, with records for the next leader.
    async fn renew(&mut self) -> Result<(), Refused> {
        // The reservation lasts a quarter longer than one period, since a failed try may delay the next renewal.
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

    /// Records the last calls and gives the Lease back. If that fails, the Lease runs out.
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
                        Ok(_) => {
                            return Err("this process doesn't hold the Lease any more".to_owned());
                        }
                        Err(Refused::Outrun) => {
                            return Err(
                                "the Lease was changed by others at each attempt to write it"
                                    .to_owned(),
                            );
                        }
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
