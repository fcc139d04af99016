//! Objects of the largest size that the API server accepts need no more memory than the operator has.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{Layout, OPERATOR, Plane, Rig, start_operator, wait_for};
use version_package_operator::api::platform::Platform;

/// The number of objects of each kind.
const MANY: usize = 100;
/// The number of labels, which the API server stores twice, as it records the owner of each.
const LABELS: usize = 1400;
/// The limit of the operator's resident memory at any time, in MiB; the installation allows 256.
const MOST: u64 = 128;
const PATIENCE: Duration = Duration::from_secs(120);

/// A line in the status of a process, in MiB.
fn mebibytes(process: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|read| read.strip_prefix(line));
    let number = line.unwrap().trim_matches([':', '\t', ' ', 'k', 'B']);
    number.parse::<u64>().unwrap() / 1024
}

fn labels() -> BTreeMap<String, String> {
    let prefix = vec!["p".repeat(60); 4].join(".");
    let key = |number| format!("{prefix}/{number:060}");
    (0..LABELS)
        .map(|number| (key(number), "v".repeat(63)))
        .collect()
}

/// Creates `MANY` objects; returns the size of one in bytes.
async fn create<K>(api: &Api<K>, object: impl Fn(usize) -> Value) -> usize
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    let made: Vec<K> = stream::iter(0..MANY)
        .map(async |number| {
            let mut object = object(number);
            object["metadata"]["labels"] = json!(labels());
            let object = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await
        })
        .buffer_unordered(4)
        .try_collect()
        .await
        .unwrap();
    serde_json::to_string(&made[0]).unwrap().len()
}

/// A Lease that another holder keeps during the whole test, so that the operator only reads.
fn lease() -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": OPERATOR, "name": OPERATOR},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600, "renewTime": "2026-01-01T00:00:00.000000Z"},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_objects_of_maximum_size_of_each_kind_fit_into_the_memory_at_a_start() {
    let plane = Plane::shared();
    plane.install();
    let rig = Rig::on(plane, "large", Layout::default()).await;
    let client: Client = plane.client().await;
    let bytes = create(rig.packages(), |number| {
        rig.manifest(&format!("p-{number}"), "package-00001", &json!({}))
    })
    .await;
    let kind = ApiResource::erase::<Platform>(&());
    let platforms = Api::<DynamicObject>::namespaced_with(client, &rig.namespace, &kind);
    create(&platforms, |number| {
        json!({
            "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
            "metadata": {"name": format!("platform-{number}")},
            "spec": {"endpoint": "https://iot.invalid", "credentialsSecretRef": {"name": "none"}},
        })
    })
    .await;
    plane.apply(&lease().to_string()).expect_ok();
    let operator = start_operator(plane, &[]);
    let process = operator.id().await;
    let within = |what: &str| {
        let most = mebibytes(process, "VmHWM");
        assert!(most <= MOST, "{most} MiB before {what}");
        most
    };
    wait_for("all to be listed", PATIENCE, async || {
        within("all were listed");
        operator.admin_page("/readyz").await
    })
    .await;
    let listed = within("all were listed");
    println!(
        "{MANY} objects of each kind of {bytes} bytes: at most {listed} MiB until all were listed"
    );
    // A new leader lists all Platforms once more.
    let free = r#"{"spec": {"holderIdentity": ""}}"#;
    let free = [
        "patch",
        "lease",
        "-n",
        OPERATOR,
        OPERATOR,
        "--type=merge",
        "-p",
        free,
    ];
    plane.kubectl(&free).expect_ok();
    wait_for("the first pass", PATIENCE, async || {
        within("it led");
        let metrics = operator.admin_page("/metrics").await?;
        let mut lines = metrics.lines();
        lines
            .any(|line| line.starts_with("vpo_passes_total{"))
            .then_some(())
    })
    .await;
    println!("at most {} MiB until it led", within("it led"));
}
