//! Nothing is deleted on stale knowledge: a silent watch costs time, never a package.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{
    ApiProxy, Layout, OPERATOR, Operator, Plane, Rig, SOON, SimulatorOptions, alone, ready,
    wait_for,
};

/// The packages of a load that takes four seconds.
const PACED: usize = 40;

/// An operator that reaches the API server through a fault proxy.
async fn behind_a_proxy(plane: &Plane) -> (ApiProxy, Operator) {
    let proxy = ApiProxy::start(plane, &plane.kubeconfig_for(OPERATOR, OPERATOR));
    let mut operator = Operator::start(proxy.kubeconfig(), OPERATOR, &[]);
    operator.ready().await;
    (proxy, operator)
}

fn set_mode(rig: &Rig<'_>, mode: &str) {
    rig.patch("platform/production", &json!({"spec": {"mode": mode}}));
}

/// The DELETE calls of the whole platform.
async fn calls(rig: &Rig<'_>) -> Vec<Value> {
    let ledger = rig.simulator.ledger().await.into_iter();
    ledger.filter(|call| call["method"] == "DELETE").collect()
}

/// The value of one line of the metrics.
async fn metric(operator: &Operator, line: &str) -> u64 {
    let page = operator.admin_page("/metrics").await.expect("metrics");
    page.lines()
        .find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {line} in {page}"))
}

fn observing() -> Layout<'static> {
    Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "mode": "Observe"}),
        ..Layout::default()
    }
}

#[tokio::test]
async fn no_package_that_became_wanted_is_deleted_while_the_watch_is_silent() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "silent", observing()).await;
    let (proxy, operator) = behind_a_proxy(plane).await;
    rig.active(&[("again", "package-00001"), ("first", "package-00002")])
        .await;
    for name in ["again", "first"] {
        rig.retire(name);
        rig.reason(name, "WouldDelete").await;
    }
    assert_eq!(metric(&operator, "vpo_blind_permits_total").await, 0);

    // From here on the operator knows only two retired objects, and a Platform that may delete.
    proxy.hold_watch("versionpackages");
    rig.patch("vp/again", &json!({"spec": {"lifecycle": "Active"}}));
    let second = rig.manifest("second", "package-00002", &json!({}));
    plane.apply(&second.to_string()).expect_ok();
    set_mode(&rig, "Enforce");
    let began = Instant::now();
    wait_for("the blindness to be noticed", SOON, async || {
        let page = operator.admin_page("/metrics").await?;
        page.contains("vpo_watch_restarts_total{resource=\"versionpackages\"} ")
            .then_some(())
    })
    .await;
    assert!(metric(&operator, "vpo_blind_permits_total").await >= 1);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    // The new watch is silent too, but the list before it is current.
    rig.reason("again", "Active").await;
    rig.reason("first", "ClaimUnclear").await;
    assert_eq!(calls(&rig).await, Vec::<Value>::new());

    proxy.release_watch();
    rig.reason("second", "Active").await;
    rig.reason("first", "StillClaimed").await;
    rig.retire("again");
    rig.reason("again", "Deleted").await;
    rig.delete("second");
    rig.gone("second").await;
    rig.reason("first", "Deleted").await;
    let deleted: Vec<_> = calls(&rig)
        .await
        .iter()
        .map(|call| call["verdict"].clone())
        .collect();
    assert_eq!(deleted, ["deleted", "deleted"]);
}

/// Forty packages, and ten calls a second.
async fn paced<'a>(plane: &'a Plane, subject: &str) -> Rig<'a> {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: PACED,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform: json!({"quota": {"calls": 10, "window": "1s"}}),
    };
    Rig::on(plane, subject, layout).await
}

/// Creates an object for each of the forty packages; returns the names.
async fn forty(rig: &Rig<'_>) -> Vec<String> {
    let names: Vec<String> = (1..=PACED).map(|n| format!("package-{n:05}")).collect();
    let pairs: Vec<_> = names.iter().map(|n| (n.as_str(), n.as_str())).collect();
    rig.active(&pairs).await;
    names
}

