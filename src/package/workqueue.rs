//! Which object is looked at next: first come, first served, each at most once at a time.
//!
//! kube's own scheduler takes due objects in hash order once its concurrency is capped, which
//! starves some of them for ever; this queue is the fair counterpart.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::names::ObjectKey;

/// A fair queue of keys with delays; one timer serves them all.
#[derive(Default)]
pub struct Workqueue {
    state: Mutex<State>,
    changed: Notify,
    ended: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<ObjectKey>,
    /// What is in `ready`, and since when.
    queued: HashMap<ObjectKey, Instant>,
    /// What runs, and since when it had been waiting for that.
    running: HashMap<ObjectKey, Instant>,
    /// Added while running, and since when: looked at again right after.
    again: HashMap<ObjectKey, Instant>,
    later: BTreeSet<(Instant, ObjectKey)>,
    due: HashMap<ObjectKey, Instant>,
}

impl Workqueue {
    /// Looks at `key` as soon as its turn comes; adding it twice is adding it once.
    pub fn add(&self, key: ObjectKey) {
        self.state.lock().add(key, Instant::now());
        self.changed.notify_one();
    }

    /// The next key, from now on running until [`Workqueue::done`].
    pub async fn next(&self) -> ObjectKey {
        loop {
            let due = {
                let mut state = self.state.lock();
                state.mature(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    let since = state.queued.remove(&key).unwrap_or_else(Instant::now);
                    state.running.insert(key.clone(), since);
                    return key;
                }
                state.later.first().map(|(at, _)| *at)
            };
            match due {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Ends the run of `key`; it is looked at again at `next`, or at once if it was added meanwhile.
    ///
    /// Returns since when `key` was due: when it was added first, or when its time came. `None` when it wasn't running.
    pub fn done(&self, key: &ObjectKey, next: Option<Instant>) -> Option<Instant> {
        let mut state = self.state.lock();
        let since = state.running.remove(key);
        if let Some(at) = state.due.remove(key) {
            state.later.remove(&(at, key.clone()));
        }
        if let Some(at) = next {
            state.due.insert(key.clone(), at);
            state.later.insert((at, key.clone()));
        }
        if let Some(added) = state.again.remove(key) {
            state.add(key.clone(), added);
        }
        drop(state);
        self.changed.notify_one();
        self.ended.notify_waiters();
        since
    }

    /// Waits for a moment in which nothing runs and nothing is due.
    pub async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.state.lock().is_idle(Instant::now()) {
                return;
            }
            ended.await;
        }
    }

    /// How many keys are running.
    pub fn running(&self) -> usize {
        self.state.lock().running.len()
    }
}

impl State {
    fn add(&mut self, key: ObjectKey, since: Instant) {
        if self.running.contains_key(&key) {
            self.again.entry(key).or_insert(since);
        } else if let Entry::Vacant(place) = self.queued.entry(key.clone()) {
            place.insert(since);
            self.ready.push_back(key);
        }
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        self.mature(now);
        self.running.is_empty() && self.ready.is_empty()
    }

    fn mature(&mut self, now: Instant) {
        while let Some((at, key)) = self.later.pop_first() {
            if at > now {
                self.later.insert((at, key));
                return;
            }
            self.due.remove(&key);
            self.add(key, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("n", name)
    }

    #[tokio::test(start_paused = true)]
    async fn keys_come_in_the_order_in_which_they_were_added_and_only_once() {
        let queue = Workqueue::default();
        for name in ["a", "b", "a", "c"] {
            queue.add(key(name));
        }
        for name in ["a", "b", "c"] {
            assert_eq!(queue.next().await, key(name));
        }
        assert_eq!(queue.running(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_while_it_runs_comes_again_right_after() {
        let queue = Workqueue::default();
        queue.add(key("a"));
        let running = queue.next().await;
        queue.add(key("a"));
        assert!(
            tokio::time::timeout(Duration::from_secs(1), queue.next())
                .await
                .is_err()
        );
        queue.done(&running, None);
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_tells_since_when_it_was_due() {
        let queue = Workqueue::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let pass = async |next| {
            tokio::time::advance(Duration::from_secs(1)).await;
            queue.add(key("a"));
            let running = queue.next().await;
            tokio::time::advance(Duration::from_secs(1)).await;
            // The first wake-up of those that come during a run counts for the next one.
            queue.add(key("a"));
            tokio::time::advance(Duration::from_secs(1)).await;
            queue.add(key("a"));
            queue.done(&running, next)
        };
        queue.add(key("a"));
        assert_eq!(pass(None).await, Some(start));
        assert_eq!(pass(Some(after(60))).await, Some(after(2)));
        let running = queue.next().await;
        assert_eq!(queue.done(&running, Some(after(60))), Some(after(5)));
        let running = queue.next().await;
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(queue.done(&running, None), Some(after(60)));
        assert_eq!(queue.done(&running, None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_last_wake_up_counts_and_it_comes_on_time() {
        let queue = Workqueue::default();
        let start = Instant::now();
        for seconds in [5, 60] {
            queue.add(key("a"));
            let running = queue.next().await;
            queue.done(&running, Some(start + Duration::from_secs(seconds)));
        }
        assert_eq!(queue.next().await, key("a"));
        assert_eq!(Instant::now() - start, Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_once_what_follows_at_once_is_done_too_and_not_kept_by_what_is_due_later() {
        let queue = Workqueue::default();
        queue.add(key("a"));
        let running = queue.next().await;
        let mut idle = std::pin::pin!(queue.idle());
        assert!(futures::poll!(&mut idle).is_pending());
        queue.done(&running, Some(Instant::now()));
        assert!(futures::poll!(&mut idle).is_pending());
        let running = queue.next().await;
        assert!(futures::poll!(&mut idle).is_pending());
        queue.done(&running, Some(Instant::now() + Duration::from_secs(60)));
        idle.await;
    }

    #[tokio::test(start_paused = true)]
    async fn new_keys_are_not_starved_by_thousands_that_come_back_all_the_time() {
        let queue = Workqueue::default();
        for i in 0..10_000 {
            queue.add(key(&format!("old-{i}")));
        }
        for _ in 0..5_000 {
            let running = queue.next().await;
            queue.add(running.clone());
            queue.done(&running, None);
        }
        queue.add(key("new"));
        let mut before = 0;
        loop {
            let running = queue.next().await;
            if running == key("new") {
                break;
            }
            queue.add(running.clone());
            queue.done(&running, None);
            before += 1;
        }
        assert_eq!(
            before, 10_000,
            "a new key waits for those before it, and for each once"
        );
    }
}
