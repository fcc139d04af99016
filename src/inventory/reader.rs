//! Reads the lists of packages: one task for each application, while this process leads.

mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::wanted::{ListSource, WantedList, wanted};
use super::deletions::Deleted;
use super::schedule::ReadAfter;
use super::walk::{Reading, Walk};
use super::{Application, Inventory, MOST_OF_ALL, MOST_OF_ONE, Named, Now, Objects};
use crate::api::names::{FileId, ObjectKey};
use crate::api::platform::Platform;
use crate::clock::Clock;
use crate::platform::Directory;
use crate::remote::answer::{Answer, Call};
use crate::remote::pages::Next;
use crate::session::SessionKey;
use crate::telemetry::audit::{AuditLog, ReappearedRecord};
use crate::telemetry::events::{self, Events, Note};
use crate::telemetry::metrics::Metrics;

/// Interval between two checks of the Platforms.
const TICK: Duration = Duration::from_secs(1);
/// Highest number of requests for one page while the platform throttles calls.
const TRIES: u32 = 5;
/// Number of packages that are judged before the task yields to others.
const AT_ONCE: usize = 64;
/// Highest number of packages named in an event.
const NAMED: usize = 5;

/// The dependencies of the inventory reader.
pub struct Reader {
    /// The inventory, which stores the reads.
    pub inventory: Arc<Inventory>,
    /// The directory of all `Platform`s.
    pub directory: Arc<Directory>,
    /// The index of all `VersionPackage`s.
    pub objects: Arc<dyn Objects>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The audit log.
    pub audit: AuditLog,
    /// The publisher of events.
    pub events: Events,
    /// The clocks of this process.
    pub clock: Clock,
    /// Receives the key of a `Platform` whose objects have to be reconciled.
    pub changed: mpsc::UnboundedSender<ObjectKey>,
}

/// The task that reads the list of one application.
struct Task {
    source: ListSource,
    interval: watch::Sender<Duration>,
    _reads: AbortOnDropHandle<()>,
}

/// Reads the lists until cancelled; the caller starts it once this process leads.
pub async fn run(reader: Reader, cancel: CancellationToken) {
    let reader = Arc::new(reader);
    let mut tasks = BTreeMap::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // Before all objects are listed, every package would seem to have no object.
        if reader.objects.are_listed() {
            reader.follow(&mut tasks);
        }
    }
}

impl Reader {
    /// Starts and stops tasks to match the present Platforms.
    fn follow(self: &Arc<Self>, tasks: &mut BTreeMap<SessionKey, Task>) {
        let wanted = wanted(self.directory.platforms());
        let application = |(key, wanted): (&SessionKey, &WantedList)| Application {
            key: key.clone(),
            platforms: wanted.platforms.clone(),
            reads: wanted.interval.is_some(),
        };
        for ended in self
            .inventory
            .serve(wanted.iter().map(application).collect())
        {
            self.metrics.forget_unmanaged(&ended);
            if let Some(wanted) = wanted.get(&ended) {
                self.wake(&wanted.platforms);
            }
        }
        tasks.retain(|key, task| {
            let wanted = wanted.get(key);
            let interval = wanted.and_then(|wanted| wanted.interval);
            let source = wanted.and_then(|wanted| wanted.source.as_ref());
            let stays = source.is_some_and(|source| source.is(&task.source));
            if let Some(interval) = interval {
                task.interval.send_if_modified(|known| {
                    let other = *known != interval;
                    *known = interval;
                    other
                });
            }
            stays && interval.is_some()
        });
        for (key, wanted) in wanted {
            if let (Some(interval), Some(source)) = (wanted.interval, wanted.source) {
                let begin = || self.begin(key.clone(), source, interval);
                tasks.entry(key.clone()).or_insert_with(begin);
            }
        }
    }

