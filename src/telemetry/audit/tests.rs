use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::*;

fn record() -> AuditRecord {
    AuditRecord {
        time: "2026-07-01T10:00:03Z".parse().unwrap(),
        actor: Some("kustomize-controller".to_owned()),
        namespace: "fleet".to_owned(),
        name: "meter\nfw".to_owned(),
        uid: "u-1".to_owned(),
        file_id: "a1".parse().unwrap(),
        package: Some(PackageIdentity {
            version: Some("V1.1.10".to_owned()),
            ..PackageIdentity::default()
        }),
        application: Some("app-1".parse().unwrap()),
        outcome: Outcome::AlreadyGone,
        disregarded: vec!["u-2".to_owned()],
        http_status: Some(404),
        code: Some("123002".to_owned()),
        look_up: None,
        attempts: 2,
        earlier_attempts: Some(1),
        requested_at: Some("2026-07-01T10:00:00Z".parse().unwrap()),
        duration_ms: Some(3000),
    }
}

fn said(record: &impl Serialize) -> serde_json::Value {
    let text = String::from_utf8(line(record).unwrap()).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "one line: {text:?}");
    assert!(text.ends_with('\n'));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_deletion_is_one_json_line_with_who_what_when_outcome_and_codes() {
    assert_eq!(
        said(&record()),
        serde_json::json!({
            "kind": "PackageDeletion", "time": "2026-07-01T10:00:03Z", "actor": "kustomize-controller",
            "namespace": "fleet", "name": "meter\nfw", "uid": "u-1",
            "fileId": "a1", "package": {"version": "V1.1.10"}, "application": "app-1", "outcome": "AlreadyGone",
            "disregarded": ["u-2"], "httpStatus": 404, "code": "123002", "attempts": 2, "earlierAttempts": 1,
            "requestedAt": "2026-07-01T10:00:00Z", "durationMs": 3000,
        })
    );
}

#[test]
fn the_table_of_the_audit_trail_in_the_docs_names_every_field_of_a_line() {
    let docs = include_str!("../../../docs/operations.md");
    let trail = docs.split("## The audit trail").nth(1).unwrap();
    let table: Vec<&str> = trail
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let full = AuditRecord {
        look_up: Some(LookUpRecord {
            http_status: Some(404),
            code: Some("123002".to_owned()),
        }),
        ..record()
    };
    let line = said(&full);
    for field in line
        .as_object()
        .unwrap()
        .keys()
        .filter(|field| *field != "kind")
    {
        let named = format!("`{field}`");
        assert!(table.iter().any(|row| row.contains(&named)), "{field}");
    }
}

#[test]
fn a_deleted_package_that_is_listed_again_has_a_record_of_its_own_kind() {
    let record = ReappearedRecord {
        time: "2026-07-01T11:00:00Z".parse().unwrap(),
        application: "app-1".parse().unwrap(),
        endpoint: "https://h:1".parse().unwrap(),
        file_id: "a1".parse().unwrap(),
        deleted_at: "2026-07-01T10:00:03Z".parse().unwrap(),
        listed_since: "2026-07-01T10:59:58Z".parse().unwrap(),
    };
    assert_eq!(
        said(&record),
        serde_json::json!({
            "kind": "PackageReappeared", "time": "2026-07-01T11:00:00Z", "application": "app-1",
            "endpoint": "https://h:1", "fileId": "a1", "deletedAt": "2026-07-01T10:00:03Z",
            "listedSince": "2026-07-01T10:59:58Z",
        })
    );
}

#[test]
fn unknown_fields_are_left_out() {
    let bare = AuditRecord {
        actor: None,
        disregarded: Vec::new(),
        package: None,
        application: None,
        http_status: None,
        code: None,
        requested_at: None,
        earlier_attempts: None,
        duration_ms: None,
        outcome: Outcome::Retained,
        ..record()
    };
    let line = said(&bare);
    assert_eq!(line["outcome"], "Retained");
    for key in [
        "actor",
        "disregarded",
        "package",
        "application",
        "httpStatus",
        "code",
        "requestedAt",
        "earlierAttempts",
        "durationMs",
    ] {
        assert!(line.get(key).is_none(), "{key}");
    }
}

/// An audit log in a folder of its own.
fn in_a_file() -> (tempfile::TempDir, PathBuf, AuditLog) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = AuditLog::to_file(path.clone()).unwrap();
    (folder, path, log)
}

fn lines(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().count()
}

#[tokio::test]
async fn a_renamed_or_removed_file_is_created_again() {
    let (_folder, path, log) = in_a_file();
    log.write(&record()).await.unwrap();
    let again = AuditLog::to_file(path.clone()).unwrap();
    again.write(&record()).await.unwrap();
    assert_eq!(lines(&path), 2, "a start appends");
    let rotated = path.with_extension("log.1");
    fs::rename(&path, &rotated).unwrap();
    log.write(&record()).await.unwrap();
    assert_eq!((lines(&rotated), lines(&path)), (2, 1));
    fs::remove_file(&path).unwrap();
    log.write(&record()).await.unwrap();
    assert_eq!(lines(&path), 1);
}

