use super::*;
use crate::api::platform::PlatformStatus;
use crate::api::version_package::VersionPackageStatus;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn of(status: &Value, created: Timestamp) -> ReadStatus<VersionPackageStatus> {
    let bearer = Bearer {
        uid: "u",
        created: Some(created),
    };
    read(status.clone(), &bearer)
}

fn condition(type_: &str, time: Timestamp) -> Value {
    json!({"type": type_, "status": "True", "reason": "R", "message": "", "lastTransitionTime": time})
}

#[test]
fn a_status_of_another_object_says_nothing_and_the_conditions_of_others_stay() {
    let status = json!({
        "uid": "v", "application": "app-1", "deletion": {"outcome": "Deleted"},
        "conditions": [condition("Ready", at(9)), condition("Reviewed", at(9))],
    });
    let read = of(&status, at(0));
    assert_eq!(read.status, VersionPackageStatus::default());
    assert_eq!(read.beside.conditions, [condition("Reviewed", at(9))]);
    let own = Bearer {
        uid: "v",
        created: None,
    };
    let own: ReadStatus<VersionPackageStatus> = super::read(status, &own);
    assert!(own.status.deletion.is_some() && own.status.ready().is_some());
    assert_eq!(own.status.uid, None, "a write adds it");
}

#[test]
fn a_status_without_a_uid_counts_while_its_newest_time_is_not_older_than_the_object() {
    let counts = |status: &Value, created| of(status, created).status.application.is_some();
    for dated in [
        json!({"application": "a", "conditions": [condition("Ready", at(60))]}),
        json!({"application": "a", "deletion": {"requestedAt": at(60)}}),
        json!({"application": "a", "deletion": {"finishedAt": at(60), "requestedAt": at(0)}}),
    ] {
        assert!(counts(&dated, at(120)), "{dated}");
        assert!(!counts(&dated, at(121)), "{dated}");
    }
    let foreign = json!({"application": "a", "conditions": [condition("Reviewed", at(999))]});
    assert!(!counts(&foreign, at(0)));
    assert!(!counts(&json!({"application": "a"}), at(0)));
}

#[test]
fn what_cannot_be_read_is_left_where_it_is_and_all_else_is_read() {
    let status = json!({
        "uid": "u", "phase": "Dancing", "application": "app-1",
        "package": {"name": 7},
        "conditions": [{"type": "Ready", "status": 7}, condition("Reviewed", at(0))],
        "deletion": {
            "outcome": "Dissolved", "intent": "i-1", "requestedAt": at(0),
            "lastError": {"message": "m"},
        },
    });
    let read = of(&status, at(0));
    let deletion = read.status.deletion.clone().unwrap();
    assert_eq!(deletion.intent.as_deref(), Some("i-1"));
    assert_eq!(deletion.requested_at.unwrap().0, at(0));
    assert!(read.status.conditions.is_empty() && read.status.phase.is_none());
    assert_eq!(read.beside.unreadable, [["deletion", "outcome"]]);
    let error = read.beside.error.as_deref().unwrap();
    assert!(
        error.starts_with("status.deletion.outcome: unknown variant"),
        "{error}"
    );

    let written = patch(&read.status, "u", &read.beside);
    let mut stored = status;
    json_patch::merge(&mut stored, &json!(written));
    assert_eq!(stored["deletion"]["outcome"], "Dissolved");
    assert_eq!(stored["deletion"]["intent"], "i-1");
    assert!(stored.get("phase").is_none() && stored["deletion"].get("lastError").is_none());
    assert_eq!(stored["conditions"], json!([condition("Reviewed", at(0))]));
    // Nor is it lost with what holds it.
    let nothing = patch(&VersionPackageStatus::default(), "u", &read.beside);
    assert!(nothing.get("deletion").is_none() && nothing["application"].is_null());
}

#[test]
fn a_write_replaces_whatever_stands_there_but_fields_of_a_newer_version() {
    let status = VersionPackageStatus {
        deletion: Some(crate::api::version_package::Deletion::default()),
        ..VersionPackageStatus::default()
    };
    let written = patch(&status, "u", &Beside::default());
    let mut stored = json!({
        "uid": "v", "application": "app-2", "fromTheFuture": 1,
        "conditions": [condition("Stalled", at(0))],
        "deletion": {"outcome": "Deleted", "attempts": 7, "lastError": {"message": "m"}},
    });
    json_patch::merge(&mut stored, &written);
    assert_eq!(
        stored,
        json!({"uid": "u", "fromTheFuture": 1, "conditions": [], "deletion": {}})
    );
    for schema in [VersionPackageStatus::schema(), PlatformStatus::schema()] {
        let fields = schema.unwrap().properties.as_ref().unwrap();
        assert!(fields.contains_key("uid") && fields.contains_key("conditions"));
    }
}

#[test]
fn where_there_is_no_room_the_conditions_of_others_go() {
    let mut status = VersionPackageStatus::default();
    let ours = serde_json::from_value(condition("Ready", at(0))).unwrap();
    status.conditions = vec![ours];
    let others = (0..20).map(|number| condition(&format!("Other{number}"), at(0)));
    let beside = Beside {
        conditions: others.collect(),
        ..Beside::default()
    };
    let written = patch(&status, "u", &beside);
    let all = written["conditions"].as_array().unwrap();
    assert_eq!(all.len(), 16);
    assert_eq!(
        (&all[0]["type"], &all[15]["type"]),
        (&json!("Ready"), &json!("Other14"))
    );
}

#[test]
fn of_a_platform_of_another_uid_what_was_sent_counts_and_a_release_does_not() {
    let guard = json!({
        "application": "app-1", "reserved": 3,
        "sent": [{"from": at(0), "until": at(9), "count": 7}],
        "released": [{"id": "h-1", "time": at(0), "count": 60}],
    });
    let status = json!({"uid": "v", "session": {"callsInWindow": 7}, "guard": guard});
    let bearer = Bearer {
        uid: "u",
        created: Some(at(0)),
    };
    let read: ReadStatus<PlatformStatus> = super::read(status, &bearer);
    let guard = read.status.guard.unwrap();
    assert_eq!((guard.sent[0].count, guard.reserved), (7, 3));
    assert!(guard.released.is_empty() && read.status.session.is_none());
}

#[test]
fn a_policy_that_changes_what_it_lets_pass_is_seen() {
    let sent = json!({"deletion": {"intent": "i", "hold": null}, "phase": "Deleting"});
    let fields = ["deletion", "application"];
    let changed = |stored: &Value| changed_on_the_way(&sent, stored, &fields);
    assert_eq!(
        changed(&json!({"deletion": {"intent": "i", "more": 1}})),
        None
    );
    for stored in [
        json!({"deletion": {"intent": "j"}}),
        json!({"deletion": {"intent": "i", "hold": "h"}}),
        json!({}),
    ] {
        assert_eq!(changed(&stored), Some("deletion"));
    }
    // What could not be read is not sent, and stays.
    let unread = json!({"deletion": {"intent": "i"}, "application": "an odd one"});
    assert_eq!(changed(&unread), None);
}
