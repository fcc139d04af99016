//! Keeps the [`Directory`] and the sessions up to date with the watches. The keeper makes no calls.

mod evaluate;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::mpsc;

use self::evaluate::LastGood;
use super::credentials::{SeenSecret, named_secrets};
use super::directory::{Access, Directory, PlatformEntry};
use super::namespace::Namespace;
use super::object::PlatformObject;
use super::reads::{NewerRead, PlatformRead, ReadSubject};
use crate::api::names::ObjectKey;
use crate::clock::Clock;
use crate::guard::Guards;
use crate::remote::client::Connect;
use crate::session::Sessions;

/// The only writer of the directory. The contents of Secrets are kept here and nowhere else.
pub(super) struct Keeper {
    directory: Arc<Directory>,
    sessions: Arc<Sessions>,
    guards: Arc<Guards>,
    connect: Connect,
    clock: Clock,
    changed: mpsc::UnboundedSender<ObjectKey>,
    secrets: HashMap<ObjectKey, SeenSecret>,
    held: HashMap<ObjectKey, LastGood>,
    /// The secret values that each Platform's Secret has held, to be hidden on any connection that the Platform gets.
    hidden: HashMap<ObjectKey, Vec<SecretString>>,
    /// The Platforms whose credentials were proven at the last notification.
    proven: BTreeSet<ObjectKey>,
    /// The last revision given out. One counter serves all Platforms, so that a Platform that is created anew never
    /// repeats a number.
    revision: u64,
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

    /// Takes in a complete list of Platforms; known Platforms that are not in the list are gone.
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

    /// Takes in a read that may be newer than the directory's version of the object.
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

    /// Forgets the versions of all objects, so that any version from the watch counts as newer: the store went back
    /// in time, or the watch may have shown less than the store holds.
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

    /// Takes in a Platform that was created or changed.
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
        // Same spec: the event is the echo of a status write, a change of a label that is not used here, or older
        // than a GET.
        if !same {
            self.evaluate(object);
        }
    }

    /// Removes a Platform that is gone.
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

    /// Takes in a complete list of Namespaces; known Namespaces that are not in the list are gone.
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

    /// Takes in a Namespace that was created or changed.
    pub(super) fn namespace_applied(&mut self, name: String, namespace: Namespace) {
        if self.namespace_shown(name, namespace) {
            self.tell_selecting();
        }
    }

    /// Removes a Namespace that is gone; `last` is its last state.
    pub(super) fn namespace_gone(&mut self, name: &str, last: &Namespace) {
        // A Namespace that was created anew has a newer version than `last`.
        if !self.directory.view().knows_newer_namespace(name, last) {
            self.remove_namespace(name);
            self.tell_selecting();
        }
    }

    /// Takes in a Namespace from the watch, unless a GET has shown a newer version; returns whether the labels have
    /// changed.
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

    /// Takes in the state of a Secret that some Platform names.
    pub(super) fn secret_seen(&mut self, secret: &ObjectKey, seen: SeenSecret) {
        let known = self.secrets.get(secret);
        // While the Secret can't be read, its last known state stays.
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

    /// The Secrets to watch from now on: each once, however many Platforms name it. The cached states of all other
    /// Secrets are dropped, since they would become stale without a watch.
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

    /// The proof of some credential has changed: the objects of each Platform that may have waited for the proof are
    /// notified.
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
        // Only Platforms whose `tried` flag changes are notified.
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

    fn tell(&self, key: &ObjectKey) {
        // The receiver is closed only while the process ends.
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
