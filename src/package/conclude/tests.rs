mod answers;
mod beforehand;
mod complaint;
mod failing;
mod graces;
mod looks_first;
mod parked;
mod told;
mod writing;

use std::sync::Arc;

use super::*;
use crate::api::names::{Endpoint, ObjectKey};
use crate::api::version_package::{Deletion, PackageIdentity};
use crate::guard::{Judgement, OnRecord};
use crate::inventory::Known;
use crate::object::Object;
use crate::package::claims::Claim;
use crate::package::decide::{self, Unbelieved};
use crate::package::fixtures::{self, seen};
use crate::remote::answer::{Call, CertificateFault, Trouble};
use crate::remote::wire::CategoryInfo;
use crate::session::{Purpose, SessionState};

fn now() -> Now {
    Now {
        wall: fixtures::now(),
        tick: Instant::now(),
    }
}

fn going() -> Object {
    fixtures::deleted(fixtures::accepted("a", "app-1"))
}

fn after(object: Object, answer: Answer) -> Report {
    conclude(
        &seen(object),
        &Decision::Send,
        &Effect::Answered(answer),
        now(),
        0.0,
    )
}

/// Report on waiting in the queue at `position`.
fn waits(object: Object, position: usize, state: SessionState, told: bool) -> Report {
    let standing = Standing::Waiting {
        purpose: Purpose::Delete,
        position,
        estimated: Duration::from_secs(70),
        state,
        told,
    };
    let seated = Effect::Seated(standing);
    conclude(&seen(object), &Decision::Nothing, &seated, now(), 0.0)
}

fn detail(status: u16, code: &str) -> Detail {
    Detail {
        http_status: Some(status),
        code: Some(code.into()),
        message: "text".into(),
    }
}

/// The effect of a pass on the count of failures.
#[derive(Debug, PartialEq)]
enum Retry {
    Unchanged,
    Anew,
    After(Instant),
    GivenBack(Instant),
}

impl Report {
    fn does(&self, what: impl Fn(&Errand) -> bool) -> bool {
        self.errands.iter().any(what)
    }

    fn proven(&self) -> bool {
        self.does(|errand| matches!(errand, Errand::Proven(Some(_))))
    }

    fn looked_up(&self) -> bool {
        self.does(|errand| matches!(errand, Errand::LookedUp(_)))
    }

    fn retry(&self) -> Retry {
        let mut retry = Retry::Unchanged;
        for errand in &self.errands {
            if *errand == Errand::Anew {
                retry = Retry::Anew;
            } else if let Errand::Fail(_, until) = errand {
                retry = Retry::After(*until);
            } else if let Errand::GivenBack(Some(until)) = errand {
                retry = Retry::GivenBack(*until);
            }
        }
        retry
    }
}

fn reason(report: &Report) -> String {
    report.status.as_ref().unwrap().conditions[0].reason.clone()
}

#[test]
fn only_done_and_already_gone_settle_a_deletion() {
    for (answer, outcome) in [
        (Answer::Done(200), Outcome::Deleted),
        (
            Answer::AlreadyGone(detail(404, "123002")),
            Outcome::AlreadyGone,
        ),
    ] {
        let report = after(going(), answer.clone());
        assert_eq!(
            (report.settled(), report.status),
            (Some(outcome), None),
            "the object goes: no status write"
        );
        let report = after(fixtures::retired(fixtures::accepted("a", "app-1")), answer);
        let deletion = report.status.unwrap().deletion.unwrap();
        assert_eq!(deletion.outcome, Some(outcome));
        assert!(deletion.finished_at.is_some());
    }
}

#[test]
fn every_other_answer_keeps_the_object_and_says_what_it_waits_for() {
    for (answer, word, seconds) in [
        (Answer::Throttled(detail(403, "1010009")), "Throttled", 0),
        (
            Answer::TokenRefused(detail(403, "1010005")),
            "TokenRefused",
            0,
        ),
        (
            Answer::CredentialsRefused(detail(401, "100208")),
            "AuthenticationFailed",
            5,
        ),
        (
            Answer::InvalidFileId(detail(400, "120015")),
            "InvalidFileId",
            3600,
        ),
        (
            Answer::ApplicationRefused(detail(400, "100247")),
            "ApplicationRefused",
            5,
        ),
        (Answer::Unexpected(detail(404, "")), "UnexpectedAnswer", 5),
        (
            Answer::Unavailable(Detail::default(), Trouble::TimedOut),
            "PlatformUnavailable",
            5,
        ),
    ] {
        let now = now();
        let effect = Effect::Answered(answer);
        let report = conclude(&seen(going()), &Decision::Send, &effect, now, 0.0);
        assert_eq!((reason(&report).as_str(), report.settled()), (word, None));
        assert_eq!(
            report.wake.unwrap() - now.tick,
            Duration::from_secs(seconds),
            "{word}"
        );
        let deletion = report.status.unwrap().deletion.unwrap();
        assert!(
            deletion.last_error.is_some()
                && deletion.intent.is_none()
                && deletion.outcome.is_none()
        );
    }
}

