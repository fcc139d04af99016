//! Status messages about logins and the proof of credentials.

use super::*;
use crate::session::Proof;

/// The status of a Platform with this session, beside another Platform iot/other with a login.
fn beside_a_login(logs_in: bool, snapshot: &Snapshot) -> PlatformStatus {
    let (read, access) = (platform(&spec()), grant(logs_in, None));
    next(&StatusSource {
        snapshot: Some(snapshot),
        other_logins: &[(ObjectKey::new("iot", "other"), "iot/other-app".to_owned())],
        ..look(&read, &access)
    })
    .unwrap()
}

#[tokio::test]
async fn a_token_beside_a_login_that_works_says_which_secret_to_use() {
    let said = beside_a_login(false, &snapshot(SessionState::Superseded));
    let (is, why, message) = ready(&said);
    assert_eq!((is, why), ("False", "TokenNotUsed"));
    assert!(message.contains("Secret iot/other-app"), "{message}");
}

#[tokio::test]
async fn two_logins_that_are_accepted_say_that_they_take_turns() {
    let mut both = snapshot(SessionState::Open);
    both.takes_turns = true;
    let said = beside_a_login(true, &both);
    let (is, _, message) = ready(&said);
    assert!(is == "True" && message.contains("take turns"), "{message}");
    assert!(message.contains("Platform iot/other (Secret iot/other-app)"));
}

#[tokio::test]
async fn ready_says_what_is_known_of_the_credential() {
    let (read, access) = (platform(&spec()), grant(true, None));
    let said = |proof| {
        let mut looked = snapshot(SessionState::Open);
        looked.proof = proof;
        let said = next(&StatusSource {
            snapshot: Some(&looked),
            ..look(&read, &access)
        });
        ready(&said.unwrap()).2.to_owned()
    };
    let untried = said(Proof::Untried);
    assert!(untried.contains("untried"), "{untried}");
    assert!(!untried.contains("can be made"), "{untried}");
    let proven = said(Proof::Proven { since: at(900) });
    assert!(proven.contains("can be made"), "{proven}");
    assert!(proven.contains("1970-01-01T00:15:00Z"), "{proven}");
}
