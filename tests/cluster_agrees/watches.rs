//! Watches: their start, the effect of selectors on events, and their end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::both;
use crate::both::{Asked, Both, JSON, Lines, MERGE, Pair, Side};
use crate::objects::{folder, object};

const PATIENCE: Duration = Duration::from_secs(10);

async fn space(both: &mut Both, namespace: &str) -> String {
    let body = Pair::same(json!({"metadata": {"name": namespace}}));
    both.expect(
        201,
        &Asked::new("POST", "/api/v1/namespaces").body(JSON, body),
    )
    .await;
    folder(namespace, "versionpackages")
}

async fn create(both: &mut Both, folder: &str, name: &str) -> Pair<Value> {
    let spec = json!({"platformRef": {"name": "p"}, "fileId": "f"});
    let body = Pair::same(object("versionpackages", name, json!({}), &spec));
    both.expect(201, &Asked::new("POST", folder).body(JSON, body))
        .await
}

/// A watch on both sides, from the version of an object or without a version.
async fn begin(both: &mut Both, asked: Asked, from: Option<&Pair<Value>>) -> Pair<Lines> {
    let mut asked = asked.param("watch=true&allowWatchBookmarks=true");
    if let Some(from) = from {
        let version = |body: &Value| {
            let version = body["metadata"]["resourceVersion"].as_str().unwrap();
            format!("&resourceVersion={version}")
        };
        asked.query.0 += &version(&from.0);
        asked.query.1 += &version(&from.1);
    }
    let real = both.watch(Side::Real, &asked).await;
    Pair(real, both.watch(Side::Memory, &asked).await)
}

