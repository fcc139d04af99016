//! Refusals by RBAC and by admission policies have equal messages.

use std::time::Duration;

use cluster_in_memory::Policy;
use serde_json::{Value, json};

use crate::both;
use crate::both::{Asked, Both, JSON, MERGE, Pair, Side};
use crate::objects::{folder, object};

/// A user with the rights of the operator.
const OPERATOR: &str = "operator-alike";

/// The rules of the one shipped `ClusterRole` or Role.
fn shipped(kind: &str) -> Value {
    let text = std::fs::read_to_string("manifests/install/rbac.yaml").unwrap();
    let all: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    all.into_iter().find(|one| one["kind"] == kind).unwrap()["rules"].clone()
}

async fn create(both: &mut Both, path: &str, body: Value) {
    let create = Asked::new("POST", path).body(JSON, Pair::same(body));
    let answer = both.ask(Side::Real, &create).await;
    assert!([201, 409].contains(&answer.code), "{}", answer.body);
}

/// Repeats a request to the real server until it answers with `code`.
async fn becomes(both: &mut Both, code: u16, asked: &Asked) {
    for _ in 0..200 {
        let answer = both.ask(Side::Real, asked).await;
        if answer.code == code {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never {code}: {}", asked.told());
}

/// Grants the user the shipped rights on both sides: the `ClusterRole`, and the Role in a namespace.
async fn bind(both: &mut Both, namespace: &str) {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let subject =
        json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": OPERATOR}]);
    let role = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": OPERATOR});
    let own = json!({"name": OPERATOR});
    let (everywhere, here) = (shipped("ClusterRole"), shipped("Role"));
    create(
        both,
        &format!("{rbac}/clusterroles"),
        json!({"metadata": own, "rules": everywhere}),
    )
    .await;
    let binding = json!({"metadata": own, "roleRef": role("ClusterRole"), "subjects": subject});
    create(both, &format!("{rbac}/clusterrolebindings"), binding).await;
    let local = format!("{rbac}/namespaces/{namespace}");
    create(
        both,
        &format!("{local}/roles"),
        json!({"metadata": own, "rules": here}),
    )
    .await;
    let binding = json!({"metadata": own, "roleRef": role("Role"), "subjects": subject});
    create(both, &format!("{local}/rolebindings"), binding).await;
    both.cluster.grant(OPERATOR, None, &everywhere);
    both.cluster.grant(OPERATOR, Some(namespace), &here);
}

#[tokio::test]
async fn rbac_refusals_have_equal_messages() {
    let mut both = both().await;
    let namespace = "rbac";
    let name = Pair::same(json!({"metadata": {"name": namespace}}));
    both.expect(
        201,
        &Asked::new("POST", "/api/v1/namespaces").body(JSON, name),
    )
    .await;
    bind(&mut both, namespace).await;
    let as_operator = |method: &'static str, path: String| Asked {
        user: OPERATOR,
        ..Asked::new(method, path)
    };
    let lease =
        json!({"metadata": {"name": "version-package-operator"}, "spec": {"holderIdentity": "me"}});
    let leases = folder(namespace, "leases");
    let spec = json!({"platformRef": {"name": "p"}, "fileId": "f"});
    let package = object("versionpackages", "a", json!({}), &spec);
    let packages = folder(namespace, "versionpackages");
    let make = Asked::new("POST", packages.clone()).body(JSON, Pair::same(package.clone()));
    both.expect(201, &make).await;
    let first = as_operator("POST", leases.clone()).body(JSON, Pair::same(lease.clone()));
    becomes(&mut both, 201, &first).await;
    both.ask(Side::Memory, &first).await;
    let list = as_operator("GET", "/apis/iodm.dev/v1alpha1/versionpackages".into());
    becomes(&mut both, 200, &list).await;

    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let merge = |path: String| {
        as_operator("PATCH", path).body(
            MERGE,
            Pair::same(json!({"metadata": {"labels": {"a": "b"}}})),
        )
    };
    let all = [
        as_operator("GET", packages.clone()),
        as_operator("GET", format!("{packages}/a")),
        as_operator("POST", packages.clone()).body(JSON, Pair::same(package)),
        merge(format!("{packages}/a")),
        merge(format!("{packages}/a/status")),
        merge(format!("{packages}/none")),
        as_operator("PUT", format!("{packages}/a")).body(JSON, Pair::same(json!({}))),
        as_operator("PUT", format!("{packages}/a/status")).body(JSON, Pair::same(json!({}))),
        as_operator("DELETE", format!("{packages}/a")),
        as_operator("DELETE", packages.clone()),
        as_operator("GET", "/apis/iodm.dev/v1alpha1/platforms".into())
            .param("fieldSelector=metadata.namespace%3Drbac"),
        as_operator("GET", folder(namespace, "platforms") + "/none"),
        as_operator("GET", folder(namespace, "secrets")),
        as_operator("GET", folder(namespace, "secrets")).param("fieldSelector=metadata.name%3Dapp"),
        as_operator("GET", folder(namespace, "secrets") + "/app"),
        as_operator("GET", format!("/api/v1/namespaces/{namespace}")),
        merge(format!("/api/v1/namespaces/{namespace}")),
        as_operator("DELETE", format!("/api/v1/namespaces/{namespace}")),
        as_operator("GET", format!("{leases}/version-package-operator")),
        as_operator("GET", format!("{leases}/other")),
        as_operator("GET", leases.clone()),
        as_operator("DELETE", format!("{leases}/version-package-operator")),
        as_operator(
            "GET",
            folder("default", "leases") + "/version-package-operator",
        ),
        as_operator("POST", folder("default", "leases")).body(JSON, Pair::same(lease)),
        as_operator("GET", format!("{crds}/other.iodm.dev")),
        as_operator("GET", crds.into()),
        as_operator("GET", format!("{bindings}/other")),
        as_operator("GET", folder(namespace, "configmaps")),
        as_operator("GET", folder(namespace, "events")),
        Asked {
            user: "nobody",
            ..Asked::new("GET", packages.clone())
        },
    ];
    for asked in &all {
        both.compare(asked)
            .await
            .unwrap_or_else(|difference| panic!("{difference}"));
    }
}

/// The in-memory equivalent of the policy in [`deny`].
fn denying(name: &str, namespace: &'static str) -> Policy {
    Policy {
        name: name.to_owned(),
        binding: name.to_owned(),
        message: "this package is denied".to_owned(),
        denies: Box::new(move |attempt| {
            attempt.resource == "versionpackages.iodm.dev"
                && attempt.operation != "DELETE"
                && attempt.object["metadata"]["namespace"] == namespace
                && (attempt.object["spec"]["fileId"] == "denied"
                    || attempt.object["status"]["phase"] == "Held")
        }),
    }
}

/// Creates a policy on both sides that denies some writes in a namespace, and waits until it is in force.
pub async fn deny(both: &mut Both, namespace: &'static str, name: &str) {
    let space = Pair::same(json!({"metadata": {"name": namespace}}));
    both.expect(
        201,
        &Asked::new("POST", "/api/v1/namespaces").body(JSON, space),
    )
    .await;
    let api = "/apis/admissionregistration.k8s.io/v1";
    let rules = json!([{"apiGroups": ["iodm.dev"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
        "resources": ["versionpackages", "versionpackages/status"]}]);
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let policy = json!({"metadata": {"name": name}, "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules, "namespaceSelector": selector},
        "validations": [{
            "expression": "object.spec.fileId != 'denied' && !(has(object.status) && has(object.status.phase) && object.status.phase == 'Held')",
            "message": "this package is denied",
        }],
    }});
    let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
    create(both, &format!("{api}/validatingadmissionpolicies"), policy).await;
    create(
        both,
        &format!("{api}/validatingadmissionpolicybindings"),
        binding,
    )
    .await;
    both.cluster.add_policy(denying(name, namespace));
    let spec = json!({"platformRef": {"name": "p"}, "fileId": "denied"});
    let probe = object("versionpackages", "probe", json!({}), &spec);
    let probe = Asked::new("POST", folder(namespace, "versionpackages"))
        .body(JSON, Pair::same(probe))
        .param("dryRun=All");
    becomes(both, 422, &probe).await;
}

#[tokio::test]
async fn policy_denials_have_equal_messages() {
    let mut both = both().await;
    let namespace = "policies";
    deny(&mut both, namespace, "denies-some").await;
    let packages = folder(namespace, "versionpackages");
    let made = |name: &str, file: &str| {
        let spec = json!({"platformRef": {"name": "p"}, "fileId": file});
        Pair::same(object("versionpackages", name, json!({}), &spec))
    };
    both.expect(
        201,
        &Asked::new("POST", packages.clone()).body(JSON, made("a", "f")),
    )
    .await;
    both.expect(
        422,
        &Asked::new("POST", packages.clone()).body(JSON, made("b", "denied")),
    )
    .await;
    // A violation of the schema is reported before the policy.
    both.expect(
        422,
        &Asked::new("POST", packages.clone()).body(JSON, made("b", "a/b")),
    )
    .await;
    let status = |phase: &str| Pair::same(json!({"status": {"phase": phase}}));
    let path = format!("{packages}/a/status");
    both.expect(
        200,
        &Asked::new("PATCH", path.clone()).body(MERGE, status("Active")),
    )
    .await;
    both.expect(
        422,
        &Asked::new("PATCH", path.clone()).body(MERGE, status("Held")),
    )
    .await;
    let none = Asked::new("PATCH", format!("{packages}/none/status")).body(MERGE, status("Held"));
    both.expect(404, &none).await;
    both.cluster.remove_policy("denies-some");
    assert_eq!(
        both.ask(
            Side::Memory,
            &Asked::new("PATCH", path).body(MERGE, status("Held"))
        )
        .await
        .code,
        200
    );
}
