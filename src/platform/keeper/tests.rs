use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::super::credentials::tests::secret;
use super::super::object::tests::{object, spec};
use super::super::{Resolution, Usable};
use super::*;
use crate::api::platform::PlatformReason;

/// A keeper and its directory; the test calls the keeper in place of the watches.
pub(in crate::platform) struct Bench {
    pub directory: Arc<Directory>,
    pub keeper: Keeper,
    changed: mpsc::UnboundedReceiver<ObjectKey>,
}

impl Bench {
    fn new() -> Self {
        Self::with(kube::Client::new(Router::new(), "default"))
    }

    pub(in crate::platform) fn with(client: kube::Client) -> Self {
        let directory = Directory::new(client, Arc::default());
        let (wake, _) = mpsc::unbounded_channel();
        let (tell, changed) = mpsc::unbounded_channel();
        let timeouts = crate::remote::client::Timeouts {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(15),
        };
        let sessions = Sessions::new(
            Duration::from_secs(15),
            wake,
            crate::clock::Clock::default(),
        );
        Self {
            keeper: Keeper::new(
                Arc::clone(&directory),
                sessions,
                Guards::new(
                    mpsc::unbounded_channel().0,
                    Arc::default(),
                    Box::new(|_, _| 100),
                    crate::clock::Clock::default(),
                ),
                crate::remote::client::https(timeouts),
                crate::clock::Clock::default(),
                tell,
            ),
            directory,
            changed,
        }
    }

    /// Hands the first lists to the keeper: these Platforms, and no Namespace.
    pub(in crate::platform) fn list(&mut self, platforms: &[Value]) {
        self.keeper
            .platforms_listed(platforms.iter().map(object).collect());
        self.keeper.namespaces_listed(HashMap::new());
    }

    pub(in crate::platform) fn apply(&mut self, platform: &Value) {
        self.keeper.platform_applied(object(platform));
        self.keeper.secrets_to_watch();
    }

    pub(in crate::platform) fn see(&mut self, name: &str, seen: SeenSecret) {
        self.keeper.secret_seen(&ObjectKey::new("iot", name), seen);
    }

    pub(in crate::platform) fn namespace(&mut self, name: &str, namespace: Namespace) {
        self.keeper.namespace_applied(name.to_owned(), namespace);
    }

    fn resolve(&self, namespace: &str) -> Resolution {
        self.directory
            .resolve(&ObjectKey::new("iot", "production"), namespace)
    }

    fn usable(&self) -> Usable {
        match self.resolve("iot") {
            Resolution::Usable(usable) => usable,
            other => panic!("{}", word(&other)),
        }
    }

    /// The number of notifications since the last call of this method.
    fn told(&mut self) -> usize {
        std::iter::from_fn(|| self.changed.try_recv().ok()).count()
    }
}

pub(in crate::platform) fn labels(pairs: &[(&str, &str)]) -> Namespace {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Namespace {
        labels: pairs.iter().map(owned).collect::<BTreeMap<_, _>>(),
        ..Namespace::default()
    }
}

fn word(resolution: &Resolution) -> String {
    match resolution {
        Resolution::Unread => "Unread".to_owned(),
        Resolution::NotFound => "NotFound".to_owned(),
        Resolution::NotAllowed => "NotAllowed".to_owned(),
        Resolution::Unusable { reason, .. } => reason.as_str().to_owned(),
        Resolution::Usable(_) => "Usable".to_owned(),
    }
}

fn whole(spec: &Value) -> Value {
    json!({"metadata": {"namespace": "iot", "name": "production", "uid": "uid-1", "generation": 3}, "spec": spec})
}

fn login(app_id: &str) -> SeenSecret {
    secret(&[("appId", app_id), ("secret", "s")])
}

fn usable_bench() -> Bench {
    let mut bench = Bench::new();
    bench.list(&[whole(&spec())]);
    bench.see("iot-app", login("app-1"));
    bench.told();
    bench
}

#[tokio::test]
async fn nothing_is_resolved_before_the_first_lists_and_secrets_are_there() {
    let mut bench = Bench::new();
    assert_eq!(word(&bench.resolve("iot")), "Unread");
    bench.keeper.platforms_listed(vec![object(&whole(&spec()))]);
    bench.see("iot-app", login("app-1"));
    assert_eq!(word(&bench.resolve("iot")), "Unread");
    bench.told();
    bench.keeper.namespaces_listed(HashMap::new());
    assert_eq!(word(&bench.resolve("iot")), "Usable");
    assert_eq!(bench.told(), 1, "the end of the first lists wakes");
    bench.directory.listed().await;

    let mut bench = Bench::new();
    bench.list(&[whole(&spec())]);
    assert_eq!(word(&bench.resolve("iot")), "Unread");
    bench.see("iot-app", SeenSecret::Missing);
    assert_eq!(word(&bench.resolve("iot")), "SecretNotFound");
    let other = ObjectKey::new("iot", "other");
    assert_eq!(word(&bench.directory.resolve(&other, "iot")), "NotFound");
}

