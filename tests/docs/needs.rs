//! `docs/needs.md` says what the installation asks of a cluster, as the manifests have it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use crate::page::{assert_page, with_block};
use crate::read;

const NEEDS: &str = "docs/needs.md";

/// Why the operator has the rights of a resource: group, resource, and the reason. Several rules of one resource
/// have one reason for each, in the order of the manifest.
const RIGHTS: [(&str, &str, &str); 11] = [
    (
        "iodm.dev",
        "versionpackages",
        "It has to see every object that still wants a package, in every namespace. The patch is for the finalizer; it could change a spec too, which the operator never does",
    ),
    (
        "iodm.dev",
        "versionpackages/status",
        "The status of an object",
    ),
    (
        "iodm.dev",
        "platforms",
        "The `get` is the last look before a DELETE: the emergency stop needs no healthy watch. The patch is for the finalizer; it could change a spec too, which the operator never does",
    ),
    ("iodm.dev", "platforms/status", "The status of a Platform"),
    (
        "",
        "namespaces",
        "The labels, for `allowedNamespaces`, and whether a namespace is being deleted",
    ),
    ("events.k8s.io", "events", "Events"),
    (
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "It compares the served definitions with those that it was built for, and sends nothing while they lack a field",
    ),
    (
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        "The binding names the one namespace whose process may lead",
    ),
    (
        "coordination.k8s.io",
        "leases",
        "The Lease of the one process that calls",
    ),
    (
        "coordination.k8s.io",
        "leases",
        "The first Lease. Kubernetes can't limit a `create` by name",
    ),
    (
        "",
        "secrets",
        "The credentials of the Platforms of one namespace. There is one such Role for each namespace, with the names of its own Secrets; without one the operator reads no Secret",
    ),
];

/// What each port is for: direction, protocol, port.
const PORTS: [(&str, &str, &str, &str); 10] = [
    (
        "in",
        "TCP",
        "admin",
        "probes and metrics, from every namespace",
    ),
    ("out", "UDP", "53", "DNS"),
    ("out", "TCP", "53", "DNS"),
    ("out", "UDP", "5353", "DNS of OpenShift"),
    ("out", "TCP", "5353", "DNS of OpenShift"),
    (
        "out",
        "TCP",
        "443",
        "the Service of the API server, and platforms",
    ),
    (
        "out",
        "TCP",
        "6443",
        "the API server of kubeadm, k3s and OpenShift",
    ),
    ("out", "TCP", "8443", "the API server of minikube"),
    ("out", "TCP", "16443", "the API server of MicroK8s"),
    ("out", "TCP", "8743", "the usual port of a platform"),
];

