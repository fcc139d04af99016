//! An object that was accepted for a wrong application keeps its package, and can be accepted again for another one.

use std::time::Duration;

use super::*;

const FILE: &str = "package-00001";

/// `meter` is renamed to `meter-fw` while the Secret names another valid application; `meter` is to be deleted.
async fn renamed_meanwhile(subject: &str) -> Rig<'static> {
    let rig = rig(subject).await;
    rig.active(&[("meter", FILE)]).await;
    set_credentials(&rig, STRANGER, THEIR_SECRET);
    rig.reason("meter", "ApplicationChanged").await;
    apply(&rig, "meter-fw", FILE);
    let renamed = rig.reason("meter-fw", "Active").await;
    assert_eq!(renamed["status"]["application"], STRANGER);
    rig.delete("meter");
    rig.reason("meter", "ApplicationChanged").await;
    set_credentials(&rig, &rig.namespace, OUR_SECRET);
    rig
}

#[tokio::test]
async fn a_package_survives_a_rename_while_its_secret_names_another_application() {
    let rig = renamed_meanwhile("renamed").await;
    let renamed = rig.reason("meter-fw", "ApplicationChanged").await;
    let annotation = format!("iodm.dev/accept: {}", rig.namespace);
    assert!(
        message(&renamed).contains(&annotation),
        "{}",
        message(&renamed)
    );
    let held = rig.reason("meter", "ClaimUnclear").await;
    let (said, whose) = (message(&held), format!("meter-fw (uid {})", uid(&renamed)));
    for part in [&*whose, &*annotation, "since 20", "iodm.dev/disregard"] {
        assert!(said.contains(part), "{said}");
    }
    // A retry request by hand changes nothing.
    rig.annotate("vp/meter", "requested-at", Some("now"));
    rig.becomes("meter", "the try", SOON, |object| {
        object["status"]["lastHandledRequestedAt"] == "now"
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(rig.deletes(FILE).await.is_empty());

    rig.annotate("vp/meter-fw", "accept", Some(&rig.namespace));
    rig.gone("meter").await;
    let renamed = rig.reason("meter-fw", "Active").await;
    assert_eq!(renamed["status"]["application"], *rig.namespace);
    assert!(rig.deletes(FILE).await.is_empty() && rig.simulator.has(FILE).await);
}

#[tokio::test]
async fn an_object_is_accepted_again_only_for_the_application_of_its_platform() {
    let rig = rig("anew").await;
    rig.active(&[("meter", "package-00005")]).await;
    rig.annotate("vp/meter", "accept", Some(STRANGER));
    rig.annotate("vp/meter", "requested-at", Some("1"));
    let handled = |object: &Value| object["status"]["lastHandledRequestedAt"] == "1";
    let object = rig.becomes("meter", "the try", SOON, handled).await;
    assert_eq!(object["status"]["application"], *rig.namespace);
    set_credentials(&rig, STRANGER, THEIR_SECRET);
    let now = |object: &Value| object["status"]["application"] == STRANGER;
    rig.becomes("meter", "the stranger's", SOON, now).await;
    rig.reason("meter", "Active").await;
}

/// Creates the objects of packages to be deleted while the Secret names another valid application, which lacks the
/// packages.
async fn recorded_meanwhile(subject: &str, records: &[(&str, &str)]) -> Rig<'static> {
    let rig = rig(subject).await;
    rig.active(&[("witness", "package-00013")]).await;
    set_credentials(&rig, STRANGER, THEIR_SECRET);
    rig.reason("witness", "ApplicationChanged").await;
    for (name, file) in records {
        let manifest = rig.manifest(name, file, &json!({"lifecycle": "Retired"}));
        rig.plane.apply(&manifest.to_string()).expect_ok();
        let record = rig.reason(name, "AlreadyGone").await;
        assert_eq!(record["status"]["application"], STRANGER);
    }
    set_credentials(&rig, &rig.namespace, OUR_SECRET);
    rig
}

#[tokio::test]
async fn a_retired_object_of_the_wrong_application_is_held_until_a_person_accepts_it_for_the_right_one()
 {
    let files = ["package-00014", "package-00015", "package-00016"];
    let records = [("meter", files[0]), ("pump", files[1]), ("valve", files[2])];
    let rig = recorded_meanwhile("records", &records).await;
    for (name, _) in records {
        let held = rig.reason(name, "ApplicationChanged").await;
        assert_eq!(held["status"]["deletion"]["outcome"], "AlreadyGone");
        let annotation = format!("iodm.dev/accept: {}", rig.namespace);
        assert!(message(&held).contains(&annotation), "{}", message(&held));
    }
    rig.delete_all(&["pump", "valve"]);
    for name in ["pump", "valve"] {
        // The object stays, with the same reason for the generation of its deletion.
        rig.reason(name, "ApplicationChanged").await;
    }
    for file in files {
        assert!(rig.deletes(file).await.is_empty() && rig.simulator.has(file).await);
    }

    let application = rig.namespace.clone();
    rig.annotate("vp/meter", "accept", Some(&application));
    let record = rig.reason("meter", "Deleted").await;
    assert_eq!(record["status"]["application"], *application);
    assert_eq!(rig.deletes(files[0]).await.len(), 1);
    rig.annotate("vp/pump", "accept", Some(&application));
    rig.gone("pump").await;
    assert_eq!(rig.deletes(files[1]).await.len(), 1);
    rig.patch("vp/valve", &json!({"spec": {"deletionPolicy": "Retain"}}));
    rig.gone("valve").await;
    assert!(rig.deletes(files[2]).await.is_empty());
    let left = [files[0], files[1], files[2]];
    for (file, stays) in left.into_iter().zip([false, false, true]) {
        assert_eq!(rig.simulator.has(file).await, stays, "{file}");
    }
}
