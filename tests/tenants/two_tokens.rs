//! Two tokens of one application from elsewhere that work at the same time, as on a platform that accepts a token of
//! any application with any `app_key`: each serves its own Platform, and both use one quota.

use reqwest::Method;

use super::handed_in::{TYPO, TYPOS_SECRET, with_token};
use super::*;

/// A rig with a token of its own application, and a tenant with a token that the platform accepts for this application
/// too.
async fn both(subject: &str) -> (Rig<'static>, String) {
    let rig = with_token(subject, true, None).await;
    let token = rig.simulator.log_in(TYPO, TYPOS_SECRET).await;
    (rig, token)
}

fn handed_in(rig: &Rig<'_>, token: &str) -> Value {
    json!({"appKey": rig.namespace, "accessToken": token})
}

async fn expire(rig: &Rig<'_>, app_id: &str) {
    let application = json!({"appId": app_id});
    let page = "/tokens/expire";
    rig.simulator.admin(Method::POST, page, &application).await;
}

/// How many DELETEs of a package had this verdict.
async fn said(rig: &Rig<'_>, package: &str, verdict: &str) -> usize {
    let deletes = rig.deletes(package).await;
    deletes.iter().filter(|d| d["verdict"] == verdict).count()
}

#[tokio::test]
async fn each_of_two_tokens_serves_its_own_platform_and_its_end_stops_only_that() {
    let (rig, token) = both("own-token").await;
    let tenant = Tenant::bring(&rig, "others-token", &handed_in(&rig, &token));
    let files: Vec<String> = (1..=6).map(|n| format!("package-{n:05}")).collect();
    rig.active(&[
        ("one", &files[0]),
        ("three", &files[2]),
        ("five", &files[4]),
    ])
    .await;
    rig.delete("one");
    tenant.accept_and_retire("two", &files[1]).await;
    rig.gone("one").await;
    tenant.says("vp", "two", "Deleted").await;

    // The tenant's token ends: calls made with the other token would continue.
    expire(&rig, TYPO).await;
    tenant.accept_and_retire("four", &files[3]).await;
    let stuck = tenant.says("vp", "four", "AuthenticationFailed").await;
    assert!(
        message(&stuck).contains("accessToken"),
        "{}",
        message(&stuck)
    );
    tenant
        .says("platform", "production", "AuthenticationFailed")
        .await;
    rig.delete("three");
    rig.gone("three").await;
    rig.platform_reason("production", "Available").await;
    let token = rig.simulator.log_in(TYPO, TYPOS_SECRET).await;
    let other = json!({"stringData": handed_in(&rig, &token)}).to_string();
    tenant.kubectl(&["patch", "secret", "production-app", "-p", &other]);
    tenant.says("vp", "four", "Deleted").await;

    // The same in the other direction.
    expire(&rig, &rig.namespace).await;
    rig.delete("five");
    rig.reason("five", "AuthenticationFailed").await;
    tenant.accept_and_retire("six", &files[5]).await;
    tenant.says("vp", "six", "Deleted").await;
    tenant.says("platform", "production", "Available").await;
    assert_eq!(rig.logins().await, 3, "those of the test itself");
    for package in &files[..4] {
        assert_eq!(said(&rig, package, "deleted").await, 1, "{package}");
    }
    assert!(rig.simulator.has(&files[4]).await);
}

#[tokio::test]
async fn two_tokens_use_one_quota_and_each_platform_at_most_its_own_limit() {
    const EACH: usize = 10;
    const WINDOW: f64 = 2000.0;
    let (rig, token) = both("ten-calls").await;
    let quota = |calls: usize| json!({"spec": {"quota": {"calls": calls, "window": "2s"}}});
    rig.simulator
        .switch("/quota", &json!({"calls": 10, "window": "2s"}))
        .await;
    rig.patch("platform/production", &quota(10));
    let tenant = Tenant::bring(&rig, "five-calls", &handed_in(&rig, &token));
    tenant.change(&quota(5)).await;
    let of = |first: usize| {
        let numbers = first..first + EACH;
        numbers.map(|n| (format!("p-{n}"), format!("package-{n:05}")))
    };
    let own: Vec<(String, String)> = of(1).collect();
    let own: Vec<(&str, &str)> = own.iter().map(|(n, f)| (&**n, &**f)).collect();
    rig.active(&own).await;
    for (name, file) in of(1 + EACH) {
        let mut object = rig.manifest(&name, &file, &json!({}));
        object["metadata"]["namespace"] = json!(tenant.namespace);
        rig.plane.apply(&object.to_string()).expect_ok();
        tenant.says("vp", &name, "Active").await;
    }
    tenant.kubectl(&["delete", "vp", "--all", "--wait=false"]);
    rig.delete_all(&own.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    wait_for("all to go", SOON, async || {
        let left = [&*rig.namespace, &*tenant.namespace].map(|namespace| {
            let get = ["get", "vp", "-n", namespace, "-o", "name"];
            rig.plane.kubectl(&get).expect_ok().trim().is_empty()
        });
        (left == [true, true]).then_some(())
    })
    .await;

    let ledger = rig.simulator.ledger().await;
    let calls: Vec<&Value> = ledger
        .iter()
        .filter(|c| c["verdict"] != "logged-in")
        .collect();
    let theirs: Vec<&Value> = calls
        .iter()
        .filter(|call| {
            let path = call["path"].as_str().unwrap();
            of(1 + EACH).any(|(_, file)| path.ends_with(&file))
        })
        .copied()
        .collect();
    assert_eq!((calls.len(), theirs.len()), (2 * EACH, EACH), "{calls:#?}");
    assert!(
        calls.iter().all(|call| call["verdict"] == "deleted"),
        "{calls:#?}"
    );
    for (calls, bound) in [(calls, 10), (theirs, 5)] {
        let times: Vec<f64> = calls.iter().map(|c| c["ms"].as_f64().unwrap()).collect();
        let spans = times.windows(bound + 1).map(|pair| pair[bound] - pair[0]);
        let shortest = spans.fold(f64::INFINITY, f64::min);
        println!("{} calls within {shortest} ms at the least", bound + 1);
        assert!(shortest >= WINDOW, "{shortest} ms");
    }
}
