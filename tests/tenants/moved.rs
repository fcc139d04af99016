//! A Platform whose endpoint changes to a possibly different instance of the platform.

use super::*;

/// A second platform that knows the same application, without its packages. The Secret of the rig names its
/// certificate.
async fn another_platform(rig: &Rig<'_>) -> Simulator {
    let options = SimulatorOptions {
        app_id: &rig.namespace,
        prefix: &own::prefix(&rig.namespace),
        quota_window: "1s",
        ..SimulatorOptions::default()
    };
    let other = Simulator::start(options).await;
    let ca = std::fs::read_to_string(other.tls_dir().join("ca.crt")).unwrap();
    rig.patch(
        "secret/production-ca",
        &json!({"stringData": {"ca.crt": ca}}),
    );
    other
}

/// A second platform, to which the endpoint of the Platform changes.
async fn another_instance(rig: &Rig<'_>) -> Simulator {
    let other = another_platform(rig).await;
    rig.patch(
        "platform/production",
        &json!({"spec": {"endpoint": other.endpoint()}}),
    );
    other
}

/// Adds a package there, and waits until the list was read afterwards.
async fn shows(other: &Simulator, app_id: &str, file_id: &str) {
    let package = json!({"appId": app_id, "packages": [{"fileId": file_id}]});
    other.switch("/packages", &package).await;
    let lists = async || {
        let ledger = other.ledger().await;
        ledger.iter().filter(|c| c["verdict"] == "listed").count()
    };
    let before = lists().await;
    let longest = Duration::from_secs(150);
    wait_for("the list to be read", longest, async || {
        // The list call in progress may have been answered before.
        (lists().await > before + 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_instance_settles_nothing_before_it_shows_a_package_of_an_earlier_endpoint() {
    let rig = Rig::shared("moved", Layout::default()).await;
    let packages = [("one", FIRST), ("two", SECOND), ("kept", "package-00004")];
    rig.active(&packages).await;
    let stored = rig.get("one").await.unwrap();
    let old = stored["status"]["endpoint"].as_str().unwrap().to_owned();
    assert_eq!(old, rig.simulator.endpoint());
    let other = another_instance(&rig).await;
    rig.delete("one");
    rig.delete("two");
    for name in ["one", "two"] {
        let held = rig.reason(name, "EndpointChanged").await;
        assert!(message(&held).contains(&old), "{}", message(&held));
        assert!(held["status"]["deletion"]["outcome"].is_null());
    }
    rig.patch("vp/one", &json!({"spec": {"deletionPolicy": "Retain"}}));
    rig.gone("one").await;

    // A package proves nothing either where it is named by a tenant without a credential of the application.
    let made_up = json!({"appId": rig.namespace, "secret": "made-up"});
    let stranger = Tenant::bring(&rig, "nowhere", &made_up);
    let elsewhere = json!({"spec": {"endpoint": "https://nowhere.example.com:8743"}});
    stranger.change(&elsewhere).await;
    let mut claim = rig.manifest("claims", "package-00003", &json!({}));
    claim["metadata"]["namespace"] = json!(stranger.namespace);
    rig.plane.apply(&claim.to_string()).expect_ok();
    stranger.says("vp", "claims", "Active").await;
    // An object created at the new endpoint proves nothing about the others.
    rig.active(&[("three", "package-00003")]).await;
    let inventory = json!({"spec": {"inventory": {"interval": "1s"}}});
    rig.patch("platform/production", &inventory);
    shows(&other, &rig.namespace, "package-00003").await;
    let held = rig.get("two").await.unwrap();
    assert_eq!(ready(&held)["reason"], "EndpointChanged");
    // It turns out to be the same platform under another name.
    let kept = json!({"appId": rig.namespace, "packages": [{"fileId": "package-00004"}]});
    other.switch("/packages", &kept).await;
    wait_for("two to go", Duration::from_secs(150), async || {
        rig.get("two").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_settles_objects_of_the_new_endpoint_but_none_of_an_earlier_one() {
    let rig = Rig::shared("followers", Layout::default()).await;
    rig.active(&[("old", FIRST)]).await;
    let other = another_instance(&rig).await;
    rig.active(&[("new", FIRST)]).await;
    let stored = rig.get("new").await.unwrap();
    assert_eq!(stored["status"]["endpoint"], other.endpoint());
    // Both objects are deleted, and their calls are sent at the same time.
    let mode = |mode: &str| rig.patch("platform/production", &json!({"spec": {"mode": mode}}));
    mode("Observe");
    for name in ["new", "old"] {
        rig.retire(name);
    }
    for name in ["new", "old"] {
        rig.reason(name, "WouldDelete").await;
    }
    mode("Enforce");
    rig.reason("new", "AlreadyGone").await;
    let held = rig.reason("old", "EndpointChanged").await;
    assert!(held["status"]["deletion"]["outcome"].is_null());
}

#[tokio::test]
async fn packages_missing_at_a_wrong_endpoint_are_deleted_once_the_endpoint_is_corrected() {
    let rig = Rig::shared("mistaken", Layout::default()).await;
    let right = rig.simulator.endpoint();
    let ca = std::fs::read_to_string(rig.simulator.tls_dir().join("ca.crt")).unwrap();
    let wrong = another_instance(&rig).await;
    for (name, package) in [("record", FIRST), ("goes", SECOND)] {
        let retired = rig.manifest(name, package, &json!({"lifecycle": "Retired"}));
        rig.plane.apply(&retired.to_string()).expect_ok();
        let told = rig.reason(name, "AlreadyGone").await;
        assert_eq!(told["status"]["endpoint"], wrong.endpoint());
    }
    rig.patch(
        "secret/production-ca",
        &json!({"stringData": {"ca.crt": ca}}),
    );
    rig.patch("platform/production", &json!({"spec": {"endpoint": right}}));
    rig.delete("goes");
    rig.gone("goes").await;
    let told = rig.reason("record", "Deleted").await;
    assert_eq!(told["status"]["endpoint"], right);
    for package in [FIRST, SECOND] {
        assert_eq!(rig.deletes(package).await.len(), 1, "{package}");
    }
}

#[tokio::test]
async fn a_changed_endpoint_settles_nothing_with_a_new_platform_or_after_a_restart() {
    let plane = Plane::start();
    plane.install();
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let rig = Rig::on(&plane, "moved-anew", Layout::default()).await;
    rig.active(&[("meter-fw", FIRST)]).await;
    let platform = rig.kubectl(&["get", "platform", "production", "-o", "json"]);
    let platform: Value = serde_json::from_str(&platform.expect_ok()).unwrap();
    rig.give_up_platform("production").await;
    let other = another_platform(&rig).await;
    let mut spec = platform["spec"].clone();
    spec["endpoint"] = json!(other.endpoint());
    let anew = json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
        "metadata": {"namespace": rig.namespace, "name": "production"}, "spec": spec,
    });
    plane.apply(&anew.to_string()).expect_ok();
    rig.delete("meter-fw");
    rig.reason("meter-fw", "EndpointChanged").await;
    operator.kill().await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let try_now = Some("after the restart");
    rig.annotate("vp/meter-fw", "requested-at", try_now);
    let held = rig
        .becomes("meter-fw", "to be looked at again", SOON, |object| {
            object["status"]["lastHandledRequestedAt"] == json!(try_now)
        })
        .await;
    assert_eq!(ready(&held)["reason"], "EndpointChanged", "{held:#}");
    assert!(held["status"]["deletion"]["outcome"].is_null());
}
