//! What is done on the way for an object: everything that follows from a pass, but for calls and writes to the object.

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
    /// The last write is back through the watch, or there was none: none is waited for.
    Back,
    /// Has the credential of a Platform tried.
    Try(Trial),
    /// Notes what the object asks for, and what was found of that.
    See(Noted),
    /// Has its Platform read by a GET, for the pass that sends.
    ReadAhead,
    /// Asks the guard for room on record.
    WantRoom,
    /// A person asks for a try: where nothing but probes goes, the next one goes soon.
    TrySoon,
    /// Makes the watch anew, which is blind.
    RestartWatch,
    /// The package exists, at another endpoint than this one where its object was accepted there. Where it is the first one of
    /// ours that the platform has shown, those are woken who could not believe what is said of theirs.
    Exists(Option<Endpoint>),
    /// The platform says that it deleted the package: no later reading of the list may find it.
    Deleted(Now),
    /// Forgets how its deletion ended before: it begins anew.
    Reopen,
    /// Its deletion is asked for from now on: a look-up that came before the guard found the package, or can't tell.
    LookedUp(Now),
    /// Remembers until when it counts that the platform confirmed what is expected; or that a call may have changed that.
    Proven(Option<Instant>),
    /// Remembers what its DELETE was answered with, which proves nothing; or that a look-up has told since.
    Unproven(Option<Detail>),
    /// Remembers that a permit could not be used, and asks for no other before this time; or that one was used.
    GivenBack(Option<Instant>),
    /// Remembers that so many calls failed in a row, and makes none before this time.
    Fail(u32, Instant),
    /// Forgets what failed before.
    Anew,
    /// Remembers how its deletion ended, and wakes whoever that serves: they write their own lines, in passes of their own.
    Settle(Outcome),
    /// Remembers that the platform lacks the package, and wakes whoever wants it all the same: it says that it isn't there.
    Gone(FileId, Now),
    /// Counts an end that is news, and remembers it with its line.
    End(Box<Ending>),
    /// Writes the audit line that is owed. Nothing follows before that is done.
    Pay(Box<AuditRecord>),
    /// Remembers that a write was taken, and since when its echo is waited for, if it has one.
    Wrote(Part, Option<Instant>),
    /// Remembers that a write met a conflict.
    Contested(Conflict),
    /// Gives its ticket, its permit or its place behind another object back, and wakes the objects that waited behind it.
    LeaveSeat,
    /// Remembers what the status should say of the last failure; or that it does.
    Unsaid(Option<Box<VersionPackageStatus>>),
    /// Remembers that the API server refuses a write.
    Refused(Part, RefusedWrite),
    /// Remembers that a write was not taken, as if it was refused.
    NotTaken(Part, RefusedWrite),
    /// Counts that an audit line was not written.
    Unaudited,
    /// Logs why one of the two was not.
    LogNotTaken(String),
    /// Has an event published.
    Tell(Note),
    /// Logs an answer of the platform, and the end that it brought about.
    Log(Box<Answer>, Option<Outcome>),
}

/// How the deletion of an object ended, as it is counted and written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, where an answer of the platform ended it.
    pub took: Option<Duration>,
    /// Its line of the audit log; `None` where there is no package to speak of.
    pub record: Option<Box<AuditRecord>>,
}
