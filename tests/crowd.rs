//! Many objects of one package cost no more than as many of different ones: naming the packages of others can't keep
//! the operator busy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use support::{Layout, Plane, Rig, shared_operator, wait_for};

/// The number of objects of one package: if each of them read all others, the CPU time would show it.
const CROWD: usize = 2_000;
/// The number of irrelevant changes to the objects.
const EDITS: usize = 100;
/// The CPU time allowed for each creation and each edit, in a build without optimisation on a loaded machine.
const EACH: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(240);

/// The CPU time that a process has used.
fn cpu(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // The kernel reports CPU time in hundredths of a second.
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_objects_of_one_package_cost_no_more_than_as_many_others() {
    let operator = shared_operator().await;
    let rig = Rig::on(Plane::shared(), "crowd", Layout::default()).await;
    let process = operator.id().await;
    let before = cpu(process);
    stream::iter(0..CROWD)
        .map(Ok::<_, kube::Error>)
        .try_for_each_concurrent(8, async |number| {
            let spec = if number % 2 == 0 {
                json!({})
            } else {
                json!({"lifecycle": "Retired"})
            };
            let object = rig.manifest(&format!("p-{number}"), "package-00001", &spec);
            let object = serde_json::from_value(object).unwrap();
            rig.packages()
                .create(&PostParams::default(), &object)
                .await?;
            Ok(())
        })
        .await
        .unwrap();
    let words = async |reason: &str| {
        let said = rig.kubectl(&["get", "vp", "-o", "json"]).expect_ok();
        let list: serde_json::Value = serde_json::from_str(&said).unwrap();
        let items = list["items"].as_array().unwrap().iter();
        items
            .filter(|o| support::ready(o)["reason"] == reason)
            .count()
    };
    wait_for("all to be looked at", PATIENCE, async || {
        let all = words("Active").await + words("StillClaimed").await;
        (all == CROWD).then_some(())
    })
    .await;
    let born = cpu(process);
    for number in 0..EDITS {
        let change = json!({"metadata": {"labels": {"edit": number.to_string()}}});
        let name = format!("p-{}", number % CROWD);
        let params = PatchParams::default();
        rig.packages()
            .patch_metadata(&name, &params, &Patch::Merge(change))
            .await
            .unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let edited = cpu(process);
    let (births, edits) = (born.saturating_sub(before), edited.saturating_sub(born));
    println!("{CROWD} births took {births:?} of a core, {EDITS} edits {edits:?}");
    assert!(rig.deletes("package-00001").await.is_empty());
    assert!(births <= EACH * u32::try_from(CROWD).unwrap(), "{births:?}");
    assert!(edits <= EACH * u32::try_from(EDITS).unwrap(), "{edits:?}");
}
