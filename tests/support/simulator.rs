//! The simulator of the platform as a process of its own.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::own;
use super::process::Process;
use super::tool;
use super::wait::wait_for;

/// A running `vpo simulate`. Dropping it kills it.
pub struct Simulator {
    process: Process,
    tls: TempDir,
    ports: Ports,
    app_id: String,
    secret: String,
    prefix: String,
}

/// The simulator's output at its start.
#[derive(Deserialize)]
struct Ports {
    listen: String,
    admin: String,
}

/// The options of a simulator.
pub struct SimulatorOptions<'a> {
    /// The id of the application.
    pub app_id: &'a str,
    /// The secret of the application.
    pub secret: &'a str,
    /// The initial number of packages.
    pub packages: usize,
    /// The number of calls allowed in one window.
    pub quota_calls: usize,
    /// The length of the window, such as `6s`.
    pub quota_window: &'a str,
    /// Whether clients present a certificate: `none`, `requested` or `required`.
    pub client_cert: &'a str,
    /// The prefix of package ids, which tests neither write nor read.
    pub prefix: &'a str,
    /// Further flags.
    pub flags: &'a [&'a str],
}

impl Default for SimulatorOptions<'_> {
    /// The platform's own quota, with a window ten times shorter.
    fn default() -> Self {
        Self {
            app_id: "app-1",
            secret: "correct-horse-battery",
            packages: 0,
            quota_calls: 100,
            quota_window: "6s",
            client_cert: "none",
            prefix: "",
            flags: &[],
        }
    }
}

impl Simulator {
    /// Starts the simulator and waits until it listens.
    pub async fn start(options: SimulatorOptions<'_>) -> Self {
        let tls = tempfile::tempdir().expect("a temporary folder");
        let packages: Vec<Value> = (1..=options.packages)
            .map(|number| serde_json::json!({"fileId": format!("{}package-{number:05}", options.prefix)}))
            .collect();
        let file = tls.path().join("packages.json");
        std::fs::write(&file, Value::from(packages).to_string()).expect("a file");
        let calls = options.quota_calls.to_string();
        let own = [
            "simulate",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--tls-dir",
            tls.path().to_str().expect("a path in UTF-8"),
            "--app-id",
            options.app_id,
            "--secret",
            options.secret,
            "--packages-file",
            file.to_str().expect("a path in UTF-8"),
            "--quota-calls",
            &calls,
            "--quota-window",
            options.quota_window,
            "--client-cert",
            options.client_cert,
        ];
        let none: [(&str, &str); 0] = [];
        let mut process = Process::start(tool::vpo(), own.iter().chain(options.flags), none);
        let line = wait_for(
            "the simulator to listen",
            Duration::from_secs(20),
            async || {
                if let Some(status) = process.status() {
                    panic!("the simulator ended with {status}: {:#?}", process.stderr());
                }
                process.stdout().into_iter().next()
            },
        )
        .await;
        Self {
            ports: serde_json::from_str(&line).expect("a line of JSON with both addresses"),
            process,
            tls,
            app_id: options.app_id.to_owned(),
            secret: options.secret.to_owned(),
            prefix: options.prefix.to_owned(),
        }
    }

    /// Kills the simulator: nothing answers at its address any more.
    pub async fn kill(&mut self) {
        self.process.signal("KILL");
        self.process.ended(Duration::from_secs(10)).await;
    }

    /// Freezes the simulator (SIGSTOP), until [`Self::thaw`]: connections stay open, but nothing answers.
    pub async fn freeze(&self) {
        self.process.freeze().await;
    }

    /// Lets the simulator continue (SIGCONT).
    pub fn thaw(&self) {
        self.process.signal("CONT");
    }

