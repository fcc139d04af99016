//! Reports whether this process can do its work, through probes, metrics and events.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::{Instant, timeout};

use crate::admin::Readiness;
use crate::clock::{Clock, Now};
use crate::leader;
use crate::sight::{Sight, SightTrouble};
use crate::telemetry::events::{Events, Note};
use crate::telemetry::metrics::Metrics;

/// How long a watch, a definition or the Lease must fail before the process becomes unready. A brief failure is over by
/// then.
const LASTS: Duration = Duration::from_secs(10);
/// The time after which an unavailable Lease is reported by an event.
const TOLD_AFTER: Duration = Duration::from_secs(60);

/// The reporter of this process's health.
pub(super) struct ProcessHealth {
    sight: Arc<Sight>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    events: Events,
    clock: Clock,
    /// The namespace of the Lease.
    namespace: String,
    /// Whether an event has reported the unavailable Lease.
    told: bool,
}

impl ProcessHealth {
    /// `namespace` is the namespace of the Lease.
    pub(super) fn new(
        sight: Arc<Sight>,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
        (events, clock): (Events, Clock),
        namespace: String,
    ) -> Self {
        Self {
            sight,
            metrics,
            readiness,
            events,
            clock,
            namespace,
            told: false,
        }
    }

    /// Waits until both definitions are served with all fields; readiness names what is missing meanwhile.
    pub(super) async fn until_served(&mut self) {
        let mut changes = self.sight.changes();
        loop {
            self.look();
            if self.sight.is_served() {
                return;
            }
            // The timeout is for watches that fail: a failing watch signals no change, but it counts once the failure
            // lasts.
            let _ = timeout(Duration::from_secs(1), changes.changed()).await;
        }
    }

    /// Updates readiness and metrics once, and reports an unavailable Lease.
    pub(super) fn look(&mut self) {
        let (sight, readiness) = (&self.sight, &self.readiness);
        let Now { wall, tick: now } = self.clock.now();
        match sight.unfit() {
            Some(why) => readiness.close("schemas", why),
            None if sight.is_served() => readiness.open("schemas"),
            None => {}
        }
        match sight.trouble(LASTS, now) {
            Some(trouble) => readiness.close("watches", since(&trouble, now, wall)),
            None => readiness.open("watches"),
        }
        let without_lease = sight.lease_trouble(TOLD_AFTER, now);
        if let Some(trouble) = without_lease.as_ref().filter(|_| !self.told) {
            // A process that doesn't lead writes no status, so no Platform can report the missing Lease.
            let note = without_lease_note(&trouble.words);
            self.events.say(leader::about(&self.namespace), note);
        }
        self.told = without_lease.is_some();
        self.metrics.set_hindered(sight.hindrance().is_some());
        self.metrics
            .set_unfit_definitions(sight.unfit_definitions());
    }
}

/// The message with the start of the trouble and its length; `wall` is the time on the wall clock at `now`.
fn since(trouble: &SightTrouble, now: Instant, wall: Timestamp) -> String {
    let lasts = now.saturating_duration_since(trouble.since).as_secs();
    let lasts = Duration::from_secs(lasts);
    // The subtraction fails only near the earliest possible time; then `wall` itself is used.
    let begun = wall.checked_sub(lasts).unwrap_or(wall);
    format!(
        "{} (since {begun:.0}, for {} s)",
        trouble.words,
        lasts.as_secs()
    )
}

fn without_lease_note(words: &str) -> Note {
    Note {
        warning: true,
        reason: "LeaseUnavailable",
        message: format!(
            "This process can't become the leader, and tries again by itself. While no process leads, nothing is deleted and no status is written. If it lasts, mend what is named here: {words}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn readiness_names_the_trouble_and_since_when() {
        let begun = Instant::now();
        tokio::time::advance(Duration::from_millis(75_400)).await;
        let trouble = SightTrouble {
            words: "the Lease can't be read or taken: forbidden".to_owned(),
            since: begun,
        };
        let wall = "2026-12-24T18:00:15.7Z".parse().unwrap();
        assert_eq!(
            since(&trouble, Instant::now(), wall),
            "the Lease can't be read or taken: forbidden (since 2026-12-24T17:59:00Z, for 75 s)"
        );
    }
}
