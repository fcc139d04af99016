//! Retired objects of packages that may have been deleted long ago, such as those of a cluster rebuilt from Git.

use serde_json::{Value, json};

use super::{delete, deletes, file, fleet, goes, guard, held, hold};
use crate::support::{Rig, SOON, ready, wait_for};

/// More objects than the guard allows at once.
const RECORDS: usize = 60;
const BOUND: usize = 50;

/// Applies `count` retired objects, as Git has them; the packages of the first `there` exist.
fn rebuild(rig: &Rig<'_>, count: usize, there: usize) {
    let items: Vec<Value> = (1..=count)
        .map(|number| {
            let file = if number <= there {
                file(number)
            } else {
                format!("long-gone-{number}")
            };
            rig.manifest(&record(number), &file, &json!({"lifecycle": "Retired"}))
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    rig.plane.apply(&list.to_string()).expect_ok();
}

fn record(number: usize) -> String {
    format!("r-{number:02}")
}

/// Waits until `count` objects have `reason`.
async fn records_say(rig: &Rig<'_>, reason: &str, count: usize) {
    let what = format!("{count} records to say {reason}");
    let mut before = Vec::new();
    let said = async || {
        let text = rig.kubectl(&["get", "vp", "-o", "json"]).expect_ok();
        let list: Value = serde_json::from_str(&text).unwrap();
        let items = list["items"].as_array().unwrap().iter();
        let all = items.filter(|o| o["metadata"]["name"].as_str().unwrap().starts_with("r-"));
        let reasons: Vec<String> = all.map(|o| ready(o)["reason"].to_string()).collect();
        let of = format!("{reason:?}");
        if reasons != before {
            before.clone_from(&reasons);
            let so = reasons.iter().filter(|r| **r == of).count();
            eprintln!("{so} of {} say {reason}", reasons.len());
        }
        (reasons.iter().filter(|r| **r == of).count() == count).then_some(())
    };
    wait_for(&what, SOON, said).await;
}

/// How many calls of each method the platform received, without logins.
async fn calls(rig: &Rig<'_>, method: &str) -> usize {
    let ledger = rig.simulator.ledger().await;
    let of = |call: &&Value| {
        call["method"] == method && !call["path"].as_str().unwrap().ends_with("/login")
    };
    ledger.iter().filter(of).count()
}

#[tokio::test]
async fn sixty_retired_objects_without_packages_become_already_gone_and_delay_no_deletion() {
    let rig = fleet("rebuilt", 5, guard(BOUND, "3s")).await;
    rebuild(&rig, RECORDS, 0);
    delete(&rig, 1..=5);
    records_say(&rig, "AlreadyGone", RECORDS).await;
    for number in 1..=5 {
        goes(&rig, number).await;
    }
    let object = rig.get(&record(7)).await.unwrap();
    let deletion = &object["status"]["deletion"];
    assert_eq!(deletion["outcome"], "AlreadyGone");
    assert!(deletion["attempts"].is_null(), "{deletion}");
    // One look-up for each object, and the ordinary deletions.
    assert_eq!(calls(&rig, "GET").await, RECORDS);
    assert_eq!(calls(&rig, "DELETE").await, 5);
    let platform = rig.platform_reason("production", "Available").await;
    assert!(platform["status"]["hold"].is_null(), "{platform}");
}

#[tokio::test]
async fn retired_objects_with_packages_are_held_before_the_first_call() {
    let mut platform = guard(20, "5s");
    platform["quota"] = json!({"calls": 1000, "window": "1s"});
    let rig = fleet("rebuilt-there", 0, platform).await;
    rebuild(&rig, 40, 40);
    records_say(&rig, "MassDeletionHeld", 40).await;
    let id = hold(&rig).await["id"].as_str().unwrap().to_owned();
    assert_eq!(deletes(&rig).await, 0);
    rig.annotate("platform/production", "release-hold", Some(&id));
    records_say(&rig, "Deleted", 40).await;
    assert_eq!((calls(&rig, "GET").await, deletes(&rig).await), (40, 40));
}

#[tokio::test]
async fn a_retired_object_with_a_package_has_its_grace_period_and_counts_in_the_guard() {
    let rig = fleet("rebuilt-one", 0, guard(1, "5s")).await;
    let begun = jiff::Timestamp::now();
    rebuild(&rig, 1, 1);
    let waits = rig.reason(&record(1), "GracePeriod").await;
    assert!(waits["status"]["deletion"]["requestedAt"].is_string());
    rig.reason(&record(1), "Deleted").await;
    let call = &rig.deletes(&file(1)).await[0];
    let arrived: jiff::Timestamp = call["time"].as_str().unwrap().parse().unwrap();
    assert!(arrived.duration_since(begun).as_secs() >= 5, "{call}");
    // The deletion has used up the limit of the guard.
    crate::activate(&rig, 2..=2).await;
    delete(&rig, 2..=2);
    held(&rig, 2).await;
    assert_eq!(deletes(&rig).await, 1);
}

#[tokio::test]
async fn an_unanswered_look_up_is_repeated_and_one_that_proves_nothing_lets_the_deletion_continue()
{
    let rig = fleet("rebuilt-fails", 0, guard(0, "0s")).await;
    let fails = json!({"status": {"status": 503}});
    rig.simulator.fault_all("GET", &fails).await;
    rebuild(&rig, 2, 1);
    for number in 1..=2 {
        let object = rig.reason(&record(number), "PlatformUnavailable").await;
        assert!(object["status"]["deletion"]["requestedAt"].is_null());
        assert_eq!(object["status"]["deletion"]["lastError"]["httpStatus"], 503);
    }
    let admin = async |method| rig.simulator.admin(method, "/faults", &Value::Null).await;
    admin(reqwest::Method::DELETE).await;
    // An undocumented answer settles nothing and blocks nothing: the guard decides next.
    let odd = json!({"status": {"status": 405}});
    rig.simulator.fault_all("GET", &odd).await;
    for number in 1..=2 {
        rig.annotate(
            &format!("vp/{}", record(number)),
            "requested-at",
            Some("now"),
        );
        rig.reason(&record(number), "MassDeletionHeld").await;
    }
    assert_eq!(deletes(&rig).await, 0);
}

#[tokio::test]
async fn one_look_up_serves_all_objects_of_a_package_and_a_claim_keeps_the_package() {
    let rig = fleet("rebuilt-twins", 0, guard(50, "2s")).await;
    let of = |name: &str, file: &str| rig.manifest(name, file, &json!({"lifecycle": "Retired"}));
    let (gone, there, claimed) = ("long-gone", file(1), file(2));
    rig.active(&[("wanted", &claimed)]).await;
    let items: Vec<Value> = (1..=4)
        .flat_map(|n| {
            [
                of(&format!("gone-{n}"), gone),
                of(&format!("there-{n}"), &there),
                of(&format!("claimed-{n}"), &claimed),
            ]
        })
        .collect();
    // All objects exist before the first look-up is answered.
    let mode = |mode: &str| json!({"spec": {"mode": mode}});
    rig.patch("platform/production", &mode("Observe"));
    rig.platform_reason("production", "Observing").await;
    let slow = json!({"delay": {"ms": 1500}});
    rig.simulator.fault_all("GET", &slow).await;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    rig.plane.apply(&list.to_string()).expect_ok();
    for n in 1..=4 {
        rig.reason(&format!("gone-{n}"), "WouldDelete").await;
        rig.reason(&format!("there-{n}"), "WouldDelete").await;
    }
    rig.patch("platform/production", &mode("Enforce"));
    for n in 1..=4 {
        rig.reason(&format!("gone-{n}"), "AlreadyGone").await;
        rig.reason(&format!("there-{n}"), "Deleted").await;
        rig.reason(&format!("claimed-{n}"), "StillClaimed").await;
    }
    assert_eq!(calls(&rig, "GET").await, 2);
    assert_eq!(deletes(&rig).await, 1);
    assert!(rig.simulator.has(&claimed).await);
}
