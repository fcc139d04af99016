//! Keeps the [`Directory`] and the sessions in step with what the watches show. It makes no call.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc;

use super::credentials::{
    Assessment, Inputs, Refusal, Seen, assess, named_secrets, same_tls, unusable_tls,
};
use super::directory::{Access, Directory, Entry, Grant, Namespace};
use super::guard::Guards;
use super::object::{Object, Wanted};
use crate::api::names::ObjectKey;
use crate::api::platform::{PlatformReason, PlatformSpec};
use crate::remote::client::{Connection, Timeouts};
use crate::session::{Credential, Member, Sessions};

/// The only one who changes the directory; the contents of Secrets live here and nowhere else.
pub(super) struct Keeper {
    directory: Arc<Directory>,
    sessions: Arc<Sessions>,
    guards: Arc<Guards>,
    timeouts: Timeouts,
    changed: mpsc::UnboundedSender<ObjectKey>,
    secrets: HashMap<ObjectKey, Seen>,
    held: HashMap<ObjectKey, Held>,
    /// Over all Platforms, so that one created anew never repeats a number.
    revision: u64,
}

/// What a `Platform` last came to, to be used on while a Secret can't be read.
struct Held {
    uid: String,
    spec: PlatformSpec,
    inputs: Inputs,
    connection: Arc<Connection>,
}

impl Held {
    /// Whether `spec` still names the same place and the same Secrets.
    fn serves(&self, object: &Object, spec: &PlatformSpec) -> bool {
        self.uid == object.uid
            && self.spec.endpoint == spec.endpoint
            && self.spec.credentials_secret_ref == spec.credentials_secret_ref
            && self.spec.tls == spec.tls
    }
}

impl Keeper {
    pub(super) fn new(
        directory: Arc<Directory>,
        sessions: Arc<Sessions>,
        guards: Arc<Guards>,
        timeouts: Timeouts,
        changed: mpsc::UnboundedSender<ObjectKey>,
    ) -> Self {
        Self {
            directory,
            sessions,
            guards,
            timeouts,
            changed,
            secrets: HashMap::new(),
            held: HashMap::new(),
            revision: 0,
        }
    }

    /// A whole list of Platforms: those not in it are gone.
    pub(super) fn platforms_listed(&mut self, objects: Vec<Object>) {
        let listed: HashSet<ObjectKey> = objects.iter().map(|o| o.key.clone()).collect();
        let known: Vec<ObjectKey> = self.directory.view().platforms.keys().cloned().collect();
        for gone in known.iter().filter(|key| !listed.contains(key)) {
            self.platform_gone(gone);
        }
        for object in objects {
            self.platform_applied(object);
        }
        let first = self
            .directory
            .change(|view| !std::mem::replace(&mut view.platforms_listed, true));
        if first {
            self.tell_all();
        }
    }

    /// A Platform that was created or changed.
    pub(super) fn platform_applied(&mut self, object: Object) {
        let key = object.key.clone();
        let same = self.directory.change(|view| {
            let Some(entry) = view.platforms.get_mut(&key) else {
                return false;
            };
            let same = entry.object.wants_the_same_as(&object);
            if same {
                entry.object = object.clone();
            }
            same
        });
        // The echo of a status, or a label that means nothing here.
        if !same {
            self.evaluate(object);
        }
    }

    /// A Platform that is gone.
    pub(super) fn platform_gone(&mut self, key: &ObjectKey) {
        self.held.remove(key);
        self.sessions.leave(key);
        self.guards.drop_bound(key);
        self.directory.change(|view| view.platforms.remove(key));
        self.tell(key);
    }

    /// A whole list of Namespaces: those not in it are gone.
    pub(super) fn namespaces_listed(&mut self, namespaces: HashMap<String, Namespace>) {
        let first = self.directory.change(|view| {
            view.namespaces = namespaces;
            !std::mem::replace(&mut view.namespaces_listed, true)
        });
        if first {
            self.tell_all();
        } else {
            self.tell_selecting();
        }
    }

    /// A Namespace that was created or changed (`Some`), or is gone.
    pub(super) fn namespace_seen(&mut self, name: String, seen: Option<Namespace>) {
        let relabelled = self.directory.change(|view| {
            let new = seen.as_ref().map(|n| n.labels.clone());
            let old = match seen {
                Some(namespace) => view.namespaces.insert(name, namespace),
                None => view.namespaces.remove(&name),
            };
            old.map(|n| n.labels) != new
        });
        if relabelled {
            self.tell_selecting();
        }
    }

