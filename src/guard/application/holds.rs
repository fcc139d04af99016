//! The hold of an application: how it begins, who is part of it, and how it ends.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::super::Asked;
use super::{ApplicationGuard, Bound, Hold, Member, Passed, Released, Releasing};
use crate::api::names::ObjectKey;

impl ApplicationGuard {
    /// The object `uid` is about to be marked with `id`, by the write of this number; `false` where that isn't what holds
    /// it any more.
    pub(in super::super) fn begin_mark(&mut self, uid: &str, id: &Arc<str>, write: i64) -> bool {
        let member = self.members.get(uid);
        let holds = member.is_some_and(|member| self.holding(member).as_ref() == Some(id));
        if holds {
            self.marking.insert((Arc::clone(id), write));
        }
        holds
    }

    /// The write that marked it has ended.
    pub(in super::super) fn end_mark(&mut self, id: &Arc<str>, write: i64, now: Timestamp) {
        self.marking.remove(&(Arc::clone(id), write));
        self.finish_release(now);
    }

    /// A person releases the hold `id`. Free is what is marked with it once no mark is on its way;
    /// `chance` makes the id of the hold of the rest.
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

    /// Whether the hold that stands could be ended by a Platform that counts elsewhere: its id is `released` there, or its
    /// bound is that of the Platform and stands higher by now.
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

    /// A hold that no status has any more lives on in the objects that it holds.
    pub(super) fn lost_hold(&self, now: Timestamp) -> Option<Hold> {
        let freed = |asked: &Asked| self.released.iter().any(|released| released.frees(asked));
        // Also one that was called for in vain before it was held.
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

    /// The hold that a passed bound begins.
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
                // Whenever it was asked for, one more would be sent past the bound.
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

    /// Releases the hold where a bound was raised just now, its own stands higher than when it began, and every bound
    /// lets all go that it counts. A raise that was too small releases nothing later, when objects have left.
    pub(super) fn release_by_bounds(&mut self, now: Timestamp, chance: u32) {
        // Before all objects are known, a hold seems to hold nothing.
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
            // Of a share it isn't known what it was a share of.
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

    /// The second half of a release, once all objects are known and no mark with the old id is on its way.
    pub(super) fn finish_release(&mut self, now: Timestamp) {
        let marking = &self.marking;
        let marks = |id: &Arc<str>| marking.iter().any(|(marked, _)| marked == id);
        let ready = |releasing: &Releasing| self.complete && !marks(&releasing.id);
        if self.releasing.as_ref().is_some_and(ready) {
            self.end_release(now);
        }
    }

    /// Releases what is marked.
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
            reason: format!("they came after the hold {} that was released", hold.id),
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

    /// What keeps `member`: its hold, also while its release isn't on record.
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
