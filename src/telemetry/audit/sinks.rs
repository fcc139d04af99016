//! The destinations of audit lines: standard output and a file. Each write may hang.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::Sink;

/// Standard output.
#[derive(Debug)]
pub(super) struct Stdout;

impl Sink for Stdout {
    fn append(&self, line: Vec<u8>) -> BoxFuture<'static, io::Result<()>> {
        blocking(move || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&line)?;
            stdout.flush()
        })
    }
}

impl Sink for Arc<AuditFile> {
    fn append(&self, line: Vec<u8>) -> BoxFuture<'static, io::Result<()>> {
        let file = Arc::clone(self);
        blocking(move || AuditFile::append(&file, &line))
    }
}

/// Runs `write` on a blocking thread, which it may occupy for ever.
fn blocking(
    write: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> BoxFuture<'static, io::Result<()>> {
    let ended = tokio::task::spawn_blocking(write);
    ended
        .map(|ended| ended.map_err(io::Error::other).flatten())
        .boxed()
}

/// A file that may be renamed, removed or truncated at any time. It is opened for each line, so no line goes to a
/// rotated file, and a rotation needs no signal.
#[derive(Debug)]
pub(super) struct AuditFile {
    pub(super) path: PathBuf,
    /// Serialises the writes.
    pub(super) turn: Mutex<()>,
}

/// How long a line waits for the previous one.
const TURN: Duration = Duration::from_secs(1);

impl AuditFile {
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let file = {
            // A hanging write holds the lock for ever. So after `TURN`, this write goes on without the lock.
            let _turn = self.turn.try_lock_for(TURN);
            let mut file = open(&self.path)?;
            // A full disk or a crash may have left an incomplete line, which must not merge with this one.
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

pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let file = options.create(true).open(path)?;
            // The directory entry of a new file must survive a power failure too.
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
