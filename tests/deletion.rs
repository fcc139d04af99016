//! Deleting and retiring: what goes from the platform, what stays, and what holds a deletion back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use support::{Layout, Rig, SOON, SimulatorOptions, kstatus, ready, wait_for};

/// How soon a change of the Platform or of the object takes effect.
const HEALED: Duration = Duration::from_secs(5);

const FIRST: &str = "package-00001";
const SECOND: &str = "package-00002";

/// One platform, and Active objects for its packages.
async fn laid_out(subject: &str, packages: &[(&str, &str)]) -> Rig<'static> {
    let rig = Rig::shared(subject, Layout::default()).await;
    rig.active(packages).await;
    rig
}

fn message(object: &Value) -> String {
    ready(object)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn says(rig: &Rig<'_>, name: &str, reason: &str) -> Value {
    let what = format!("to say {reason}");
    rig.becomes(name, &what, HEALED, |o| ready(o)["reason"] == reason)
        .await
}

/// Waits until the object is gone within the time of a healing.
async fn goes(rig: &Rig<'_>, name: &str) {
    wait_for(&format!("{name} to go"), HEALED, async || {
        rig.get(name).await.is_none().then_some(())
    })
    .await;
}

/// Deletes another package to the end: by then a call that was due before has been made.
async fn another_deletion(rig: &Rig<'_>) {
    let another = "package-00020";
    let before = rig.deletes(another).await.len();
    rig.active(&[("another", another)]).await;
    rig.delete("another");
    rig.gone("another").await;
    assert_eq!(rig.deletes(another).await.len(), before + 1);
}

async fn assert_untouched(rig: &Rig<'_>, file_id: &str) {
    another_deletion(rig).await;
    assert!(
        rig.deletes(file_id).await.is_empty(),
        "{file_id} was called for"
    );
    assert!(rig.simulator.has(file_id).await);
}

#[tokio::test]
async fn retiring_and_then_deleting_is_one_call_and_the_outcome_stands() {
    let rig = laid_out("retire", &[("meter", FIRST)]).await;
    rig.retire("meter");
    let retired = rig.reason("meter", "Deleted").await;
    let finished = retired["status"]["deletion"]["finishedAt"].clone();
    assert!(finished.is_string());
    let back = json!({"spec": {"lifecycle": "Active"}}).to_string();
    let refused = rig.kubectl(&["patch", "vp/meter", "--type=merge", "-p", &back]);
    assert!(refused.expect_refused().contains("lifecycle"));
    rig.annotate("vp/meter", "requested-at", Some("again"));
    let echoed = |o: &Value| o["status"]["lastHandledRequestedAt"] == "again";
    let again = rig.becomes("meter", "echoed", HEALED, echoed).await;
    assert_eq!(again["status"]["deletion"]["outcome"], "Deleted");
    assert_eq!(again["status"]["deletion"]["finishedAt"], finished);
    rig.delete("meter");
    rig.gone("meter").await;
    assert_eq!(rig.deletes(FIRST).await.len(), 1);
}

#[tokio::test]
async fn a_scheduled_retirement_begins_within_two_seconds_of_its_time() {
    let rig = Rig::shared("scheduled", Layout::default()).await;
    let due = Timestamp::now() + SignedDuration::from_secs(4);
    let due = due.round(jiff::Unit::Second).unwrap();
    let spec = json!({"retireAfter": due.to_string()});
    rig.plane
        .apply(&rig.manifest("meter", FIRST, &spec).to_string())
        .expect_ok();
    rig.reason("meter", "Scheduled").await;
    rig.reason("meter", "Deleted").await;
    let calls = rig.deletes(FIRST).await;
    assert_eq!(calls.len(), 1);
    let called: Timestamp = calls[0]["time"].as_str().unwrap().parse().unwrap();
    let late = called.duration_since(due);
    assert!(
        !late.is_negative() && late < SignedDuration::from_secs(2),
        "{late}"
    );
}

#[tokio::test]
async fn an_object_set_active_again_before_the_call_forgets_its_deletion() {
    let rig = laid_out("again", &[("meter", FIRST)]).await;
    rig.annotate("vp/meter", "paused", Some("true"));
    rig.retire("meter");
    let held = rig.reason("meter", "Paused").await;
    assert_eq!(held["status"]["phase"], "Held");
    assert!(held["status"]["deletion"]["requestedAt"].is_string());
    rig.patch("vp/meter", &json!({"spec": {"lifecycle": "Active"}}));
    let active = rig.reason("meter", "Active").await;
    assert_eq!(active["status"]["deletion"], Value::Null);
    rig.annotate("vp/meter", "paused", None);
    assert_untouched(&rig, FIRST).await;
    assert_eq!(ready(&rig.get("meter").await.unwrap())["reason"], "Active");
}

#[tokio::test]
async fn a_paused_deletion_waits_and_goes_on_within_a_second_or_so() {
    let rig = laid_out("paused", &[("deleted", FIRST), ("retired", SECOND)]).await;
    for name in ["deleted", "retired"] {
        rig.annotate(&format!("vp/{name}"), "paused", Some("true"));
    }
    rig.delete("deleted");
    rig.retire("retired");
    for name in ["deleted", "retired"] {
        let said = message(&rig.reason(name, "Paused").await);
        assert!(said.contains("iodm.dev/paused"), "{said}");
    }
    assert_untouched(&rig, FIRST).await;
    assert_untouched(&rig, SECOND).await;
    rig.annotate("vp/deleted", "paused", None);
    let freed = tokio::time::Instant::now();
    rig.gone("deleted").await;
    let took = freed.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    rig.annotate("vp/retired", "paused", None);
    rig.reason("retired", "Deleted").await;
}

#[tokio::test]
async fn a_platform_in_mode_observe_sends_no_delete_until_it_is_in_enforce() {
    let rig = laid_out("observe", &[("deleted", FIRST), ("retired", SECOND)]).await;
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    rig.platform_reason("production", "Observing").await;
    rig.delete("deleted");
    rig.retire("retired");
    for name in ["deleted", "retired"] {
        let held = rig.reason(name, "WouldDelete").await;
        assert_eq!(held["status"]["phase"], "Held");
    }
    let ledger = rig.simulator.ledger().await;
    assert!(ledger.is_empty(), "{ledger:?}");
    rig.patch("platform/production", &json!({"spec": {"mode": "Enforce"}}));
    goes(&rig, "deleted").await;
    says(&rig, "retired", "Deleted").await;
}

#[tokio::test]
async fn retain_lets_an_object_go_without_a_call_even_a_paused_one() {
    let rig = Rig::shared("retain", Layout::default()).await;
    let retain = json!({"deletionPolicy": "Retain"});
    for (name, file_id) in [("plain", FIRST), ("paused", SECOND)] {
        let manifest = rig.manifest(name, file_id, &retain).to_string();
        rig.plane.apply(&manifest).expect_ok();
        rig.reason(name, "Active").await;
    }
    rig.annotate("vp/paused", "paused", Some("true"));
    rig.delete_all(&["plain", "paused"]);
    for (name, file_id) in [("plain", FIRST), ("paused", SECOND)] {
        goes(&rig, name).await;
        assert_untouched(&rig, file_id).await;
        let about = format!("involvedObject.name={name},reason=Retained");
        let event = ["get", "events", "--field-selector", &about, "-o", "name"];
        wait_for("the event", HEALED, async || {
            let events = rig.kubectl(&event).expect_ok();
            (events.lines().count() == 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_package_that_another_object_claims_stays_until_nobody_wants_it() {
    let claimants = [("first", FIRST), ("second", FIRST), ("third", FIRST)];
    let rig = laid_out("claims", &claimants).await;
    rig.delete("first");
    rig.gone("first").await;
    assert_untouched(&rig, FIRST).await;
    let handed = [
        "get",
        "events",
        "--field-selector",
        "reason=HandedOver",
        "-o",
        "json",
    ];
    let handed = rig.kubectl(&handed).expect_ok();
    assert!(handed.contains("second"), "{handed}");

    rig.retire("second");
    let held = rig.reason("second", "StillClaimed").await;
    assert_eq!(held["status"]["phase"], "Held");
    let third = format!("{}/third", rig.namespace);
    assert!(message(&held).contains(&third), "{}", message(&held));
    assert_untouched(&rig, FIRST).await;
    rig.delete("third");
    rig.gone("third").await;
    says(&rig, "second", "Deleted").await;
    assert_eq!(rig.deletes(FIRST).await.len(), 1);
}

#[tokio::test]
async fn two_claimants_deleted_at_once_cost_one_call_and_both_go() {
    let mut packages = Vec::new();
    let names: Vec<(String, String)> = (1..=8)
        .flat_map(|n| ["a", "b"].map(|side| (format!("{side}-{n}"), format!("package-{n:05}"))))
        .collect();
    packages.extend(
        names
            .iter()
            .map(|(name, file)| (name.as_str(), file.as_str())),
    );
    let rig = laid_out("both", &packages).await;
    rig.delete_all(
        &names
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
    );
    for (name, file_id) in &names {
        rig.gone(name).await;
        assert_eq!(rig.deletes(file_id).await.len(), 1, "{file_id}");
        assert!(!rig.simulator.has(file_id).await);
    }
}

#[tokio::test]
async fn credentials_of_another_application_never_make_a_package_look_gone() {
    let layout = Layout {
        simulator: SimulatorOptions {
            flags: &["--app-id", "stranger", "--secret", "their-own-secret"],
            ..Layout::default().simulator
        },
        ..Layout::default()
    };
    let rig = Rig::shared("stranger", layout).await;
    rig.active(&[
        ("deleted", FIRST),
        ("retired", SECOND),
        ("wanted", "package-00003"),
    ])
    .await;
    let ours = json!({"appId": rig.namespace, "secret": "correct-horse-battery"});
    let theirs = json!({"appId": "stranger", "secret": "their-own-secret"});
    rig.patch("secret/production-app", &json!({"stringData": theirs}));
    says(&rig, "wanted", "ApplicationChanged").await;
    rig.delete("deleted");
    rig.retire("retired");
    for name in ["deleted", "retired", "wanted"] {
        let held = rig.reason(name, "ApplicationChanged").await;
        assert_eq!(held["status"]["phase"], "Held");
        for application in [rig.namespace.as_str(), "stranger"] {
            assert!(message(&held).contains(application), "{}", message(&held));
        }
    }
    let ledger = rig.simulator.ledger().await;
    assert!(ledger.is_empty(), "{ledger:?}");
    // The guard of the first application is looked at while it has deletions, and no Platform.
    rig.patch(
        "platform/production",
        &json!({"spec": {"quota": {"calls": 99}}}),
    );
    rig.platform_becomes("production", "its edit to be observed", |platform| {
        platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
    })
    .await;
    rig.patch("secret/production-app", &json!({"stringData": ours}));
    goes(&rig, "deleted").await;
    says(&rig, "retired", "Deleted").await;
    says(&rig, "wanted", "Active").await;
}

#[tokio::test]
async fn an_object_whose_platform_is_missing_waits_for_it() {
    let rig = Rig::shared("missing", Layout::default()).await;
    rig.plane.grant_secrets(
        &rig.namespace,
        &["production-app", "production-ca", "later-app", "later-ca"],
    );
    let spec = json!({"platformRef": {"name": "later"}});
    for (name, file_id) in [("deleted", FIRST), ("wanted", SECOND)] {
        rig.plane
            .apply(&rig.manifest(name, file_id, &spec).to_string())
            .expect_ok();
        let held = rig.reason(name, "PlatformNotFound").await;
        let platform = format!("{}/later", rig.namespace);
        assert!(message(&held).contains(&platform), "{}", message(&held));
    }
    rig.delete("deleted");
    rig.reason("deleted", "PlatformNotFound").await;
    let later = rig.simulator.platform(
        &rig.namespace,
        "later",
        &json!({"quota": {"calls": 100, "window": "1s"}}),
    );
    rig.plane.apply(&later).expect_ok();
    goes(&rig, "deleted").await;
    says(&rig, "wanted", "Active").await;
    assert!(!rig.simulator.has(FIRST).await);

    // It was accepted once, so it holds its package whatever becomes of the Platform.
    rig.give_up_platform("later").await;
    says(&rig, "wanted", "PlatformNotFound").await;
    rig.delete("wanted");
    rig.reason("wanted", "PlatformNotFound").await;
    assert_untouched(&rig, SECOND).await;
    rig.plane.apply(&later).expect_ok();
    goes(&rig, "wanted").await;
    assert!(!rig.simulator.has(SECOND).await);
}

#[tokio::test]
async fn a_namespace_that_the_platform_does_not_allow_is_refused_until_it_is() {
    let owner = Rig::shared("owner", Layout::default()).await;
    let guest = Rig::shared("guest", Layout::default()).await;
    let reference = json!({"platformRef": {"name": "production", "namespace": owner.namespace}});
    for (name, file_id) in [("wanted", FIRST), ("deleted", SECOND)] {
        let manifest = guest.manifest(name, file_id, &reference).to_string();
        guest.plane.apply(&manifest).expect_ok();
        let held = guest.reason(name, "PlatformNotAllowed").await;
        assert!(
            message(&held).contains("allowedNamespaces"),
            "{}",
            message(&held)
        );
    }
    guest.delete("deleted");
    guest.reason("deleted", "PlatformNotAllowed").await;
    assert!(owner.simulator.ledger().await.is_empty());

    let labelled = json!({"from": "Selector", "selector": {"matchLabels": {"team": "meters"}}});
    owner.patch(
        "platform/production",
        &json!({"spec": {"allowedNamespaces": labelled}}),
    );
    owner.platform_reason("production", "Available").await;
    assert_eq!(
        ready(&guest.get("wanted").await.unwrap())["reason"],
        "PlatformNotAllowed"
    );
    let namespace = format!("namespace/{}", guest.namespace);
    guest
        .kubectl(&["label", &namespace, "team=meters"])
        .expect_ok();
    says(&guest, "wanted", "Active").await;
    goes(&guest, "deleted").await;
    assert!(!owner.simulator.has(SECOND).await);

    let same = json!({"spec": {"allowedNamespaces": {"from": "Same", "selector": null}}});
    owner.patch("platform/production", &same);
    says(&guest, "wanted", "PlatformNotAllowed").await;
    owner.patch(
        "platform/production",
        &json!({"spec": {"allowedNamespaces": {"from": "All"}}}),
    );
    says(&guest, "wanted", "Active").await;
}

#[tokio::test]
async fn a_new_requested_at_tries_at_once_and_is_echoed() {
    let rig = laid_out("request", &[("stalled", FIRST), ("wanted", SECOND)]).await;
    rig.simulator
        .fault(FIRST, &json!("bare-404"), &json!(2))
        .await;
    rig.retire("stalled");
    rig.reason("stalled", "UnexpectedAnswer").await;
    rig.annotate("vp/stalled", "requested-at", Some("first"));
    wait_for("a second call", Duration::from_secs(2), async || {
        (rig.deletes(FIRST).await.len() == 2).then_some(())
    })
    .await;
    let echoed = |o: &Value| o["status"]["lastHandledRequestedAt"] == "first";
    rig.becomes("stalled", "echoed", HEALED, echoed).await;
    rig.annotate("vp/stalled", "requested-at", Some("second"));
    let gone = |o: &Value| ready(o)["reason"] == "Deleted";
    let gone = rig
        .becomes("stalled", "gone", Duration::from_secs(2), gone)
        .await;
    assert_eq!(gone["status"]["lastHandledRequestedAt"], "second");
    assert_eq!(gone["status"]["deletion"]["attempts"], 3);

    rig.annotate("vp/wanted", "requested-at", Some("look"));
    let echoed = |o: &Value| o["status"]["lastHandledRequestedAt"] == "look";
    rig.becomes("wanted", "echoed", HEALED, echoed).await;
}

#[tokio::test]
async fn git_tools_read_every_phase_as_it_is_meant() {
    let rig = Rig::shared("gitops", Layout::default()).await;
    let history = rig.history().await;
    let names = [
        "wanted", "paused", "stalled", "bad-id", "settled", "gone", "waiting",
    ];
    let files: Vec<String> = (1..=names.len())
        .map(|n| format!("package-{n:05}"))
        .collect();
    let packages: Vec<_> = names
        .into_iter()
        .zip(files.iter().map(String::as_str))
        .collect();
    rig.active(&packages).await;
    let scheduled = json!({"retireAfter": "2100-01-01T00:00:00Z"});
    let scheduled = rig.manifest("scheduled", "package-00012", &scheduled);
    rig.plane.apply(&scheduled.to_string()).expect_ok();
    let missing = json!({"platformRef": {"name": "nowhere"}});
    let missing = rig.manifest("homeless", "package-00013", &missing);
    rig.plane.apply(&missing.to_string()).expect_ok();

    rig.annotate("vp/paused", "paused", Some("true"));
    let answers = [
        (3, json!("bare-404")),
        (
            4,
            json!({"status": {"status": 400, "body": "{\"error_code\":\"120015\"}"}}),
        ),
        (7, json!("internal-error")),
    ];
    for (number, kind) in answers {
        rig.simulator
            .fault(&files[number - 1], &kind, &json!("forever"))
            .await;
    }
    rig.simulator
        .admin(
            reqwest::Method::DELETE,
            "/packages/package-00006",
            &Value::Null,
        )
        .await;
    for name in &names[1..] {
        rig.retire(name);
    }
    let expected = [
        ("wanted", "Active", "Current"),
        ("scheduled", "Scheduled", "Current"),
        ("homeless", "PlatformNotFound", "Failed"),
        ("paused", "Paused", "Failed"),
        ("stalled", "UnexpectedAnswer", "Failed"),
        ("bad-id", "InvalidFileId", "Failed"),
        ("settled", "Deleted", "Current"),
        ("gone", "AlreadyGone", "Current"),
        ("waiting", "PlatformUnavailable", "InProgress"),
    ];
    let mut objects = Vec::new();
    for (name, reason, _) in expected {
        objects.push(rig.reason(name, reason).await);
    }
    let results = kstatus(&objects);
    for ((name, reason, result), seen) in expected.into_iter().zip(results) {
        assert_eq!(seen, result, "{name}, {reason}");
    }
    // The same objects while they are being deleted.
    for (name, reason) in [
        ("paused", "Paused"),
        ("stalled", "UnexpectedAnswer"),
        ("homeless", "PlatformNotFound"),
    ] {
        rig.delete(name);
        let deleted = |o: &Value| {
            o["metadata"].get("deletionTimestamp").is_some()
                && o["status"]["observedGeneration"] == o["metadata"]["generation"]
                && ready(o)["reason"] == reason
        };
        let object = rig.becomes(name, "terminating", SOON, deleted).await;
        assert_eq!(kstatus(&[object]), ["Terminating"], "{name}");
    }
    // And every version in between, those before the first status included.
    history.assert_kstatus();
    let versions = history.versions();
    let phases: BTreeSet<&str> = versions
        .iter()
        .filter_map(|o| o["status"]["phase"].as_str())
        .collect();
    let all = ["Active", "Deleting", "Gone", "Held", "Stalled", "Waiting"];
    assert_eq!(phases.into_iter().collect::<Vec<_>>(), all);
    assert!(
        versions
            .iter()
            .any(|o| o["status"]["observedGeneration"] == -1)
    );
}