/// Requests the deletion of all, and waits until the platform has received some calls.
async fn begin(rig: &Rig<'_>, names: &[String]) {
    // All deletions are requested before the first is made.
    set_mode(rig, "Observe");
    rig.platform_reason("production", "Observing").await;
    rig.delete_all(&names.iter().map(String::as_str).collect::<Vec<_>>());
    set_mode(rig, "Enforce");
    wait_for("the first calls", SOON, async || {
        (calls(rig).await.len() >= 8).then_some(())
    })
    .await;
}

/// Waits until all objects are gone, and checks that each took one call.
async fn end(rig: &Rig<'_>, names: &[String]) {
    for name in names {
        rig.gone(name).await;
    }
    let mut by_package = BTreeMap::<String, usize>::new();
    for call in calls(rig).await {
        *by_package.entry(call["path"].to_string()).or_default() += 1;
    }
    assert_eq!(by_package.len(), PACED);
    assert!(by_package.values().all(|&n| n == 1), "{by_package:?}");
}

/// Stops the deletions midway: a second later nothing is sent, and each remaining object gives the reason, once.
async fn stop(rig: &Rig<'_>, names: &[String], act: impl FnOnce(), reason: &str) {
    let history = rig.history().await;
    act();
    let stopped = Timestamp::now() + SignedDuration::from_secs(1);
    let mut left = 0;
    for name in names {
        let rest = wait_for("each to go or to say why not", SOON, async || {
            match rig.get(name).await {
                None => Some(0),
                Some(object) => (ready(&object)["reason"] == reason).then_some(1),
            }
        });
        left += rest.await;
    }
    let calls = calls(rig).await;
    assert_eq!(calls.len(), PACED - left);
    assert!(left > 0, "the stop came too late to tell");
    for call in calls {
        let came: Timestamp = call["time"].as_str().unwrap().parse().unwrap();
        assert!(came <= stopped, "{call} came after {stopped}");
    }
    // The watch must not wake objects only to stop them again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let versions = history.versions();
    for name in names {
        let of_this = versions.iter().filter(|v| v["metadata"]["name"] == **name);
        let mut said: Vec<_> = of_this.map(|v| ready(v)["reason"].clone()).collect();
        said.dedup();
        let stopped = said.iter().filter(|said| **said == reason);
        assert!(stopped.count() <= 1, "{name}: {said:?}");
    }
}

#[tokio::test]
async fn the_emergency_stop_needs_no_healthy_watch() {
    let (_turn, plane) = alone().await;
    let rig = paced(plane, "stop").await;
    let (proxy, _operator) = behind_a_proxy(plane).await;
    let names = forty(&rig).await;
    begin(&rig, &names).await;

    let observe = || {
        proxy.hold_watch("platforms");
        set_mode(&rig, "Observe");
    };
    stop(&rig, &names, observe, "WouldDelete").await;
    rig.platform_reason("production", "Observing").await;

    // A watch that never showed the stop doesn't show its end either.
    set_mode(&rig, "Enforce");
    end(&rig, &names).await;
    proxy.release_watch();
}

#[tokio::test]
async fn a_namespace_that_is_no_longer_selected_stops_its_deletions_even_while_the_watch_is_silent()
{
    let (_turn, plane) = alone().await;
    let rig = paced(plane, "unselected").await;
    let namespace = format!("namespace/{}", rig.namespace);
    let label = |label: &str| {
        let labelled = rig.kubectl(&["label", "--overwrite", &namespace, label]);
        labelled.expect_ok();
    };
    let meters = json!({"from": "Selector", "selector": {"matchLabels": {"team": "meters"}}});
    label("team=meters");
    rig.patch(
        "platform/production",
        &json!({"spec": {"allowedNamespaces": meters}}),
    );
    let (proxy, _operator) = behind_a_proxy(plane).await;
    let names = forty(&rig).await;
    begin(&rig, &names).await;

    let relabel = || {
        proxy.hold_watch("namespaces");
        label("team=pumps");
    };
    stop(&rig, &names, relabel, "PlatformNotAllowed").await;

    label("team=meters");
    end(&rig, &names).await;
    proxy.release_watch();
}

