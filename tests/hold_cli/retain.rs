//! `vpo hold retain`.

use super::*;

#[tokio::test]
async fn a_retain_sets_the_policy_of_exactly_the_objects_of_the_hold() {
    let stage = Stage::enter("retained").await;
    stage.platform("production", &held("h-1", 40)).await;
    stage.all_terminating(&names("going", 30), "h-1").await;
    stage.package("retired", "h-1", false).await;
    stage.all_terminating(&names("other", 5), "h-2").await;
    stage.package("none", "h-1", true).await;
    stage.carry("none", None).await;

    let said = stage.hold(&["retain", "h-1", "--yes"]).expect_ok();
    for part in [
        "deletionPolicy: Retain will be set on 31 VersionPackages:",
        "  and 11 more\n",
        "30 of these are being deleted: such objects go",
        "The hold has 40 deletions in all",
        "deletionPolicy: Retain was set on 31 VersionPackages.\n",
        &format!("in Git:\n  {}\n", stage.shown("retired")),
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    for name in names("going", 30).iter().chain([&"retired".to_owned()]) {
        let object = stage.packages.get(name).await.unwrap();
        assert_eq!(object.data["spec"]["deletionPolicy"], "Retain", "{name}");
        let fields = object.metadata.managed_fields.unwrap();
        let by_vpo = fields
            .iter()
            .find(|entry| entry.manager.as_deref() == Some("vpo"));
        assert_eq!(
            by_vpo.unwrap().fields_v1.as_ref().unwrap().0,
            json!({"f:spec": {"f:deletionPolicy": {}}}),
            "{name}"
        );
    }
    let retired = stage.packages.get("retired").await.unwrap();
    assert_eq!(retired.data["spec"]["lifecycle"], "Retired");
    for name in names("other", 5).iter().chain([&"none".to_owned()]) {
        assert_eq!(stage.policy(name).await, "Delete", "{name}");
    }
    let again = stage.hold(&["retain", "h-1", "--yes"]).expect_ok();
    assert!(
        again.contains("was set on 0 VersionPackages, 31 had it already.\n"),
        "{again}"
    );
}

#[tokio::test]
async fn objects_that_changed_during_the_confirmation_are_read_again_before_the_write() {
    let stage = Stage::enter("anew").await;
    stage.platform("production", &held("h-1", 5)).await;
    for name in ["same", "changed", "left", "gone", "anew"] {
        stage.package(name, "h-1", true).await;
    }
    let mut talk = Talk::begin(stage.plane.kubeconfig(), &["retain", "h-1"]);
    talk.question();
    stage
        .change("changed", json!({"metadata": {"labels": {"a": "b"}}}))
        .await;
    stage.carry("left", Some("h-2")).await;
    stage.free("gone").await;
    stage.free("anew").await;
    stage.package("anew", "h-1", true).await;
    let said = talk.end("h-1\n").expect_ok();
    assert!(
        said.contains(
            "was set on 2 VersionPackages, 2 gone meanwhile, 1 no longer part of the hold.\n"
        ),
        "{said}"
    );
    for (name, policy) in [
        ("same", "Retain"),
        ("changed", "Retain"),
        ("left", "Delete"),
        ("anew", "Delete"),
    ] {
        assert_eq!(stage.policy(name).await, policy, "{name}");
    }
}

#[tokio::test]
async fn a_hold_that_only_objects_show_can_still_be_taken_back() {
    let stage = Stage::enter("late").await;
    stage.package("one", "h-1", true).await;
    let said = stage.hold(&["retain", "h-1", "--yes"]).expect_ok();
    assert!(
        said.starts_with("No Platform shows this hold any more"),
        "{said}"
    );
    assert_eq!(stage.policy("one").await, "Retain");
}

#[tokio::test]
async fn objects_beyond_the_first_page_of_a_list_are_found_too() {
    let stage = Stage::enter("pages").await;
    stage.platform("production", &held("h-1", 2)).await;
    let spec = json!({"platformRef": {"name": "production"}, "fileId": "f"});
    let made = (0..600).map(|n| {
        let object = stage.manifest("VersionPackage", &format!("page-{n:03}"), &spec);
        let packages = &stage.packages;
        async move {
            packages
                .create(&PostParams::default(), &object)
                .await
                .map(|_| ())
        }
    });
    stream::iter(made)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .unwrap();
    for name in ["page-000", "page-599"] {
        stage.carry(name, Some("h-1")).await;
    }
    stage.hold(&["retain", "h-1", "--yes"]).expect_ok();
    let all = stage.packages.list(&ListParams::default()).await.unwrap();
    let retained: Vec<_> = all
        .items
        .into_iter()
        .filter(|object| object.data["spec"]["deletionPolicy"] == "Retain")
        .filter_map(|object| object.metadata.name)
        .collect();
    assert_eq!(retained, ["page-000", "page-599"]);
}
