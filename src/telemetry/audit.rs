//! The audit trail: one JSON line for each deletion, in a file or on standard output. (Logs go to standard error.)
//!
//! No trail, no act: the outcome of a deletion is written to the trail before anything follows from the outcome. If the
//! write of a line takes longer than 5 s, it goes on in the background and holds no slot of a pass. Once a line has
//! waited for 10 s, `decide/trail.rs` turns every decision that leads to a call into waiting. If the background write
//! succeeds after all, the line isn't written again.

mod sinks;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use self::sinks::{AuditFile, Stdout, open};
use crate::api::names::{AppId, Endpoint, FileId};
use crate::api::outcome::Outcome;
use crate::api::version_package::PackageIdentity;
use crate::backoff::Backoff;

/// The audit record of a finished deletion.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "PackageDeletion", rename_all = "camelCase")]
pub struct AuditRecord {
    /// When the outcome became known.
    pub time: Timestamp,
    /// The field manager that last wrote the spec, except this operator. The name is the writer's own choice. The
    /// object's fields don't tell who deleted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The uid of the object. Names are reused, uids aren't.
    pub uid: String,
    /// The id of the package on the platform.
    pub file_id: FileId,
    /// The platform's data of the package, as of the last look-up; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageIdentity>,
    /// The application that owns the package; absent if it isn't known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<AppId>,
    /// The outcome of the deletion.
    pub outcome: Outcome,
    /// The uids of objects that may have claimed the package and that a person overruled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disregarded: Vec<String>,
    /// The HTTP status of the last answer; absent if no call was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The platform's code in the last answer; absent if the answer had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The look-up that proved the deletion; absent if the answer to the DELETE proved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookUpRecord>,
    /// The number of calls made for this deletion.
    pub attempts: u32,
    /// The number of calls before the call whose answer said that the package doesn't exist; absent if the package
    /// wasn't already gone. One of the earlier calls may have deleted the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_attempts: Option<u32>,
    /// When the deletion was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// The time from the request to the outcome, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// The answer to a look-up.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookUpRecord {
    /// The HTTP status; absent if no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The platform's code; absent if the answer had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The audit record of a package that the platform lists although it confirmed the deletion.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "PackageReappeared", rename_all = "camelCase")]
pub struct ReappearedRecord {
    /// When the read of the list ended.
    pub time: Timestamp,
    /// The application that owns the package.
    pub application: AppId,
    /// The endpoint of the platform.
    pub endpoint: Endpoint,
    /// The id of the package.
    pub file_id: FileId,
    /// When the platform confirmed the deletion.
    pub deleted_at: Timestamp,
    /// When the read of the list began.
    pub listed_since: Timestamp,
}

/// How long a caller waits for the write of one line. A write that hangs for longer goes on in the background.
const PATIENCE: Duration = Duration::from_secs(5);
/// An unwritten line of this age blocks all further calls.
const OVERDUE: Duration = Duration::from_secs(10);
/// A pass retries its unwritten line within half a minute. A line without a retry for this long is retried by
/// [`AuditLog::pay`].
const FORGOTTEN: Duration = Duration::from_secs(45);
/// How long a line that was written in the background is remembered, so that its pass doesn't write it again.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The limit of concurrent writes: each may hang for good and occupy a thread.
const AT_ONCE: usize = 16;
/// The pauses between the writes that are tried while a write hangs. Perhaps only that write hangs, for example because
/// the volume was mounted anew.
const PROBES: Backoff = Backoff {
    first: Duration::from_secs(10),
    longest: Duration::from_secs(300),
};

/// The destination of audit lines.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Writes one line durably. The future may hang.
    fn append(&self, line: Vec<u8>) -> BoxFuture<'static, io::Result<()>>;
}

/// The audit log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditLog {
    sink: Arc<dyn Sink>,
    turns: Arc<Semaphore>,
    owed: Arc<Mutex<BTreeMap<Vec<u8>, Owed>>>,
    probes: Arc<Mutex<Probes>>,
}

