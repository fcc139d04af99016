//! Ways to end a hold other than its release by annotation.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::{Rig, tool};
use crate::{activate, delete, deletes, file, fleet, goes, guard, held, hold, name};

#[tokio::test]
async fn retain_or_another_claim_removes_objects_from_a_hold_which_ends_with_the_last() {
    let rig = fleet("leave", 4, guard(2, "0s")).await;
    rig.patch(
        "platform/production",
        &json!({"spec": {"guard": {"gracePeriod": "2s"}}}),
    );
    delete(&rig, 1..=3);
    for number in 1..=3 {
        held(&rig, number).await;
    }
    for number in 1..=2 {
        let retain = json!({"spec": {"deletionPolicy": "Retain"}});
        rig.patch(&format!("vp/{}", name(number)), &retain);
        rig.gone(&name(number)).await;
    }
    held(&rig, 3).await;
    rig.active(&[("moved", &file(3))]).await;
    rig.gone(&name(3)).await;
    rig.platform_reason("production", "Available").await;
    assert_eq!(deletes(&rig).await, 0);
    delete(&rig, 4..=4);
    goes(&rig, 4).await;
}

/// Runs `vpo hold` and answers its question.
fn vpo_hold(rig: &Rig<'_>, what: &str, id: &str) {
    let mut talk = Command::new(tool::vpo())
        .args(["hold", what, id])
        .env("KUBECONFIG", rig.plane.kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let answer = format!("{id}\n");
    let mut asked = talk.stdin.take().unwrap();
    asked.write_all(answer.as_bytes()).unwrap();
    assert!(talk.wait().unwrap().success(), "vpo hold {what} {id}");
}

#[tokio::test]
async fn vpo_hold_retain_keeps_the_packages_and_vpo_hold_release_deletes_them() {
    let rig = fleet("spoken", 8, guard(0, "0s")).await;
    for (what, numbers) in [("retain", 1..=4), ("release", 5..=8)] {
        delete(&rig, numbers.clone());
        for number in numbers.clone() {
            held(&rig, number).await;
        }
        let id = hold(&rig).await["id"].as_str().unwrap().to_owned();
        vpo_hold(&rig, what, &id);
        for number in numbers {
            rig.gone(&name(number)).await;
            let calls = rig.deletes(&file(number)).await.len();
            assert_eq!(calls, usize::from(what == "release"), "{what} {number}");
        }
        rig.platform_reason("production", "Available").await;
    }
    // The next sync creates the released objects again.
    activate(&rig, 1..=4).await;
}

#[tokio::test]
async fn raising_the_limit_in_git_releases_a_hold_within_it_and_no_larger_one() {
    let rig = fleet("raise", 6, guard(0, "0s")).await;
    delete(&rig, 1..=6);
    for number in 1..=6 {
        held(&rig, number).await;
    }
    let bound = |most: usize| json!({"spec": {"guard": {"maxDeletions": most}}});
    rig.patch("platform/production", &bound(5));
    rig.platform_becomes("production", "the change to be taken in", |p| {
        p["status"]["observedGeneration"] == p["metadata"]["generation"]
    })
    .await;
    held(&rig, 1).await;
    assert_eq!(deletes(&rig).await, 0);
    rig.patch("platform/production", &bound(6));
    for number in 1..=6 {
        goes(&rig, number).await;
    }
}
