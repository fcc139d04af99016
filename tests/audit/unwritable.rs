//! An audit log that can't be written: no object is released without its line, no call is repeated for it, and the
//! object gives the reason.

use std::process::Command;

use super::support::{ready, tool};
use super::*;

/// How often the operator has logged a failed write.
fn failures(operator: &Operator, object: &str) -> usize {
    let log = operator.log();
    let of_this = log.iter().filter(|line| line.contains(object));
    of_this
        .filter(|line| line.contains("a write was not taken"))
        .count()
}

#[tokio::test]
async fn while_the_log_is_unwritable_no_object_is_released_and_no_package_deleted_twice() {
    let (_turn, plane) = alone().await;
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "guard": unguarded()}),
        ..Layout::default()
    };
    let rig = Rig::on(plane, "full", layout).await;
    let trail = Trail::new();
    let operator = trail.operator(&rig).await;
    let kept = rig.manifest(
        "kept",
        "package-00003",
        &json!({"deletionPolicy": "Retain"}),
    );
    plane.apply(&kept.to_string()).expect_ok();
    rig.active(&[("deleted", "package-00001"), ("retired", "package-00002")])
        .await;
    rig.reason("kept", "Active").await;
    trail.point_to(Path::new("/dev/full"));

    rig.delete_all(&["deleted", "kept"]);
    rig.retire("retired");
    for name in ["deleted", "kept", "retired"] {
        let key = format!("{}/{name}", rig.namespace);
        wait_for("a second try to write the line", SOON, async || {
            (failures(&operator, &key) >= 2).then_some(())
        })
        .await;
        let object = rig.get(name).await.expect("the object stays");
        assert_eq!(
            object["metadata"]["finalizers"],
            json!(["iodm.dev/package"])
        );
        assert_eq!(
            object["status"]["deletion"]["outcome"],
            Value::Null,
            "{name}"
        );
    }
    assert!(!rig.simulator.has("package-00001").await);
    assert!(!rig.simulator.has("package-00002").await);
    let metrics = operator.admin_page("/metrics").await.unwrap();
    assert!(!metrics.contains("vpo_audit_failures_total 0"), "{metrics}");
    let said = rig.kubectl(&["get", "events", "-o", "json"]).expect_ok();
    assert!(
        said.contains("AuditFailed") && said.contains("until the result is written"),
        "{said}"
    );

    let mended = trail.folder.path().join("mended.log");
    trail.point_to(&mended);
    rig.gone("deleted").await;
    rig.gone("kept").await;
    rig.reason("retired", "Deleted").await;
    for (name, file_id, outcome, calls, actor) in [
        (
            "deleted",
            "package-00001",
            "Deleted",
            1,
            "kubectl-client-side-apply",
        ),
        ("retired", "package-00002", "Deleted", 1, "kubectl-patch"),
        (
            "kept",
            "package-00003",
            "Retained",
            0,
            "kubectl-client-side-apply",
        ),
    ] {
        let mut lines = trail.of(&rig, name);
        // The log and its link target are the same file.
        lines.dedup();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let line = &lines[0];
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(line["fileId"], file_id, "{line}");
        assert_eq!(line["attempts"], calls, "{line}");
        assert_eq!(line["actor"], actor, "{line}");
        assert_eq!(line["application"], *rig.namespace, "{line}");
        let status = line["httpStatus"].as_u64();
        assert_eq!(
            status.is_some_and(|status| (200..300).contains(&status)),
            calls == 1,
            "{line}"
        );
        assert_eq!(rig.deletes(file_id).await.len(), calls, "{name}");
    }
}

#[tokio::test]
async fn an_object_reports_its_unwritable_line_and_is_released_once_it_is_written() {
    let (_turn, plane) = alone().await;
    let layout = Layout {
        platform: json!({"quota": {"calls": 100, "window": "1s"}, "guard": unguarded()}),
        ..Layout::default()
    };
    let rig = Rig::on(plane, "volume", layout).await;
    let folder = tempfile::tempdir().unwrap();
    let (volume, lost) = (folder.path().join("volume"), folder.path().join("lost"));
    std::fs::create_dir(&volume).unwrap();
    let log = volume.join("audit.log");
    let mut operator = start_operator(plane, &["--audit-log", log.to_str().unwrap()]);
    operator.ready().await;
    rig.active(&[("a", "package-00001")]).await;
    // The test doesn't remove a right, as root needs none.
    std::fs::rename(&volume, &lost).unwrap();
    std::fs::write(&volume, "").unwrap();

    rig.delete("a");
    let object = rig.reason("a", "AuditFailed").await;
    assert_eq!(object["status"]["phase"], "Stalled");
    let message = ready(&object)["message"].to_string();
    assert!(
        message.contains("can't be written to the audit log")
            && message.contains("Not a directory"),
        "{message}"
    );
    let key = format!("{}/a", rig.namespace);
    // The first, second and fourth failure are logged.
    wait_for("more tries to write the line", SOON, async || {
        (failures(&operator, &key) >= 3).then_some(())
    })
    .await;
    let object = rig.get("a").await.expect("the object stays");
    assert_eq!(
        object["metadata"]["finalizers"],
        json!(["iodm.dev/package"])
    );
    assert_eq!(rig.deletes("package-00001").await.len(), 1);

    std::fs::remove_file(&volume).unwrap();
    std::fs::rename(&lost, &volume).unwrap();
    rig.gone("a").await;
    let text = std::fs::read_to_string(&log).unwrap();
    let line: Value = serde_json::from_str(&text).expect("one line");
    assert_eq!(
        (&line["name"], &line["outcome"], &line["attempts"]),
        (&json!("a"), &json!("Deleted"), &json!(1))
    );
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}

#[test]
fn a_log_that_can_t_be_opened_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (log, why) in [
        (
            folder.path().join("none/audit.log"),
            "No such file or directory",
        ),
        (folder.path().to_owned(), "Is a directory"),
        ("/dev/null".into(), "it is no regular file"),
    ] {
        let output = Command::new(tool::vpo())
            .args(["run", "--admin-listen", "127.0.0.1:0", "--audit-log"])
            .arg(&log)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let wanted = format!("--audit-log {} can't be written: {why}", log.display());
        assert!(!output.status.success() && said.contains(&wanted), "{said}");
    }
}
