//! The control plane: released versions of etcd, kube-apiserver and kube-controller-manager.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;
use version_package_operator::api_server;

use super::audit::{self, AuditEvent};
use super::{own, tool};

/// The CustomResourceDefinitions, which are separate from the files that are installed and deleted with the operator.
const CRDS: &str = "crds";
/// The manifests that let the operator read the Secrets of one namespace.
const ACCESS: &str = "manifests/platform-access";
/// The manifests that install the operator.
const INSTALL: &str = "manifests/install";

/// The time limit until new definitions are served.
const SERVED: Duration = Duration::from_secs(30);

/// A running control plane with RBAC, an admin and an audit log. It stops when dropped, and when this process ends.
pub struct Plane {
    started: Started,
    starter: Child,
    lines: Mutex<BufReader<ChildStdout>>,
    namespaces: AtomicU32,
}

/// The starter's output once everything is ready.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    dir: PathBuf,
    server: String,
    ca: PathBuf,
    kubeconfig: PathBuf,
    audit_log: PathBuf,
    processes: BTreeMap<String, u32>,
}

/// The output of a command, and whether it succeeded.
#[derive(Debug)]
pub struct Said {
    /// Whether the exit code was 0.
    pub ok: bool,
    /// The standard output.
    pub stdout: String,
    /// The standard error, including warnings of the API server.
    pub stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| own::plain(&String::from_utf8_lossy(bytes));
        Self {
            ok: output.status.success(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Said {
    /// The standard output. Fails the test where the command failed.
    pub fn expect_ok(self) -> String {
        assert!(self.ok, "kubectl failed: {}", self.stderr);
        self.stdout
    }

    /// The standard error. Fails the test where the command succeeded.
    pub fn expect_refused(self) -> String {
        assert!(!self.ok, "kubectl succeeded: {}", self.stdout);
        self.stderr
    }
}

impl Plane {
    /// The control plane that all tests of a test binary share, each in namespaces of its own.
    pub fn shared() -> &'static Self {
        // A static is never dropped; the starter notices the end of this process.
        static SHARED: LazyLock<Plane> = LazyLock::new(Plane::start);
        &SHARED
    }

    /// Starts a control plane, which takes about four seconds.
    pub fn start() -> Self {
        let mut starter = Command::new(tool::starter())
            .arg("run")
            .arg("--assets")
            .arg(tool::control_plane())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the starter can be run");
        let mut line = String::new();
        let mut lines = BufReader::new(starter.stdout.take().expect("a pipe"));
        lines
            .read_line(&mut line)
            .expect("the starter's output can be read");
        Self {
            started: serde_json::from_str(&line).expect("the control plane has started"),
            starter,
            lines: Mutex::new(lines),
            namespaces: AtomicU32::new(0),
        }
    }

    /// Copies the store, for [`Self::restore`].
    pub fn save(&self) {
        let etcd = self.started.processes["etcd"].to_string();
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).status();
            assert!(status.expect("it can be run").success(), "{program}");
        };
        let (from, to) = (self.dir().join("etcd"), self.dir().join("etcd.saved"));
        // etcd is stopped, so that nothing is written during the copy.
        run("kill", &["-STOP", &etcd]);
        run("cp", &["-r", from.to_str().unwrap(), to.to_str().unwrap()]);
        run("kill", &["-CONT", &etcd]);
    }

    /// Restores the saved store and waits for the API server, as an administrator does after a disaster.
    pub fn restore(&self) {
        let starter = self.starter.id().to_string();
        let kill = Command::new("kill").args(["-USR1", &starter]).status();
        assert!(kill.expect("it can be run").success());
        let mut line = String::new();
        let mut lines = self.lines.lock().unwrap();
        lines.read_line(&mut line).expect("the starter's output");
        assert!(!line.is_empty(), "the control plane did not come back");
    }

    /// The address of the API server, such as `https://127.0.0.1:40123`.
    pub fn server(&self) -> &str {
        &self.started.server
    }

    /// The file with the CA certificates of the API server, in PEM.
    pub fn ca(&self) -> &Path {
        &self.started.ca
    }

    /// The folder with data, logs and kubeconfigs, which is removed with the control plane.
    pub fn dir(&self) -> &Path {
        &self.started.dir
    }

    /// The kubeconfig of the admin.
    pub fn kubeconfig(&self) -> &Path {
        &self.started.kubeconfig
    }

    /// The process ids by name.
    pub fn processes(&self) -> &BTreeMap<String, u32> {
        &self.started.processes
    }

    /// The path of kubectl, for scripts.
    pub fn kubectl_path() -> PathBuf {
        tool::control_plane().join("kubectl")
    }