    fn begin(self: &Arc<Self>, key: SessionKey, source: ListSource, interval: Duration) -> Task {
        let (sender, receiver) = watch::channel(interval);
        let reading = Arc::clone(self).keep_reading(key, source.clone(), receiver);
        Task {
            source,
            interval: sender,
            _reads: AbortOnDropHandle::new(tokio::spawn(reading)),
        }
    }

    async fn keep_reading(
        self: Arc<Self>,
        key: SessionKey,
        source: ListSource,
        mut interval: watch::Receiver<Duration>,
    ) {
        let (at, chance) = (Instant::now(), fastrand::f64());
        let mut since = ReadAfter::Start { at, chance };
        loop {
            let due = since.due(*interval.borrow_and_update());
            tokio::select! {
                biased;
                changed = interval.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = sleep_until(due) => {}
            }
            let succeeded = match self.walk(&key, &source).await {
                Ok(walk) => self.conclude(&key, &source, walk).await,
                Err(why) => self.complain(&key, &why.to_string()),
            };
            since = since.then(succeeded, Instant::now());
        }
    }

    /// Walks over all pages of the list.
    async fn walk(&self, key: &SessionKey, source: &ListSource) -> Result<Walk, NoList> {
        let mut walk = self.inventory.begin(key, self.clock.now());
        let (mut number, mut tries) = (0, 0);
        loop {
            tries += 1;
            let Some(listed) = source.session.list(&source.connection, number).await else {
                return Err(NoList::NoCalls);
            };
            let answer = listed.as_ref().err().unwrap_or(&Answer::Done(200));
            self.metrics.called(Call::List, answer);
            match listed {
                Ok(page) => {
                    let next = walk.take(number, &page);
                    if !self.inventory.has_room(key, walk.bytes()) {
                        return Err(NoList::TooLong);
                    }
                    match next {
                        Next::Page(next) => (number, tries) = (next, 0),
                        Next::Complete | Next::TooMany => return Ok(walk),
                    }
                }
                Err(answer) if is_asked_again(&answer, tries) => {}
                Err(answer) => return Err(NoList::refused(&answer)),
            }
        }
    }

    /// Stores the result of a walk and reports it; returns whether the read has no flaw.
    async fn conclude(&self, key: &SessionKey, source: &ListSource, walk: Walk) -> bool {
        let mut reading = walk.end(self.inventory.mark(key));
        let (flaw, packages) = (reading.flaw, reading.listing.len());
        let begun = reading.begun;
        let proves = self.judge(source, &mut reading).await;
        let (session, witness) = (&source.session, &source.witness);
        let news = (self.inventory).exists(session, witness, proves.moved_from, proves.own);
        let unmanaged = reading.listing.unmanaged();
        let taken = self.inventory.take(key, reading, self.clock.now());
        match flaw {
            None => {
                self.metrics.set_unmanaged(key, unmanaged);
                tracing::debug!(application = %key.app_id, packages, unmanaged, "the list was read");
            }
            Some(flaw) if taken.another_trouble => {
                tracing::info!(application = %key.app_id, %flaw, "the list may be incomplete, so a package that is missing from it is not taken as gone");
            }
            Some(_) => {}
        }
        let platforms = self.inventory.platforms(key);
        // A proof of existence also concerns the objects of Platforms that don't use this list.
        if news {
            self.wake(&self.directory.of_application(key));
        } else if taken.tells {
            self.wake(&platforms);
        }
        if !taken.reappeared.is_empty() {
            self.tell(key, &platforms, begun, &taken.reappeared).await;
        }
        flaw.is_none()
    }

    /// Marks the packages that no object stands for, unless the read has a flaw. Each listed package exists, also in
    /// a read with a flaw; returns what the existing packages prove.
    async fn judge(&self, source: &ListSource, reading: &mut Reading) -> Named {
        let mut proves = Named::default();
        for some in reading.listing.entries_mut().chunks_mut(AT_ONCE) {
            for entry in some {
                // A package whose id is no valid file id has no object.
                let file = entry.id().parse::<FileId>().ok();
                let named = file.map(|file| self.objects.of_package(&source.session, &file));
                let named = named.unwrap_or_default();
                proves.moved_from.extend(named.moved_from);
                proves.own |= named.own;
                entry.unmanaged = reading.flaw.is_none() && !named.stands;
            }
            tokio::task::yield_now().await;
        }
        proves
    }

