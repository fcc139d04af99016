mod being_deleted;
mod due;
mod fields_lost;
mod logins;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::object::tests::{platform, spec};
use super::*;
use crate::remote::answer::{CertificateFault, ClientFault, Detail, TlsFault, Trouble};
use crate::remote::client::{Connection, Timeouts};
use crate::remote::tls::TlsSettings;
use crate::session::{Credential, Member, SessionKey, Sessions};

fn grant(logs_in: bool, last_good: Option<PlatformWord>) -> Access {
    let key = SessionKey {
        endpoint: "https://iot.example.com:8743".parse().unwrap(),
        app_id: "app-1".parse().unwrap(),
    };
    let second = Duration::from_secs(1);
    let timeouts = Timeouts {
        connect: second,
        total: second,
    };
    let connection =
        Arc::new(Connection::new(&key.endpoint, &TlsSettings::default(), timeouts).unwrap());
    let member = Member {
        calls: 100,
        window: second,
        credential: Credential::Login("s".into()),
        connection: Arc::clone(&connection),
        requested_at: None,
        handled: None,
    };
    let sessions = Sessions::new(
        Duration::from_secs(15),
        mpsc::unbounded_channel().0,
        crate::clock::Clock::default(),
    );
    let name = ObjectKey::new("iot", "production");
    Access::Granted(Grant {
        credential: sessions.credential(&key.app_id, &member.credential),
        session: sessions.join(&name, key.clone(), member),
        key,
        connection,
        logs_in,
        last_good,
    })
}

