//! Tests of the whole Platform controller against a small stand-in of the API server, in paused time.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::object::tests::spec;
use super::*;
use crate::guard::Guards;

const PLATFORMS: &str = "/apis/iodm.dev/v1alpha1/platforms";
const NAMESPACES: &str = "/api/v1/namespaces";
const SECRETS: &str = "/api/v1/namespaces/iot/secrets";

/// The objects of the API server and its log of requests.
struct Cluster {
    platform: Mutex<Value>,
    secret: Mutex<Option<Value>>,
    forbidden: Mutex<bool>,
    asked: Mutex<Vec<String>>,
    /// The bodies of the status writes.
    written: watch::Sender<Vec<Value>>,
    watchers: Mutex<Vec<(String, mpsc::UnboundedSender<Value>)>>,
}

impl Cluster {
    fn answer(&self, method: &Method, uri: &Uri, body: &Bytes) -> Response {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        self.asked.lock().unwrap().push(call(method, path, query));
        if *method == Method::PATCH {
            return self.write_status(body);
        }
        if path == SECRETS && *self.forbidden.lock().unwrap() {
            let refusal = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
                "message": "secrets is forbidden: User \"system:serviceaccount:vpo:vpo\" cannot list resource \"secrets\""
            });
            return (StatusCode::FORBIDDEN, refusal.to_string()).into_response();
        }
        if query.contains("watch=true") {
            return self.watch(path);
        }
        let items: Vec<Value> = match path {
            PLATFORMS => vec![self.platform.lock().unwrap().clone()],
            SECRETS if query.contains("metadata.name%3Diot-app") => {
                self.secret.lock().unwrap().iter().cloned().collect()
            }
            _ => Vec::new(),
        };
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
            .to_string()
            .into_response()
    }

    fn watch(&self, path: &str) -> Response {
        let (sender, events) = mpsc::unbounded_channel::<Value>();
        let mut watchers = self.watchers.lock().unwrap();
        watchers.push((path.to_owned(), sender));
        let lines = futures::stream::unfold(events, |mut events| async {
            let event = events.recv().await?;
            Some((Ok::<_, Infallible>(format!("{event}\n")), events))
        });
        Body::from_stream(lines).into_response()
    }

    fn write_status(&self, body: &Bytes) -> Response {
        let applied: Value = serde_json::from_slice(body).unwrap();
        let mut platform = self.platform.lock().unwrap();
        json_patch::merge(&mut platform["status"], &applied["status"]);
        let version = self.written.borrow().len() + 2;
        platform["metadata"]["resourceVersion"] = json!(version.to_string());
        let answer = platform.clone();
        drop(platform);
        self.tell(PLATFORMS, &answer);
        self.written.send_modify(|all| all.push(applied));
        answer.to_string().into_response()
    }

    /// Sends a change of an object to the watches of `path`.
    fn tell(&self, path: &str, object: &Value) {
        let event = json!({"type": "MODIFIED", "object": object});
        let watchers = self.watchers.lock().unwrap();
        for (_, sender) in watchers.iter().filter(|(watched, _)| watched == path) {
            let _ = sender.send(event.clone());
        }
    }

    fn reason(&self) -> Option<String> {
        let written = self.written.borrow();
        let last = written.last()?;
        Some(
            last["status"]["conditions"][0]["reason"]
                .as_str()?
                .to_owned(),
        )
    }

    async fn says(&self, reason: &str) {
        let mut written = self.written.subscribe();
        let said = async {
            while self.reason().as_deref() != Some(reason) {
                written.changed().await.unwrap();
            }
        };
        let said = timeout(Duration::from_secs(60), said).await;
        said.unwrap_or_else(|_| panic!("{reason} isn't said, but {:?}", self.reason()));
    }
}

/// Verb, path and field selector of a request, as the rules of RBAC see them.
fn call(method: &Method, path: &str, query: &str) -> String {
    let verb = match (method, query.contains("watch=true")) {
        (&Method::GET, true) => "watch",
        (&Method::GET, false) if path.matches('/').count() > 6 => "get",
        (&Method::GET, false) => "list",
        _ => method.as_str(),
    };
    let selector = query
        .split('&')
        .find(|part| part.starts_with("fieldSelector="));
    format!("{verb} {path} {}", selector.unwrap_or_default())
        .trim_end()
        .to_owned()
}

fn secret(app_id: &str) -> Value {
    let coded = |text: &str| json!(k8s_openapi::ByteString(text.as_bytes().to_vec()));
    json!({
        "metadata": {"name": "iot-app", "namespace": "iot", "resourceVersion": "1"},
        "data": {"appId": coded(app_id), "secret": coded("hunter2")}
    })
}

