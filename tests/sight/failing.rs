//! Failing watches without calls in flight, missing definitions, and a Lease that can't be taken.

use serde_json::Value;

use crate::support::{
    Layout, OPERATOR, Operator, Plane, Rig, SOON, install_crypto, ready, start_operator, wait_for,
};

/// Removes verbs of a resource from an installed role.
fn take_away(plane: &Plane, role: &[&str], resource: &str, verbs: &[&str]) {
    let mut get = vec!["get"];
    get.extend(role);
    get.extend(["-o", "json"]);
    let mut role: Value = serde_json::from_str(&plane.kubectl(&get).expect_ok()).unwrap();
    for rule in role["rules"].as_array_mut().unwrap() {
        let of_this = rule["resources"][0] == *resource;
        let all = rule["verbs"].as_array_mut().unwrap();
        all.retain(|verb| !of_this || !verbs.iter().any(|gone| verb == gone));
        if all.is_empty() {
            all.push("none".into());
        }
    }
    plane.apply(&role.to_string()).expect_ok();
}

fn give_back(plane: &Plane) {
    plane
        .kubectl(&["apply", "-k", "manifests/install"])
        .expect_ok();
}

async fn unready(operator: &Operator, words: &str) {
    wait_for(
        &format!("/readyz to tell of {words}"),
        SOON * 2,
        async || {
            install_crypto();
            let answer = reqwest::get(operator.admin_url("/readyz")).await.ok()?;
            let unready = answer.status() == 503;
            let text = answer.text().await.ok()?;
            (unready && text.contains(words)).then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn a_failing_watch_is_reported_even_without_calls_in_flight() {
    let plane = Plane::start();
    plane.install();
    let rig = Rig::on(&plane, "failing", Layout::default()).await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    rig.platform_reason("production", "Available").await;
    let role = ["clusterrole", OPERATOR];
    take_away(&plane, &role, "namespaces", &["list", "watch"]);
    unready(&operator, "the watch of Namespaces fails").await;
    let platform = rig
        .platform_becomes("production", "the Platform to tell", |object| {
            ready(object)["reason"] == "Blind"
        })
        .await;
    let message = ready(&platform)["message"].to_string();
    assert!(
        message.contains("Namespaces") && message.contains("forbidden"),
        "{message}"
    );
    give_back(&plane);
    operator.ready().await;
    rig.platform_reason("production", "Available").await;
}

#[tokio::test]
async fn without_definitions_or_a_lease_the_operator_is_unready_and_says_why() {
    let plane = Plane::start();
    plane.install();
    let get = ["role", OPERATOR, "-n", OPERATOR];
    take_away(&plane, &get, "leases", &["get", "create", "update"]);
    let mut operator = start_operator(&plane, &[]);
    unready(&operator, "the Lease can't be read or taken").await;
    unready(&operator, " s)").await;
    let get = ["-n", OPERATOR, "get", "events", "-o", "json"];
    let event = wait_for("an event about the Lease", SOON, async || {
        let said = plane.kubectl(&get).expect_ok();
        let list: Value = serde_json::from_str(&said).ok()?;
        let mut all = list["items"].as_array()?.iter();
        all.find(|event| event["reason"] == "LeaseUnavailable")
            .cloned()
    })
    .await;
    assert_eq!(event["involvedObject"]["kind"], "Lease");
    let message = event["message"].to_string();
    assert!(message.contains("forbidden"), "{message}");
    let metrics = operator.admin_page("/metrics").await.unwrap();
    assert!(metrics.contains("vpo_leading 0"), "{metrics}");
    give_back(&plane);
    operator.ready().await;

    for definition in ["versionpackages", "platforms"] {
        let name = format!("{definition}.iodm.dev");
        plane.kubectl(&["delete", "crd", &name]).expect_ok();
        unready(&operator, &format!("{name} is not there")).await;
    }
    plane.install_crds();
    operator.ready().await;
    // The operator works as before.
    let rig = Rig::on(&plane, "anew", Layout::default()).await;
    rig.active(&[("a", "package-00001")]).await;
    rig.delete("a");
    rig.gone("a").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}
