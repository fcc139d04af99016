//! How Git tools see each phase.

use super::*;

#[tokio::test]
async fn git_tools_read_every_phase_as_intended() {
    let rig = Rig::shared("gitops", Layout::default()).await;
    let history = rig.history().await;
    let names = [
        "wanted", "paused", "stalled", "bad-id", "settled", "gone", "waiting",
    ];
    let files: Vec<String> = (1..=names.len())
        .map(|n| format!("package-{n:05}"))
        .collect();
    let packages: Vec<_> = names
        .into_iter()
        .zip(files.iter().map(String::as_str))
        .collect();
    rig.active(&packages).await;
    let scheduled = json!({"retireAfter": "2100-01-01T00:00:00Z"});
    let scheduled = rig.manifest("scheduled", "package-00012", &scheduled);
    rig.plane.apply(&scheduled.to_string()).expect_ok();
    let missing = json!({"platformRef": {"name": "nowhere"}});
    let missing = rig.manifest("homeless", "package-00013", &missing);
    rig.plane.apply(&missing.to_string()).expect_ok();

    rig.annotate("vp/paused", "paused", Some("true"));
    let answers = [
        (3, json!("bare-404")),
        (
            4,
            json!({"status": {"status": 400, "body": "{\"error_code\":\"120015\"}"}}),
        ),
        (7, json!("internal-error")),
    ];
    for (number, kind) in answers {
        rig.simulator
            .fault(&files[number - 1], &kind, &json!("forever"))
            .await;
    }
    rig.simulator
        .admin(
            reqwest::Method::DELETE,
            "/packages/package-00006",
            &Value::Null,
        )
        .await;
    for name in &names[1..] {
        rig.retire(name);
    }
    let expected = [
        ("wanted", "Active", "Current"),
        ("scheduled", "Scheduled", "Current"),
        ("homeless", "PlatformNotFound", "Failed"),
        ("paused", "Paused", "Failed"),
        ("stalled", "UnexpectedAnswer", "Failed"),
        ("bad-id", "InvalidFileId", "Failed"),
        ("settled", "Deleted", "Current"),
        ("gone", "AlreadyGone", "Current"),
        ("waiting", "PlatformUnavailable", "InProgress"),
    ];
    let mut objects = Vec::new();
    for (name, reason, _) in expected {
        objects.push(rig.reason(name, reason).await);
    }
    let results = kstatus(&objects);
    for ((name, reason, result), seen) in expected.into_iter().zip(results) {
        assert_eq!(seen, result, "{name}, {reason}");
    }
    // The same objects while they are being deleted.
    for (name, reason) in [
        ("paused", "Paused"),
        ("stalled", "UnexpectedAnswer"),
        ("homeless", "PlatformNotFound"),
    ] {
        rig.delete(name);
        let deleted = |o: &Value| {
            o["metadata"].get("deletionTimestamp").is_some()
                && o["status"]["observedGeneration"] == o["metadata"]["generation"]
                && ready(o)["reason"] == reason
        };
        let object = rig.becomes(name, "terminating", SOON, deleted).await;
        assert_eq!(kstatus(&[object]), ["Terminating"], "{name}");
    }
    // All versions in between count too, including those before the first status.
    history.assert_kstatus();
    let versions = history.versions();
    let phases: BTreeSet<&str> = versions
        .iter()
        .filter_map(|o| o["status"]["phase"].as_str())
        .collect();
    let all = ["Active", "Deleting", "Gone", "Held", "Stalled", "Waiting"];
    assert_eq!(phases.into_iter().collect::<Vec<_>>(), all);
    assert!(
        versions
            .iter()
            .any(|o| o["status"]["observedGeneration"] == -1)
    );
}
