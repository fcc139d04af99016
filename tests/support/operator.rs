//! The operator as a process of its own, with the rights of its ServiceAccount.

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::own;
use super::process::Process;
use super::tool;
use super::wait::wait_for;

/// The time limit of an orderly stop.
const STOP: Duration = Duration::from_secs(12);
/// How many of its last lines are printed when a test fails.
const LAST_WORDS: usize = 60;
/// The default pod name of an operator.
const POD: &str = "version-package-operator-0";

/// Flags for a short Lease of [`SHORT_LEASE`].
pub const SHORT_LEASE_FLAGS: [&str; 3] = [
    "--lease-duration=6s",
    "--call-timeout=2s",
    "--connect-timeout=1s",
];
/// The duration of the short Lease.
pub const SHORT_LEASE: Duration = Duration::from_secs(6);

/// A running `vpo run`. Dropping it kills the process; in a failing test it also prints the last lines.
pub struct Operator {
    pod: String,
    process: Process,
    admin: String,
}

impl Operator {
    /// Starts the operator with a kubeconfig and flags, as a pod of the given namespace. A second start is the same pod
    /// with a restarted container.
    pub fn start(kubeconfig: &Path, namespace: &str, flags: &[&str]) -> Self {
        Self::start_pod(POD, kubeconfig, namespace, flags)
    }

    /// Starts the operator as another pod.
    pub fn start_pod(pod: &str, kubeconfig: &Path, namespace: &str, flags: &[&str]) -> Self {
        let admin = free_address();
        let own = ["run", "--admin-listen", &admin, "--log-format", "json"];
        let process = Process::start(
            tool::vpo(),
            own.iter().chain(flags),
            [
                ("KUBECONFIG", kubeconfig.as_os_str()),
                ("POD_NAME", pod.as_ref()),
                ("POD_UID", format!("uid-of-{pod}").as_ref()),
                ("POD_NAMESPACE", namespace.as_ref()),
            ],
        );
        Self {
            pod: pod.to_owned(),
            process,
            admin,
        }
    }

    /// The URL of a page of the admin port, such as `/metrics`.
    pub fn admin_url(&self, page: &str) -> String {
        format!("http://{}{page}", self.admin)
    }

    /// The text of a page of the admin port; `None` where the answer isn't a 200.
    pub async fn admin_page(&self, page: &str) -> Option<String> {
        super::install_crypto();
        let response = reqwest::get(self.admin_url(page)).await.ok()?;
        let response = response.error_for_status().ok()?;
        Some(own::plain(&response.text().await.ok()?))
    }

    /// Waits until the operator is ready. Fails the test with its last lines at the deadline.
    pub async fn ready(&mut self) {
        wait_for(
            "the operator to be ready",
            Duration::from_secs(60),
            async || {
                if let Some(status) = self.process.status() {
                    panic!("the operator ended with {status}: {:#?}", self.log());
                }
                self.admin_page("/readyz").await
            },
        )
        .await;
    }

    /// Whether the process is running.
    pub fn is_running(&mut self) -> bool {
        self.process.status().is_none()
    }

    /// All output lines so far: standard output, then standard error.
    pub fn log(&self) -> Vec<String> {
        let mut lines = self.process.stdout();
        lines.extend(self.process.stderr());
        lines.iter().map(|line| own::plain(line)).collect()
    }

    /// The lines on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        let lines = self.process.stdout();
        lines.iter().map(|line| own::plain(line)).collect()
    }

    /// Sends SIGTERM.
    pub fn ask_to_stop(&self) {
        self.process.signal("TERM");
    }

    /// Sends SIGTERM, waits for the end of the process and returns its exit status.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.ended(STOP).await
    }

    /// Waits for the end of the process and returns its exit status.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        self.process.ended(deadline).await
    }

    /// Kills the process (SIGKILL).
    pub async fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.ended(STOP).await;
    }

    /// Freezes the process (SIGSTOP), until [`Self::thaw`].
    pub async fn freeze(&self) {
        self.process.freeze().await;
    }

    /// Lets the process continue (SIGCONT).
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// The process id, for measuring memory and CPU time.
    pub async fn id(&self) -> u32 {
        self.process.id().await
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last = log.len().saturating_sub(LAST_WORDS);
            eprintln!("{} said:\n{}", self.pod, log[last..].join("\n"));
        }
    }
}

/// An address that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}