    /// What was seen of a Secret that some Platform names.
    pub(super) fn secret_seen(&mut self, secret: &ObjectKey, seen: Seen) {
        if self.secrets.get(secret) == Some(&seen) {
            return;
        }
        self.secrets.insert(secret.clone(), seen);
        let concerned: Vec<Object> = self
            .directory
            .view()
            .platforms
            .values()
            .filter(|entry| names(&entry.object, secret))
            .map(|entry| entry.object.clone())
            .collect();
        for object in concerned {
            self.evaluate(object);
        }
    }

    /// The Secrets that have to be watched from now on: each once, however many Platforms name it.
    /// What was seen of others is forgotten, since it would grow old unwatched.
    pub(super) fn secrets_to_watch(&mut self) -> BTreeSet<ObjectKey> {
        let named: BTreeSet<ObjectKey> = self
            .directory
            .view()
            .platforms
            .values()
            .filter_map(|entry| Some((&entry.object.key, entry.object.wanted.as_ref().ok()?)))
            .flat_map(|(key, wanted)| named_secrets(&wanted.spec, &key.namespace))
            .collect();
        self.secrets.retain(|secret, _| named.contains(secret));
        named
    }

    /// Works out what `object` comes to, joins or leaves the session, and says that it changed.
    fn evaluate(&mut self, object: Object) {
        let key = object.key.clone();
        let access = match &object.wanted {
            Ok(wanted) => self.access(&object, wanted),
            Err(message) => {
                Access::Refused(Refusal::new(PlatformReason::Undecodable, message.clone()))
            }
        };
        if matches!(access, Access::Refused(_)) {
            self.held.remove(&key);
            self.sessions.leave(&key);
        }
        self.bound(&object, &access);
        self.revision += 1;
        let entry = Entry {
            object,
            access,
            revision: self.revision,
        };
        self.directory
            .change(|view| view.platforms.insert(key.clone(), entry));
        self.tell(&key);
    }

    /// Tells the guard what the Platform lets go. What it can't tell now stands as it was: losing its
    /// credentials is no release.
    fn bound(&self, object: &Object, access: &Access) {
        let Ok(wanted) = &object.wanted else { return };
        let (key, uid, guard) = (&object.key, &object.uid, &wanted.spec.guard);
        let now = Timestamp::now();
        match access {
            Access::Granted(grant) => {
                let application = &grant.key.app_id;
                self.guards.set_bound(key, uid, application, guard, now);
            }
            Access::Unread | Access::Refused(_) => self.guards.keep_bound(key, uid, guard, now),
        }
    }

    fn access(&mut self, object: &Object, wanted: &Wanted) -> Access {
        let key = &object.key;
        let assessment = assess(&wanted.spec, &key.namespace, |secret| {
            self.secrets.get(secret)
        });
        match assessment {
            Assessment::Unread => Access::Unread,
            Assessment::Invalid(refusal) => Access::Refused(refusal),
            Assessment::Unreadable(refusal) => match self.held.remove(key) {
                Some(held) if held.serves(object, &wanted.spec) => {
                    self.join(object, wanted, held, Some(refusal))
                }
                Some(_) | None => Access::Refused(refusal),
            },
            Assessment::Complete(inputs) => {
                let reusable = self.held.remove(key).filter(|held| {
                    held.inputs.session.endpoint == inputs.session.endpoint
                        && same_tls(&held.inputs.tls, &inputs.tls)
                });
                let connection = match reusable {
                    Some(held) => Ok(held.connection),
                    None => Connection::new(&inputs.session.endpoint, &inputs.tls, self.timeouts)
                        .map(Arc::new),
                };
                match connection {
                    Ok(connection) => {
                        let held = Held {
                            uid: object.uid.clone(),
                            spec: wanted.spec.clone(),
                            inputs,
                            connection,
                        };
                        self.join(object, wanted, held, None)
                    }
                    Err(error) => {
                        Access::Refused(unusable_tls(&wanted.spec, &key.namespace, &error))
                    }
                }
            }
        }
    }

