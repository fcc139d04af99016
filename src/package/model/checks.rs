//! What must hold at every step, and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::claims;
use super::world::{BOUND, GRACE, Reply, WINDOW, World, app};
use crate::api::platform::Mode;
use crate::api::reason::Reason;
use crate::api::version_package::Outcome;
use crate::package::asking::may_ask_later;
use crate::package::claims::Claim;
use crate::package::claims::PATIENCE;
use crate::package::decide::{Decision, Observation};
use crate::package::object::Object;
use crate::platform::guard::Judgement;

/// How another object stands against a deletion.
enum Against {
    Claim,
    Doubt,
}

impl World {
    /// Why a call for this object would delete what somebody wants, as things are now.
    pub(super) fn wrong_to_delete(&self, object: &Object) -> Option<&'static str> {
        let Some(real) = self
            .server
            .get(&object.key.name)
            .filter(|real| real.uid == object.uid)
        else {
            return Some("the object is gone or another one");
        };
        let asks = real.deleted_at.is_some() || real.is_retired(self.now);
        if !asks {
            return Some("it is wanted");
        }
        if real.deleted_at.is_some() && real.is_retained() {
            return Some("its package is retained");
        }
        if real.paused {
            return Some("it is paused");
        }
        let mut others = self.server.all().filter(|other| other.uid != real.uid);
        let wanted = others.find_map(|other| self.stands_against(&real, other));
        wanted.map(|how| match how {
            Against::Claim => "another object claims the package",
            Against::Doubt => "another object may claim the package",
        })
    }

    /// How another object stands against the deletion of this one's package, by the rule and as things are now.
    fn stands_against(&self, object: &Object, other: &Object) -> Option<Against> {
        let lives = other.deleted_at.is_none() && !other.is_retired(self.now);
        if !lives || other.file_id() != object.file_id() {
            return None;
        }
        let own = object.application().unwrap_or(&self.application);
        let theirs = self.belonging(other.platform().as_ref());
        let (pin, present) = (other.application(), &theirs.application);
        let claims = pin == Some(own)
            && present == own
            && other.has_finalizer()
            && (theirs.equal || theirs.proven);
        if claims {
            return Some(Against::Claim);
        }
        let elsewhere = present != own && theirs.proven && pin.is_none_or(|pin| pin == present);
        if elsewhere {
            return None;
        }
        // For so long it and the operator have been there.
        let since = self.born.get(&other.uid).copied().unwrap_or(self.now);
        let since = since.max(self.started);
        let patience = Duration::try_from(self.now.duration_since(since));
        let heeded = patience.is_ok_and(|waited| waited >= PATIENCE);
        let passed = heeded && object.disregard.contains(&other.uid);
        (!passed).then_some(Against::Doubt)
    }

    /// Whether another object really claims the package of this one.
    pub(super) fn is_claimed(&self, object: &Object) -> bool {
        let own = object.application().unwrap_or(&self.application);
        let mut others = self.server.all().filter(|other| other.uid != object.uid);
        others.any(|other| {
            let same = other.file_id() == object.file_id() && other.application() == Some(own);
            same && claims(other, self.now)
        })
    }

    /// What stood against a call when its intent was written, and is over since, doesn't come back with another change:
    /// that one is later than the intent.
    pub(super) fn drop_objections(&mut self) {
        let all: Vec<_> = self.server.all().collect();
        for object in all {
            let now = self.wrong_to_delete(object);
            if let Some(truth) = self.truths.get_mut(&object.uid) {
                truth.wrong = truth.wrong.filter(|then| now == Some(*then));
            }
        }
    }

    pub(super) fn check_send(&mut self, object: &Object) {
        let uid = &object.uid;
        let truth = self.truths.entry(uid.clone()).or_default().clone();
        // Whatever stood against it when the intent was written may be over by now.
        let now = self.wrong_to_delete(object);
        let wrong = truth.wrong.filter(|then| now == Some(*then));
        assert_eq!(wrong, None, "a wrong delete of {uid}");
        assert_eq!(self.mode, Mode::Enforce, "a delete in mode Observe");
        let own = object
            .application()
            .expect("sent without an application")
            .clone();
        assert_eq!(own, self.application, "a delete with another application");
        // It was held for the application that it seemed to be of, which isn't always its own.
        assert!(
            own != app() || !truth.held || truth.freed,
            "{uid} was sent although a hold keeps it"
        );
        let asked = match (
            object.deleted_at,
            truth.retired.filter(|_| object.is_retired(self.now)),
        ) {
            (Some(deleted), Some(retired)) => deleted.min(retired),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => panic!("{uid} asks for nothing"),
        };
        let since = Duration::try_from(self.now.duration_since(asked)).unwrap_or_default();
        // The API server keeps times to the second.
        assert!(
            since + Duration::from_secs(1) >= GRACE,
            "{uid} was sent {since:?} after it was asked for"
        );
        let spec = object.spec.as_ref().unwrap();
        if let Some(expect) = &spec.expect {
            let version = format!("V-{}", spec.file_id);
            assert_eq!(
                expect.version.as_deref(),
                Some(&*version),
                "{uid} is not what was expected"
            );
        }
        let start = self.now.checked_sub(WINDOW).unwrap();
        if !truth.freed && own == app() {
            self.sent.push((self.now, uid.clone()));
            let within = self.sent.iter().filter(|(at, _)| *at > start);
            // However often one is tried, it is one deletion.
            let within = within.map(|(_, uid)| uid).collect::<BTreeSet<_>>().len();
            assert!(within <= BOUND, "{within} were sent within a window");
        }
    }

    pub(super) fn check_decision(&mut self, seen: &Observation, decision: &Decision) {
        let object = &*seen.object;
        if let Some(request) = seen.request.filter(|_| seen.anew) {
            self.truths.entry(object.uid.clone()).or_default().anew = Some(request.at);
        }
        let held = matches!(seen.guard, Judgement::Held(_));
        if held && matches!(decision, Decision::Rest { .. }) {
            // Whatever else is said of it, as in mode Observe; before a word is said, a crash can lose the hold.
            self.truths.entry(object.uid.clone()).or_default().held = true;
        }
        let says_held = matches!(
            decision,
            Decision::Rest {
                reason: Reason::MassDeletionHeld,
                ..
            }
        );
        assert!(held || !says_held, "{} is held by nothing", object.uid);
        if let Decision::Rest {
            reason: Reason::GracePeriod,
            until: Some(until),
            ..
        } = decision
        {
            let deletion = object.status.deletion.as_ref();
            let retired = object.is_retired(self.now);
            let same = deletion.filter(|d| d.is_of(object.deleted_at, retired));
            // A retirement may have been called off and asked for anew by an edit that nobody saw.
            let edited = object.status.observed_generation != Some(object.generation);
            let same = same.filter(|d| d.object_deleted_at.is_some() || !retired || !edited);
            // What is stored of a request stands, a restart in between or not, as long as no claim has ended since.
            if let Some(stored) = same.and_then(|d| d.requested_at.as_ref()) {
                let truth = self.truths.entry(object.uid.clone()).or_default();
                let begun = stored.0.max(truth.anew.unwrap_or(stored.0));
                let ends = begun.checked_add(GRACE).unwrap();
                let left = Duration::try_from(ends.duration_since(self.now)).unwrap_or_default();
                assert!(
                    *until <= self.tick + left,
                    "{} begins its grace period anew",
                    object.uid
                );
            }
        }
        let handed_over = object.deleted_at.is_some()
            && object.has_finalizer()
            && matches!(seen.claim, Claim::Claimed(_));
        assert!(
            !handed_over || !matches!(decision, Decision::Rest { .. }),
            "{} is claimed by another object and is held: {decision:?}",
            object.uid
        );
        let retained =
            object.deleted_at.is_some() && object.is_retained() && object.has_finalizer();
        assert!(
            !retained || !matches!(decision, Decision::Rest { .. }),
            "{} says Retain and is held: {decision:?}",
            object.uid
        );
    }

    /// An object that says so, or goes, has no package any more.
    pub(super) fn check_gone(&self, object: &Object) {
        let file = object.file_id().unwrap().to_string();
        // The other application has none of these packages.
        let own = object
            .application()
            .expect("asked for without an application");
        let elsewhere = *own != app();
        assert!(
            elsewhere || !self.packages.contains(&file),
            "{} is at its end, and its package is still there",
            object.uid
        );
    }

    pub(super) fn check_release(&self, object: &Object, outcome: Outcome) {
        let file = object.file_id().unwrap().to_string();
        match outcome {
            Outcome::Deleted | Outcome::AlreadyGone => self.check_gone(object),
            Outcome::Retained => assert!(object.is_retained()),
            Outcome::HandedOver => {
                let mut others = self.server.all().filter(|other| other.uid != object.uid);
                let kept = others.any(|other| other.file_id() == object.file_id());
                assert!(
                    kept || !self.packages.contains(&file) || self.forced.contains(&file),
                    "{} was handed to nobody",
                    object.uid
                );
            }
        }
    }

    /// Everything well again: whatever was asked for comes to its end.
    /// The platform answers with `replies` first.
    pub fn finish(&mut self, replies: Vec<Reply>) {
        let mut replies = replies.into_iter();
        let mut reply = replies.next().unwrap_or(Reply::Done);
        self.mode = Mode::Enforce;
        self.application = app();
        for name in super::STRANGERS {
            self.leave_by_force(name);
        }
        let names: Vec<String> = self.server.objects.keys().cloned().collect();
        for (index, name) in names.iter().enumerate() {
            let object = self.server.get(name).unwrap();
            if may_ask_later(&object, self.now) {
                // It comes early enough to end in time.
                self.schedule(name, Duration::from_secs(60));
            }
            if object.paused && index % 2 == 0 && object.deleted_at.is_some() {
                // The way out works on a paused one too.
                self.server
                    .edit(name, |o| o["spec"]["deletionPolicy"] = json!("Retain"));
            } else {
                self.server
                    .edit(name, |o| o["metadata"]["annotations"] = json!({}));
            }
            self.server.edit(name, |o| {
                let file = o["spec"]["fileId"].as_str().unwrap().to_owned();
                if !o["spec"]["expect"].is_null() {
                    o["spec"]["expect"] = json!({"version": format!("V-{file}")});
                }
            });
        }
        self.untangle(&names);
        for round in 0..60 {
            self.pass_time(Duration::from_secs(11));
            // Some were accepted for the other application: theirs is the only one that may be asked.
            let application = if round % 2 == 0 { "app-1" } else { "app-2" };
            self.application = application.parse().unwrap();
            self.relist();
            self.record();
            self.release();
            self.record();
            let names: Vec<String> = self.server.objects.keys().cloned().collect();
            for name in &names {
                for _ in 0..3 {
                    self.permit(name);
                    self.deliver(usize::MAX);
                    if self.pass(name, reply) {
                        reply = replies.next().unwrap_or(Reply::Done);
                    }
                    self.record();
                    self.deliver(usize::MAX);
                }
            }
            if round > 0 && self.is_done() {
                self.check_told();
                return;
            }
        }
        let left: BTreeMap<_, _> = self
            .server
            .objects
            .iter()
            .map(|(name, object)| (name, object["status"]["conditions"][0].clone()))
            .collect();
        assert!(self.is_done(), "no progress: {left:#?}");
    }

    /// People say of what two applications may want which of them it is.
    fn untangle(&mut self, names: &[String]) {
        for name in names {
            let object = self.server.get(name).unwrap();
            let now = self.now;
            let lives = |other: &Object| other.deleted_at.is_none() && !other.is_retired(now);
            let mut others = self.server.all().filter(|other| other.uid != object.uid);
            let shared = others.any(|other| lives(other) && other.file_id() == object.file_id());
            drop(others);
            let asks = !lives(&object);
            let outcome = object.status.deletion.as_ref().and_then(|d| d.outcome);
            if asks && shared && outcome.is_none() && object.application() != Some(&app()) {
                self.server
                    .edit(name, |o| o["spec"]["deletionPolicy"] = json!("Retain"));
                self.delete(name);
            } else if !asks {
                self.annotate(name, "accept", app().as_str());
            }
        }
    }

    /// What the last word of an object is: one verdict of ours, with what others have to say.
    fn check_told(&self) {
        for object in self.server.objects.values() {
            let conditions = object["status"]["conditions"].as_array();
            let conditions = conditions.map_or(&[][..], Vec::as_slice);
            let of = |type_: &str| conditions.iter().find(|c| c["type"] == type_);
            let name = &object["metadata"]["name"];
            assert!(
                of("Stalled").is_none() || of("Ready").is_some_and(|c| c["status"] == "False"),
                "{name} says both"
            );
            let ours = |c: &&Value| c["type"] != "Reviewed";
            let foreign = conditions
                .iter()
                .filter(ours)
                .any(|c| c["reason"] == "Foreign");
            assert!(!foreign, "{name} keeps what somebody else says in our name");
            let whole = &object["status"]["uid"];
            assert!(
                conditions.is_empty() || *whole == object["metadata"]["uid"],
                "{name} has the status of another object"
            );
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.server.all().all(|object| {
            let outcome = object.status.deletion.as_ref().and_then(|d| d.outcome);
            let mut others = self.server.all().filter(|other| other.uid != object.uid);
            let claimed = others.any(|other| {
                let same = other.file_id() == object.file_id()
                    && other.application() == object.application();
                same && claims(other, self.now)
            });
            object.deleted_at.is_none()
                && (!object.is_retired(self.now) || outcome.is_some() || claimed)
        })
    }
}
