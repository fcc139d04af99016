//! The control plane: etcd, kube-apiserver and kube-controller-manager as they are released.

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

/// The CustomResourceDefinitions, apart from what is installed and deleted with the operator.
const CRDS: &str = "crds";
/// What lets the operator read the Secrets of one namespace.
const ACCESS: &str = "manifests/platform-access";
/// What installs the operator.
const INSTALL: &str = "manifests/install";

/// How long it may take until new definitions are served.
const SERVED: Duration = Duration::from_secs(30);

/// A running control plane with RBAC on, an admin and an audit log. Dropping it stops it, and so does the end of this
/// process.
pub struct Plane {
    started: Started,
    starter: Child,
    lines: Mutex<BufReader<ChildStdout>>,
    namespaces: AtomicU32,
}

/// What the starter says once everything is ready.
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

/// What a command said, and whether it succeeded.
#[derive(Debug)]
pub struct Said {
    /// Whether its exit code was 0.
    pub ok: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error, warnings of the API server included.
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
    /// Its standard output; fails the test when the command failed.
    pub fn expect_ok(self) -> String {
        assert!(self.ok, "kubectl failed: {}", self.stderr);
        self.stdout
    }

    /// Its standard error; fails the test when the command succeeded.
    pub fn expect_refused(self) -> String {
        assert!(!self.ok, "kubectl succeeded: {}", self.stdout);
        self.stderr
    }
}

impl Plane {
    /// The one that all tests of a test binary share, each in namespaces of its own.
    pub fn shared() -> &'static Self {
        // Never dropped, as no static is: the starter sees this process end.
        static SHARED: LazyLock<Plane> = LazyLock::new(Plane::start);
        &SHARED
    }

    /// A fresh one. It takes about four seconds.
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

    /// Copies the store as it is now, for [`Self::restore`].
    pub fn save(&self) {
        let etcd = self.started.processes["etcd"].to_string();
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program).args(arguments).status();
            assert!(status.expect("it can be run").success(), "{program}");
        };
        let (from, to) = (self.dir().join("etcd"), self.dir().join("etcd.saved"));
        // Nothing is written while it is copied.
        run("kill", &["-STOP", &etcd]);
        run("cp", &["-r", from.to_str().unwrap(), to.to_str().unwrap()]);
        run("kill", &["-CONT", &etcd]);
    }

    /// Puts the saved store back and waits for the API server, as an administrator does after a disaster.
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

    /// The certificates that the API server is trusted by, in PEM.
    pub fn ca(&self) -> &Path {
        &self.started.ca
    }

    /// Data, logs and kubeconfigs; gone with the control plane.
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

    /// The program kubectl, for scripts that call it.
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
            // Its cache of what the server knows; tests add kinds and read them at once.
            .env("KUBECACHEDIR", self.dir().join("kubectl-cache"))
            .args(arguments)
            .current_dir(tool::root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl can be run");
        // One that doesn't read its input to the end says why in its output.
        let _ = kubectl
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes());
        let output = kubectl.wait_with_output().expect("kubectl ends");
        Said::from(output)
    }

    /// `kubectl apply` as the admin, of manifests as text.
    pub fn apply(&self, manifests: &str) -> Said {
        self.kubectl_with(self.kubeconfig(), &["apply", "-f", "-"], manifests)
    }

    /// Lets the versions of the store grow by so many writes of a single process.
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

    /// The settings of such a client, to be made on another runtime.
    pub async fn config_for(&self, kubeconfig: &Path) -> kube::Config {
        install_crypto();
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("a usable kubeconfig")
    }

    /// Writes a kubeconfig with a fresh token of a ServiceAccount.
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

    /// Applies the definitions and waits until they are served. Returns what kubectl said, warnings included.
    pub fn install_crds(&self) -> Said {
        let said = self.kubectl(&["apply", "-f", CRDS]);
        assert!(said.ok, "the definitions were refused: {}", said.stderr);
        // Established comes first; that kubectl finds the short names comes a moment later.
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

    /// Installs definitions and operator as the README does; its Deployment finds no node here, so the tests run it.
    pub fn install(&self) {
        self.install_crds();
        self.kubectl(&["apply", "-k", INSTALL]).expect_ok();
    }

    /// Lets the operator read Secrets of a namespace by name, with the Role that is shipped.
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

    /// Every request that the API server has answered so far.
    pub fn audit_events(&self) -> Vec<AuditEvent> {
        self.audit_events_from(0)
    }

    /// The same from a place in the audit log on: a fleet's birth is a hundred megabytes.
    pub fn audit_events_from(&self, start: u64) -> Vec<AuditEvent> {
        audit::read(&self.started.audit_log, start)
    }

    /// The place where the audit log ends now, for [`Self::audit_events_from`].
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

/// Makes ring the provider of all TLS in this process. Doing it again changes nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
