//! The fault proxy of the API server behaves as the tests of stale watches require.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod support;

use std::future::ready;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams, WatchEvent, WatchParams};
use tokio::time::timeout;

use support::{ApiProxy, Plane, wait_for};

const SOON: Duration = Duration::from_secs(10);
/// Long compared with loopback watch events, which arrive within milliseconds.
const SILENCE: Duration = Duration::from_millis(500);

fn named(name: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.to_owned());
    object
}

/// The names of the objects that a watch reports, until it ends or breaks.
async fn added(objects: &Api<ConfigMap>) -> BoxStream<'static, String> {
    let watch = objects.watch(&WatchParams::default(), "0").await.unwrap();
    watch
        .scan((), |(), event| ready(event.ok()))
        .filter_map(async |event| match event {
            WatchEvent::Added(object) => object.metadata.name,
            WatchEvent::Bookmark(_) => None,
            other => panic!("{other:?}"),
        })
        .boxed()
}

async fn objects(namespace: &str, proxy: &ApiProxy) -> Api<ConfigMap> {
    let client = Plane::shared().client_for(proxy.kubeconfig()).await;
    Api::namespaced(client, namespace)
}

#[tokio::test]
async fn a_held_watch_is_silent_while_reads_work_and_sends_all_events_once_released() {
    let plane = Plane::shared();
    let namespace = plane.namespace("held");
    let proxy = ApiProxy::start(plane, plane.kubeconfig());
    let objects = objects(&namespace, &proxy).await;
    let mut events = added(&objects).await;

    objects
        .create(&PostParams::default(), &named("before"))
        .await
        .unwrap();
    assert_eq!(events.next().await.unwrap(), "before");

    proxy.hold_watch("configmaps");
    for name in ["first", "second"] {
        objects
            .create(&PostParams::default(), &named(name))
            .await
            .unwrap();
    }
    assert!(objects.get_opt("second").await.unwrap().is_some());
    timeout(SILENCE, events.next()).await.unwrap_err();

    proxy.release_watch();
    assert_eq!(events.next().await.unwrap(), "first");
    assert_eq!(events.next().await.unwrap(), "second");
}

#[tokio::test]
async fn another_kinds_watch_goes_on_while_one_is_held() {
    let plane = Plane::shared();
    let namespace = plane.namespace("other");
    let proxy = ApiProxy::start(plane, plane.kubeconfig());
    proxy.hold_watch("versionpackages");
    let objects = objects(&namespace, &proxy).await;
    let mut events = added(&objects).await;
    objects
        .create(&PostParams::default(), &named("a"))
        .await
        .unwrap();
    assert_eq!(events.next().await.as_deref(), Some("a"));
}

#[tokio::test]
async fn an_expired_watch_ends_with_a_410_and_the_next_one_works() {
    let plane = Plane::shared();
    let namespace = plane.namespace("expired");
    let proxy = ApiProxy::start(plane, plane.kubeconfig());
    let objects = objects(&namespace, &proxy).await;
    let create = async |name| {
        let created = objects.create(&PostParams::default(), &named(name)).await;
        created.unwrap();
    };
    let watch = objects.watch(&WatchParams::default(), "0").await.unwrap();
    let mut first = watch
        .filter_map(async |event| match event.unwrap() {
            WatchEvent::Bookmark(_) => None,
            WatchEvent::Error(status) => Some(status.code.to_string()),
            WatchEvent::Added(object) => object.metadata.name,
            other => panic!("{other:?}"),
        })
        .boxed();
    create("a").await;
    assert_eq!(first.next().await.unwrap(), "a");

    proxy.expire_watch("configmaps");
    let end = timeout(SOON, first.collect::<Vec<_>>()).await;
    assert_eq!(end.unwrap(), ["410"]);

    let mut second = added(&objects).await;
    create("b").await;
    for name in ["a", "b"] {
        assert_eq!(second.next().await.unwrap(), name);
    }
}

#[tokio::test]
async fn requests_for_a_failing_kind_get_a_500_while_other_kinds_and_open_watches_work() {
    let plane = Plane::shared();
    let namespace = plane.namespace("failing");
    let proxy = ApiProxy::start(plane, plane.kubeconfig());
    let objects = objects(&namespace, &proxy).await;
    let mut events = added(&objects).await;

    proxy.fail("configmaps");
    let error = objects.get_opt("a").await.unwrap_err();
    assert!(
        matches!(&error, kube::Error::Api(status) if status.code == 500),
        "{error}"
    );
    let kubectl = |arguments: &[&str]| {
        plane
            .kubectl_with(proxy.kubeconfig(), arguments, "")
            .expect_ok()
    };
    kubectl(&["get", "secrets", "-n", &namespace]);
    let create = ["create", "configmap", "a", "-n", &namespace];
    plane.kubectl(&create).expect_ok();
    let shown = timeout(SOON, events.next()).await.unwrap();
    assert_eq!(shown.as_deref(), Some("a"));

    proxy.fail_no_more();
    assert!(objects.get_opt("a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_cut_ends_watches_and_refuses_calls_until_it_is_repaired() {
    let plane = Plane::shared();
    let namespace = plane.namespace("cut");
    let proxy = ApiProxy::start(plane, plane.kubeconfig());
    let objects = objects(&namespace, &proxy).await;
    let mut events = added(&objects).await;

    proxy.cut();
    assert_eq!(timeout(SOON, events.next()).await.unwrap(), None);
    assert!(objects.get_opt("a").await.is_err());

    proxy.mend();
    wait_for("the line to carry again", SOON, async || {
        objects.get_opt("a").await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_delayed_request_is_answered_later() {
    let plane = Plane::shared();
    let namespace = plane.namespace("delayed");
    let proxy = ApiProxy::start(plane, plane.kubeconfig());
    let objects = objects(&namespace, &proxy).await;
    proxy.delay(SILENCE);
    let began = tokio::time::Instant::now();
    objects.get_opt("a").await.unwrap();
    assert!(began.elapsed() >= SILENCE);
}

#[test]
fn kubectl_works_through_the_proxy() {
    let plane = Plane::shared();
    let proxy = ApiProxy::start(plane, plane.kubeconfig());
    let said = plane.kubectl_with(proxy.kubeconfig(), &["get", "namespaces"], "");
    assert!(said.expect_ok().contains("kube-system"));
}
