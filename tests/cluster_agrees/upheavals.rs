//! Changes of the whole store: compaction, changed definitions and a restore.

use std::time::Duration;

use serde_json::{Value, json};

use crate::both::{Answer, Asked, Both, JSON, Lines, MERGE, Pair, Side, definition};
use crate::objects::{folder, object};
use crate::support::Plane;

const NAMESPACE: &str = "upheavals";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const PATIENCE: Duration = Duration::from_secs(20);

fn package(name: &str) -> Pair<Value> {
    let spec = json!({"platformRef": {"name": "p"}, "fileId": "f", "deletionPolicy": "Retain"});
    Pair::same(object("versionpackages", name, json!({}), &spec))
}

async fn create(both: &mut Both, name: &str) -> Pair<Value> {
    let path = folder(NAMESPACE, "versionpackages");
    both.expect(201, &Asked::new("POST", path).body(JSON, package(name)))
        .await
}

async fn note(both: &mut Both, name: &str, text: &str) -> Pair<Value> {
    let path = folder(NAMESPACE, "versionpackages") + "/" + name;
    let body = Pair::same(json!({"metadata": {"annotations": {"note": text}}}));
    both.expect(200, &Asked::new("PATCH", path).body(MERGE, body))
        .await
}

/// A watch on both sides from the version of an object.
async fn watch(both: &mut Both, from: &Pair<Value>) -> Pair<Lines> {
    let from = from.at("/metadata/resourceVersion");
    let query = |version: &Value| {
        let version = version.as_str().unwrap();
        format!("watch=true&allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion={version}")
    };
    let asked = Asked {
        query: Pair(query(&from.0), query(&from.1)),
        ..Asked::new("GET", folder(NAMESPACE, "versionpackages"))
    };
    let real = both.watch(Side::Real, &asked).await;
    Pair(real, both.watch(Side::Memory, &asked).await)
}

/// Compares the next events that aren't bookmarks.
async fn same_event(both: &mut Both, lines: &mut Pair<Lines>) -> Option<Value> {
    let mut next = async |side: Side| loop {
        let lines = if side == Side::Real {
            &mut lines.0
        } else {
            &mut lines.1
        };
        let line = lines.next(PATIENCE).await?;
        if line["type"] != "BOOKMARK" {
            return Some(line);
        }
    };
    let (real, memory) = (next(Side::Real).await, next(Side::Memory).await);
    match (real, memory) {
        (None, None) => None,
        (Some(real), Some(memory)) => {
            let found = both.mapping.differences(&real, &memory);
            assert!(found.is_empty(), "{found:?}\n{real}\n{memory}");
            Some(real)
        }
        (real, memory) => panic!("{real:?} and {memory:?}"),
    }
}

