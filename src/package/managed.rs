//! Which packages on the platform some object stands for.

use super::Context;
use super::claims::Belonging;
use super::object::Object;
use super::observe::belonging;
use crate::api::names::{AppId, FileId};
use crate::platform::inventory::Objects;

impl Objects for Context {
    fn are_listed(&self) -> bool {
        self.cache.is_complete()
    }

    fn stand_for(&self, application: &AppId, file: &FileId) -> bool {
        let first = self.cache.of_file(file).into_iter().next();
        let Some(look) = first.and_then(|key| self.cache.look(&key)) else {
            return false;
        };
        let mut objects = std::iter::once(&look.object).chain(&look.others);
        objects.any(|object| {
            let settled = self.memory.settled(&object.uid).is_some();
            !settled && stands_for(application, object, || belonging(self, object))
        })
    }
}

/// Whether `object`, which names the package, stands for it in `application`: it wants it, or is to delete it and
/// hasn't yet. One whose application can't be known may, so a package isn't called nobody's for that.
fn stands_for(application: &AppId, object: &Object, belonging: impl FnOnce() -> Belonging) -> bool {
    let deletion = object.status.deletion.as_ref();
    if deletion.is_some_and(|deletion| deletion.outcome.is_some()) {
        return false;
    }
    match object.application() {
        Some(theirs) => theirs == application,
        None => match belonging() {
            Belonging::To(theirs) | Belonging::Closing(theirs) => theirs == *application,
            Belonging::Refused => false,
            Belonging::Unknown => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::version_package::{Deletion, Outcome};
    use crate::package::fixtures::{self, app};

    fn stands(object: &Object, belonging: Belonging) -> bool {
        stands_for(&app("app-1"), object, || belonging)
    }

    #[test]
    fn an_object_stands_for_its_package_until_its_deletion_has_ended() {
        let wanted = fixtures::accepted("a", "app-1");
        let retired = fixtures::retired(wanted.clone());
        let going = fixtures::deleted(wanted.clone());
        for object in [wanted, retired.clone(), going] {
            assert!(stands(&object, Belonging::Unknown));
        }
        let mut gone = retired;
        gone.status.deletion = Some(Deletion {
            outcome: Some(Outcome::Deleted),
            ..Deletion::default()
        });
        assert!(!stands(&gone, Belonging::To(app("app-1"))));
    }

    #[test]
    fn an_object_of_another_application_or_one_that_was_refused_stands_for_nothing() {
        let foreign = fixtures::accepted("a", "app-2");
        assert!(!stands(&foreign, Belonging::To(app("app-1"))));
        let fresh = fixtures::object("b");
        assert!(!stands(&fresh, Belonging::To(app("app-2"))));
        assert!(!stands(&fresh, Belonging::Refused));
        assert!(stands(&fresh, Belonging::To(app("app-1"))));
        assert!(stands(&fresh, Belonging::Unknown));
        assert!(stands(&fixtures::undecodable("c"), Belonging::Unknown));
    }
}
