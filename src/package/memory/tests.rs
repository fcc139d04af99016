use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;

use crate::package::fixtures::app;
use crate::package::memory::own_write::{Echo, Part, RefusedWrite};
use crate::remote::client::{Connection, Timeouts};
use crate::remote::tls::TlsSettings;
use crate::session::{Credential, CredentialId, Member, Priority, SessionKey, Sessions};

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
    ((place(), CredentialId::of(1)), "f-1".parse().unwrap(), None)
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

/// A seat for the same package at another endpoint.
fn elsewhere(seat: &Seat) -> Seat {
    let place = SessionKey {
        endpoint: "https://127.0.0.1:2".parse().unwrap(),
        ..place()
    };
    Seat {
        package: ((place, CredentialId::of(1)), seat.package.1.clone(), None),
        ..seat.clone()
    }
}

/// A retired object begins to wait behind the leader.
fn behind(memory: &Memory, uid: &str) -> Following {
    memory.follow(uid, &key(uid), &package(), Priority::Retirement)
}

#[tokio::test]
async fn the_first_deletion_behind_a_leader_hurries_it_and_no_later_one() {
    let (memory, seat) = (Memory::default(), seat());
    let deleted = |uid| memory.follow(uid, &key(uid), &package(), Priority::Deletion);
    assert!(memory.take_seat("a", &key("a"), seat));
    assert_eq!(behind(&memory, "b"), Following::Waits);
    assert!(!memory.is_hurried("a"));
    assert_eq!(deleted("c"), Following::Hurries(key("a")));
    assert!(memory.is_hurried("a"));
    assert_eq!(deleted("d"), Following::Waits);
    assert_eq!(deleted("c"), Following::Waits);
    memory.leave_seat("a");
    assert!(!memory.is_hurried("a"), "nobody waits behind it any more");
}

#[tokio::test]
async fn one_package_has_one_leader_and_its_success_serves_those_behind_it() {
    let (memory, seat) = (Memory::default(), seat());
    assert!(memory.take_seat("a", &key("a"), seat.clone()));
    assert!(!memory.take_seat("b", &key("b"), seat.clone()));
    assert_eq!(behind(&memory, "b"), Following::Waits);
    assert_eq!(behind(&memory, "b"), Following::Waits);
    assert_eq!(memory.settle("a", Outcome::Deleted), [key("b")]);
    assert_eq!(memory.settled("b"), Some(Outcome::Deleted));
    assert!(memory.leave_seat("a").is_empty());
}

#[tokio::test]
async fn an_outcome_is_that_of_one_object_and_goes_with_it() {
    let (memory, seat) = (Memory::default(), seat());
    assert!(memory.take_seat("uid-a", &key("a"), seat));
    assert_eq!(behind(&memory, "uid-b"), Following::Waits);
    memory.settle("uid-a", Outcome::Deleted);
    assert_eq!(memory.settled("uid-b"), Some(Outcome::Deleted));
    memory.forget("uid-b");
    assert_eq!(memory.settled("uid-b"), None);
    assert!(memory.state.lock().seats.follows.is_empty());
}

#[tokio::test]
async fn who_has_left_a_leader_is_not_served_by_its_call() {
    let (memory, seat) = (Memory::default(), seat());
    let other = elsewhere(&seat);
    assert!(memory.take_seat("a", &key("a"), seat));
    for uid in ["b", "c", "d"] {
        assert_eq!(behind(&memory, uid), Following::Waits);
    }
    // One's Platform has another endpoint now, one is paused.
    assert!(memory.take_seat("b", &key("b"), other));
    memory.unfollow("c");
    assert_eq!(memory.settle("a", Outcome::Deleted), [key("d")]);
    for (uid, outcome) in [("b", None), ("c", None), ("d", Some(Outcome::Deleted))] {
        assert_eq!(memory.settled(uid), outcome, "{uid}");
    }
}

#[tokio::test]
async fn who_is_called_for_elsewhere_waits_for_nobody_here() {
    let (memory, seat) = (Memory::default(), seat());
    let other = elsewhere(&seat);
    assert!(memory.take_seat("a", &key("a"), seat));
    assert_eq!(memory.leader(&other.package), None);
    assert!(memory.take_seat("b", &key("b"), other));
}

#[tokio::test]
async fn whoever_waited_behind_a_leader_that_leaves_decides_anew() {
    let (memory, seat) = (Memory::default(), seat());
    assert!(memory.take_seat("a", &key("a"), seat.clone()));
    assert_eq!(behind(&memory, "b"), Following::Waits);
    assert_eq!(memory.forget("a"), [key("b")]);
    assert_eq!(memory.settled("b"), None);
    assert_eq!(behind(&memory, "b"), Following::Nobody);
    assert!(memory.take_seat("b", &key("b"), seat));
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
    // The watch tells that it went, and only then its last patch is answered.
    let changes = cache.apply(Event::Deleted(fixtures::watched(&object).into()));
    for gone in &changes.gone {
        memory.forget(gone);
    }
    memory.wrote(uid, Part::Finalizers, "1", Instant::now());
    assert_eq!(memory.state.lock().entries.len(), 1);
    forget_gone(&cache, &memory, &guards, &object);
    assert!(memory.state.lock().entries.is_empty());
}