#[test]
fn a_parked_object_says_once_and_in_its_turn_that_a_person_has_to_act_and_has_acted() {
    let parked = |state: SessionState, told| move |object| waits(object, 2, state.clone(), told);
    let queued = parked(SessionState::Open, false)(going()).status.unwrap();
    let untrusted = SessionState::Unavailable(
        Detail::default(),
        Trouble::CertificateNotTrusted(CertificateFault::Issuer),
    );
    let refused = SessionState::AuthenticationFailed(Detail::default());
    for state in [untrusted.clone(), refused.clone()] {
        let status = queued.clone();
        let early = parked(state, false)(Object { status, ..going() });
        assert_eq!(early, Report::nothing(), "its turn to say so comes later");
    }
    let at_birth = parked(untrusted.clone(), false)(going());
    assert_eq!(reason(&at_birth), "TlsFailed");
    for (state, word) in [(untrusted, "TlsFailed"), (refused, "AuthenticationFailed")] {
        let told = parked(state.clone(), true)(Object {
            status: queued.clone(),
            ..going()
        });
        assert_eq!(reason(&told), word);
        let said = || Object {
            status: told.status.clone().unwrap(),
            ..going()
        };
        let again = parked(state, true)(said());
        assert_eq!(again, Report::nothing());
        let early = parked(SessionState::Open, false)(said());
        assert_eq!(early, Report::nothing(), "its turn to say so comes later");
        assert_eq!(reason(&parked(SessionState::Open, true)(said())), "Queued");
    }
}

#[test]
fn an_outage_is_told_by_who_is_next_and_beside_the_turn_of_who_is_parked_in_it() {
    let outage = SessionState::Unavailable(Detail::default(), Trouble::NotConnected);
    let report = waits(going(), 7, outage.clone(), true);
    assert_eq!(reason(&report), "Queued");
    let status = report.status.unwrap();
    let message = &status.conditions[0].message;
    assert!(
        message.contains("number 7 in the queue") && message.contains("can't be reached"),
        "{message}"
    );
    let waiting = || Object {
        status: status.clone(),
        ..going()
    };
    for state in [outage.clone(), SessionState::Open] {
        assert_eq!(waits(waiting(), 7, state, true), Report::nothing());
    }
    let next = waits(waiting(), 1, outage, true);
    assert_eq!(reason(&next), "PlatformUnavailable");
}

#[test]
fn a_parked_object_is_written_once_and_not_again_until_its_turn() {
    let report = waits(going(), 37, SessionState::Open, true);
    let status = report.status.clone().unwrap();
    assert_eq!(reason(&report), "Queued");
    assert!(
        status.conditions[0].message.contains("number 37")
            && status.conditions[0].message.contains("2m")
    );
    let parked = Object { status, ..going() };
    for state in [
        SessionState::Open,
        SessionState::Throttled {
            until: Instant::now(),
        },
        SessionState::TokenRefused(Detail::default()),
    ] {
        assert_eq!(waits(parked.clone(), 2, state, true), Report::nothing());
    }
    let refused = SessionState::AuthenticationFailed(detail(401, "100208"));
    assert_eq!(
        reason(&waits(parked, 2, refused, true)),
        "AuthenticationFailed",
        "nobody keeps saying Queued while the login is refused"
    );
}

#[test]
fn the_intent_is_written_with_one_attempt_more() {
    let mut object = going();
    object.status.deletion = Some(Deletion {
        attempts: Some(2),
        ..Deletion::default()
    });
    let report = conclude(
        &seen(object),
        &Decision::WriteIntent(None),
        &Effect::Intended("i-9".into()),
        now(),
        0.0,
    );
    let status = report.status.unwrap();
    let deletion = status.deletion.unwrap();
    assert_eq!(
        (status.phase, deletion.attempts, deletion.intent.as_deref()),
        (Some(Phase::Deleting), Some(3), Some("i-9"))
    );
}

#[test]
fn an_object_that_is_wanted_again_forgets_its_retirement() {
    let mut object = fixtures::accepted("a", "app-1");
    object.status.deletion = Some(Deletion {
        attempts: Some(1),
        requested_at: Some(Time(fixtures::now())),
        ..Deletion::default()
    });
    let decision = Decision::Rest {
        reason: Reason::Active,
        message: "The package is wanted".into(),
        until: None,
    };
    let report = conclude(&seen(object), &decision, &Effect::Nothing, now(), 0.0);
    assert_eq!(report.status.unwrap().deletion, None);
}

