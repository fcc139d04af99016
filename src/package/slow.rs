//! Which namespaces take long to take a write, as behind an admission webhook that doesn't answer, and how many writes
//! are under way there. Time is an argument.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A write that takes longer is slow.
pub(super) const SLOW: Duration = Duration::from_secs(1);
/// So long a namespace counts as slow after a slow write that was not answered: longer than the pauses of what is tried
/// again.
const HUNG: Duration = Duration::from_secs(60);
/// And after one that was: a store that was busy for a moment is no webhook.
const ANSWERED: Duration = Duration::from_secs(5);
/// So many writes may be under way in one slow namespace, and so many in all of them: each holds a connection, and a share of
/// what the API server does at once for this operator, the Lease included.
const IN_ONE: usize = 8;
const IN_ALL: usize = 64;
/// So many, with the first ones of each, which are under way already when they turn out to be slow.
const WITH_FIRST: usize = 128;

/// The slow namespaces.
#[derive(Default)]
pub struct Slow(Mutex<HashMap<Arc<str>, Namespace>>);

struct Namespace {
    under_way: usize,
    /// It counts as slow until then, and while a write is under way.
    until: Instant,
    /// Whether the last slow write was not answered, or none was yet since it became slow.
    hangs: bool,
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
    pub(super) fn is(&self, namespace: &str, now: Instant) -> bool {
        let all = self.0.lock();
        all.get(namespace).is_some_and(|one| one.is_slow(now))
    }

    /// Whether they are, and none is answered.
    pub(super) fn hangs(&self, namespace: &str, now: Instant) -> bool {
        let all = self.0.lock();
        let one = all.get(namespace);
        one.is_some_and(|one| one.hangs && one.is_slow(now))
    }

    /// A place for one more write to an object of a namespace that is slow; `None` where there is none.
    pub(super) fn admit(self: &Arc<Self>, namespace: &Arc<str>, now: Instant) -> Option<Place> {
        let mut all = self.0.lock();
        let free = under_way(&all) < IN_ALL;
        let one = all.get_mut(namespace)?;
        (free && one.under_way < IN_ONE).then(|| {
            one.under_way += 1;
            self.place(namespace, now, true)
        })
    }

    /// A write that began at `begun` has turned out slow: it takes a place, but for one beside very many.
    pub(super) fn turned_out(self: &Arc<Self>, namespace: &Arc<str>, begun: Instant) -> Place {
        let now = Instant::now();
        let mut all = self.0.lock();
        all.retain(|_, one| one.is_slow(now));
        let free = under_way(&all) < WITH_FIRST;
        let one = all.entry(Arc::clone(namespace)).or_insert_with(|| {
            tracing::warn!(
                namespace = &**namespace,
                "writes to its objects take long, as behind an admission webhook that doesn't answer: few are made at a time"
            );
            Namespace {
                under_way: 0,
                until: now + HUNG,
                hangs: true,
            }
        });
        one.under_way += usize::from(free);
        self.place(namespace, begun, free)
    }

    fn place(self: &Arc<Self>, namespace: &Arc<str>, begun: Instant, counts: bool) -> Place {
        Place {
            slow: Arc::clone(self),
            namespace: Arc::clone(namespace),
            begun,
            counts,
            answered: false,
        }
    }
}

/// The place of one write under way in a slow namespace.
pub(super) struct Place {
    slow: Arc<Slow>,
    namespace: Arc<str>,
    begun: Instant,
    /// Whether it is one; otherwise the write has to keep its slot.
    pub counts: bool,
    answered: bool,
}

impl Place {
    /// The write was answered, whatever with.
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = Instant::now();
        let was_slow = now.saturating_duration_since(self.begun) >= SLOW;
        let mut all = self.slow.0.lock();
        let Some(one) = all.get_mut(&self.namespace) else {
            return;
        };
        one.under_way = one.under_way.saturating_sub(usize::from(self.counts));
        match (was_slow, self.answered) {
            (true, true) => {
                // What one that was not answered has told ends with that.
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

    fn namespace(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    /// A write that was found to be slow.
    async fn slow_write(slow: &Arc<Slow>, name: &str) -> Place {
        let begun = Instant::now();
        advance(SLOW).await;
        slow.turned_out(&namespace(name), begun)
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
        // A quick one changes nothing of that.
        let quick = slow.admit(&namespace("a"), Instant::now()).unwrap();
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
        let hangs = || slow.hangs("a", Instant::now());
        let admit = || slow.admit(&namespace("a"), Instant::now()).unwrap();
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
        assert!(hangs());
        advance(HUNG).await;
        assert!(!hangs(), "nobody knows any more");
    }

    #[tokio::test(start_paused = true)]
    async fn few_writes_are_under_way_in_one_slow_namespace_and_in_all_of_them() {
        let slow = Arc::new(Slow::default());
        let admit = |name: &str| slow.admit(&namespace(name), Instant::now());
        drop(slow_write(&slow, "a").await);
        let mut of_one: Vec<_> = std::iter::from_fn(|| admit("a")).collect();
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
        // The first of a namespace are under way already when that turns out.
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
}
