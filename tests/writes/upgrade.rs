//! Objects and Platforms of the first version, whose statuses hold neither uid nor endpoint.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use kube::api::ListParams;

use super::refused::add_second_platform;
use super::*;
use crate::support::{OPERATOR, Plane, SOON, SimulatorOptions, ready, start_operator, wait_for};

/// The number of objects of each kind: gone; released and waiting in the queue; held; and finally paused or live.
const EACH: usize = 250;
const WRITES_AT_ONCE: usize = 16;

async fn create(rig: &Rig<'_>, number: usize) {
    let (kind, odd) = (number / EACH, number % 2 == 1);
    let lifecycle = if kind == 3 && odd {
        "Active"
    } else {
        "Retired"
    };
    let platform = if kind == 1 { "second" } else { "production" };
    let spec = json!({"lifecycle": lifecycle, "platformRef": {"name": platform}});
    let name = format!("p-{number:04}");
    // The simulator numbers its packages from 1.
    let package = format!("package-{:05}", number + 1);
    let mut manifest = rig.manifest(&name, &package, &spec);
    if kind == 3 && !odd {
        manifest["metadata"]["annotations"] = json!({"iodm.dev/paused": "true"});
    }
    let object: DynamicObject = serde_json::from_value(manifest).unwrap();
    let api = rig.packages();
    api.create(&PostParams::default(), &object).await.unwrap();
}

async fn all(rig: &Rig<'_>) -> Vec<Value> {
    let list = rig.packages().list(&ListParams::default()).await.unwrap();
    let objects = list.items.into_iter();
    objects
        .map(|object| serde_json::to_value(object).unwrap())
        .collect()
}

/// The number of objects for each reason.
async fn reasons(rig: &Rig<'_>) -> BTreeMap<String, usize> {
    let mut said: BTreeMap<String, usize> = BTreeMap::new();
    for object in all(rig).await {
        let ready = ready(&object);
        let reason = ready["reason"].as_str().unwrap_or_default().to_owned();
        *said.entry(reason).or_default() += 1;
    }
    said
}

/// Waits until all deletions that aren't held are made or wait in the queue, and no call is made any more. Returns the
/// number of waiting ones.
async fn parked(rig: &Rig<'_>) -> usize {
    let mut calls = 0;
    wait_for("the rest to be parked", SOON, async || {
        let said = reasons(rig).await;
        let count = |reason| said.get(reason).copied().unwrap_or_default();
        let before = std::mem::replace(&mut calls, rig.simulator.ledger().await.len());
        let all = count("Queued") + count("Deleted") == 2 * EACH;
        (all && before == calls && count("Queued") > 0).then(|| count("Queued"))
    })
    .await
}

/// Waits until `count` objects have `reason`.
async fn say(rig: &Rig<'_>, reason: &str, count: usize) {
    let what = format!("{count} objects to say {reason}");
    let mut told = BTreeMap::new();
    wait_for(&what, SOON * 2, async || {
        let said = reasons(rig).await;
        if said != told {
            eprintln!("waiting for {what}: {said:?}");
            told.clone_from(&said);
        }
        (said.get(reason) == Some(&count)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_thousand_objects_of_the_first_version_cost_no_call_no_write_and_no_new_hold() {
    let plane = Plane::start();
    plane.install();
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: 4 * EACH,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "guard": {"maxDeletions": EACH, "window": "10m", "gracePeriod": "0s"},
            "inventory": {"interval": "0s"},
        }),
    };
    let rig = Rig::on(&plane, "first-version", layout).await;
    let begin = async |numbers: std::ops::Range<usize>| {
        let numbers = futures::stream::iter(numbers);
        numbers
            .for_each_concurrent(WRITES_AT_ONCE, |number| create(&rig, number))
            .await;
    };
    add_second_platform(&rig);
    begin(0..EACH).await;
    say(&rig, "Deleted", EACH).await;
    // These deletions are released, and wait for another reason.
    begin(EACH..2 * EACH).await;
    say(&rig, "MassDeletionHeld", EACH).await;
    let hold = async || {
        let platform = rig.platform_reason("production", "MassDeletionHeld").await;
        platform["status"]["hold"]["id"].clone()
    };
    let released = hold().await;
    rig.patch("platform/second", &json!({"spec": {"mode": "Observe"}}));
    say(&rig, "WouldDelete", EACH).await;
    rig.annotate("platform/production", "release-hold", released.as_str());
    rig.platform_reason("production", "Available").await;
    begin(2 * EACH..4 * EACH).await;
    say(&rig, "MassDeletionHeld", EACH).await;
    say(&rig, "Paused", EACH / 2).await;
    say(&rig, "Active", EACH / 2).await;
    let second = hold().await;
    assert_ne!(second, released);
    // The released deletions get two calls in an hour.
    let quota = |calls: u32, window: &str| {
        let spec = json!({"spec": {"quota": {"calls": calls, "window": window}}});
        for platform in ["production", "second"] {
            rig.patch(&format!("platform/{platform}"), &spec);
        }
    };
    quota(2, "1h");
    rig.patch("platform/second", &json!({"spec": {"mode": "Enforce"}}));
    let waiting = parked(&rig).await;
    operator.terminate().await;
    // A status as the first version wrote it: without uid and endpoint.
    let none = json!({"status": {"uid": null, "endpoint": null}});
    let names = all(&rig)
        .await
        .into_iter()
        .map(|o| o["metadata"]["name"].as_str().unwrap().to_owned());
    futures::stream::iter(names)
        .for_each_concurrent(WRITES_AT_ONCE, |name| {
            let (api, none) = (rig.packages(), &none);
            async move {
                let params = PatchParams::default();
                let patched = api.patch_status(&name, &params, &Patch::Merge(none)).await;
                patched.unwrap();
            }
        })
        .await;
    for platform in ["production", "second"] {
        rig.patch_status(&format!("platform/{platform}"), &none);
    }
    let deleted = rig.simulator.ledger().await.len();
    let from = plane.audit_end();
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let events = plane.audit_events_from(from);
    let written = events.iter().filter(|event| {
        event.user.ends_with(OPERATOR)
            && event.verb == "patch"
            && event.resource == "versionpackages"
    });
    let names: BTreeSet<_> = written.map(|event| event.name.clone()).collect();
    assert!(names.is_empty(), "{} were written: {names:?}", names.len());
    assert_eq!(rig.simulator.ledger().await.len(), deleted, "no call");
    assert_eq!(hold().await, second);
    say(&rig, "MassDeletionHeld", EACH).await;
    say(&rig, "Queued", waiting).await;
    // The released deletions run in any window.
    quota(100, "1s");
    say(&rig, "Deleted", 2 * EACH).await;
    assert_eq!(hold().await, second);
}
