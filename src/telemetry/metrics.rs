//! The metrics of the operator, in the `OpenMetrics` text format. No series names a single object.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::api::outcome::Outcome;
use crate::api::reason::Phase;
use crate::remote::answer::{Answer, Call};
use crate::remote::codes;
use crate::session::{SessionKey, SessionState, Snapshot};

/// `N` labels with their values; the names have a fixed order.
type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
type Seconds = Gauge<f64, AtomicU64>;

/// The buckets of the time to delete, in seconds: from an idle operator (a tenth of a second) over the drain of a
/// backlog to a deletion held for days.
const TIME_TO_DELETE: [f64; 14] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0,
];

/// The buckets of the reconcile time, in seconds: from an object with nothing to do (a millisecond) over the target of
/// one second to the longest wait for an answer.
const RECONCILE: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// All metrics of the operator. No method blocks.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Family<Labels<1>, Counter>,
    reconcile: Histogram,
    platform_calls: Family<Labels<2>, Counter>,
    platform_codes: Family<Labels<1>, Counter>,
    deletions: Family<Labels<1>, Counter>,
    time_to_delete: Histogram,
    objects: Family<Labels<1>, Gauge>,
    undecodable: Gauge,
    hindered: Gauge,
    unfit_definitions: Gauge,
    leading: Gauge,
    queue_length: Family<Labels<2>, Gauge>,
    queue_estimated: Family<Labels<2>, Seconds>,
    budget_used: Family<Labels<2>, Gauge>,
    budget_limit: Family<Labels<2>, Gauge>,
    session_state: Family<Labels<3>, Gauge>,
    logins: Family<Labels<2>, Counter>,
    events: Family<Labels<1>, Counter>,
    watch_restarts: Family<Labels<1>, Counter>,
    blind_permits: Counter,
    refused_writes: Family<Labels<1>, Counter>,
    audit_failures: Counter,
    log_lines_dropped: Counter,
    unmanaged: Family<Labels<2>, Gauge>,
    reappeared: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics with all values at zero.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("vpo"),
            passes: Family::default(),
            reconcile: Histogram::new(RECONCILE),
            platform_calls: Family::default(),
            platform_codes: Family::default(),
            deletions: Family::default(),
            time_to_delete: Histogram::new(TIME_TO_DELETE),
            objects: Family::default(),
            undecodable: Gauge::default(),
            hindered: Gauge::default(),
            unfit_definitions: Gauge::default(),
            leading: Gauge::default(),
            queue_length: Family::default(),
            queue_estimated: Family::default(),
            budget_used: Family::default(),
            budget_limit: Family::default(),
            session_state: Family::default(),
            logins: Family::default(),
            events: Family::default(),
            watch_restarts: Family::default(),
            blind_permits: Counter::default(),
            refused_writes: Family::default(),
            audit_failures: Counter::default(),
            log_lines_dropped: Counter::default(),
            unmanaged: Family::default(),
            reappeared: Counter::default(),
        };
        // A series that starts at zero shows its first increment; a series that starts at one hides it.
        for outcome in Outcome::ALL {
            let _ = metrics.deletions.get_or_create(&outcome_label(outcome));
        }
        for phase in Phase::ALL {
            let _ = metrics.objects.get_or_create(&phase_label(phase));
        }
        metrics.registered()
    }

    #[rustfmt::skip]
    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        r.register("build", "The operator that runs", Info::new(version));
        r.register("passes", "Passes over an object, by result", self.passes.clone());
        r.register_with_unit("reconcile", "From what wakes an object to the end of the pass over it, an answer of the platform included", Unit::Seconds, self.reconcile.clone());
        r.register("platform_calls", "Calls to the platform, by call and by what the answer means", self.platform_calls.clone());
        r.register("platform_codes", "Answers of the platform with a code, by code; codes that are not told apart are counted as other", self.platform_codes.clone());
        r.register("deletions", "Deletions that ended, by outcome", self.deletions.clone());
        r.register_with_unit("time_to_delete", "From the request of a deletion to its outcome", Unit::Seconds, self.time_to_delete.clone());
        r.register("objects", "VersionPackages, by phase", self.objects.clone());
        r.register("undecodable_objects", "Objects that can't be read", self.undecodable.clone());
        r.register("hindered", "1 where this process doesn't see the cluster as it is, and sends nothing", self.hindered.clone());
        r.register("unfit_definitions", "CustomResourceDefinitions that are not there or lack fields of this version", self.unfit_definitions.clone());
        r.register("leading", "1 where this process holds the Lease", self.leading.clone());
        r.register("queue_length", "Objects that wait for a call of the application", self.queue_length.clone());
        r.register_with_unit("queue_estimated", "About how long the last object in the queue waits", Unit::Seconds, self.queue_estimated.clone());
        r.register("budget_used", "Calls of the application in the last window, those under way included", self.budget_used.clone());
        r.register("budget_limit", "Calls that the application may make in one window", self.budget_limit.clone());
        r.register("session_state", "1 for what the session of the application waits for, else 0", self.session_state.clone());
        r.register("logins", "Logins begun for the application", self.logins.clone());
        r.register("events", "Events for people, by result of writing them", self.events.clone());
        r.register("watch_restarts", "Watches begun anew, by resource", self.watch_restarts.clone());
        r.register("blind_permits", "Looks at objects whose last write did not come back through the watch in time: the operator was blind and deleted nothing", self.blind_permits.clone());
        r.register("refused_writes", "Writes of finalizers and statuses that the API server or an admission policy refused, by what was written", self.refused_writes.clone());
        r.register("audit_failures", "Audit lines that could not be written; the object stays until its line is", self.audit_failures.clone());
        r.register("log_lines_dropped", "Log lines that were dropped, since standard error took none", self.log_lines_dropped.clone());
        r.register("unmanaged_packages", "Packages on the platform that no object stands for, as of the last inventory", self.unmanaged.clone());
        r.register("reappeared_packages", "Packages that an inventory lists although the platform said before that they are deleted", self.reappeared.clone());
        self
    }

    /// Counts a pass over an object by its `result`, one of a fixed set of words.
    pub fn passed(&self, result: &'static str) {
        self.passes.get_or_create(&one("result", result)).inc();
    }

    /// Observes a pass that ended `after` its object was due.
    pub fn reconciled(&self, after: Duration) {
        self.reconcile.observe(after.as_secs_f64());
    }

    /// Counts a call and its answer.
    pub fn called(&self, call: Call, answer: &Answer) {
        let labels = [
            ("call", call.as_str().into()),
            ("answer", answer.as_str().into()),
        ];
        self.platform_calls.get_or_create(&labels).inc();
        if let Some(code) = answer.detail().and_then(|detail| detail.code.as_deref()) {
            let known = one("code", codes::label(code));
            self.platform_codes.get_or_create(&known).inc();
        }
    }

    /// Counts a finished deletion; `after` is the time since its request, where it is known.
    pub fn deleted(&self, outcome: Outcome, after: Option<Duration>) {
        self.deletions.get_or_create(&outcome_label(outcome)).inc();
        if let Some(after) = after {
            self.time_to_delete.observe(after.as_secs_f64());
        }
    }

    /// Sets the number of objects in `phase`.
    pub fn set_objects(&self, phase: Phase, count: usize) {
        self.objects
            .get_or_create(&phase_label(phase))
            .set(whole(count));
    }

    /// Sets the number of undecodable objects.
    pub fn set_undecodable(&self, count: usize) {
        self.undecodable.set(whole(count));
    }

    /// Sets whether nothing is sent because the watches can't be trusted.
    pub fn set_hindered(&self, hindered: bool) {
        self.hindered.set(i64::from(hindered));
    }

    /// Sets the number of definitions that don't fit this version.
    pub fn set_unfit_definitions(&self, count: usize) {
        self.unfit_definitions.set(whole(count));
    }

    /// Sets whether this process holds the Lease.
    pub fn set_leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// Sets the metrics of the session `key`.
    pub fn set_session(&self, key: &SessionKey, snapshot: &Snapshot) {
        let label = session_label(key);
        let estimated = snapshot.estimated.as_secs_f64();
        let set = |gauge: &Family<Labels<2>, Gauge>, count| {
            gauge.get_or_create(&label).set(whole(count));
        };
        set(&self.queue_length, snapshot.queue_length);
        set(&self.budget_used, snapshot.calls_in_window);
        set(&self.budget_limit, snapshot.limit);
        self.queue_estimated.get_or_create(&label).set(estimated);
        let logins = self.logins.get_or_create(&label);
        logins.inner().store(snapshot.logins, Ordering::Relaxed);
        drop(logins);
        let current = snapshot.state.as_str();
        for word in SessionState::WORDS {
            self.session_state
                .get_or_create(&state_label(key, word))
                .set(i64::from(word == current));
        }
    }

    /// Removes the series of a session that ended, so that they don't keep their last values.
    pub fn forget_session(&self, key: &SessionKey) {
        let label = session_label(key);
        self.queue_length.remove(&label);
        self.queue_estimated.remove(&label);
        self.budget_used.remove(&label);
        self.budget_limit.remove(&label);
        self.logins.remove(&label);
        for word in SessionState::WORDS {
            self.session_state.remove(&state_label(key, word));
        }
    }

    /// Sets the number of packages of the application that no object stands for.
    pub fn set_unmanaged(&self, key: &SessionKey, count: usize) {
        self.unmanaged
            .get_or_create(&session_label(key))
            .set(whole(count));
    }

    /// Removes the number of packages that no object stands for, because this number isn't known any more.
    pub fn forget_unmanaged(&self, key: &SessionKey) {
        self.unmanaged.remove(&session_label(key));
    }

    /// Counts a package that is listed again after the platform confirmed its deletion.
    pub fn reappeared(&self) {
        self.reappeared.inc();
    }

    /// Counts an event by the `result` of its write, one of a fixed set of words.
    pub fn told(&self, result: &'static str) {
        self.events.get_or_create(&one("result", result)).inc();
    }

    /// Counts a restart of the watch of `resource`, such as `versionpackages`.
    pub fn watch_restarted(&self, resource: &'static str) {
        self.watch_restarts
            .get_or_create(&one("resource", resource))
            .inc();
    }

    /// Counts a refused write to the API server; `part` is `finalizers` or `status`.
    pub fn write_refused(&self, part: &'static str) {
        self.refused_writes.get_or_create(&one("part", part)).inc();
    }

    /// Counts a failed write of an audit line.
    pub fn unaudited(&self) {
        self.audit_failures.inc();
    }

    /// Sets the number of log lines dropped since the start.
    pub fn set_log_lines_dropped(&self, count: u64) {
        self.log_lines_dropped
            .inner()
            .store(count, Ordering::Relaxed);
    }

    /// Counts a permit that was returned because the watch didn't echo its intent.
    pub fn permit_blind(&self) {
        self.blind_permits.inc();
    }

    /// All metrics in the `OpenMetrics` text format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing into a String can't fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

fn one(name: &'static str, value: &'static str) -> Labels<1> {
    [(name, value.into())]
}

fn outcome_label(outcome: Outcome) -> Labels<1> {
    one("outcome", outcome.as_str())
}

fn phase_label(phase: Phase) -> Labels<1> {
    one("phase", phase.as_str())
}

fn session_label(key: &SessionKey) -> Labels<2> {
    [
        ("application", key.app_id.to_string().into()),
        ("endpoint", key.endpoint.to_string().into()),
    ]
}

fn state_label(key: &SessionKey, state: &'static str) -> Labels<3> {
    let [application, endpoint] = session_label(key);
    [application, endpoint, ("state", state.into())]
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
