//! People and Git: an admin's access to the API server, without delays and faults.

use cluster_in_memory::Cluster;
use http_body_util::BodyExt;
use hyper::Request;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::objects::path;
use crate::record::Record;
use crate::trace::Trace;

/// The name under which people, and controllers acting for them, are recorded.
pub const PEOPLE: &str = "people";

/// The path of the definitions.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

/// A client with all rights.
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

    /// Creates an object. Panics where the API server refuses it.
    pub async fn create(&self, plural: &str, namespace: &str, object: &Value) {
        let folder = path(plural, namespace, "");
        self.put_up(&folder, object).await;
    }

    /// Creates an object of a cluster-wide kind at the path `folder`. Panics where the API server refuses it.
    pub async fn put_up(&self, folder: &str, object: &Value) {
        let (code, answer) = self.ask("POST", folder, JSON, Some(object)).await;
        assert_eq!(code, 201, "{folder}: {answer}");
    }

    /// Merges a change into an object; returns the code of the answer.
    pub async fn patch(&self, plural: &str, namespace: &str, name: &str, change: &Value) -> u16 {
        let path = path(plural, namespace, name);
        self.ask("PATCH", &path, MERGE, Some(change)).await.0
    }

    /// Merges a change into a status.
    pub async fn patch_status(&self, plural: &str, namespace: &str, name: &str, change: &Value) {
        let path = path(plural, namespace, name) + "/status";
        self.ask("PATCH", &path, MERGE, Some(change)).await;
    }

    /// Replaces a served definition.
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

    /// The current object; `None` where it doesn't exist.
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
        // The content of a Secret is shown nowhere, not even here.
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
