//! The built-in kinds, as far as the operator, its users and the Git tools use them.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::both;
use crate::both::{Answer, Asked, JSON, MERGE, Pair};
use crate::objects::{folder, once_in, one};

const REQUESTS: usize = 600;

/// A random object of a kind.
fn made(chance: &mut Rng, plural: &str, name: &str) -> Value {
    let mut object = json!({"metadata": {"name": name}});
    if once_in(chance, 3) {
        object["metadata"]["labels"] = json!({"a": one(chance, &["b", "c"])});
    }
    if once_in(chance, 4) {
        object["metadata"]["finalizers"] = json!(["example.com/other"]);
    }
    let data = json!({one(chance, &["appId", "secret"]): one(chance, &["YQ==", "Yg=="])});
    match plural {
        "secrets" if once_in(chance, 2) => {
            object["stringData"] = json!({"appId": "a", "token": "x"});
        }
        "secrets" | "configmaps" => object["data"] = data,
        "leases" => object["spec"] = lease(chance),
        _ => {
            let event = json!({
                "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Decide", "reason": one(chance, &["A", "B"]), "type": "Normal",
                "note": "n", "reportingController": "iodm.dev/vpo", "reportingInstance": "vpo-1",
                "regarding": {"kind": "VersionPackage", "name": "a", "namespace": one(chance, &["built-in", "other", ""])},
            });
            for (field, value) in event.as_object().unwrap() {
                object[field] = value.clone();
            }
        }
    }
    object
}

fn lease(chance: &mut Rng) -> Value {
    let mut spec = json!({
        "holderIdentity": one(chance, &["me", "you", ""]), "leaseDurationSeconds": one(chance, &[15, 20]),
        "renewTime": one(chance, &["2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:01.000001Z"]), "leaseTransitions": 1,
    });
    if once_in(chance, 10) {
        spec["leaseDurationSeconds"] = json!(0);
    }
    spec
}

/// A random change of an object.
fn change(chance: &mut Rng, plural: &str) -> Value {
    match (once_in(chance, 3), plural) {
        (true, _) => {
            json!({"metadata": {"labels": {"a": one(chance, &[json!("b"), json!(null)])}}})
        }
        (false, "leases") => json!({"spec": lease(chance)}),
        (false, "events") => {
            json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}})
        }
        (false, _) => json!({"data": {"appId": one(chance, &[json!("YQ=="), json!(null)])}}),
    }
}

/// The next random request, and the path of its object.
fn next(
    chance: &mut Rng,
    namespace: &str,
    seen: &BTreeMap<String, Pair<Value>>,
) -> (String, Asked) {
    let plural = one(
        chance,
        &["leases", "leases", "secrets", "configmaps", "events"],
    );
    let name = one(chance, &["a", "b"]);
    let folder = folder(namespace, plural);
    let path = format!("{folder}/{name}");
    let asked = match chance.u32(..10) {
        0..2 => Asked::new("POST", folder).body(JSON, Pair::same(made(chance, plural, name))),
        // Events are only patched.
        2..5 if plural != "events" => {
            let known = seen.get(&path).cloned();
            let body = known.unwrap_or_else(|| Pair::same(made(chance, plural, name)));
            let change = change(chance, plural);
            let versionless = once_in(chance, 8);
            let body = body.changed(|body| {
                json_patch::merge(body, &change);
                if versionless && let Some(metadata) = body["metadata"].as_object_mut() {
                    metadata.remove("resourceVersion");
                }
            });
            Asked::new("PUT", path.clone())
                .body(JSON, body)
                .param("fieldManager=vpo")
        }
        2..7 => Asked::new("PATCH", path.clone()).body(MERGE, Pair::same(change(chance, plural))),
        7 => Asked::new("DELETE", path.clone()),
        8 => {
            let mut list = Asked::new("GET", folder);
            if once_in(chance, 2) {
                list = list.param("fieldSelector=metadata.name%3Da");
            }
            if once_in(chance, 3) {
                list.accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
            }
            list
        }
        _ => {
            let core = path.replace("/apis/events.k8s.io/v1", "/api/v1");
            let mut get = Asked::new("GET", core);
            if once_in(chance, 3) {
                get.accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
            }
            get
        }
    };
    (path, asked)
}

