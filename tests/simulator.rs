//! The simulator as a process of its own, spoken to over TLS as any client would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]

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

/// A running simulator; it dies with its owner.
struct Simulator {
    child: Child,
    base: String,
    admin: String,
    dir: TempDir,
}

/// An answer that was read whole.
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

    /// Status, shape and code, the three things that tell errors apart.
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

    /// Tells it to stop, as a container runtime does, and waits for its end.
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

#[tokio::test]
async fn a_login_is_a_form_and_gives_the_five_fields() {
    let simulator = Simulator::start(&[]).await;
    let mut client = Client::new(&simulator, "app-1", "secret-1");
    let tokens = client.login().await;
    assert_eq!(
        (&tokens["tokenType"], &tokens["scope"]),
        (&json!("bearer"), &json!("default"))
    );
    assert_eq!(tokens["expiresIn"], 3600);
    assert_eq!(client.token.len(), 32);

    let as_json = json!({"appId": "app-1", "secret": "secret-1"});
    assert_eq!(
        client.post(LOGIN, &as_json).await.error(),
        error(400, "A", "102202")
    );
    let wrong = Client::new(&simulator, "app-1", "no");
    assert_eq!(wrong.try_login().await.error(), error(401, "A", "100208"));
    let unknown = Client::new(&simulator, "app-9", "secret-1");
    assert_eq!(unknown.try_login().await.error(), error(401, "A", "100208"));
    simulator
        .put("/applications/app-1", json!({"frozen": true}))
        .await;
    assert_eq!(client.try_login().await.error(), error(400, "A", "100247"));
    assert_eq!(
        client.get(CATEGORY).await.error(),
        error(400, "A", "100247")
    );
}

#[tokio::test]
async fn only_the_newest_token_is_valid_after_a_login_a_refresh_a_logout_and_its_end() {
    let simulator = Simulator::start(&["--packages", "3"]).await;
    let mut client = Client::logged_in(&simulator).await;
    let refused = error(403, "B", "1010005");

    let mut second = Client::logged_in(&simulator).await;
    assert_eq!(client.get(CATEGORY).await.error(), refused);
    assert_eq!(second.get(CATEGORY).await.status, 200);

    let body = |client: &Client| json!({"appId": "app-1", "secret": "secret-1", "refreshToken": client.refresh});
    let old = second.token.clone();
    let answer = second.post(REFRESH, &body(&second)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        second.post(REFRESH, &body(&second)).await.error(),
        error(401, "A", "100006")
    );
    second.keep(&answer);
    assert_ne!(second.token, old);
    assert_eq!(second.get(CATEGORY).await.status, 200);
    client.token = old;
    assert_eq!(client.get(CATEGORY).await.error(), refused);

    let gone = second
        .post(LOGOUT, &json!({"accessToken": second.token}))
        .await;
    assert_eq!(
        (gone.status.as_u16(), gone.content_type, gone.text.as_str()),
        (204, None, "")
    );
    assert_eq!(second.get(CATEGORY).await.error(), refused);

    second.login().await;
    simulator
        .admin(Method::POST, "/tokens/expire", json!({"appId": "app-1"}))
        .await;
    assert_eq!(second.get(CATEGORY).await.error(), refused);
    assert_eq!(simulator.last().await["verdict"], "token-refused");

    simulator
        .put("/applications/app-1", json!({"secret": "changed"}))
        .await;
    assert_eq!(second.try_login().await.error(), error(401, "A", "100208"));
    second.secret = "changed".to_owned();
    second.login().await;
}

#[tokio::test]
async fn a_token_ends_with_its_lifetime() {
    let simulator = Simulator::start(&["--token-lifetime", "1s"]).await;
    let client = Client::logged_in(&simulator).await;
    assert_eq!(client.get(CATEGORY).await.status, 200);
    let begun = Instant::now();
    while client.get(CATEGORY).await.status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        client.get(CATEGORY).await.error(),
        error(403, "B", "1010005")
    );
}

#[tokio::test]
async fn a_deletion_answers_an_empty_200_with_its_content_type_and_then_123002() {
    let simulator = Simulator::start(&["--packages", "3"]).await;
    let client = Client::logged_in(&simulator).await;
    let gone = client.delete("package-00002").await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (200, ""));
    assert_eq!(gone.content_type.as_deref(), Some(JSON));
    assert_eq!(gone.content_length.as_deref(), Some("0"));
    let again = client.delete("package-00002").await;
    assert_eq!(again.error(), error(404, "A", "123002"));
    assert_eq!(again.content_type.as_deref(), Some(JSON));
    assert_eq!(
        client
            .get(&format!("{CATEGORY}/package-00002"))
            .await
            .error(),
        error(404, "A", "123002")
    );
    assert_eq!(
        client.delete("bad%20id").await.error(),
        error(400, "A", "120015")
    );

    simulator
        .put("/switches", json!({"deleteStatus": 204}))
        .await;
    let gone = client.delete("package-00001").await;
    assert_eq!((gone.status.as_u16(), gone.content_type), (204, None));

    let packages = simulator
        .admin(Method::GET, "/packages", Value::Null)
        .await
        .json();
    assert_eq!(packages, json!(["package-00003"]));
    let summary = simulator
        .admin(Method::GET, "/summary", Value::Null)
        .await
        .json();
    assert_eq!(summary["distinctPackagesDeleted"], 2);
    assert_eq!(summary["verdicts"]["deleted"], 2);
    assert_eq!(summary["verdicts"]["not-found"], 2);
    assert_eq!(summary["applications"]["app-1"]["maxCallsInWindow"], 6);
}

