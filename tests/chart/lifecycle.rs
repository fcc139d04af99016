//! Install, upgrade, rollback and removal on a real API server: whatever Helm does, the definitions and all objects stay. There
//! is no node, so Helm doesn't wait for Pods.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::helm::{self, CHART, by_name};
use crate::support::{OPERATOR, Plane, SOON, Said, tool, wait_for};

const GUARD: &str = "validatingadmissionpolicy/version-package-operator-crds";

fn helm_on(plane: &Plane, arguments: &[&str]) -> Said {
    let release = ["--namespace", OPERATOR];
    helm::run(
        &[arguments, &release].concat(),
        &[("KUBECONFIG", plane.kubeconfig())],
    )
}

/// The definitions and all objects of them: kind, name, uid, generation, and whether somebody deletes it.
fn precious(plane: &Plane) -> Vec<Value> {
    let kinds = "customresourcedefinitions,versionpackages.iodm.dev,platforms.iodm.dev";
    let list = plane
        .kubectl(&["get", kinds, "--all-namespaces", "-o", "json"])
        .expect_ok();
    let list: Value = serde_json::from_str(&list).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|object| {
            let meta = &object["metadata"];
            json!([
                object["kind"],
                meta["name"],
                meta["uid"],
                meta["generation"],
                meta["deletionTimestamp"]
            ])
        })
        .collect()
}

/// The number of replicas that the Deployment asks for.
fn replicas(plane: &Plane) -> String {
    let deployment = ["get", "deployment", OPERATOR, "-n", OPERATOR];
    let replicas = ["-o", "jsonpath={.spec.replicas}"];
    plane
        .kubectl(&[deployment.as_slice(), &replicas].concat())
        .expect_ok()
}

fn exists(plane: &Plane, object: &str) -> bool {
    let found = plane.kubectl(&[
        "get",
        object,
        "-n",
        OPERATOR,
        "--ignore-not-found",
        "-o",
        "name",
    ]);
    !found.expect_ok().is_empty()
}

/// A Platform and packages in a namespace of their own.
async fn create_objects(plane: &Plane) {
    let namespace = plane.namespace("fleet");
    wait_for("the definitions to be served", SOON, async || {
        plane.kubectl(&["get", "vp,plat", "-A"]).ok.then_some(())
    })
    .await;
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "iodm.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec});
    let mut items = vec![object(
        "Platform",
        "production",
        json!({"endpoint": "https://iot.example.com:8743", "credentialsSecretRef": {"name": "app"}}),
    )];
    items.extend((0..5).map(|number| {
        let spec = json!({"platformRef": {"name": "production"}, "fileId": format!("package-{number:05}")});
        object("VersionPackage", &format!("package-{number}"), spec)
    }));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    plane.apply(&list.to_string()).expect_ok();
}

#[tokio::test]
async fn install_upgrade_rollback_and_removal_leave_the_definitions_and_all_objects() {
    let plane = Plane::start();
    by_the_readme(&plane, "Install");
    create_objects(&plane).await;
    let before = precious(&plane);
    assert_eq!(before.len(), 8);

    helm_on(&plane, &["upgrade", "vpo", CHART, "--set", "replicas=3"]).expect_ok();
    assert_eq!(replicas(&plane), "3");
    helm_on(&plane, &["rollback", "vpo", "1"]).expect_ok();
    assert_eq!(replicas(&plane), "2");
    // A second installation would be another operator for the same objects.
    let refused = helm_on(&plane, &["install", "second", CHART, "--skip-crds"]).expect_refused();
    assert!(
        refused.contains("cannot be imported into the current release"),
        "{refused}"
    );
    by_the_readme(&plane, "Upgrade");
    assert_eq!(precious(&plane), before);
    upgrade_definitions(&plane);
    let before = precious(&plane);
    helm_on(&plane, &["uninstall", "vpo"]).expect_ok();
    assert!(!exists(&plane, "deployment/version-package-operator"));
    assert!(!exists(&plane, "clusterrole/version-package-operator"));
    assert_eq!(precious(&plane), before);

    // What outlived the release still refuses, and a release of the same name takes it back.
    let refused = plane
        .kubectl(&["delete", "crd", "versionpackages.iodm.dev"])
        .expect_refused();
    assert!(refused.contains("iodm.dev/deletion-approved"), "{refused}");
    helm_on(&plane, &["install", "vpo", CHART, "--skip-crds"]).expect_ok();
    helm_on(&plane, &["uninstall", "vpo"]).expect_ok();
    // Without the flag Helm 4 applies the definitions of the chart: only what kubectl applied last is safe from an older chart.
    let refused = helm_on(&plane, &["install", "vpo", CHART]).expect_refused();
    assert!(refused.contains("conflict with \"kubectl\""), "{refused}");
    assert_eq!(precious(&plane), before);
    // One of another name has to be told.
    let refused = helm_on(&plane, &["install", "other", CHART, "--skip-crds"]).expect_refused();
    assert!(
        refused.contains("cannot be imported into the current release"),
        "{refused}"
    );
    helm_on(
        &plane,
        &["install", "other", CHART, "--skip-crds", "--take-ownership"],
    )
    .expect_ok();
    // The switch doesn't take away what is there.
    helm_on(
        &plane,
        &["upgrade", "other", CHART, "--set", "policies.crds=false"],
    )
    .expect_ok();
    assert!(exists(&plane, GUARD));
    assert_eq!(precious(&plane), before);
    removed_by_the_script(&plane);
}

