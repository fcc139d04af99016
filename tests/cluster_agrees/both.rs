//! The two API servers, and requests that are sent to both.

use std::time::Duration;

use cluster_in_memory::Cluster;
use http_body_util::BodyExt;
use hyper::Request;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::compare::Mapping;
use crate::support::Plane;

/// One of the two API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Real,
    Memory,
}

/// A value for each side: uids and versions in it are those of the side.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair<T>(pub T, pub T);

impl<T> Pair<T> {
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Real => &self.0,
            Side::Memory => &self.1,
        }
    }
}

impl Pair<Value> {
    /// The same value on both sides.
    pub fn same(value: Value) -> Self {
        Self(value.clone(), value)
    }

    /// The same change applied to both values.
    pub fn changed(mut self, change: impl Fn(&mut Value)) -> Self {
        change(&mut self.0);
        change(&mut self.1);
        self
    }

    /// The part of both values at a path.
    pub fn at(&self, pointer: &str) -> Self {
        let part = |value: &Value| value.pointer(pointer).cloned().unwrap_or_default();
        Self(part(&self.0), part(&self.1))
    }

    /// `self` with a field of both values set.
    pub fn with(mut self, name: &str, of: Pair<Value>) -> Self {
        self.0[name] = of.0;
        self.1[name] = of.1;
        self
    }
}

/// A request to both API servers.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: &'static str,
    pub path: String,
    /// Further query parameters for each side.
    pub query: Pair<String>,
    pub media: &'static str,
    pub accept: &'static str,
    pub agent: &'static str,
    /// The user; empty for the admin.
    pub user: &'static str,
    pub body: Option<Pair<Value>>,
}

/// The time limit of the controllers' work.
const SOON: Duration = Duration::from_secs(40);

pub const JSON: &str = "application/json";
pub const MERGE: &str = "application/merge-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";
pub const OPERATIONS: &str = "application/json-patch+json";

impl Asked {
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Pair(String::new(), String::new()),
            media: JSON,
            accept: JSON,
            agent: "kubectl/v1.37",
            user: "",
            body: None,
        }
    }

    pub fn body(mut self, media: &'static str, body: Pair<Value>) -> Self {
        (self.media, self.body) = (media, Some(body));
        self
    }

    pub fn param(mut self, text: &str) -> Self {
        for query in [&mut self.query.0, &mut self.query.1] {
            query.extend(["&", text]);
        }
        self
    }

    fn request(&self, side: Side) -> Request<Body> {
        let query = self.query.of(side).trim_start_matches('&');
        let mark = if query.is_empty() { "" } else { "?" };
        let body = self.body.as_ref().map(|body| body.of(side).to_string());
        let mut request = Request::builder();
        if !self.user.is_empty() {
            request = request.header("impersonate-user", self.user);
        }
        request
            .method(self.method)
            .uri(format!("{}{mark}{query}", self.path))
            .header("content-type", self.media)
            .header("accept", self.accept)
            .header("user-agent", self.agent)
            .body(Body::from(body.unwrap_or_default().into_bytes()))
            .unwrap()
    }

    /// The request in one line, for a person.
    pub fn told(&self) -> String {
        let body = self.body.as_ref().map(|body| body.0.to_string());
        let (query, media) = (&self.query.0, self.media);
        format!(
            "{} {} {query} {media} {}",
            self.method,
            self.path,
            body.unwrap_or_default()
        )
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
    text: String,
}

/// The lines of a watch on one side.
pub struct Lines {
    body: Body,
    text: Vec<u8>,
}

impl Lines {
    /// The next line; `None` at the end, or where none comes within `patience`.
    pub async fn next(&mut self, patience: Duration) -> Option<Value> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let frame = tokio::time::timeout(patience, self.body.frame())
                .await
                .ok()??;
            self.text.extend(frame.ok()?.into_data().ok()?);
        }
    }
}

/// Both API servers.
pub struct Both {
    real: Client,
    memory: Client,
    pub cluster: Cluster,
    pub mapping: Mapping,
    pub sent: usize,
    pub events: usize,
    /// Whether answers must be equal byte for byte.
    exact: bool,
}