/// The writes that are tried while another one hangs.
#[derive(Debug, Default)]
struct Probes {
    count: u32,
    next: Option<Instant>,
}

impl Probes {
    /// Whether a write may be tried now; if so, sets the time of the next one.
    fn may(&mut self, now: Instant) -> bool {
        let next = *self.next.get_or_insert(now + PROBES.first);
        if now < next {
            return false;
        }
        self.count = self.count.saturating_add(1);
        self.next = Some(now + PROBES.after(self.count));
        true
    }
}

/// A line that isn't known to be written.
#[derive(Debug)]
struct Owed {
    since: Instant,
    tried: Instant,
    state: Writing,
}

#[derive(Debug)]
enum Writing {
    /// The last write is in progress, or failed with this error.
    Tried(String),
    /// The last write exceeded its time limit and may still succeed.
    Hangs(JoinHandle<io::Result<()>>),
    /// The write succeeded in the background.
    Written,
}

/// A line that has been unwritten for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// How long the line has been unwritten.
    pub age: Duration,
    /// The error of the last write.
    pub error: String,
}

impl AuditLog {
    /// An audit log on standard output.
    pub fn stdout() -> Self {
        Self::to(Stdout)
    }

    /// An audit log in a file, which is created if it doesn't exist. Lines are appended.
    ///
    /// # Errors
    /// The file can't be opened for writing, or isn't a regular file.
    pub fn to_file(path: PathBuf) -> io::Result<Self> {
        if !open(&path)?.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let file = AuditFile {
            path,
            turn: Mutex::new(()),
        };
        Ok(Self::to(Arc::new(file)))
    }

    /// An audit log with the destination `sink`.
    pub fn to(sink: impl Sink + 'static) -> Self {
        Self {
            sink: Arc::new(sink),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            owed: Arc::default(),
            probes: Arc::default(),
        }
    }

    /// Writes `record` as one line. A line in a file is on the disk when the future returns. The line counts as
    /// unwritten from now on until a call with the same record succeeds.
    ///
    /// # Errors
    /// The line wasn't written in time. It may still be written: a line may occur twice, but is never missing.
    pub async fn write(&self, record: &(impl Serialize + Sync)) -> io::Result<()> {
        self.append(line(record)?).await
    }

    async fn append(&self, line: Vec<u8>) -> io::Result<()> {
        let now = Instant::now();
        if self.begin(&line, now)? {
            return Ok(());
        }
        let ended = self.attempt(&line, now + PATIENCE).await;
        let mut owed = self.owed.lock();
        match ended {
            Ok(Ok(())) => {
                owed.remove(&line);
                give_up(&mut owed);
                Ok(())
            }
            Ok(Err(error)) => {
                if let Some(owed) = owed.get_mut(&line) {
                    owed.state = Writing::Tried(error.to_string());
                }
                Err(error)
            }
            Err(writing) => {
                let error = late();
                if let Some(owed) = owed.get_mut(&line) {
                    owed.state = writing.map_or(Writing::Tried(error.to_string()), Writing::Hangs);
                }
                Err(error)
            }
        }
    }

    /// Notes that `line` is unwritten. Returns whether an earlier attempt has written it in the background.
    ///
    /// # Errors
    /// A write of this line or of another one hangs: most further writes would hang too.
    fn begin(&self, line: &[u8], now: Instant) -> io::Result<bool> {
        let mut owed = self.owed.lock();
        look_after(&mut owed);
        let hangs = owed
            .values()
            .any(|owed| matches!(owed.state, Writing::Hangs(_)));
        let own = owed.entry(line.to_vec()).or_insert_with(|| Owed {
            since: now,
            tried: now,
            state: Writing::Tried("the write has not ended yet".to_owned()),
        });
        own.tried = now;
        if matches!(own.state, Writing::Written) {
            owed.remove(line);
            return Ok(true);
        }
        let mut probes = self.probes.lock();
        if !hangs {
            *probes = Probes::default();
        } else if !probes.may(now) {
            return Err(late());
        }
        Ok(false)
    }

