//! The calls of one process as its successor counts them, with a clock that the test moves.

use super::*;
use crate::session::call_log::{CallLog, Inheritance};

/// A session of a leading process, and the Lease that the process writes.
struct Holder {
    bench: Bench,
    /// The record that is certainly in the Lease, and those that may have replaced it.
    safe: String,
    written: Vec<String>,
    calls: Vec<(Underway, Instant)>,
    /// The times from which calls count, as far as they are known.
    sent: Vec<Instant>,
}

impl Holder {
    fn new() -> Self {
        let mut bench = Bench::new(50);
        let past = Inheritance::nothing().take(&session_key(), bench.now);
        bench.core.begin_lease(past, LeaseBounds::default());
        Self {
            bench,
            safe: CallLog::new(Vec::new(), false).into_text(),
            written: Vec::new(),
            calls: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Creates a holder with this quota, and a record made while no object waited.
    fn idle(calls: usize) -> Self {
        let mut holder = Self::new();
        let now = holder.bench.now;
        holder
            .bench
            .core
            .agree(LANE, terms(calls, "s1"), false, now);
        holder.write();
        holder.confirm();
        holder
    }

    fn write(&mut self) {
        let now = self.bench.now;
        let until = now + secs(6);
        let record = self.bench.core.record(&session_key(), until, now);
        self.written
            .push(CallLog::new(vec![record], false).into_text());
    }

    fn confirm(&mut self) {
        if let Some(last) = self.written.pop() {
            self.written.clear();
            self.safe = last;
            self.bench.core.recorded(self.bench.now + secs(3600));
            self.bench.settle();
        }
    }

    fn begin(&mut self) {
        let mut holders: Vec<_> = self.bench.core.permits.keys().cloned().collect();
        holders.sort_unstable();
        for uid in holders.into_iter().take(3) {
            if let Some((call, _)) =
                self.bench
                    .core
                    .begin(LANE, &uid, Purpose::Delete, self.bench.now)
            {
                self.calls.push((call, self.bench.now));
            }
        }
    }

    /// Serves until no object holds a permit and no call is in flight.
    fn serve(&mut self) {
        while self.bench.permits() + self.bench.logins.len() + self.calls.len() > 0 {
            self.begin();
            self.answer();
        }
    }

    fn answer(&mut self) {
        if !self.bench.logins.is_empty() {
            self.sent.push(self.bench.now);
            self.bench.log_in(3600);
        } else if let Some((call, _)) = self.calls.pop() {
            self.sent.push(self.bench.now);
            self.bench.end(&call, &Answer::Done(200));
        }
    }

    /// Answers a call with an answer of any kind.
    fn answer_anyhow(&mut self, rng: &mut Rng) {
        if let Some((call, _)) = self.calls.pop() {
            self.sent.push(self.bench.now);
            let answer = random_answer(rng);
            self.bench
                .core
                .ended(&call, answer.as_ref(), self.bench.now);
            self.bench.settle();
        } else if !self.bench.logins.is_empty() {
            self.sent.push(self.bench.now);
            let answer = random_answer(rng).unwrap_or(Answer::Done(200));
            self.bench.end_login(Err(answer));
        }
    }
}

impl Bench {
    /// Whether only a record is missing for the next call.
    fn lacks_only_a_record(&mut self) -> bool {
        if !matches!(self.core.next_move(self.now), Move::Wait(_)) {
            return false;
        }
        let lease_bounds = mem::replace(
            &mut self.core.lease_bounds,
            LeaseBounds::unbounded(self.now),
        );
        let allowed = self.core.next_move(self.now);
        self.core.lease_bounds = lease_bounds;
        !matches!(allowed, Move::Wait(_))
    }
}

#[test]
fn the_next_process_never_counts_fewer_calls_than_were_sent_wherever_the_last_one_ends() {
    for seed in 0..600 {
        let mut rng = Rng::with_seed(seed);
        let mut holder = Holder::new();
        for n in 0..rng.usize(1..400) {
            match rng.u8(0..12) {
                0..3 => drop(holder.bench.ask(n)),
                3..5 => holder.begin(),
                5..7 => holder.answer(),
                7 => holder.write(),
                8 => holder.confirm(),
                9 => holder
                    .bench
                    .core
                    .withdraw(LANE, &format!("u{}", rng.usize(0..=n))),
                _ => {
                    let pause = Duration::from_millis(rng.u64(0..4000));
                    holder.bench.pass(pause);
                }
            }
        }
        let ended = holder.bench.now;
        // The calls in flight end now at the earliest.
        let out = holder.calls.len() + holder.bench.logins.len();
        let mut sent = holder.sent.clone();
        sent.extend(std::iter::repeat_n(ended, out));
        // The next process may find any of these records.
        for text in holder.written.iter().chain([&holder.safe]) {
            let seen = ended + Duration::from_millis(rng.u64(0..4000));
            let past = Inheritance::read(text, seen, seen, TIME_OUT).take(&session_key(), seen);
            let counting = |stamps: &[Instant], at: Instant| {
                stamps.iter().filter(|stamp| **stamp >= at).count()
            };
            for at in sent.iter().filter(|at| **at + WINDOW > seen) {
                let (known, real) = (counting(&past.stamps, *at), counting(&sent, *at));
                assert!(
                    known >= real,
                    "seed {seed}: {known} of {real} calls are known"
                );
            }
        }
    }
}

#[test]
fn nothing_begins_before_a_record_that_allows_for_it_is_safe() {
    let mut holder = Holder::new();
    holder.bench.ask(1);
    holder.write();
    holder.bench.settle();
    assert!(holder.bench.logins.is_empty() && holder.bench.permits() == 0);
    holder.confirm();
    assert_eq!(holder.bench.logins.len(), 1);
}

#[test]
fn a_call_that_fits_asks_for_the_record_it_lacks_and_goes_with_it() {
    let mut lacked = 0;
    for seed in 0..600 {
        let mut rng = Rng::with_seed(seed);
        let mut holder = Holder::new();
        let terms = Terms {
            window: secs(rng.u64(1..120)),
            ..terms(rng.usize(1..80), "s1")
        };
        holder
            .bench
            .core
            .agree(LANE, terms, false, holder.bench.now);
        if rng.bool() {
            holder.bench.core.want_spare(LANE);
        }
        holder.write();
        holder.confirm();
        for n in 0..rng.usize(1..300) {
            match rng.u8(0..12) {
                0..4 => drop(holder.bench.ask(n)),
                4..6 => holder.begin(),
                6 => holder.answer(),
                7 => holder.answer_anyhow(&mut rng),
                // A record that isn't confirmed before the next one has failed.
                8 => holder.write(),
                9 => holder.confirm(),
                _ => {
                    let pause = Duration::from_millis(rng.u64(0..4000));
                    holder.bench.pass(pause);
                }
            }
            let (bench, failed) = (&mut holder.bench, !holder.written.is_empty());
            if !bench.lacks_only_a_record() {
                continue;
            }
            lacked += 1;
            let waits = bench.core.waiting(LANE) > 0;
            assert!(
                !waits || bench.core.wants_record(),
                "seed {seed}: nobody asks for it"
            );
            if rng.u8(0..4) > 0 {
                continue;
            }
            let before = bench.core.budget.in_flight();
            // After a record of unknown outcome, the first confirmed record may still be bound by that one.
            for _ in 0..=usize::from(failed) {
                holder.write();
                holder.confirm();
            }
            let bench = &mut holder.bench;
            let spare = matches!(bench.core.next_move(bench.now), Move::Spare { .. });
            assert!(
                spare || bench.core.budget.in_flight() > before,
                "seed {seed}: still short"
            );
        }
    }
    assert!(lacked > 1000, "{lacked} times is too little to prove it");
}

#[test]
fn ten_records_in_a_window_allow_for_all_its_calls() {
    for (quota, at_once) in [10, 50, 100, 1000]
        .into_iter()
        .flat_map(|quota| [(quota, true), (quota, false)])
    {
        let mut holder = Holder::idle(quota);
        let reserved = format!("\"reserved\":{}", quota.min(20));
        assert!(holder.safe.contains(&reserved), "{}", holder.safe);
        let mut coming = 0..quota - 1;
        let mut records = 0;
        while holder.sent.len() < quota {
            for n in coming.by_ref().take(if at_once { quota } else { 1 }) {
                holder.bench.ask(n);
            }
            let before = (holder.sent.len(), records);
            if holder.bench.core.wants_record() {
                holder.write();
                holder.confirm();
                records += 1;
            }
            holder.serve();
            assert_ne!((holder.sent.len(), records), before, "nothing goes on");
        }
        assert!(records <= 10, "{records} for {quota}, at once: {at_once}");
    }
}

#[test]
fn deletions_that_come_one_by_one_never_wait_for_a_record() {
    let mut holder = Holder::idle(200);
    holder.bench.ask(0);
    holder.answer();
    for n in 1..150 {
        holder.bench.ask(n);
        while holder.bench.permits() > 0 {
            holder.begin();
            holder.answer();
        }
        assert_eq!(holder.bench.core.waiting(LANE), 0, "the one of {n} waits");
        // The record is written while more objects come.
        if holder.bench.core.wants_record() && holder.written.is_empty() {
            holder.write();
        } else if n % 3 == 0 {
            holder.confirm();
        }
    }
}

#[test]
fn a_session_brings_a_record_forward_ten_times_in_a_window_whatever_others_do() {
    let mut bench = Bench::live(100);
    let due = bench.now + WINDOW * 2;
    bench.core.lease_bounds.ask();
    for _ in 0..10 {
        assert_eq!(bench.core.bring_forward(due, bench.now), Some(bench.now));
    }
    let next = bench.now + WINDOW;
    assert_eq!(bench.core.bring_forward(due, bench.now), Some(next));
    assert_eq!(
        bench.core.bring_forward(next, bench.now),
        None,
        "soon enough"
    );
    let mut other = Bench::live(100);
    other.core.lease_bounds.ask();
    assert_eq!(other.core.bring_forward(due, other.now), Some(other.now));
}

#[test]
fn where_many_wait_no_more_than_a_sixth_is_allowed_for_ahead_of_its_time() {
    let mut bench = Bench::live(50);
    for n in 1..=200 {
        bench.ask(n);
    }
    while let Some(n) = (1..=200).find(|n| bench.permitted(*n)) {
        bench.call(n, &Answer::Done(200));
    }
    let reserved = |bench: &mut Bench, until: Duration| {
        let now = bench.now;
        let record = bench.core.record(&session_key(), now + until, now);
        let text = CallLog::new(vec![record], false).into_text();
        let (_, rest) = text.split_once("\"reserved\":").unwrap();
        rest.split(['}', ','])
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(reserved(&mut bench, secs(6)), 0, "all is used for a while");
    bench.now += WINDOW.checked_sub(secs(3)).unwrap();
    assert_eq!(reserved(&mut bench, secs(6)), 9, "all 50 could go by then");
}

#[test]
fn what_a_refusal_told_goes_into_a_record_at_once_and_binds_the_next_process() {
    let mut first = Bench::live(50);
    for n in 1..=60 {
        first.ask(n);
    }
    for n in 1..=20 {
        first.call(n, &Answer::Done(200));
    }
    assert!(!first.core.wants_record());
    first.call(21, &Answer::Throttled(Detail::default()));
    assert!(first.core.wants_record());
    let ends = first.core.budget.paused_until().unwrap();
    let record = first
        .core
        .record(&session_key(), first.now + secs(6), first.now);
    assert!(!first.core.wants_record(), "once is enough");
    let text = CallLog::new(vec![record], false).into_text();

    let now = first.now + secs(1);
    let past = Inheritance::read(&text, now, now, Duration::ZERO).take(&session_key(), now);
    let mut next = Bench::new(50);
    next.now = now;
    let lease_bounds = LeaseBounds::unbounded(now);
    next.core.begin_lease(past, lease_bounds);
    for n in 22..=60 {
        next.ask(n);
    }
    assert!(matches!(
        next.core.state(LANE, next.now),
        SessionState::Throttled { .. }
    ));
    let log_in_at = next.next.unwrap();
    assert!(log_in_at >= ends && log_in_at <= ends + secs(2));
    let nearly = (log_in_at - now).saturating_sub(Duration::from_nanos(1));
    next.pass(nearly);
    assert!(next.logins.is_empty(), "it pauses to the end");
    // The share is full: the one call that goes alone waits until the share may grow.
    while next.logins.is_empty() {
        next.wait();
    }
    assert!(next.now < first.now + WINDOW);
    next.log_in(3600);
    let sent = 21 + 1 + next.permits();
    assert!(sent < 30, "{sent}: it remembers what others left");
}

#[test]
fn no_call_begins_that_could_outlast_the_lease() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    assert!(bench.permitted(1));
    let ends = bench.now + TIME_OUT;
    bench.core.lease_bounds.confirm(ends);
    bench.now += Duration::from_nanos(1);
    assert!(
        bench
            .core
            .begin(LANE, "u1", Purpose::Delete, bench.now)
            .is_none(),
        "the last look comes too late"
    );
    bench.ask(2);
    assert!(!bench.permitted(2));
    bench.core.lease_bounds.confirm(ends + secs(1));
    assert!(
        bench
            .core
            .begin(LANE, "u1", Purpose::Delete, bench.now)
            .is_some()
    );
}

#[test]
fn a_closed_session_leaves_no_reservation_and_logs_its_abandoned_calls_until_their_time_out() {
    let mut holder = Holder::new();
    holder.write();
    holder.confirm();
    for n in 0..3 {
        holder.bench.ask(n);
    }
    holder.answer();
    holder.begin();
    assert_eq!(holder.calls.len(), 3);
    let began = holder.bench.now;
    holder.bench.core.close();
    holder.bench.pass(secs(8));
    holder.write();
    let now = holder.bench.now;
    let text = holder.written.last().unwrap();
    assert!(text.contains("\"reserved\":0"), "{text}");
    let past = Inheritance::read(text, now, now, Duration::ZERO).take(&session_key(), now);
    let late = past
        .stamps
        .iter()
        .filter(|stamp| **stamp >= began + TIME_OUT);
    assert_eq!((past.stamps.len(), late.count()), (4, 3));
}

#[test]
fn a_successor_that_finds_no_readable_log_waits_for_what_a_killed_process_left_under_way() {
    let cut = CallLog::new(Vec::new(), true).into_text();
    for text in ["?", &cut] {
        let mut bench = Bench::new(50);
        let taken = bench.now;
        let past = Inheritance::read(text, taken, taken, TIME_OUT).take(&session_key(), taken);
        bench.core.begin_lease(past, LeaseBounds::unbounded(taken));
        for n in 1..=60 {
            bench.ask(n);
        }
        while bench.logins.is_empty() {
            bench.wait();
        }
        // Up to twenty calls may arrive as late as that, and count for a window from then on.
        assert!(bench.now >= taken + TIME_OUT + WINDOW, "{text}");
    }
}
