//! Namespaces whose writes are slow, for example behind an admission webhook that doesn't answer, and the number of
//! writes under way there. Pure except for `turned_out` and the end of a place, which read the clock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::names::ObjectKey;

/// A write that takes longer than this is slow.
pub(in crate::package) const SLOW: Duration = Duration::from_secs(1);
/// How long a namespace counts as slow after a slow write without an answer. Longer than the backoff of retries.
const HUNG: Duration = Duration::from_secs(60);
/// How long a namespace counts as slow after a slow write with an answer: the store may only have been busy for a
/// moment.
const ANSWERED: Duration = Duration::from_secs(5);
/// Maximum number of writes under way in one slow namespace, and in all slow namespaces. Each write holds a connection
/// and a share of the concurrency that the API server allows this operator. The renewals of the Lease need that
/// concurrency too.
const IN_ONE: usize = 8;
const IN_ALL: usize = 64;
/// Number of these places, in one namespace and in all, that are reserved for objects whose last write was not slow. A
/// webhook may hang only for objects with certain names, and the writes of these objects must not take all places.
const KEPT_IN_ONE: usize = 2;
const KEPT_IN_ALL: usize = 16;
/// Maximum number of writes under way in one namespace, including writes in a reserved place that turned out slow.
const WITH_SLOW: usize = 24;
/// Maximum number of writes under way in all slow namespaces, including the first slow writes of each namespace. These
/// first writes are under way before the namespace counts as slow.
const WITH_FIRST: usize = 128;

/// The slow namespaces, with their writes under way.
#[derive(Default)]
pub struct Slow(Mutex<HashMap<Arc<str>, Namespace>>);

struct Namespace {
    under_way: usize,
    /// Number of writes under way that aren't slow so far, to objects whose last write was not slow either.
    quick: usize,
    /// Names of the objects whose last write was slow.
    slow: HashSet<Arc<str>>,
    /// End of the time in which the namespace counts as slow. It also counts as slow while a write is under way.
    until: Instant,
    /// Whether the last slow write got no answer, or no slow write has ended since the namespace became slow.
    hangs: bool,
    /// When a write was last answered.
    answered: Option<Instant>,
}

impl Namespace {
    fn is_slow(&self, now: Instant) -> bool {
        self.under_way > 0 || now < self.until
    }
}

fn under_way(all: &HashMap<Arc<str>, Namespace>) -> usize {
    all.values().map(|one| one.under_way).sum()
}

impl Slow {
    /// Whether writes to objects of `namespace` are slow.
    pub(in crate::package) fn is(&self, namespace: &str, now: Instant) -> bool {
        let all = self.0.lock();
        all.get(namespace).is_some_and(|one| one.is_slow(now))
    }

    /// Whether a write to the object `key` would hang: its namespace is slow, and the last slow write there got no
    /// answer. If the last write to the object was not slow, and any write of the namespace was answered within the
    /// last minute, a write to the object is taken not to hang.
    pub(in crate::package) fn hangs(&self, key: &ObjectKey, now: Instant) -> bool {
        let all = self.0.lock();
        let Some(one) = all.get(&key.namespace) else {
            return false;
        };
        let others = |answered| !one.slow.contains(&key.name) && now < answered + HUNG;
        one.hangs && one.is_slow(now) && !one.answered.is_some_and(others)
    }

    /// Takes a place for one more write in a slow namespace; `None` if no place is free.
    pub(in crate::package) fn admit(
        self: &Arc<Self>,
        key: &ObjectKey,
        now: Instant,
    ) -> Option<SlowPlace> {
        let mut all = self.0.lock();
        let in_all = under_way(&all);
        let one = all.get_mut(&key.namespace)?;
        let quick = !one.slow.contains(&key.name);
        let free = if quick {
            let kept = one.quick < KEPT_IN_ONE && one.under_way < WITH_SLOW;
            in_all < IN_ALL && (one.under_way < IN_ONE || kept)
        } else {
            in_all < IN_ALL - KEPT_IN_ALL && one.under_way < IN_ONE - KEPT_IN_ONE
        };
        free.then(|| {
            one.under_way += 1;
            one.quick += usize::from(quick);
            self.place(key, now, (true, quick))
        })
    }

