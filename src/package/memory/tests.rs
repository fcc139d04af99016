use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc;

use super::*;

use crate::package::fixtures::app;
use crate::package::memory::own_write::{Echo, Part, RefusedWrite};
use crate::remote::client::{Connection, Timeouts};
use crate::remote::tls::TlsSettings;
use crate::session::{
    Credential, CredentialId, Member, PackageKey, Priority, Purpose, SessionKey, Sessions,
    Standing, Ticket,
};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("fleet", name)
}

fn place() -> SessionKey {
    SessionKey {
        endpoint: "https://127.0.0.1:1".parse().unwrap(),
        app_id: app("app-1"),
    }
}

fn package() -> PackageKey {
    PackageKey {
        credential: CredentialId::of(1),
        file_id: "f-1".parse().unwrap(),
        accepted_at: None,
    }
}

fn seat() -> Seat {
    let endpoint = "https://127.0.0.1:1".parse().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap();
    let tls = TlsSettings {
        ca: Some(certificate.cert.pem().into_bytes()),
        ..TlsSettings::default()
    };
    let connection = Connection::new(&endpoint, &tls, Timeouts::default()).unwrap();
    let sessions = Sessions::new(
        std::time::Duration::from_secs(15),
        mpsc::unbounded_channel().0,
        crate::clock::Clock::default(),
    );
    let member = Member {
        calls: 1,
        window: std::time::Duration::from_secs(60),
        credential: Credential::Login("s".into()),
        connection: Arc::new(connection),
        requested_at: None,
        handled: None,
    };
    Seat {
        session: sessions.join(&key("platform"), place(), member),
        package: package(),
    }
}

/// Asks for a permit for the retired object `uid`.
fn asks(memory: &Memory, uid: &str, seat: &Seat) -> Standing {
    let ticket = Ticket {
        uid: uid.to_owned(),
        key: key(uid),
        purpose: Purpose::Delete,
        priority: Priority::Retirement,
        requested_at: Timestamp::UNIX_EPOCH,
    };
    memory.take_seat(uid, seat.clone());
    seat.session.request(ticket, &seat.package)
}

fn is_behind(standing: &Standing, ahead: &str) -> bool {
    *standing == Standing::Behind { ahead: key(ahead) }
}

#[tokio::test]
async fn a_call_that_settles_a_deletion_settles_it_for_all_that_wait_behind_it_and_no_other() {
    let (memory, seat) = (Memory::default(), seat());
    let elsewhere = Seat {
        package: PackageKey {
            accepted_at: Some("https://127.0.0.1:2".parse().unwrap()),
            ..package()
        },
        ..seat.clone()
    };
    assert!(matches!(
        asks(&memory, "a", &seat),
        Standing::Waiting { .. }
    ));
    assert!(is_behind(&asks(&memory, "b", &seat), "a"));
    assert!(is_behind(&asks(&memory, "c", &seat), "a"));
    assert!(matches!(
        asks(&memory, "d", &elsewhere),
        Standing::Waiting { .. }
    ));
    assert!(memory.leave_seat("c").is_empty());
    assert_eq!(memory.settle("a", Outcome::Deleted), [key("b")]);
    for (uid, outcome) in [("b", Some(Outcome::Deleted)), ("c", None), ("d", None)] {
        assert_eq!(memory.settled(uid), outcome, "{uid}");
    }
    assert!(memory.leave_seat("a").is_empty());
    memory.forget("b");
    assert_eq!(memory.settled("b"), None);
}

#[tokio::test]
async fn objects_that_waited_behind_one_that_goes_ask_for_the_turn_themselves() {
    let (memory, seat) = (Memory::default(), seat());
    asks(&memory, "a", &seat);
    assert!(is_behind(&asks(&memory, "b", &seat), "a"));
    assert_eq!(memory.forget("a"), [key("b")]);
    assert_eq!(memory.settled("b"), None);
    assert!(matches!(
        asks(&memory, "b", &seat),
        Standing::Waiting { .. }
    ));
}

#[tokio::test]
async fn an_object_that_goes_while_it_asks_for_a_turn_leaves_no_turn_behind() {
    let (memory, seat) = (Memory::default(), seat());
    let ticket = Ticket {
        uid: "a".to_owned(),
        key: key("a"),
        purpose: Purpose::Delete,
        priority: Priority::Deletion,
        requested_at: Timestamp::UNIX_EPOCH,
    };
    // The watch shows that the object is gone between the two steps of its pass, and the pass finds that at its end.
    seat.session.request(ticket, &seat.package);
    assert!(memory.forget("a").is_empty());
    memory.take_seat("a", seat.clone());
    memory.forget("a");
    assert!(matches!(
        asks(&memory, "b", &seat),
        Standing::Waiting { .. }
    ));
}

