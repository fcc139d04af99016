//! An object with a refused status reports the refusal in its conditions, if the conditions can be written.

use super::writing::{event, refusal, rests};
use super::*;
use crate::package::memory::own_write::{Conflict, Part, RefusedWrite};

/// A parked object whose next status is refused for one more second.
fn refused(now: Now) -> Observation {
    let parked = seen(going());
    let status = rests(&parked, now).status.unwrap();
    let mut object = going();
    object.status = status;
    Observation {
        status_refused: Some(refusal(1, now.tick + Duration::from_secs(1))),
        ..seen(object)
    }
}

/// Report of a pass that waits until the status can be written.
fn waits(seen: &Observation, now: Now) -> Report {
    let until = now.tick + Duration::from_secs(1);
    conclude(seen, &Decision::Await(until), &Effect::Nothing, now, 0.0)
}

#[test]
fn conditions_say_in_the_words_of_the_policy_that_the_status_is_refused_and_all_else_stays() {
    let now = now();
    let seen = refused(now);
    let report = waits(&seen, now);
    assert_eq!(reason(&report), "StatusRefused");
    let status = report.status.unwrap();
    assert!(
        status.conditions[0].message.contains("policy p says no"),
        "{:?}",
        status.conditions
    );
    let before = VersionPackageStatus {
        phase: status.phase,
        conditions: status.conditions.clone(),
        ..seen.object.status.clone()
    };
    assert_eq!(status, before);
    // The complaint is written once.
    let mut object = going();
    object.status = status;
    let said = Observation {
        object: object.into(),
        ..seen
    };
    assert_eq!(waits(&said, now).status, None);
}

#[test]
fn that_fields_were_lost_is_still_said_while_the_status_is_refused() {
    let now = now();
    let mut object = crate::package::fixtures::undecodable("a");
    if let Err(undecodable) = &mut object.spec {
        undecodable.lost = true;
    }
    let seen = Observation {
        object: object.into(),
        ..refused(now)
    };
    let report = waits(&seen, now);
    assert_eq!(reason(&report), "FieldsLost");
    let message = &report.status.unwrap().conditions[0].message;
    assert!(message.contains("policy p says no"), "{message}");
}

#[test]
fn that_it_was_said_ends_no_pause_and_that_it_is_refused_too_is_remembered_apart() {
    let now = now();
    let seen = refused(now);
    let report = waits(&seen, now);
    let then = (now, 0.0);
    let yes = Some(Written::Yes { changed: true });
    let taken = afterwards(&seen, &Effect::Nothing, report.clone(), yes, then);
    let echo = Some(now.tick);
    assert_eq!(taken.errands, [Errand::Wrote(Part::Complaint, echo)]);

    let words = "policy p says no".to_owned();
    let no = Some(Written::Refused(words.clone()));
    let rest = afterwards(&seen, &Effect::Nothing, report.clone(), no, then);
    let until = now.tick + Duration::from_secs(1);
    let phase = Some(crate::api::reason::Phase::Stalled);
    let next = RefusedWrite {
        phase,
        ..refusal(1, until)
    };
    assert_eq!(event(&rest), Vec::<&str>::new());
    assert_eq!(
        rest.errands,
        [Errand::Refused(Part::Complaint, next.clone())]
    );
    let seen = Observation {
        complaint_refused: Some(next),
        ..seen
    };
    assert_eq!(waits(&seen, now).status, None);

    let contested = Some(Written::Contested(words.clone()));
    let rest = afterwards(&seen, &Effect::Nothing, report, contested, then);
    let conflict = Conflict {
        part: Part::Complaint,
        words,
        at: now.tick,
        phase,
    };
    assert_eq!(rest.errands, [Errand::Contested(conflict)]);
}

#[test]
fn what_can_not_be_said_either_is_tried_again_as_a_refusal_is() {
    let now = now();
    let seen = refused(now);
    let report = waits(&seen, now);
    assert!(report.complains);
    let failed = Some(Written::Failed("policy p says no".to_owned()));
    let rest = afterwards(&seen, &Effect::Nothing, report, failed, (now, 0.0));
    let failure = RefusedWrite {
        denied: false,
        phase: Some(crate::api::reason::Phase::Stalled),
        ..refusal(1, now.tick + Duration::from_secs(1))
    };
    let lasting = Errand::NotTaken(Part::Complaint, failure);
    assert!(rest.errands.contains(&lasting), "{:?}", rest.errands);
    assert!(rest.wake.unwrap() > now.tick);
}
