//! Objects as people write them, and their paths.

use serde_json::{Value, json};

/// The path of an object; without a `name` the path of all objects in a namespace.
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

/// A Secret with the credentials of an application.
pub fn secret(name: &str, app_id: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"appId": app_id, "secret": secret},
    })
}

/// A Platform with the credentials Secret of the same name; `more` is merged into its spec.
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

/// An object for a package of a Platform in the namespace `iot`; `more` is merged into its spec.
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
