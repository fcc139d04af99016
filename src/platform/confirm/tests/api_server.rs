//! An API server with one Platform and one Namespace.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// An API server with one Platform and one Namespace, which counts the requests.
#[derive(Clone)]
pub(super) struct ApiServer(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) platform: Mutex<Option<Value>>,
    pub(super) namespace: Mutex<Option<Value>>,
    /// The contents of the Secret with the credentials, by key.
    pub(super) credentials: Mutex<Vec<(&'static str, &'static str)>>,
    pub(super) asked: AtomicUsize,
    /// The generation of both definitions.
    pub(super) definitions: AtomicUsize,
    /// A semaphore that each answer acquires first.
    pub(super) gate: Semaphore,
}

impl ApiServer {
    pub(super) fn new(platform: Value) -> Self {
        Self(Arc::new(Inner {
            platform: Mutex::new(Some(platform)),
            namespace: Mutex::new(Some(json!({"metadata": {"name": "fleet"}}))),
            credentials: Mutex::new(vec![("appId", "app-1"), ("secret", "s")]),
            asked: AtomicUsize::new(0),
            definitions: AtomicUsize::new(1),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }))
    }

    pub(super) fn client(&self) -> kube::Client {
        let inner = Arc::clone(&self.0);
        let answer = move |uri: Uri| {
            let inner = Arc::clone(&inner);
            async move {
                if let Some((_, name)) = uri.path().split_once("/customresourcedefinitions/") {
                    let generation = inner.definitions.load(Ordering::SeqCst);
                    let metadata = json!({"name": name, "uid": "d", "generation": generation});
                    return json!({"metadata": metadata}).to_string().into_response();
                }
                if uri.path().ends_with("/secrets") {
                    let held = inner.credentials.lock().unwrap().clone();
                    let text = |text: &str| json!(ByteString(text.as_bytes().to_vec()));
                    let data: serde_json::Map<_, _> = held
                        .iter()
                        .map(|(key, value)| ((*key).to_owned(), text(value)))
                        .collect();
                    let secret = json!({"metadata": {"name": "iot-app", "namespace": "iot", "uid": "s", "resourceVersion": "7"}, "data": data});
                    let list = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {"resourceVersion": "9"}, "items": [secret]});
                    return list.to_string().into_response();
                }
                inner.asked.fetch_add(1, Ordering::SeqCst);
                let _place = inner.gate.acquire().await.unwrap();
                let kept = if uri.path().contains("/platforms/") {
                    &inner.platform
                } else {
                    &inner.namespace
                };
                match kept.lock().unwrap().clone() {
                    Some(found) if found == json!("broken") => {
                        (StatusCode::INTERNAL_SERVER_ERROR, String::new()).into_response()
                    }
                    Some(found) => found.to_string().into_response(),
                    None => (
                        StatusCode::NOT_FOUND,
                        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}).to_string(),
                    )
                        .into_response(),
                }
            }
        };
        kube::Client::new(Router::new().fallback(answer), "default")
    }

    pub(super) fn set_platform(&self, platform: Option<Value>) {
        *self.0.platform.lock().unwrap() = platform;
    }

    pub(super) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}
