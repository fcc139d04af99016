//! Child processes that end with the test process, and whose output is kept.

use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::tool;
use super::wait::wait_for;

/// The time limit for all threads of a process to stop.
const STILL: Duration = Duration::from_secs(10);

/// A running program. Dropping it kills the program.
///
/// The program is a child of the starter, which kills it when this process ends for any reason. Both form one process
/// group, and signals go to the group.
pub struct Process {
    starter: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// Starts a program with these arguments, and with these environment variables added to those of this process.
    pub fn start(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        let mut starter = Command::new(tool::starter())
            .arg("tie")
            .arg(program)
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the starter can be run");
        let stdout = Lines::follow(starter.stdout.take().expect("a pipe"));
        let stderr = Lines::follow(starter.stderr.take().expect("a pipe"));
        Self {
            starter,
            stdout,
            stderr,
        }
    }

    /// The lines on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.so_far()
    }

    /// The lines on standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// Sends a signal, such as `TERM`, `KILL` or `CONT`.
    pub fn signal(&self, name: &str) {
        let group = format!("-{}", self.starter.id());
        let sent = Command::new("kill")
            .args(["-s", name, "--", &group])
            .stderr(Stdio::null())
            .status()
            .expect("kill can be run");
        // An ended group needs no signal.
        let _ = sent;
    }

    /// Freezes the process (SIGSTOP), until a `CONT`. Returns once all threads have stopped: the signal only requests
    /// this, and a running thread may still send data.
    pub async fn freeze(&self) {
        let tasks = format!("/proc/{}/task", self.id().await);
        self.signal("STOP");
        let stands = |task: std::io::Result<DirEntry>| {
            let line = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            // The name in parentheses may hold any character; the state follows after it.
            line.rsplit_once(") ")
                .map(|(_, rest)| rest.starts_with('T'))
        };
        wait_for("a process to stand still", STILL, async || {
            let mut tasks = std::fs::read_dir(&tasks).expect("its threads can be listed");
            // An ended thread does nothing either.
            tasks.all(|task| stands(task).unwrap_or(true)).then_some(())
        })
        .await;
    }

    /// Waits until the process ends by itself. The exit code of a process ended by a signal is 128 plus the signal's
    /// number.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let starter = &mut self.starter;
        wait_for("the end of a process", deadline, async || {
            starter.try_wait().expect("a child can be waited for")
        })
        .await
    }

    /// The exit status; `None` while the process runs.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.starter.try_wait().expect("a child can be waited for")
    }

    /// The process id of the program itself, for measuring memory and CPU time.
    pub async fn id(&self) -> u32 {
        let starter = self.starter.id().to_string();
        wait_for("a process to start", Duration::from_secs(10), async || {
            let output = Command::new("pgrep").args(["-P", &starter]).output();
            let output = output.expect("pgrep can be run");
            String::from_utf8_lossy(&output.stdout).trim().parse().ok()
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
        let _ = self.starter.wait();
    }
}

/// The lines of a pipe, read continuously so that the writer never blocks.
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn follow(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text);
                line.clear();
            }
        });
        Self(lines)
    }

    fn so_far(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
