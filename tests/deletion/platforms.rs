//! Deletions that the Platform of an object prevents.

use super::*;

#[tokio::test]
async fn a_platform_in_mode_observe_sends_no_delete_until_mode_enforce() {
    let rig = laid_out("observe", &[("deleted", FIRST), ("retired", SECOND)]).await;
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    rig.platform_reason("production", "Observing").await;
    rig.delete("deleted");
    rig.retire("retired");
    for name in ["deleted", "retired"] {
        let held = rig.reason(name, "WouldDelete").await;
        assert_eq!(held["status"]["phase"], "Held");
    }
    let ledger = rig.simulator.ledger().await;
    assert!(ledger.is_empty(), "{ledger:?}");
    rig.patch("platform/production", &json!({"spec": {"mode": "Enforce"}}));
    goes(&rig, "deleted").await;
    says(&rig, "retired", "Deleted").await;
}

#[tokio::test]
async fn credentials_of_another_application_never_make_a_package_look_gone() {
    let layout = Layout {
        simulator: SimulatorOptions {
            flags: &["--app-id", "stranger", "--secret", "their-own-secret"],
            ..Layout::default().simulator
        },
        ..Layout::default()
    };
    let rig = Rig::shared("stranger", layout).await;
    rig.active(&[
        ("deleted", FIRST),
        ("retired", SECOND),
        ("wanted", "package-00003"),
    ])
    .await;
    let ours = json!({"appId": rig.namespace, "secret": "correct-horse-battery"});
    let theirs = json!({"appId": "stranger", "secret": "their-own-secret"});
    rig.patch("secret/production-app", &json!({"stringData": theirs}));
    says(&rig, "wanted", "ApplicationChanged").await;
    rig.delete("deleted");
    rig.retire("retired");
    for name in ["deleted", "retired", "wanted"] {
        let held = rig.reason(name, "ApplicationChanged").await;
        assert_eq!(held["status"]["phase"], "Held");
        for application in [rig.namespace.as_str(), "stranger"] {
            assert!(message(&held).contains(application), "{}", message(&held));
        }
    }
    let ledger = rig.simulator.ledger().await;
    assert!(ledger.is_empty(), "{ledger:?}");
    // The guard of the first application is reconciled while it has deletions and no Platform.
    rig.patch(
        "platform/production",
        &json!({"spec": {"quota": {"calls": 99}}}),
    );
    rig.platform_becomes("production", "its edit to be observed", |platform| {
        platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
    })
    .await;
    rig.patch("secret/production-app", &json!({"stringData": ours}));
    goes(&rig, "deleted").await;
    says(&rig, "retired", "Deleted").await;
    says(&rig, "wanted", "Active").await;
}

#[tokio::test]
async fn an_object_whose_platform_is_missing_waits_for_it() {
    let rig = Rig::shared("missing", Layout::default()).await;
    rig.plane.grant_secrets(
        &rig.namespace,
        &["production-app", "production-ca", "later-app", "later-ca"],
    );
    let spec = json!({"platformRef": {"name": "later"}});
    for (name, file_id) in [("deleted", FIRST), ("wanted", SECOND)] {
        rig.plane
            .apply(&rig.manifest(name, file_id, &spec).to_string())
            .expect_ok();
        let held = rig.reason(name, "PlatformNotFound").await;
        let platform = format!("{}/later", rig.namespace);
        assert!(message(&held).contains(&platform), "{}", message(&held));
    }
    rig.delete("deleted");
    rig.reason("deleted", "PlatformNotFound").await;
    let later = rig.simulator.platform(
        &rig.namespace,
        "later",
        &json!({"quota": {"calls": 100, "window": "1s"}}),
    );
    rig.plane.apply(&later).expect_ok();
    goes(&rig, "deleted").await;
    says(&rig, "wanted", "Active").await;
    assert!(!rig.simulator.has(FIRST).await);

    // The object was accepted once, so it holds its package whatever happens to the Platform.
    rig.give_up_platform("later").await;
    says(&rig, "wanted", "PlatformNotFound").await;
    rig.delete("wanted");
    rig.reason("wanted", "PlatformNotFound").await;
    assert_untouched(&rig, SECOND).await;
    rig.plane.apply(&later).expect_ok();
    goes(&rig, "wanted").await;
    assert!(!rig.simulator.has(SECOND).await);
}

#[tokio::test]
async fn a_namespace_is_refused_until_the_platform_allows_it() {
    let owner = Rig::shared("owner", Layout::default()).await;
    let guest = Rig::shared("guest", Layout::default()).await;
    let reference = json!({"platformRef": {"name": "production", "namespace": owner.namespace}});
    for (name, file_id) in [("wanted", FIRST), ("deleted", SECOND)] {
        let mut manifest = owner.manifest(name, file_id, &reference);
        manifest["metadata"]["namespace"] = json!(guest.namespace);
        guest.plane.apply(&manifest.to_string()).expect_ok();
        let held = guest.reason(name, "PlatformNotAllowed").await;
        assert!(
            message(&held).contains("allowedNamespaces"),
            "{}",
            message(&held)
        );
    }
    guest.delete("deleted");
    guest.reason("deleted", "PlatformNotAllowed").await;
    assert!(owner.simulator.ledger().await.is_empty());

    let labelled = json!({"from": "Selector", "selector": {"matchLabels": {"team": "meters"}}});
    owner.patch(
        "platform/production",
        &json!({"spec": {"allowedNamespaces": labelled}}),
    );
    owner.platform_reason("production", "Available").await;
    assert_eq!(
        ready(&guest.get("wanted").await.unwrap())["reason"],
        "PlatformNotAllowed"
    );
    let namespace = format!("namespace/{}", guest.namespace);
    guest
        .kubectl(&["label", &namespace, "team=meters"])
        .expect_ok();
    says(&guest, "wanted", "Active").await;
    goes(&guest, "deleted").await;
    assert!(!owner.simulator.has(SECOND).await);

    // The Platform stops allowing the namespace while a deletion waits: nothing is sent, whatever the deletion waited
    // for.
    guest.annotate("vp/wanted", "paused", Some("true"));
    guest.delete("wanted");
    guest.reason("wanted", "Paused").await;
    let same = json!({"spec": {"allowedNamespaces": {"from": "Same", "selector": null}}});
    owner.patch("platform/production", &same);
    owner.platform_reason("production", "Available").await;
    guest.annotate("vp/wanted", "paused", None);
    says(&guest, "wanted", "PlatformNotAllowed").await;
    assert_untouched(&owner, FIRST).await;
    let all = json!({"spec": {"allowedNamespaces": {"from": "All"}}});
    owner.patch("platform/production", &all);
    goes(&guest, "wanted").await;
    assert!(!owner.simulator.has(FIRST).await);
}
