//! Every row of the answer table end to end: from an answer of the platform to the status that users see.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod logins;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod unproven;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use support::{History, Layout, Rig, ready, shared_operator, wait_for};

/// How soon a stalled object continues once a person has repaired the cause.
const HEALED: Duration = Duration::from_secs(5);
/// The longest first pause after a failure, including the call after it.
const SECOND_TRY: Duration = Duration::from_secs(8);

/// A platform with an Active object for each of `names`, for `package-00001` and the following packages.
async fn laid_out(subject: &str, names: &[&str]) -> (Rig<'static>, History) {
    let rig = Rig::shared(subject, Layout::default()).await;
    let history = rig.history().await;
    let files: Vec<String> = (1..=names.len()).map(file).collect();
    let packages: Vec<(&str, &str)> = names
        .iter()
        .copied()
        .zip(files.iter().map(String::as_str))
        .collect();
    rig.active(&packages).await;
    (rig, history)
}

fn file(number: usize) -> String {
    format!("package-{number:05}")
}

/// An answer with one of the platform's codes, in the services' shape.
fn coded(status: u16, code: &str) -> Value {
    let body = json!({"error_code": code, "error_desc": "Switched on by a test."}).to_string();
    json!({"status": {"status": status, "body": body}})
}

/// An answer with one of the platform's codes, in the gateway's shape.
fn gateway(status: u16, code: &str, text: &str) -> Value {
    let body = json!({"resultcode": code, "resultmsg": text}).to_string();
    json!({"status": {"status": status, "body": body}})
}

/// The page of the admin port for the simulator's application.
fn application_page(rig: &Rig<'_>) -> String {
    format!("/applications/{}", rig.namespace)
}

fn message(object: &Value) -> String {
    ready(object)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The audit lines of one object.
async fn audited(rig: &Rig<'_>, name: &str) -> Vec<Value> {
    let log = shared_operator().await.log();
    let lines = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| {
            line["kind"] == "PackageDeletion"
                && line["namespace"] == rig.namespace.as_str()
                && line["name"] == name
        })
        .collect()
}