#[tokio::test]
async fn only_allowed_namespaces_resolve() {
    let mut bench = usable_bench();
    assert_eq!(word(&bench.resolve("fleet")), "NotAllowed");
    let mut all = spec();
    all["allowedNamespaces"] = json!({"from": "All"});
    bench.apply(&whole(&all));
    assert_eq!(word(&bench.resolve("fleet")), "Usable");
    let mut some = spec();
    some["allowedNamespaces"] =
        json!({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}});
    bench.apply(&whole(&some));
    assert_eq!(word(&bench.resolve("fleet")), "Unread");
    bench.told();
    bench.namespace("fleet", labels(&[("team", "b")]));
    assert_eq!(word(&bench.resolve("fleet")), "NotAllowed");
    bench.namespace("fleet", labels(&[("team", "a")]));
    assert_eq!(word(&bench.resolve("fleet")), "Usable");
    assert_eq!(bench.told(), 2, "each change of labels wakes");
    bench.namespace("fleet", labels(&[("team", "a")]));
    assert_eq!(bench.told(), 0);
}

#[tokio::test]
async fn a_rotated_secret_is_used_at_once_and_another_application_shows() {
    let mut bench = usable_bench();
    let before = bench.usable();
    bench.see("iot-app", login("app-1"));
    assert_eq!(bench.told(), 0, "the same contents are no change");
    bench.see("iot-app", secret(&[("appId", "app-1"), ("secret", "new")]));
    let rotated = bench.usable();
    assert!(rotated.revision > before.revision && bench.told() == 1);
    assert!(
        Arc::ptr_eq(&rotated.connection, &before.connection),
        "credentials need no new connection"
    );
    bench.see("iot-app", login("app-2"));
    assert_eq!(bench.usable().app_id.as_str(), "app-2");
}

#[tokio::test]
async fn what_stood_in_the_secret_before_is_hidden_over_another_connection_too() {
    let mut bench = usable_bench();
    // The empty secret makes the Platform unusable for a moment.
    for value in ["second", "", "third"] {
        bench.see("iot-app", secret(&[("appId", "app-1"), ("secret", value)]));
    }
    let Resolution::Usable(usable) = bench.resolve("iot") else {
        panic!("it has credentials");
    };
    let hidden = usable.connection.hidden();
    let hidden: Vec<_> = hidden.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(hidden, ["s", "second", "third"]);
}

/// A keeper whose session may call, and whose Platform is at `endpoint`.
fn leading_bench(endpoint: &str) -> Bench {
    let mut bench = Bench::new();
    bench.keeper.sessions.lead_unbounded();
    let mut there = spec();
    there["endpoint"] = json!(endpoint);
    bench.list(&[whole(&there)]);
    bench.see("iot-app", login("app-1"));
    bench.told();
    bench
}

#[tokio::test]
async fn that_a_credential_was_tried_is_told_once_and_stands_however_often_the_secret_changes() {
    // No server listens there, so each try ends at once.
    let mut bench = leading_bench("https://127.0.0.1:1");
    let learned = bench.keeper.sessions.learned();
    assert!(!bench.usable().was_tried());
    bench.usable().try_credential(true);
    learned.notified().await;
    bench.keeper.learned();
    assert_eq!(bench.told(), 1, "who waits for the try is woken");
    bench.keeper.learned();
    assert_eq!(bench.told(), 0);
    for new in ["a", "b"] {
        bench.see("iot-app", secret(&[("appId", "app-1"), ("secret", new)]));
        let usable = bench.usable();
        assert!(usable.was_tried() && !usable.session.was_tried(), "{new}");
    }
    bench.see("iot-app", login("app-2"));
    assert!(bench.usable().was_tried(), "under another application");
    bench.see("iot-app", secret(&[("appId", "app-1")]));
    bench.see("iot-app", login("app-1"));
    assert!(bench.usable().was_tried(), "after one that was none");

    let mut anew = whole(&spec());
    anew["metadata"]["uid"] = json!("uid-2");
    bench.apply(&anew);
    assert!(!bench.usable().was_tried(), "it is another Platform");
}

#[tokio::test]
async fn a_secret_that_changes_while_a_try_is_under_way_or_before_its_end_is_told_takes_nothing_back()
 {
    let mut bench = leading_bench("https://127.0.0.1:1");
    let learned = bench.keeper.sessions.learned();
    bench.usable().try_credential(true);
    learned.notified().await;
    bench.see("iot-app", secret(&[("appId", "app-1"), ("secret", "new")]));
    assert!(bench.usable().was_tried());

    // This server takes the connection and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", silent.local_addr().unwrap());
    let mut bench = leading_bench(&endpoint);
    bench.usable().try_credential(true);
    let _called = silent.accept().await.unwrap();
    assert!(!bench.usable().was_tried(), "it hasn't ended");
    bench.see("iot-app", secret(&[("appId", "app-1"), ("secret", "new")]));
    assert!(bench.usable().was_tried());
}