/// Compacts etcd through its JSON gateway.
async fn compact(plane: &Plane) {
    let etcd = plane.processes()["etcd"].to_string();
    let said = std::process::Command::new("ps")
        .args(["-o", "args=", "-p", &etcd])
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let mut words = said.split_whitespace();
    words
        .find(|word| *word == "--listen-client-urls")
        .expect("the address of etcd");
    let address = words.next().unwrap();
    let http = reqwest::Client::new();
    let ask = async |path: &str, body: Value| -> Value {
        let request = http
            .post(format!("{address}/v3/{path}"))
            .body(body.to_string());
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    let range = ask("kv/range", json!({"key": "AA=="})).await;
    let revision = range["header"]["revision"].as_str().unwrap().to_owned();
    ask(
        "kv/compaction",
        json!({"revision": revision, "physical": true}),
    )
    .await;
}

#[tokio::test]
async fn compaction_changed_definitions_and_a_restore_look_equal() {
    let plane = Plane::start();
    plane.install_crds();
    let mut both = Both::new(&plane).await;
    let space = Pair::same(json!({"metadata": {"name": NAMESPACE}}));
    both.expect(
        201,
        &Asked::new("POST", "/api/v1/namespaces").body(JSON, space),
    )
    .await;
    forgets(&plane, &mut both).await;
    loses_a_field(&mut both).await;
    goes_back(&plane, &mut both).await;
}

async fn forgets(plane: &Plane, both: &mut Both) {
    create(both, "old-a").await;
    create(both, "old-b").await;
    note(both, "old-a", "1").await;
    compact(plane).await;
    both.cluster.compact();
    let folder = folder(NAMESPACE, "versionpackages");
    // A page of a compacted version. The real token means {"v":"meta.k8s.io/v1","rv":1,"start":"/old-a\u0000"}: recent
    // versions would still be in the cache in front of the store.
    let real = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIvb2xkLWFcdTAwMDAifQ";
    // The token in memory means "1 upheavals/old-a".
    let memory = "3120757068656176616c732f6f6c642d61";
    let next = |token: &str| format!("limit=1&continue={token}");
    let rest = Asked {
        query: Pair(next(real), next(memory)),
        ..Asked::new("GET", folder.clone())
    };
    let refusal = both.expect(410, &rest).await;
    // The token in the refusal continues with the current version.
    let token = |body: &Value| next(body["metadata"]["continue"].as_str().unwrap());
    let rest = Asked {
        query: Pair(token(&refusal.0), token(&refusal.1)),
        ..rest
    };
    both.expect(200, &rest).await;
    let exact = Asked::new("GET", folder).param("resourceVersionMatch=Exact&resourceVersion=1");
    both.expect(410, &exact).await;
    // For a watch the result depends on the cache in front of the store; version 1 was never in it.
    let ancient = Pair::same(json!({"metadata": {"resourceVersion": "1"}}));
    let mut lines = watch(both, &ancient).await;
    let (real, memory) = (
        lines.0.next(PATIENCE).await.unwrap(),
        lines.1.next(PATIENCE).await.unwrap(),
    );
    let plain = |line: &Value| {
        let object = &line["object"];
        (
            line["type"].clone(),
            object["code"].clone(),
            object["reason"].clone(),
            object["status"].clone(),
        )
    };
    assert_eq!(plain(&real), plain(&memory), "{real}\n{memory}");
    let words = |line: &Value| {
        line["object"]["message"]
            .as_str()
            .unwrap()
            .split(':')
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(words(&real), words(&memory));
    assert!(lines.0.next(PATIENCE).await.is_none() && lines.1.next(PATIENCE).await.is_none());
}

/// Serves the shipped definition, with or without a field.
async fn serve(both: &mut Both, without: Option<&str>) {
    let path = format!("{DEFINITIONS}/versionpackages.iodm.dev");
    let mut spec = definition("versionpackages")["spec"].clone();
    if let Some(field) = without {
        let fields =
            spec.pointer_mut("/versions/0/schema/openAPIV3Schema/properties/spec/properties");
        fields
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(field)
            .unwrap();
    }
    let patch = Asked::new("PATCH", path).body(MERGE, Pair::same(json!({"spec": spec})));
    for side in [Side::Real, Side::Memory] {
        let answer = both.ask(side, &patch).await;
        assert_eq!(answer.code, 200, "{}", answer.body);
    }
}

async fn loses_a_field(both: &mut Both) {
    let made = create(both, "loser").await;
    let mut lines = watch(both, &made).await;
    note(both, "loser", "1").await;
    assert!(same_event(both, &mut lines).await.is_some());
    serve(both, Some("deletionPolicy")).await;
    let get = Asked::new("GET", folder(NAMESPACE, "versionpackages") + "/loser");
    let answers = until(both, &get, |answer| {
        answer.body["spec"].get("deletionPolicy").is_none()
    })
    .await;
    assert_eq!(answers.0.code, 200);
    // The old watches end.
    assert_eq!(same_event(both, &mut lines).await, None);
    // An object that isn't written meanwhile keeps its fields; a write stores the loss.
    create(both, "untouched").await;
    let kept = both.expect(200, &get).await;
    serve(both, None).await;
    until(both, &get, |answer| {
        answer.body["spec"]["deletionPolicy"] == "Retain"
    })
    .await;
    serve(both, Some("deletionPolicy")).await;
    until(both, &get, |answer| {
        answer.body["spec"].get("deletionPolicy").is_none()
    })
    .await;
    note(both, "loser", "2").await;
    serve(both, None).await;
    until(both, &get, |answer| {
        answer.body["spec"]["deletionPolicy"] == "Delete"
    })
    .await;
    let now = both.expect(200, &get).await;
    assert_ne!(
        now.0["metadata"]["resourceVersion"],
        kept.0["metadata"]["resourceVersion"]
    );
    let other = Asked::new("GET", folder(NAMESPACE, "versionpackages") + "/untouched");
    both.expect(200, &other).await;
    // The definition's metadata shows that it changed.
    let mut metadata = Asked::new("GET", format!("{DEFINITIONS}/versionpackages.iodm.dev"));
    metadata.accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let (real, memory) = (
        both.ask(Side::Real, &metadata).await,
        both.ask(Side::Memory, &metadata).await,
    );
    assert_eq!(real.body["kind"], memory.body["kind"]);
    assert_eq!(
        real.body["metadata"]["generation"],
        memory.body["metadata"]["generation"]
    );
}

/// Repeats a request until the real answer is as wanted, and compares.
async fn until(both: &mut Both, asked: &Asked, wanted: impl Fn(&Answer) -> bool) -> Pair<Answer> {
    for _ in 0..200 {
        let real = both.ask(Side::Real, asked).await;
        if wanted(&real) {
            return both
                .compare(asked)
                .await
                .unwrap_or_else(|difference| panic!("{difference}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never so: {}", asked.told());
}

async fn goes_back(plane: &Plane, both: &mut Both) {
    let made = create(both, "stays").await;
    let saved = both.cluster.save();
    plane.save();
    create(both, "forgotten").await;
    let late = note(both, "stays", "later").await;
    let mut lines = watch(both, &late).await;
    plane.restore();
    both.cluster.restore(&saved);
    assert_eq!(same_event(both, &mut lines).await, None);
    let folder = folder(NAMESPACE, "versionpackages");
    both.mapping.forget();
    both.expect(404, &Asked::new("GET", format!("{folder}/forgotten")))
        .await;
    let now = both
        .expect(200, &Asked::new("GET", format!("{folder}/stays")))
        .await;
    for (now, made) in [(&now.0, &made.0), (&now.1, &made.1)] {
        assert_eq!(
            now["metadata"]["resourceVersion"],
            made["metadata"]["resourceVersion"]
        );
    }
    // A watch from a future version is silent until the store has passed it.
    let ahead =
        |body: &Value| json!({"metadata": {"resourceVersion": (version(body) + 20).to_string()}});
    let now = note(both, "stays", "now").await;
    let ahead = Pair(ahead(&now.0), ahead(&now.1));
    let mut lines = watch(both, &ahead).await;
    loop {
        let new = note(both, "stays", &fastrand::u32(..).to_string()).await;
        if version(&new.0) > version(&ahead.0) && version(&new.1) > version(&ahead.1) {
            break;
        }
    }
    for (lines, ahead) in [(&mut lines.0, &ahead.0), (&mut lines.1, &ahead.1)] {
        let line = lines.next(PATIENCE).await.unwrap();
        assert_eq!(line["type"], "MODIFIED", "{line}");
        assert!(version(&line["object"]) > version(ahead), "{line}");
    }
}

fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().unwrap();
    text.parse().unwrap()
}
