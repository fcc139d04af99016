//! The output of `kubectl get events`.

use super::*;

/// The events about one object of the namespace.
fn about(rig: &Rig<'_>, name: &str) -> Vec<Value> {
    let selector = format!("involvedObject.name={name}");
    let said = rig.kubectl(&["get", "events", "--field-selector", &selector, "-o", "json"]);
    let list: Value = serde_json::from_str(&said.expect_ok()).unwrap();
    list["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_object_with_a_name_of_any_length_gets_its_event() {
    // The name of an event must be valid wherever the name of the object is cut.
    let long = "meter-fw-1.".repeat(30);
    let names: Vec<String> = (230..=253)
        .map(|length| format!("{}z", &long[..length - 1]))
        .collect();
    let files: Vec<String> = (1..)
        .map(|n| format!("package-{n:05}"))
        .take(names.len())
        .collect();
    let packages: Vec<(&str, &str)> = names
        .iter()
        .map(String::as_str)
        .zip(files.iter().map(String::as_str))
        .collect();
    let rig = laid_out("long-names", &packages).await;
    let uid = rig.get(&names[10]).await.unwrap()["metadata"]["uid"].clone();
    rig.delete_all(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        rig.gone(name).await;
        wait_for(
            &format!("the event about {} characters", name.len()),
            HEALED,
            async || (about(&rig, name).len() == 1).then_some(()),
        )
        .await;
    }
    let event = &about(&rig, &names[10])[0];
    assert_eq!(event["reason"], "Deleted");
    assert_eq!(event["involvedObject"]["uid"], uid);
    let described = rig
        .kubectl(&["events", "--for", &format!("vp/{}", names[10])])
        .expect_ok();
    assert!(described.contains("Deleted"), "{described}");
}
