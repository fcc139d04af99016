mod api_server;

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{advance, sleep};

use self::api_server::ApiServer;
use super::super::credentials::tests::secret;
use super::super::keeper::tests::{Bench, labels};
use super::super::namespace::Namespace;
use super::super::object::tests::spec;
use super::super::reads::{FRESH, READ_TIMEOUT};
use super::*;
use crate::api::names::IN_USE_FINALIZER;
use crate::sight::Compared;

fn whole(spec: &Value) -> Value {
    json!({
        "apiVersion": "iodm.dev/v1alpha1", "kind": "Platform",
        "metadata": {"namespace": "iot", "name": "production", "uid": "uid-production", "generation": 3},
        "spec": spec
    })
}

fn permissive() -> Value {
    let mut spec = spec();
    spec["allowedNamespaces"] = json!({"from": "All"});
    spec
}

/// A directory in which the Platform with `spec` is usable, and an API server that serves the same Platform.
fn known(spec: &Value) -> (ApiServer, Bench) {
    let server = ApiServer::new(whole(spec));
    let mut bench = Bench::with(server.client());
    for kind in WatchKind::DEFINITIONS {
        compare(&bench, kind, 1);
    }
    bench.list(&[whole(spec)]);
    bench.see("iot-app", secret(&[("appId", "app-1"), ("secret", "s")]));
    (server, bench)
}

/// Reports a complete definition of this generation, as the watch would.
fn compare(bench: &Bench, kind: WatchKind, generation: i64) {
    let compared = Compared {
        uid: "d".to_owned(),
        generation,
    };
    bench
        .directory
        .sight
        .define(kind, Ok(compared), Instant::now());
}

fn production() -> ObjectKey {
    ObjectKey::new("iot", "production")
}

async fn ask(bench: &Bench) -> Result<Resolution, Unconfirmed> {
    bench.directory.confirm(&production(), "fleet").await
}

