//! Objects as people write them, and where they stand.

use serde_json::{Value, json};

/// Where an object is kept, or all of a namespace where it has no `name`.
pub fn path(plural: &str, namespace: &str, name: &str) -> String {
    let folder = match plural {
        "versionpackages" | "platforms" => "/apis/iodm.dev/v1alpha1",
        "leases" => "/apis/coordination.k8s.io/v1",
        _ => "/api/v1",
    };
    let folder = format!("{folder}/namespaces/{namespace}/{plural}");
    match name {
        "" => folder,
        name => format!("{folder}/{name}"),
    }
}

/// Credentials of an application.
pub fn secret(name: &str, app_id: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"appId": app_id, "secret": secret},
    })
}

/// A Platform that brings the credentials of the Secret of its own name; `more` stands beside in its spec.
pub fn platform(name: &str, more: &Value) -> Value {
    let spec = json!({
        "endpoint": format!("https://{name}.example.com:8743"),
        "credentialsSecretRef": {"name": name},
        "allowedNamespaces": {"from": "All"},
    });
    json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform", "metadata": {"name": name},
        "spec": joined(spec, more),
    })
}

/// An object for a package of a Platform in the namespace `iot`; `more` stands beside in its spec.
pub fn package(name: &str, platform: &str, file: &str, more: &Value) -> Value {
    let spec = json!({"platformRef": {"name": platform, "namespace": "iot"}, "fileId": file});
    json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "VersionPackage", "metadata": {"name": name},
        "spec": joined(spec, more),
    })
}

fn joined(mut spec: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    spec
}
