//! The tally: the number of deletions in a window. It counts the sent deletions, and the requested deletions that
//! aren't sent. It is pure.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// The most stretches of a tally. If there are more, the oldest ones are merged. A status has room for 64.
const STRETCHES: usize = 48;
/// The length of a stretch is the shortest window divided by this number. A sent deletion is forgotten too late by at
/// most the length of a stretch.
const FINE: u32 = 20;

/// Gives out numbers. Each number is given out once, and is larger than every number in a status.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers(Arc<AtomicI64>);

impl Numbers {
    /// Returns a new number.
    pub(super) fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Skips all numbers up to `number`.
    pub(super) fn pass(&self, number: i64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }
}

/// The deletions sent in one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The stretch's number in all records that contain it; 0 if a record has no number for it.
    pub number: i64,
    pub from: Timestamp,
    pub until: Timestamp,
    pub count: usize,
}

impl Stretch {
    /// Creates a stretch for one deletion sent now, where `shortest` is the shortest window.
    fn around(number: i64, now: Timestamp, shortest: Duration) -> Self {
        let fine = (shortest / FINE).max(Duration::from_secs(1));
        // The status keeps whole seconds, so the stretch is rounded outwards.
        let from = whole(now, 0);
        Self {
            number,
            from,
            until: whole(later(from, fine), 1),
            count: 1,
        }
    }

    /// Whether both stretches record the same deletions.
    fn is_same(&self, other: &Self) -> bool {
        self.number == other.number && (self.number != 0 || self.until == other.until)
    }

    fn holds(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// The counts of the window with the most deletions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fullest {
    /// The number of deletions requested or sent in the window.
    pub count: usize,
    /// The number of those deletions that were sent.
    pub sent: usize,
}

/// Requested and sent deletions by time.
#[derive(Debug, Default)]
pub(super) struct Tally {
    asked: BTreeSet<(Timestamp, Arc<str>)>,
    /// The stretches in the order of their ends.
    sent: VecDeque<Stretch>,
    numbers: Numbers,
    /// The number of the stretch that may still grow. No other tally counts in this stretch.
    open: Option<i64>,
}

impl Tally {
    /// Creates an empty tally.
    pub(super) fn new(numbers: Numbers) -> Self {
        Self {
            numbers,
            ..Self::default()
        }
    }

    /// Copies the sent deletions for another tally; neither tally adds to a stretch of the other from now on.
    pub(super) fn copy_sent(&mut self) -> Self {
        self.open = None;
        Self {
            asked: BTreeSet::new(),
            sent: self.sent.clone(),
            numbers: self.numbers.clone(),
            open: None,
        }
    }

    /// Adds the sent deletions of another tally; a stretch that both contain counts once.
    pub(super) fn merge_sent(&mut self, other: Self) {
        self.open = None;
        for stretch in other.sent {
            self.merge(stretch);
        }
    }

    /// Adds a requested deletion.
    pub(super) fn ask(&mut self, at: Timestamp, uid: &Arc<str>) {
        self.asked.insert((at, Arc::clone(uid)));
    }

    /// Removes a requested deletion that isn't requested any more or counts as sent.
    pub(super) fn withdraw(&mut self, at: Timestamp, uid: &Arc<str>) {
        self.asked.remove(&(at, Arc::clone(uid)));
    }

    /// Returns the number of requested deletions that aren't sent.
    pub(super) fn waiting(&self) -> usize {
        self.asked.len()
    }

    /// Adds a deletion that is sent now, where `shortest` is the shortest window.
    pub(super) fn send(&mut self, now: Timestamp, shortest: Duration) {
        let open = |stretch: &&mut Stretch| Some(stretch.number) == self.open && stretch.holds(now);
        if let Some(open) = self.sent.iter_mut().find(open) {
            open.count += 1;
            return;
        }
        let number = self.numbers.next();
        self.open = Some(number);
        self.add(Stretch::around(number, now, shortest));
    }

    /// Moves deletions with a time in the future to now. Such times come from a clock that was set back, or from a
    /// process whose clock was ahead. Returns whether there were such deletions.
    pub(super) fn bring_back(&mut self, now: Timestamp, shortest: Duration) -> bool {
        let latest = Stretch::around(0, now, shortest);
        let mut ahead = false;
        // The order of the stretches' ends stays the same.
        for stretch in &mut self.sent {
            ahead |= stretch.from > latest.from || stretch.until > latest.until;
            stretch.from = stretch.from.min(latest.from);
            stretch.until = stretch.until.min(latest.until);
        }
        if ahead {
            // If several stretches have the same end and no number, a record keeps only one of them. So such stretches
            // are merged here.
            let all = std::mem::take(&mut self.sent);
            for stretch in all {
                self.put_back(stretch);
            }
        }
        ahead
    }

