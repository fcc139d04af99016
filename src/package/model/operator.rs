//! One pass of the operator, as the effects around the pure rooms make it.

use std::collections::HashMap;
use std::time::Duration;

use super::world::{GRACE, Reply, WINDOW, World, app};
use crate::api::names::ObjectKey;
use crate::api::status::patch;
use crate::api::version_package::{Outcome, VersionPackageStatus};
use crate::package::asking::ask;
use crate::package::claims::{self as judging, Belonging, Claim};
use crate::package::conclude::{Report, Written, afterwards, beforehand, conclude};
use crate::package::decide::{Decision, Observation, PlatformView, decide, noticed};
use crate::package::effect::Effect;
use crate::package::errand::Errand;
use crate::package::memory::{Fingerprint, Following};
use crate::package::object::Object;
use crate::package::others::{finding, weigh};
use crate::package::requests::Others;
use crate::package::writer::finalizers;
use crate::platform::guard::{Judgement, Unit};
use crate::platform::inventory::Known;
use crate::remote::answer::{Answer, Call, read as understand};
use crate::remote::mask::Mask;
use crate::session::{Purpose, Standing, State};
use crate::writes::{finalizers_body, status_body};

impl World {
    /// One pass over an object; `reply` is what the platform answers, should it be called. Tells whether it was.
    pub fn pass(&mut self, name: &str, reply: Reply) -> bool {
        let Some(mut seen) = self.observe(name) else {
            return false;
        };
        let now = self.clock();
        self.run(&seen, noticed(&seen, now));
        seen.guard = ask(&self.guards, &seen, now);
        let decision = decide(&seen, now);
        self.check_decision(&seen, &decision);
        self.run(&seen, beforehand(&seen, &decision, now));
        let effect = self.act(&seen, &decision, reply);
        let report = conclude(&seen, &decision, &effect, now, 0.0);
        self.deliver_report(&seen, &effect, report);
        matches!(effect, Effect::Answered(_))
    }

    pub(super) fn observe(&mut self, name: &str) -> Option<Observation> {
        let look = self.cache.look(&ObjectKey::new("fleet", name))?;
        let object = look.object;
        let now = self.clock();
        let present = self.application_of(object.platform().as_ref());
        let application = object.application().unwrap_or(&present).clone();
        let asks = object.deleted_at.is_some() || object.is_retired(now.wall);
        let (claim, finding, keepers) = if asks {
            let found = judging::find(&application, &look.others, now.wall, |other| {
                Belonging::Resolved(self.belonging(other.platform.as_ref()))
            });
            let finding = finding(&found, false, &object, &application);
            let keepers = found.keepers(&look.others);
            let since = finding.as_ref();
            let since = since.map_or_else(HashMap::new, |f| self.memory.doubts.peek(f, now));
            (weigh(found, &since, &object, now), finding, keepers)
        } else {
            (Claim::Nobody, None, Vec::new())
        };
        let outcome = object.status.deletion.as_ref().and_then(|d| d.outcome);
        let settled = self.memory.settled(&object.uid).or(outcome);
        let echo = self.memory.echo(&object.uid, &object.resource_version);
        let beside = Others {
            living: &look.others,
            keepers: &keepers,
        };
        let asked = self.memory.requests.peek(&object, now, false, beside);
        let file = object.file_id().unwrap().to_string();
        let ahead = self.leaders.get(&file).filter(|uid| **uid != object.uid);
        Some(Observation {
            echo,
            request: asked.request,
            anew: asked.anew,
            keepers,
            looks_first: asked.looks_first,
            finalizers_refused: None,
            status_refused: None,
            complaint_refused: None,
            blind: self.memory.is_blind(),
            settled,
            hindrance: None,
            graces_since: None,
            platform: PlatformView::Usable {
                app_id: present,
                mode: self.mode,
                last_good: None,
                grace: GRACE,
                accepts: true,
            },
            lagging: false,
            endpoint: None,
            elsewhere: None,
            known: Known::Unread,
            claim,
            finding,
            ahead: ahead.map(|uid| ObjectKey::new("fleet", uid.as_str())),
            hurried: false,
            guard: Judgement::Free(Unit::Counted),
            trials: Vec::new(),
            misplaced: false,
            proven: self
                .proven
                .get(&object.uid)
                .filter(|(generation, _)| *generation == object.generation)
                .map(|(_, at)| *at),
            standing: self
                .standings
                .get(&object.uid)
                .cloned()
                .unwrap_or(Standing::Absent),
            backoff: None,
            unproven: None,
            given_back: 0,
            failure: None,
            failed_audits: 0,
            conflicts: self.memory.conflicts(&object.uid),
            writes_hang: false,
            audited: self.memory.audited(&object.uid),
            window: WINDOW,
            object,
        })
    }

