//! Which limits, releases and deletions count for which tenant.

use serde_json::{Value, json};

use super::{Tenant, message, verdicts};
use crate::support::{Layout, Rig, SOON, SimulatorOptions, ready, wait_for};

fn guard(most: usize) -> Value {
    json!({
        "quota": {"calls": 100, "window": "1s"},
        "guard": {"maxDeletions": most, "window": "10m", "gracePeriod": "0s"},
    })
}

async fn fleet(subject: &str, most: usize) -> Rig<'static> {
    fleet_beside(subject, most, &[]).await
}

/// Like `fleet`, but the platform has more applications.
async fn fleet_beside(subject: &str, most: usize, others: &'static [&'static str]) -> Rig<'static> {
    let layout = Layout {
        simulator: SimulatorOptions {
            packages: 20,
            quota_window: "1s",
            flags: others,
            ..SimulatorOptions::default()
        },
        platform: guard(most),
    };
    let rig = Rig::shared(subject, layout).await;
    let names = ["one", "two", "three", "four", "five"];
    let files: Vec<String> = (1..=5).map(|n| format!("package-{n:05}")).collect();
    let pairs: Vec<(&str, &str)> = names.into_iter().zip(files.iter().map(|f| &**f)).collect();
    rig.active(&pairs).await;
    rig
}

/// A tenant who names the application of the rig with an invented token.
async fn with_made_up_token<'a>(rig: &'a Rig<'a>, subject: &str) -> Tenant<'a> {
    let made_up = json!({"appKey": rig.namespace, "accessToken": "made-up"});
    let tenant = Tenant::bring(rig, subject, &made_up);
    tenant.says("platform", "production", "TokenNotUsed").await;
    tenant
}