    /// Removes and returns one deletion that counts as sent at `at`.
    pub(super) fn give_back(&mut self, at: Timestamp) -> Option<Stretch> {
        let index = self.sent.iter().position(|s| s.holds(at))?;
        self.take_from(index)
    }

    /// Removes and returns one deletion of the stretch that is forgotten first.
    pub(super) fn give_back_oldest(&mut self) -> Option<Stretch> {
        self.take_from(0)
    }

    fn take_from(&mut self, index: usize) -> Option<Stretch> {
        let stretch = self.sent.get_mut(index)?;
        stretch.count -= 1;
        let one = Stretch {
            count: 1,
            ..*stretch
        };
        self.sent.retain(|stretch| stretch.count > 0);
        Some(one)
    }

    /// Adds a deletion that was removed.
    pub(super) fn put_back(&mut self, unit: Stretch) {
        match self.sent.iter_mut().find(|known| known.is_same(&unit)) {
            Some(known) => {
                known.count += unit.count;
                known.from = known.from.min(unit.from);
            }
            None => self.add(unit),
        }
    }

    /// Whether a deletion that counts as sent at `at` is forgotten as late as a deletion that is sent now.
    pub(super) fn covers(&self, at: Timestamp, now: Timestamp) -> bool {
        self.sent.iter().any(|s| s.holds(at) && s.holds(now))
    }

    /// Adds a recorded stretch, and merges the oldest stretches if there are too many.
    pub(super) fn add(&mut self, stretch: Stretch) {
        let index = self.sent.partition_point(|s| s.until <= stretch.until);
        self.sent.insert(index, stretch);
        while self.sent.len() > STRETCHES {
            let (Some(a), Some(b)) = (self.sent.pop_front(), self.sent.pop_front()) else {
                return;
            };
            self.sent.push_front(Stretch {
                number: self.numbers.next(),
                from: a.from.min(b.from),
                until: a.until.max(b.until),
                count: a.count + b.count,
            });
        }
    }

    /// Merges a stretch of another record; if both records contain the stretch, the larger count applies.
    pub(super) fn merge(&mut self, stretch: Stretch) {
        self.numbers.pass(stretch.number);
        match self.sent.iter_mut().find(|known| known.is_same(&stretch)) {
            Some(known) => {
                known.count = known.count.max(stretch.count);
                known.from = known.from.min(stretch.from);
                known.until = known.until.max(stretch.until);
            }
            None => self.add(stretch),
        }
    }

    /// Forgets stretches that are older than the longest window.
    pub(super) fn forget(&mut self, longest: Duration, now: Timestamp) {
        let start = earlier(now, longest);
        self.sent.retain(|stretch| stretch.until > start);
    }

    /// Whether any deletion counts as sent.
    pub(super) fn has_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Returns the stretches in which deletions were sent.
    pub(super) fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.sent.iter()
    }

    /// Returns the number of deletions sent within the window that ends now.
    pub(super) fn sent_within(&self, window: Duration, now: Timestamp) -> usize {
        self.overlapping(earlier(now, window), now)
    }

    /// Returns the number of all deletions, which no window can exceed.
    pub(super) fn all(&self) -> usize {
        let sent: usize = self.sent.iter().map(|stretch| stretch.count).sum();
        sent + self.asked.len()
    }

    /// Returns the window with the most deletions, among all windows that end with a requested deletion or now.
    pub(super) fn fullest(&self, window: Duration, now: Timestamp) -> Fullest {
        let mut fullest = Fullest {
            count: 0,
            sent: self.sent_within(window, now),
        };
        // If the API server's clock is ahead, a request time may be in the future. Such a time counts as now.
        let times: Vec<Timestamp> = self.asked.iter().map(|(at, _)| (*at).min(now)).collect();
        let ends = times.iter().copied().chain(std::iter::once(now));
        for end in ends {
            let start = earlier(end, window);
            let first = times.partition_point(|at| *at <= start);
            let last = times.partition_point(|at| *at <= end);
            let sent = self.overlapping(start, end);
            let count = last - first + sent;
            if count > fullest.count {
                fullest = Fullest { count, sent };
            }
        }
        fullest
    }