    pub(super) fn act(&mut self, seen: &Observation, decision: &Decision, reply: Reply) -> Effect {
        let object = &*seen.object;
        let name = &*object.key.name;
        match decision {
            Decision::AddFinalizer => self.patch(object, &finalizers(object, true)),
            Decision::Release { outcome, .. } => {
                let before = self.server.get(name);
                let effect = self.patch(object, &finalizers(object, false));
                if matches!(effect, Effect::Patched { .. }) {
                    self.check_release(&before.unwrap(), *outcome);
                }
                effect
            }
            Decision::Request(ticket) => {
                let file = object.file_id().unwrap().to_string();
                self.leaders.insert(file, object.uid.clone());
                let granted = if self.spare {
                    Standing::Permitted {
                        purpose: ticket.purpose,
                        intent: None,
                    }
                } else {
                    Standing::Waiting {
                        purpose: ticket.purpose,
                        position: 1,
                        estimated: Duration::ZERO,
                        state: State::Open,
                        told: true,
                    }
                };
                let standing = self.standings.entry(object.uid.clone());
                let standing = standing.or_insert_with(|| granted.clone());
                if let Standing::Permitted { purpose, intent } = standing {
                    if *purpose != ticket.purpose {
                        (*purpose, *intent) = (ticket.purpose, None);
                    }
                } else {
                    *standing = granted;
                }
                Effect::Seated(standing.clone())
            }
            Decision::WriteIntent(again) => {
                if !self.guards.take(&object.uid, self.now) {
                    return Effect::Beaten;
                }
                if let Some(intent) = again {
                    return Effect::Intended(intent.clone());
                }
                let id = format!("i-{}", self.server.changes.len());
                let standing = Standing::Permitted {
                    purpose: Purpose::Delete,
                    intent: Some((id.clone(), self.tick)),
                };
                self.standings.insert(object.uid.clone(), standing);
                Effect::Intended(id)
            }
            Decision::LookUp | Decision::Confirm => {
                let file = object.file_id().unwrap().to_string();
                self.standings.remove(&object.uid);
                Effect::Shown(self.show(&file))
            }
            Decision::Send => {
                if !self.guards.take(&object.uid, self.now) {
                    return Effect::Beaten;
                }
                self.guards.called(&object.uid);
                self.standings.remove(&object.uid);
                Effect::Answered(self.send(object, reply))
            }
            Decision::Follow { .. } => Effect::Follows(Following::Waits),
            Decision::Nothing
            | Decision::RestartWatch
            | Decision::EndConflict(_)
            | Decision::Await(_)
            | Decision::Tell { .. }
            | Decision::Rest { .. }
            | Decision::GiveBack(_) => Effect::None,
        }
    }

    pub(super) fn patch(&mut self, object: &Object, finalizers: &[&str]) -> Effect {
        let body = finalizers_body(&object.target(), finalizers);
        if self.server.patch(&object.key.name, &body, false).is_ok() {
            Effect::Patched { changed: true }
        } else {
            Effect::Outrun(Some(String::new()))
        }
    }

    pub(super) fn show(
        &self,
        file: &str,
    ) -> Result<Box<crate::remote::wire::CategoryInfo>, Answer> {
        if self.packages.contains(file) && self.application == app() {
            Ok(Box::new(crate::remote::wire::CategoryInfo {
                file_id: Some(file.to_owned()),
                version: Some(format!("V-{file}")),
                ..crate::remote::wire::CategoryInfo::default()
            }))
        } else {
            Err(not_found(Call::Show))
        }
    }

    pub(super) fn send(&mut self, object: &Object, reply: Reply) -> Answer {
        self.check_send(object);
        let file = object.file_id().unwrap().to_string();
        let answer = |status: u16, body: &str| {
            understand(Call::Delete, status, Ok(body.as_bytes()), &Mask::of(["s"]))
        };
        match reply {
            Reply::Done | Reply::DoneLost
                if !self.packages.contains(&file) || self.application != app() =>
            {
                not_found(Call::Delete)
            }
            Reply::Done => {
                self.packages.remove(&file);
                answer(200, "")
            }
            Reply::DoneLost => {
                self.packages.remove(&file);
                answer(500, "")
            }
            Reply::Unavailable => answer(500, ""),
            Reply::Throttled => {
                self.void_permits();
                answer(
                    403,
                    r#"{"error_code":"1010009","error_desc":"app throttle exceed"}"#,
                )
            }
            Reply::BareNotFound => answer(404, ""),
        }
    }

    pub(super) fn deliver_report(
        &mut self,
        seen: &Observation,
        effect: &Effect,
        mut report: Report,
    ) {
        let errands = std::mem::take(&mut report.errands);
        self.run(seen, errands);
        let written = self.write_status(seen, effect, report.status.as_ref());
        let then = (self.clock(), 0.0);
        let rest = afterwards(seen, effect, report, written, then);
        self.run(seen, rest.errands);
    }

