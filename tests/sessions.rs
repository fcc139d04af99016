//! Which Platforms share a session, and how many calls its only token costs, as the platform's ledger shows it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use support::pace::{self, Call};
use support::{Layout, Rig, SOON, SimulatorOptions, wait_for};

const SECRET: &str = "correct-horse-battery";
/// The quota of the application, and the window of all tests here.
const CALLS: usize = 20;
const WINDOW: Duration = Duration::from_secs(2);
/// The quota of the second Platform.
const FEWER: usize = 8;

fn layout(flags: &'static [&'static str]) -> Layout<'static> {
    Layout {
        simulator: SimulatorOptions {
            packages: 130,
            quota_calls: CALLS,
            quota_window: "2s",
            flags,
            ..SimulatorOptions::default()
        },
        platform: json!({"quota": {"calls": CALLS, "window": "2s"}}),
    }
}

/// Applies one object for each package of a range, named as the package, and waits until all are Active.
async fn active(rig: &Rig<'_>, platform: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    let names: Vec<String> = numbers.map(|n| format!("package-{n:05}")).collect();
    let spec = json!({"platformRef": {"name": platform}});
    let items: Vec<Value> = names.iter().map(|n| rig.manifest(n, n, &spec)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    rig.plane.apply(&list.to_string()).expect_ok();
    for name in &names {
        rig.reason(name, "Active").await;
    }
    names
}

/// Deletes all Active objects with one request; kubectl would delete them one by one.
fn delete_active(rig: &Rig<'_>) {
    let all = format!(
        "/apis/iodm.dev/v1alpha1/namespaces/{}/versionpackages?fieldSelector=status.phase%3DActive",
        rig.namespace
    );
    rig.kubectl(&["delete", "--raw", &all]).expect_ok();
}

async fn gone(rig: &Rig<'_>, names: &[String]) {
    for name in names {
        rig.gone(name).await;
    }
}

/// The ledger rows of one application.
async fn of(rig: &Rig<'_>, application: &str) -> Vec<Value> {
    let mut rows = rig.simulator.ledger().await;
    rows.retain(|row| row["application"] == application);
    rows
}

fn calls(rows: &[Value]) -> Vec<Call> {
    rows.iter().filter_map(Call::read).collect()
}

fn logins(rows: &[Value]) -> Vec<Call> {
    let mut logins = rows.to_vec();
    logins.retain(|row| row["path"].as_str().is_some_and(|p| p.ends_with("/login")));
    calls(&logins)
}

fn with(rows: &[Value], verdict: &str) -> usize {
    rows.iter().filter(|row| row["verdict"] == verdict).count()
}

/// The calls for the packages with these names, in the order of their arrival.
fn about(rows: &[Value], names: &[String]) -> Vec<Call> {
    let names_it = |path: &str| names.iter().any(|name| path.ends_with(&format!("/{name}")));
    let mut rows = rows.to_vec();
    rows.retain(|row| row["path"].as_str().is_some_and(names_it));
    calls(&rows)
}

/// Asserts that each login begins after the answer to the previous one.
fn assert_apart(logins: &[Call]) {
    for pair in logins.windows(2) {
        assert!(pair[0].answered <= pair[1].arrived, "{pair:?}");
    }
}

/// Delays the answers to all logins from now on.
async fn slow_logins(rig: &Rig<'_>, millis: u64) {
    let calls = json!({"method": "POST", "path": "/iocm/app/sec/*"});
    let fault = json!({"match": calls, "kind": {"delay": {"ms": millis}}, "times": "forever"});
    rig.simulator.admin(Method::POST, "/faults", &fault).await;
}

/// The number of accepted logins, answered or not.
async fn logins_begun(rig: &Rig<'_>, application: &str) -> usize {
    with(&of(rig, application).await, "logged-in")
}

#[tokio::test]
async fn two_platforms_share_a_session_separate_with_another_secret_and_share_again() {
    let rig = Rig::shared("sharing", layout(&[])).await;
    let first = rig.namespace.clone();
    let second = format!("{first}-second");
    let secrets = ["production-app", "production-ca", "other-app", "other-ca"];
    rig.plane.grant_secrets(&rig.namespace, &secrets);
    let quota = json!({"quota": {"calls": FEWER, "window": "2s"}});
    let other = rig.simulator.platform(&rig.namespace, "other", &quota);
    rig.plane.apply(&other).expect_ok();

    // Shared session: the lower quota applies to both.
    let mut both = active(&rig, "production", 1..11).await;
    both.extend(active(&rig, "other", 11..21).await);
    delete_active(&rig);
    gone(&rig, &both).await;
    let rows = of(&rig, &first).await;
    assert_eq!(
        (logins(&rows).len(), with(&rows, "deleted")),
        (1, both.len())
    );
    let most = pace::most_in_window(&calls(&rows), WINDOW);
    assert!(most <= FEWER, "{most} calls in one window");

    // Separate sessions: new objects get a budget and a token of their own.
    let kept = active(&rig, "other", 21..25).await;
    let page = format!("/applications/{second}");
    rig.simulator
        .switch(&page, &json!({"secret": SECRET}))
        .await;
    let packages: Vec<Value> = (31..40)
        .map(|n| json!({"fileId": format!("package-{n:05}")}))
        .collect();
    let packages = json!({"appId": second, "packages": packages});
    rig.simulator.switch("/packages", &packages).await;
    rig.patch(
        "secret/other-app",
        &json!({"stringData": {"appId": second}}),
    );
    for name in &kept {
        rig.reason(name, "ApplicationChanged").await;
    }
    rig.delete_all(&[&kept[0], &kept[1]]);
    let backlog = active(&rig, "production", 41..91).await;
    let apart = active(&rig, "other", 31..38).await;
    delete_active(&rig);
    gone(&rig, &apart).await;
    gone(&rig, &backlog).await;
    let ours = of(&rig, &first).await;
    let theirs = of(&rig, &second).await;
    assert_eq!((logins(&ours).len(), logins(&theirs).len()), (1, 1));
    assert_eq!(with(&theirs, "deleted"), apart.len());
    let last = |calls: &[Call]| calls.last().unwrap().arrived;
    assert!(
        last(&calls(&theirs)) < last(&about(&ours, &backlog)),
        "the backlog of the one doesn't hold up the other"
    );
    assert!(about(&ours, &kept).is_empty(), "they belong to the first");

    // Shared again, while a login is due: earlier calls count under the lower quota, and the login serves both.
    slow_logins(&rig, 500).await;
    let more = active(&rig, "production", 91..131).await;
    delete_active(&rig);
    wait_for("a burst that the lower quota forbids", SOON, async || {
        (about(&of(&rig, &first).await, &more).len() > FEWER).then_some(())
    })
    .await;
    rig.simulator
        .admin(Method::POST, "/tokens/expire", &json!({}))
        .await;
    rig.patch("secret/other-app", &json!({"stringData": {"appId": first}}));
    gone(&rig, &kept[..2]).await;
    rig.reason(&kept[2], "Active").await;
    gone(&rig, &more).await;
    let rows = of(&rig, &first).await;
    let all = calls(&rows);
    for call in about(&rows, &kept) {
        let within =
            |other: &&Call| other.arrived <= call.arrived && other.arrived + WINDOW > call.arrived;
        let before = all.iter().filter(within).count();
        assert!(
            before <= FEWER,
            "{before} calls in the window up to {call:?}"
        );
    }
    assert_eq!(logins(&rows).len(), 2);
    assert_apart(&logins(&rows));
    let deleted = both.len() + backlog.len() + more.len() + 2;
    assert_eq!(with(&rows, "deleted"), deleted);
    assert_eq!(with(&rows, "throttled") + with(&theirs, "throttled"), 0);
    let unchanged = of(&rig, &second).await.len();
    assert_eq!(unchanged, theirs.len(), "the second is asked no more");
}

#[tokio::test]
async fn a_secret_changed_during_a_login_costs_one_more_login_and_only_that_counts() {
    let rig = Rig::shared("rotated", layout(&[])).await;
    let application = rig.namespace.clone();
    let names = active(&rig, "production", 1..6).await;
    slow_logins(&rig, 2000).await;
    delete_active(&rig);
    wait_for("a login", SOON, async || {
        (logins_begun(&rig, &application).await == 1).then_some(())
    })
    .await;
    let page = format!("/applications/{application}");
    let rotated = json!({"secret": "a-rotated-secret"});
    rig.simulator.switch(&page, &rotated).await;
    rig.patch("secret/production-app", &json!({"stringData": rotated}));
    gone(&rig, &names).await;
    let rows = of(&rig, &application).await;
    let logins = logins(&rows);
    assert_eq!(logins.len(), 2);
    assert_apart(&logins);
    assert!(logins.iter().all(|login| login.verdict == "logged-in"));
    let deletes = about(&rows, &names);
    assert_eq!(deletes.len(), names.len());
    for call in deletes {
        assert_eq!(call.verdict, "deleted");
        assert!(call.arrived >= logins[1].answered, "{call:?}");
    }
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_only_while_work_waits() {
    let lifetime = Duration::from_secs(5);
    let rig = Rig::shared("renewed", layout(&["--token-lifetime", "5s"])).await;
    let application = rig.namespace.clone();
    let names = active(&rig, "production", 1..71).await;
    delete_active(&rig);
    gone(&rig, &names).await;
    let rows = of(&rig, &application).await;
    let begun = logins(&rows).len();
    assert!(begun >= 2, "the work outlasts a token");
    assert_apart(&logins(&rows));

    // Without work it makes no call, for several lifetimes of a token.
    tokio::time::sleep(lifetime * 2).await;
    assert_eq!(of(&rig, &application).await.len(), rows.len());
    let late = active(&rig, "production", 71..72).await;
    delete_active(&rig);
    gone(&rig, &late).await;
    let rows = of(&rig, &application).await;
    assert_eq!(logins(&rows).len(), begun + 1);
    assert_eq!(with(&rows, "deleted"), 71);
    assert_eq!(
        with(&rows, "token-refused"),
        0,
        "no token was used to its end"
    );
}

#[tokio::test]
async fn a_quota_that_fits_only_logins_makes_one_login_and_is_reported_until_raised() {
    let small = json!({
        "quota": {"calls": 1, "window": "6s"}, "guard": {"gracePeriod": "0s"}, "inventory": {"interval": "0s"},
    });
    let layout = Layout {
        platform: small,
        ..layout(&["--token-lifetime", "5s"])
    };
    let rig = Rig::shared("one-call", layout).await;
    rig.active(&[("meter", "package-00001")]).await;
    rig.delete("meter");
    let said = rig.platform_reason("production", "QuotaTooSmall").await;
    let message = said["status"]["conditions"].to_string();
    assert!(message.contains("1 call in 6s"), "{message}");
    rig.reason("meter", "QuotaTooSmall").await;
    // Two windows, in which further logins would be made.
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert_eq!(rig.logins().await, 1);
    rig.patch(
        "platform/production",
        &json!({"spec": {"quota": {"calls": 2}}}),
    );
    rig.gone("meter").await;
    rig.platform_reason("production", "Available").await;
}