fn documents(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// The texts of a list, in backticks.
fn quoted(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten();
    let words: Vec<_> = words.map(|word| format!("`{}`", text(word))).collect();
    words.join(", ")
}

fn rights() -> String {
    let mut table =
        "| where | API group | resource | names | verbs | why |\n|---|---|---|---|---|---|\n"
            .to_owned();
    let mut reasons = RIGHTS.iter();
    let files = [
        "manifests/install/rbac.yaml",
        "manifests/platform-access/role.yaml",
    ];
    for document in files.iter().flat_map(|path| documents(path)) {
        let place = match (text(&document["kind"]), text(&document["metadata"]["name"])) {
            ("ClusterRole", _) => "the whole cluster",
            ("Role", "version-package-operator") => "its own namespace",
            ("Role", _) => "a namespace with Platforms",
            _ => continue,
        };
        for rule in document["rules"].as_array().unwrap() {
            let [group] = rule["apiGroups"].as_array().unwrap().as_slice() else {
                panic!("one group for each rule: {rule}");
            };
            let [resource] = rule["resources"].as_array().unwrap().as_slice() else {
                panic!("one resource for each rule: {rule}");
            };
            let (group, resource) = (text(group), text(resource));
            let Some((_, _, why)) = reasons
                .next()
                .filter(|(g, r, _)| (*g, *r) == (group, resource))
            else {
                panic!(
                    "RIGHTS in tests/docs/needs.rs has another rule than {group}/{resource} here"
                );
            };
            let names = match &rule["resourceNames"] {
                Value::Null => "all".to_owned(),
                _ if resource == "secrets" => "those of the overlay".to_owned(),
                names => quoted(names),
            };
            let group = if group.is_empty() {
                "core".to_owned()
            } else {
                format!("`{group}`")
            };
            let verbs = quoted(&rule["verbs"]);
            let _ = writeln!(
                table,
                "| {place} | {group} | `{resource}` | {names} | {verbs} | {why} |"
            );
        }
    }
    assert_eq!(reasons.next(), None, "a reason in RIGHTS for no rule");
    table
}

fn ports() -> String {
    let mut table = "| direction | protocol | port | for |\n|---|---|---|---|\n".to_owned();
    let policies = documents("manifests/install/networkpolicy.yaml");
    let [deny, allow] = policies.as_slice() else {
        panic!("two policies");
    };
    // The first policy lets nothing through.
    assert!(deny["spec"]["ingress"].is_null() && deny["spec"]["egress"].is_null());
    let deployment = deployment();
    let ports = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
        .as_array()
        .unwrap();
    let mut meanings = PORTS.iter();
    for (direction, rules) in [("in", "ingress"), ("out", "egress")] {
        for rule in allow["spec"][rules].as_array().unwrap() {
            assert_eq!(rule["to"], Value::Null, "the page says: to any address");
            for port in rule["ports"].as_array().unwrap() {
                let name = port["port"]
                    .as_str()
                    .map_or_else(|| port["port"].to_string(), str::to_owned);
                let protocol = text(&port["protocol"]);
                let known = meanings.next();
                let known =
                    known.filter(|(d, p, n, _)| (*d, *p, *n) == (direction, protocol, &*name));
                let (_, _, _, meaning) = known.unwrap_or_else(|| {
                    panic!("PORTS in tests/docs/needs.rs has another port than {direction} {protocol} {name} here")
                });
                let number = ports.iter().find(|port| port["name"] == *name);
                let number = number.map_or(name, |port| port["containerPort"].to_string());
                let _ = writeln!(table, "| {direction} | {protocol} | {number} | {meaning} |");
            }
        }
    }
    assert_eq!(meanings.next(), None, "a meaning in PORTS for no port");
    table
}

fn deployment() -> Value {
    documents("manifests/install/deployment.yaml").remove(0)
}

fn resources() -> String {
    let deployment = deployment();
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let asked = &container["resources"];
    let amount = |kind: &str, what: &str| match &asked[kind][what] {
        Value::Null => "none".to_owned(),
        amount => format!("`{}`", text(amount)),
    };
    let mut table = "| what | how much |\n|---|---|\n".to_owned();
    let rows = [
        ("Pods", deployment["spec"]["replicas"].to_string()),
        ("CPU that each Pod requests", amount("requests", "cpu")),
        ("CPU limit", amount("limits", "cpu")),
        (
            "memory that each Pod requests",
            amount("requests", "memory"),
        ),
        ("memory limit", amount("limits", "memory")),
        (
            "seconds for a clean stop",
            pod["terminationGracePeriodSeconds"].to_string(),
        ),
        (
            "volumes",
            if pod["volumes"].is_null() {
                "none"
            } else {
                "some"
            }
            .to_owned(),
        ),
        (
            "capabilities",
            match &container["securityContext"]["capabilities"] {
                capabilities
                    if capabilities["add"].is_null() && capabilities["drop"][0] == "ALL" =>
                {
                    "none".to_owned()
                }
                other => other.to_string(),
            },
        ),
        (
            "Pod Security Standard that its namespace enforces",
            format!(
                "`{}`",
                text(
                    &documents("manifests/install/namespace.yaml")[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
                )
            ),
        ),
    ];
    for (what, how_much) in rows {
        let _ = writeln!(table, "| {what} | {how_much} |");
    }
    table
}

/// The kinds of the objects in the files of some folders, each with its API version.
fn kinds(folders: &[&str]) -> BTreeSet<String> {
    let mut kinds = BTreeSet::new();
    for folder in folders {
        for entry in std::fs::read_dir(crate::root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name == "kustomization.yaml" {
                continue;
            }
            for document in documents(&format!("{folder}/{name}")) {
                let (version, kind) = (text(&document["apiVersion"]), text(&document["kind"]));
                kinds.insert(format!("`{kind}` (`{version}`)"));
            }
        }
    }
    kinds
}

fn objects() -> String {
    let list = |folders: &[&str]| kinds(folders).into_iter().collect::<Vec<_>>().join(", ");
    format!(
        "| folder | kinds of its objects |\n|---|---|\n\
        | `crds` | {} |\n\
        | `manifests/install` | {} |\n\
        | `manifests/platform-access` | {} |\n\
        | `manifests/policies` | {} |\n",
        list(&["crds"]),
        list(&["manifests/install"]),
        list(&["manifests/platform-access"]),
        list(&[
            "manifests/policies/crds",
            "manifests/policies/protected-packages"
        ]),
    )
}

#[test]
fn the_tables_of_needs_equal_the_manifests() {
    let mut page = read(NEEDS);
    for (name, block) in [
        ("rights", rights()),
        ("ports", ports()),
        ("resources", resources()),
        ("objects", objects()),
    ] {
        page = with_block(NEEDS, &page, name, &block);
    }
    assert_page(NEEDS, &page, "the manifests");
}
