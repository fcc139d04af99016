//! The hold of a group: how it begins, which deletions it holds, and how it ends.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::super::Asked;
use super::{ApplicationGuard, Bound, Hold, Member, Passed, Released, Releasing};
use crate::api::names::ObjectKey;

impl ApplicationGuard {
    /// Begins the write `write`, which marks the object `uid` with the hold `id`. Returns `false` if that hold doesn't
    /// hold the object any more.
    pub(in super::super) fn begin_mark(&mut self, uid: &str, id: &Arc<str>, write: i64) -> bool {
        let member = self.members.get(uid);
        let holds = member.is_some_and(|member| self.holding(member).as_ref() == Some(id));
        if holds {
            self.marking.insert((Arc::clone(id), write));
        }
        holds
    }

    /// Ends the write that marked an object with the hold.
    pub(in super::super) fn end_mark(&mut self, id: &Arc<str>, write: i64, now: Timestamp) {
        self.marking.remove(&(Arc::clone(id), write));
        self.finish_release(now);
    }

    /// Releases the hold `id` at a person's request. The release takes effect as soon as all objects are known and no
    /// write that marks an object with this id is in flight. It then frees all objects that are marked with the id. The
    /// other objects get a hold whose id is made from `chance`.
    pub(in super::super) fn release(&mut self, id: &str, now: Timestamp, chance: u32) {
        let present = self.hold.as_ref().filter(|hold| *hold.id == *id);
        if let (Some(hold), None) = (present, &self.releasing) {
            self.releasing = Some(Releasing {
                id: Arc::clone(&hold.id),
                next: id_of(chance),
            });
            self.finish_release(now);
        }
    }

    /// Whether a Platform of another group could end the hold of this guard. There are two ways: the release annotation
    /// of that Platform has the id of this hold; or the bound of that Platform was the one that was exceeded when the
    /// hold began, and this bound is higher now.
    pub(in super::super) fn waits_for(
        &self,
        released: Option<&str>,
        platform: &ObjectKey,
        bound: &Bound,
    ) -> bool {
        let Some(hold) = &self.hold else { return false };
        let passed = hold.bound.as_ref();
        let own = passed.filter(|passed| passed.platform == *platform && passed.uid == bound.uid);
        let raised = own
            .is_some_and(|passed| bound.max_percent.is_none() && bound.max_deletions > passed.told);
        released == Some(&*hold.id) || raised
    }

    /// If no Platform's status records a hold any more, restores the hold from the objects that still name it.
    pub(super) fn lost_hold(&self, now: Timestamp) -> Option<Hold> {
        let freed = |asked: &Asked| self.released.iter().any(|released| released.frees(asked));
        // An object for which a call failed before the object was held is included too.
        let lost = self.members.values().map(|member| &member.asked);
        let lost = lost.filter(|asked| !freed(asked));
        let id = lost.filter_map(|asked| asked.hold.as_ref()).min()?;
        Some(Hold {
            id: Arc::clone(id),
            since: now,
            reason:
                "these deletions were held before, and no Platform says that they were released"
                    .to_owned(),
            bound: None,
            sent: 0,
        })
    }

    /// Returns the hold that begins because a bound is exceeded.
    pub(super) fn passed(&self, now: Timestamp, chance: u32) -> Option<Hold> {
        let waiting = self.tally.waiting();
        let mut bounds = self.bounds.iter();
        bounds.find_map(|(platform, bound)| {
            if waiting == 0 || self.tally.all() < bound.most(self.population, 0) {
                return None;
            }
            let fullest = self.tally.fullest(bound.window, now);
            let sent = self.tally.sent_within(bound.window, now);
            let most = |sent| bound.most(self.population, self.gone(sent, now));
            let (count, sent) = if fullest.count > most(fullest.sent) {
                (fullest.count, fullest.sent)
            } else if sent >= most(sent) {
                // The sent deletions have used up the bound, so the next deletion would exceed it, no matter when that
                // deletion was requested.
                (sent + waiting, sent)
            } else {
                return None;
            };
            let most = most(sent);
            let name = match bound.max_percent {
                Some(percent) if most < bound.max_deletions => {
                    format!("guard.maxPercent {percent} ({most} deletions)")
                }
                Some(_) | None => format!("guard.maxDeletions {most}"),
            };
            Some(Hold {
                id: id_of(chance),
                since: now,
                reason: format!(
                    "{count} deletions within {:?}, {sent} of them sent, are more than {name} of Platform {platform}",
                    bound.window
                ),
                bound: Some(Passed {
                    platform: platform.clone(),
                    uid: bound.uid.clone(),
                    most,
                    told: most,
                    unseen: false,
                }),
                sent,
            })
        })
    }

