//! The audit trail: one JSON line for each deletion, on standard output, logs being on standard error, or in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use crate::api::names::{AppId, Endpoint, FileId};
use crate::api::version_package::{Outcome, PackageIdentity};

/// How one deletion ended: who, what, when, outcome, codes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "PackageDeletion", rename_all = "camelCase")]
pub struct AuditRecord {
    /// When the outcome was known.
    pub time: Timestamp,
    /// The field manager that last wrote the spec, other than this operator: a name that its writer gave itself. Who
    /// deleted the object is not among its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// The uid of the object: names repeat, uids don't.
    pub uid: String,
    /// The package on the platform.
    pub file_id: FileId,
    /// What the platform last said of the package, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageIdentity>,
    /// The application that it belongs to, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<AppId>,
    /// How it ended.
    pub outcome: Outcome,
    /// The uids of objects that may have wanted the package, and that a person passed over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disregarded: Vec<String>,
    /// The HTTP status of the last answer, where a call was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The platform's code in the last answer, if it carried one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Calls made for this deletion.
    pub attempts: u32,
    /// Since when the deletion was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// From then to the outcome, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// A package that the platform lists although it said before that the package is deleted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename = "PackageReappeared", rename_all = "camelCase")]
pub struct ReappearedRecord {
    /// When the list was read to its end.
    pub time: Timestamp,
    /// The application that the package belongs to.
    pub application: AppId,
    /// Where the platform is.
    pub endpoint: Endpoint,
    /// The package.
    pub file_id: FileId,
    /// When the platform said that it is deleted.
    pub deleted_at: Timestamp,
    /// When the reading began that lists it all the same.
    pub listed_since: Timestamp,
}

/// Where audit lines go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditLog {
    /// Standard output where there is none.
    file: Option<Arc<AuditFile>>,
}

impl AuditLog {
    /// Standard output.
    pub fn stdout() -> Self {
        Self { file: None }
    }

    /// A file, made where there is none. Its lines are appended to what it holds.
    ///
    /// # Errors
    /// When it can't be opened for writing, or is no file.
    pub fn to_file(path: PathBuf) -> io::Result<Self> {
        if !open(&path)?.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let file = AuditFile {
            path,
            turn: Mutex::new(()),
        };
        Ok(Self {
            file: Some(Arc::new(file)),
        })
    }

    /// Writes `record` as one line. A line in a file is on the disk when this returns.
    ///
    /// # Errors
    /// When the line was not taken. A later try may find that it was: a line may come twice, but never not at all.
    pub async fn write(&self, record: &(impl Serialize + Sync)) -> io::Result<()> {
        let line = line(record)?;
        match self.file.clone() {
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&line)?;
                stdout.flush()
            }
            Some(file) => tokio::task::spawn_blocking(move || file.append(&line))
                .await
                .map_err(io::Error::other)?,
        }
    }
}

/// A file that may be renamed, removed or cut at any time: it is opened anew for each line, so no line ever goes to one
/// that nobody looks at any more, and nobody has to be told of a rotation.
#[derive(Debug)]
struct AuditFile {
    path: PathBuf,
    /// One line at a time.
    turn: Mutex<()>,
}

impl AuditFile {
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let file = {
            let _turn = self.turn.lock();
            let mut file = open(&self.path)?;
            // What a full disk or a crash left half written must not spoil this line.
            let broken = ends_within_a_line(&mut file)?;
            let bytes = [if broken { &b"\n"[..] } else { &[] }, line].concat();
            let taken = file.write(&bytes)?;
            if taken < bytes.len() {
                return Err(ErrorKind::StorageFull.into());
            }
            file
        };
        file.sync_data()
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let file = options.create(true).open(path)?;
            // Its name has to outlive a power cut too.
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(file)
        }
        opened => opened,
    }
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn line(record: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
            attempts: 2,
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
                "disregarded": ["u-2"], "httpStatus": 404, "code": "123002", "attempts": 2,
                "requestedAt": "2026-07-01T10:00:00Z", "durationMs": 3000,
            })
        );
    }

    #[test]
    fn a_deleted_package_that_is_listed_again_is_a_record_of_its_own_kind() {
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
    fn what_is_not_known_is_left_out() {
        let bare = AuditRecord {
            actor: None,
            disregarded: Vec::new(),
            package: None,
            application: None,
            http_status: None,
            code: None,
            requested_at: None,
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
            "durationMs",
        ] {
            assert!(line.get(key).is_none(), "{key}");
        }
    }

    /// A log in a folder of its own.
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
    async fn a_file_that_is_renamed_or_removed_is_followed_by_a_new_one_of_its_name() {
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
    async fn half_a_line_stays_alone_and_spoils_none_that_follows() {
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
    fn what_is_no_file_or_has_no_folder_is_refused_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "/dev/null".into(),
            folder.path().into(),
            folder.path().join("no/audit.log"),
        ] {
            assert!(AuditLog::to_file(path.clone()).is_err(), "{path:?}");
        }
    }
}
