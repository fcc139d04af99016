//! Errands: everything that follows from a pass, except calls and writes to the object.

use std::time::Duration;

use tokio::time::Instant;

use super::decide::Now;
use crate::package::claims::doubts::Finding;

use crate::api::names::{Endpoint, FileId};
use crate::api::outcome::Outcome;
use crate::api::version_package::VersionPackageStatus;
use crate::package::claims::others::Trial;
use crate::package::memory::own_write::{Conflict, Part, RefusedWrite};
use crate::package::memory::requests::Noted;
use crate::remote::answer::{Answer, Detail};
use crate::telemetry::audit::AuditRecord;
use crate::telemetry::events::Note;

/// One thing to do for the object of a pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Errand {
    /// Notes which claims are unclear.
    Doubt(Finding),
    /// Ends the wait for an echo: the last own write is back, or there was none.
    Back,
    /// Tries the credential of a Platform.
    Try(Trial),
    /// Notes the request of the object, and what this look at the object has found.
    See(Noted),
    /// Reads the object's Platform by a GET, for the pass that sends the call.
    ReadAhead,
    /// Asks the guard for a reservation: the deletion has its permit, and the Platform's status has no room for it yet.
    WantRoom,
    /// Brings the next probe of a failing platform forward, because a person asked for a try.
    TrySoon,
    /// Restarts the watch, because it is blind.
    RestartWatch,
    /// Tells the inventory that the package exists. `Some` is the endpoint at which the object was accepted, if the
    /// package was found at another endpoint. If that is news, the objects of the application are woken: some of them
    /// may not have trusted the platform's answers before.
    Exists(Option<Endpoint>),
    /// Tells the inventory that the platform deleted the package: the next reading must not find it.
    Deleted(Now),
    /// Forgets the outcome of the deletion, which begins anew.
    Reopen,
    /// Ends the look-up that came before the guard: the package is there, or the platform can't tell. The request
    /// begins at this time.
    LookedUp(Now),
    /// Stores until when the platform's confirmation of the expected package counts; `None` after a call that may have
    /// changed the package.
    Proven(Option<Instant>),
    /// Stores an answer to the DELETE that proved nothing; `None` after a look-up.
    Unproven(Option<Detail>),
    /// Counts a permit that could not be used, and asks for no other permit before this time; `None` after a permit was
    /// used.
    GivenBack(Option<Instant>),
    /// Stores the number of consecutive failed calls, and the end of the backoff.
    Fail(u32, Instant),
    /// Clears the failures and the unused permits.
    Anew,
    /// Stores the outcome of the deletion, and wakes the objects that waited behind this one. Each of them writes its
    /// audit line in its own pass.
    Settle(Outcome),
    /// Stores that the platform lacks the package, and wakes all objects of the package: those that want it report that
    /// it is missing.
    Gone(FileId, Now),
    /// Counts the end of the deletion, and stores it with its audit line.
    End(Box<Ending>),
    /// Writes the audit line that is due. Nothing else follows from the end before that line is written.
    Pay(Box<AuditRecord>),
    /// Stores a successful write, with the time of the write if an echo is to be awaited.
    Wrote(Part, Option<Instant>),
    /// Stores a write that met a conflict.
    Contested(Conflict),
    /// Gives back the seat (ticket, permit or place behind another object), and wakes the objects that waited behind
    /// this one.
    LeaveSeat,
    /// Stores the status that has to tell of the last failure; `None` after that status was written.
    Unsaid(Option<Box<VersionPackageStatus>>),
    /// Stores a write that the API server refused, with a log entry and a metric.
    Refused(Part, RefusedWrite),
    /// Stores a write that failed without a decision.
    NotTaken(Part, RefusedWrite),
    /// Counts a failed write of the audit line.
    Unaudited,
    /// Logs why a write to the object or of the audit line failed.
    LogNotTaken(String),
    /// Publishes an event.
    Tell(Note),
    /// Logs an answer of the platform, and the outcome that followed from it.
    Log(Box<Answer>, Option<Outcome>),
}

/// The end of a deletion, as it is counted and audited.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// Outcome of the deletion.
    pub outcome: Outcome,
    /// Time from the request to the end, if an answer of the platform ended the deletion.
    pub took: Option<Duration>,
    /// Audit line; `None` if no package is known.
    pub record: Option<Box<AuditRecord>>,
}
