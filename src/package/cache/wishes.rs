//! What the objects of the cache ask for, and who needs a Platform: what the guard and the Platforms go by.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::Cache;
use super::shown::ShownObjects;
use crate::api::names::{AppId, ObjectKey};
use crate::guard::Asked;
use crate::object::Object;
use crate::package::cache::packed::{Asks, Packed};

/// What one object asks for.
pub enum Wish {
    /// Nothing is to be deleted for it, or another object of its Platform claims its package. Its status may still say
    /// that a hold of this application and Platform holds it.
    Nothing(Option<Box<(AppId, ObjectKey, Arc<str>)>>),
    /// The deletion of a package of this application.
    Deletion {
        /// Whose package it is.
        application: AppId,
        /// How it's asked for.
        asked: Box<Asked>,
    },
    /// Time, its Platform or that of another object decides that, which a look at it tells.
    Open,
}

/// Whether an object asks for the deletion of its package.
pub enum Asking {
    /// It does.
    Yes(Box<Object>),
    /// The object of this uid doesn't.
    No(Arc<str>),
}

impl Cache {
    /// Whether the object of this name asks for a deletion at `now`; `None` where there is none.
    pub fn asking(&self, key: &ObjectKey, now: Timestamp) -> Option<Asking> {
        let object = self.state.lock().shown.objects.get(key)?.clone();
        let asks = match object.asks {
            Asks::Yes(_) => true,
            Asks::Later => object.retires.is_some_and(|at| at <= now),
            Asks::No => false,
        };
        Some(if asks {
            Asking::Yes(Box::new(object.unpack()))
        } else {
            Asking::No(object.uid)
        })
    }

    /// The uid of an object, and what it asks for.
    pub fn wish(&self, key: &ObjectKey) -> Option<(Arc<str>, Wish)> {
        let state = self.state.lock();
        let object = state.shown.objects.get(key)?;
        Some((Arc::clone(&object.uid), state.shown.wish(object)))
    }

    /// All that is asked for or may be, or still says that it's held, by uid.
    pub fn wishes(&self) -> Vec<(Arc<str>, Wish)> {
        let state = self.state.lock();
        let objects = state.shown.objects.values();
        let mut wishes: Vec<_> = objects
            .map(|object| (Arc::clone(&object.uid), state.shown.wish(object)))
            .filter(|(_, wish)| !matches!(wish, Wish::Nothing(None)))
            .collect();
        wishes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        wishes
    }

    /// How many objects of these Platforms were accepted for `application` and have packages that aren't gone.
    pub fn population(&self, application: &AppId, platforms: &[ObjectKey]) -> usize {
        let state = self.state.lock();
        let Some(populations) = state.shown.populations.get(application) else {
            return 0;
        };
        let counted = platforms.iter().filter_map(|key| populations.get(key));
        counted.sum()
    }

    /// How many accepted objects that have not ended name `platform`, and the first few of them by name.
    pub fn users(&self, platform: &ObjectKey, few: usize) -> (usize, Vec<ObjectKey>) {
        let state = self.state.lock();
        let members = state.shown.by_platform.get(platform);
        let keys = members.into_iter().flat_map(|members| &members.keys);
        let users: Vec<&ObjectKey> = keys
            .filter(|key| {
                let object = state.shown.objects.get(*key);
                object.is_some_and(|object| object.application.is_some() && !object.ended)
            })
            .collect();
        (users.len(), users.into_iter().take(few).cloned().collect())
    }
}

impl ShownObjects {
    fn wish(&self, object: &Packed) -> Wish {
        let asked = match &object.asks {
            Asks::No => return Wish::Nothing(None),
            Asks::Later => return Wish::Open,
            Asks::Yes(asked) => asked,
        };
        let Some(application) = &object.application else {
            return Wish::Open;
        };
        let others = self.living(object.file_id.as_ref());
        let others = others.filter(|other| other.key != object.key);
        let claimants = others.filter(|other| {
            let accepted = other.application.as_ref() == Some(application);
            accepted && other.finalizer && other.decodable
        });
        // One that retires at a time may have done so, and one of another Platform claims it only
        // while that has the right credentials.
        let sure = |other: &Packed| other.retires.is_none() && other.platform == object.platform;
        match claimants.map(sure).max() {
            Some(true) => {
                let hold = asked.hold.clone();
                Wish::Nothing(hold.map(|hold| {
                    let platform = asked.platform.clone();
                    Box::new((application.clone(), platform, hold))
                }))
            }
            Some(false) => Wish::Open,
            None => Wish::Deletion {
                application: application.clone(),
                asked: asked.clone(),
            },
        }
    }
}
