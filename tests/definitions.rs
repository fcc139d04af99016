//! Definitions that differ from those of the binary: under older ones nothing is sent, and looser ones affect single
//! objects only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Layout, Plane, Rig, SOON, Said, ready, start_operator, tool, wait_for};

/// The path of the spec's schema in a definition.
const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

/// The definition of `VersionPackage` with a changed schema of its spec.
fn definition(change: impl Fn(&mut Value)) -> Value {
    let text = std::fs::read_to_string("crds/versionpackages.iodm.dev.yaml").unwrap();
    let mut definition: Value = serde_saphyr::from_str(&text).unwrap();
    change(definition.pointer_mut(SPEC).unwrap());
    definition
}

/// Serves a definition with a changed schema of its spec.
fn serve(plane: &Plane, change: impl Fn(&mut Value)) {
    plane.apply(&definition(change).to_string()).expect_ok();
}

fn apply_server_side(plane: &Plane, flags: &[&str], manifests: &str) -> Said {
    let mut arguments = vec!["apply", "--server-side"];
    arguments.extend(flags);
    arguments.extend(["-f", "-"]);
    plane.kubectl_with(plane.kubeconfig(), &arguments, manifests)
}

#[tokio::test]
async fn an_undecodable_object_reports_it_and_stops_no_other() {
    let plane = Plane::start();
    plane.install();
    // `retireAfter` accepts any text now, as a later version of the operator might define it.
    serve(&plane, |spec| {
        let field = spec["retireAfter"].as_object_mut().unwrap();
        field.remove("format");
        field.remove("x-kubernetes-validations");
    });
    let rig = Rig::on(&plane, "looser", Layout::default()).await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    let broken = |name, file_id| {
        rig.manifest(
            name,
            file_id,
            &json!({"retireAfter": "at the next full moon"}),
        )
    };
    wait_for("the looser definition", SOON, async || {
        let said = plane.apply(&broken("broken", "package-00001").to_string());
        said.ok.then_some(())
    })
    .await;
    let object = rig.reason("broken", "Undecodable").await;
    assert_eq!(object["status"]["phase"], "Stalled");
    let message = ready(&object)["message"].to_string();
    assert!(message.contains("spec.retireAfter"), "{message}");
    assert!(message.contains("deletionPolicy: Retain"), "{message}");

    // Other objects are served, except the one with the same package.
    rig.active(&[("other", "package-00002"), ("same", "package-00001")])
        .await;
    rig.retire("same");
    rig.reason("same", "ClaimUnclear").await;
    rig.delete("other");
    rig.gone("other").await;

    assert!(rig.deletes("package-00001").await.is_empty());

    // A deleted object no longer claims the package; it waits for a person itself.
    rig.delete("broken");
    rig.reason("same", "Deleted").await;
    let object = rig.reason("broken", "Undecodable").await;
    assert_eq!(
        object["metadata"]["finalizers"],
        json!(["iodm.dev/package"])
    );
    rig.patch("vp/broken", &json!({"spec": {"deletionPolicy": "Retain"}}));
    rig.gone("broken").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);

    // A corrected object is served as any other, also after a list of everything.
    plane
        .apply(&broken("mended", "package-00003").to_string())
        .expect_ok();
    rig.reason("mended", "Undecodable").await;
    operator.kill().await;
    let mut operator = start_operator(&plane, &[]);
    operator.ready().await;
    rig.patch("vp/mended", &json!({"spec": {"retireAfter": null}}));
    rig.reason("mended", "Active").await;
}

#[tokio::test]
async fn under_older_definitions_nothing_is_sent_until_the_right_ones_are_applied() {
    let plane = Plane::start();
    plane.install();
    let older = definition(|spec| {
        spec.as_object_mut().unwrap().remove("deletionPolicy");
    });
    let as_helm = ["--force-conflicts", "--field-manager=helm"];
    apply_server_side(&plane, &as_helm, &older.to_string()).expect_ok();
    let rig = Rig::on(&plane, "older", Layout::default()).await;
    // An object that would be deleted at once: the guard in its spec is dropped silently.
    let retired = rig.manifest("retired", "package-00001", &json!({"lifecycle": "Retired"}));
    plane.apply(&retired.to_string()).expect_ok();
    let mut operator = start_operator(&plane, &[]);
    // With --force-conflicts, as another tool has written the definition.
    let command = "vpo crds | kubectl apply --server-side --force-conflicts -f -";
    wait_for("the command that mends it", SOON, async || {
        let log = operator.log();
        let line = log.iter().find(|line| line.contains(command))?;
        assert!(line.contains(".spec.deletionPolicy"), "{line}");
        Some(())
    })
    .await;
    let answer = reqwest::get(operator.admin_url("/readyz")).await.unwrap();
    assert_eq!(answer.status(), 503);
    let text = answer.text().await.unwrap();
    assert!(text.contains(command), "{text}");
    assert!(operator.admin_page("/livez").await.is_some());
    assert!(rig.simulator.ledger().await.is_empty());
    let object = rig.get("retired").await.unwrap();
    assert_eq!(object["metadata"].get("finalizers"), None, "{object:#}");

    let crds = Command::new(tool::vpo()).arg("crds").output().unwrap();
    let crds = String::from_utf8(crds.stdout).unwrap();
    let said = apply_server_side(&plane, &[], &crds);
    assert!(!said.ok && said.stderr.contains("conflict"), "{said:?}");
    apply_server_side(&plane, &["--force-conflicts"], &crds).expect_ok();
    operator.ready().await;
    rig.reason("retired", "Deleted").await;
    assert_eq!(rig.deletes("package-00001").await.len(), 1);
}