#[test]
fn resting_twice_writes_once_and_says_one_event() {
    let decision = Decision::Rest {
        reason: Reason::Paused,
        message: "held".into(),
        until: None,
    };
    let first = conclude(&seen(going()), &decision, &Effect::Nothing, now(), 0.0);
    assert!(first.event.as_ref().unwrap().warning);
    let object = Object {
        status: first.status.clone().unwrap(),
        ..going()
    };
    let second = conclude(&seen(object), &decision, &Effect::Nothing, now(), 0.0);
    assert_eq!((second.status, second.event), (None, None));
}

#[test]
fn what_the_platform_says_of_thousands_is_no_event_of_each() {
    for reason in [Reason::MassDeletionHeld, Reason::WouldDelete] {
        let decision = Decision::Rest {
            reason,
            message: "held".into(),
            until: None,
        };
        let report = conclude(&seen(going()), &decision, &Effect::Nothing, now(), 0.0);
        let said = &report.status.unwrap().conditions[0];
        assert_eq!((&*said.reason, report.event), (reason.as_str(), None));
    }
}

#[test]
fn what_the_list_says_of_a_package_is_written_when_it_changes_and_stays_when_it_says_nothing() {
    let decision = Decision::Rest {
        reason: Reason::Active,
        message: "The package is wanted".into(),
        until: None,
    };
    let status_of = |object: &Object, known| {
        let seen = Observation {
            known,
            ..seen(object.clone())
        };
        let report = conclude(&seen, &decision, &Effect::Nothing, now(), 0.0);
        report.status.unwrap_or_else(|| object.status.clone())
    };
    let listed = |version: &str| {
        Known::Listed(PackageIdentity {
            version: Some(version.to_owned()),
            ..PackageIdentity::default()
        })
    };
    let version = |status: &VersionPackageStatus| status.package.clone()?.version;
    let mut object = fixtures::accepted("a", "app-1");
    object.status = status_of(&object, Known::Unread);
    assert_eq!(object.status.package, None);
    object.status = status_of(&object, listed("V1"));
    assert_eq!(version(&object.status).as_deref(), Some("V1"));
    for known in [listed("V1"), Known::Unread, Known::Missing, Known::Off] {
        assert_eq!(status_of(&object, known), object.status, "nothing to write");
    }
    let changed = status_of(&object, listed("V2"));
    assert_eq!(version(&changed).as_deref(), Some("V2"));
}