/// The reasons of the events about one object.
fn events(rig: &Rig<'_>, name: &str) -> Vec<String> {
    let about = format!("involvedObject.name={name}");
    let path = "jsonpath={.items[*].reason}";
    let said = rig.kubectl(&["get", "events", "--field-selector", &about, "-o", path]);
    let said = said.expect_ok();
    said.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_proven_deletion_releases_a_deleted_object_and_settles_a_retired_one() {
    let names = ["d200", "r200", "d404", "r404", "d204", "r204", "braces"];
    let (rig, history) = laid_out("gone", &names).await;
    for number in [3, 4] {
        let page = format!("/packages/{}", file(number));
        rig.simulator
            .admin(Method::DELETE, &page, &Value::Null)
            .await;
    }
    let braces = json!({"status": {"status": 200, "body": "{}"}});
    rig.simulator.fault(&file(7), &braces, &json!(1)).await;
    rig.delete_all(&["d200", "d404", "braces"]);
    for (name, reason) in [("r200", "Deleted"), ("r404", "AlreadyGone")] {
        rig.retire(name);
        rig.reason(name, reason).await;
    }
    for name in ["d200", "d404", "braces"] {
        history.gone(name).await;
    }
    rig.simulator
        .switch("/switches", &json!({"deleteStatus": 204}))
        .await;
    rig.delete("d204");
    rig.retire("r204");
    history.gone("d204").await;
    rig.reason("r204", "Deleted").await;

    for (number, name) in (1..).zip(names) {
        let outcome = if name.contains("404") {
            "AlreadyGone"
        } else {
            "Deleted"
        };
        assert_eq!(rig.deletes(&file(number)).await.len(), 1, "{name}");
        let lines = audited(&rig, name).await;
        assert_eq!(lines.len(), 1, "{name}: {lines:?}");
        assert_eq!(lines[0]["outcome"], outcome, "{name}");
        assert_eq!(lines[0]["attempts"], 1, "{name}");
        assert_eq!(events(&rig, name), [outcome], "{name}");
        if name.starts_with('r') {
            let object = rig.get(name).await.unwrap();
            assert_eq!(object["status"]["deletion"]["outcome"], outcome, "{name}");
            assert_eq!(object["status"]["phase"], "Gone", "{name}");
        }
    }
    assert_eq!(audited(&rig, "d404").await[0]["code"], "123002");
    history.assert_kstatus();
}

#[tokio::test]
async fn an_answer_that_proves_nothing_stalls_the_object_until_the_platform_is_repaired() {
    let html = |status: u16| json!({"status": {"status": status, "body": "<html>Hello</html>", "contentType": "text/html"}});
    let rows = [
        ("bare-404", json!("bare-404"), "404", ""),
        ("other-404", coded(404, "123009"), "404", "123009"),
        ("bare-410", json!({"status": {"status": 410}}), "410", ""),
        ("redirect", html(302), "302", ""),
        ("gone-in-400", coded(400, "123002"), "400", "123002"),
        (
            "gone-in-200",
            json!({"code-in-200": {"code": "123002"}}),
            "200",
            "123002",
        ),
        (
            "unknown-in-200",
            json!({"code-in-200": {"code": "999999"}}),
            "200",
            "999999",
        ),
        ("html-in-200", html(200), "200", ""),
        ("bare-405", json!({"status": {"status": 405}}), "405", ""),
        ("unknown-400", coded(400, "777777"), "400", "777777"),
    ];
    let names = rows.each_ref().map(|row| row.0);
    let (rig, history) = laid_out("unproven", &names).await;
    for (number, (_, kind, ..)) in (1..).zip(&rows) {
        rig.simulator
            .fault(&file(number), kind, &json!("forever"))
            .await;
    }
    // One of the objects is retired, the others are deleted.
    rig.retire(names[0]);
    rig.delete_all(&names[1..]);
    for (number, (name, _, status, code)) in (1..).zip(&rows) {
        let object = rig.reason(name, "UnexpectedAnswer").await;
        let said = message(&object);
        assert!(said.contains(&format!("HTTP {status}")), "{name}: {said}");
        assert!(said.contains(code), "{name}: {said}");
        assert_eq!(object["status"]["phase"], "Stalled", "{name}");
        let error = &object["status"]["deletion"]["lastError"];
        assert_eq!(error["httpStatus"].to_string(), *status, "{name}");
        assert_eq!(error["code"].as_str().unwrap_or_default(), *code, "{name}");
        let finalizers = object["metadata"]["finalizers"].to_string();
        assert!(
            finalizers.contains("iodm.dev/package"),
            "{name}: {finalizers}"
        );
        assert!(rig.simulator.has(&file(number)).await, "{name}");
        assert_eq!(
            object["status"]["deletion"]["outcome"],
            Value::Null,
            "{name}"
        );
        assert_eq!(events(&rig, name), ["UnexpectedAnswer"], "{name}");
    }

    rig.simulator
        .admin(Method::DELETE, "/faults", &Value::Null)
        .await;
    // A change of the Platform triggers a retry.
    rig.patch(
        "platform/production",
        &json!({"spec": {"quota": {"calls": 99}}}),
    );
    rig.becomes(names[0], "settled", HEALED, |o| {
        ready(o)["reason"] == "Deleted"
    })
    .await;
    wait_for("the deleted ones to go", HEALED, async || {
        let left = rig.kubectl(&["get", "vp", "-o", "name"]).expect_ok();
        (left.lines().count() == 1).then_some(())
    })
    .await;
    history.assert_kstatus();
}

#[tokio::test]
async fn a_throttled_call_is_tried_again_after_the_pause_and_stalls_nothing() {
    let rows = [
        ("first", gateway(403, "1010009", "app throttle exceed.")),
        ("second", gateway(403, "1010004", "app throttle exceed.")),
        ("third", json!({"status": {"status": 429}})),
    ];
    let (rig, history) = laid_out("throttled", &rows.each_ref().map(|row| row.0)).await;
    for (number, (name, kind)) in (1..).zip(&rows) {
        rig.simulator.fault(&file(number), kind, &json!(1)).await;
        rig.delete(name);
        history.gone(name).await;
        let reasons = history.reasons(name);
        assert!(
            reasons.contains(&"Throttled".to_owned()),
            "{name}: {reasons:?}"
        );
        assert_eq!(rig.deletes(&file(number)).await.len(), 2, "{name}");
        assert_eq!(events(&rig, name), ["Deleted"], "{name}");
    }
    assert_never_stalled(&history);
    assert_eq!(
        rig.logins().await,
        1,
        "a throttle answer says nothing about the token"
    );
    history.assert_kstatus();
}

fn assert_never_stalled(history: &History) {
    for object in history.versions() {
        let phase = object["status"]["phase"].as_str();
        assert!(!matches!(phase, Some("Stalled" | "Held")), "{object:#}");
    }
}

#[tokio::test]
async fn an_invalid_file_id_stalls_and_retain_releases_the_object() {
    let (rig, history) = laid_out("bad-id", &["deleted", "retired"]).await;
    for number in [1, 2] {
        rig.simulator
            .fault(&file(number), &coded(400, "120015"), &json!("forever"))
            .await;
    }
    rig.delete("deleted");
    rig.retire("retired");
    for name in ["deleted", "retired"] {
        let said = message(&rig.reason(name, "InvalidFileId").await);
        for part in ["HTTP 400", "120015", "deletionPolicy: Retain"] {
            assert!(said.contains(part), "{said}");
        }
    }
    rig.delete("retired");
    for (number, name) in [(1, "deleted"), (2, "retired")] {
        let policy = json!({"spec": {"deletionPolicy": "Retain"}});
        rig.patch(&format!("vp/{name}"), &policy);
        history.gone(name).await;
        assert!(rig.simulator.has(&file(number)).await);
        let outcomes = audited(&rig, name).await;
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0]["outcome"], "Retained");
    }
    assert_eq!(rig.deletes(&file(1)).await.len(), 1);
    history.assert_kstatus();
}

