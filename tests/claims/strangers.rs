//! Objects of another application that happen to name the same `fileId`.

use super::*;

const FIRST: &str = "package-00008";
const SECOND: &str = "package-00009";
const THIRD: &str = "package-00010";

/// Makes an object unreadable, as far as it is created so or was readable before.
fn break_it(object: &mut Value) {
    object["spec"]["retireAfter"] = json!("at the next full moon");
}

#[tokio::test]
async fn an_object_of_another_application_holds_nobody_whether_or_not_it_can_be_read() {
    let rig = rig("strangers").await;
    let namespace = neighbours(&rig, STRANGER, THEIR_SECRET).await;
    rig.active(&[("first", FIRST), ("second", SECOND), ("third", THIRD)])
        .await;
    // One that is accepted and then can't be read, one that never could, and one that was never accepted by then.
    let mut read = theirs(&rig, &namespace, "first", FIRST);
    rig.plane.apply(&read.to_string()).expect_ok();
    let accepted = their_reason(&rig, &namespace, "first", "Active").await;
    assert_eq!(accepted["status"]["application"], STRANGER);
    break_it(&mut read);
    rig.plane.apply(&read.to_string()).expect_ok();
    let mut never = theirs(&rig, &namespace, "second", SECOND);
    break_it(&mut never);
    rig.plane.apply(&never.to_string()).expect_ok();
    for name in ["first", "second"] {
        their_reason(&rig, &namespace, name, "Undecodable").await;
    }

    // Their credentials are proven by a deletion of their own.
    let own = theirs(&rig, &namespace, "own", THEIRS);
    rig.plane.apply(&own.to_string()).expect_ok();
    their_reason(&rig, &namespace, "own", "Active").await;
    let delete = ["-n", &*namespace, "delete", "vp", "own"];
    rig.plane.kubectl(&delete).expect_ok();

    rig.delete("first");
    rig.gone("first").await;
    rig.retire("second");
    rig.reason("second", "Deleted").await;
    for file in [FIRST, SECOND] {
        assert_eq!(rig.deletes(file).await.len(), 1);
    }
    assert!(rig.deletes(THIRD).await.is_empty());
}