#[test]
fn pauses_double_to_their_cap_and_chance_takes_at_most_half() {
    let pauses = Backoff {
        first: Duration::from_secs(5),
        longest: Duration::from_secs(600),
    };
    let all: Vec<u64> = (0..9)
        .map(|failures| pause(pauses, failures, 0.0).as_secs())
        .collect();
    assert_eq!(all, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    assert_eq!(pause(pauses, u32::MAX, 1.0), Duration::from_secs(300));
}

fn shown(expected: &str, shown: Result<CategoryInfo, Answer>) -> Report {
    let mut object = going();
    object.spec.as_mut().unwrap().expect = Some(crate::api::version_package::Expect {
        version: Some(expected.into()),
        ..crate::api::version_package::Expect::default()
    });
    let shown = Effect::Shown(shown.map(Box::new));
    conclude(&seen(object), &Decision::LookUp, &shown, now(), 0.0)
}

fn version(version: &str) -> CategoryInfo {
    CategoryInfo {
        version: Some(version.into()),
        ..CategoryInfo::default()
    }
}

#[test]
fn a_look_up_that_matches_says_nothing_and_lets_the_call_go_on_at_once() {
    let report = shown("V1", Ok(version("V1")));
    assert!(report.proven() && report.status.is_none() && report.wake.is_some());
}

#[test]
fn a_mismatch_stalls_with_both_values_and_proves_nothing() {
    let report = shown("V1", Ok(version("V2")));
    let status = report.status.clone().unwrap();
    let ready = &status.conditions[0];
    assert_eq!(ready.reason, "IdentityMismatch");
    assert!(
        ready.message.contains("; the operator tries again after ")
            && ready
                .message
                .ends_with(", or when the annotation iodm.dev/requested-at gets a new value"),
        "{}",
        ready.message
    );
    assert!(ready.message.contains("V1") && ready.message.contains("V2"));
    assert_eq!(status.package.unwrap().version.as_deref(), Some("V2"));
    assert!(!report.proven() && matches!(report.retry(), Retry::After(_)));
}

#[test]
fn a_package_that_the_look_up_does_not_find_is_already_gone_only_by_its_code() {
    let gone = Err(Answer::AlreadyGone(detail(404, "123002")));
    assert_eq!(shown("V1", gone).settled(), Some(Outcome::AlreadyGone));
    let bare = Err(Answer::Unexpected(detail(404, "")));
    let report = shown("V1", bare);
    assert_eq!(
        (report.settled(), reason(&report).as_str()),
        (None, "UnexpectedAnswer")
    );
}

#[test]
fn the_status_of_a_held_object_names_its_hold_and_keeps_the_id_after_the_release() {
    let held = Observation {
        guard: Judgement::Held("h-1".into()),
        ..seen(going())
    };
    let rest = decide::decide(&held, now());
    let report = conclude(&held, &rest, &Effect::Nothing, now(), 0.0);
    let status = report.status.unwrap();
    let id = |status: &VersionPackageStatus| status.deletion.as_ref().unwrap().hold.clone();
    assert_eq!(id(&status).as_deref(), Some("h-1"));
    let mut object = going();
    object.status = status;
    let released = Observation {
        guard: Judgement::Free(OnRecord::Counted),
        ..seen(object)
    };
    let intent = conclude(
        &released,
        &Decision::WriteIntent(None),
        &Effect::Intended("i".into()),
        now(),
        0.0,
    );
    assert_eq!(id(&intent.status.unwrap()).as_deref(), Some("h-1"));
    let mut retired = fixtures::retired(fixtures::accepted("a", "app-1"));
    retired
        .status
        .deletion
        .clone_from(&released.object.status.deletion);
    let claimed = Observation {
        claim: Claim::Claimed(ObjectKey::new("fleet", "b")),
        object: Arc::new(retired),
        ..released
    };
    let report = conclude(
        &claimed,
        &decide::decide(&claimed, now()),
        &Effect::Nothing,
        now(),
        0.0,
    );
    assert_eq!(id(&report.status.unwrap()), None, "it has left the hold");
}

#[test]
fn the_line_of_a_package_that_was_gone_tells_of_earlier_calls_of_ours() {
    let mut object = fixtures::object("a");
    for (attempts, call, outcome, earlier) in [
        (0, Call::Show, Outcome::AlreadyGone, None),
        (1, Call::Delete, Outcome::AlreadyGone, None),
        (1, Call::Show, Outcome::AlreadyGone, Some(1)),
        (3, Call::Delete, Outcome::AlreadyGone, Some(2)),
        (3, Call::Delete, Outcome::Deleted, None),
    ] {
        object.status.deletion = Some(Deletion {
            attempts: Some(attempts),
            ..Deletion::default()
        });
        let answer = Answer::Done(200);
        let record =
            audit_record(&seen(object.clone()), outcome, Some((call, &answer)), now()).unwrap();
        assert_eq!(record.earlier_attempts, earlier, "{attempts} {call:?}");
    }
}

#[test]
fn an_endpoint_that_speaks_of_no_package_of_ours_settles_nothing_until_it_does() {
    let old: Endpoint = "https://old.example.com".parse().unwrap();
    let new: Endpoint = "https://new.example.com".parse().unwrap();
    let mut object = fixtures::deleted(fixtures::accepted("a", "app-1"));
    object.status.endpoint = Some(old.clone());
    let seen = Observation {
        endpoint: Some(new.clone()),
        elsewhere: Some(Unbelieved::Moved(old.clone())),
        ..fixtures::seen(object)
    };
    let gone = Effect::Answered(Answer::AlreadyGone(Detail::default()));
    let report = conclude(&seen, &Decision::Send, &gone, now(), 0.0);
    assert_eq!(report.settled(), None);
    let status = report.status.unwrap();
    assert!(status.says(Reason::EndpointChanged));
    assert_eq!(
        status.endpoint.as_ref(),
        Some(&old),
        "it stays where it was"
    );
    assert!(status.deletion.as_ref().unwrap().outcome.is_none());
    // The endpoint would give the same answer, so no call is made before it has shown one of our packages.
    let told = Observation {
        object: std::sync::Arc::new(Object {
            status,
            ..(*seen.object).clone()
        }),
        ..seen.clone()
    };
    assert!(matches!(
        decide::decide(&told, now()),
        Decision::Rest {
            reason: Reason::EndpointChanged,
            ..
        }
    ));
    let shown = Observation {
        elsewhere: None,
        ..told
    };
    assert!(matches!(
        decide::decide(&shown, now()),
        Decision::Request(_)
    ));
    let report = conclude(&shown, &Decision::Send, &gone, now(), 0.0);
    assert_eq!(report.settled(), Some(Outcome::AlreadyGone));
    let retained = |mut object: Object| {
        object.spec.as_mut().unwrap().deletion_policy =
            crate::api::version_package::DeletionPolicy::Retain;
        object
    };
    let freed = Observation {
        object: std::sync::Arc::new(retained((*seen.object).clone())),
        ..seen
    };
    assert!(matches!(
        decide::decide(&freed, now()),
        Decision::Release { .. }
    ));
}
