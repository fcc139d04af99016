//! Watches by themselves: how they begin, what selectors make of events, and how they end.

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

/// A watch on both sides, from the version of an object or without one.
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

/// The next events have to be alike; returns the type and the name.
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
async fn a_watch_without_a_version_begins_with_what_is_there() {
    let mut both = both().await;
    let folder = space(&mut both, "watch-begins").await;
    for name in ["b", "a"] {
        create(&mut both, &folder, name).await;
    }
    for more in ["timeoutSeconds=60", "timeoutSeconds=60&resourceVersion=0"] {
        let asked = Asked::new("GET", folder.clone()).param(more);
        let mut lines = begin(&mut both, asked, None).await;
        // In which order they come is left to chance there.
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
async fn what_no_longer_fits_a_selector_is_told_as_deleted() {
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
async fn a_watch_says_before_its_end_how_far_it_has_come() {
    let mut both = both().await;
    let folder = space(&mut both, "watch-ends").await;
    let made = create(&mut both, &folder, "a").await;
    let short = || Asked::new("GET", folder.clone()).param("timeoutSeconds=4");
    let mut lines = begin(&mut both, short(), Some(&made)).await;
    let memory = lines.1.next(PATIENCE).await.unwrap();
    assert_eq!(memory["type"], "BOOKMARK");
    // The real one leaves it out at times.
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
    // And tells it more than once where it is busy.
    for lines in [&mut lines.0, &mut silent.0] {
        while let Some(line) = lines.next(PATIENCE).await {
            assert_eq!(line["type"], "BOOKMARK", "{line}");
        }
    }
}
