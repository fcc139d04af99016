//! The status of a Platform that is being deleted.

use super::*;
use crate::api::platform::Guard;
use crate::guard::{Asked, Guards, Unused};

#[tokio::test]
async fn a_platform_that_is_being_deleted_says_what_holds_the_objects_that_it_stays_for() {
    let mut object = platform(&spec());
    object.deleted_at = Some(at(900));
    let users = Users {
        count: 2,
        some: vec![ObjectKey::new("iot", "a"), ObjectKey::new("iot", "b")],
    };
    let said = |record: Option<&Record>| {
        let status = next(&StatusSource {
            snapshot: Some(&snapshot(SessionState::Open)),
            users: Some(&users),
            record,
            ..look(&object, &grant(true, None))
        });
        let status = status.unwrap();
        let (_, reason, message) = ready(&status);
        assert_eq!(reason, "InUse");
        assert!(!message.contains("  "), "{message}");
        message.to_owned()
    };
    let message = said(None);
    assert!(message.contains("2 objects") && message.contains("go by themselves"));

    let (guards, app) = (
        Guards::new(
            mpsc::unbounded_channel().0,
            Arc::default(),
            Box::new(|_, _| 2),
            crate::clock::Clock::default(),
        ),
        "app-1".parse().unwrap(),
    );
    guards.load(std::iter::empty(), &Unused::default(), at(900));
    let none = Guard {
        max_deletions: 0,
        ..Guard::default()
    };
    guards.set_bound(&object.key, &object.uid, &app, &none, at(900));
    let asked = Asked {
        key: users.some[0].clone(),
        platform: object.key.clone(),
        at: at(900),
        hold: None,
        answered: None,
    };
    guards.ask("uid-a", &app, asked, at(900));
    let record = guards.all_records(at(900)).remove(&object.key);
    let message = said(record.as_ref());
    for part in [
        "2 objects",
        "keeps 1 deletions",
        "maxDeletions 0",
        "vpo hold release h-",
        "Raising the bound of Platform iot/production that was passed also releases all of these deletions at once, if then every bound lets all of them go",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("go by themselves"), "{message}");
}