#[tokio::test]
async fn an_incomplete_line_does_not_merge_with_the_next() {
    let (_folder, path, log) = in_a_file();
    fs::write(&path, r#"{"kind":"PackageDel"#).unwrap();
    log.write(&record()).await.unwrap();
    log.write(&record()).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let whole = text
        .lines()
        .skip(1)
        .map(serde_json::from_str::<serde_json::Value>);
    assert_eq!(whole.flatten().count(), 2, "{text}");
}

#[tokio::test]
async fn a_line_that_the_disk_does_not_take_is_an_error_and_a_later_one_is_not() {
    let (_folder, path, log) = in_a_file();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let error = log.write(&record()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    fs::remove_file(&path).unwrap();
    log.write(&record()).await.unwrap();
    assert_eq!(lines(&path), 1);
}

#[test]
fn a_path_that_is_no_file_or_has_no_folder_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "/dev/null".into(),
        folder.path().into(),
        folder.path().join("no/audit.log"),
    ] {
        assert!(AuditLog::to_file(path.clone()).is_err(), "{path:?}");
    }
}

/// An audit log whose pipe is full: a write hangs until the pipe is read.
fn into_a_full_pipe() -> (tempfile::TempDir, AuditLog, File) {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let reader = OpenOptions::new().read(true).write(true).open(&fifo);
    let mut reader = reader.unwrap();
    // The default capacity of a pipe.
    reader.write_all("x".repeat(64 << 10).as_bytes()).unwrap();
    let file = AuditFile {
        path: fifo,
        turn: Mutex::new(()),
    };
    let log = AuditLog::to(Arc::new(file));
    (folder, log, reader)
}

#[tokio::test]
async fn a_hanging_write_ends_in_time_and_blocks_new_calls_after_ten_seconds() {
    let (_folder, log, mut reader) = into_a_full_pipe();
    let begun = Instant::now();
    let error = log.write(&record()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(log.overdue(), None);
    // Other callers don't wait for the hanging write.
    let other = AuditRecord {
        uid: "u-2".to_owned(),
        ..record()
    };
    let again = Instant::now();
    log.write(&other).await.unwrap_err();
    assert!(again.elapsed() < PATIENCE / 2);
    tokio::time::sleep((begun + OVERDUE).duration_since(Instant::now())).await;
    let overdue = log.overdue().unwrap();
    assert!(
        overdue.age >= OVERDUE && overdue.error.contains("hangs"),
        "{overdue:?}"
    );
    assert_eq!(log.unwritten().len(), 2);
    // The runtime waits for the hanging write when it is dropped.
    let mut all = vec![0; 64 << 10];
    std::io::Read::read_exact(&mut reader, &mut all).unwrap();
}

#[tokio::test]
async fn an_unwritten_line_is_retried_even_where_its_object_is_gone() {
    let (_folder, path, log) = in_a_file();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    log.write(&record()).await.unwrap_err();
    log.pay().await;
    assert_eq!(log.unwritten().len(), 1, "its owner tries first");
    fs::remove_file(&path).unwrap();
    for owed in log.owed.lock().values_mut() {
        owed.tried = owed.tried.checked_sub(FORGOTTEN).unwrap();
    }
    log.pay().await;
    assert_eq!((lines(&path), log.unwritten().len()), (1, 0));
}

/// A sink whose first write hangs for ever; all others succeed.
#[derive(Debug, Default)]
struct HangsOnce(std::sync::atomic::AtomicUsize);

impl Sink for HangsOnce {
    fn append(&self, _line: Vec<u8>) -> BoxFuture<'static, io::Result<()>> {
        match self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => futures::future::pending().boxed(),
            _ => async { Ok(()) }.boxed(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_for_ever_keeps_no_line_from_being_written() {
    let log = AuditLog::to(HangsOnce::default());
    log.write(&record()).await.unwrap_err();
    let other = AuditRecord {
        uid: "u-2".to_owned(),
        ..record()
    };
    // Most further writes would hang too, so they fail at once.
    log.write(&other).await.unwrap_err();
    log.write(&record()).await.unwrap_err();
    tokio::time::sleep(PROBES.first).await;
    log.write(&other).await.unwrap();
    log.write(&record()).await.unwrap();
    assert_eq!((log.overdue(), log.unwritten().len()), (None, 0));
}

#[test]
fn while_a_write_hangs_the_others_are_tried_with_growing_pauses() {
    let begun = Instant::now();
    let mut probes = Probes::default();
    let seconds = (0..2_000).filter(|second| probes.may(begun + Duration::from_secs(*second)));
    let seconds: Vec<u64> = seconds.collect();
    assert_eq!(seconds, [10, 30, 70, 150, 310, 610, 910, 1210, 1510, 1810]);
}
