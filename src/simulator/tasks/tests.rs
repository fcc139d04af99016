use super::*;
use crate::simulator::packages::preloaded;

fn new(body: &Value) -> Result<Task, &'static str> {
    let utc = "2026-01-01T00:00:00Z".parse().unwrap();
    let body = body.to_string();
    Task::new(Operation::Firmware, body.as_bytes(), &preloaded(5), utc).map_err(|r| r.1)
}

#[test]
fn each_broken_rule_of_an_order_has_its_own_code() {
    let devices = json!({"devices": ["d"]});
    let order = |targets: &Value, policy: Value| {
        new(&json!({"fileId": "package-00001", "targets": targets, "policy": policy})).err()
    };
    assert_eq!(order(&devices, Value::Null), None);
    let many: Vec<_> = (0..257).map(|n| n.to_string()).collect();
    let group =
        |m: &str, d: &str| json!({"deviceGroups": ["g"], "manufacturerName": m, "deviceType": d});
    for (targets, code) in [
        (json!({}), "123022"),
        (json!({"devices": ["d"], "deviceGroups": ["g"]}), "123023"),
        (json!({"devices": many}), "123024"),
        (group("", "x"), "123019"),
        (group("x", ""), "123020"),
        (group("x", "x"), "123021"),
    ] {
        assert_eq!(order(&targets, Value::Null), Some(code), "{targets}");
    }
    let custom = |start: &str, end: &str| json!({"executeType": "custom", "startTime": start, "endTime": end});
    for (policy, code) in [
        (json!({"executeType": "later"}), "123025"),
        (json!({"retryType": true, "retryTimes": 6}), "123028"),
        (custom("soon", "late"), "123026"),
        (custom("20260102T000000Z", "20260101T000000Z"), "123032"),
        (custom("20251231T000000Z", "20260101T000000Z"), "123033"),
        (custom("20260102T000000Z", "20260102T000459Z"), "123034"),
    ] {
        assert_eq!(order(&devices, policy.clone()), Some(code), "{policy}");
    }
    assert_eq!(
        order(&devices, custom("20260102T000000Z", "20260102T000500Z")),
        None
    );
    assert_eq!(
        new(&json!({"fileId": "nothing", "targets": devices})).err(),
        Some("123002")
    );
    assert_eq!(
        new(&json!({"fileId": "package-00003", "targets": devices})).err(),
        Some("120015")
    );
}

#[test]
fn a_task_shows_the_version_of_its_package_and_never_its_id() {
    let body = json!({"fileId": "package-00001", "targets": {"devices": ["d1", "d2"]}});
    let mut tasks = Tasks::default();
    let id = tasks.add(new(&body).unwrap());
    let shown = tasks.get(&id).unwrap().shown(&id, FailedWord::Failed);
    assert_eq!(shown["extendPara"]["fileVersion"], "V1.0.1");
    assert_eq!(shown["status"], "processing");
    assert!(!shown.to_string().contains("package-00001"));
}

#[test]
fn a_failed_task_is_called_differently_in_task_example_and_subtask() {
    let body = json!({"fileId": "package-00001", "targets": {"devices": ["d1"]}});
    let mut task = new(&body).unwrap();
    task.set(Status::Failed, Timestamp::UNIX_EPOCH);
    assert_eq!(task.shown("t", FailedWord::Failed)["status"], "failed");
    assert_eq!(task.shown("t", FailedWord::Fail)["status"], "FAIL");
    assert_eq!(task.subtasks("t", &Query::parse(None))[0]["status"], "fail");
    assert_eq!(
        task.subtasks("t", &Query::parse(Some("subOperationStatus=wait")))
            .len(),
        0
    );
}