/// Waits until `count` deletions of the first tenant are held; returns the id of the hold.
async fn hold(rig: &Rig<'_>, count: usize) -> String {
    let platform = rig
        .platform_becomes("production", "all to be held", |platform| {
            platform["status"]["hold"]["count"] == count
        })
        .await;
    platform["status"]["hold"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn an_invented_token_neither_stops_nor_releases_nor_raises_anything_of_another_tenant() {
    let rig = fleet("guarded", 2).await;
    rig.delete("one");
    rig.gone("one").await;
    let tenant = with_made_up_token(&rig, "intruder").await;
    tenant
        .change(&json!({"spec": {"guard": {"maxDeletions": 0, "maxPercent": 0}}}))
        .await;
    // Deletions of the other tenant take no room here.
    for number in 10..14 {
        let (name, package) = (format!("theirs-{number}"), format!("package-{number:05}"));
        tenant.accept_and_retire(&name, &package).await;
    }
    // The other tenant's own limit holds them.
    tenant.says("vp", "theirs-13", "MassDeletionHeld").await;
    rig.delete("two");
    rig.gone("two").await;

    rig.delete_all(&["three", "four", "five"]);
    let id = hold(&rig, 3).await;
    assert_ne!(tenant.platform()["status"]["hold"]["id"], id);
    let release = json!({
        "metadata": {"annotations": {"iodm.dev/release-hold": id}},
        "spec": {"guard": {"maxDeletions": 1000, "maxPercent": null}},
    });
    tenant.change(&release).await;
    // The token is tried because of the release, and refused.
    wait_for("the token to be tried", SOON, async || {
        (verdicts(&rig, "token-refused").await > 0).then_some(())
    })
    .await;
    for name in ["three", "four", "five"] {
        let object = rig.reason(name, "MassDeletionHeld").await;
        assert_eq!(object["status"]["deletion"]["hold"], id);
    }
    assert_eq!(verdicts(&rig, "deleted").await, 2);
    let platform = rig.platform_reason("production", "MassDeletionHeld").await;
    assert!(
        message(&platform).contains("maxDeletions 2"),
        "{}",
        message(&platform)
    );

    rig.annotate("platform/production", "release-hold", Some(&id));
    for name in ["three", "four", "five"] {
        rig.gone(name).await;
    }
    assert_eq!(verdicts(&rig, "deleted").await, 5);
}

#[tokio::test]
async fn objects_behind_an_invented_token_enlarge_no_share_of_another_tenant() {
    let rig = fleet("share", 50).await;
    rig.delete("one");
    rig.gone("one").await;
    let tenant = with_made_up_token(&rig, "crowd").await;
    for number in 10..20 {
        let (name, package) = (format!("theirs-{number}"), format!("package-{number:05}"));
        tenant.accept_and_retire(&name, &package).await;
    }
    tenant.says("vp", "theirs-19", "AuthenticationFailed").await;
    // A quarter of the four remaining objects is one object, and one deletion has already been sent.
    rig.patch(
        "platform/production",
        &json!({"spec": {"guard": {"maxPercent": 25}}}),
    );
    rig.platform_becomes("production", "the share to be taken in", |platform| {
        platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
    })
    .await;
    rig.delete("two");
    rig.reason("two", "MassDeletionHeld").await;
    assert_eq!(verdicts(&rig, "deleted").await, 1);
}

#[tokio::test]
async fn platforms_of_different_credentials_share_one_guard_once_both_are_accepted() {
    let rig = fleet("old-login", 50).await;
    rig.delete("one");
    rig.gone("one").await;
    // The platform accepts another secret now; the token of the first login stays valid.
    let app = json!({"appId": rig.namespace, "secret": "rotated"});
    let page = format!("/applications/{}", rig.namespace);
    let rotated = json!({"secret": "rotated"});
    rig.simulator.switch(&page, &rotated).await;
    let tenant = Tenant::bring(&rig, "new-login", &app);
    tenant
        .change(&json!({"spec": {"guard": {"maxDeletions": 1, "gracePeriod": "0s"}}}))
        .await;
    tenant.retire("theirs", "package-00009");
    // Alone this is one deletion; together with those of the other Platform it exceeds the limit.
    let held = tenant.says("vp", "theirs", "MassDeletionHeld").await;
    let id = held["status"]["deletion"]["hold"].as_str().unwrap();
    rig.platform_becomes("production", "both to show the hold", |platform| {
        platform["status"]["hold"]["id"] == id
    })
    .await;
    assert_eq!(verdicts(&rig, "deleted").await, 1);
    rig.annotate("platform/production", "release-hold", Some(id));
    tenant.says("vp", "theirs", "Deleted").await;
    assert_eq!(verdicts(&rig, "deleted").await, 2);
}

#[tokio::test]
async fn a_credential_is_tried_because_of_a_release_which_counts_once_it_is_accepted() {
    let rig = fleet("waits", 1).await;
    rig.delete("one");
    rig.gone("one").await;
    rig.delete_all(&["two", "three"]);
    let id = hold(&rig, 2).await;
    let app = json!({"appId": rig.namespace, "secret": "rotated"});
    let page = format!("/applications/{}", rig.namespace);
    let rotated = json!({"secret": "rotated"});
    rig.simulator.switch(&page, &rotated).await;
    let tenant = Tenant::bring(&rig, "releases", &app);
    let quiet = json!({"spec": {"inventory": {"interval": "0s"}}});
    tenant.change(&quiet).await;
    let logins = rig.logins().await;
    tenant.kubectl(&[
        "annotate",
        "platform",
        "production",
        &format!("iodm.dev/release-hold={id}"),
    ]);
    rig.platform_becomes("production", "the hold to end", |platform| {
        platform["status"]["hold"].is_null() && ready(platform)["reason"] != "MassDeletionHeld"
    })
    .await;
    assert!(rig.logins().await > logins, "it was tried");
}

#[tokio::test]
async fn a_token_of_another_application_counts_for_no_other_tenant() {
    let others = &["--app-id", "of-a-stranger", "--secret", "of-the-stranger"];
    let rig = fleet_beside("named", 2, others).await;
    // One deletion, so that its login is accepted.
    rig.delete("five");
    rig.gone("five").await;
    let any = json!({"tokenOfAnyApp": true});
    rig.simulator.switch("/switches", &any).await;
    let token = rig.simulator.log_in("of-a-stranger", "of-the-stranger");
    let credential = json!({"appKey": rig.namespace, "accessToken": token.await});
    let tenant = Tenant::bring(&rig, "stranger", &credential);
    tenant.says("platform", "production", "TokenNotUsed").await;
    let strict = json!({
        "metadata": {"annotations": {"iodm.dev/requested-at": "now"}},
        "spec": {"guard": {"maxDeletions": 0}},
    });
    tenant.change(&strict).await;
    wait_for("the token to be tried, and accepted", SOON, async || {
        (verdicts(&rig, "listed").await > 0).then_some(())
    })
    .await;

    // A claim under this token holds a deletion, but isn't definite enough to hand the package over.
    let mut claim = rig.manifest("claims", "package-00001", &json!({}));
    claim["metadata"]["namespace"] = json!(tenant.namespace);
    rig.plane.apply(&claim.to_string()).expect_ok();
    tenant.says("vp", "claims", "Active").await;
    rig.delete("one");
    let held = rig.reason("one", "ClaimUnclear").await;
    assert!(message(&held).contains("accessToken"), "{}", message(&held));
    claim["spec"]["deletionPolicy"] = json!("Retain");
    rig.plane.apply(&claim.to_string()).expect_ok();
    tenant.kubectl(&["delete", "vp", "claims"]);
    // Its limit of zero stops no other tenant.
    rig.gone("one").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);

    // Its release frees no hold, and its Platform doesn't show the hold.
    rig.delete_all(&["two", "three", "four"]);
    let id = hold(&rig, 3).await;
    assert_ne!(tenant.platform()["status"]["hold"]["id"], id);
    let release = json!({
        "metadata": {"annotations": {"iodm.dev/release-hold": id}},
        "spec": {"guard": {"maxDeletions": 1000}},
    });
    tenant.change(&release).await;
    rig.annotate("vp/two", "requested-at", Some("now"));
    wait_for("two to be looked at", SOON, async || {
        let object = rig.get("two").await?;
        (object["status"]["lastHandledRequestedAt"] == "now").then_some(())
    })
    .await;
    for name in ["two", "three", "four"] {
        rig.reason(name, "MassDeletionHeld").await;
    }
    assert_eq!(verdicts(&rig, "deleted").await, 2);
}
