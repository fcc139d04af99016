//! Which objects a change wakes, and how soon. The more objects share a package, the longer the pause is.
//!
//! An event wakes other objects only if it changes a field that a claim depends on, and then only objects that may go.
//! If many objects of a package are alive and many are to go, those that are to go are woken after a pause of 20 µs for
//! each pair, at most 5 minutes, unless they are looked at earlier.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Cache;
use super::shown::{PlatformObjects, ShownObjects};
use crate::api::names::{FileId, ObjectKey};
use crate::package::claims::Claimant;
use crate::package::claims::doubts::LOOK_AGAIN;

/// Pause for each pair of a live object and an object that is to go, because each object that is to go looks at all of
/// the live objects. However often the objects change, this limits the cost to a small part of a core.
const PER_PAIR: Duration = Duration::from_micros(20);
/// A shorter pause is left out.
const NO_PAUSE: Duration = Duration::from_millis(100);

/// The objects to wake.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// Keys to wake at once.
    pub now: Vec<ObjectKey>,
    /// Keys to wake after a pause, unless they are looked at earlier.
    pub later: Vec<(Duration, ObjectKey)>,
}

impl Wakes {
    /// All keys, with and without a pause.
    pub fn all(self) -> impl Iterator<Item = ObjectKey> {
        let later = self.later.into_iter().map(|(_, key)| key);
        self.now.into_iter().chain(later)
    }
}

impl Cache {
    /// The objects whose decisions may depend on `platform`: the objects that name the Platform, and the objects whose
    /// package an object of the Platform may claim.
    pub fn concerned_by(&self, platform: &ObjectKey) -> Wakes {
        let state = self.state.lock();
        let shown = &state.shown;
        let Some(PlatformObjects { keys: own, .. }) = shown.by_platform.get(platform) else {
            return Wakes::default();
        };
        let mut wakes = Wakes {
            now: own.iter().cloned().collect(),
            later: Vec::new(),
        };
        let living = own.iter().filter_map(|key| shown.objects.get(key));
        let files = living
            .filter(|object| object.lives)
            .map(|object| &object.file_id);
        for file in files.flatten().collect::<BTreeSet<_>>() {
            shown.wake_going(file, |key| own.contains(key), &mut wakes);
        }
        wakes
    }
}

impl ShownObjects {
    /// Wakes the object `key`. If its claim has changed, also wakes the objects that may go and that name the claimed
    /// package. Other changes concern no other object.
    pub(super) fn woken(
        &self,
        key: &ObjectKey,
        before: Option<(FileId, Claimant)>,
        after: Option<(FileId, Claimant)>,
    ) -> Wakes {
        let mut wakes = Wakes {
            now: vec![key.clone()],
            later: Vec::new(),
        };
        if before != after {
            let files: BTreeSet<FileId> =
                [before, after].into_iter().flatten().map(|c| c.0).collect();
            for file in &files {
                self.wake_going(file, |other| other == key, &mut wakes);
            }
        }
        wakes
    }

    /// Wakes the objects that name `file` and may go, except those that `but` excludes.
    fn wake_going(&self, file: &FileId, but: impl Fn(&ObjectKey) -> bool, wakes: &mut Wakes) {
        let living = self.living(Some(file)).count();
        let going: Vec<_> = self.going(file).filter(|key| !but(key)).cloned().collect();
        let pairs = u32::try_from(living.saturating_mul(going.len())).unwrap_or(u32::MAX);
        let pause = PER_PAIR.saturating_mul(pairs).min(LOOK_AGAIN);
        if pause < NO_PAUSE {
            wakes.now.extend(going);
        } else {
            wakes
                .later
                .extend(going.into_iter().map(|key| (pause, key)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::cache::Event;
    use crate::package::cache::packed::Packed;
    use crate::package::fixtures;

    #[test]
    fn a_crowd_of_one_package_looks_again_the_more_rarely_the_larger_it_is() {
        let cache = Cache::default();
        let mut pauses = Vec::new();
        for number in 0..300 {
            for going in [false, true] {
                let mut object = fixtures::accepted(&format!("o-{number:03}-{going}"), "app-1");
                if going {
                    object = fixtures::retired(object);
                }
                let object = Packed::from(fixtures::watched(&object));
                let wakes = cache.apply(Event::Applied(object)).wakes;
                let pause = wakes.later.first().map(|(pause, _)| *pause);
                if going {
                    assert_eq!(wakes.all().count(), 1);
                } else {
                    assert_eq!(wakes.now.len() + wakes.later.len(), number + 1);
                    pauses.push(pause);
                }
            }
        }
        assert!(
            pauses[..50].iter().all(Option::is_none),
            "a few wait for nothing"
        );
        let longest = pauses[299].unwrap();
        assert!(
            pauses.is_sorted() && longest > Duration::from_secs(1),
            "{longest:?}"
        );
    }
}
