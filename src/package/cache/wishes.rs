//! Tells the guard what the objects in the cache ask for. Also tells the status of a Platform which objects use the
//! Platform.

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
    /// The object asks for no deletion, or another object of its Platform claims its package. `Some` if its status
    /// still names a hold: the application, the Platform and the id of that hold.
    Nothing(Option<Box<(AppId, ObjectKey, Arc<str>)>>),
    /// The object asks for the deletion of a package of this application.
    Deletion {
        /// Application of the package.
        application: AppId,
        /// Details of the request.
        asked: Box<Asked>,
    },
    /// The cache alone can't tell: the wish depends on the time, on the object's Platform or on the Platform of another
    /// object. The pass over the object decides.
    Open,
}

/// Whether an object asks for the deletion of its package.
pub enum Asking {
    /// The object asks for the deletion.
    Yes(Box<Object>),
    /// The object of this uid doesn't ask for it.
    No(Arc<str>),
}

impl Cache {
    /// Whether the object `key` asks for a deletion at `now`; `None` if there is no such object.
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

    /// Uid of the object `key`, and what it asks for; `None` if there is no such object.
    pub fn wish(&self, key: &ObjectKey) -> Option<(Arc<str>, Wish)> {
        let state = self.state.lock();
        let object = state.shown.objects.get(key)?;
        Some((Arc::clone(&object.uid), state.shown.wish(object)))
    }

    /// All wishes that concern the guard, sorted by uid: deletions, open wishes, and objects whose status names a hold.
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

    /// Number of objects of `platforms` that were accepted for `application` and whose packages aren't gone.
    pub fn population(&self, application: &AppId, platforms: &[ObjectKey]) -> usize {
        let state = self.state.lock();
        let Some(populations) = state.shown.populations.get(application) else {
            return 0;
        };
        let counted = platforms.iter().filter_map(|key| populations.get(key));
        counted.sum()
    }

    /// Number of accepted objects that name `platform` and have not ended, and the first `few` of their keys in order.
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
        // A claimant with a retirement time may be retired by now, and a claimant of another Platform claims the
        // package only while that Platform has the right credentials.
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