#[tokio::test]
async fn the_last_good_credentials_serve_while_the_secret_cannot_be_read() {
    let mut bench = usable_bench();
    for (seen, reason) in [
        (SeenSecret::Missing, PlatformReason::SecretNotFound),
        (
            SeenSecret::Forbidden(String::new()),
            PlatformReason::SecretForbidden,
        ),
    ] {
        bench.see("iot-app", seen);
        let usable = bench.usable();
        assert_eq!(usable.app_id.as_str(), "app-1");
        assert_eq!(usable.last_good.unwrap().0, reason);
    }
    let mut calmer = spec();
    calmer["mode"] = json!("Observe");
    bench.apply(&whole(&calmer));
    assert!(
        bench.usable().last_good.is_some(),
        "a change elsewhere in the spec keeps them"
    );
    bench.see("iot-app", login("app-1"));
    assert!(bench.usable().last_good.is_none());
}

#[tokio::test]
async fn credentials_read_for_one_place_or_object_never_serve_another() {
    let mut elsewhere = spec();
    elsewhere["endpoint"] = json!("https://other.example.com");
    let mut recreated = whole(&spec());
    recreated["metadata"]["uid"] = json!("uid-2");
    for other in [whole(&elsewhere), recreated] {
        let mut bench = usable_bench();
        bench.see("iot-app", SeenSecret::Missing);
        bench.apply(&other);
        assert_eq!(word(&bench.resolve("iot")), "SecretNotFound", "{other}");
    }
}

#[tokio::test]
async fn a_secret_rotated_to_something_wrong_is_not_hidden_by_the_last_good_one() {
    let mut bench = usable_bench();
    bench.see("iot-app", secret(&[("appId", "app-1")]));
    assert_eq!(word(&bench.resolve("iot")), "SecretInvalid");
    bench.see("iot-app", SeenSecret::Missing);
    assert_eq!(word(&bench.resolve("iot")), "SecretNotFound");
}

#[tokio::test]
async fn the_echo_of_a_status_changes_nothing_and_a_request_to_try_now_does() {
    let mut bench = usable_bench();
    let before = bench.usable().revision;
    let mut echo = whole(&spec());
    echo["status"] = json!({"observedGeneration": 3});
    bench.apply(&echo);
    assert_eq!((bench.usable().revision, bench.told()), (before, 0));
    echo["metadata"]["annotations"] = json!({"iodm.dev/requested-at": "now"});
    bench.apply(&echo);
    assert!(bench.usable().revision > before && bench.told() == 1);
}

#[tokio::test]
async fn a_platform_that_cannot_be_decoded_stops_only_itself() {
    let mut bad = whole(&spec());
    bad["metadata"]["name"] = json!("bad");
    bad["spec"]["quota"] = json!("much");
    let mut bench = Bench::new();
    bench.list(&[bad, whole(&spec())]);
    bench.see("iot-app", login("app-1"));
    assert_eq!(word(&bench.resolve("iot")), "Usable");
    let bad = bench
        .directory
        .resolve(&ObjectKey::new("iot", "bad"), "iot");
    assert!(
        matches!(bad, Resolution::Unusable { reason: PlatformReason::Undecodable, message, .. } if message.contains("spec.quota"))
    );
}

#[tokio::test]
async fn a_platform_missing_from_a_list_is_gone_and_its_number_is_never_used_again() {
    let mut bench = usable_bench();
    let before = bench.usable().revision;
    bench.keeper.platforms_listed(Vec::new());
    assert_eq!(word(&bench.resolve("iot")), "NotFound");
    assert_eq!(bench.told(), 1);
    assert!(bench.keeper.secrets_to_watch().is_empty());
    bench.apply(&whole(&spec()));
    assert_eq!(
        word(&bench.resolve("iot")),
        "Unread",
        "what an ended watch has shown isn't trusted"
    );
    bench.see("iot-app", login("app-1"));
    assert!(bench.usable().revision > before);
}

#[tokio::test]
async fn a_secret_that_two_platforms_name_is_watched_once() {
    let mut second = whole(&spec());
    second["metadata"]["name"] = json!("second");
    let mut bench = Bench::new();
    bench.list(&[whole(&spec()), second]);
    assert_eq!(bench.keeper.secrets_to_watch().len(), 1);
    bench.told();
    bench.see("iot-app", login("app-1"));
    assert_eq!(bench.told(), 2);
}

#[tokio::test]
async fn a_terminating_namespace_is_known() {
    let mut bench = usable_bench();
    assert!(!bench.directory.is_terminating("fleet"));
    let leaving = Namespace {
        terminating: true,
        ..Namespace::default()
    };
    bench.namespace("fleet", leaving);
    assert!(bench.directory.is_terminating("fleet"));
}