#[tokio::test]
async fn a_list_is_paged_from_zero_and_shows_all_eleven_fields() {
    let simulator = Simulator::start(&["--packages", "120"]).await;
    let client = Client::logged_in(&simulator).await;
    let page = async |query: &str| client.get(&format!("{CATEGORY}?{query}")).await;
    let mut seen = Vec::new();
    for number in 0..3 {
        let json = page(&format!("pageNo={number}&pageSize=50")).await.json();
        assert_eq!(
            (&json["totalCount"], &json["pageNo"]),
            (&json!(120), &json!(number))
        );
        for package in json["data"].as_array().unwrap() {
            assert_eq!(package.as_object().unwrap().len(), 11);
            seen.push(package["fileId"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(seen.len(), 120);
    assert_eq!(page("").await.json()["data"].as_array().unwrap().len(), 10);
    assert_eq!(
        page("pageNo=9&pageSize=100").await.json()["data"],
        json!([])
    );
    assert_eq!(
        page("pageSize=101").await.error(),
        error(400, "A", "123029")
    );
    assert_eq!(page("pageNo=-1").await.error(), error(400, "A", "120015"));
    let filtered = page("deviceType=GasMeter&fileType=softwarePackage&pageSize=100")
        .await
        .json();
    assert_eq!(filtered["totalCount"], 10);
    let shown = client
        .get(&format!("{CATEGORY}/package-00007"))
        .await
        .json();
    assert_eq!(
        (&shown["fileId"], &shown["description"]),
        (&json!("package-00007"), &json!("水表固件"))
    );
}

#[tokio::test]
async fn the_gateway_throttles_before_it_looks_at_the_token_and_in_its_own_shape() {
    let simulator = Simulator::start(&["--quota-calls", "3", "--packages", "5"]).await;
    let client = Client::logged_in(&simulator).await;
    let mut stranger = Client::new(&simulator, "app-1", "secret-1");
    stranger.token = "0".repeat(32);
    assert_eq!(
        stranger.get(CATEGORY).await.error(),
        error(403, "B", "1010005")
    );
    assert_eq!(client.get(CATEGORY).await.status, 200);
    let throttled = client.delete("package-00001").await;
    assert_eq!(throttled.error(), error(403, "B", "1010009"));
    assert_eq!(throttled.json()["resultmsg"], "app throttle exceed.");
    assert_eq!(
        stranger.get(CATEGORY).await.error(),
        error(403, "B", "1010009")
    );
    assert_eq!(client.try_login().await.error(), error(403, "B", "1010009"));

    let china = json!({"throttleCode": "1010004", "throttleShape": "A", "throttleStatus": 429, "countLogins": false});
    simulator.put("/switches", china).await;
    assert_eq!(
        client.get(CATEGORY).await.error(),
        error(429, "A", "1010004")
    );
    assert_eq!(client.try_login().await.status, 200);

    simulator.put("/quota", json!({"calls": 10})).await;
    let used = simulator
        .admin(Method::POST, "/neighbour", json!({"calls": 20}))
        .await
        .json();
    assert_eq!(used, json!({"allowed": 7, "used": 10}));
    let packages = simulator
        .admin(Method::GET, "/packages", Value::Null)
        .await
        .json();
    assert_eq!(
        packages.as_array().unwrap().len(),
        5,
        "a throttled delete deletes nothing"
    );
}

#[tokio::test]
async fn a_short_window_lets_calls_in_again_and_the_ledger_shows_no_window_over_the_limit() {
    let flags = [
        "--quota-calls",
        "5",
        "--quota-window",
        "200ms",
        "--packages",
        "25",
    ];
    let simulator = Simulator::start(&flags).await;
    let client = Client::logged_in(&simulator).await;
    for number in 1..=25 {
        let id = format!("package-{number:05}");
        while client.delete(&id).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let ledger = simulator.ledger().await;
    let allowed: Vec<f64> = ledger
        .iter()
        .filter(|row| row["verdict"] != "throttled")
        .map(|row| row["ms"].as_f64().unwrap())
        .collect();
    assert_eq!(allowed.len(), 26);
    assert!(allowed.windows(6).all(|six| six[5] - six[0] > 199.999));
    assert!(
        ledger
            .iter()
            .all(|row| row["doneMs"].as_f64() >= row["ms"].as_f64())
    );
    let since = ledger[ledger.len() - 2]["seq"].clone();
    let rest = simulator
        .admin(Method::GET, &format!("/ledger?since={since}"), Value::Null)
        .await;
    assert_eq!(rest.text.lines().count(), 1);
}

#[tokio::test]
async fn each_fault_does_what_its_name_says() {
    let simulator = Simulator::start(&["--packages", "12"]).await;
    let client = Client::logged_in(&simulator).await;
    let fault = async |id: &str, kind: Value| {
        simulator
            .fault(json!({"match": {"method": "DELETE", "fileId": id}, "kind": kind}))
            .await;
        client.try_delete(id).await
    };
    let still = async |id: &str| {
        let path = format!("/packages/{id}");
        simulator
            .admin(Method::GET, &path, Value::Null)
            .await
            .status
            == 200
    };
    let whole = async |response: reqwest::Result<Response>| read(response.unwrap()).await;

    let html = whole(fault("package-00001", json!("html403")).await).await;
    assert_eq!(
        (html.status.as_u16(), html.text.contains("<html>")),
        (403, true)
    );
    let empty = whole(fault("package-00001", json!("empty403")).await).await;
    assert_eq!((empty.status.as_u16(), empty.text.as_str()), (403, ""));
    let bare = whole(fault("package-00001", json!("bare-404")).await).await;
    assert_eq!(
        (bare.status.as_u16(), bare.text.contains("123002")),
        (404, false)
    );
    let internal = whole(fault("package-00001", json!("internal-error")).await).await;
    assert_eq!(internal.error(), error(500, "A", "120001"));
    let code =
        whole(fault("package-00001", json!({"code-in-200": {"code": "100217"}})).await).await;
    assert_eq!(code.error(), error(200, "A", "100217"));
    let chosen = json!({"status": {"status": 502, "body": "<b>", "contentType": "text/html"}});
    let chosen = whole(fault("package-00001", chosen).await).await;
    assert_eq!((chosen.status.as_u16(), chosen.text.as_str()), (502, "<b>"));
    assert!(fault("package-00001", json!("drop-before")).await.is_err());
    assert_eq!(simulator.last().await["verdict"], "fault");
    assert!(
        still("package-00001").await,
        "none of these deletes anything"
    );

    assert!(fault("package-00002", json!("drop-after")).await.is_err());
    let row = simulator.last().await;
    assert_eq!(
        (&row["verdict"], &row["fault"], &row["status"]),
        (&json!("deleted"), &json!("drop-after"), &Value::Null)
    );
    assert!(
        !still("package-00002").await,
        "the deletion took place before the drop"
    );

    let begun = Instant::now();
    whole(fault("package-00003", json!({"delay": {"ms": 300}})).await).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));

    simulator
        .fault(json!({"match": {"path": format!("{CATEGORY}/package-00004")}, "kind": "hang"}))
        .await;
    let hung = client.request(Method::DELETE, &format!("{CATEGORY}/package-00004"));
    let ended = hung.timeout(Duration::from_millis(200)).send().await;
    assert!(ended.unwrap_err().is_timeout());
    assert!(still("package-00004").await);
    assert_eq!(
        client.delete("package-00004").await.status,
        200,
        "a fault happens once by default"
    );

    simulator
        .fault(json!({"times": "forever", "kind": "empty403"}))
        .await;
    for _ in 0..3 {
        assert_eq!(client.get(CATEGORY).await.status, 403);
    }
    simulator
        .admin(Method::DELETE, "/faults", Value::Null)
        .await;
    assert_eq!(client.get(CATEGORY).await.status, 200);
    let wrong = simulator
        .admin(Method::POST, "/faults", json!({"kind": "explode"}))
        .await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn applications_have_packages_tokens_and_quotas_of_their_own() {
    let flags = [
        "--app-id",
        "one",
        "--secret",
        "s1",
        "--packages",
        "2",
        "--app-id",
        "two",
        "--secret",
        "s2",
        "--quota-calls",
        "2",
    ];
    let simulator = Simulator::start(&flags).await;
    let mut one = Client::new(&simulator, "one", "s1");
    let mut two = Client::new(&simulator, "two", "s2");
    one.login().await;
    two.login().await;
    assert_eq!(
        two.delete("package-00001").await.error(),
        error(404, "A", "123002")
    );
    assert_eq!(two.get(CATEGORY).await.error(), error(403, "B", "1010009"));
    assert_eq!(one.delete("package-00001").await.status, 200);
    let more = json!({"appId": "two", "packages": [{"fileId": "mine"}]});
    simulator.put("/packages", more).await;
    let listed = simulator
        .admin(Method::GET, "/packages?appId=two", Value::Null)
        .await;
    assert_eq!(listed.json(), json!(["mine"]));
}

#[tokio::test]
async fn packages_survive_a_restart_and_a_stop_takes_under_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.json");
    let flags = ["--packages", "5", "--state", state.to_str().unwrap()];
    let simulator = Simulator::start_in(dir, &flags).await;
    let client = Client::logged_in(&simulator).await;
    assert_eq!(client.delete("package-00003").await.status, 200);
    let dir = simulator.stop().await;
    let again = Simulator::start_in(dir, &flags).await;
    let client = Client::logged_in(&again).await;
    assert_eq!(client.get(CATEGORY).await.json()["totalCount"], 4);
    assert_eq!(
        client.delete("package-00003").await.error(),
        error(404, "A", "123002")
    );
    again.stop().await;
}

#[tokio::test]
async fn a_client_certificate_is_verified_wherever_one_is_shown() {
    let stranger = Simulator::start(&[]).await;
    for (mode, without) in [("required", false), ("requested", true), ("none", true)] {
        let simulator = Simulator::start(&["--client-cert", mode]).await;
        let login = async |client: reqwest::ClientBuilder| {
            let mut speaker = Client::new(&simulator, "app-1", "secret-1");
            speaker.http = client.build().unwrap();
            let form = [("appId", "app-1"), ("secret", "secret-1")];
            let request = speaker
                .http
                .post(format!("{}{LOGIN}", simulator.base))
                .form(&form);
            request
                .send()
                .await
                .is_ok_and(|answer| answer.status() == 200)
        };
        let tls = simulator.tls();
        for version in [
            reqwest::tls::Version::TLS_1_2,
            reqwest::tls::Version::TLS_1_3,
        ] {
            let client = || {
                trusting(&tls)
                    .min_tls_version(version)
                    .max_tls_version(version)
            };
            assert_eq!(login(client()).await, without, "{mode}: without one");
            assert!(
                login(client().identity(identity(&tls))).await,
                "{mode}: with ours"
            );
            let foreign = client().identity(identity(&stranger.tls()));
            assert_eq!(
                login(foreign).await,
                mode == "none",
                "{mode}: with another CA's"
            );
        }
        assert!(
            !login(trusting(&stranger.tls())).await,
            "another CA isn't trusted"
        );
    }
}

#[tokio::test]
async fn a_task_names_the_version_and_survives_its_package() {
    let simulator = Simulator::start(&["--packages", "3"]).await;
    let client = Client::logged_in(&simulator).await;
    let order = json!({"fileId": "package-00001", "targets": {"devices": ["d-1", "d-2"]}});
    let created = client
        .post(&format!("{OPERATIONS}/firmwareUpgrade"), &order)
        .await
        .json();
    let id = created["operationId"].as_str().unwrap();
    assert_eq!(client.delete("package-00001").await.status, 200);
    let running = client
        .get(&format!("{OPERATIONS}?operationStatus=processing"))
        .await
        .json();
    assert_eq!(running["totalCount"], 1);
    assert_eq!(
        running["data"][0]["extendPara"],
        json!({"fileVersion": "V1.0.1"})
    );
    simulator
        .put(&format!("/tasks/{id}"), json!({"status": "failed"}))
        .await;
    simulator
        .put("/switches", json!({"failedWord": "FAIL"}))
        .await;
    let shown = client.get(&format!("{OPERATIONS}/{id}")).await.json();
    assert_eq!(
        (&shown["status"], &shown["staResult"]["fail"]),
        (&json!("FAIL"), &json!(2))
    );
    let parts = client
        .get(&format!(
            "{OPERATIONS}/{id}/subOperations?subOperationStatus=fail"
        ))
        .await;
    assert_eq!(parts.json()["totalCount"], 2);
    let missing = client.get(&format!("{OPERATIONS}/nothing")).await;
    assert_eq!(missing.error(), error(404, "A", "123009"));
}

#[tokio::test]
async fn unknown_paths_answer_like_a_proxy_and_secrets_stay_out_of_the_ledger() {
    let simulator = Simulator::start(&["--packages", "1"]).await;
    let client = Client::logged_in(&simulator).await;
    let lost = client.get("/nowhere").await;
    assert_eq!(
        (lost.status.as_u16(), lost.content_type.as_deref()),
        (404, Some("text/html"))
    );
    client.get(CATEGORY).await;
    let text = simulator
        .admin(Method::GET, "/ledger", Value::Null)
        .await
        .text;
    assert_eq!(text.lines().count(), 3);
    assert!(!text.contains("secret-1") && !text.contains(&client.token));
}
