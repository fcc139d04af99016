//! Runs helm, and reads what it prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{OPERATOR, Plane, Said, tool};

/// The folder of the chart, from the root of the checkout.
pub const CHART: &str = "charts/version-package-operator";

/// Objects by kind and name, such as `Role/iot/version-package-operator-secrets`; cluster-wide ones without a namespace.
pub type Objects = BTreeMap<String, Value>;

/// The folders of helm itself, apart from those of the person who runs the tests.
pub fn home() -> [(&'static str, PathBuf); 3] {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    [
        ("HELM_CACHE_HOME", "cache"),
        ("HELM_CONFIG_HOME", "config"),
        ("HELM_DATA_HOME", "data"),
    ]
    .map(|(variable, folder)| (variable, home.join(folder)))
}

/// Runs helm in the root of the checkout, without the settings of the person who runs the tests.
pub fn run(arguments: &[&str], environment: &[(&str, &Path)]) -> Said {
    let output = Command::new(tool::helm())
        .args(arguments)
        .envs(home())
        .envs(environment.iter().copied())
        .current_dir(tool::root())
        .output();
    Said::from(output.expect("helm can be run"))
}

/// What `helm template` says with these values, each `path=JSON`, in the namespace of the manifests.
pub fn template(values: &[&str]) -> Said {
    let mut arguments = vec!["template", "vpo", CHART, "--namespace", OPERATOR];
    for value in values {
        arguments.extend(["--set-json", value]);
    }
    run(&arguments, &[])
}

/// The objects that the chart makes with these values. Fails where Helm would own a definition, and delete it some day, or run
/// something of its own.
pub fn rendered(values: &[&str]) -> Objects {
    let objects = by_name(&template(values).expect_ok());
    for (name, object) in &objects {
        assert_ne!(
            object["kind"], "CustomResourceDefinition",
            "{values:?}: {name}"
        );
        let annotations = object["metadata"]["annotations"].to_string();
        assert!(!annotations.contains("helm.sh/hook"), "{values:?}: {name}");
    }
    objects
}

/// The objects of a folder of manifests, as kustomize builds them.
pub fn kustomized(folder: &str) -> Objects {
    let mut kubectl = Command::new(Plane::kubectl_path());
    let output = kubectl
        .args(["kustomize", folder])
        .current_dir(tool::root())
        .output();
    by_name(&Said::from(output.expect("kubectl can be run")).expect_ok())
}

/// The documents of a YAML text by kind and name, each of them once.
pub fn by_name(yaml: &str) -> Objects {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap();
    let mut objects = Objects::new();
    for object in documents.into_iter().filter(|object| !object.is_null()) {
        let meta = &object["metadata"];
        let name = [&object["kind"], &meta["namespace"], &meta["name"]];
        let name: Vec<_> = name.iter().filter_map(|part| part.as_str()).collect();
        let name = name.join("/");
        assert!(!objects.contains_key(&name), "{name} is there twice");
        objects.insert(name, object);
    }
    objects
}

/// A file of the chart.
pub fn file(name: &str) -> String {
    std::fs::read_to_string(tool::root().join(CHART).join(name)).unwrap()
}