    /// Takes a place for a write that began at `begun` and has turned out slow. If `WITH_FIRST` writes have a place
    /// already, the returned place doesn't count.
    pub(in crate::package) fn turned_out(
        self: &Arc<Self>,
        key: &ObjectKey,
        begun: Instant,
    ) -> SlowPlace {
        let now = Instant::now();
        let mut all = self.0.lock();
        all.retain(|_, one| one.is_slow(now));
        let free = under_way(&all) < WITH_FIRST;
        let one = all.entry(Arc::clone(&key.namespace)).or_insert_with(|| {
            tracing::warn!(
                namespace = &*key.namespace,
                "writes to objects of this namespace take long, as happens behind an admission webhook that doesn't answer: only a few are made at a time"
            );
            Namespace {
                under_way: 0,
                quick: 0,
                slow: HashSet::new(),
                until: now + HUNG,
                hangs: true,
                answered: None,
            }
        });
        one.under_way += usize::from(free);
        one.slow.insert(Arc::clone(&key.name));
        self.place(key, begun, (free, false))
    }

    fn place(
        self: &Arc<Self>,
        key: &ObjectKey,
        begun: Instant,
        (counts, quick): (bool, bool),
    ) -> SlowPlace {
        SlowPlace {
            slow: Arc::clone(self),
            key: key.clone(),
            begun,
            counts,
            quick,
            answered: false,
        }
    }
}

/// The place of one write under way in a slow namespace.
pub(in crate::package) struct SlowPlace {
    slow: Arc<Slow>,
    key: ObjectKey,
    begun: Instant,
    /// Whether the write has a place. If not, the write keeps its slot.
    pub counts: bool,
    /// Whether the last write to the object was not slow, and this write isn't slow so far.
    quick: bool,
    answered: bool,
}

impl SlowPlace {
    /// Marks the write as slow.
    pub(in crate::package) fn is_slow(&mut self) {
        let mut all = self.slow.0.lock();
        if let Some(one) = all.get_mut(&self.key.namespace)
            && std::mem::take(&mut self.quick)
        {
            one.quick = one.quick.saturating_sub(1);
            one.slow.insert(Arc::clone(&self.key.name));
        }
    }