#[tokio::test]
async fn a_frozen_application_stalls_with_its_code_and_continues_when_unfrozen() {
    let (rig, history) = laid_out("frozen", &["login", "call"]).await;
    for (number, name) in [(1, "login"), (2, "call")] {
        rig.simulator
            .switch(&application_page(&rig), &json!({"frozen": true}))
            .await;
        rig.delete(name);
        let object = rig.reason(name, "ApplicationRefused").await;
        assert_eq!(object["status"]["phase"], "Stalled");
        assert!(message(&object).contains("100247"), "{}", message(&object));
        let platform = rig
            .platform_reason("production", "ApplicationRefused")
            .await;
        assert!(
            message(&platform).contains("100247"),
            "{}",
            message(&platform)
        );
        assert!(rig.simulator.has(&file(number)).await);
        rig.simulator
            .switch(&application_page(&rig), &json!({"frozen": false}))
            .await;
        history.gone(name).await;
        rig.platform_reason("production", "Available").await;
    }
    history.assert_kstatus();
}

#[tokio::test]
async fn a_call_without_a_clear_answer_is_repeated_and_a_lost_success_is_proven_later() {
    let html =
        json!({"status": {"status": 502, "body": "<html></html>", "contentType": "text/html"}});
    let rows = [
        ("internal", json!("internal-error")),
        ("drop-before", json!("drop-before")),
        ("drop-after", json!("drop-after")),
        ("hang", json!("hang")),
        ("conflict", coded(409, "777777")),
        ("bad-gateway", html),
    ];
    let (rig, history) = laid_out("unknown", &rows.each_ref().map(|row| row.0)).await;
    for (number, (name, kind)) in (1..).zip(&rows) {
        rig.simulator.fault(&file(number), kind, &json!(1)).await;
        rig.retire(name);
    }
    for (number, (name, _)) in (1..).zip(&rows) {
        wait_for(&format!("{name}: the first answer"), HEALED, async || {
            let said = history.reasons(name);
            said.contains(&"PlatformUnavailable".to_owned())
                .then_some(())
        })
        .await;
        // Half of the objects get a retry request, the others wait for their pause.
        if number % 2 == 0 {
            rig.annotate(&format!("vp/{name}"), "requested-at", Some("now"));
        }
    }
    for (number, (name, _)) in (1..).zip(&rows) {
        let object = rig
            .becomes(name, "gone", SECOND_TRY, |o| o["status"]["phase"] == "Gone")
            .await;
        let outcome = if *name == "drop-after" {
            "AlreadyGone"
        } else {
            "Deleted"
        };
        assert_eq!(object["status"]["deletion"]["outcome"], outcome, "{name}");
        assert_eq!(object["status"]["deletion"]["attempts"], 2, "{name}");
        assert_eq!(rig.deletes(&file(number)).await.len(), 2, "{name}");
        assert!(!rig.simulator.has(&file(number)).await, "{name}");
    }
    assert_never_stalled(&history);
    assert_eq!(rig.logins().await, 1);
    history.assert_kstatus();
}
