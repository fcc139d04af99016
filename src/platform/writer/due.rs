//! Which statuses of Platforms have to be written now.

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
    /// What has to be written now, and whose guard stands in a status already as it should. The releases of those in `waiting`
    /// wait for credentials to be tried.
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
            // Its version is another one once the write that is under way has ended.
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
            // A record that can't be read is replaced by the one that counts for it.
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
                    // The number is known once all are.
                    round: group.map(|group| (group, 0)),
                });
            } else if tells_the_same(&object.status, &status) {
                // A guard that began anew may have nothing else to say; without this it waits for a
                // write that never comes.
                safe.extend(group);
            }
        }
        (due, safe)
    }

    /// Sees which watches of Secrets fail for long. The first words stand as long as one does, so that each retry isn't news.
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

    /// Why the watch of one of the Secrets that `object` names fails, where it does for long.
    fn unwatched(&self, object: &PlatformObject) -> Option<Unwatched> {
        let spec = &object.wanted.as_ref().ok()?.spec;
        let mut named = named_secrets(spec, &object.key.namespace);
        let (_, unwatched) = named.find_map(|secret| self.unwatched.get(&secret))?;
        Some(unwatched.clone())
    }

    /// What is written of `object` while its status is refused: a policy may refuse just what that tells.
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

/// What there is to say of the session, and the other logins of its application where that matters.
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

/// The Platforms that bring another login of the same application which the platform accepts, by name, so that the
/// message doesn't change from look to look.
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
