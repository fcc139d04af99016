//! The list of packages shows the data of each package, the missing packages, and the unmanaged ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Layout, Rig, SOON, Said, SimulatorOptions, ready, shared_operator, tool, wait_for};

const FIRST: &str = "package-00001";
const SECOND: &str = "package-00002";
const THIRD: &str = "package-00003";

/// A platform with `packages` whose list is read every second, with an ample quota.
async fn laid_out(subject: &str, packages: usize) -> Rig<'static> {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages,
            quota_window: "1s",
            ..SimulatorOptions::default()
        },
        platform: json!({
            "quota": {"calls": 100, "window": "1s"},
            "inventory": {"interval": "1s"},
            "guard": {"maxDeletions": 1000, "window": "10m", "gracePeriod": "0s"},
        }),
    };
    Rig::shared(subject, layout).await
}

/// Runs `vpo inventory` for the Platform of a rig.
async fn inventory(rig: &Rig<'_>, arguments: &[&str]) -> Said {
    let admin = shared_operator().await.admin_url("");
    let output = Command::new(tool::vpo())
        .args(["inventory", "--admin", &admin])
        .arg(format!("{}/production", rig.namespace))
        .args(arguments)
        .output()
        .expect("vpo can be run");
    Said::from(output)
}

/// The inventory of the application of a rig.
async fn shown(rig: &Rig<'_>) -> Value {
    let said = inventory(rig, &["--output", "json"]).await.expect_ok();
    let report: Value = serde_json::from_str(&said).unwrap();
    report["applications"][0].clone()
}

/// Waits until the inventory satisfies `wanted`; returns it.
async fn shows(rig: &Rig<'_>, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(&format!("the inventory: {what}"), SOON, async || {
        // There is no inventory before the Platform is usable.
        let said = inventory(rig, &["--output", "json"]).await;
        said.ok.then_some(())?;
        Some(shown(rig).await).filter(&wanted)
    })
    .await
}

/// Waits for a read that begins now or later.
async fn read_anew(rig: &Rig<'_>) -> Value {
    let now = jiff::Timestamp::now();
    shows(rig, "another reading", |shown| {
        let begun = shown["reading"]["begun"].as_str();
        begun.is_some_and(|begun| begun.parse::<jiff::Timestamp>().unwrap() >= now)
    })
    .await
}

fn unmanaged(shown: &Value) -> Vec<&str> {
    let packages = shown["unmanaged"].as_array().unwrap().iter();
    packages
        .map(|one| one["fileId"].as_str().unwrap())
        .collect()
}

/// Waits until the Platform counts `number` unmanaged packages.
async fn counts(rig: &Rig<'_>, number: usize) {
    let path = "jsonpath={.status.packages.unmanaged}";
    let what = format!("the Platform to count {number} packages of nobody");
    wait_for(&what, SOON, async || {
        let said = rig.kubectl(&["get", "platform", "production", "-o", path]);
        (said.expect_ok() == number.to_string()).then_some(())
    })
    .await;
}

async fn calls(rig: &Rig<'_>, method: &str, part: &str) -> usize {
    let ledger = rig.simulator.ledger().await;
    let of = |call: &&Value| {
        call["method"] == method
            && call["path"]
                .as_str()
                .is_some_and(|path| path.contains(part))
    };
    ledger.iter().filter(of).count()
}

#[tokio::test]
async fn package_data_are_filled_in_without_single_calls_and_written_once() {
    let rig = laid_out("identity", 130).await;
    let names = ["one", "two", "three"];
    let last = "package-00130";
    let pairs: Vec<_> = names.into_iter().zip([FIRST, SECOND, last]).collect();
    rig.active(&pairs).await;
    let mut before = Vec::new();
    for (name, file) in pairs {
        let page = format!("/packages/{file}");
        let package = rig.simulator.admin(Method::GET, &page, &Value::Null).await;
        let package: Value = serde_json::from_str(&package).unwrap();
        let filled = |object: &Value| !object["status"]["package"].is_null();
        let object = rig.becomes(name, "its package", SOON, filled).await;
        for field in [
            "name",
            "version",
            "fileType",
            "deviceType",
            "model",
            "manufacturerName",
            "uploadTime",
        ] {
            assert_eq!(
                object["status"]["package"][field], package[field],
                "{field}"
            );
        }
        before.push(object);
    }
    // Two more reads change nothing, so nothing is written.
    read_anew(&rig).await;
    read_anew(&rig).await;
    for (name, object) in names.into_iter().zip(before) {
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        assert_eq!(version(&rig.get(name).await.unwrap()), version(&object));
    }
    assert_eq!(calls(&rig, "GET", "/category/").await, 0, "a call for one");
}

