//! Random objects and parts of objects, valid and invalid.

use fastrand::Rng;
use serde_json::{Value, json};

/// The path of the objects of a kind.
pub fn folder(namespace: &str, plural: &str) -> String {
    let group = match plural {
        "versionpackages" | "platforms" => "/apis/iodm.dev/v1alpha1",
        "leases" => "/apis/coordination.k8s.io/v1",
        "events" => "/apis/events.k8s.io/v1",
        _ => "/api/v1",
    };
    format!("{group}/namespaces/{namespace}/{plural}")
}

/// An object of one of our kinds.
pub fn object(plural: &str, name: &str, mut metadata: Value, spec: &Value) -> Value {
    metadata["name"] = json!(name);
    let kind = match plural {
        "platforms" => "Platform",
        _ => "VersionPackage",
    };
    json!({"apiVersion": "iodm.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// A random item.
pub fn one<T: Clone>(chance: &mut Rng, all: &[T]) -> T {
    chance.choice(all).unwrap().clone()
}

/// True once in `of` times on average.
pub fn once_in(chance: &mut Rng, of: u32) -> bool {
    chance.u32(..of) == 0
}

/// The metadata of a request, except the name.
pub fn metadata(chance: &mut Rng) -> Value {
    let mut metadata = json!({});
    if once_in(chance, 3) {
        let key = one(chance, &["team", "example.com/team", "tier", "-bad"]);
        metadata["labels"][key] = one(
            chance,
            &[
                json!("fleet"),
                json!("core"),
                json!(""),
                json!("x y"),
                json!(null),
                json!(7),
            ],
        );
    }
    if once_in(chance, 3) {
        let key = one(
            chance,
            &["iodm.dev/paused", "iodm.dev/requested-at", "note", "a b"],
        );
        metadata["annotations"][key] =
            one(chance, &[json!("true"), json!("1"), json!(""), json!(null)]);
    }
    if once_in(chance, 4) {
        let all = [
            json!(["iodm.dev/package"]),
            json!(["iodm.dev/package", "example.com/other"]),
            json!(["example.com/other"]),
            json!([]),
            json!(null),
            json!(["iodm.dev/package", "iodm.dev/package"]),
        ];
        metadata["finalizers"] = one(chance, &all);
    }
    if once_in(chance, 25) {
        let odd = [
            ("generation", json!(77)),
            ("deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("creationTimestamp", json!(null)),
            ("generateName", json!("x-")),
            ("managedFields", json!([{}])),
            ("managedFields", json!([])),
            ("bogus", json!("x")),
            ("labels", json!(null)),
            ("deletionGracePeriodSeconds", json!(5)),
            ("selfLink", json!("/x")),
        ];
        let (name, value) = one(chance, &odd);
        metadata[name] = value;
    }
    metadata
}

/// A random spec of a package.
pub fn package_spec(chance: &mut Rng) -> Value {
    let mut spec = json!({"platformRef": {"name": "production"}, "fileId": one(chance, &["f1", "f1", "f1", "f2"])});
    let times = if once_in(chance, 2) {
        0
    } else {
        chance.u32(1..3)
    };
    for _ in 0..times {
        let (name, value) = package_field(chance);
        spec[name] = value;
    }
    spec
}

/// A random field of a package's spec.
pub fn package_field(chance: &mut Rng) -> (&'static str, Value) {
    let good = [
        ("lifecycle", json!("Retired")),
        ("lifecycle", json!("Active")),
        ("lifecycle", json!(null)),
        ("deletionPolicy", json!("Retain")),
        ("deletionPolicy", json!("Delete")),
        ("retireAfter", json!("2026-12-24T00:00:00Z")),
        ("retireAfter", json!("2026-12-25T00:00:00+01:00")),
        ("retireAfter", json!(null)),
        ("expect", json!({"name": "fw"})),
        ("expect", json!({"name": "fw", "version": "1"})),
        ("expect", json!(null)),
    ];
    let bad = [
        ("lifecycle", json!("retired")),
        ("lifecycle", json!(7)),
        ("deletionPolicy", json!("")),
        ("retireAfter", json!("tomorrow")),
        ("retireAfter", json!("2026-12-24")),
        ("retireAfter", json!("0001-01-01T00:00:00Z")),
        ("expect", json!({})),
        ("expect", json!({"name": ""})),
        ("expect", json!({"vendor": "x"})),
        ("expect", json!("x")),
        ("fileId", json!("a/b")),
        ("fileId", json!("")),
        ("fileId", json!("x".repeat(257))),
        ("fileId", json!(null)),
        ("fileId", json!({"a": 1})),
        ("fileID", json!("a")),
        ("platformRef", json!({"name": "Production"})),
        (
            "platformRef",
            json!({"name": "production", "namespace": "a.b"}),
        ),
        (
            "platformRef",
            json!({"name": "production", "namespace": "iot"}),
        ),
        ("platformRef", json!({})),
        ("platformRef", json!(null)),
    ];
    if once_in(chance, 5) {
        one(chance, &bad)
    } else {
        one(chance, &good)
    }
}

/// A random spec of a Platform.
pub fn platform_spec(chance: &mut Rng) -> Value {
    let mut spec = json!({"endpoint": "https://iot.example.com:8743", "credentialsSecretRef": {"name": "app"}});
    for _ in 0..chance.u32(..3) {
        let (name, value) = platform_field(chance);
        spec[name] = value;
    }
    spec
}

/// A random field of a Platform's spec.
pub fn platform_field(chance: &mut Rng) -> (&'static str, Value) {
    let good = [
        ("endpoint", json!("https://10.0.0.1:8743/base")),
        ("endpoint", json!("https://[fd00::1]:8743")),
        ("mode", json!("Observe")),
        ("mode", json!("Enforce")),
        ("mode", json!(null)),
        ("quota", json!({"calls": 7})),
        ("quota", json!({"calls": 10, "window": "1m30s"})),
        ("quota", json!({"calls": null})),
        ("quota", json!(null)),
        ("guard", json!({"maxDeletions": 0, "maxPercent": 20})),
        ("guard", json!({"gracePeriod": "0s"})),
        ("inventory", json!({"interval": "0s"})),
        (
            "tls",
            json!({"caSecretRef": {"name": "ca"}, "serverName": "iot"}),
        ),
        ("tls", json!(null)),
        ("allowedNamespaces", json!({"from": "All"})),
        (
            "allowedNamespaces",
            json!({"from": "Selector", "selector": {"matchLabels": {"team": "fleet"},
                "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}),
        ),
    ];
    let bad = [
        ("endpoint", json!("http://iot.example.com")),
        ("endpoint", json!("https://iot.example.com:99999")),
        ("endpoint", json!("https://u:p@iot.example.com")),
        ("endpoint", json!("https://10.0.0.256")),
        ("endpoint", json!("https://iot.example.com/a/../b")),
        ("endpoint", json!("https://")),
        ("endpoint", json!("https://a b")),
        ("mode", json!("off")),
        ("quota", json!({"calls": 0})),
        ("quota", json!({"calls": 10001})),
        ("quota", json!({"calls": 1.5})),
        ("quota", json!({"calls": "7"})),
        ("quota", json!({"window": "2h"})),
        ("quota", json!({"window": "0s"})),
        ("quota", json!({"window": "60"})),
        ("guard", json!({"maxDeletions": 3_000_000_000_u64})),
        ("guard", json!({"maxDeletions": -1})),
        ("guard", json!({"window": "25h"})),
        ("inventory", json!({"interval": "25h"})),
        ("tls", json!({"serverName": "-x"})),
        ("tls", json!({"serverName": "1.2.3"})),
        ("tls", json!({"caSecretRef": {}})),
        ("allowedNamespaces", json!({"from": "All", "selector": {}})),
        ("allowedNamespaces", json!({"from": "Selector"})),
        ("allowedNamespaces", json!({"from": "Some"})),
        (
            "allowedNamespaces",
            json!({"from": "Selector", "selector": {"matchExpressions": [{"key": "-a", "operator": "Exists"}]}}),
        ),
        (
            "allowedNamespaces",
            json!({"from": "Selector", "selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
        ),
    ];
    if once_in(chance, 4) {
        one(chance, &bad)
    } else {
        one(chance, &good)
    }
}

fn condition(chance: &mut Rng) -> Value {
    let mut condition = json!({
        "type": one(chance, &["Ready", "Stalled", "Reconciling", "Backup", "Reviewed"]),
        "status": one(chance, &["True", "False"]), "reason": one(chance, &["A", "B"]), "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    if once_in(chance, 3) {
        condition["observedGeneration"] = json!(1);
    }
    if once_in(chance, 20) {
        condition[one(chance, &["type", "reason", "status"])] = json!(null);
    }
    condition
}

/// A random status of either kind.
pub fn status(chance: &mut Rng, plural: &str) -> Value {
    let mut status = json!({});
    for _ in 0..chance.u32(1..4) {
        let (name, value) = status_field(chance, plural);
        status[name] = value;
    }
    if once_in(chance, 2) {
        let mut conditions: Vec<Value> = Vec::new();
        for _ in 0..chance.u32(..4) {
            let next = condition(chance);
            let twice = conditions.iter().any(|c| c["type"] == next["type"]);
            if !twice || once_in(chance, 10) {
                conditions.push(next);
            }
        }
        status["conditions"] = json!(conditions);
    }
    status
}

fn status_field(chance: &mut Rng, plural: &str) -> (&'static str, Value) {
    let common = [
        ("observedGeneration", json!(1)),
        ("observedGeneration", json!(2)),
        ("observedGeneration", json!(null)),
        ("observedGeneration", json!(-2)),
        ("uid", json!("7c0f6a1e-0000-4000-8000-000000000000")),
        ("conditions", json!(null)),
        ("conditions", json!([])),
        ("unknown", json!(1)),
    ];
    let package = [
        ("phase", json!("Active")),
        ("phase", json!("Held")),
        ("phase", json!("Gone")),
        ("phase", json!(null)),
        ("phase", json!("gone")),
        ("application", json!("app-1")),
        ("application", json!(null)),
        ("endpoint", json!("https://iot")),
        ("deletion", json!({"attempts": 1, "intent": "i"})),
        ("deletion", json!({"attempts": -1})),
        (
            "deletion",
            json!({"outcome": "Deleted", "finishedAt": "2026-01-01T00:00:00Z"}),
        ),
        ("deletion", json!({"outcome": null, "hold": "h-1"})),
        ("deletion", json!({"lastError": {"message": "m"}})),
        (
            "deletion",
            json!({"lastError": {"message": "m", "time": "2026-01-01T00:00:00Z"}}),
        ),
        ("deletion", json!({})),
        ("deletion", json!(null)),
        ("package", json!({"version": "1"})),
        ("lastHandledRequestedAt", json!("now")),
    ];
    let platform = [
        (
            "guard",
            json!({"record": 1, "sent": [{"count": 1, "from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}]}),
        ),
        ("guard", json!({"reserved": 2})),
        ("guard", json!(null)),
        ("hold", json!({"id": "h-1"})),
        ("hold", json!(null)),
        ("queue", json!({"length": 1})),
        ("queue", json!({})),
        ("session", json!({"appId": "a", "callsInWindow": 3})),
        ("session", json!({"callsInWindow": 2.5})),
        (
            "packages",
            json!({"active": 1, "held": 0, "retired": 0, "stalled": 0, "waiting": 0}),
        ),
    ];
    match (once_in(chance, 3), plural) {
        (true, _) => one(chance, &common),
        (false, "platforms") => one(chance, &platform),
        (false, _) => one(chance, &package),
    }
}
