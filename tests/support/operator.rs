//! The operator as its own process, with the rights of its own ServiceAccount.

use std::net::TcpListener;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::own;
use super::process::Process;
use super::tool;
use super::wait::wait_for;

/// How long a clean stop may take.
const STOP: Duration = Duration::from_secs(12);
/// So many of its last lines tell why a test failed.
const LAST_WORDS: usize = 60;
/// The pod that an operator runs in, where a test doesn't say otherwise.
const POD: &str = "version-package-operator-0";

/// Flags for a Lease that runs out soon, after [`SHORT_LEASE`].
pub const SHORT_LEASE_FLAGS: [&str; 3] = [
    "--lease-duration=6s",
    "--call-timeout=2s",
    "--connect-timeout=1s",
];
/// The length of such a Lease.
pub const SHORT_LEASE: Duration = Duration::from_secs(6);

/// A running `vpo run`. Dropping it kills it; in a test that fails it also prints its last words.
pub struct Operator {
    pod: String,
    process: Process,
    admin: String,
}

impl Operator {
    /// Starts it with a kubeconfig, as if it were a pod of the given namespace, with more flags. Started
    /// again it is the same pod, whose container was restarted.
    pub fn start(kubeconfig: &Path, namespace: &str, flags: &[&str]) -> Self {
        Self::start_pod(POD, kubeconfig, namespace, flags)
    }

    /// The same as another pod.
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

    /// The address of a page of the admin port, such as `/metrics`.
    pub fn admin_url(&self, page: &str) -> String {
        format!("http://{}{page}", self.admin)
    }

    /// The text of a page of the admin port, if it answered with 200.
    pub async fn admin_page(&self, page: &str) -> Option<String> {
        super::install_crypto();
        let response = reqwest::get(self.admin_url(page)).await.ok()?;
        let response = response.error_for_status().ok()?;
        Some(own::plain(&response.text().await.ok()?))
    }

    /// Waits until it is ready, and fails the test with its last words when it isn't in time.
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

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.status().is_none()
    }

    /// Everything that it wrote so far: standard output, then standard error.
    pub fn log(&self) -> Vec<String> {
        let mut lines = self.process.stdout();
        lines.extend(self.process.stderr());
        lines.iter().map(|line| own::plain(line)).collect()
    }

    /// The lines that it wrote to standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        let lines = self.process.stdout();
        lines.iter().map(|line| own::plain(line)).collect()
    }

    /// Asks it to stop (SIGTERM).
    pub fn ask_to_stop(&self) {
        self.process.signal("TERM");
    }

    /// Asks it to stop (SIGTERM), waits for it and returns how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.ended(STOP).await
    }

    /// Waits for its end and returns how it ended.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        self.process.ended(deadline).await
    }

    /// Ends it at once (SIGKILL).
    pub async fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.ended(STOP).await;
    }

    /// Freezes it (SIGSTOP), until [`Self::thaw`].
    pub async fn freeze(&self) {
        self.process.freeze().await;
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// Its process id, to look at its memory and time.
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
