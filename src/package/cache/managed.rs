//! Tells which packages on the platform some object stands for.

use std::sync::Arc;

use crate::api::names::{AppId, FileId};
use crate::inventory::{Named, Objects};
use crate::object::Object;
use crate::package::cache::Cache;
use crate::package::memory::Memory;
use crate::platform::{Directory, Resolution};
use crate::session::Session;

/// The sources that tell whether an object stands for a package.
pub struct Managed {
    /// Cache of all objects.
    pub cache: Arc<Cache>,
    /// Memory of this process, which knows the outcomes.
    pub memory: Arc<Memory>,
    /// Directory of all Platforms.
    pub directory: Arc<Directory>,
}

impl Objects for Managed {
    fn are_listed(&self) -> bool {
        self.cache.is_complete()
    }

    fn of_package(&self, session: &Session, file: &FileId) -> Named {
        let key = session.key();
        let mut named = Named::default();
        for object in self.cache.objects_of(file) {
            let settled = self.memory.settled(&object.uid).is_some();
            named.stands |= !settled && stands_for(&key.app_id, &object, || self.belongs(&object));
            // Anybody can name any application and package, so only a Platform with the credential of this session
            // counts.
            if object.application() == Some(&key.app_id) && self.is_over(&object, session) {
                named.own = true;
                let accepted = object.status.endpoint.clone();
                let elsewhere = accepted.filter(|accepted| *accepted != key.endpoint);
                named.moved_from.extend(elsewhere);
            }
        }
        named
    }
}

impl Managed {
    /// Whether the Platform of `object` uses the given session.
    fn is_over(&self, object: &Object, session: &Session) -> bool {
        let Some(platform) = object.platform() else {
            return false;
        };
        let resolution = self.directory.resolve(&platform, &object.key.namespace);
        let usable = resolution.usable();
        usable.is_some_and(|usable| std::ptr::eq(&raw const *usable.session, session))
    }

    fn belongs(&self, object: &Object) -> Belongs {
        let Some(platform) = object.platform() else {
            return Belongs::Unknown;
        };
        match self.directory.resolve(&platform, &object.key.namespace) {
            Resolution::Usable(usable) => Belongs::To(usable.app_id),
            Resolution::NotAllowed => Belongs::Refused,
            Resolution::Unread | Resolution::NotFound | Resolution::Unusable { .. } => {
                Belongs::Unknown
            }
        }
    }
}

/// Application of the Platform of an object that was never accepted.
enum Belongs {
    To(AppId),
    Refused,
    Unknown,
}

/// Whether `object`, which names the package, stands for it in `application`: it wants the package, or still has to
/// delete it. An object of an unknown application counts, so that its package isn't reported as unmanaged.
fn stands_for(application: &AppId, object: &Object, belongs: impl FnOnce() -> Belongs) -> bool {
    let deletion = object.status.deletion.as_ref();
    let let_go = object.deleted_at.is_some() && !object.has_finalizer();
    if let_go || deletion.is_some_and(|deletion| deletion.outcome.is_some()) {
        return false;
    }
    match object.application() {
        Some(theirs) => theirs == application,
        None => match belongs() {
            Belongs::To(theirs) => theirs == *application,
            Belongs::Refused => false,
            Belongs::Unknown => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::outcome::Outcome;
    use crate::api::version_package::Deletion;
    use crate::package::fixtures::{self, app};

    fn stands(object: &Object, belongs: Belongs) -> bool {
        stands_for(&app("app-1"), object, || belongs)
    }

    #[test]
    fn an_object_stands_for_its_package_until_its_deletion_has_ended() {
        let wanted = fixtures::accepted("a", "app-1");
        let retired = fixtures::retired(wanted.clone());
        let going = fixtures::deleted(wanted.clone());
        for object in [wanted, retired.clone(), going] {
            assert!(stands(&object, Belongs::Unknown));
        }
        let mut gone = retired;
        gone.status.deletion = Some(Deletion {
            outcome: Some(Outcome::Deleted),
            ..Deletion::default()
        });
        assert!(!stands(&gone, Belongs::To(app("app-1"))));
    }

    #[test]
    fn an_object_of_another_application_or_one_that_was_refused_stands_for_nothing() {
        let foreign = fixtures::accepted("a", "app-2");
        assert!(!stands(&foreign, Belongs::To(app("app-1"))));
        let fresh = fixtures::object("b");
        assert!(!stands(&fresh, Belongs::To(app("app-2"))));
        assert!(!stands(&fresh, Belongs::Refused));
        assert!(stands(&fresh, Belongs::To(app("app-1"))));
        assert!(stands(&fresh, Belongs::Unknown));
        assert!(stands(&fixtures::undecodable("c"), Belongs::Unknown));
    }
}