    /// Returns the number of deletions sent in stretches that overlap the time after `start` up to `end`.
    fn overlapping(&self, start: Timestamp, end: Timestamp) -> usize {
        let within = self
            .sent
            .iter()
            .filter(|s| s.until > start && s.from <= end);
        within.map(|stretch| stretch.count).sum()
    }
}

fn whole(time: Timestamp, more: i64) -> Timestamp {
    Timestamp::from_second(time.as_second().saturating_add(more)).unwrap_or(time)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn uid(number: usize) -> Arc<str> {
        format!("uid-{number}").into()
    }

    #[test]
    fn a_window_counts_what_was_asked_for_and_what_was_sent() {
        let mut tally = Tally::default();
        for number in 0..10 {
            tally.ask(at(i64::try_from(number).unwrap() * 60), &uid(number));
        }
        assert_eq!(tally.fullest(WINDOW, at(540)).count, 10);
        assert_eq!(tally.fullest(Duration::from_secs(60), at(540)).count, 1);
        tally.withdraw(at(0), &uid(0));
        tally.send(at(545), WINDOW);
        let fullest = tally.fullest(WINDOW, at(546));
        assert_eq!((fullest.count, fullest.sent, tally.waiting()), (10, 1, 9));
    }

    #[test]
    fn what_was_sent_leaves_the_window_a_little_late_and_never_early() {
        let mut tally = Tally::default();
        tally.send(at(0), WINDOW);
        assert_eq!(tally.sent_within(WINDOW, at(600)), 1);
        assert_eq!(tally.sent_within(WINDOW, at(632)), 0);
    }

    #[test]
    fn what_was_sent_in_the_future_counts_as_sent_now_and_leaves_the_window_a_window_later() {
        let mut tally = Tally::default();
        for second in [10, 5000, 5100, 9000] {
            tally.send(at(second), WINDOW);
        }
        // The clock was set back.
        for second in [0, 1, 600] {
            tally.bring_back(at(second), WINDOW);
            tally.forget(WINDOW, at(second));
            assert_eq!(tally.sent_within(WINDOW, at(second)), 4, "{second}");
        }
        tally.bring_back(at(632), WINDOW);
        assert_eq!(tally.sent_within(WINDOW, at(632)), 0);
        // A deletion sent just now keeps its time.
        tally.send(at(640), WINDOW);
        let before: Vec<_> = tally.stretches().copied().collect();
        tally.bring_back(at(640), WINDOW);
        assert_eq!(tally.stretches().copied().collect::<Vec<_>>(), before);
    }

    #[test]
    fn what_is_asked_for_in_the_future_counts_with_what_is_asked_for_now() {
        let mut tally = Tally::default();
        tally.ask(at(0), &uid(0));
        tally.ask(at(5000), &uid(1));
        assert_eq!(tally.fullest(WINDOW, at(3)).count, 2);
    }

    #[test]
    fn the_same_record_read_twice_counts_once() {
        let mut tally = Tally::default();
        let stretch = |count| Stretch {
            number: 0,
            from: at(0),
            until: at(30),
            count,
        };
        for count in [3, 5, 4] {
            tally.merge(stretch(count));
        }
        assert_eq!(tally.sent_within(WINDOW, at(31)), 5);
    }

    proptest! {
        #[test]
        fn however_many_stretches_there_are_none_is_lost_and_the_record_stays_small(
            times in proptest::collection::vec(0_i64..86_400, 1..400)
        ) {
            let mut times = times;
            times.sort_unstable();
            let mut tally = Tally::default();
            for time in &times {
                tally.send(at(*time), Duration::from_secs(20));
            }
            let end = at(86_400);
            for window in [60, 600, 7200, 86_400] {
                let exact = times.iter().filter(|t| at(**t) > end - Duration::from_secs(window)).count();
                prop_assert!(tally.sent_within(Duration::from_secs(window), end) >= exact);
            }
            prop_assert_eq!(tally.all(), times.len());
            prop_assert!(tally.stretches().count() <= STRETCHES);
        }

        #[test]
        fn the_fullest_window_is_that_of_a_slow_count(
            times in proptest::collection::vec(0_i64..2000, 0..60), window in 1_u64..700
        ) {
            let mut tally = Tally::default();
            for (number, time) in times.iter().enumerate() {
                tally.ask(at(*time), &uid(number));
            }
            let window = Duration::from_secs(window);
            let slow = times.iter().map(|end| {
                times.iter().filter(|t| **t <= *end && at(**t) > at(*end) - window).count()
            });
            prop_assert_eq!(tally.fullest(window, at(2000)).count, slow.max().unwrap_or(0));
        }
    }
}