/// Runs the first block of commands of a section of the chart's README, as a person would paste it.
fn by_the_readme(plane: &Plane, section: &str) {
    let readme = helm::file("README.md");
    let (_, section) = readme.split_once(&format!("\n## {section}\n")).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```\n").unwrap();
    let (kubectl, helm) = (tool::control_plane(), tool::helm().parent().unwrap());
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{path}", kubectl.display(), helm.display());
    let mut shell = Command::new("bash");
    shell
        .args(["-euc", block])
        .current_dir(tool::root())
        .env("PATH", path);
    shell
        .env("KUBECONFIG", plane.kubeconfig())
        .envs(helm::home());
    Said::from(shell.stdin(Stdio::null()).output().unwrap()).expect_ok();
}

/// Newer definitions are applied as the README says, although Helm wrote those that are there.
fn upgrade_definitions(plane: &Plane) {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(tool::root().join("crds")).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let newer = text.replacen("description: ", "description: Newer. ", 1);
        assert_ne!(text, newer);
        std::fs::write(folder.path().join(file.file_name()), newer).unwrap();
    }
    let newer = folder.path().to_str().unwrap();
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", newer];
    plane.kubectl(&apply).expect_ok();
}

/// The script that the docs name takes the release off, with the definitions and their policy, where it is told to.
fn removed_by_the_script(plane: &Plane) {
    helm_on(
        plane,
        &[
            "upgrade",
            "other",
            CHART,
            "--set",
            "policies.protectedPackages=true",
        ],
    )
    .expect_ok();
    let before = precious(plane);
    let run = |flags: &[&str]| {
        let kubectl = format!(
            "{} --kubeconfig {}",
            Plane::kubectl_path().display(),
            plane.kubeconfig().display()
        );
        let mut script = Command::new(tool::root().join("manifests/uninstall.sh"));
        let script = script
            .args(flags)
            .env("KUBECTL", kubectl)
            .stdin(Stdio::null())
            .output();
        Said::from(script.unwrap()).expect_ok()
    };
    let said = run(&["--dry-run"]);
    assert!(
        said.contains("would then remove the policy for protected packages"),
        "{said}"
    );
    assert!(
        said.contains("would leave the policy for the CustomResourceDefinitions"),
        "{said}"
    );
    let said = run(&["--dry-run", "--with-crds"]);
    assert!(
        said.contains("would annotate the CustomResourceDefinitions"),
        "{said}"
    );
    assert_eq!(precious(plane), before);
    assert!(exists(
        plane,
        "validatingadmissionpolicy/version-package-operator-protected-packages"
    ));

    run(&["--yes"]);
    assert_eq!(precious(plane).len(), 3, "the definitions and the Platform");
    assert!(exists(plane, GUARD));
    assert!(!exists(
        plane,
        "validatingadmissionpolicy/version-package-operator-protected-packages"
    ));
    run(&["--yes", "--with-crds"]);
    let left = plane.kubectl(&[
        "get",
        "crds,validatingadmissionpolicies,validatingadmissionpolicybindings",
        "-o",
        "name",
    ]);
    assert_eq!(left.expect_ok(), "");
}

#[tokio::test]
async fn the_api_server_accepts_every_value_and_every_example_without_a_warning() {
    let plane = Plane::shared();
    plane.install_crds();
    for namespace in [OPERATOR, "iot", "fleet"] {
        plane
            .kubectl(&["create", "namespace", namespace])
            .expect_ok();
    }
    // Says so, where a Pod breaks a rule that the namespace of the operator enforces.
    let label = "pod-security.kubernetes.io/warn=restricted";
    plane
        .kubectl(&["label", "namespace", OPERATOR, label])
        .expect_ok();
    let everything = helm::template(&[
        r#"image={"digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","pullPolicy":"Always","pullSecrets":[{"name":"login"}]}"#,
        "replicas=3",
        r#"nodeSelector={"zone":"a"}"#,
        r#"tolerations=[{"key":"iot","operator":"Exists","effect":"NoExecute","tolerationSeconds":60}]"#,
        r#"affinity={"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone","labelSelector":{"matchLabels":{"app.kubernetes.io/name":"version-package-operator"}}}]}}"#,
        r#"priorityClassName="system-cluster-critical""#,
        r#"podLabels={"team":"iot"}"#,
        r#"podAnnotations={"team":"iot"}"#,
        r#"commonLabels={"team":"iot"}"#,
        r#"extraEnv=[{"name":"TOKEN","valueFrom":{"secretKeyRef":{"name":"proxy","key":"token"}}}]"#,
        r#"extraArgs=["--call-timeout=10s"]"#,
        r#"logLevel="debug""#,
        r#"auditLog={"volume":{"persistentVolumeClaim":{"claimName":"audit"}}}"#,
        "networkPolicy.extraEgressPorts=[9443]",
        r#"secretAccess=[{"namespace":"iot","secrets":["a"]},{"namespace":"fleet","secrets":["b"]}]"#,
        r#"policies={"crds":true,"protectedPackages":true}"#,
    ]);
    let everything = everything.expect_ok();
    let apply = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
    let said = plane.kubectl_with(plane.kubeconfig(), &apply, &everything);
    assert!(said.ok, "{}", said.stderr);
    assert_eq!(said.stderr, "");
    assert_eq!(said.stdout.lines().count(), by_name(&everything).len());

    let chart: Value = serde_saphyr::from_str(&helm::file("Chart.yaml")).unwrap();
    let examples = chart["annotations"]["artifacthub.io/crdsExamples"]
        .as_str()
        .unwrap();
    let examples: Vec<Value> = serde_saphyr::from_str(examples).unwrap();
    for example in examples {
        let said = plane.kubectl_with(plane.kubeconfig(), &apply, &example.to_string());
        assert!(said.ok && said.stderr.is_empty(), "{}", said.stderr);
    }
}
