//! The work queue: Platforms take turns, the objects of a Platform come first in, first out, and each object is
//! processed at most once at a time.
//!
//! kube's own scheduler takes due objects in hash order once its concurrency is capped, so some objects starve; this
//! queue is fair. A change that concerns thousands of objects goes to a bulk line, which takes turns with the line for
//! single objects.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::names::ObjectKey;
use crate::package::cache::Wakes;
use crate::package::turns::fair_line::{FairLine, Party};

/// A fair work queue of object keys, with delays. One timer serves all delayed keys.
pub struct Workqueue {
    state: Mutex<State>,
    changed: Notify,
    ended: Notify,
}

struct State {
    /// Platform of a key, for the turns.
    party: Box<dyn Fn(&ObjectKey) -> Party + Send>,
    /// Keys that were added one by one.
    ready: FairLine,
    /// Keys that were added in bulk. A key that has since been added singly is in both lines, and waits as a key of
    /// `ready`.
    bulk: FairLine,
    /// Queued keys, with their line and the time since which they wait.
    queued: HashMap<ObjectKey, (Reason, Instant)>,
    /// The line whose turn it is if both lines have keys.
    turn: Reason,
    /// Running keys, and the time since which each was due.
    running: HashMap<ObjectKey, Instant>,
    /// Running keys that were added again, and since when. They are queued right after their run.
    again: HashMap<ObjectKey, Instant>,
    /// Running keys that were added with a delay, and when they are due.
    again_later: HashMap<ObjectKey, Instant>,
    /// Delayed keys, by the time at which they are due.
    later: BTreeSet<(Instant, ObjectKey)>,
    /// Time at which each delayed key is due.
    due: HashMap<ObjectKey, Instant>,
}

/// The line that a key waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Itself,
    Bulk,
}

impl Reason {
    fn other(self) -> Self {
        match self {
            Self::Itself => Self::Bulk,
            Self::Bulk => Self::Itself,
        }
    }
}