/// Creates the definitions.
async fn define(client: &Client) {
    for name in ["versionpackages", "platforms"] {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let create = Asked::new("POST", path).body(JSON, Pair::same(definition(name)));
        let answer = client.send(create.request(Side::Memory)).await.unwrap();
        assert_eq!(answer.status(), 201, "{name}");
    }
}

impl Both {
    /// Two API servers in memory with equal state.
    pub async fn twins() -> Self {
        let begun = jiff::Timestamp::UNIX_EPOCH;
        let [one, other] = [(), ()].map(|()| Cluster::new(move || begun, 7));
        let both = Self {
            real: Client::new(one.admin(), "default"),
            memory: Client::new(other.admin(), "default"),
            cluster: other,
            mapping: Mapping::default(),
            sent: 0,
            events: 0,
            exact: true,
        };
        define(&both.real).await;
        define(&both.memory).await;
        both
    }

    /// The real API server with the definitions installed, and one in memory with the same.
    pub async fn new(plane: &Plane) -> Self {
        let cluster = Cluster::new(jiff::Timestamp::now, 7);
        let both = Self {
            real: plane.client().await,
            memory: Client::new(cluster.admin(), "default"),
            cluster,
            mapping: Mapping::default(),
            sent: 0,
            events: 0,
            exact: false,
        };
        define(&both.memory).await;
        assert_eq!(both.cluster.unknown_rules(), Vec::<String>::new());
        both
    }

    fn client(&self, side: Side, user: &str) -> Client {
        match (side, user) {
            (Side::Real, _) => self.real.clone(),
            (Side::Memory, "") => self.memory.clone(),
            (Side::Memory, user) => Client::new(self.cluster.user(user), "default"),
        }
    }

    /// Sends a request to one of them.
    pub async fn ask(&mut self, side: Side, asked: &Asked) -> Answer {
        let response = self
            .client(side, asked.user)
            .send(asked.request(side))
            .await
            .unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        Answer { code, body, text }
    }

    /// Sends a request to both, and compares the answers.
    pub async fn compare(&mut self, asked: &Asked) -> Result<Pair<Answer>, String> {
        self.sent += 1;
        let real = self.ask(Side::Real, asked).await;
        let memory = self.ask(Side::Memory, asked).await;
        let mut found = Vec::new();
        if real.code != memory.code {
            found.push(format!("code: {} and {}", real.code, memory.code));
        }
        if found.is_empty() {
            found = self.mapping.differences(&real.body, &memory.body);
        }
        if self.exact && real != memory {
            found.push("they are not the same to the byte".to_owned());
        }
        if found.is_empty() {
            return Ok(Pair(real, memory));
        }
        Err(format!(
            "{}\n  {}\n  real: {}\n  memory: {}",
            asked.told(),
            found.join("\n  "),
            real.body,
            memory.body
        ))
    }

    /// Repeats a request until both answers agree, as the real controllers take time.
    pub async fn settle(&mut self, asked: &Asked) -> Pair<Answer> {
        let end = tokio::time::Instant::now() + SOON;
        loop {
            self.cluster.collect_garbage();
            self.cluster.end_namespaces();
            let known = self.mapping.clone();
            match self.compare(asked).await {
                Ok(answers) => return answers,
                Err(difference) => assert!(tokio::time::Instant::now() < end, "{difference}"),
            }
            self.mapping = known;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends a request to both. Fails the test where the answers differ or don't have `code`.
    pub async fn expect(&mut self, code: u16, asked: &Asked) -> Pair<Value> {
        let Pair(real, memory) = self
            .compare(asked)
            .await
            .unwrap_or_else(|difference| panic!("{difference}"));
        assert_eq!(real.code, code, "{}\n{}", asked.told(), real.body);
        Pair(real.body, memory.body)
    }

    /// Starts a watch on one of them.
    pub async fn watch(&mut self, side: Side, asked: &Asked) -> Lines {
        let response = self
            .client(side, asked.user)
            .send(asked.request(side))
            .await
            .unwrap();
        assert!(response.status().is_success(), "{}", asked.told());
        Lines {
            body: response.into_body(),
            text: Vec::new(),
        }
    }
}

/// A shipped definition.
pub fn definition(name: &str) -> Value {
    let text = std::fs::read_to_string(format!("crds/{name}.iodm.dev.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}