    /// Runs kubectl as the admin.
    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        self.kubectl_with(self.kubeconfig(), arguments, "")
    }

    /// Runs kubectl with another kubeconfig and a standard input.
    pub fn kubectl_with(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Said {
        let mut kubectl = Command::new(Self::kubectl_path())
            .env("KUBECONFIG", kubeconfig)
            // A separate discovery cache: tests add kinds and read them at once.
            .env("KUBECACHEDIR", self.dir().join("kubectl-cache"))
            .args(arguments)
            .current_dir(tool::root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl can be run");
        // A command that doesn't read all its input reports the reason in its output.
        let _ = kubectl
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes());
        let output = kubectl.wait_with_output().expect("kubectl ends");
        Said::from(output)
    }

    /// Runs `kubectl apply` as the admin, with manifests as text.
    pub fn apply(&self, manifests: &str) -> Said {
        self.kubectl_with(self.kubeconfig(), &["apply", "-f", "-"], manifests)
    }

    /// Raises the version of the store with this many writes, sent by a single process.
    pub fn grow(&self, writes: usize) {
        let maps = (0..writes).map(|number| {
            let name = format!("grows-{number}");
            serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}})
        });
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": maps.collect::<Vec<_>>()});
        self.kubectl_with(self.kubeconfig(), &["create", "-f", "-"], &list.to_string())
            .expect_ok();
    }

    /// Creates a namespace that no other test uses, named after the subject of the test.
    pub fn namespace(&self, subject: &str) -> String {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        let name = format!("{subject}-{number}");
        self.kubectl(&["create", "namespace", &name]).expect_ok();
        name
    }

    /// A client for the admin, bound to the runtime of the calling test.
    pub async fn client(&self) -> kube::Client {
        self.client_for(self.kubeconfig()).await
    }

    /// A client for the user of a kubeconfig, bound to the runtime of the calling test.
    pub async fn client_for(&self, kubeconfig: &Path) -> kube::Client {
        api_server::client(self.config_for(kubeconfig).await).expect("a client")
    }

    /// The configuration of such a client, for use on another runtime.
    pub async fn config_for(&self, kubeconfig: &Path) -> kube::Config {
        install_crypto();
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a usable kubeconfig")
    }

    /// Writes a kubeconfig with a new token of a ServiceAccount.
    pub fn kubeconfig_for(&self, namespace: &str, service_account: &str) -> PathBuf {
        let token = self
            .kubectl(&["create", "token", service_account, "-n", namespace])
            .expect_ok();
        self.write_kubeconfig(
            &format!("{namespace}-{service_account}"),
            self.server(),
            self.ca(),
            token.trim(),
        )
    }

    /// Writes a kubeconfig into the folder of the control plane.
    pub fn write_kubeconfig(&self, name: &str, server: &str, ca: &Path, token: &str) -> PathBuf {
        let path = self.dir().join(format!("{name}.kubeconfig"));
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": ca}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        std::fs::write(&path, config.to_string()).expect("a kubeconfig can be written");
        path
    }

    /// Applies the definitions and waits until they are served. Returns kubectl's output, including warnings.
    pub fn install_crds(&self) -> Said {
        let said = self.kubectl(&["apply", "-f", CRDS]);
        assert!(said.ok, "the definitions were refused: {}", said.stderr);
        // kubectl finds the short names a moment after the condition Established.
        let deadline = Instant::now() + SERVED;
        loop {
            let listed = self.kubectl(&["get", "vp,plat", "--all-namespaces"]);
            if listed.ok {
                break;
            }
            assert!(Instant::now() < deadline, "{}", listed.stderr);
        }
        said
    }

    /// Installs definitions and operator as in the README. There is no node for its Deployment, so the tests run the
    /// operator.
    pub fn install(&self) {
        self.install_crds();
        self.kubectl(&["apply", "-k", INSTALL]).expect_ok();
    }

    /// Lets the operator read Secrets of a namespace by name, with the shipped Role.
    pub fn grant_secrets(&self, namespace: &str, names: &[&str]) {
        let read = |file: &str| -> serde_json::Value {
            let text = std::fs::read_to_string(tool::root().join(ACCESS).join(file));
            serde_saphyr::from_str(&text.expect("the Role is shipped")).expect("a manifest is YAML")
        };
        let (mut role, binding) = (read("role.yaml"), read("rolebinding.yaml"));
        role["rules"][0]["resourceNames"] = names.into();
        for manifest in [role, binding] {
            let apply = ["-n", namespace, "apply", "-f", "-"];
            self.kubectl_with(self.kubeconfig(), &apply, &manifest.to_string())
                .expect_ok();
        }
    }

    /// All requests that the API server has answered so far.
    pub fn audit_events(&self) -> Vec<AuditEvent> {
        self.audit_events_from(0)
    }

    /// The requests from a place in the audit log on: the creation of a fleet adds a hundred megabytes.
    pub fn audit_events_from(&self, start: u64) -> Vec<AuditEvent> {
        audit::read(&self.started.audit_log, start)
    }

    /// The current end of the audit log, for [`Self::audit_events_from`].
    pub fn audit_end(&self) -> u64 {
        audit::end(&self.started.audit_log)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        drop(self.starter.stdin.take());
        let _ = self.starter.wait();
    }
}

/// Makes ring the TLS provider of this process. A second call has no effect.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