    /// Ends the write with an answer of any kind.
    pub(in crate::package) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for SlowPlace {
    fn drop(&mut self) {
        let now = Instant::now();
        let was_slow = now.saturating_duration_since(self.begun) >= SLOW;
        let mut all = self.slow.0.lock();
        let Some(one) = all.get_mut(&self.key.namespace) else {
            return;
        };
        one.under_way = one.under_way.saturating_sub(usize::from(self.counts));
        one.quick = one.quick.saturating_sub(usize::from(self.quick));
        if self.answered {
            one.answered = Some(now);
            if !was_slow {
                one.slow.remove(&self.key.name);
            }
        }
        match (was_slow, self.answered) {
            (true, true) => {
                // An answer ends the suspicion that an unanswered write has raised.
                one.until = now + ANSWERED;
                one.hangs = false;
            }
            (true, false) => {
                one.until = now + HUNG;
                one.hangs = true;
            }
            (false, true) => one.hangs = false,
            (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// An object whose writes were never slow.
    fn object(namespace: &str) -> ObjectKey {
        ObjectKey::new(namespace, "quick")
    }

    /// A write that turned out slow.
    async fn slow_write(slow: &Arc<Slow>, name: &str) -> SlowPlace {
        let begun = Instant::now();
        advance(SLOW).await;
        slow.turned_out(&ObjectKey::new(name, "slow"), begun)
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_slow_for_a_minute_after_a_write_that_hung_and_not_long_after_another() {
        let slow = Arc::new(Slow::default());
        let is = |name| slow.is(name, Instant::now());
        assert!(!is("a"));
        let place = slow_write(&slow, "a").await;
        assert!(is("a") && !is("b"));
        advance(2 * HUNG).await;
        assert!(is("a"), "it is still under way");
        drop(place);
        advance(HUNG / 2).await;
        // A quick write doesn't change that.
        let quick = slow.admit(&object("a"), Instant::now()).unwrap();
        quick.answered();
        assert!(is("a"));
        advance(HUNG / 2).await;
        assert!(!is("a"));
        slow_write(&slow, "a").await.answered();
        assert!(is("a"));
        advance(ANSWERED).await;
        assert!(!is("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_hangs_until_a_write_is_answered_and_again_once_a_slow_one_is_not() {
        let slow = Arc::new(Slow::default());
        let hangs = || slow.hangs(&ObjectKey::new("a", "slow"), Instant::now());
        let another_hangs = || slow.hangs(&object("a"), Instant::now());
        let admit = || slow.admit(&object("a"), Instant::now()).unwrap();
        let first = slow_write(&slow, "a").await;
        assert!(hangs());
        drop(first);
        assert!(hangs());
        admit().answered();
        assert!(!hangs(), "one that is answered");
        let quick = admit();
        drop(quick);
        assert!(!hangs(), "one that fails at once");
        let second = slow_write(&slow, "a").await;
        assert!(!hangs(), "a slow one may still be answered");
        drop(second);
        assert!(hangs() && !another_hangs(), "one of another was answered");
        drop(slow_write(&slow, "a").await);
        advance(HUNG.saturating_sub(SLOW)).await;
        assert!(hangs() && another_hangs(), "long ago");
        advance(SLOW).await;
        assert!(!hangs(), "nobody knows any more");
    }

    #[tokio::test(start_paused = true)]
    async fn few_writes_are_under_way_in_one_slow_namespace_and_in_all_of_them() {
        let slow = Arc::new(Slow::default());
        let admit = |name: &str| slow.admit(&object(name), Instant::now());
        drop(slow_write(&slow, "a").await);
        let known = ObjectKey::new("a", "slow");
        let mut of_one: Vec<_> =
            std::iter::from_fn(|| slow.admit(&known, Instant::now())).collect();
        assert_eq!(of_one.len(), IN_ONE - KEPT_IN_ONE);
        of_one.extend(std::iter::from_fn(|| admit("a")));
        assert_eq!(of_one.len(), IN_ONE);
        of_one.pop();
        of_one.extend(admit("a"));
        assert!(of_one.len() == IN_ONE && admit("a").is_none());
        let mut places = Vec::new();
        for number in 0..100 {
            let name = format!("b-{number}");
            drop(slow_write(&slow, &name).await);
            places.extend(admit(&name));
        }
        assert_eq!(places.len() + of_one.len(), IN_ALL);
        // The first slow writes of a namespace are under way before the namespace counts as slow.
        let mut first = Vec::new();
        for _ in IN_ALL..WITH_FIRST {
            first.push(slow_write(&slow, "c").await);
        }
        assert!(first.iter().all(|place| place.counts));
        let beside = slow_write(&slow, "d").await;
        assert!(!beside.counts);
        drop((of_one, places, first, beside));
        assert_eq!(under_way(&slow.0.lock()), 0);
        assert!(admit("d").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_turn_out_slow_in_a_place_that_is_kept_make_room_for_others() {
        let slow = Arc::new(Slow::default());
        drop(slow_write(&slow, "a").await);
        let name = |number| ObjectKey::new("a", format!("n-{number}"));
        let mut places = Vec::new();
        for number in 0.. {
            let Some(mut place) = slow.admit(&name(number), Instant::now()) else {
                break;
            };
            place.is_slow();
            places.push(place);
        }
        assert_eq!(places.len(), WITH_SLOW);
        places.truncate(IN_ONE);
        let again = slow.admit(&name(0), Instant::now());
        assert!(again.is_none(), "it is known to be slow");
        let others: Vec<_> =
            std::iter::from_fn(|| slow.admit(&object("a"), Instant::now())).collect();
        assert_eq!(others.len(), KEPT_IN_ONE);
        drop(places);
        slow.admit(&name(0), Instant::now()).unwrap().answered();
        assert!(!slow.0.lock()["a"].slow.contains("n-0"));
        drop(others);
    }
}
