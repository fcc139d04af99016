//! People and Git: an admin's way to the API server, at once and without mishaps.

use cluster_in_memory::Cluster;
use http_body_util::BodyExt;
use hyper::Request;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::objects::path;
use crate::record::Record;
use crate::trace::Trace;

/// Who they are on record, and the controllers that do what they ask for.
pub const PEOPLE: &str = "people";

/// Where definitions are kept.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

/// Whoever may do everything.
pub struct People {
    cluster: Cluster,
    client: Client,
    trace: Trace,
    record: Record,
}

impl People {
    pub fn new(cluster: Cluster, trace: Trace, record: Record) -> Self {
        let client = Client::new(cluster.admin(), "default");
        Self {
            cluster,
            client,
            trace,
            record,
        }
    }

    /// Creates an object that has to be taken.
    pub async fn create(&self, plural: &str, namespace: &str, object: &Value) {
        let folder = path(plural, namespace, "");
        self.put_up(&folder, object).await;
    }

    /// The same of an object of the whole cluster, in a folder of its own.
    pub async fn put_up(&self, folder: &str, object: &Value) {
        let (code, answer) = self.ask("POST", folder, JSON, Some(object)).await;
        assert_eq!(code, 201, "{folder}: {answer}");
    }

    /// Changes an object by a merge patch; returns the code of the answer.
    pub async fn patch(&self, plural: &str, namespace: &str, name: &str, change: &Value) -> u16 {
        let path = path(plural, namespace, name);
        self.ask("PATCH", &path, MERGE, Some(change)).await.0
    }

    /// The same of a status.
    pub async fn patch_status(&self, plural: &str, namespace: &str, name: &str, change: &Value) {
        let path = path(plural, namespace, name) + "/status";
        self.ask("PATCH", &path, MERGE, Some(change)).await;
    }

    /// Puts a definition in the place of the served one.
    pub async fn define(&self, definition: &Value) {
        let name = definition["metadata"]["name"].as_str().unwrap();
        let path = format!("{DEFINITIONS}/{name}");
        let (code, served) = self.ask("GET", &path, JSON, None).await;
        assert_eq!(code, 200, "{name}: {served}");
        let mut definition = definition.clone();
        definition["metadata"]["resourceVersion"] = served["metadata"]["resourceVersion"].clone();
        definition["status"] = served["status"].clone();
        let (code, answer) = self.ask("PUT", &path, JSON, Some(&definition)).await;
        assert_eq!(code, 200, "{name}: {answer}");
    }

    /// Deletes an object; returns the code of the answer.
    pub async fn delete(&self, plural: &str, namespace: &str, name: &str) -> u16 {
        let path = path(plural, namespace, name);
        self.ask("DELETE", &path, JSON, None).await.0
    }

    /// Deletes a namespace.
    pub async fn delete_namespace(&self, name: &str) {
        let path = format!("/api/v1/namespaces/{name}");
        let (code, answer) = self.ask("DELETE", &path, JSON, None).await;
        assert_eq!(code, 200, "{name}: {answer}");
    }

    /// An object as it is, where it is there.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.cluster.object(plural, Some(namespace), name)
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        // What a Secret holds is shown nowhere, not even here.
        let shown = if path.contains("/secrets") {
            ""
        } else {
            body.as_str()
        };
        let asked = format!("{method} {path} {shown}");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .header("user-agent", "kubectl/v1.37")
            .body(Body::from(body.into_bytes()))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        if method != "GET" {
            self.record.take_changes(PEOPLE);
            self.trace.say(PEOPLE, format_args!("{asked} -> {code}"));
        }
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }
}