    /// Stores a failed read, and logs it if its message is new; returns `false`.
    fn complain(&self, key: &SessionKey, why: &str) -> bool {
        if self.inventory.failed(key, why, self.clock.now()) {
            tracing::warn!(application = %key.app_id, endpoint = %key.endpoint, why, "the list can't be read");
        }
        false
    }

    fn wake(&self, platforms: &[ObjectKey]) {
        for platform in platforms {
            // The receiver is closed only while the process ends.
            let _ = self.changed.send(platform.clone());
        }
    }

    /// Reports packages that are listed although the platform reported their deletion, by metrics, audit lines and
    /// events. They are not deleted again.
    async fn tell(
        &self,
        key: &SessionKey,
        platforms: &[ObjectKey],
        begun: Now,
        reappeared: &[Deleted],
    ) {
        for deleted in reappeared {
            self.metrics.reappeared();
            let record = ReappearedRecord {
                time: self.clock.now().wall,
                application: key.app_id.clone(),
                endpoint: key.endpoint.clone(),
                file_id: deleted.file.clone(),
                deleted_at: deleted.answered.wall,
                listed_since: begun.wall,
            };
            if let Err(error) = self.audit.write(&record).await {
                self.metrics.unaudited();
                tracing::error!(%error, ?record, "the audit line could not be written");
            }
        }
        let note = note(reappeared);
        for platform in platforms {
            let Some(uid) = self.directory.uid(platform) else {
                continue;
            };
            let about = events::about::<Platform>(platform, &uid);
            self.events.say(about, note.clone());
        }
    }
}

/// Whether the page is requested again, after the session has waited or logged in anew.
fn is_asked_again(answer: &Answer, tries: u32) -> bool {
    match answer {
        Answer::Throttled(_) => tries < TRIES,
        Answer::TokenRefused(_) | Answer::CredentialsRefused(_) => tries == 1,
        Answer::Done(_)
        | Answer::Unproven(_)
        | Answer::AlreadyGone(_)
        | Answer::InvalidFileId(_)
        | Answer::ApplicationRefused(_)
        | Answer::Unexpected(_)
        | Answer::Unavailable(..) => false,
    }
}

/// The reason why a list can't be read to its end.
#[derive(Debug, thiserror::Error)]
enum NoList {
    #[error("no call is made for the application any more")]
    NoCalls,
    #[error(
        "the list is larger than the operator keeps in memory: at most {} MiB for one application, and {} MiB for all applications together",
        MOST_OF_ONE >> 20,
        MOST_OF_ALL >> 20
    )]
    TooLong,
    #[error("the platform refused the list ({answer}: {detail})")]
    Refused {
        answer: &'static str,
        detail: String,
    },
}

impl NoList {
    fn refused(answer: &Answer) -> Self {
        let detail = answer.detail().map(ToString::to_string);
        Self::Refused {
            answer: answer.as_str(),
            detail: detail.unwrap_or_default(),
        }
    }
}

fn note(reappeared: &[Deleted]) -> Note {
    let named: Vec<_> = reappeared
        .iter()
        .take(NAMED)
        .map(|deleted| deleted.file.as_str())
        .collect();
    let more = match reappeared.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Note {
        warning: true,
        reason: "PackageReappeared",
        message: format!(
            "The platform still lists packages although it said earlier that it had deleted them: {}{more}. They count as unmanaged, and the operator does not delete them again by itself. `vpo inventory` shows them; look whether they are to be deleted",
            named.join(", ")
        ),
    }
}
