//! What a decision rests on.

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

/// All that a decision rests on.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Observation {
    /// The object, as the cache shows it.
    pub object: std::sync::Arc<Object>,
    /// Whether the last own write is back through the watch.
    pub echo: Echo,
    /// Since when its deletion is asked for, as this process has seen it.
    pub request: Option<DeletionRequest>,
    /// Whether that is now, since an object that kept its package has ended.
    pub anew: bool,
    /// Who keeps its package, or may.
    pub keepers: Keepers,
    /// Whether its package may be long gone, and is looked up before the guard is asked.
    pub looks_first: bool,
    /// Why its finalizers could not be changed the last time, under the same circumstances.
    pub finalizers_refused: Option<RefusedWrite>,
    /// Why its status could not be written the last time: nothing is called without an intent there.
    pub status_refused: Option<RefusedWrite>,
    /// Why conditions that say so could not be written the last time.
    pub complaint_refused: Option<RefusedWrite>,
    /// Whether a watch that turned out blind has not delivered a list since.
    pub blind: bool,
    /// How the deletion ended, where it has, for this uid.
    pub settled: Option<Outcome>,
    /// What its Platform is to it.
    pub platform: PlatformView,
    /// Why this process doesn't see the cluster as it is.
    pub hindrance: Option<String>,
    /// Since when grace periods begin at the earliest, whenever the deletion was asked for.
    pub graces_since: Option<Instant>,
    /// Whether `platform` was read just now and forbids a call that the watch of Platforms shows as
    /// allowed: either of the two may be the newer one, so nothing promises to wake the object.
    pub lagging: bool,
    /// What the list of the platform says of its package.
    pub known: Known,
    /// The endpoint of its Platform, where calls can be made.
    pub endpoint: Option<Endpoint>,
    /// Why it isn't believed that the package doesn't exist.
    pub elsewhere: Option<Unbelieved>,
    /// Whether somebody else wants its package.
    pub claim: Claim,
    /// What there is to note of unclear claims.
    pub finding: Option<Finding>,
    /// The credentials that are to be tried, since it depends on them who wants it.
    pub trials: Vec<Trial>,
    /// What the guard of its application says.
    pub guard: Judgement,
    /// Until when what the platform confirmed of `spec.expect` counts, for this spec and since the last call.
    pub proven: Option<Instant>,
    /// The answer to its DELETE, where that proves nothing and no look-up has told yet.
    pub unproven: Option<Detail>,
    /// Where it stands in its session.
    pub standing: Standing,
    /// Whether it has a seat in another session, or for the package as others know it, which counts for nothing.
    pub misplaced: bool,
    /// Until when the last failure, or a permit that could not be used, keeps it from trying again.
    pub backoff: Option<Instant>,
    /// How often in a row a permit could not be used.
    pub given_back: u32,
    /// The calls so far that failed under the same circumstances.
    pub failure: Option<Failure>,
    /// How often in a row its audit line could not be written.
    pub failed_audits: u32,
    /// How many met a conflict in a row.
    pub conflicts: u32,
    /// Whether writes to objects of its namespace are slow and not answered.
    pub writes_hang: bool,
    /// The end that was last written down, or is to be.
    pub audited: Option<Outcome>,
    /// Its audit line that is not written yet.
    pub owed: Option<Box<AuditRecord>>,
    /// The audit line, of whichever object, that is owed for too long.
    pub overdue: Option<Overdue>,
    /// How long a call counts after its answer.
    pub window: Duration,
}

impl Observation {
    /// Whether the object is being deleted or retired.
    pub(in crate::package) fn asks(&self, now: Now) -> bool {
        self.object.deleted_at.is_some() || self.object.is_retired(now.wall)
    }

    /// The intent that is written for its permit, or to be written.
    pub(in crate::package) fn intent(&self) -> Option<&str> {
        match &self.standing {
            Standing::Permitted { intent, .. } => intent.as_deref(),
            Standing::Absent | Standing::Behind { .. } | Standing::Waiting { .. } => None,
        }
    }

    /// The same of an object whose deletion has ended.
    pub(in crate::package) fn ended(&self, outcome: Outcome) -> Self {
        Self {
            settled: Some(outcome),
            ..self.clone()
        }
    }

    /// When its deletion was asked for: see [`asked_at`].
    pub(in crate::package) fn asked_at(&self, now: Now) -> Timestamp {
        asked_at(
            &self.object,
            self.request.map_or(now.wall, |request| request.at),
        )
    }
}

/// What a `Platform` is to one object, without the means to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformView {
    /// Not known yet.
    Unread,
    /// A permit is in hand, but the Platform could not be read just now, or is changing.
    Unconfirmed(String),
    /// There is none of that name.
    NotFound,
    /// It does not allow the object's namespace.
    NotAllowed,
    /// Its credentials, certificates or endpoint can't be used.
    Unusable {
        /// The word of the Platform's own condition.
        reason: PlatformReason,
        /// The message of the Platform's own condition.
        message: String,
        /// Whether its namespace is being deleted, and takes no Secret any more.
        ending: bool,
    },
    /// Calls can be made.
    Usable {
        /// Whose packages they are.
        app_id: AppId,
        /// Whether packages are really deleted.
        mode: Mode,
        /// What is wrong with the Secret while the last good credentials serve.
        last_good: Option<String>,
        /// How long a deletion can still be called off.
        grace: Duration,
        /// Whether it takes on objects that it hasn't accepted yet: one that is being deleted doesn't.
        accepts: bool,
    },
}
