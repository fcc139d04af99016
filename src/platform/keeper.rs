//! Keeps the [`Directory`] and the sessions in step with what the watches show. It makes no call.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::mpsc;

use super::credentials::{
    Assessment, Inputs, PlatformWord, SeenSecret, assess, named_secrets, same_tls, unusable_tls,
};
use super::directory::{Access, Directory, Grant, PlatformEntry};
use super::namespace::Namespace;
use super::object::{PlatformObject, Wanted};
use super::reads::{NewerRead, PlatformRead, ReadSubject};
use crate::api::names::ObjectKey;
use crate::api::platform::PlatformSpec;
use crate::clock::Clock;
use crate::guard::{Footing, Guards};
use crate::remote::client::{Connect, Connection};
use crate::session::{Credential, Member, Sessions};

/// The only one who changes the directory; the contents of Secrets live here and nowhere else.
pub(super) struct Keeper {
    directory: Arc<Directory>,
    sessions: Arc<Sessions>,
    guards: Arc<Guards>,
    connect: Connect,
    clock: Clock,
    changed: mpsc::UnboundedSender<ObjectKey>,
    secrets: HashMap<ObjectKey, SeenSecret>,
    held: HashMap<ObjectKey, Held>,
    /// What stood in the Secrets of each Platform, whatever connection it has now.
    hidden: HashMap<ObjectKey, Vec<SecretString>>,
    /// The Platforms whose credentials were known to be accepted when that was last told.
    proven: BTreeSet<ObjectKey>,
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
    fn serves(&self, object: &PlatformObject, spec: &PlatformSpec) -> bool {
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
        connect: Connect,
        clock: Clock,
        changed: mpsc::UnboundedSender<ObjectKey>,
    ) -> Self {
        Self {
            directory,
            sessions,
            guards,
            connect,
            clock,
            changed,
            secrets: HashMap::new(),
            held: HashMap::new(),
            hidden: HashMap::new(),
            proven: BTreeSet::new(),
            revision: 0,
        }
    }

