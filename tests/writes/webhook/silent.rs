//! A webhook that never answers, for one namespace.

use super::*;
use crate::support::SimulatorOptions;

/// The number of objects behind the webhook.
const MANY: usize = 300;
/// The time limit of other deletions. Without the webhook they take less than a second; they took 16 s while each
/// hanging write held a slot until its end.
const BESIDE: Duration = Duration::from_secs(8);

/// The names and packages of `count` objects.
fn packages(count: usize) -> Vec<(String, String)> {
    let numbers = 1..=count;
    numbers
        .map(|n| (format!("meter-{n}"), format!("package-{n:05}")))
        .collect()
}

/// A rig with many packages.
async fn many(subject: &str) -> Rig<'static> {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: MANY,
            ..Layout::default().simulator
        },
        ..at_once()
    };
    Rig::shared(subject, layout).await
}

/// Applies an object for each of the packages, in one request.
fn apply_many(rig: &Rig<'_>) {
    let all = packages(MANY);
    let items: Vec<Value> = all
        .iter()
        .map(|(name, file)| rig.manifest(name, file, &json!({})))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    rig.plane.apply(&list.to_string()).expect_ok();
}

/// Deletes an object, and checks that it is gone soon.
async fn is_deleted_soon(rig: &Rig<'_>, name: &str) {
    let begun = Instant::now();
    rig.delete(name);
    rig.gone(name).await;
    let took = begun.elapsed();
    println!("{name} was gone after {took:?}");
    assert!(took < BESIDE, "{took:?}");
}

async fn asked_so_often(what: &str, asked: &AtomicUsize, count: usize) {
    wait_for(what, SOON, async || {
        (asked.load(Ordering::Relaxed) >= count).then_some(())
    })
    .await;
}

/// Checks that few writes waited for the webhook at the same time: the first slow ones, at most as many as there are
/// slots.
fn few_waited(questions: &Questions) {
    let most = questions.most.load(Ordering::Relaxed);
    println!("{most} writes waited for the webhook at one time");
    assert!(most <= 40, "{most}");
}

#[tokio::test]
async fn a_hanging_webhook_of_one_platform_delays_no_deletion_of_another() {
    let slow = Rig::shared("silent", at_once()).await;
    // A limit so low that each deletion needs a record of its own.
    let small = json!({"maxDeletions": 5, "window": "10m", "gracePeriod": "0s"});
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "guard": small}),
        ..Layout::default()
    };
    let rig = Rig::shared("beside", layout).await;
    rig.active(&[("meter-fw", "package-00001")]).await;
    slow.platform_reason("production", "Available").await;
    let questions = Arc::default();
    let asked = ask(&slow, &silent_webhook(&questions).await, "platforms/status").await;
    slow.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    wait_for("the webhook to be asked", SOON, async || {
        (questions.come.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    rig.delete("meter-fw");
    rig.gone("meter-fw").await;
    assert_eq!(questions.given_up.load(Ordering::Relaxed), 0);
    ask_no_more(&slow, &asked);
    slow.platform_reason("production", "Observing").await;
}

#[tokio::test]
async fn a_hanging_webhook_for_the_statuses_of_one_namespace_delays_no_deletion_in_another() {
    let slow = many("silent-status").await;
    let rig = Rig::shared("beside-status", at_once()).await;
    let two = [("first", "package-00001"), ("second", "package-00002")];
    rig.active(&two).await;
    apply_many(&slow);
    for (name, _) in packages(MANY) {
        slow.reason(&name, "Active").await;
    }
    let questions = Arc::default();
    let webhook = silent_webhook(&questions).await;
    let asked = ask(&slow, &webhook, "versionpackages/status").await;
    let all = kube::api::ListParams::default();
    let deletion = kube::api::DeleteParams::default();
    let delete = slow.packages().delete_collection(&deletion, &all);
    delete.await.unwrap();
    asked_so_often("the webhook to be asked", &questions.come, 1).await;
    is_deleted_soon(&rig, "first").await;
    // By now the namespace is known to be slow, and its writes are retried.
    asked_so_often("writes to be given up", &questions.given_up, 20).await;
    is_deleted_soon(&rig, "second").await;
    few_waited(&questions);
    wait_for("an event about the writes", SOON, async || {
        events_say(&slow, "WriteFailed", "can't be written").then_some(())
    })
    .await;
    assert_eq!(slow.deletes("package-00001").await.len(), 0);

    ask_no_more(&slow, &asked);
    wait_for("all of them to go", SOON, async || {
        let left = slow.packages().list(&all).await.unwrap();
        left.items.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hanging_webhook_for_the_finalizers_of_one_namespace_delays_no_deletion_in_another() {
    let slow = many("silent-patch").await;
    let rig = Rig::shared("beside-patch", at_once()).await;
    let two = [("first", "package-00001"), ("second", "package-00002")];
    rig.active(&two).await;
    slow.platform_reason("production", "Available").await;
    let questions = Arc::default();
    let webhook = silent_webhook(&questions).await;
    let asked = ask(&slow, &webhook, "versionpackages").await;
    apply_many(&slow);
    asked_so_often("the webhook to be asked", &questions.come, 1).await;
    is_deleted_soon(&rig, "first").await;
    asked_so_often("writes to be given up", &questions.given_up, 20).await;
    is_deleted_soon(&rig, "second").await;
    few_waited(&questions);

    ask_no_more(&slow, &asked);
    for (name, _) in packages(MANY) {
        slow.reason(&name, "Active").await;
    }
}

#[tokio::test]
async fn a_hanging_webhook_of_one_namespace_keeps_no_other_from_calls_of_the_same_platform() {
    let layout = Layout {
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxDeletions": 1000, "window": "10m", "gracePeriod": "0s"},
            "allowedNamespaces": {"from": "All"},
        }),
        simulator: SimulatorOptions {
            packages: 100,
            ..Layout::default().simulator
        },
    };
    let rig = Rig::shared("shares", layout).await;
    let slow = rig.plane.namespace("silent-share");
    let two = [("first", "package-00001"), ("second", "package-00002")];
    rig.active(&two).await;
    // More objects than concurrent permits.
    let all = packages(62);
    let items: Vec<Value> = all[2..]
        .iter()
        .map(|(name, file)| {
            let of_rig = json!({"namespace": rig.namespace, "name": "production"});
            let mut object = rig.manifest(name, file, &json!({"platformRef": of_rig}));
            object["metadata"]["namespace"] = json!(slow);
            object
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    rig.plane.apply(&list.to_string()).expect_ok();
    let there = |arguments: &[&str]| {
        let all = [&["-n", slow.as_str()], arguments].concat();
        rig.plane.kubectl(&all).expect_ok()
    };
    let ready = [
        "wait",
        "vp",
        "--all",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    there(&ready);
    let questions = Arc::default();
    let webhook = silent_webhook(&questions).await;
    let asked = ask_in(&rig, &slow, &webhook, "versionpackages/status").await;
    there(&["delete", "vp", "--all", "--wait=false"]);
    asked_so_often("the webhook to be asked", &questions.come, 1).await;
    is_deleted_soon(&rig, "first").await;
    asked_so_often("writes to be given up", &questions.given_up, 20).await;
    is_deleted_soon(&rig, "second").await;

    ask_no_more(&rig, &asked);
    wait_for("all of them to go", SOON, async || {
        let left = there(&["get", "vp", "-o", "name"]);
        left.trim().is_empty().then_some(())
    })
    .await;
}