    fn join(
        &mut self,
        object: &Object,
        wanted: &Wanted,
        held: Held,
        last_good: Option<Refusal>,
    ) -> Access {
        let member = Member {
            calls: wanted.spec.quota.limit(),
            window: wanted.spec.quota.window(),
            credential: held.inputs.credential.clone(),
            connection: Arc::clone(&held.connection),
        };
        let grant = Grant {
            key: held.inputs.session.clone(),
            session: self
                .sessions
                .join(&object.key, held.inputs.session.clone(), member),
            connection: Arc::clone(&held.connection),
            logs_in: matches!(held.inputs.credential, Credential::Login(_)),
            last_good,
        };
        self.held.insert(object.key.clone(), held);
        Access::Granted(grant)
    }

    fn tell(&self, key: &ObjectKey) {
        // Nobody listens any more only while the process ends.
        let _ = self.changed.send(key.clone());
    }

    fn tell_all(&self) {
        let view = self.directory.view();
        view.platforms.keys().for_each(|key| self.tell(key));
    }

    fn tell_selecting(&self) {
        let view = self.directory.view();
        let selecting = |entry: &&Entry| {
            let wanted = entry.object.wanted.as_ref();
            wanted.is_ok_and(|wanted| wanted.allowed.needs_labels())
        };
        let keys = view.platforms.values().filter(selecting);
        keys.for_each(|entry| self.tell(&entry.object.key));
    }
}

fn names(object: &Object, secret: &ObjectKey) -> bool {
    object.wanted.as_ref().is_ok_and(|wanted| {
        named_secrets(&wanted.spec, &object.key.namespace).any(|named| named == *secret)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use axum::Router;
    use serde_json::{Value, json};

    use super::super::credentials::tests::secret;
    use super::super::object::tests::{object, spec};
    use super::super::{Resolution, Usable};
    use super::*;

    /// A keeper with its directory, fed by hand.
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
            let directory = Directory::new(client);
            let (wake, _) = mpsc::unbounded_channel();
            let (tell, changed) = mpsc::unbounded_channel();
            let timeouts = Timeouts {
                connect: Duration::from_secs(5),
                total: Duration::from_secs(15),
            };
            let sessions = Sessions::new(Duration::from_secs(15), wake);
            Self {
                keeper: Keeper::new(
                    Arc::clone(&directory),
                    sessions,
                    Guards::new(mpsc::unbounded_channel().0, Arc::default()),
                    timeouts,
                    tell,
                ),
                directory,
                changed,
            }
        }

        /// The first lists: these Platforms, and no Namespace.
        pub(in crate::platform) fn list(&mut self, platforms: &[Value]) {
            self.keeper
                .platforms_listed(platforms.iter().map(object).collect());
            self.keeper.namespaces_listed(HashMap::new());
        }

        pub(in crate::platform) fn apply(&mut self, platform: &Value) {
            self.keeper.platform_applied(object(platform));
            self.keeper.secrets_to_watch();
        }

        pub(in crate::platform) fn see(&mut self, name: &str, seen: Seen) {
            self.keeper.secret_seen(&ObjectKey::new("iot", name), seen);
        }

        pub(in crate::platform) fn namespace(&mut self, name: &str, namespace: Namespace) {
            self.keeper.namespace_seen(name.to_owned(), Some(namespace));
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

        /// How many were told of a change since the last time this was asked.
        fn told(&mut self) -> usize {
            std::iter::from_fn(|| self.changed.try_recv().ok()).count()
        }
    }

    pub(in crate::platform) fn labels(pairs: &[(&str, &str)]) -> Namespace {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Namespace {
            labels: pairs.iter().map(owned).collect::<BTreeMap<_, _>>(),
            terminating: false,
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

    fn login(app_id: &str) -> Seen {
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
        bench.see("iot-app", Seen::Missing);
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
    async fn the_last_good_credentials_serve_while_the_secret_cannot_be_read() {
        let mut bench = usable_bench();
        for (seen, reason) in [
            (Seen::Missing, PlatformReason::SecretNotFound),
            (
                Seen::Forbidden(String::new()),
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
            bench.see("iot-app", Seen::Missing);
            bench.apply(&other);
            assert_eq!(word(&bench.resolve("iot")), "SecretNotFound", "{other}");
        }
    }

    #[tokio::test]
    async fn a_secret_rotated_to_something_wrong_is_not_hidden_by_the_last_good_one() {
        let mut bench = usable_bench();
        bench.see("iot-app", secret(&[("appId", "app-1")]));
        assert_eq!(word(&bench.resolve("iot")), "SecretInvalid");
        bench.see("iot-app", Seen::Missing);
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
}