/// Compares the next events; returns type and name.
async fn next(both: &mut Both, lines: &mut Pair<Lines>) -> (String, String) {
    let real = lines.0.next(PATIENCE).await.expect("an event");
    let memory = lines.1.next(PATIENCE).await.expect("an event in memory");
    let found = both.mapping.differences(&real, &memory);
    assert!(found.is_empty(), "{found:?}\n{real}\n{memory}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&real["type"]),
        text(&real["object"]["metadata"]["name"]),
    )
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_the_existing_objects() {
    let mut both = both().await;
    let folder = space(&mut both, "watch-begins").await;
    for name in ["b", "a"] {
        create(&mut both, &folder, name).await;
    }
    for more in ["timeoutSeconds=60", "timeoutSeconds=60&resourceVersion=0"] {
        let asked = Asked::new("GET", folder.clone()).param(more);
        let mut lines = begin(&mut both, asked, None).await;
        // The real server sends the initial events in random order.
        let mut names = [Vec::new(), Vec::new()];
        for (lines, names) in [&mut lines.0, &mut lines.1].into_iter().zip(&mut names) {
            for _ in 0..2 {
                let line = lines.next(PATIENCE).await.unwrap();
                assert_eq!(line["type"], "ADDED");
                names.push(line["object"]["metadata"]["name"].to_string());
            }
            names.sort();
        }
        assert_eq!(names[0], names[1]);
    }
}

#[tokio::test]
async fn an_object_that_leaves_a_selector_is_reported_as_deleted() {
    let mut both = both().await;
    let folder = space(&mut both, "watch-selects").await;
    let made = create(&mut both, &folder, "a").await;
    let select = |more: &str| {
        Asked::new("GET", folder.clone())
            .param("timeoutSeconds=60")
            .param(more)
    };
    let mut gone = begin(
        &mut both,
        select("fieldSelector=status.phase%3DGone"),
        Some(&made),
    )
    .await;
    let mut fleet = begin(&mut both, select("labelSelector=team%3Dfleet"), Some(&made)).await;
    let mut metadata = select("fieldSelector=metadata.name%3Da");
    metadata.accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let mut metadata = begin(&mut both, metadata, Some(&made)).await;
    for phase in ["Gone", "Active", "Gone"] {
        let body = Pair::same(json!({"status": {"phase": phase}}));
        both.expect(
            200,
            &Asked::new("PATCH", format!("{folder}/a/status")).body(MERGE, body),
        )
        .await;
        let label = if phase == "Gone" {
            json!("fleet")
        } else {
            json!("core")
        };
        let body = Pair::same(json!({"metadata": {"labels": {"team": label}}}));
        both.expect(
            200,
            &Asked::new("PATCH", format!("{folder}/a")).body(MERGE, body),
        )
        .await;
    }
    create(&mut both, &folder, "b").await;
    both.expect(200, &Asked::new("DELETE", format!("{folder}/a")))
        .await;
    let called = |all: &[&str]| {
        all.iter()
            .map(|one| ((*one).to_owned(), "a".to_owned()))
            .collect::<Vec<_>>()
    };
    let phases = called(&[
        "ADDED", "MODIFIED", "DELETED", "ADDED", "MODIFIED", "DELETED",
    ]);
    for event in phases {
        assert_eq!(next(&mut both, &mut gone).await, event);
    }
    for event in called(&["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]) {
        assert_eq!(next(&mut both, &mut fleet).await, event);
    }
    for event in called(&["MODIFIED"; 6])
        .into_iter()
        .chain(called(&["DELETED"]))
    {
        assert_eq!(next(&mut both, &mut metadata).await, event);
    }
}

#[tokio::test]
async fn a_watch_ends_with_a_bookmark() {
    let mut both = both().await;
    let folder = space(&mut both, "watch-ends").await;
    let made = create(&mut both, &folder, "a").await;
    let short = || Asked::new("GET", folder.clone()).param("timeoutSeconds=4");
    let mut lines = begin(&mut both, short(), Some(&made)).await;
    let memory = lines.1.next(PATIENCE).await.unwrap();
    assert_eq!(memory["type"], "BOOKMARK");
    // The real server sometimes omits this bookmark.
    let real = lines.0.next(PATIENCE).await;
    let plain = |mut line: Value| {
        line["object"]["metadata"]["resourceVersion"] = json!("");
        line
    };
    assert!(real.is_none_or(|real| plain(real) == plain(memory)));
    let ahead = |body: &Value| {
        let version: u64 = body["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        json!({"metadata": {"resourceVersion": (version + 100_000).to_string()}})
    };
    let ahead = Pair(ahead(&made.0), ahead(&made.1));
    let mut silent = begin(&mut both, short(), Some(&ahead)).await;
    for lines in [&mut lines.1, &mut silent.1] {
        let line = lines.next(PATIENCE).await;
        assert!(line.is_none(), "{line:?}");
    }
    // A busy real server sends it more than once.
    for lines in [&mut lines.0, &mut silent.0] {
        while let Some(line) = lines.next(PATIENCE).await {
            assert_eq!(line["type"], "BOOKMARK", "{line}");
        }
    }
}

/// The next event about this object, without events about others and bookmarks.
async fn about(lines: &mut Lines, path: [&str; 2]) -> Value {
    let [namespace, name] = path;
    loop {
        let line = lines.next(PATIENCE).await.expect("an event");
        let of = &line["object"]["metadata"];
        if of["name"] == name && of["namespace"].as_str().unwrap_or_default() == namespace {
            return line;
        }
    }
}

/// The operator's other watches: of the whole cluster, of one Secret and one definition by name, and of all namespaces.
#[tokio::test]
async fn the_operators_watches_show_equal_events() {
    const DEFINITION: &str = "platforms.iodm.dev";
    let mut both = both().await;
    let namespace = "watch-all";
    let packages = space(&mut both, namespace).await;
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let made = create(&mut both, &packages, "first").await;
    let secret = |name: &str, word: &str| {
        Pair::same(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"word": word},
        }))
    };
    let read = |path: &str| Asked::new("GET", path).param("timeoutSeconds=60");
    let all = "/apis/iodm.dev/v1alpha1/versionpackages";
    let mut cluster = begin(&mut both, read(all), Some(&made)).await;
    let named = read(&secrets).param("fieldSelector=metadata.name%3Dours");
    let mut by_name = begin(&mut both, named, Some(&made)).await;
    let mut spaces = begin(&mut both, read("/api/v1/namespaces"), Some(&made)).await;
    // The definition was created differently on each side, so only its later events are compared.
    let definition = format!("{definitions}/{DEFINITION}");
    let get = Asked::new("GET", &*definition);
    let real = both.ask(Side::Real, &get).await.body;
    let before = Pair(real, both.ask(Side::Memory, &get).await.body);
    let defined = read(definitions).param(&format!("fieldSelector=metadata.name%3D{DEFINITION}"));
    let mut defined = begin(&mut both, defined, Some(&before)).await;

    create(&mut both, &packages, "second").await;
    both.expect(200, &Asked::new("DELETE", format!("{packages}/second")))
        .await;
    for name in ["theirs", "ours"] {
        both.expect(
            201,
            &Asked::new("POST", &*secrets).body(JSON, secret(name, "a")),
        )
        .await;
    }
    let changed = Asked::new("PATCH", format!("{secrets}/ours")).body(MERGE, secret("ours", "b"));
    both.expect(200, &changed).await;
    both.expect(200, &Asked::new("DELETE", format!("{secrets}/ours")))
        .await;
    let label = |value: Value| Pair::same(json!({"metadata": {"labels": {"watched": value}}}));
    let space = format!("/api/v1/namespaces/{namespace}");
    let labelled = Asked::new("PATCH", space).body(MERGE, label(json!("yes")));
    both.expect(200, &labelled).await;
    for value in [json!("yes"), Value::Null] {
        let changed = Asked::new("PATCH", &*definition).body(MERGE, label(value));
        for side in [Side::Real, Side::Memory] {
            assert_eq!(both.ask(side, &changed).await.code, 200);
        }
    }

    let expected = [
        (
            &mut cluster,
            [namespace, "second"],
            &["ADDED", "DELETED"][..],
        ),
        (
            &mut by_name,
            [namespace, "ours"],
            &["ADDED", "MODIFIED", "DELETED"],
        ),
        (&mut spaces, ["", namespace], &["MODIFIED"]),
    ];
    for (lines, path, events) in expected {
        for event in events {
            let real = about(&mut lines.0, path).await;
            let memory = about(&mut lines.1, path).await;
            assert_eq!(real["type"], *event, "{real}");
            let found = both.mapping.differences(&real, &memory);
            assert!(found.is_empty(), "{found:?}\n{real}\n{memory}");
        }
    }
    for label in [json!("yes"), Value::Null] {
        for lines in [&mut defined.0, &mut defined.1] {
            let line = about(lines, ["", DEFINITION]).await;
            let said = &line["object"]["metadata"]["labels"]["watched"];
            assert_eq!((&line["type"], said), (&json!("MODIFIED"), &label));
        }
    }
}
