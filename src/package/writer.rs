//! The two kinds of writes to an object: finalizers and status.

use kube::Client;

use super::cache::Cache;
use super::conclude::Written;
use super::effect::Effect;
use crate::api::names::FINALIZER;
use crate::api::reason::Phase;
use crate::api::status;
use crate::api::version_package::{VersionPackage, VersionPackageStatus};
use crate::object::Object;
use crate::package::turns::api_slots::Slot;
use crate::sight::{Sight, WatchKind};
use crate::writes::{self, End};

/// Fields of the status that calls and guards rely on.
const RELIED_ON: [&str; 4] = ["deletion", "application", "endpoint", "uid"];

/// Writer of objects.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// Client of the API server.
    pub client: &'a Client,
    /// Whether the definitions keep every field that is written.
    pub sight: &'a Sight,
    /// Cache of all objects.
    pub cache: &'a Cache,
}

impl Writer<'_> {
    /// Adds our finalizer if `ours`, and removes it otherwise.
    pub async fn finalizers(self, object: &Object, ours: bool, slot: &mut Slot) -> Effect {
        let (uid, target) = (&object.uid, object.target());
        let list = finalizers(object, ours);
        let write = writes::finalizers::<VersionPackage>(self.client, &target, &list, FINALIZER);
        let write = self.unless_lossy(write);
        let end = slot.write(&object.key, write, || {}).await;
        let changed = end.changed(&target);
        match end {
            End::Taken(_) => Effect::Patched { changed },
            // Only the watch shows whether the object is gone: the API server gives this answer also while it doesn't
            // serve the definition for a moment.
            End::Gone => Effect::Contested(None),
            End::Conflict(words) => Effect::Contested(Some(words)),
            // The write was refused because another object has this name by now.
            End::Refused(_) if self.cache.uid_of(&object.key).as_deref() != Some(uid) => {
                Effect::Contested(None)
            }
            End::Refused(words) => Effect::Refused(words),
            End::Failed(error) => Effect::Failed(error),
        }
    }

    /// Makes a write, unless the definition lacks fields at the moment at which the write gets its slot.
    async fn unless_lossy(self, write: impl Future<Output = End>) -> End {
        if !self.sight.may_write(WatchKind::Packages) {
            return End::Failed("its CustomResourceDefinition lacks fields".to_owned());
        }
        write.await
    }

    /// Writes the status. `hangs` is called once if the write hangs.
    pub async fn status(
        self,
        object: &Object,
        status: &VersionPackageStatus,
        (slot, hangs): (&mut Slot, impl FnOnce()),
    ) -> Written {
        let (uid, target) = (&object.uid, object.target());
        let body = status::patch(status, uid, &object.beside);
        let write = writes::status::<VersionPackage>(self.client, &target, &body);
        let write = self.unless_lossy(write);
        let end = slot.write(&object.key, write, hangs).await;
        let changed = end.changed(&target);
        if let End::Taken(stored) = &end
            && let Some(field) = status::changed_on_the_way(&body, &stored["status"], &RELIED_ON)
        {
            return Written::Refused(format!(
                "the write was taken, but status.{field} is not as it was written: an admission policy or webhook changes it"
            ));
        }
        match end {
            End::Taken(_) => {
                tracing::info!(
                    reason = status.conditions.first().map(|c| c.reason.as_str()),
                    phase = status.phase.map(Phase::as_str),
                    "status written"
                );
                Written::Yes { changed }
            }
            End::Gone => Written::Gone,
            End::Conflict(words) => {
                tracing::debug!(words, "the object has changed meanwhile");
                Written::Contested(words)
            }
            End::Refused(words) => Written::Refused(words),
            End::Failed(error) => Written::Failed(error),
        }
    }
}

/// The finalizers of the object, with our finalizer or without it.
pub(super) fn finalizers(object: &Object, ours: bool) -> Vec<&str> {
    let others = object.finalizers.iter().map(String::as_str);
    let others = others.filter(|other| *other != FINALIZER);
    others.chain(ours.then_some(FINALIZER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::fixtures;

    #[test]
    fn the_finalizers_of_others_stay_in_their_order() {
        let object = Object {
            finalizers: vec!["a/b".into(), FINALIZER.into(), "c/d".into()],
            ..fixtures::object("a")
        };
        assert_eq!(finalizers(&object, false), ["a/b", "c/d"]);
        assert_eq!(finalizers(&object, true), ["a/b", "c/d", FINALIZER]);
    }
}