fn mode(confirmed: Result<Resolution, Unconfirmed>) -> Mode {
    match confirmed {
        Ok(Resolution::Usable(usable)) => usable.mode,
        Ok(_) => panic!("not usable"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn one_get_serves_all_who_ask_within_half_a_second_and_no_longer() {
    let (server, bench) = known(&permissive());
    let all = futures::future::join_all((0..50).map(|_| ask(&bench))).await;
    assert!(all.into_iter().all(|one| mode(one) == Mode::Enforce));
    assert_eq!(server.asked(), 1);
    advance(FRESH.saturating_sub(Duration::from_millis(1))).await;
    mode(ask(&bench).await);
    assert_eq!(server.asked(), 1);
    advance(Duration::from_millis(2)).await;
    mode(ask(&bench).await);
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_costs_one_time_out_for_all_who_wait() {
    let (server, bench) = known(&permissive());
    server.0.gate.forget_permits(Semaphore::MAX_PERMITS);
    let begun = Instant::now();
    let all = futures::future::join_all((0..50).map(|_| ask(&bench))).await;
    assert!(all.into_iter().all(|one| {
        one.err()
            .is_some_and(|why| why.to_string().contains("no answer in time"))
    }));
    assert_eq!(begun.elapsed().as_secs(), READ_TIMEOUT.as_secs());
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_took_longer_than_a_second_to_read_is_not_acted_on() {
    for (millis, acted_on) in [(999, true), (1001, false)] {
        let (server, bench) = known(&permissive());
        server.0.gate.forget_permits(Semaphore::MAX_PERMITS);
        let answered = async {
            sleep(Duration::from_millis(millis)).await;
            server.0.gate.add_permits(1);
        };
        let (read, ()) = tokio::join!(ask(&bench), answered);
        assert_eq!(read.is_ok(), acted_on, "{millis} ms");
        server.0.gate.add_permits(1);
        assert!(ask(&bench).await.is_ok(), "it is read anew");
    }
}

#[tokio::test(start_paused = true)]
async fn the_emergency_stop_needs_no_watch() {
    let (server, bench) = known(&permissive());
    let mut observing = permissive();
    observing["mode"] = json!("Observe");
    server.set_platform(Some(whole(&observing)));
    assert_eq!(mode(ask(&bench).await), Mode::Observe);
}

fn changed(generation: i64, mode: &str) -> Value {
    let mut spec = permissive();
    spec["mode"] = json!(mode);
    let mut platform = whole(&spec);
    platform["metadata"]["generation"] = json!(generation);
    platform["metadata"]["finalizers"] = json!([IN_USE_FINALIZER]);
    platform
}

/// The mode by the directory alone, as a pass uses it that is not about to call.
fn known_mode(bench: &Bench) -> Mode {
    mode(Ok(bench.directory.resolve(&production(), "fleet")))
}

#[tokio::test(start_paused = true)]
async fn what_a_get_shows_first_counts_for_everybody_and_no_older_event_takes_it_back() {
    let (server, mut bench) = known(&permissive());
    server.set_platform(Some(changed(4, "Observe")));
    assert_eq!(mode(ask(&bench).await), Mode::Observe);
    for read in bench.directory.newer().await {
        bench.keeper.overtaken(read);
    }
    assert_eq!(known_mode(&bench), Mode::Observe);
    bench.apply(&changed(3, "Enforce"));
    assert_eq!(known_mode(&bench), Mode::Observe);
    bench.apply(&changed(5, "Enforce"));
    assert_eq!(known_mode(&bench), Mode::Enforce);
    // This read is older than the directory.
    let read = super::super::object::tests::object(&changed(4, "Observe"));
    let read = PlatformRead::Found(Arc::new(read));
    bench
        .keeper
        .overtaken(NewerRead::Platform(production(), read));
    assert_eq!(known_mode(&bench), Mode::Enforce);
}

#[tokio::test(start_paused = true)]
async fn a_platform_is_read_again_until_the_watch_has_shown_what_a_get_has() {
    let (server, mut bench) = known(&permissive());
    let directory = Arc::clone(&bench.directory);
    let mut following = std::pin::pin!(directory.follow_overtaken());
    let mut newer = async |bench: &mut Bench| {
        tokio::select! {
            newer = directory.newer() => {
                for read in newer {
                    bench.keeper.overtaken(read);
                }
                true
            }
            () = sleep(Duration::from_secs(60)) => false,
            never = &mut following => never,
        }
    };
    server.set_platform(Some(changed(4, "Observe")));
    mode(ask(&bench).await);
    assert!(newer(&mut bench).await);
    server.set_platform(Some(changed(5, "Enforce")));
    assert!(newer(&mut bench).await, "nobody asked, and yet it was read");
    assert_eq!(known_mode(&bench), Mode::Enforce);
    bench.apply(&changed(5, "Enforce"));
    let asked = server.asked();
    assert!(!newer(&mut bench).await);
    assert_eq!(server.asked(), asked, "the watch has caught up");
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_the_watch_shows_counts_before_the_shared_read_is_old() {
    let (_server, mut bench) = known(&permissive());
    assert_eq!(mode(ask(&bench).await), Mode::Enforce);
    let mut observing = permissive();
    observing["mode"] = json!("Observe");
    bench.apply(&whole(&observing));
    assert_eq!(mode(ask(&bench).await), Mode::Observe);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_no_longer_allowed_is_refused_before_the_watch_shows_it() {
    let (server, bench) = known(&permissive());
    server.set_platform(Some(whole(&spec())));
    assert!(matches!(ask(&bench).await, Ok(Resolution::NotAllowed)));
}

#[tokio::test(start_paused = true)]
async fn anything_else_that_differs_gives_the_permit_back() {
    let mut elsewhere = permissive();
    elsewhere["endpoint"] = json!("https://other.example.com");
    let mut recreated = whole(&permissive());
    recreated["metadata"]["uid"] = json!("another");
    let mut leaving = whole(&permissive());
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut unreadable = permissive();
    unreadable["quota"] = json!(7);
    for other in [
        whole(&elsewhere),
        recreated,
        leaving,
        whole(&unreadable),
        json!("broken"),
    ] {
        let (server, bench) = known(&permissive());
        server.set_platform(Some(other.clone()));
        assert!(ask(&bench).await.is_err(), "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_gone_is_not_found() {
    let (server, bench) = known(&permissive());
    server.set_platform(None);
    assert!(matches!(ask(&bench).await, Ok(Resolution::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_selector_is_asked_with_labels_read_now() {
    let mut selecting = spec();
    selecting["allowedNamespaces"] =
        json!({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}});
    let (server, mut bench) = known(&selecting);
    bench.namespace("fleet", labels(&[("team", "a")]));
    assert!(matches!(ask(&bench).await, Ok(Resolution::NotAllowed)));
    assert_eq!(server.asked(), 2);
    *server.0.namespace.lock().unwrap() =
        Some(json!({"metadata": {"name": "fleet", "labels": {"team": "a"}}}));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(mode(ask(&bench).await), Mode::Enforce);
}

fn labelled(version: &str, team: &str) -> Value {
    json!({"metadata": {"name": "fleet", "resourceVersion": version, "labels": {"team": team}}})
}

fn namespace(version: &str, team: &str) -> Namespace {
    let meta = labelled(version, team)["metadata"].take();
    serde_json::from_value::<ObjectMeta>(meta).unwrap().into()
}

/// Whether the directory alone allows an object in the Namespace.
fn is_allowed(bench: &Bench) -> bool {
    let known = bench.directory.resolve(&production(), "fleet");
    !matches!(known, Resolution::NotAllowed)
}

#[tokio::test(start_paused = true)]
async fn labels_that_a_get_shows_first_count_for_everybody_and_no_older_event_takes_them_back() {
    let mut selecting = spec();
    selecting["allowedNamespaces"] =
        json!({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}});
    let (server, mut bench) = known(&selecting);
    bench.namespace("fleet", namespace("9", "a"));
    *server.0.namespace.lock().unwrap() = Some(labelled("10", "b"));
    assert!(matches!(ask(&bench).await, Ok(Resolution::NotAllowed)));
    assert!(is_allowed(&bench), "not yet handed on");
    for read in bench.directory.newer().await {
        bench.keeper.overtaken(read);
    }
    assert!(!is_allowed(&bench));
    bench.namespace("fleet", namespace("9", "a"));
    assert!(!is_allowed(&bench));
    let listed = HashMap::from([("fleet".to_owned(), namespace("9", "a"))]);
    bench.keeper.namespaces_listed(listed);
    assert!(!is_allowed(&bench), "the list was as old");
    bench.keeper.namespace_gone("fleet", &namespace("9", "a"));
    assert!(!is_allowed(&bench), "the end of another, before this one");
    bench.namespace("fleet", namespace("11", "a"));
    assert!(is_allowed(&bench));
}

#[tokio::test(start_paused = true)]
async fn a_platform_whose_end_a_get_shows_first_is_gone_for_everybody_but_not_its_successor() {
    let (server, mut bench) = known(&permissive());
    server.set_platform(None);
    assert!(matches!(ask(&bench).await, Ok(Resolution::NotFound)));
    let reads = bench.directory.newer().await;
    let gone = |bench: &Bench| {
        let known = bench.directory.resolve(&production(), "fleet");
        matches!(known, Resolution::NotFound)
    };
    let mut successor = whole(&permissive());
    successor["metadata"]["uid"] = json!("another");
    bench.apply(&successor);
    for read in reads {
        bench.keeper.overtaken(read);
    }
    assert!(!gone(&bench));
    // The shared read began before the successor was known, so it proves nothing about the successor.
    assert!(ask(&bench).await.is_err());

    sleep(Duration::from_secs(2)).await;
    assert!(matches!(ask(&bench).await, Ok(Resolution::NotFound)));
    for read in bench.directory.newer().await {
        bench.keeper.overtaken(read);
    }
    assert!(gone(&bench));
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_was_changed_and_not_compared_since_gives_the_permit_back() {
    let (server, bench) = known(&permissive());
    assert_eq!(mode(ask(&bench).await), Mode::Enforce);
    server.0.definitions.store(2, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    let why = ask(&bench).await.err().unwrap().to_string();
    assert!(why.contains("CustomResourceDefinition"), "{why}");
    for kind in WatchKind::DEFINITIONS {
        compare(&bench, kind, 2);
    }
    assert_eq!(mode(ask(&bench).await), Mode::Enforce);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_where_the_caches_already_refuse() {
    let (server, bench) = known(&spec());
    assert!(matches!(ask(&bench).await, Ok(Resolution::NotAllowed)));
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_confirmation_can_be_awaited_on_any_thread() {
    fn sendable(_: impl Send) {}
    let server = ApiServer::new(Value::Null);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let directory = Directory::new(server.client(), Arc::default());
    sendable(directory.confirm(&production(), "fleet"));
}

#[tokio::test(start_paused = true)]
async fn credentials_are_confirmed_only_where_application_secret_and_kind_are_those_in_use() {
    for server_name in [None, Some("other.example.com")] {
        let mut spec = permissive();
        if let Some(name) = server_name {
            spec["tls"] = json!({"serverName": name});
        }
        let (server, bench) = known(&spec);
        for (held, same) in [
            (vec![("appId", "app-1"), ("secret", "s")], true),
            (vec![("appId", "app-1"), ("secret", "another")], false),
            (vec![("appId", "app-2"), ("secret", "s")], false),
            (vec![("appKey", "app-1"), ("accessToken", "s")], false),
            (vec![("appId", "app-1")], false),
            (vec![("appId", "app-1"), ("secret", "s")], true),
        ] {
            *server.0.credentials.lock().unwrap() = held.clone();
            advance(FRESH + Duration::from_millis(1)).await;
            let platform = production();
            let read = bench.directory.confirm_credentials(&platform, "fleet");
            assert_eq!(read.await.unwrap().0, same, "{held:?} {server_name:?}");
        }
    }
}