    /// The URL of the platform, for `spec.endpoint`.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.ports.listen)
    }

    /// The URL of a page of the admin port, such as `/ledger`.
    pub fn admin_url(&self, page: &str) -> String {
        format!("http://{}{page}", self.ports.admin)
    }

    /// The folder with `ca.crt`, `client.crt` and `client.key`.
    pub fn tls_dir(&self) -> &Path {
        self.tls.path()
    }

    /// The id of the application and its secret.
    pub fn credentials(&self) -> (&str, &str) {
        (&self.app_id, &self.secret)
    }

    /// Logs in as any client can; returns the token.
    pub async fn log_in(&self, app_id: &str, secret: &str) -> String {
        super::install_crypto();
        let ca = std::fs::read(self.tls_dir().join("ca.crt")).expect("the simulator's CA");
        let ca = reqwest::Certificate::from_pem(&ca).expect("a certificate");
        let client = reqwest::Client::builder()
            .tls_certs_only([ca])
            .build()
            .expect("a client");
        let login = format!("{}/iocm/app/sec/v1.1.0/login", self.endpoint());
        let form = [("appId", app_id), ("secret", secret)];
        let answer = client.post(login).form(&form).send().await;
        let answer = answer.expect("an answer").text().await.expect("a text");
        let answer: Value = serde_json::from_str(&answer).expect("a JSON object");
        answer["accessToken"].as_str().expect("a token").to_owned()
    }

    /// The process id of the simulator.
    pub async fn id(&self) -> u32 {
        self.process.id().await
    }

    /// The lines on standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.process.stderr()
    }

    /// All calls so far.
    pub async fn ledger(&self) -> Vec<Value> {
        super::install_crypto();
        let response = reqwest::get(self.admin_url("/ledger"))
            .await
            .expect("the ledger answers");
        let text = response.text().await.expect("the ledger can be read");
        let text = own::plain(&text);
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of the ledger is JSON"))
            .collect()
    }

    /// Sets a switch: sends a `PUT` with a JSON body to a page of the admin port.
    pub async fn switch(&self, page: &str, body: &Value) {
        self.admin(Method::PUT, page, body).await;
    }

    /// Lets DELETE calls for a package fail: `kind` is a fault of the simulator, `times` a number or `"forever"`.
    pub async fn fault(&self, file_id: &str, kind: &Value, times: &Value) {
        let calls = serde_json::json!({"method": "DELETE", "fileId": file_id});
        let fault = serde_json::json!({"match": calls, "kind": kind, "times": times});
        self.admin(Method::POST, "/faults", &fault).await;
    }

    /// Lets every call of a method fail from now on: `kind` is a fault of the simulator.
    pub async fn fault_all(&self, method: &str, kind: &Value) {
        let calls = serde_json::json!({"method": method});
        let fault = serde_json::json!({"match": calls, "kind": kind, "times": "forever"});
        self.admin(Method::POST, "/faults", &fault).await;
    }

    /// Whether the platform has this package.
    pub async fn has(&self, file_id: &str) -> bool {
        let packages = self.admin(Method::GET, "/packages", &Value::Null).await;
        packages.contains(&format!("\"{file_id}\""))
    }

    /// Sends a request to a page of the admin port, which must succeed; returns the answer.
    pub async fn admin(&self, method: Method, page: &str, body: &Value) -> String {
        super::install_crypto();
        let what = format!("{method} {page} {body}");
        let page = match page.strip_prefix("/packages/") {
            Some(id) => format!("/packages/{}{id}", self.prefix),
            None => page.to_owned(),
        };
        let mut body = body.clone();
        own::with_prefix(&mut body, &self.prefix);
        let mut request = reqwest::Client::new().request(method, self.admin_url(&page));
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.expect("the admin port answers");
        let status = response.status();
        let text = response.text().await.expect("a text");
        assert!(
            status.is_success(),
            "{what} was refused with {status}: {text}"
        );
        own::plain(&text)
    }

    /// The manifest of a Platform of this name with its Secrets, for `kubectl apply`.
    ///
    /// `spec` is merged over the default one, for example `{"mode": "Observe"}`.
    pub fn platform(&self, namespace: &str, name: &str, spec: &Value) -> String {
        let file = |name: &str| {
            std::fs::read_to_string(self.tls_dir().join(name)).expect("the simulator's TLS files")
        };
        let (credentials, ca) = (format!("{name}-app"), format!("{name}-ca"));
        let mut platform = serde_json::json!({
            "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {
                "endpoint": self.endpoint(),
                "credentialsSecretRef": {"name": credentials},
                "tls": {"caSecretRef": {"name": ca}},
                // The other tests delete without holds and without a grace period.
                "guard": {"maxDeletions": 1_000_000, "window": "10m", "gracePeriod": "0s"},
                "inventory": {"interval": "0s"},
            },
        });
        for (field, value) in spec.as_object().into_iter().flatten() {
            platform["spec"][field] = value.clone();
        }
        serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"namespace": namespace, "name": credentials},
                "stringData": {"appId": self.app_id, "secret": self.secret},
            },
            {
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"namespace": namespace, "name": ca},
                "stringData": {"ca.crt": file("ca.crt")},
            },
            platform,
        ]})
        .to_string()
    }
}
