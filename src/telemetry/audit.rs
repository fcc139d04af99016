//! The audit trail: one JSON line for each deletion, on standard output, logs being on standard error, or in a file.
//!
//! No trail, no act: an end is written down before anything follows from it. A line that takes longer than 5 s is left
//! to a thread of its own and holds no slot of a pass. Once a line is owed for 10 s, `decide/trail.rs` turns every
//! decision that leads to a call into waiting. A line that was written after all, when nobody waited for it any more,
//! isn't written twice.

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

/// How one deletion ended: who, what, when, outcome, codes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "PackageDeletion", rename_all = "camelCase")]
pub struct AuditRecord {
    /// When the outcome was known.
    pub time: Timestamp,
    /// The field manager that last wrote the spec, other than this operator: a name that its writer gave itself. Who
    /// deleted the object is not among its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The uid of the object: names repeat, uids don't.
    pub uid: String,
    /// The package on the platform.
    pub file_id: FileId,
    /// What the platform last said of the package, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageIdentity>,
    /// The application that it belongs to, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<AppId>,
    /// How it ended.
    pub outcome: Outcome,
    /// The uids of objects that may have wanted the package, and that a person passed over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disregarded: Vec<String>,
    /// The HTTP status of the last answer, where a call was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The platform's code in the last answer, if it carried one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The answer to the look-up that proved it, where the answer to the DELETE didn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_up: Option<LookUpRecord>,
    /// Calls made for this deletion.
    pub attempts: u32,
    /// Where the package was gone: how many of them came before the one that was told so. One of them may have deleted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier_attempts: Option<u32>,
    /// Since when the deletion was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// From then to the outcome, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// What a look-up was answered with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookUpRecord {
    /// The HTTP status, where there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The platform's code, if it carried one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A package that the platform lists although it said before that the package is deleted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "PackageReappeared", rename_all = "camelCase")]
pub struct ReappearedRecord {
    /// When the list was read to its end.
    pub time: Timestamp,
    /// The application that the package belongs to.
    pub application: AppId,
    /// Where the platform is.
    pub endpoint: Endpoint,
    /// The package.
    pub file_id: FileId,
    /// When the platform said that it is deleted.
    pub deleted_at: Timestamp,
    /// When the reading began that lists it all the same.
    pub listed_since: Timestamp,
}

/// How long one line may take. What hangs for longer is looked after without anybody waiting for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// A line that is owed for so long keeps everything new from being sent.
const OVERDUE: Duration = Duration::from_secs(10);
/// Who owes a line tries it again within half a minute. One that nobody has tried for so long is tried by [`AuditLog::pay`].
const FORGOTTEN: Duration = Duration::from_secs(45);
/// A line that was written after all is remembered for so long, so that who owes it doesn't write it again.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Lines that are written at a time: each may hang for good, and hold a thread.
const AT_ONCE: usize = 16;
/// While a try hangs, another one is made after so long, and twice as long each time: it may be that one alone which hangs, as
/// on a volume that was mounted anew.
const PROBES: Backoff = Backoff {
    first: Duration::from_secs(10),
    longest: Duration::from_secs(300),
};

/// Takes lines that are written.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Writes one line, which stays written once this ends well. It may hang.
    fn append(&self, line: Vec<u8>) -> BoxFuture<'static, io::Result<()>>;
}

/// Where audit lines go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditLog {
    sink: Arc<dyn Sink>,
    turns: Arc<Semaphore>,
    owed: Arc<Mutex<BTreeMap<Vec<u8>, Owed>>>,
    probes: Arc<Mutex<Probes>>,
}

/// The tries that are made although another one hangs.
#[derive(Debug, Default)]
struct Probes {
    count: u32,
    next: Option<Instant>,
}

impl Probes {
    /// Whether one may be made now.
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

/// A line that is not known to be written.
#[derive(Debug)]
struct Owed {
    since: Instant,
    tried: Instant,
    state: Writing,
}

#[derive(Debug)]
enum Writing {
    /// The last try is under way, or has failed for this reason.
    Tried(String),
    /// The last try took too long and may still end well.
    Hangs(JoinHandle<io::Result<()>>),
    /// It ended well when nobody waited any more.
    Written,
}

/// A line that is owed for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// For how long.
    pub age: Duration,
    /// What its last try failed with.
    pub error: String,
}

impl AuditLog {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::to(Stdout)
    }

    /// A file, made where there is none. Its lines are appended to what it holds.
    ///
    /// # Errors
    /// When it can't be opened for writing, or is no file.
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

    /// Any other place.
    pub fn to(sink: impl Sink + 'static) -> Self {
        Self {
            sink: Arc::new(sink),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            owed: Arc::default(),
            probes: Arc::default(),
        }
    }

    /// Writes `record` as one line. A line in a file is on the disk when this returns. It is owed from now on until a call
    /// with the same record returns well.
    ///
    /// # Errors
    /// When the line was not taken in time. A later try may find that it was: a line may come twice, but never not at all.
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

    /// Notes that `line` is owed; whether an earlier try has written it after all.
    ///
    /// # Errors
    /// While a try hangs, its own or another one's: most others would hang too.
    fn begin(&self, line: &[u8], now: Instant) -> io::Result<bool> {
        let mut owed = self.owed.lock();
        look_after(&mut owed);
        let hangs = owed
            .values()
            .any(|owed| matches!(owed.state, Writing::Hangs(_)));
        let own = owed.entry(line.to_vec()).or_insert_with(|| Owed {
            since: now,
            tried: now,
            state: Writing::Tried("it is under way".to_owned()),
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

    /// One try. `Err` with what still hangs at the `deadline`, where it has begun.
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

    /// The line that is owed for the longest time, where that is too long: then nothing new may be sent.
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

    /// Tries the lines again whose owner doesn't, since its object is gone.
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

    /// The lines that are not known to be written, as text.
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

/// Takes in what has become of tries that nobody waited for.
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

/// Lines are taken: what hangs won't end any more, and is tried anew.
fn give_up(owed: &mut BTreeMap<Vec<u8>, Owed>) {
    for owed in owed.values_mut() {
        if matches!(owed.state, Writing::Hangs(_)) {
            owed.state = Writing::Tried(late().to_string());
        }
    }
}

fn late() -> io::Error {
    let why = format!("it hangs, and takes no line within {PATIENCE:?}");
    io::Error::new(ErrorKind::TimedOut, why)
}

fn line(record: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests;
