use std::pin::pin;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::Uri;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ApiResource;
use serde_json::{Value, json};

use super::*;
use crate::raw::Raw;
use crate::sight::{Sight, WatchKind};

/// An API server that answers lists and watches by a script.
#[derive(Clone, Default)]
struct Script {
    lists: Arc<Mutex<VecDeque<String>>>,
    watches: Arc<Mutex<VecDeque<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(lists: &[String], watches: &[String]) -> Self {
        Self {
            lists: Arc::new(Mutex::new(lists.iter().cloned().collect())),
            watches: Arc::new(Mutex::new(watches.iter().cloned().collect())),
            asked: Arc::default(),
        }
    }

    fn follow(&self, sight: &Arc<Sight>) -> impl Stream<Item = Result<Event<Raw>>> + use<> {
        let script = self.clone();
        let answer = move |uri: Uri| {
            let script = script.clone();
            async move {
                let query = uri.query().unwrap_or_default().to_owned();
                let watch = query.contains("watch=true");
                script.asked.lock().unwrap().push(query);
                let next = if watch {
                    script.watches.lock().unwrap().pop_front()
                } else {
                    script.lists.lock().unwrap().pop_front()
                };
                match next {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            }
        };
        let client = Client::new(Router::new().fallback(answer), "default");
        let kind = ApiResource::erase::<ConfigMap>(&());
        let wanted = WatchScope {
            page: 2,
            seconds: 50,
            fields: None,
        };
        follow(
            Api::all_with(client, &kind),
            wanted,
            sight.eye(WatchKind::Packages),
        )
    }
}

fn item(name: &str, version: &str) -> Value {
    json!({"metadata": {"name": name, "resourceVersion": version}})
}

fn list(version: &str, items: &[Value]) -> String {
    json!({"metadata": {"resourceVersion": version}, "items": items}).to_string()
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

/// The events of the stream as texts, until no event comes for `patience`.
async fn all(events: impl Stream<Item = Result<Event<Raw>>>, patience: u64) -> Vec<String> {
    let mut events = pin!(events);
    let mut told = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(patience), events.next()).await {
        let name = |object: Raw| object.metadata.name.unwrap_or_default();
        told.push(match event {
            Ok(Event::Init) => "list".to_owned(),
            Ok(Event::InitApply(object)) => format!("has {}", name(object)),
            Ok(Event::InitDone) => "end".to_owned(),
            Ok(Event::Apply(object)) => format!("now {}", name(object)),
            Ok(Event::Delete(object)) => format!("gone {}", name(object)),
            Err(error) => super::told(&error),
        });
    }
    told
}

#[tokio::test(start_paused = true)]
async fn pages_and_changes_come_in_their_order() {
    let first = json!({"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [item("a", "1"), item("b", "2")]});
    let lines = [
        line("ADDED", &item("d", "8")),
        line("BOOKMARK", &item("", "9")),
        line("DELETED", &item("a", "10")),
    ];
    let script = Script::new(
        &[first.to_string(), list("7", &[item("c", "3")])],
        &[lines.concat()],
    );
    let sight = Arc::default();
    let told = all(script.follow(&sight), 10).await;
    assert_eq!(
        told,
        ["list", "has a", "has b", "has c", "end", "now d", "gone a"]
    );
    let asked = script.asked.lock().unwrap().clone();
    assert!(asked[1].contains("continue=more"), "{asked:?}");
    assert!(asked[2].contains("resourceVersion=7"), "{asked:?}");
    assert!(asked[3].contains("resourceVersion=10"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_json_is_no_reason_to_go_on_but_for_a_new_list() {
    let broken = format!("{}<html>\n", line("ADDED", &item("b", "8")));
    let script = Script::new(
        &[
            list("7", &[item("a", "1")]),
            "<html>".to_owned(),
            list("9", &[]),
        ],
        &[broken],
    );
    let sight: Arc<Sight> = Arc::default();
    let begun = Instant::now();
    let told = all(script.follow(&sight), 40).await;
    let garbage = "what the API server sent is no JSON";
    assert_eq!(
        told,
        [
            "list", "has a", "end", "now b", garbage, "list", garbage, "list", "end"
        ]
    );
    let pauses = begun.elapsed().saturating_sub(Duration::from_secs(40));
    assert!(pauses >= Duration::from_secs(15) && pauses < Duration::from_secs(16));
}

#[tokio::test(start_paused = true)]
async fn until_the_new_list_is_there_nothing_is_sent_and_it_is_told_why() {
    let script = Script::new(&[list("7", &[]), list("8", &[])], &["no json\n".to_owned()]);
    let sight: Arc<Sight> = Arc::default();
    let mut events = pin!(script.follow(&sight));
    for _ in 0..3 {
        let _ = events.next().await;
    }
    let why = sight.hindrance().unwrap();
    assert!(why.contains("VersionPackages"), "{why}");
    let trouble = sight.trouble(Duration::ZERO, Instant::now()).unwrap();
    assert!(trouble.words.contains("no JSON"), "{}", trouble.words);
    let _ = timeout(Duration::from_secs(20), async {
        while let Some(event) = events.next().await {
            drop(event);
        }
    })
    .await;
    assert_eq!(sight.hindrance(), None);
    assert_eq!(sight.trouble(Duration::ZERO, Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_cut_by_the_end_of_its_connection_is_read_again() {
    let whole = line("ADDED", &item("b", "9"));
    let cut = format!("{}{}", line("ADDED", &item("a", "8")), &whole[..20]);
    let script = Script::new(&[list("7", &[])], &[cut, whole]);
    let sight = Arc::default();
    let told = all(script.follow(&sight), 10).await;
    assert_eq!(told, ["list", "end", "now a", "now b"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_says_nothing_at_all_is_told_of_and_begun_anew() {
    let script = Script::new(&[list("7", &[])], &[String::new()]);
    let sight = Arc::default();
    let told = all(script.follow(&sight), 10).await;
    assert_eq!(told, ["list", "end", "the watch is silent"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_older_than_what_was_seen_makes_everything_be_listed_anew() {
    let gone = json!({"kind": "Status", "code": 410, "message": "too old"});
    let script = Script::new(
        &[
            list("70", &[]),
            list("9", &[]),
            list("9", &[item("a", "5")]),
        ],
        &[line("ERROR", &gone)],
    );
    let sight: Arc<Sight> = Arc::default();
    let told = all(script.follow(&sight), 10).await;
    assert_eq!(
        told,
        ["list", "end", "too old", "list", "list", "has a", "end"]
    );
    assert!(sight.graces_since().is_some());
    assert_eq!(sight.rounds().catch_up(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_failed_goes_on_only_in_a_store_that_is_as_far_as_before() {
    let far = list("71", &[item("a", "5")]);
    let script = Script::new(&[list("70", &[]), far], &[String::new(), String::new()]);
    let sight: Arc<Sight> = Arc::default();
    let told = all(script.follow(&sight), 10).await;
    assert_eq!(
        told,
        ["list", "end", "the watch is silent", "the watch is silent"]
    );
    assert_eq!(sight.rounds().catch_up(), 0);
    let asked = script.asked.lock().unwrap().clone();
    assert!(asked[2].contains("limit=1"), "{asked:?}");
    assert!(
        asked[3].contains("watch=true") && asked[3].contains("resourceVersion=70"),
        "{asked:?}"
    );

    let back = [
        list("70", &[]),
        list("9", &[]),
        list("9", &[item("a", "5")]),
    ];
    let script = Script::new(&back, &[String::new()]);
    let told = all(script.follow(&sight), 10).await;
    assert_eq!(
        told,
        ["list", "end", "the watch is silent", "list", "has a", "end"]
    );
    assert_eq!(sight.rounds().catch_up(), 1);
}

#[test]
fn pauses_after_garbage_double_up_to_five_minutes_and_begin_anew_after_a_good_while() {
    let mut garbage = Garbage::default();
    let mut now = Instant::now();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let pause = garbage.pause(now);
        pauses.push(pause.as_secs());
        now += pause;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
    now += Duration::from_secs(601);
    assert_eq!(garbage.pause(now).as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_asked_for_again_with_fewer_objects_from_the_same_place() {
    let large = |name: &str| json!({"metadata": {"name": name, "resourceVersion": "1", "labels": {"x": "y".repeat(3 << 20)}}});
    let begins = |items: &[Value]| {
        json!({"metadata": {"resourceVersion": "7", "continue": "more"}, "items": items})
            .to_string()
    };
    let lists = [
        begins(&[item("a", "1")]),
        list("7", &[large("b"), large("c")]),
        begins(&[large("b")]),
        list("7", &[large("c")]),
    ];
    let script = Script::new(&lists, &[]);
    let told = all(script.follow(&Arc::default()), 10).await;
    assert_eq!(told, ["list", "has a", "has b", "has c", "end"]);
    let asked = script.asked.lock().unwrap().clone();
    let limits = [
        "limit=2",
        "limit=2&continue=more",
        "limit=1&continue=more",
        "limit=1&continue=more",
    ];
    for (asked, limit) in asked.iter().zip(limits) {
        assert!(asked.contains(limit), "{asked:?}");
    }
}
