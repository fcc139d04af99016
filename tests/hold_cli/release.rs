//! `vpo hold list` and `vpo hold release`.

use super::*;

#[tokio::test]
async fn the_list_shows_each_hold_once_with_its_objects() {
    let stage = Stage::enter("listed").await;
    let nothing = stage.hold(&["list"]).expect_ok();
    assert_eq!(nothing, "No mass deletion is held.\n");

    stage.platform("production", &held("h-1", 3)).await;
    stage.platform("test", &held("h-1", 3)).await;
    stage.platform("other", &held("h-2", 60)).await;
    stage.all_terminating(&names("one", 3), "h-1").await;
    stage.package("two", "h-2", false).await;
    stage.package("none", "h-0", true).await;
    stage.carry("none", None).await;

    let listed = stage.hold(&["list", "--output", "json"]).expect_ok();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let holds = listed["holds"].as_array().unwrap();
    let told: Vec<_> = holds
        .iter()
        .map(|hold| (&hold["id"], &hold["count"], &hold["objects"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("h-1"), &json!(3), &json!(3)),
            (&json!("h-2"), &json!(60), &json!(1))
        ]
    );
    assert_eq!(
        holds[0]["platforms"],
        json!([stage.shown("production"), stage.shown("test")])
    );
    let table = stage.hold(&["list"]).expect_ok();
    for part in [
        "Hold h-1\n  Application  app-1\n",
        "  Deletions    60 held, and 10 sent before the hold began (these numbers may be 10 s old); the id of the hold is in the status of 1 object so far",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
}

#[tokio::test]
async fn a_release_asks_one_platform_of_each_part_and_ends_when_the_operator_has_acted() {
    let stage = Stage::enter("released").await;
    stage.platform("production", &held("h-1", 3)).await;
    stage.platform("test", &held("h-1", 3)).await;
    stage.platform("other", &held("h-2", 3)).await;
    stage.all_terminating(&names("one", 3), "h-1").await;

    let mut talk = Talk::begin(stage.plane.kubeconfig(), &["release", "h-1"]);
    let question = talk.question();
    let wanted = format!(
        "deletes the packages of 3 VersionPackages, for ever:\n  {}\n",
        stage.shown("one-00")
    );
    assert!(question.contains(&wanted), "{question}");
    assert_eq!(stage.asked().await, []);
    talk.0.stdin.as_mut().unwrap().write_all(b"h-1\n").unwrap();
    let asked = wait_for("the release to be asked for", SOON, async || {
        Some(stage.asked().await).filter(|asked| !asked.is_empty())
    })
    .await;
    assert_eq!(asked, [("production".to_owned(), "h-1".to_owned())]);
    assert!(
        talk.0.try_wait().unwrap().is_none(),
        "it waits for the operator"
    );
    stage.tell("production", &released("h-1")).await;
    // The other Platform still shows the hold: the two no longer count together, so it holds a part of its own.
    wait_for("the other part to be released", SOON, async || {
        let asked = stage.asked().await;
        asked
            .contains(&("test".to_owned(), "h-1".to_owned()))
            .then_some(())
    })
    .await;
    stage.tell("test", &released("h-1")).await;
    let said = talk.end("").expect_ok();
    assert!(
        said.contains("Hold h-1 is released: 6 deletions go on"),
        "{said}"
    );
    for name in names("one", 3) {
        assert_eq!(stage.policy(&name).await, "Delete");
    }
    let again = stage.hold(&["release", "h-1", "--yes"]).expect_ok();
    assert_eq!(
        again,
        "Hold h-1 was released before, at 2026-11-23T12:05:00Z.\n"
    );
}

#[tokio::test]
async fn objects_that_join_during_the_confirmation_are_shown_before_the_release() {
    let stage = Stage::enter("grown").await;
    stage.platform("production", &held("h-1", 3)).await;
    stage.package("one", "h-1", true).await;
    let mut talk = Talk::begin(stage.plane.kubeconfig(), &["release", "h-1"]);
    let first = talk.question();
    assert!(first.contains(&stage.shown("one")), "{first}");
    stage.package("two", "h-1", true).await;
    talk.0.stdin.as_mut().unwrap().write_all(b"h-1\n").unwrap();
    let second = talk.question();
    let wanted = format!(
        "the packages of 1 VersionPackage that you were not shown:\n  {}\nThat makes 2 VersionPackages.\n",
        stage.shown("two")
    );
    assert!(second.contains(&wanted), "{second}");
    assert_eq!(stage.asked().await, []);
    talk.0.stdin.as_mut().unwrap().write_all(b"h-1\n").unwrap();
    wait_for("the release to be asked for", SOON, async || {
        Some(stage.asked().await).filter(|asked| !asked.is_empty())
    })
    .await;
    stage.tell("production", &released("h-1")).await;
    talk.end("").expect_ok();
}

#[tokio::test]
async fn a_release_without_a_running_operator_reports_what_it_left() {
    let stage = Stage::enter("waiting").await;
    stage.platform("production", &held("h-1", 3)).await;
    let said = stage
        .hold(&["release", "h-1", "--yes", "--timeout", "1s"])
        .expect_refused();
    assert!(
        said.contains("the operator has not acted within 1s"),
        "{said}"
    );
    assert!(said.contains(&stage.shown("production")), "{said}");
    assert_eq!(
        stage.asked().await,
        [("production".to_owned(), "h-1".to_owned())]
    );
}

#[tokio::test]
async fn a_release_changes_no_other_platform_of_the_same_name() {
    let stage = Stage::enter("another").await;
    stage.platform("production", &held("h-1", 3)).await;
    let mut talk = Talk::begin(stage.plane.kubeconfig(), &["release", "h-1"]);
    talk.question();
    stage
        .platforms
        .delete("production", &DeleteParams::default())
        .await
        .unwrap();
    stage.platform("production", &held("h-1", 3)).await;
    let said = talk.end("h-1\n").expect_refused();
    assert!(said.contains("can't be annotated"), "{said}");
    assert_eq!(stage.asked().await, []);
}

#[tokio::test]
async fn nothing_is_done_before_the_id_is_typed() {
    let stage = Stage::enter("asked").await;
    stage.platform("production", &held("h-1", 1)).await;
    stage.package("one", "h-1", true).await;
    for verb in ["release", "retain"] {
        for (typed, why) in [
            ("", "no id was typed"),
            ("yes\n", "\"yes\" was typed, not h-1"),
        ] {
            let talk = Talk::begin(stage.plane.kubeconfig(), &[verb, "h-1"]);
            let said = talk.end(typed).expect_refused();
            assert!(
                said.contains("nothing was done") && said.contains(why),
                "{said}"
            );
        }
    }
    assert_eq!(stage.asked().await, []);
    assert_eq!(stage.policy("one").await, "Delete");
}
