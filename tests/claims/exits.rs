//! How a person overrules claims, as anybody can hold a deletion by naming its package.

use std::time::{Duration, Instant};

use super::*;

/// How long a claim must be unclear before the annotation counts.
const PATIENCE: Duration = Duration::from_secs(120);
const HELD: &str = "package-00006";
const WANTED: &str = "package-00007";
const DODGED: &str = "package-00017";
const BUSY: &str = "package-00018";
const LONG: Duration = Duration::from_secs(240);

#[tokio::test]
async fn the_annotation_overrules_exactly_the_named_unclear_claims_after_two_minutes_and_is_audited()
 {
    let rig = rig("exits").await;
    let ghosts = rig.plane.namespace("ghosts");
    rig.active(&[("held", HELD), ("wanted", WANTED), ("other", WANTED)])
        .await;
    for name in ["ghost", "second"] {
        // The object names a Platform that doesn't exist.
        let ghost = theirs(&rig, &ghosts, name, HELD);
        rig.plane.apply(&ghost.to_string()).expect_ok();
        their_reason(&rig, &ghosts, name, "PlatformNotFound").await;
    }
    let begun = Instant::now();
    rig.delete("held");
    let held = rig.reason("held", "ClaimUnclear").await;
    let ghost = uid(&get(&rig, &ghosts, "ghost").unwrap());
    let second = uid(&get(&rig, &ghosts, "second").unwrap());
    assert!(message(&held).contains(&ghost), "{}", message(&held));
    rig.annotate("vp/held", "disregard", Some(&ghost));
    // The annotation names one of two claims, which isn't enough.
    let other = |object: &Value| message(object).contains(&second);
    rig.becomes("held", "the second to hold it", SOON, other)
        .await;
    let both = format!("{ghost}, {second}");
    rig.annotate("vp/held", "disregard", Some(&both));
    let waits = |object: &Value| message(object).contains("2 minutes");
    rig.becomes("held", "the word to be told of", SOON, waits)
        .await;

    // A definite claim can't be overruled.
    rig.retire("wanted");
    rig.reason("wanted", "StillClaimed").await;
    let claimant = uid(&rig.get("other").await.unwrap());
    rig.annotate("vp/wanted", "disregard", Some(&claimant));

    assert!(rig.deletes(HELD).await.is_empty());
    wait_for("held to go", LONG, async || {
        rig.get("held").await.is_none().then_some(())
    })
    .await;
    assert!(begun.elapsed() >= PATIENCE, "after {:?}", begun.elapsed());
    assert_eq!(rig.deletes(HELD).await.len(), 1);
    let lines = operator().await.stdout();
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut of_this =
        lines.filter(|line| line["namespace"] == *rig.namespace && line["name"] == "held");
    let line = of_this.next().expect("its audit line");
    let mut named = line["disregarded"].as_array().unwrap().clone();
    named.sort_by_key(ToString::to_string);
    let mut both = vec![json!(ghost), json!(second)];
    both.sort_by_key(ToString::to_string);
    assert_eq!(named, both);
    // The overruled object reports that its package doesn't exist.
    rig.reason("wanted", "StillClaimed").await;
    assert!(rig.deletes(WANTED).await.is_empty());
}

#[tokio::test]
async fn neither_a_tiny_quota_nor_a_changing_secret_disables_the_annotation() {
    let rig = rig("dodgers").await;
    let namespace = neighbours(&rig, &rig.namespace.clone(), "made-up").await;
    let patch_theirs = |what: &str, patch: &Value| {
        let patch = patch.to_string();
        let patch = [
            "-n",
            &*namespace,
            "patch",
            what,
            "--type=merge",
            "-p",
            &patch,
        ];
        rig.plane.kubectl(&patch).expect_ok();
    };
    let tiny = json!({"spec": {"quota": {"calls": 1, "window": "50m"}}});
    patch_theirs("platform/theirs", &tiny);
    rig.active(&[("held", DODGED), ("busy", BUSY)]).await;
    let stranger = theirs(&rig, &namespace, "theirs", DODGED);
    rig.plane.apply(&stranger.to_string()).expect_ok();
    let stranger = their_reason(&rig, &namespace, "theirs", "Active").await;
    // One call of ours, so that our credentials are accepted.
    rig.delete("busy");
    rig.gone("busy").await;

    let begun = Instant::now();
    rig.delete("held");
    rig.reason("held", "ClaimUnclear").await;
    rig.annotate("vp/held", "disregard", Some(&uid(&stranger)));
    let mut changes = 0;
    while let Some(held) = rig.get("held").await {
        assert!(begun.elapsed() < LONG, "{}", message(&held));
        changes += 1;
        let secret = json!({"stringData": {"secret": format!("made-up-{changes}")}});
        patch_theirs("secret/theirs-app", &secret);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert!(begun.elapsed() >= PATIENCE, "after {:?}", begun.elapsed());
    assert_eq!(rig.deletes(DODGED).await.len(), 1);
}