#[tokio::test]
async fn an_object_that_is_forgotten_before_it_is_served_stays_forgotten() {
    let (memory, seat) = (Memory::default(), seat());
    asks(&memory, "a", &seat);
    asks(&memory, "b", &seat);
    memory.state.lock().entries.remove("b");
    assert_eq!(memory.settle("a", Outcome::Deleted), [key("b")]);
    assert_eq!(memory.settled("b"), None);
}

#[tokio::test]
async fn a_look_up_of_a_package_counts_for_all_that_wait_behind_it() {
    let (memory, seat) = (Memory::default(), seat());
    let now = crate::clock::Clock::default().now();
    let retired =
        |name: &str| crate::package::fixtures::retired(crate::package::fixtures::object(name));
    for name in ["a", "b"] {
        let object = retired(name);
        memory.requests.see(&object, now);
        asks(&memory, &object.uid, &seat);
        assert!(memory.requests.looks_first(&object.uid));
    }
    memory.looked_up("uid-a", now);
    assert!(!memory.requests.looks_first("uid-a") && !memory.requests.looks_first("uid-b"));
}

#[test]
fn an_own_write_is_awaited_until_the_cache_shows_another_version() {
    let (memory, at) = (Memory::default(), Instant::now());
    assert_eq!(memory.echo("a", "7"), Echo::Seen);
    memory.wrote("a", Part::Status, "7", at);
    assert_eq!(memory.echo("a", "7"), Echo::Pending(at));
    assert_eq!(memory.echo("a", "8"), Echo::Seen);
    memory.back("a");
    assert!(memory.state.lock().entries.is_empty());
}

#[test]
fn nothing_is_remembered_of_writes_that_failed_once_a_status_is_taken() {
    let (memory, at) = (Memory::default(), Instant::now());
    let under = Fingerprint {
        generation: 1,
        requested_at: None,
        revision: 1,
    };
    let failure = RefusedWrite {
        words: "no answer".to_owned(),
        count: 5,
        until: at,
        denied: false,
        phase: None,
    };
    for part in [Part::Status, Part::Complaint] {
        memory.refused("a", part, failure.clone(), under.clone());
    }
    memory.wrote("a", Part::Status, "7", at);
    memory.back("a");
    assert!(memory.state.lock().entries.is_empty());
}

#[test]
fn a_failure_counts_only_under_the_same_circumstances() {
    let memory = Memory::default();
    let fingerprint = |generation| Fingerprint {
        generation,
        requested_at: None,
        revision: 1,
    };
    let failure = Failure {
        count: 3,
        until: Instant::now(),
        fingerprint: fingerprint(1),
        unsaid: None,
    };
    memory.set_unsaid("a", Some(Box::default()));
    memory.set_failure("a", Some(failure.clone()));
    assert_eq!(memory.failure("a", &fingerprint(1)), Some(failure));
    memory.set_unsaid("a", Some(Box::default()));
    let unsaid = |generation| memory.failure("a", &fingerprint(generation))?.unsaid;
    assert!(unsaid(1).is_some() && unsaid(2).is_none());
    memory.set_unsaid("a", None);
    assert!(unsaid(1).is_none());
    assert_eq!(memory.failure("a", &fingerprint(2)), None);
}

#[test]
fn what_one_place_confirmed_says_nothing_of_another() {
    let memory = Memory::default();
    let of = |revision| Fingerprint {
        generation: 1,
        requested_at: None,
        revision,
    };
    let now = Instant::now();
    memory.set_proven("u-1", Some((of(1), now)));
    assert_eq!(memory.proven("u-1", &of(1)), Some(now));
    assert_eq!(
        memory.proven("u-1", &of(2)),
        None,
        "the Platform was edited"
    );
}

#[test]
fn an_object_that_went_before_a_write_was_answered_is_forgotten_by_the_end_of_its_pass() {
    use crate::clock::Clock;
    use crate::guard::Guards;
    use crate::package::cache::{Cache, Event};
    use crate::package::{fixtures, forget_gone};

    let (cache, memory) = (Cache::default(), Memory::default());
    let (wakes, population) = (mpsc::unbounded_channel().0, Box::new(|_: &_, _: &_| 1));
    let guards = Guards::new(wakes, Arc::default(), population, Clock::default());
    let object = fixtures::accepted("a", "app-1");
    let uid = &object.uid;
    cache.apply(Event::Applied(fixtures::watched(&object).into()));
    memory.wrote(uid, Part::Finalizers, "1", Instant::now());
    forget_gone(&cache, &memory, &guards, &object);
    assert_eq!(memory.state.lock().entries.len(), 1, "it's still there");
    // The watch shows the removal before the last patch is answered.
    let changes = cache.apply(Event::Deleted(fixtures::watched(&object).into()));
    for gone in &changes.gone {
        memory.forget(gone);
    }
    memory.wrote(uid, Part::Finalizers, "1", Instant::now());
    assert_eq!(memory.state.lock().entries.len(), 1);
    forget_gone(&cache, &memory, &guards, &object);
    assert!(memory.state.lock().entries.is_empty());
}
