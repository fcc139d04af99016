//! The answers to a look-up that comes before the guard, and their consequences.

use super::*;
use crate::package::memory::requests::DeletionRequest;

/// A retired object with a permit for its look-up.
fn record() -> Observation {
    Observation {
        looks_first: true,
        request: Some(DeletionRequest::new(now())),
        ..seen(fixtures::retired(fixtures::accepted("a", "app-1")))
    }
}

fn after(seen: &Observation, shown: Result<CategoryInfo, Answer>) -> Report {
    let shown = Effect::Shown(shown.map(Box::new));
    conclude(seen, &Decision::LookUp, &shown, now(), 0.0)
}

#[test]
fn a_package_that_is_there_is_asked_for_from_now_on_and_nothing_is_said() {
    let report = after(&record(), Ok(version("V1")));
    assert!(report.looked_up() && report.status.is_none() && report.settled().is_none());
    assert!(report.wake.is_some());
    let later = Observation {
        looks_first: false,
        ..record()
    };
    assert!(!after(&later, Ok(version("V1"))).looked_up());
}

#[test]
fn a_package_that_is_not_there_is_already_gone_unless_the_endpoint_is_not_believed() {
    let gone = || Err(Answer::AlreadyGone(detail(404, "123002")));
    let report = after(&record(), gone());
    assert_eq!(report.settled(), Some(Outcome::AlreadyGone));
    assert_eq!(reason(&report), "AlreadyGone");
    let deletion = report.status.unwrap().deletion.unwrap();
    assert!(deletion.requested_at.is_some() && deletion.attempts.is_none());
    let elsewhere = Observation {
        elsewhere: Some(decide::Unbelieved::Moved(
            "https://old.example.com".parse().unwrap(),
        )),
        ..record()
    };
    let report = after(&elsewhere, gone());
    assert_eq!((report.settled(), report.looked_up()), (None, false));
    assert_eq!(reason(&report), "EndpointChanged");
}

#[test]
fn what_tells_nothing_of_the_package_lets_its_deletion_go_the_ordinary_way() {
    for answer in [
        Answer::Unexpected(detail(404, "")),
        Answer::Unproven(detail(200, "")),
        Answer::InvalidFileId(detail(400, "120015")),
    ] {
        let report = after(&record(), Err(answer));
        assert!(report.looked_up() && report.status.is_none(), "{report:?}");
        assert!(report.wake.is_some() && report.retry() == Retry::Unchanged);
    }
}

#[test]
fn what_is_no_answer_of_the_platform_is_asked_again_and_asks_for_nothing_before() {
    for answer in [
        Answer::Unavailable(detail(503, ""), Trouble::Answered),
        Answer::Throttled(detail(403, "1010009")),
        Answer::TokenRefused(detail(401, "100002")),
        Answer::CredentialsRefused(detail(401, "100208")),
        Answer::ApplicationRefused(detail(403, "100247")),
    ] {
        let report = after(&record(), Err(answer));
        assert!(!report.looked_up() && report.settled().is_none());
        let deletion = report.status.unwrap().deletion.unwrap();
        // A restarted process knows from the missing time that the look-up is due.
        assert_eq!(deletion.requested_at, None);
        assert!(deletion.last_error.is_some());
    }
}