#[tokio::test]
async fn a_package_that_disappeared_is_missing_until_it_is_listed_again() {
    let rig = laid_out("missing", 20).await;
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    rig.active(&[
        ("kept", FIRST),
        ("lost", SECOND),
        ("never", "package-99999"),
    ])
    .await;
    let never = rig.reason("never", "PackageMissing").await;
    assert_eq!(never["status"]["phase"], "Stalled");
    assert_eq!(never["status"]["package"], Value::Null);
    let page = format!("/packages/{SECOND}");
    rig.simulator
        .admin(Method::DELETE, &page, &Value::Null)
        .await;
    let lost = rig.reason("lost", "PackageMissing").await;
    let message = ready(&lost)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("lifecycle: Retired"), "{message}");
    read_anew(&rig).await;
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    assert_eq!(
        version(&rig.get("lost").await.unwrap()),
        version(&lost),
        "said once"
    );
    let packages = json!({"packages": [{"fileId": SECOND}]});
    rig.simulator
        .admin(Method::PUT, "/packages", &packages)
        .await;
    rig.reason("lost", "Active").await;
    let kept = rig.get("kept").await.unwrap();
    assert_eq!(ready(&kept)["reason"], "Active");
}

#[tokio::test]
async fn packages_that_no_object_stands_for_are_counted_and_listed() {
    let rig = laid_out("unmanaged", 20).await;
    counts(&rig, 20).await;
    rig.active(&[("one", FIRST), ("two", SECOND)]).await;
    counts(&rig, 18).await;
    let shown = read_anew(&rig).await;
    let expected: Vec<_> = (3..=20)
        .map(|number| format!("package-{number:05}"))
        .collect();
    assert_eq!(unmanaged(&shown), expected);
    assert_eq!(shown["reading"]["packages"], 20);
    assert_eq!(
        shown["platforms"],
        json!([format!("{}/production", rig.namespace)])
    );

    // An object that is about to delete a package stands for it. One that has deleted it doesn't, but then the package
    // isn't listed.
    rig.annotate("vp/two", "paused", Some("true"));
    rig.delete("two");
    rig.reason("two", "Paused").await;
    assert_eq!(unmanaged(&read_anew(&rig).await), expected);
    rig.annotate("vp/two", "paused", None);
    rig.gone("two").await;
    let shown = read_anew(&rig).await;
    assert_eq!(unmanaged(&shown), expected);
    assert_eq!(shown["reading"]["packages"], 19);

    let table = inventory(&rig, &[]).await.expect_ok();
    for part in [
        format!(
            "Application {} at {}\n",
            rig.namespace,
            rig.simulator.endpoint()
        ),
        "  Packages   19\n".to_owned(),
        "  Unmanaged  18\n".to_owned(),
        format!("  {THIRD}  "),
    ] {
        assert!(table.contains(&part), "{part} is not in\n{table}");
    }
    let metrics = shared_operator()
        .await
        .admin_page("/metrics")
        .await
        .unwrap();
    let line = format!(
        "vpo_unmanaged_packages{{application=\"{}\",endpoint=\"{}\"}} 18",
        rig.namespace,
        rig.simulator.endpoint()
    );
    assert!(metrics.lines().any(|known| known == line), "{line}");

    // With the inventory turned off nothing is known, and the count is removed too.
    rig.patch(
        "platform/production",
        &json!({"spec": {"inventory": {"interval": "0s"}}}),
    );
    shows(&rig, "off", |shown| {
        shown["on"] == false && shown["reading"].is_null()
    })
    .await;
    wait_for("the count to go", SOON, async || {
        let path = "jsonpath={.status.packages.unmanaged}";
        let said = rig.kubectl(&["get", "platform", "production", "-o", path]);
        said.expect_ok().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_refused_list_delays_no_deletion() {
    let rig = laid_out("refused", 20).await;
    let body = json!({"error_code": "100203", "error_desc": "no right"}).to_string();
    let refusal = json!({"status": {"status": 403, "body": body}});
    rig.simulator.fault_all("GET", &refusal).await;
    rig.active(&[("one", FIRST), ("two", SECOND)]).await;
    let shown = shows(&rig, "the refusal", |shown| !shown["trouble"].is_null()).await;
    let message = shown["trouble"]["message"].as_str().unwrap();
    assert!(
        message.contains("ApplicationRefused") && message.contains("100203"),
        "{message}"
    );
    assert_eq!(shown["reading"], Value::Null);
    rig.platform_reason("production", "Available").await;
    rig.delete_all(&["one", "two"]);
    rig.gone("one").await;
    rig.gone("two").await;
    rig.platform_reason("production", "Available").await;
    rig.simulator
        .admin(Method::DELETE, "/faults", &Value::Null)
        .await;
    let shown = shows(&rig, "a reading", |shown| !shown["reading"].is_null()).await;
    assert_eq!(shown["trouble"], Value::Null);
}

/// The audit lines about packages that were listed again.
async fn reappeared(file_id: &str, application: &str) -> Vec<Value> {
    let lines = shared_operator().await.log().into_iter();
    let records = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let of_this = |record: &Value| {
        record["kind"] == "PackageReappeared"
            && record["fileId"] == file_id
            && record["application"] == application
    };
    records.filter(of_this).collect()
}

#[tokio::test]
async fn a_package_listed_after_its_deletion_is_reported_and_not_deleted_again() {
    let rig = laid_out("reappeared", 20).await;
    rig.active(&[("one", FIRST), ("two", SECOND)]).await;
    // The platform confirms the deletion of the package without deleting it.
    let lie = json!({"status": {"status": 204}});
    rig.simulator.fault(FIRST, &lie, &json!("forever")).await;
    rig.delete_all(&["one", "two"]);
    rig.gone("one").await;
    rig.gone("two").await;
    let shown = shows(&rig, "the package again", |shown| {
        let packages = shown["unmanaged"].as_array().unwrap();
        packages
            .iter()
            .any(|one| one["fileId"] == FIRST && one["deletedAt"].is_string())
    })
    .await;
    assert_eq!(unmanaged(&shown).len(), 19);
    counts(&rig, 19).await;
    read_anew(&rig).await;
    let records = reappeared(FIRST, &rig.namespace).await;
    assert_eq!(records.len(), 1, "told once: {records:?}");
    assert!(records[0]["deletedAt"].as_str() < records[0]["listedSince"].as_str());
    assert!(reappeared(SECOND, &rig.namespace).await.is_empty());
    let about = "involvedObject.kind=Platform,reason=PackageReappeared";
    wait_for("the event", SOON, async || {
        let path = "jsonpath={.items[*].message}";
        let said = rig.kubectl(&["get", "events", "--field-selector", about, "-o", path]);
        said.expect_ok().contains(FIRST).then_some(())
    })
    .await;
    let metrics = shared_operator()
        .await
        .admin_page("/metrics")
        .await
        .unwrap();
    let told = metrics
        .lines()
        .find_map(|line| line.strip_prefix("vpo_reappeared_packages_total "));
    assert_eq!(told, Some("1"));
    assert_eq!(
        rig.deletes(FIRST).await.len(),
        1,
        "never a second one by itself"
    );
    assert_eq!(
        rig.platform_reason("production", "Available").await["kind"],
        "Platform"
    );
}

#[tokio::test]
async fn package_names_control_no_terminal_and_forge_no_line() {
    let rig = laid_out("hostile", 1).await;
    counts(&rig, 1).await;
    let name = "fw\u{1b}[2J\u{9b}31m\u{7f}\r\n  forged\u{202e}\u{2066}";
    let packages = json!({"packages": [{"fileId": SECOND, "name": name}]});
    rig.simulator
        .admin(Method::PUT, "/packages", &packages)
        .await;
    counts(&rig, 2).await;
    let table = inventory(&rig, &[]).await.expect_ok();
    let json = inventory(&rig, &["--output", "json"]).await.expect_ok();
    for said in [&table, &json] {
        let steers =
            |c: char| c != '\n' && (c.is_control() || ['\u{202e}', '\u{2066}'].contains(&c));
        assert!(!said.contains(steers), "{said:?}");
    }
    let lines = table.lines().filter(|line| line.contains("forged"));
    let lines: Vec<_> = lines.collect();
    assert!(lines.len() == 1 && lines[0].contains(SECOND), "{table}");
    let report: Value = serde_json::from_str(&json).unwrap();
    let unmanaged = report["applications"][0]["unmanaged"].as_array().unwrap();
    // The name is sanitized as in a status.
    assert_eq!(unmanaged[1]["name"], "fw[2J31m    forged");
}