fn snapshot(state: SessionState) -> Snapshot {
    Snapshot::of_three(state, Duration::from_secs(170))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The inputs of a status without a fault: no session yet, and no object.
fn look<'a>(object: &'a PlatformObject, access: &'a Access) -> StatusSource<'a> {
    StatusSource {
        object,
        access,
        snapshot: None,
        packages: Some(PackageCounts::default()),
        users: None,
        record: None,
        other_logins: &[],
        overdue: None,
        unwatched: None,
        release_waits: false,
        now: (at(1000), Instant::now()),
    }
}

fn said_of(
    object: &PlatformObject,
    access: &Access,
    state: Option<SessionState>,
) -> Option<PlatformStatus> {
    let snapshot = state.map(snapshot);
    next(&StatusSource {
        snapshot: snapshot.as_ref(),
        ..look(object, access)
    })
}

fn ready(status: &PlatformStatus) -> (&str, &str, &str) {
    let ready = &status.conditions[0];
    (&ready.status, &ready.reason, &ready.message)
}

fn in_state(spec: &Value, state: SessionState) -> PlatformStatus {
    said_of(&platform(spec), &grant(true, None), Some(state)).unwrap()
}

fn detail() -> Detail {
    Detail {
        http_status: Some(401),
        code: Some("100208".to_owned()),
        message: "no such app".to_owned(),
    }
}

#[tokio::test]
async fn a_secret_whose_watch_fails_is_told_beside_all_else_where_it_was_read_before() {
    let object = platform(&spec());
    let failing = Unwatched {
        words: "the watch of Secret iot/iot-app fails: no etcd".to_owned(),
        since: at(900),
    };
    let unreadable = PlatformWord::new(PlatformReason::SecretUnreadable, "It can't be read.");
    let mistaken = PlatformWord::new(PlatformReason::SecretInvalid, "It lacks the key secret.");
    for (access, reason, told) in [
        (grant(true, None), "Available", true),
        (grant(true, Some(unreadable)), "SecretUnreadable", false),
        (Access::Refused(mistaken), "SecretInvalid", true),
    ] {
        let state = matches!(access, Access::Granted(_)).then_some(SessionState::Open);
        let snapshot = state.map(snapshot);
        let status = next(&StatusSource {
            snapshot: snapshot.as_ref(),
            unwatched: Some(&failing),
            ..look(&object, &access)
        });
        let status = status.unwrap();
        let (_, why, message) = ready(&status);
        assert_eq!(why, reason);
        let since = format!(
            "Since {} the operator can't see changes of the Secret ({})",
            at(900),
            failing.words
        );
        assert_eq!(message.contains(&since), told, "{message}");
    }
}

#[tokio::test]
async fn a_request_of_a_person_is_handled_once_calls_can_be_made_and_its_status_is_due_at_once() {
    let object = PlatformObject {
        requested_at: Some("2".to_owned()),
        ..platform(&spec())
    };
    let refused = Access::Refused(PlatformWord::new(PlatformReason::SecretInvalid, "m"));
    let before = said_of(&object, &refused, None).unwrap();
    assert_eq!(before.last_handled_requested_at, None);
    let handled = said_of(&object, &grant(true, None), Some(SessionState::Open)).unwrap();
    assert_eq!(handled.last_handled_requested_at.as_deref(), Some("2"));
    let unhandled = PlatformStatus {
        last_handled_requested_at: None,
        ..handled.clone()
    };
    assert!(is_due(&unhandled, &handled, false, Some(Duration::ZERO)));
}

#[tokio::test]
async fn a_release_that_waits_for_credentials_is_said_beside_all_else() {
    let (object, access) = (platform(&spec()), grant(true, None));
    let snapshot = snapshot(SessionState::Open);
    let said = |release_waits| {
        let status = next(&StatusSource {
            snapshot: Some(&snapshot),
            release_waits,
            ..look(&object, &access)
        });
        let status = status.unwrap();
        let (is, why, message) = ready(&status);
        assert_eq!((is, why), ("True", "Available"));
        message.contains("This Platform has released a hold")
    };
    assert!(said(true) && !said(false));
}

#[tokio::test]
async fn each_state_of_the_session_has_its_reason_and_says_what_mends_it() {
    let until = Instant::now();
    let unavailable = |trouble| SessionState::Unavailable(detail(), trouble);
    for (state, status, reason, part) in [
        (SessionState::Open, "True", "Available", "app-1"),
        (
            SessionState::TokenRefused(detail()),
            "True",
            "Available",
            "app-1",
        ),
        (
            SessionState::Superseded,
            "False",
            "TokenNotUsed",
            "iot/iot-app",
        ),
        (
            SessionState::QuotaTooSmall {
                life: Duration::from_secs(45),
            },
            "False",
            "QuotaTooSmall",
            "the quota is 1 call in 1m, and the token of the last login was valid for 45s",
        ),
        (
            SessionState::Throttled { until },
            "False",
            "Throttled",
            "spec.quota.calls",
        ),
        (
            unavailable(Trouble::TimedOut),
            "False",
            "PlatformUnavailable",
            "spec.endpoint",
        ),
        (
            unavailable(Trouble::CertificateNotTrusted(CertificateFault::Issuer)),
            "False",
            "CertificateNotTrusted",
            "spec.tls.caSecretRef",
        ),
        (
            unavailable(Trouble::ClientCertificateRefused(ClientFault::Missing)),
            "False",
            "ClientCertificateRefused",
            "spec.tls.clientCertSecretRef",
        ),
        (
            unavailable(Trouble::TlsMismatch(TlsFault::Version)),
            "False",
            "TlsMismatch",
            "TLS 1.2 or 1.3",
        ),
        (
            SessionState::AuthenticationFailed(detail()),
            "False",
            "AuthenticationFailed",
            "Secret iot/iot-app: the operator tries new ones at once. Without a change the operator tries again within an hour.",
        ),
        (
            SessionState::ApplicationRefused(detail()),
            "False",
            "ApplicationRefused",
            "code 100208",
        ),
    ] {
        let said = in_state(&spec(), state);
        let (is, why, message) = ready(&said);
        assert_eq!((is, why), (status, reason));
        assert!(message.contains(part), "{message}");
        assert_eq!(said.observed_generation, Some(3));
    }
}

#[tokio::test]
async fn observe_says_that_no_delete_is_sent() {
    let mut observing = spec();
    observing["mode"] = json!("Observe");
    let said = in_state(&observing, SessionState::Open);
    let (is, why, message) = ready(&said);
    assert_eq!((is, why), ("True", "Observing"));
    assert!(message.contains("No DELETE is sent"), "{message}");
}

#[tokio::test]
async fn a_refusal_is_said_as_it_is_and_nothing_is_said_of_what_is_unread() {
    let read = platform(&spec());
    assert_eq!(said_of(&read, &Access::Unread, None), None);
    let refusal = PlatformWord::new(PlatformReason::SecretNotFound, "Secret iot/x is not there.");
    let said = said_of(&read, &Access::Refused(refusal.clone()), None).unwrap();
    assert_eq!(
        ready(&said),
        ("False", "SecretNotFound", "Secret iot/x is not there.")
    );
    assert_eq!((said.session, said.queue), (None, None));

    let said = said_of(&read, &grant(true, Some(refusal)), Some(SessionState::Open)).unwrap();
    assert_eq!(ready(&said).1, "SecretNotFound");
    assert!(said.session.is_some());
}

#[tokio::test]
async fn objects_that_are_not_listed_yet_are_not_said_to_be_none() {
    let (mut read, access) = (platform(&spec()), grant(true, None));
    let counted = |object: &PlatformObject, packages| {
        let look = StatusSource {
            packages,
            ..look(object, &access)
        };
        next(&look).unwrap().packages
    };
    assert_eq!(counted(&read, None), None);
    let seven = Some(PackageCounts {
        active: 7,
        ..PackageCounts::default()
    });
    read.status.packages = seven.clone();
    assert_eq!(counted(&read, None), seven);
    let none = Some(PackageCounts::default());
    assert_eq!(counted(&read, none.clone()), none);

    // The count of packages without an object stays too until the next count.
    let of_nobody = |unmanaged| {
        Some(PackageCounts {
            unmanaged,
            ..PackageCounts::default()
        })
    };
    read.status.packages = of_nobody(Some(3));
    assert_eq!(counted(&read, of_nobody(None)), of_nobody(Some(3)));
    assert_eq!(counted(&read, of_nobody(Some(0))), of_nobody(Some(0)));
    let mut off = spec();
    off["inventory"] = json!({"interval": "0s"});
    read.wanted = platform(&off).wanted;
    assert_eq!(counted(&read, of_nobody(None)), of_nobody(None));
}

#[test]
fn durations_are_said_roughly() {
    for (seconds, said) in [
        (0, "10s"),
        (31, "40s"),
        (89, "90s"),
        (90, "2m"),
        (170, "3m"),
        (5399, "90m"),
        (5400, "2h"),
    ] {
        assert_eq!(rough(Duration::from_secs(seconds)), said);
    }
}

#[tokio::test]
async fn a_line_that_is_owed_for_too_long_is_told_unless_the_access_needs_somebody_first() {
    let (read, access) = (platform(&spec()), grant(true, None));
    let overdue = Overdue {
        age: Duration::from_secs(11),
        error: "No space left on device".to_owned(),
    };
    for (state, reason) in [
        (SessionState::Open, "AuditFailed"),
        (
            SessionState::ApplicationRefused(Detail::default()),
            "ApplicationRefused",
        ),
    ] {
        let said = next(&StatusSource {
            snapshot: Some(&snapshot(state)),
            overdue: Some(&overdue),
            ..look(&read, &access)
        })
        .unwrap();
        assert_eq!((ready(&said).0, ready(&said).1), ("False", reason));
        assert_eq!(
            ready(&said).2.contains("No space left"),
            reason == "AuditFailed"
        );
    }
}