    /// Releases the hold if three things are true: a bound was just raised; the bound whose excess began the hold is
    /// higher than it was then; every bound allows all the deletions that the hold counts. A raise that is too small
    /// doesn't release the hold later either, when objects have left the hold.
    pub(super) fn release_by_bounds(&mut self, now: Timestamp, chance: u32) {
        // Before all objects are known, the hold seems to hold none.
        if !self.complete {
            return;
        }
        let mut raised = std::mem::take(&mut self.raised);
        let waiting = self.held();
        let sent = self.hold.as_ref().map_or(0, |hold| hold.sent);
        let gone = self.gone(sent, now);
        let Some(hold) = &mut self.hold else { return };
        let Some(passed) = &mut hold.bound else {
            return;
        };
        let own = self.bounds.get(&passed.platform);
        let Some(own) = own.filter(|bound| bound.uid == passed.uid) else {
            return;
        };
        if std::mem::take(&mut passed.unseen) {
            // A bound in percent can't be compared, because the number of objects when the hold began isn't known.
            raised |= own.max_percent.is_none() && own.max_deletions > passed.most;
        }
        let most = |bound: &Bound| bound.most(self.population, gone);
        if !raised || most(own) <= passed.most {
            return;
        }
        if self
            .bounds
            .values()
            .all(|bound| most(bound) >= waiting + sent)
        {
            let id = Arc::clone(&hold.id);
            self.release(&id, now, chance);
        } else {
            passed.told = passed.told.max(most(own));
            self.untold = true;
        }
    }

    /// Finishes a release once all objects are known and no mark with the old id is being written.
    pub(super) fn finish_release(&mut self, now: Timestamp) {
        let marking = &self.marking;
        let marks = |id: &Arc<str>| marking.iter().any(|(marked, _)| marked == id);
        let ready = |releasing: &Releasing| self.complete && !marks(&releasing.id);
        if self.releasing.as_ref().is_some_and(ready) {
            self.end_release(now);
        }
    }

    /// Releases the objects that are marked with the id, and holds the others under a new id.
    pub(super) fn end_release(&mut self, now: Timestamp) {
        let Some(Releasing { id, next }) = self.releasing.take() else {
            return;
        };
        let counted = self.members.values().filter(|member| member.counts);
        let count = counted
            .filter(|m| m.asked.hold.as_ref() == Some(&id))
            .count();
        self.released.push(Released {
            id,
            time: now,
            count,
            of: self.platforms(),
            recorded: false,
        });
        let rest = self.tally.waiting() > count;
        self.hold = self.hold.take().filter(|_| rest).map(|hold| Hold {
            id: next,
            since: now,
            reason: format!("these deletions came after hold {} was released, and that release doesn't cover them", hold.id),
            bound: hold.bound.map(|passed| {
                let own = self.bounds.get(&passed.platform);
                let most = own.map_or(passed.most, |bound| bound.most(self.population, 0));
                Passed {
                    most,
                    told: most,
                    unseen: false,
                    ..passed
                }
            }),
            sent: 0,
        });
        self.untold = true;
    }

    pub(super) fn end_empty_hold(&mut self) {
        let empty = self.complete && self.releasing.is_none() && self.tally.waiting() == 0;
        if empty && self.hold.take().is_some() {
            self.untold = true;
        }
    }

    /// Returns the id of the hold that holds `member`, including a hold whose release isn't stored in a status yet.
    pub(super) fn holding(&self, member: &Member) -> Option<Arc<str>> {
        let own = member.asked.hold.as_ref();
        let is_own = |id: &&Arc<str>| own == Some(*id);
        let unrecorded = self.released.iter().filter(|r| !r.recorded);
        let unrecorded = unrecorded.filter(|r| r.frees(&member.asked)).map(|r| &r.id);
        let releasing = self.releasing.as_ref();
        let pending = unrecorded.chain(releasing.map(|r| &r.id)).find(is_own);
        let next = releasing.map(|releasing| &releasing.next);
        let present = self.hold.as_ref().map(|hold| &hold.id);
        pending.or(next).or(present).cloned()
    }
}

fn id_of(chance: u32) -> Arc<str> {
    format!("h-{chance:08x}").into()
}