#[tokio::test]
async fn a_claim_from_a_newly_allowed_namespace_counts_even_while_the_watch_is_silent() {
    let (_turn, plane) = alone().await;
    let rig = Rig::on(plane, "allowed", Layout::default()).await;
    let elsewhere = plane.namespace("elsewhere");
    let label = |namespace: &str| {
        let object = format!("namespace/{namespace}");
        plane
            .kubectl(&["label", &object, "team=meters"])
            .expect_ok();
    };
    label(&rig.namespace);
    let meters = json!({"from": "Selector", "selector": {"matchLabels": {"team": "meters"}}});
    rig.patch(
        "platform/production",
        &json!({"spec": {"allowedNamespaces": meters}}),
    );
    let (proxy, _operator) = behind_a_proxy(plane).await;
    rig.active(&[("before", "package-00001")]).await;

    // One commit moves the object to another namespace that the Platform now allows; only the change of the label isn't
    // seen.
    proxy.hold_watch("namespaces");
    label(&elsewhere);
    let spec = json!({"platformRef": {"name": "production", "namespace": rig.namespace}});
    let mut moved = rig.manifest("after", "package-00001", &spec);
    moved["metadata"]["namespace"] = json!(elsewhere);
    plane.apply(&moved.to_string()).expect_ok();
    rig.delete("before");
    rig.gone("before").await;
    assert_eq!(calls(&rig).await, Vec::<Value>::new());
    let phase = "jsonpath={.status.phase}";
    let get = ["-n", &elsewhere, "get", "vp/after", "-o", phase];
    wait_for("the other one to be taken on", SOON, async || {
        (plane.kubectl(&get).expect_ok() == "Active").then_some(())
    })
    .await;
    proxy.release_watch();
}

#[tokio::test]
async fn a_definition_that_loses_a_field_stops_all_deletions_even_while_its_watch_is_silent() {
    let plane = Plane::start();
    plane.install();
    let rig = paced(&plane, "definition").await;
    let (proxy, _operator) = behind_a_proxy(&plane).await;
    let names = forty(&rig).await;
    begin(&rig, &names).await;

    proxy.hold_watch("customresourcedefinitions");
    let text = std::fs::read_to_string("crds/versionpackages.iodm.dev.yaml").unwrap();
    let mut definition: Value = serde_saphyr::from_str(&text).unwrap();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let fields = definition.pointer_mut(spec).unwrap();
    fields.as_object_mut().unwrap().remove("expect").unwrap();
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    plane
        .kubectl_with(plane.kubeconfig(), &apply, &definition.to_string())
        .expect_ok();
    let stopped = Timestamp::now() + SignedDuration::from_secs(1);
    wait_for("somebody to say what is in the way", SOON, async || {
        let mut said = 0;
        for name in &names {
            let object = rig.get(name).await;
            let message = object.map(|object| ready(&object)["message"].to_string());
            let told = "a CustomResourceDefinition has just been changed";
            said += usize::from(message.is_some_and(|message| message.contains(told)));
        }
        (said > 0).then_some(())
    })
    .await;
    let calls = calls(&rig).await;
    assert!(calls.len() < PACED, "the loss came too late to tell");
    for call in calls {
        let came: Timestamp = call["time"].as_str().unwrap().parse().unwrap();
        assert!(came <= stopped, "{call} came after {stopped}");
    }
}

#[tokio::test]
async fn an_outage_of_the_api_server_costs_no_call_and_deletions_resume() {
    let (_turn, plane) = alone().await;
    let rig = paced(plane, "away").await;
    let (proxy, operator) = behind_a_proxy(plane).await;
    let names = forty(&rig).await;
    begin(&rig, &names).await;

    proxy.cut();
    wait_for("the operator to notice", SOON, async || {
        let log = operator.log();
        log.iter()
            .any(|line| line.contains("can't be read") || line.contains("could not be"))
            .then_some(())
    })
    .await;
    // No call is made without a read of the Platform, and none without an intent.
    let known = calls(&rig).await.len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let blind = calls(&rig).await.len();
    assert!(blind - known <= 10, "{known} calls, then {blind}");
    assert!(blind < PACED, "the line was cut too late to tell");

    proxy.mend();
    let mended = Instant::now();
    wait_for("the next call", SOON, async || {
        (calls(&rig).await.len() > blind).then_some(())
    })
    .await;
    assert!(
        mended.elapsed() < Duration::from_secs(8),
        "{:?}",
        mended.elapsed()
    );
    end(&rig, &names).await;
}

