//! A webhook that never answers about the events of one namespace.

use super::*;
use crate::support::webhook::ask_about_events;

/// The number of objects whose events wait for the webhook.
const MANY: usize = 60;
/// The time limit of an event in another namespace. It took more than a minute while each hanging event delayed all
/// after it.
const BESIDE: Duration = Duration::from_secs(4);

/// The time from the deletion of an object until its event is written.
async fn told_after(rig: &Rig<'_>, name: &str) -> Duration {
    let begun = Instant::now();
    rig.delete(name);
    rig.gone(name).await;
    let path = r#"jsonpath={range .items[?(@.reason=="Deleted")]}{.involvedObject.name} {end}"#;
    wait_for("the event", SOON, async || {
        let told = rig.kubectl(&["get", "events", "-o", path]).expect_ok();
        told.split(' ').any(|told| told == name).then_some(())
    })
    .await;
    begun.elapsed()
}

#[tokio::test]
async fn hanging_events_of_one_namespace_delay_those_of_another_by_seconds_at_most() {
    let slow = Rig::shared("silent-events", at_once()).await;
    let rig = Rig::shared("beside-events", at_once()).await;
    let two = [("first", "package-00001"), ("second", "package-00002")];
    rig.active(&two).await;
    let names: Vec<String> = (0..MANY).map(|number| format!("held-{number}")).collect();
    let items: Vec<Value> = names
        .iter()
        .map(|name| {
            let mut object = slow.manifest(name, name, &json!({}));
            object["metadata"]["annotations"] = json!({"iodm.dev/paused": "true"});
            object
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    slow.plane.apply(&list.to_string()).expect_ok();
    for name in &names {
        slow.becomes(name, "its finalizer", SOON, |object| {
            finalizers(object) == 1
        })
        .await;
    }
    let questions = Arc::default();
    let webhook = silent_webhook(&questions).await;
    let asked = ask_about_events(slow.plane, &slow.namespace, &webhook);
    // The API server takes a moment until it calls the webhook.
    tokio::time::sleep(Duration::from_secs(5)).await;
    slow.kubectl(&["delete", "vp", "--all", "--wait=false"])
        .expect_ok();
    wait_for("the webhook to be asked", SOON, async || {
        (questions.come.load(Ordering::Relaxed) >= 8).then_some(())
    })
    .await;
    for (name, _) in two {
        let took = told_after(&rig, name).await;
        println!("the event of {name} was there after {took:?}");
        assert!(took < BESIDE, "{took:?}");
    }
    ask_no_more(&slow, &asked);
    // The waiting events are written then.
    let path = "jsonpath={.items[*].reason}";
    wait_for("the events that waited", SOON, async || {
        let told = slow.kubectl(&["get", "events", "-o", path]).expect_ok();
        told.contains("Paused").then_some(())
    })
    .await;
}