    /// What the model keeps of all that is remembered; its guard, queue and audit log are of another kind.
    fn run(&mut self, seen: &Observation, errands: Vec<Errand>) {
        let object = &*seen.object;
        let uid = &object.uid;
        for errand in errands {
            match errand {
                Errand::Settle(outcome) => {
                    self.memory.settle(uid, outcome);
                    self.truths.entry(uid.clone()).or_default().outcome = Some(outcome);
                }
                Errand::Reopen => {
                    self.memory.reopen(uid);
                    self.truths.entry(uid.clone()).or_default().outcome = None;
                }
                Errand::LookedUp(now) => self.memory.looked_up(uid, now),
                Errand::Proven(Some(until)) => {
                    let proven = (object.generation, until);
                    self.proven.insert(uid.clone(), proven);
                }
                Errand::Proven(None) => {
                    self.proven.remove(uid);
                }
                Errand::LeaveSeat => self.leave(uid),
                Errand::Wrote(part, at) => {
                    let echo = at.map(|at| (&*object.resource_version, at));
                    self.memory.taken(uid, part, echo);
                }
                Errand::Contested(conflict) => {
                    self.memory
                        .met_conflict(uid, &object.resource_version, conflict);
                }
                Errand::Refused(part, refusal) => {
                    self.memory.refused(uid, part, refusal, fingerprint(object));
                }
                Errand::WriteDown(Some(ending)) => {
                    self.memory.owe(uid, *ending);
                    self.memory.paid(uid);
                }
                Errand::Doubt(finding) => self.memory.doubts.note(finding, self.clock()),
                Errand::Back => self.memory.back(uid),
                Errand::See(found) => self.memory.requests.note(object, found, self.clock()),
                Errand::WantRoom => self.guards.want(uid, object.platform()),
                Errand::RestartWatch => drop(self.memory.set_blind(true)),
                Errand::Try(_)
                | Errand::Unfollow
                | Errand::ReadAhead
                | Errand::TrySoon
                | Errand::Wake(_)
                | Errand::Exists(_)
                | Errand::Deleted(_)
                | Errand::Unproven(_)
                | Errand::GivenBack(_)
                | Errand::Fail(..)
                | Errand::Anew
                | Errand::WriteDown(None)
                | Errand::Unsaid(_)
                | Errand::Gone(_)
                | Errand::NotTaken(..)
                | Errand::Unaudited
                | Errand::LogNotTaken(_)
                | Errand::Unheard
                | Errand::Tell(_)
                | Errand::Log(..) => {}
            }
        }
    }

    fn write_status(
        &mut self,
        seen: &Observation,
        effect: &Effect,
        status: Option<&VersionPackageStatus>,
    ) -> Option<Written> {
        let (object, status) = (&*seen.object, status?);
        let intended = matches!(effect, Effect::Intended(_));
        let wrong = intended.then(|| self.wrong_to_delete(object)).flatten();
        let wanted = !seen.asks(self.clock());
        let target = object.target();
        let body = status_body(&target, &patch(status, &object.uid, &object.beside));
        let changed;
        match self.server.patch(&object.key.name, &body, true) {
            Ok(version) => {
                let real = self.server.get(&object.key.name);
                assert!(
                    real.is_some_and(|real| real.uid == object.uid),
                    "another object got the status of {}",
                    object.uid
                );
                changed = version != object.resource_version;
                let outcome = status.deletion.as_ref().and_then(|d| d.outcome);
                if matches!(outcome, Some(Outcome::Deleted | Outcome::AlreadyGone)) {
                    self.check_gone(object);
                }
                let truth = self.truths.entry(object.uid.clone()).or_default();
                if intended {
                    truth.wrong = wrong;
                }
                if matches!(seen.claim, Claim::Claimed(_)) {
                    // Who is claimed has left its hold.
                    (truth.held, truth.freed) = (false, false);
                }
                if wanted {
                    // It was seen to be wanted, and whatever is asked for later is asked for anew.
                    let came = truth.retired.is_none_or(|at| at <= self.now);
                    truth.seen_active |= came && object.generation > truth.wanted;
                    (truth.held, truth.freed) = (false, false);
                }
            }
            Err(404) => return Some(Written::Gone),
            Err(_) => return Some(Written::Contested(String::new())),
        }
        Some(Written::Yes { changed })
    }
}

/// The circumstances of a refusal.
fn fingerprint(object: &Object) -> Fingerprint {
    Fingerprint {
        generation: object.generation,
        requested_at: object.requested_at.clone(),
        revision: 0,
    }
}

fn not_found(call: Call) -> Answer {
    let body = br#"{"error_code":"123002","error_desc":"not found"}"#;
    understand(call, 404, Ok(body), &Mask::of(["s"]))
}