    /// Tries one write. If it hasn't ended at the `deadline`, the result is `Err`, which contains the hanging write if
    /// the write has begun.
    async fn attempt(
        &self,
        line: &[u8],
        deadline: Instant,
    ) -> Result<io::Result<()>, Option<JoinHandle<io::Result<()>>>> {
        let turn = timeout_at(deadline, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| None)?;
        let appended = self.sink.append(line.to_vec());
        let mut writing = tokio::spawn(async move {
            let _turn = turn;
            appended.await
        });
        match timeout_at(deadline, &mut writing).await {
            Ok(ended) => Ok(ended.map_err(io::Error::other).flatten()),
            Err(_) => Err(Some(writing)),
        }
    }

    /// The oldest unwritten line, if it has been unwritten for too long. Then no new call may be made.
    pub fn overdue(&self) -> Option<Overdue> {
        let mut owed = self.owed.lock();
        if owed.is_empty() {
            return None;
        }
        look_after(&mut owed);
        let oldest = owed
            .values()
            .filter(|owed| !matches!(owed.state, Writing::Written))
            .min_by_key(|owed| owed.since)?;
        let age = oldest.since.elapsed();
        let error = match &oldest.state {
            Writing::Tried(error) => error.clone(),
            Writing::Hangs(_) | Writing::Written => late().to_string(),
        };
        (age >= OVERDUE).then_some(Overdue { age, error })
    }

    /// Retries lines that no pass retries any more, because the object no longer exists.
    pub async fn pay(&self) {
        let forgotten: Vec<Vec<u8>> = {
            let mut owed = self.owed.lock();
            look_after(&mut owed);
            owed.retain(|_, owed| {
                !matches!(owed.state, Writing::Written) || owed.tried.elapsed() < REMEMBERED
            });
            let mut due = owed.iter().filter(|(_, owed)| {
                matches!(owed.state, Writing::Tried(_)) && owed.tried.elapsed() >= FORGOTTEN
            });
            due.by_ref().map(|(line, _)| line.clone()).collect()
        };
        for line in forgotten {
            if self.append(line).await.is_err() {
                return;
            }
        }
    }

    /// The unwritten lines, as text.
    pub fn unwritten(&self) -> Vec<String> {
        let mut owed = self.owed.lock();
        look_after(&mut owed);
        let owed = owed
            .iter()
            .filter(|(_, owed)| !matches!(owed.state, Writing::Written));
        owed.map(|(line, _)| String::from_utf8_lossy(line).trim_end().to_owned())
            .collect()
    }
}

/// Records the results of writes that ended in the background.
fn look_after(owed: &mut BTreeMap<Vec<u8>, Owed>) {
    for owed in owed.values_mut() {
        if let Writing::Hangs(writing) = &mut owed.state
            && let Some(ended) = writing.now_or_never()
        {
            owed.state = match ended.map_err(io::Error::other).flatten() {
                Ok(()) => Writing::Written,
                Err(error) => Writing::Tried(error.to_string()),
            };
        }
    }
}

/// Gives hanging writes up after another write has succeeded: the hanging writes won't end any more, so their lines are
/// written again.
fn give_up(owed: &mut BTreeMap<Vec<u8>, Owed>) {
    for owed in owed.values_mut() {
        if matches!(owed.state, Writing::Hangs(_)) {
            owed.state = Writing::Tried(late().to_string());
        }
    }
}

fn late() -> io::Error {
    let why = format!("the audit log hangs: a line was not written within {PATIENCE:?}");
    io::Error::new(ErrorKind::TimedOut, why)
}

fn line(record: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests;
