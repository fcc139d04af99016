//! Ending namespaces and garbage collection.

use serde_json::{Value, json};

use crate::both;
use crate::both::{Asked, Both, JSON, MERGE, Pair};
use crate::objects::{folder, object};

async fn space(both: &mut Both, name: &str) {
    let body = Pair::same(json!({"metadata": {"name": name}}));
    both.expect(
        201,
        &Asked::new("POST", "/api/v1/namespaces").body(JSON, body),
    )
    .await;
}

fn package(name: &str, metadata: Value) -> Pair<Value> {
    let spec = json!({"platformRef": {"name": "p"}, "fileId": "f"});
    Pair::same(object("versionpackages", name, metadata, &spec))
}

#[tokio::test]
async fn a_namespace_ends_when_the_last_finalizer_in_it_is_gone() {
    let mut both = both().await;
    space(&mut both, "ending").await;
    let packages = folder("ending", "versionpackages");
    let held = package("held", json!({"finalizers": ["iodm.dev/package"]}));
    both.expect(201, &Asked::new("POST", packages.clone()).body(JSON, held))
        .await;
    let free = package("free", json!({}));
    both.expect(201, &Asked::new("POST", packages.clone()).body(JSON, free))
        .await;
    let config = Pair::same(json!({"metadata": {"name": "c"}, "data": {"a": "b"}}));
    both.expect(
        201,
        &Asked::new("POST", folder("ending", "configmaps")).body(JSON, config),
    )
    .await;
    let end = Asked::new("DELETE", "/api/v1/namespaces/ending");
    both.expect(200, &end).await;
    // The namespace accepts no new objects from now on.
    let late = package("late", json!({}));
    both.expect(
        403,
        &Asked::new("POST", packages.clone()).body(JSON, late.clone()),
    )
    .await;
    let held_now = both
        .settle(&Asked::new("GET", format!("{packages}/held")))
        .await;
    assert!(
        held_now.0.body["metadata"]["deletionTimestamp"].is_string(),
        "{}",
        held_now.0.body
    );
    both.settle(&Asked::new("GET", format!("{packages}/free")))
        .await;
    both.settle(&Asked::new("GET", folder("ending", "configmaps") + "/c"))
        .await;
    let release = Pair::same(json!({"metadata": {"finalizers": null}}));
    both.expect(
        200,
        &Asked::new("PATCH", format!("{packages}/held")).body(MERGE, release),
    )
    .await;
    loop {
        let gone = both
            .settle(&Asked::new("GET", format!("{packages}/held")))
            .await;
        let space = both
            .ask(
                crate::both::Side::Real,
                &Asked::new("GET", "/api/v1/namespaces/ending"),
            )
            .await;
        if gone.0.code == 404 && space.code == 404 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    both.settle(&Asked::new("GET", "/api/v1/namespaces/ending"))
        .await;
    both.expect(404, &Asked::new("POST", packages).body(JSON, late))
        .await;
}

#[tokio::test]
async fn an_object_removed_with_its_last_finalizer_is_shown_with_the_self_link_that_was_sent() {
    let mut both = both().await;
    space(&mut both, "linked").await;
    let packages = folder("linked", "versionpackages");
    let linked = |finalizers: Value| {
        let metadata = json!({"finalizers": finalizers, "selfLink": "/x"});
        Pair::same(json!({"metadata": metadata}))
    };
    for name in ["patched", "kept"] {
        let held = package(name, json!({"finalizers": ["iodm.dev/package"]}));
        both.expect(201, &Asked::new("POST", packages.clone()).body(JSON, held))
            .await;
    }
    let stays = Asked::new("PATCH", format!("{packages}/kept"));
    let stays = stays.body(MERGE, linked(json!(["iodm.dev/package"])));
    let shown = both.expect(200, &stays).await;
    assert!(shown.0["metadata"].get("selfLink").is_none(), "{}", shown.0);
    let patched = format!("{packages}/patched");
    both.expect(200, &Asked::new("DELETE", patched.clone()))
        .await;
    let goes = Asked::new("PATCH", patched.clone()).body(MERGE, linked(json!([])));
    let shown = both.expect(200, &goes).await;
    assert_eq!(shown.0["metadata"]["selfLink"], "/x", "{}", shown.0);
    both.expect(404, &Asked::new("GET", patched)).await;
}

#[tokio::test]
async fn objects_without_their_owner_are_deleted_and_orphaned_ones_stay() {
    let mut both = both().await;
    space(&mut both, "owners").await;
    let platforms = folder("owners", "platforms");
    let packages = folder("owners", "versionpackages");
    let spec =
        json!({"endpoint": "https://iot.example.com", "credentialsSecretRef": {"name": "app"}});
    for (policy, kept) in [
        ("Background", false),
        ("Foreground", false),
        ("Orphan", true),
    ] {
        let name = policy.to_lowercase();
        let owner = Pair::same(object("platforms", &name, json!({}), &spec));
        let owner = both
            .expect(
                201,
                &Asked::new("POST", platforms.clone()).body(JSON, owner),
            )
            .await;
        let reference = Pair::same(
            json!({"apiVersion": "iodm.dev/v1alpha1", "kind": "Platform", "name": name}),
        );
        let reference = reference.with("uid", owner.at("/metadata/uid"));
        let owned = package(&name, json!({}));
        let references = Pair(json!([reference.0]), json!([reference.1]));
        let metadata = owned.at("/metadata").with("ownerReferences", references);
        let owned = owned.with("metadata", metadata);
        both.expect(201, &Asked::new("POST", packages.clone()).body(JSON, owned))
            .await;
        let options = Pair::same(json!({"propagationPolicy": policy}));
        let path = format!("{platforms}/{name}");
        both.expect(200, &Asked::new("DELETE", path.clone()).body(JSON, options))
            .await;
        let own = Asked::new("GET", format!("{packages}/{name}"));
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let owner = both.settle(&Asked::new("GET", path.clone())).await;
            let owned = both.ask(crate::both::Side::Real, &own).await;
            let settled = if kept {
                owned.body["metadata"]["ownerReferences"].is_null()
            } else {
                owned.code == 404
            };
            if owner.0.code == 404 && settled {
                break;
            }
            assert!(std::time::Instant::now() < end, "{policy}: {}", owned.body);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let owned = both.ask(crate::both::Side::Memory, &own).await;
        assert_eq!(
            owned.code,
            if kept { 200 } else { 404 },
            "{policy}: {}",
            owned.body
        );
        assert!(owned.body["metadata"]["ownerReferences"].is_null());
    }
}
