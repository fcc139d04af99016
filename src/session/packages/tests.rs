use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::session::Purpose;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("fleet", name)
}

fn package(credential: u64, accepted_at: Option<&str>) -> PackageKey {
    PackageKey {
        credential: CredentialId::of(credential),
        file_id: "f-1".parse().unwrap(),
        accepted_at: accepted_at.map(|endpoint| endpoint.parse().unwrap()),
    }
}

fn ticket(name: &str, priority: Priority) -> Ticket {
    Ticket {
        uid: name.to_owned(),
        key: key(name),
        purpose: Purpose::Delete,
        priority,
        requested_at: Timestamp::UNIX_EPOCH,
    }
}

fn behind(holder: &str, priority: Priority) -> TurnPlace {
    TurnPlace::Behind {
        ahead: key(holder),
        holder: holder.to_owned(),
        priority,
    }
}

use Priority::{Deletion, Retirement};

#[test]
fn the_turn_of_a_package_has_the_most_urgent_priority_of_all_that_wait_for_it() {
    let (mut packages, package) = (PackageTurns::default(), package(1, None));
    let mut join = |name, priority| packages.join(&package, &ticket(name, priority));
    assert_eq!(join("a", Retirement), TurnPlace::Holder(Retirement));
    assert_eq!(join("b", Retirement), behind("a", Retirement));
    assert_eq!(join("c", Deletion), behind("a", Deletion));
    assert_eq!(join("a", Retirement), TurnPlace::Holder(Deletion));
    let left = |name: &str, priority| Left {
        followers: Vec::new(),
        holder: Some((name.to_owned(), priority)),
    };
    assert_eq!(packages.leave(&package, "b"), left("a", Deletion));
    assert_eq!(packages.leave(&package, "c"), left("a", Retirement));
    assert_eq!(packages.leave(&package, "c"), Left::default());
    assert_eq!(packages.ahead(&package, "c"), None);
}

#[test]
fn objects_of_another_credential_or_another_place_do_not_wait_for_each_other() {
    let mut packages = PackageTurns::default();
    for (name, package) in [
        ("a", package(1, None)),
        ("b", package(2, None)),
        ("c", package(1, Some("https://127.0.0.1:2"))),
    ] {
        let joined = packages.join(&package, &ticket(name, Deletion));
        assert_eq!(joined, TurnPlace::Holder(Deletion), "{name}");
    }
}

#[test]
fn all_that_wait_are_served_once_by_the_holder_and_by_nobody_else() {
    let (mut packages, package) = (PackageTurns::default(), package(1, None));
    for name in ["a", "b", "c"] {
        packages.join(&package, &ticket(name, Deletion));
    }
    assert_eq!(packages.ahead(&package, "b"), Some(&key("a")));
    assert_eq!(packages.ahead(&package, "a"), None);
    assert_eq!(packages.behind(&package, "a"), ["b", "c"]);
    assert_eq!(packages.behind(&package, "b"), [""; 0]);
    assert_eq!(packages.serve(&package, "b"), []);
    let served = ["b", "c"].map(|name| (name.to_owned(), key(name)));
    assert_eq!(packages.serve(&package, "a"), served);
    assert_eq!(packages.serve(&package, "a"), []);
}

#[test]
fn a_holder_that_leaves_tells_who_waited_and_leaves_nothing_behind() {
    let (mut packages, package) = (PackageTurns::default(), package(1, None));
    for name in ["a", "b", "c"] {
        packages.join(&package, &ticket(name, Deletion));
    }
    let left = packages.leave(&package, "a");
    assert_eq!(left.followers, [key("b"), key("c")]);
    assert!(packages.is_empty());
    let joined = packages.join(&package, &ticket("c", Deletion));
    assert_eq!(joined, TurnPlace::Holder(Deletion));
}