#[tokio::test]
async fn leases_secrets_events_and_namespaces_are_written_and_read_equally() {
    let mut both = both().await;
    let seed = crate::number("CLUSTER_SEED").unwrap_or(crate::SEED);
    println!("CLUSTER_SEED={seed}");
    let mut chance = Rng::with_seed(seed);
    let namespace = "built-in";
    let space = Pair::same(json!({"metadata": {"name": namespace}}));
    both.expect(
        201,
        &Asked::new("POST", "/api/v1/namespaces").body(JSON, space),
    )
    .await;
    let mut seen = BTreeMap::<String, Pair<Value>>::new();
    for _ in 0..REQUESTS {
        let (path, asked) = next(&mut chance, namespace, &seen);
        let Pair(real, memory) = both
            .compare(&asked)
            .await
            .unwrap_or_else(|difference| panic!("{difference}"));
        if real.code < 300 && asked.method != "DELETE" && asked.method != "GET" {
            seen.insert(path, Pair(real.body, memory.body));
        }
    }
    let label = Pair::same(json!({"metadata": {"labels": {"team": "fleet"}}}));
    let path = format!("/api/v1/namespaces/{namespace}");
    both.expect(200, &Asked::new("PATCH", path.clone()).body(MERGE, label))
        .await;
    both.expect(200, &Asked::new("GET", path)).await;
    both.expect(404, &Asked::new("GET", "/api/v1/namespaces/none"))
        .await;
    both.expect(
        404,
        &Asked::new(
            "GET",
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/none",
        ),
    )
    .await;
}

#[tokio::test]
async fn all_pages_of_a_list_show_one_moment() {
    let mut both = both().await;
    for namespace in ["pages", "pages-b"] {
        let space = Pair::same(json!({"metadata": {"name": namespace}}));
        both.expect(
            201,
            &Asked::new("POST", "/api/v1/namespaces").body(JSON, space),
        )
        .await;
    }
    for (plural, all) in [
        ("configmaps", "/api/v1/configmaps"),
        ("versionpackages", "/apis/iodm.dev/v1alpha1/versionpackages"),
    ] {
        // No last page is full, so both sides end the list on the same page.
        for n in 0..7 {
            let of = folder(if n % 3 == 0 { "pages-b" } else { "pages" }, plural);
            let name = format!("c{n}");
            let create = Asked::new("POST", of).body(JSON, listed(plural, &name, n % 2));
            both.expect(201, &create).await;
        }
        for (round, selector) in ["labelSelector=odd", "labelSelector=odd%3D1"]
            .iter()
            .enumerate()
        {
            let late = listed(plural, &format!("late-{round}"), 1);
            let of = folder("pages-b", plural);
            // Later pages don't show changes that happen between two pages.
            let changes = [
                Asked::new("POST", of.clone()).body(JSON, late),
                Asked::new("DELETE", format!("{of}/c3")),
            ];
            pages(&mut both, all, selector, &changes).await;
        }
    }
}

/// An object for the lists of this test.
fn listed(plural: &str, name: &str, odd: usize) -> Pair<Value> {
    let mut object = json!({"metadata": {"name": name, "labels": {"odd": odd.to_string()}}});
    if plural == "versionpackages" {
        object["apiVersion"] = json!("iodm.dev/v1alpha1");
        object["kind"] = json!("VersionPackage");
        object["spec"] = json!({"platformRef": {"name": "p"}, "fileId": "f"});
    }
    Pair::same(object)
}

/// Reads a list page by page; the changes happen after the first page.
async fn pages(both: &mut both::Both, all: &str, selector: &str, changes: &[Asked]) {
    let mut asked = Asked::new("GET", all).param("limit=2").param(selector);
    for page in 0.. {
        let Pair(real, memory) = both
            .compare(&asked)
            .await
            .unwrap_or_else(|difference| panic!("{difference}"));
        if page == 0 {
            for change in changes {
                both.compare(change).await.unwrap();
            }
        }
        let next = |answer: &Answer| {
            let next = answer.body["metadata"]["continue"].as_str();
            next.filter(|next| !next.is_empty()).map(str::to_owned)
        };
        let (Some(real), Some(memory)) = (next(&real), next(&memory)) else {
            return;
        };
        asked.query = Pair(
            format!("limit=2&{selector}&continue={real}"),
            format!("limit=2&{selector}&continue={memory}"),
        );
    }
}