#[tokio::test]
async fn a_claim_that_appears_between_permit_and_intent_is_never_deleted() {
    const ROUNDS: usize = 200;
    let (_turn, plane) = alone().await;
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: ROUNDS,
            quota_calls: 10_000,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform: json!({"quota": {"calls": 10_000, "window": "1s"}}),
    };
    let rig = Rig::on(plane, "race", layout).await;
    let proxy = ApiProxy::start(plane, &plane.kubeconfig_for(OPERATOR, OPERATOR));
    let mut operator = Operator::start(proxy.kubeconfig(), OPERATOR, &[]);
    operator.ready().await;
    let file = |number: usize| format!("package-{:05}", number + 1);
    let first: Vec<(String, String)> = (0..ROUNDS).map(|n| (format!("a-{n}"), file(n))).collect();
    let pairs: Vec<(&str, &str)> = first.iter().map(|(n, f)| (&**n, &**f)).collect();
    rig.active(&pairs).await;
    // From here on each request and each watch event is delayed, so that a claim comes before the permit, between
    // permit and intent, or after the intent.
    proxy.delay(Duration::from_millis(20));
    let api = rig.packages();
    let history = rig.history().await;
    // Short and long pauses, for fast and slow machines.
    let mut pauses = (0..ROUNDS).map(|round| {
        let step = if round % 2 == 0 { 10 } else { 40 };
        Duration::from_millis(u64::try_from(round / 2 % 25 * step).unwrap())
    });
    for batch in first.chunks(20) {
        let races = batch.iter().map(|(name, file_id)| {
            let pause = pauses.next().unwrap();
            let (rig, api) = (&rig, &api);
            async move {
                api.delete(name, &kube::api::DeleteParams::default())
                    .await
                    .unwrap();
                tokio::time::sleep(pause).await;
                let claim = rig.manifest(&format!("b-{name}"), file_id, &json!({}));
                let claim = serde_json::from_value(claim).unwrap();
                api.create(&kube::api::PostParams::default(), &claim)
                    .await
                    .unwrap();
            }
        });
        futures::future::join_all(races).await;
    }
    let mut in_time = 0;
    for (name, _) in &first {
        rig.gone(name).await;
    }
    // The history contains everything before this change.
    rig.annotate("vp/b-a-0", "note", Some("the last"));
    let versions = wait_for("the watch to tell of all", SOON, async || {
        let versions = history.versions();
        let last =
            |object: &Value| object["metadata"]["annotations"]["iodm.dev/note"] == "the last";
        versions.iter().any(last).then_some(versions)
    })
    .await;
    let position = |name: &str, of: &dyn Fn(&Value) -> bool| {
        versions
            .iter()
            .position(|object| object["metadata"]["name"] == name && of(object))
    };
    for (name, file_id) in &first {
        // The watch shows all changes in their order.
        let claimed = position(&format!("b-{name}"), &|_| true).unwrap();
        let intended = position(name, &|o| o["status"]["deletion"]["intent"].is_string());
        if intended.is_none_or(|intended| claimed < intended) {
            in_time += 1;
            assert!(
                rig.deletes(file_id).await.is_empty(),
                "{name} was claimed before its intent"
            );
            assert!(rig.simulator.has(file_id).await);
        }
    }
    println!("{in_time} of {ROUNDS} claims came in time");
    assert!(
        (20..ROUNDS).contains(&in_time),
        "{in_time} claims came in time: the race was not run"
    );
    operator.terminate().await;
}
