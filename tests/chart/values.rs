//! Each value changes what it names and nothing else, and none of them brings a definition into what Helm deletes.

use serde_json::{Value, json};

use crate::helm::{self, Objects, kustomized, rendered};
use crate::support::tool;

const DEPLOYMENT: &str = "Deployment/version-package-operator/version-package-operator";
const POD: &str = "/spec/template/spec";

/// A value as `path=JSON`, the one object that it changes, and what is found there.
type Row = (&'static str, &'static str, String, Value);

/// A row of the Pod.
fn pod(value: &'static str, place: &str, found: Value) -> Row {
    (value, DEPLOYMENT, format!("{POD}{place}"), found)
}

/// A row of the container.
fn container(value: &'static str, place: &str, found: Value) -> Row {
    pod(value, &format!("/containers/0{place}"), found)
}

/// Which image runs, how often, with how much.
fn rows_of_the_image() -> Vec<Row> {
    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    vec![
        container(
            r#"image.repository="r.example.com/vpo""#,
            "/image",
            json!("r.example.com/vpo:0.1.0"),
        ),
        container(
            r#"image.tag="1.2.3""#,
            "/image",
            json!("registry.example.com/version-package-operator:1.2.3"),
        ),
        container(
            r#"image={"tag":"1.2.3","digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}"#,
            "/image",
            json!(format!(
                "registry.example.com/version-package-operator@{DIGEST}"
            )),
        ),
        container(
            r#"image.pullPolicy="Always""#,
            "/imagePullPolicy",
            json!("Always"),
        ),
        pod(
            r#"image.pullSecrets=[{"name":"login"}]"#,
            "/imagePullSecrets",
            json!([{"name": "login"}]),
        ),
        (
            r"replicas=3",
            DEPLOYMENT,
            "/spec/replicas".to_owned(),
            json!(3),
        ),
        (
            r"replicas=0",
            DEPLOYMENT,
            "/spec/replicas".to_owned(),
            json!(0),
        ),
        container(
            r#"resources={"requests":{"cpu":"1"},"limits":null}"#,
            "/resources",
            json!({"requests": {"cpu": "1", "memory": "64Mi"}}),
        ),
    ]
}

/// Where the Pods run, and what they carry.
fn rows_of_the_pods() -> Vec<Row> {
    vec![
        pod(
            r#"nodeSelector={"zone":"a"}"#,
            "/nodeSelector",
            json!({"zone": "a"}),
        ),
        pod(
            r#"tolerations=[{"key":"iot","operator":"Exists","effect":"NoSchedule"}]"#,
            "/tolerations",
            json!([{"key": "iot", "operator": "Exists", "effect": "NoSchedule"}]),
        ),
        pod(
            r#"affinity={"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[]}}"#,
            "/affinity",
            json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}),
        ),
        pod(
            r#"topologySpreadConstraints=[{"maxSkew":2,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}]"#,
            "/topologySpreadConstraints",
            json!([{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
        ),
        pod(
            r#"priorityClassName="high""#,
            "/priorityClassName",
            json!("high"),
        ),
        (
            r#"podLabels={"team":"iot","app.kubernetes.io/name":"another"}"#,
            DEPLOYMENT,
            "/spec/template/metadata/labels".to_owned(),
            json!({"team": "iot", "app.kubernetes.io/name": "version-package-operator"}),
        ),
        (
            r#"podAnnotations={"team":"iot"}"#,
            DEPLOYMENT,
            "/spec/template/metadata/annotations".to_owned(),
            json!({"team": "iot"}),
        ),
    ]
}

/// What the program is told.
fn rows_of_the_program() -> Vec<Row> {
    let audit = r#"auditLog={"volume":{"persistentVolumeClaim":{"claimName":"audit"}}}"#;
    let audit_of_openshift = r#"auditLog={"volume":{"emptyDir":{}},"fsGroup":null}"#;
    vec![
        container(
            r#"extraEnv=[{"name":"HTTPS_PROXY","value":"http://proxy:3128"}]"#,
            "/env/3",
            json!({"name": "HTTPS_PROXY", "value": "http://proxy:3128"}),
        ),
        container(
            r#"extraArgs=["--call-timeout=10s"]"#,
            "/args",
            json!(["run", "--log-format=json", "--call-timeout=10s"]),
        ),
        container(
            r#"logLevel="info,version_package_operator::session=debug""#,
            "/args/2",
            json!("--log=info,version_package_operator::session=debug"),
        ),
        container(
            r#"logFormat="text""#,
            "/args",
            json!(["run", "--log-format=text"]),
        ),
        container(
            audit,
            "/args/2",
            json!("--audit-log=/audit/$(POD_NAME).jsonl"),
        ),
        container(
            audit,
            "/volumeMounts",
            json!([{"name": "audit", "mountPath": "/audit"}]),
        ),
        pod(
            audit,
            "/volumes",
            json!([{"name": "audit", "persistentVolumeClaim": {"claimName": "audit"}}]),
        ),
        pod(audit, "/securityContext/fsGroup", json!(65532)),
        pod(
            audit_of_openshift,
            "/securityContext",
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}),
        ),
        (
            "networkPolicy.extraEgressPorts=[9443]",
            "NetworkPolicy/version-package-operator/version-package-operator",
            "/spec/egress/0/ports/9".to_owned(),
            json!({"protocol": "TCP", "port": 9443}),
        ),
    ]
}