/// A running Platform controller with its stand-in of the API server.
struct Running {
    cluster: Arc<Cluster>,
    directory: Arc<Directory>,
    changed: mpsc::UnboundedReceiver<ObjectKey>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(secret: Option<Value>, forbidden: bool) -> Self {
        let platform = json!({
            "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
            "metadata": {"namespace": "iot", "name": "production", "uid": "uid-1", "generation": 1, "resourceVersion": "1", "finalizers": ["iodm.dev/in-use"]},
            "spec": spec(), "status": {"observedGeneration": -1}
        });
        let cluster = Arc::new(Cluster {
            platform: Mutex::new(platform),
            secret: Mutex::new(secret),
            forbidden: Mutex::new(forbidden),
            asked: Mutex::default(),
            written: watch::Sender::new(Vec::new()),
            watchers: Mutex::default(),
        });
        let served = Arc::clone(&cluster);
        let answer = move |method: Method, uri: Uri, body: Bytes| {
            std::future::ready(served.answer(&method, &uri, &body))
        };
        let client = kube::Client::new(Router::new().fallback(answer), "default");
        let directory = Directory::new(client.clone(), Arc::default());
        let (tell, changed) = mpsc::unbounded_channel();
        let second = Duration::from_secs(1);
        let timeouts = crate::remote::client::Timeouts {
            connect: second,
            total: second,
        };
        let sessions = Sessions::new(
            Duration::from_secs(15),
            mpsc::unbounded_channel().0,
            crate::clock::Clock::default(),
        );
        sessions.lead_unbounded();
        let cancel = CancellationToken::new();
        let context = PlatformContext {
            events: Events::new(
                &client,
                None,
                Arc::default(),
                crate::clock::Clock::default(),
                Box::new(|_| false),
            ),
            client,
            sessions,
            guards: Guards::new(
                mpsc::unbounded_channel().0,
                directory.status_due(),
                Box::new(|_, _| 100),
                crate::clock::Clock::default(),
            ),
            directory: Arc::clone(&directory),
            clock: crate::clock::Clock::default(),
            connect: crate::remote::client::https(timeouts),
            census: Box::new(|_, _| Some(Tenants::default())),
            audit: AuditLog::stdout(),
            sight: Arc::default(),
            last_words: Arc::default(),
            metrics: Arc::default(),
        };
        let task = tokio::spawn(run(context, tell, cancel.clone()));
        Self {
            cluster,
            directory,
            changed,
            cancel,
            task,
        }
    }

    /// Waits until the Platform is usable for the application `app_id`.
    async fn usable(&mut self, app_id: &str) {
        let key = ObjectKey::new("iot", "production");
        loop {
            if let Resolution::Usable(usable) = self.directory.resolve(&key, "iot")
                && usable.app_id.as_str() == app_id
            {
                return;
            }
            self.changed.recv().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_calls_made_are_exactly_those_that_the_rules_permit() {
    let mut room = Running::start(Some(secret("app-1")), false);
    room.usable("app-1").await;
    room.cluster.says("Available").await;
    sleep(Duration::from_secs(1)).await;
    let asked: BTreeSet<String> = room.cluster.asked.lock().unwrap().drain(..).collect();
    let by_name = format!("{SECRETS} fieldSelector=metadata.name%3Diot-app");
    let status = "/apis/iodm.dev/v1alpha1/namespaces/iot/platforms/production/status";
    let permitted = [
        format!("list {PLATFORMS}"),
        format!("watch {PLATFORMS}"),
        format!("list {NAMESPACES}"),
        format!("watch {NAMESPACES}"),
        format!("list {by_name}"),
        format!("watch {by_name}"),
        format!("PATCH {status}"),
    ];
    assert_eq!(asked, permitted.into_iter().collect());
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_once_for_its_object_and_nothing_at_idle() {
    let mut room = Running::start(Some(secret("app-1")), false);
    room.usable("app-1").await;
    room.cluster.says("Available").await;
    // The call window before the start counts as used at first; its end changes a number of the status.
    sleep(Duration::from_secs(120)).await;
    let written = room.cluster.written.borrow().clone();
    assert!(written.len() <= 2, "{written:?}");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(room.cluster.written.borrow().len(), written.len());
    assert_eq!(written[0]["status"]["uid"], "uid-1");
    assert_eq!(written[0]["metadata"]["resourceVersion"], "1");
    assert!(!written[0].to_string().contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_granted_is_found_within_five_seconds() {
    let mut room = Running::start(Some(secret("app-1")), true);
    room.cluster.says("SecretForbidden").await;
    sleep(Duration::from_secs(120)).await;
    let asked = room.cluster.asked.lock().unwrap().len();
    assert!(asked < 60, "{asked} calls in two minutes");
    *room.cluster.forbidden.lock().unwrap() = false;
    let healed = timeout(Duration::from_secs(5), room.usable("app-1")).await;
    healed.expect("usable within 5 s");
    room.cluster.says("Available").await;
}

#[tokio::test(start_paused = true)]
async fn a_rotated_or_created_secret_is_used_within_a_second() {
    let mut room = Running::start(None, false);
    room.cluster.says("SecretNotFound").await;
    for app_id in ["app-1", "app-2"] {
        // The watch opens soon after the list, but not at the same moment.
        sleep(Duration::from_millis(100)).await;
        room.cluster.tell(SECRETS, &secret(app_id));
        let used = timeout(Duration::from_secs(1), room.usable(app_id)).await;
        used.expect("used within a second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_nobody_names_any_more_is_not_watched_on() {
    let mut room = Running::start(Some(secret("app-1")), false);
    room.usable("app-1").await;
    room.cluster.says("Available").await;
    sleep(Duration::from_millis(100)).await;
    let mut other = room.cluster.platform.lock().unwrap().clone();
    other["spec"]["credentialsSecretRef"]["name"] = json!("other");
    room.cluster.platform.lock().unwrap().clone_from(&other);
    room.cluster.tell(PLATFORMS, &other);
    let watched = |cluster: &Cluster| {
        let watchers = cluster.watchers.lock().unwrap();
        watchers
            .iter()
            .filter(|(path, sender)| path == SECRETS && !sender.is_closed())
            .count()
    };
    room.cluster.says("SecretNotFound").await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(watched(&room.cluster), 1);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_told_to() {
    let room = Running::start(None, false);
    room.cluster.says("SecretNotFound").await;
    room.cancel.cancel();
    timeout(Duration::from_secs(1), room.task)
        .await
        .expect("ended")
        .unwrap();
}
