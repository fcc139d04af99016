//! Selects the statuses of Platforms that have to be written now.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::super::Directory;
use super::super::credentials::named_secrets;
use super::super::directory::{Access, Grant};
use super::super::object::PlatformObject;
use super::super::status::{
    StatusSource, Unwatched, complaint, is_due, next, tells_the_same, wall,
};
use super::telling::{status_refused, tell};
use super::{Due, Known, TOLD_AFTER, Writer};
use crate::api::names::ObjectKey;
use crate::guard::{Record, Told};
use crate::session::{SessionState, Snapshot};
use crate::sight::SightTrouble;

impl Writer {
    /// The statuses to write now, and the guards whose record is stored in a status already. `waiting` are the
    /// Platforms whose release waits for credentials to be tried.
    pub(super) fn due(
        &mut self,
        known: Vec<Known>,
        told: &BTreeMap<ObjectKey, Told>,
        waiting: &HashSet<ObjectKey>,
        now: (Timestamp, Instant),
    ) -> (Vec<Due>, HashSet<u64>) {
        let mut due = Vec::new();
        let mut safe = HashSet::new();
        let overdue = self.context.audit.overdue();
        self.note_unwatched(now);
        for known in known {
            let Known {
                object,
                access,
                tenants,
            } = known;
            let record = match told.get(&object.key) {
                Some(Told::UnderWay) => continue,
                Some(Told::Record(record)) => Some(&**record),
                None => None,
            };
            // The version of this Platform changes when the write in flight ends.
            if self.busy.contains(&object.key) {
                continue;
            }
            let (snapshot, other_logins) = session(&self.context.directory, &access);
            let group = record.map(Record::group);
            let unwatched = self.unwatched(&object);
            let status = next(&StatusSource {
                object: &object,
                access: &access,
                snapshot: snapshot.as_ref(),
                packages: tenants.as_ref().map(|all| all.counts.clone()),
                users: tenants.as_ref().map(|all| &all.users),
                record,
                other_logins: &other_logins,
                overdue: overdue.as_ref(),
                unwatched: unwatched.as_ref(),
                release_waits: waiting.contains(&object.key),
                now,
            });
            let Some(status) = status else { continue };
            let urgent = record.is_some_and(|record| record.is_urgent_for(&object.key));
            let since = self.written.since(&object.key, now.1);
            let repeats = self.written.bars(&object.key, &status, now.1);
            // The status replaces an unreadable guard record by the record that counts in its place.
            let heals = status.guard.is_some() && !object.beside.unreadable.is_empty();
            if !repeats && (heals || is_due(&object.status, &status, urgent, since)) {
                let (may, news) = self.statuses.may(&object, now.1);
                if let Some(words) = news {
                    tell(&self.context, &object, status_refused(&words));
                }
                if !may {
                    due.extend(self.complaint(object, now));
                    continue;
                }
                self.written.begins(&object.key, &status, now.1);
                due.push(Due {
                    object,
                    status,
                    complains: false,
                    // The number is set once all writes of the round are known.
                    round: group.map(|group| (group, 0)),
                });
            } else if tells_the_same(&object.status, &status) {
                // A new guard may have a record equal to the stored one. The guard has to hear that its record is
                // stored, or it would wait for a write that never comes.
                safe.extend(group);
            }
        }
        (due, safe)
    }

    /// Records which watches of Secrets have failed for long. The first message stays as long as a failure lasts, so
    /// that a retry changes no status.
    fn note_unwatched(&mut self, now: (Timestamp, Instant)) {
        let troubles = self.context.sight.secret_troubles(TOLD_AFTER, now.1);
        self.unwatched.retain(|secret, (since, _)| {
            let trouble = troubles.get(secret);
            trouble.is_some_and(|trouble| trouble.since == *since)
        });
        for (secret, SightTrouble { words, since }) in troubles {
            if let Some(wall) = wall(since, now) {
                let told = || (since, Unwatched { words, since: wall });
                self.unwatched.entry(secret).or_insert_with(told);
            }
        }
    }

    /// The lasting failure of the watch of one of the Secrets that `object` names.
    fn unwatched(&self, object: &PlatformObject) -> Option<Unwatched> {
        let spec = &object.wanted.as_ref().ok()?.spec;
        let mut named = named_secrets(spec, &object.key.namespace);
        let (_, unwatched) = named.find_map(|secret| self.unwatched.get(&secret))?;
        Some(unwatched.clone())
    }

    /// The complaint to write while the status of `object` is refused: a policy may refuse only some content of the
    /// full status.
    fn complaint(&mut self, object: PlatformObject, now: (Timestamp, Instant)) -> Option<Due> {
        let words = self.statuses.words(&object.key, now.1)?;
        let status = complaint(&object, &status_refused(words).message, now.0)?;
        let repeats = self.complained.bars(&object.key, &status, now.1);
        let (may, _) = self.complaints.may(&object, now.1);
        if repeats || !may {
            return None;
        }
        self.complained.begins(&object.key, &status, now.1);
        Some(Due {
            object,
            status,
            complains: true,
            round: None,
        })
    }
}

/// The snapshot of the session, and the other logins of its application where the message needs them.
fn session(directory: &Directory, access: &Access) -> (Option<Snapshot>, Vec<(ObjectKey, String)>) {
    let Access::Granted(grant) = access else {
        return (None, Vec::new());
    };
    let snapshot = grant.session.snapshot();
    let others = if snapshot.takes_turns || snapshot.state == SessionState::Superseded {
        other_logins(directory, grant)
    } else {
        Vec::new()
    };
    (Some(snapshot), others)
}

/// The Platforms of the same application that have a different login, which the platform accepts too. They are sorted,
/// so that the message stays the same.
fn other_logins(directory: &Directory, grant: &Grant) -> Vec<(ObjectKey, String)> {
    let view = directory.view();
    let others = view.platforms.values().filter_map(|other| {
        let Access::Granted(theirs) = &other.access else {
            return None;
        };
        let is_other = theirs.key == grant.key && theirs.credential != grant.credential;
        let key = other.object.key.clone();
        let spec = &other.object.wanted.as_ref().ok()?.spec;
        let secret = format!("{}/{}", key.namespace, spec.credentials_secret_ref.name);
        (is_other && theirs.logs_in).then(|| (key, secret, Arc::clone(&theirs.session)))
    });
    let others: Vec<_> = others.collect();
    drop(view);
    let proven = others
        .into_iter()
        .filter(|(_, _, session)| session.proof().is_proven());
    let mut proven: Vec<_> = proven.map(|(key, secret, _)| (key, secret)).collect();
    proven.sort_unstable();
    proven
}
