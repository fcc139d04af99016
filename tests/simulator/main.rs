//! The simulator as a process of its own, called over TLS as by any client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]

mod gateway;
mod packages;
mod tokens;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Certificate, Identity, Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const LOGIN: &str = "/iocm/app/sec/v1.1.0/login";
const REFRESH: &str = "/iocm/app/sec/v1.1.0/refreshToken";
const LOGOUT: &str = "/iocm/app/sec/v1.1.0/logout";
const CATEGORY: &str = "/iodm/northbound/v1.5.0/category";
const OPERATIONS: &str = "/iodm/northbound/v1.5.0/operations";
const JSON: &str = "application/json;charset=UTF-8";

/// A running simulator, which is killed when dropped.
struct Simulator {
    child: Child,
    base: String,
    admin: String,
    dir: TempDir,
}

/// A completely read answer.
struct Answer {
    status: StatusCode,
    content_type: Option<String>,
    content_length: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Status, shape and code, which identify an error.
    fn error(&self) -> (u16, &'static str, String) {
        let json = self.json();
        let (shape, code) = if json["error_code"].is_string() {
            ("A", &json["error_code"])
        } else {
            ("B", &json["resultcode"])
        };
        (
            self.status.as_u16(),
            shape,
            code.as_str().unwrap_or("none").to_owned(),
        )
    }
}

async fn read(response: Response) -> Answer {
    let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    Answer {
        status: response.status(),
        content_type: header("content-type"),
        content_length: header("content-length"),
        text: response.text().await.unwrap(),
    }
}

impl Simulator {
    async fn start(flags: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), flags).await
    }

    async fn start_in(dir: TempDir, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vpo"))
            .args([
                "simulate",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
            ])
            .arg("--tls-dir")
            .arg(dir.path().join("tls"))
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        let ports: Value = serde_json::from_str(&line).expect("one line of JSON at the start");
        Self {
            child,
            base: format!("https://{}", ports["listen"].as_str().unwrap()),
            admin: format!("http://{}", ports["admin"].as_str().unwrap()),
            dir,
        }
    }

    fn tls(&self) -> std::path::PathBuf {
        self.dir.path().join("tls")
    }

    /// Stops the simulator as a container runtime does, and waits for its end.
    async fn stop(mut self) -> TempDir {
        let pid = self.child.id().unwrap().to_string();
        let told = Instant::now();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .await
                .unwrap()
                .success()
        );
        assert!(self.child.wait().await.unwrap().success());
        assert!(
            told.elapsed() < Duration::from_secs(1),
            "{:?}",
            told.elapsed()
        );
        self.dir
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        let mut request = plain().request(method, format!("{}{path}", self.admin));
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        read(request.send().await.unwrap()).await
    }

    async fn put(&self, path: &str, body: Value) {
        let answer = self.admin(Method::PUT, path, body).await;
        assert!(answer.status.is_success(), "{}", answer.text);
    }

    async fn fault(&self, fault: Value) {
        let answer = self.admin(Method::POST, "/faults", fault).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }

    async fn ledger(&self) -> Vec<Value> {
        let text = self.admin(Method::GET, "/ledger", Value::Null).await.text;
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    async fn last(&self) -> Value {
        self.ledger().await.pop().unwrap()
    }
}

/// A client of one application.
struct Client {
    http: reqwest::Client,
    base: String,
    app_id: String,
    secret: String,
    token: String,
    refresh: String,
}

fn plain() -> reqwest::Client {
    builder().build().unwrap()
}

fn builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(10))
}

fn trusting(dir: &Path) -> reqwest::ClientBuilder {
    let ca = std::fs::read(dir.join("ca.crt")).unwrap();
    builder().tls_certs_only([Certificate::from_pem(&ca).unwrap()])
}

fn identity(dir: &Path) -> Identity {
    let mut pem = std::fs::read(dir.join("client.crt")).unwrap();
    pem.extend(std::fs::read(dir.join("client.key")).unwrap());
    Identity::from_pem(&pem).unwrap()
}

impl Client {
    fn new(simulator: &Simulator, app_id: &str, secret: &str) -> Self {
        Self {
            http: trusting(&simulator.tls()).build().unwrap(),
            base: simulator.base.clone(),
            app_id: app_id.to_owned(),
            secret: secret.to_owned(),
            token: String::new(),
            refresh: String::new(),
        }
    }

    async fn logged_in(simulator: &Simulator) -> Self {
        let mut client = Self::new(simulator, "app-1", "secret-1");
        client.login().await;
        client
    }

    async fn try_login(&self) -> Answer {
        let form = [("appId", &self.app_id), ("secret", &self.secret)];
        let request = self.http.post(format!("{}{LOGIN}", self.base)).form(&form);
        read(request.send().await.unwrap()).await
    }

    async fn login(&mut self) -> Value {
        let answer = self.try_login().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        self.keep(&answer)
    }

    fn keep(&mut self, answer: &Answer) -> Value {
        let json = answer.json();
        json["accessToken"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.token);
        json["refreshToken"]
            .as_str()
            .unwrap()
            .clone_into(&mut self.refresh);
        json
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).body(body.to_string());
        read(
            request
                .header("Content-Type", "application/json")
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .header("app_key", &self.app_id)
            .header("Authorization", format!("Bearer {}", self.token))
    }

    async fn get(&self, path: &str) -> Answer {
        read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    async fn try_delete(&self, id: &str) -> reqwest::Result<Response> {
        self.request(Method::DELETE, &format!("{CATEGORY}/{id}"))
            .send()
            .await
    }

    async fn delete(&self, id: &str) -> Answer {
        read(self.try_delete(id).await.unwrap()).await
    }
}

fn error(status: u16, shape: &'static str, code: &str) -> (u16, &'static str, String) {
    (status, shape, code.to_owned())
}