fn rows() -> Vec<Row> {
    let mut rows = rows_of_the_image();
    rows.extend(rows_of_the_pods());
    rows.extend(rows_of_the_program());
    rows
}

/// The names of the objects that are new, gone or different.
fn changed(before: &Objects, after: &Objects) -> Vec<String> {
    let names = before
        .keys()
        .chain(after.keys().filter(|name| !before.contains_key(*name)));
    names
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}

#[test]
fn each_value_changes_what_it_names_and_nothing_else() {
    let before = rendered(&[]);
    for (value, name, place, found) in rows() {
        let after = rendered(&[value]);
        assert_eq!(changed(&before, &after), [name], "{value}");
        assert_eq!(after[name].pointer(&place), Some(&found), "{value}");
    }
}

#[test]
fn values_for_several_objects_change_those() {
    let before = rendered(&[]);
    let secrets = r#"secretAccess=[{"namespace":"iot","secrets":["a"]},{"namespace":"fleet","secrets":["b","c"]}]"#;
    let after = rendered(&[secrets]);
    let name = "version-package-operator-secrets";
    let roles = [
        "Role/fleet",
        "Role/iot",
        "RoleBinding/fleet",
        "RoleBinding/iot",
    ];
    assert_eq!(
        changed(&before, &after),
        roles.map(|role| format!("{role}/{name}"))
    );
    let names =
        |namespace: &str| &after[&format!("Role/{namespace}/{name}")]["rules"][0]["resourceNames"];
    assert_eq!(
        [names("iot"), names("fleet")],
        [&json!(["a"]), &json!(["b", "c"])]
    );

    let without: Objects = kustomized("manifests/policies/crds");
    let gone: Vec<_> = without.keys().cloned().collect();
    assert_eq!(changed(&before, &rendered(&["policies.crds=false"])), gone);
    let more: Vec<_> = kustomized("manifests/policies/protected-packages")
        .into_keys()
        .collect();
    assert_eq!(
        changed(&before, &rendered(&["policies.protectedPackages=true"])),
        more
    );

    // On every object, and in place of none of the labels that the chart gives.
    let labels = r#"commonLabels={"team":"iot","app.kubernetes.io/part-of":"another"}"#;
    for (name, object) in rendered(&[labels, secrets, "policies.protectedPackages=true"]) {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["team"], "iot", "{name}");
        assert_eq!(
            labels["app.kubernetes.io/part-of"], "version-package-operator",
            "{name}"
        );
    }
}

#[test]
fn every_value_is_in_a_row_of_these_tests() {
    let text = std::fs::read_to_string(file!()).unwrap();
    for (value, _) in crate::schema::documented() {
        let (section, rest) = value.split_once('.').unwrap_or((&value, ""));
        let whole = format!("{section}={{");
        let set = text.contains(&format!("{value}="))
            || (text.contains(&whole) && text.contains(&format!("\"{rest}\":")));
        assert!(set, "no row sets {value}");
    }
}

/// The rows above try each value by itself: `helm::rendered` looks at what they make.
#[test]
fn no_template_could_make_a_definition_or_a_hook() {
    let templates = tool::root().join(helm::CHART).join("templates");
    for template in std::fs::read_dir(templates).unwrap() {
        let text = std::fs::read_to_string(template.unwrap().path()).unwrap();
        for word in [
            "kind: CustomResourceDefinition",
            "helm.sh/hook",
            ".Files",
            "kind: {{",
        ] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
}

#[test]
fn a_role_for_no_secret_or_two_for_one_namespace_is_refused_even_without_the_schema() {
    for (entries, complaint) in [
        (
            r#"[{"namespace":"iot","secrets":[]}]"#,
            "names no Secret in the namespace iot",
        ),
        (
            r#"[{"namespace":"iot"}]"#,
            "names no Secret in the namespace iot",
        ),
        (
            r#"[{"namespace":"iot","secrets":[""]}]"#,
            "names no Secret in the namespace iot",
        ),
        (
            r#"[{"namespace":"iot","secrets":["a"]},{"namespace":"iot","secrets":["b"]}]"#,
            "names the namespace iot twice",
        ),
    ] {
        let value = format!("secretAccess={entries}");
        let arguments = [
            "template",
            "vpo",
            helm::CHART,
            "--skip-schema-validation",
            "--set-json",
            &value,
        ];
        let said = helm::run(&arguments, &[]).expect_refused();
        assert!(said.contains(complaint), "{entries}: {said}");
    }
}
