//! Objects that finalizers of others keep after ours is removed.

use serde_json::{Value, json};

use crate::support::{Layout, Rig, SOON, ready, wait_for};

const KEEP: &str = "example.com/keep";

/// Creates an Active object with another controller's finalizer.
async fn kept(rig: &Rig<'_>, name: &str, file_id: &str) {
    let mut manifest = rig.manifest(name, file_id, &json!({}));
    manifest["metadata"]["finalizers"] = json!([KEEP]);
    rig.plane.apply(&manifest.to_string()).expect_ok();
    rig.reason(name, "Active").await;
}

/// Waits until our finalizer is removed and the object reports `outcome`; returns the object.
async fn let_go(rig: &Rig<'_>, name: &str, outcome: &str) -> Value {
    let off = |object: &Value| object["metadata"]["finalizers"] == json!([KEEP]);
    let object = rig.becomes(name, "let go", SOON, off).await;
    assert_eq!(ready(&object)["reason"], outcome, "{object}");
    assert_eq!(ready(&object)["status"], "True");
    let status = &object["status"];
    assert_eq!(
        status["observedGeneration"],
        object["metadata"]["generation"]
    );
    assert_eq!(status["phase"], "Gone");
    assert_eq!(status["deletion"]["outcome"], outcome);
    assert_eq!(
        status["conditions"].as_array().unwrap().len(),
        1,
        "{status}"
    );
    object
}

/// How many events of the object have this reason.
fn events(rig: &Rig<'_>, name: &str, reason: &str) -> usize {
    let said = rig.kubectl(&["get", "events", "-o", "json"]).expect_ok();
    let list: Value = serde_json::from_str(&said).unwrap();
    let of = |event: &&Value| event["involvedObject"]["name"] == name && event["reason"] == reason;
    list["items"].as_array().unwrap().iter().filter(of).count()
}

fn take_off(rig: &Rig<'_>, name: &str) {
    let none = json!({"metadata": {"finalizers": null}});
    rig.patch(&format!("vp/{name}"), &none);
}

#[tokio::test]
async fn an_object_kept_by_another_finalizer_reports_its_outcome_once() {
    let rig = Rig::shared("kept", Layout::default()).await;
    let files: Vec<String> = (1..=4).map(|n| format!("package-{n:05}")).collect();
    for (name, file) in ["deleted", "gone", "retained", "moved"].iter().zip(&files) {
        kept(&rig, name, file).await;
    }
    rig.active(&[("keeper", &files[3])]).await;
    let lost = format!("/packages/{}", files[1]);
    rig.simulator
        .admin(reqwest::Method::DELETE, &lost, &Value::Null)
        .await;
    let retain = json!({"spec": {"deletionPolicy": "Retain"}});
    rig.patch("vp/retained", &retain);
    let history = rig.history().await;
    rig.delete_all(&["deleted", "gone", "retained", "moved"]);
    let ends = [
        ("deleted", "Deleted"),
        ("gone", "AlreadyGone"),
        ("retained", "Retained"),
        ("moved", "HandedOver"),
    ];
    for (name, outcome) in ends {
        let_go(&rig, name, outcome).await;
        wait_for("its event", SOON, async || {
            (events(&rig, name, outcome) > 0).then_some(())
        })
        .await;
    }
    assert_eq!(rig.deletes(&files[0]).await.len(), 1);
    assert!(rig.simulator.has(&files[2]).await && rig.simulator.has(&files[3]).await);
    // Reconciled again, the objects are neither written nor get events. Meanwhile the deletion of another object ends.
    let mut before = Vec::new();
    for (name, _) in ends {
        rig.annotate(&format!("vp/{name}"), "requested-at", Some("again"));
        before.push(rig.get(name).await.unwrap());
    }
    rig.delete("keeper");
    rig.gone("keeper").await;
    // An object kept only by finalizers of others needs no Platform.
    let delete = ["delete", "platform", "production", "--wait=false"];
    rig.kubectl(&delete).expect_ok();
    wait_for("the Platform to go", SOON, async || {
        let said = rig.kubectl(&["get", "platform", "production"]);
        said.stderr.contains("NotFound").then_some(())
    })
    .await;
    for ((name, outcome), before) in ends.into_iter().zip(before) {
        assert_eq!(rig.get(name).await.unwrap(), before);
        assert_eq!(events(&rig, name, outcome), 1, "{name}");
        take_off(&rig, name);
        rig.gone(name).await;
        let of_this = history
            .versions()
            .into_iter()
            .filter(|o| o["metadata"]["name"] == name);
        let told = of_this.filter(|o| !o["status"]["deletion"]["outcome"].is_null());
        let whole = |o: &Value| {
            o["metadata"]["finalizers"]
                .as_array()
                .is_some_and(|f| f.len() == 2)
        };
        assert_eq!(
            told.filter(whole).count(),
            1,
            "{name} says it once, before it is let go"
        );
    }
}