    /// A whole list of Platforms: those not in it are gone.
    pub(super) fn platforms_listed(&mut self, objects: Vec<PlatformObject>) {
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

    /// What a GET has shown before the watch did.
    pub(super) fn overtaken(&mut self, read: NewerRead) {
        let newer = self.directory.change(|view| {
            let newer = view.is_overtaken_by(&read);
            if newer {
                view.overtaken.insert(read.subject());
            }
            newer
        });
        match read {
            _ if !newer => {}
            NewerRead::Platform(_, PlatformRead::Found(object)) => {
                self.evaluate(Arc::unwrap_or_clone(object));
            }
            NewerRead::Platform(key, PlatformRead::Gone { .. }) => self.platform_gone(&key),
            NewerRead::Namespace(name, namespace) => {
                let namespace = Arc::unwrap_or_clone(namespace);
                self.directory
                    .change(|view| view.namespaces.insert(name, namespace));
                self.tell_selecting();
            }
        }
    }

    /// The store went back in time, or what it showed may have been less than it holds: any version that comes is newer.
    pub(super) fn forget_versions(&mut self) {
        self.directory.change(|view| {
            view.overtaken.clear();
            for entry in view.platforms.values_mut() {
                entry.object.generation = 0;
            }
            for namespace in view.namespaces.values_mut() {
                namespace.version = None;
            }
        });
    }

    /// A Platform that was created or changed.
    pub(super) fn platform_applied(&mut self, object: PlatformObject) {
        let key = object.key.clone();
        let same = self.directory.change(|view| {
            if view.knows_newer(&object) {
                return true;
            }
            view.overtaken.remove(&ReadSubject::Platform(key.clone()));
            let Some(entry) = view.platforms.get_mut(&key) else {
                return false;
            };
            let same = entry.object.wants_the_same_as(&object);
            if same {
                entry.object = object.clone();
            }
            same
        });
        // The echo of a status, a label that means nothing here, or what a GET has overtaken.
        if !same {
            self.evaluate(object);
        }
    }

    /// A Platform that is gone.
    pub(super) fn platform_gone(&mut self, key: &ObjectKey) {
        self.held.remove(key);
        self.hidden.remove(key);
        self.sessions.leave(key);
        self.guards.drop_bound(key);
        self.directory.change(|view| {
            view.overtaken.remove(&ReadSubject::Platform(key.clone()));
            view.platforms.remove(key)
        });
        self.tell(key);
    }

    /// A whole list of Namespaces: those not in it are gone.
    pub(super) fn namespaces_listed(&mut self, listed: HashMap<String, Namespace>) {
        let known: Vec<String> = self.directory.view().namespaces.keys().cloned().collect();
        let mut relabelled = false;
        for gone in known.iter().filter(|name| !listed.contains_key(*name)) {
            self.remove_namespace(gone);
            relabelled = true;
        }
        for (name, namespace) in listed {
            relabelled |= self.namespace_shown(name, namespace);
        }
        let first = self
            .directory
            .change(|view| !std::mem::replace(&mut view.namespaces_listed, true));
        if first {
            self.tell_all();
        } else if relabelled {
            self.tell_selecting();
        }
    }

    /// A Namespace that was created or changed.
    pub(super) fn namespace_applied(&mut self, name: String, namespace: Namespace) {
        if self.namespace_shown(name, namespace) {
            self.tell_selecting();
        }
    }

    /// A Namespace that is gone, and what it was last.
    pub(super) fn namespace_gone(&mut self, name: &str, last: &Namespace) {
        // One that was created anew has newer versions.
        if !self.directory.view().knows_newer_namespace(name, last) {
            self.remove_namespace(name);
            self.tell_selecting();
        }
    }

    /// What the watch shows of a Namespace, unless a GET has shown more; says whether its labels are others now.
    fn namespace_shown(&mut self, name: String, namespace: Namespace) -> bool {
        self.directory.change(|view| {
            if view.knows_newer_namespace(&name, &namespace) {
                return false;
            }
            view.overtaken.remove(&ReadSubject::Namespace(name.clone()));
            let new = namespace.labels.clone();
            let old = view.namespaces.insert(name, namespace);
            old.is_none_or(|old| old.labels != new)
        })
    }

    fn remove_namespace(&mut self, name: &str) {
        self.directory.change(|view| {
            view.overtaken
                .remove(&ReadSubject::Namespace(name.to_owned()));
            view.namespaces.remove(name)
        });
    }

    /// What was seen of a Secret that some Platform names.
    pub(super) fn secret_seen(&mut self, secret: &ObjectKey, seen: SeenSecret) {
        let known = self.secrets.get(secret);
        // Whatever was seen before stands while it can't be read.
        if known == Some(&seen) || (known.is_some() && matches!(seen, SeenSecret::Failed(_))) {
            return;
        }
        self.secrets.insert(secret.clone(), seen);
        let concerned: Vec<PlatformObject> = self
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

    /// Something was learned of a credential: who may have waited for it is looked at again.
    pub(super) fn learned(&mut self) {
        let view = self.directory.view();
        let granted = view
            .platforms
            .iter()
            .filter_map(|(key, entry)| match &entry.access {
                Access::Granted(grant) => Some((key.clone(), Arc::clone(&grant.session))),
                Access::Unread | Access::Refused(_) => None,
            });
        let granted: Vec<_> = granted.collect();
        drop(view);
        let mut proven = BTreeSet::new();
        let mut speaking = BTreeSet::new();
        let mut tried = BTreeSet::new();
        for (key, session) in &granted {
            if session.proof().is_proven() {
                proven.insert(key.clone());
            }
            if session.speaks_for_application() {
                speaking.insert(key.clone());
            }
            if session.was_tried() {
                tried.insert(key.clone());
            }
        }
        let now = self.clock.wall();
        for (key, _) in &granted {
            self.guards.prove(key, speaking.contains(key), now);
        }
        // Only those of whom that is news.
        self.directory.change(|view| {
            tried.retain(|key| {
                let entry = view.platforms.get_mut(key);
                entry.is_some_and(|entry| !std::mem::replace(&mut entry.tried, true))
            });
        });
        tried.extend(self.proven.symmetric_difference(&proven).cloned());
        for key in &tried {
            self.tell(key);
        }
        self.proven = proven;
        self.directory.status_due.notify_one();
    }

    /// Works out what `object` comes to, joins or leaves the session, and says that it changed.
    fn evaluate(&mut self, object: PlatformObject) {
        let key = object.key.clone();
        // Asked before it gets another credential, which takes the place of the one that was tried.
        let tried = self.was_tried(&object);
        let access = match &object.wanted {
            Ok(wanted) => self.access(&object, wanted),
            Err(message) => {
                Access::Refused(PlatformWord::new(object.undecodable(), message.clone()))
            }
        };
        if matches!(access, Access::Refused(_)) {
            self.held.remove(&key);
            self.sessions.leave(&key);
        }
        self.bound(&object, &access);
        self.revision += 1;
        let entry = PlatformEntry {
            object,
            access,
            revision: self.revision,
            tried,
        };
        self.directory
            .change(|view| view.platforms.insert(key.clone(), entry));
        self.tell(&key);
    }

    /// Whether a credential of this Platform, of this uid, was tried. A try that is under way counts: who changes the
    /// credential meanwhile would go on for ever without one.
    fn was_tried(&self, object: &PlatformObject) -> bool {
        let view = self.directory.view();
        let known = view.platforms.get(&object.key);
        let known = known.filter(|entry| entry.object.uid == object.uid);
        let known = known.map(|entry| match &entry.access {
            Access::Granted(grant) => (entry.tried, Some(Arc::clone(&grant.session))),
            Access::Unread | Access::Refused(_) => (entry.tried, None),
        });
        drop(view);
        known.is_some_and(|(tried, session)| {
            tried || session.is_some_and(|session| session.try_has_begun())
        })
    }

    /// Tells the guard what the Platform lets go. What it can't tell now stands as it was: losing its
    /// credentials is no release.
    fn bound(&self, object: &PlatformObject, access: &Access) {
        let Ok(wanted) = &object.wanted else { return };
        let (key, uid, guard) = (&object.key, &object.uid, &wanted.spec.guard);
        let now = self.clock.wall();
        match access {
            Access::Granted(grant) => {
                let application = &grant.key.app_id;
                let footing = Footing {
                    key: grant.key.clone(),
                    credential: grant.credential.clone(),
                    proven: grant.session.speaks_for_application(),
                };
                self.guards.stand(key, &footing, now);
                self.guards.set_bound(key, uid, application, guard, now);
            }
            Access::Unread | Access::Refused(_) => self.guards.keep_bound(key, uid, guard, now),
        }
    }

    fn access(&mut self, object: &PlatformObject, wanted: &Wanted) -> Access {
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
                    None => (self.connect)(&inputs.session.endpoint, &inputs.tls).map(Arc::new),
                };
                match connection {
                    Ok(connection) => {
                        connection.hide(self.hidden.remove(key).unwrap_or_default());
                        connection.hide(inputs.secrets.clone());
                        self.hidden.insert(key.clone(), connection.hidden());
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
        object: &PlatformObject,
        wanted: &Wanted,
        held: Held,
        last_good: Option<PlatformWord>,
    ) -> Access {
        let member = Member {
            calls: wanted.spec.quota.limit(),
            window: wanted.spec.quota.window(),
            credential: held.inputs.credential.clone(),
            connection: Arc::clone(&held.connection),
            requested_at: object.requested_at.clone(),
            handled: object.status.last_handled_requested_at.clone(),
        };
        let (app_id, credential) = (&held.inputs.session.app_id, &held.inputs.credential);
        let grant = Grant {
            credential: self.sessions.credential(app_id, credential),
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
        let selecting = |entry: &&PlatformEntry| {
            let wanted = entry.object.wanted.as_ref();
            wanted.is_ok_and(|wanted| wanted.allowed.needs_labels())
        };
        let keys = view.platforms.values().filter(selecting);
        keys.for_each(|entry| self.tell(&entry.object.key));
    }
}

fn names(object: &PlatformObject, secret: &ObjectKey) -> bool {
    object.wanted.as_ref().is_ok_and(|wanted| {
        named_secrets(&wanted.spec, &object.key.namespace).any(|named| named == *secret)
    })
}

#[cfg(test)]
pub(super) mod tests;
