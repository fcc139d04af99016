//! The facts that a decision rests on.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{Now, Unbelieved};
use crate::api::names::{AppId, Endpoint};
use crate::api::outcome::Outcome;
use crate::api::platform::{Mode, PlatformReason};
use crate::guard::Judgement;
use crate::inventory::Known;
use crate::object::Object;
use crate::object::asking::asked_at;
use crate::package::claims::Claim;
use crate::package::claims::doubts::Finding;
use crate::package::claims::others::Trial;
use crate::package::memory::Failure;
use crate::package::memory::own_write::{Echo, RefusedWrite};
use crate::package::memory::requests::{DeletionRequest, Keepers};
use crate::remote::answer::Detail;
use crate::session::Standing;
use crate::telemetry::audit::{AuditRecord, Overdue};

/// All facts that a decision about one object rests on.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Observation {
    /// The object, as the cache shows it.
    pub object: std::sync::Arc<Object>,
    /// Whether the watch has delivered the last own write.
    pub echo: Echo,
    /// When this process first saw the request for the deletion; `None` without a request.
    pub request: Option<DeletionRequest>,
    /// Whether the request begins anew now, because an object that kept the package has stopped keeping it.
    pub anew: bool,
    /// Uids of the objects that keep the package, or that may keep it.
    pub keepers: Keepers,
    /// Whether a look-up has to come before the guard is asked, because the package may be long gone.
    pub looks_first: bool,
    /// Last refusal of a change of the finalizers, under the same circumstances.
    pub finalizers_refused: Option<RefusedWrite>,
    /// Last refusal of a status write, under the same circumstances. Without a written intent no call is made.
    pub status_refused: Option<RefusedWrite>,
    /// Last refusal of a write of the conditions alone, under the same circumstances.
    pub complaint_refused: Option<RefusedWrite>,
    /// Whether the watch missed an own write and has not delivered a list since.
    pub blind: bool,
    /// Outcome of the deletion for this uid, if the deletion has ended.
    pub settled: Option<Outcome>,
    /// State of the object's Platform, as seen by the object.
    pub platform: PlatformView,
    /// Why this process doesn't see the cluster as it is; `None` if it does.
    pub hindrance: Option<String>,
    /// Earliest start of the grace period, no matter when the deletion was asked for.
    pub graces_since: Option<Instant>,
    /// Whether a GET has shown that the Platform forbids calls, while the watch still shows that it allows calls.
    /// Either version may be newer, so the object can't rely on a watch event to wake it.
    pub lagging: bool,
    /// What the platform's list says of the package.
    pub known: Known,
    /// Endpoint of the Platform, if calls can be made.
    pub endpoint: Option<Endpoint>,
    /// Why the platform's answer that the package doesn't exist would prove nothing.
    pub elsewhere: Option<Unbelieved>,
    /// Whether another object wants the package.
    pub claim: Claim,
    /// Unclear claims to note.
    pub finding: Option<Finding>,
    /// Credentials to try, because a claim depends on them.
    pub trials: Vec<Trial>,
    /// Judgement of the application's guard.
    pub guard: Judgement,
    /// Time until which the look-up for `spec.expect` counts as proof; `None` if the circumstances have changed since
    /// that look-up, or if another call was made since.
    pub proven: Option<Instant>,
    /// Answer to the last DELETE, if it proved nothing and no look-up was made since.
    pub unproven: Option<Detail>,
    /// State of the object in the queue of its session.
    pub standing: Standing,
    /// Whether the object has a seat in another session or for another package key. Such a seat has to be left.
    pub misplaced: bool,
    /// End of the backoff after a failure or an unusable permit.
    pub backoff: Option<Instant>,
    /// Number of consecutive permits that could not be used.
    pub given_back: u32,
    /// Consecutive failures under the same circumstances.
    pub failure: Option<Failure>,
    /// Number of consecutive failures to write the object's audit line.
    pub failed_audits: u32,
    /// Number of consecutive writes that met a conflict.
    pub conflicts: u32,
    /// Whether writes to objects of the namespace are slow and unanswered.
    pub writes_hang: bool,
    /// Outcome that was last written to the audit log, or is about to be written to it.
    pub audited: Option<Outcome>,
    /// Audit line of the object that is not written yet.
    pub owed: Option<Box<AuditRecord>>,
    /// Audit line of any object that is overdue.
    pub overdue: Option<Overdue>,
    /// Window of the quota: the time for which a call counts after its answer.
    pub window: Duration,
}

impl Observation {
    /// Whether the object is being deleted or retired.
    pub(in crate::package) fn asks(&self, now: Now) -> bool {
        self.object.deleted_at.is_some() || self.object.is_retired(now.wall)
    }

    /// Intent of the object's permit, if one was drawn.
    pub(in crate::package) fn intent(&self) -> Option<&str> {
        match &self.standing {
            Standing::Permitted { intent, .. } => intent.as_deref(),
            Standing::Absent | Standing::Behind { .. } | Standing::Waiting { .. } => None,
        }
    }

    /// The observation with the deletion ended by `outcome`.
    pub(in crate::package) fn ended(&self, outcome: Outcome) -> Self {
        Self {
            settled: Some(outcome),
            ..self.clone()
        }
    }

    /// When the deletion was asked for: see [`asked_at`].
    pub(in crate::package) fn asked_at(&self, now: Now) -> Timestamp {
        asked_at(
            &self.object,
            self.request.map_or(now.wall, |request| request.at),
        )
    }
}

/// State of a `Platform` as seen by one object, without the means to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformView {
    /// The Platform has not been read yet.
    Unread,
    /// The object has a permit, but the Platform could not be read just now, or is changing. The value is the reason.
    Unconfirmed(String),
    /// There is no Platform of that name.
    NotFound,
    /// The Platform doesn't allow the object's namespace.
    NotAllowed,
    /// The credentials, certificates or endpoint of the Platform can't be used.
    Unusable {
        /// Reason of the Platform's own condition.
        reason: PlatformReason,
        /// Message of the Platform's own condition.
        message: String,
        /// Whether the Platform's namespace is being deleted, so that no Secret can be created there.
        ending: bool,
    },
    /// Calls can be made.
    Usable {
        /// Application of the Platform's credentials.
        app_id: AppId,
        /// Whether packages are deleted, or only observed.
        mode: Mode,
        /// Message about a faulty Secret, while the last good credentials are in use.
        last_good: Option<String>,
        /// Grace period: how long a deletion can be called off.
        grace: Duration,
        /// Whether the Platform accepts new objects; `false` while it is being deleted.
        accepts: bool,
    },
}