impl Workqueue {
    /// Creates an empty queue. `platform` returns the Platform of a key; it is called whenever a key is added, and must
    /// not use the queue.
    pub fn new(platform: impl Fn(&ObjectKey) -> Option<ObjectKey> + Send + 'static) -> Self {
        Self {
            state: Mutex::new(State {
                party: Box::new(platform),
                ready: FairLine::default(),
                bulk: FairLine::default(),
                queued: HashMap::new(),
                turn: Reason::Itself,
                running: HashMap::new(),
                again: HashMap::new(),
                again_later: HashMap::new(),
                later: BTreeSet::new(),
                due: HashMap::new(),
            }),
            changed: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// Adds `key` to the line of single keys. A key that is in this line is not added twice, and a running key is added
    /// after its run.
    pub fn add(&self, key: ObjectKey) {
        self.state.lock().add(Reason::Itself, key, Instant::now());
        self.changed.notify_one();
    }

    /// Adds each of `keys` as [`Self::add`] does.
    pub fn add_each(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        for key in keys {
            self.add(key);
        }
    }

    /// Adds `keys` to the bulk line, for a change that concerns them all. Keys that are added singly don't wait for the
    /// end of the bulk.
    pub fn add_all(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        let mut state = self.state.lock();
        let now = Instant::now();
        for key in keys {
            state.add(Reason::Bulk, key, now);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Adds each of `keys` with a delay. A look at the key before the delay is over replaces the delayed look.
    pub fn add_later(&self, keys: impl IntoIterator<Item = (Duration, ObjectKey)>) {
        let mut state = self.state.lock();
        let now = Instant::now();
        for (pause, key) in keys {
            state.add_later(key, now + pause);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Adds all keys that a change concerns: some to the bulk line, the others with a delay.
    pub fn add_wakes(&self, wakes: Wakes) {
        self.add_all(wakes.now);
        self.add_later(wakes.later);
    }

    /// Waits for the next key. The key is running until [`Workqueue::done`].
    pub async fn next(&self) -> ObjectKey {
        loop {
            let due = {
                let mut state = self.state.lock();
                state.mature(Instant::now());
                if let Some((key, since)) = state.pop() {
                    state.running.insert(key.clone(), since);
                    return key;
                }
                state.later.first().map(|(at, _)| *at)
            };
            match due {
                Some(at) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(at) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Ends the run of `key`. The key is due again at `next`, or at once if it was added during the run.
    ///
    /// Returns the time since which `key` was due before the run: when it was added, or when its delay was over. `None`
    /// if it wasn't running.
    pub fn done(&self, key: &ObjectKey, next: Option<Instant>) -> Option<Instant> {
        let mut state = self.state.lock();
        let since = state.running.remove(key);
        if let Some(at) = state.due.remove(key) {
            state.later.remove(&(at, key.clone()));
        }
        let later = state.again_later.remove(key);
        let next = next.into_iter().chain(later).min();
        if let Some(at) = next {
            state.due.insert(key.clone(), at);
            state.later.insert((at, key.clone()));
        }
        if let Some(added) = state.again.remove(key) {
            state.add(Reason::Itself, key.clone(), added);
        }
        drop(state);
        self.changed.notify_one();
        self.ended.notify_waiters();
        since
    }

    /// Waits until no key is running or due.
    pub async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            if self.state.lock().is_idle(Instant::now()) {
                return;
            }
            ended.await;
        }
    }

    /// Number of running keys.
    pub fn running(&self) -> usize {
        self.state.lock().running.len()
    }
}

impl State {
    fn add(&mut self, reason: Reason, key: ObjectKey, since: Instant) {
        if self.running.contains_key(&key) {
            self.again.entry(key).or_insert(since);
            return;
        }
        let first = match (self.queued.get(&key), reason) {
            (Some((Reason::Itself, _)), _) | (Some((Reason::Bulk, _)), Reason::Bulk) => return,
            (Some((Reason::Bulk, first)), Reason::Itself) => *first,
            (None, Reason::Itself | Reason::Bulk) => since,
        };
        let party = (self.party)(&key);
        self.line(reason).push(party, key.clone());
        self.queued.insert(key, (reason, first));
    }

    fn add_later(&mut self, key: ObjectKey, at: Instant) {
        if self.running.contains_key(&key) {
            let first = self.again_later.entry(key).or_insert(at);
            *first = at.min(*first);
        } else if !self.queued.contains_key(&key) {
            let known = self.due.get(&key).copied();
            if known.is_some_and(|known| known <= at) {
                return;
            }
            if let Some(known) = known {
                self.later.remove(&(known, key.clone()));
            }
            self.due.insert(key.clone(), at);
            self.later.insert((at, key));
        }
    }

    /// Removes the first key of the line whose turn it is, with the time since which it waits. The other line is next.
    fn pop(&mut self) -> Option<(ObjectKey, Instant)> {
        let lines = [self.turn, self.turn.other()];
        let (reason, key) = lines
            .into_iter()
            .find_map(|reason| Some((reason, self.pop_from(reason)?)))?;
        self.turn = reason.other();
        let (_, since) = self.queued.remove(&key)?;
        Some((key, since))
    }

    fn pop_from(&mut self, reason: Reason) -> Option<ObjectKey> {
        while let Some(key) = self.line(reason).pop() {
            if self.queued.get(&key).is_some_and(|(at, _)| *at == reason) {
                return Some(key);
            }
        }
        None
    }

    fn line(&mut self, reason: Reason) -> &mut FairLine {
        match reason {
            Reason::Itself => &mut self.ready,
            Reason::Bulk => &mut self.bulk,
        }
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        self.mature(now);
        self.running.is_empty() && self.queued.is_empty()
    }

    fn mature(&mut self, now: Instant) {
        while let Some((at, key)) = self.later.pop_first() {
            if at > now {
                self.later.insert((at, key));
                return;
            }
            self.due.remove(&key);
            self.add(Reason::Itself, key, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("n", name)
    }

    /// A queue whose keys all belong to one party.
    fn queue() -> Workqueue {
        Workqueue::new(|_| None)
    }

    #[tokio::test(start_paused = true)]
    async fn keys_come_in_the_order_in_which_they_were_added_and_only_once() {
        let queue = queue();
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
        let queue = queue();
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
        let queue = queue();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let pass = async |next| {
            tokio::time::advance(Duration::from_secs(1)).await;
            queue.add(key("a"));
            let running = queue.next().await;
            tokio::time::advance(Duration::from_secs(1)).await;
            // The first wake-up during a run sets the time for the next run.
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
    async fn ten_thousand_that_are_due_at_one_time_come_at_that_time() {
        let queue = queue();
        let due = Instant::now() + Duration::from_secs(3600);
        for number in 0..10_000 {
            queue.add(key(&number.to_string()));
            let running = queue.next().await;
            queue.done(&running, Some(due));
        }
        for _ in 0..10_000 {
            queue.next().await;
            assert_eq!(Instant::now(), due);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_last_wake_up_counts_and_it_comes_on_time() {
        let queue = queue();
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
    async fn whoever_is_woken_again_and_again_with_a_pause_looks_once_in_each() {
        let queue = queue();
        let pause = Duration::from_secs(10);
        let start = Instant::now();
        queue.add(key("a"));
        let mut looks = Vec::new();
        loop {
            let running = queue.next().await;
            looks.push((Instant::now() - start).as_secs());
            if looks.len() == 4 {
                break;
            }
            // The key is woken during its run, and every second after it.
            queue.add_later([(pause, key("a"))]);
            queue.done(&running, Some(start + Duration::from_secs(3600)));
            for _ in 0..5 {
                tokio::time::advance(Duration::from_secs(1)).await;
                queue.add_later([(pause, key("a"))]);
            }
        }
        assert_eq!(looks, [0, 10, 20, 30]);
        // A look for another reason replaces the delayed look.
        queue.done(&key("a"), None);
        queue.add_later([(pause, key("a"))]);
        queue.add(key("a"));
        let running = queue.next().await;
        queue.done(&running, None);
        assert!(futures::poll!(std::pin::pin!(queue.next())).is_pending());
        tokio::time::advance(2 * pause).await;
        assert!(futures::poll!(std::pin::pin!(queue.next())).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_once_what_follows_at_once_is_done_too_and_not_kept_by_what_is_due_later() {
        let queue = queue();
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
    async fn what_concerns_one_takes_turns_with_what_concerns_ten_thousand() {
        let queue = queue();
        let all: Vec<_> = (0..10_000).map(|i| key(&format!("all-{i}"))).collect();
        queue.add_all(all.clone());
        queue.add_all(all.clone());
        for i in 0..100 {
            queue.add(key(&format!("new-{i}")));
        }
        // A key that is also added singly need not wait for the bulk before it.
        queue.add(all[9_999].clone());
        let mut seen = HashSet::new();
        for turn in 0..10_100 {
            let running = queue.next().await;
            queue.done(&running, None);
            let for_itself = running.name.starts_with("new") || running == all[9_999];
            assert_eq!(for_itself, turn < 202 && turn % 2 == 0, "{turn}: {running}");
            assert!(seen.insert(running));
        }
        assert!(futures::poll!(std::pin::pin!(queue.next())).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_an_idle_platform_comes_next_beside_thousands_of_a_busy_one() {
        let queue = Workqueue::new(|key| Some(ObjectKey::new("n", key.name.split('-').next()?)));
        for number in 0..3000 {
            queue.add(key(&format!("busy-{number}")));
        }
        queue.next().await;
        queue.add(key("idle-1"));
        assert_eq!(queue.next().await, key("idle-1"));
        assert_eq!(queue.next().await, key("busy-1"));
    }

    #[tokio::test(start_paused = true)]
    async fn new_keys_are_not_starved_by_thousands_that_come_back_all_the_time() {
        let queue = queue();
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
