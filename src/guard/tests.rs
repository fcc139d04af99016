mod any_credentials;
mod together;

use std::collections::HashSet;

use futures::FutureExt;

use super::*;
use crate::api::platform::{GuardStatus, PlatformStatus};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn app(name: &str) -> AppId {
    name.parse().unwrap()
}

fn platform() -> ObjectKey {
    ObjectKey::new("iot", "p")
}

struct Bench {
    guards: Arc<Guards>,
    woken: mpsc::UnboundedReceiver<Vec<ObjectKey>>,
}

impl Bench {
    fn new() -> Self {
        let (wake, woken) = mpsc::unbounded_channel();
        Self {
            guards: Guards::new(
                wake,
                Arc::default(),
                Box::new(|_, _| 100),
                crate::clock::Clock::default(),
            ),
            woken,
        }
    }

    /// Creates a loaded bench with one Platform of app-1 that allows `most` deletions.
    fn guarding(most: i32) -> Self {
        let bench = Self::new();
        bench.bound("app-1", most);
        bench.load(&[], 0);
        bench.record(0);
        bench
    }

    fn bound(&self, application: &str, most: i32) {
        let guard = Guard {
            max_deletions: most,
            ..Guard::default()
        };
        let application = app(application);
        self.guards
            .set_bound(&platform(), "uid", &application, &guard, at(0));
    }

    fn ask(&self, number: usize, application: &str) {
        let (uid, application) = (format!("uid-{number}"), app(application));
        self.guards.ask(&uid, &application, asked(number), at(1));
    }

    fn judge(&self, number: usize, application: &str) -> Judgement {
        let (uid, application) = (format!("uid-{number}"), app(application));
        self.guards.judge(&uid, &application, asked(number), at(2))
    }

    fn record(&self, second: i64) -> HashMap<ObjectKey, Record> {
        let records = self.guards.all_records(at(second));
        for record in records.values() {
            self.guards.recorded(record);
        }
        records
    }

    /// Loads the statuses of Platforms.
    fn load(&self, statuses: &[(ObjectKey, PlatformStatus)], second: i64) {
        let statuses = statuses.iter();
        let statuses = statuses.map(|(key, status)| (key, "uid", status));
        self.guards.load(statuses, &Unused::default(), at(second));
    }
}

/// Returns the record of some guard.
pub(crate) fn a_record() -> Record {
    let bench = Bench::guarding(40);
    bench.ask(0, "app-1");
    bench.record(1).remove(&platform()).unwrap()
}

fn asked(number: usize) -> Asked {
    Asked {
        key: ObjectKey::new("fleet", format!("vp-{number}")),
        platform: platform(),
        at: at(1),
        hold: None,
        answered: None,
    }
}

#[test]
fn applications_do_not_count_for_one_another() {
    let bench = Bench::guarding(2);
    for number in 0..2 {
        bench.ask(number, "app-1");
        bench.ask(number + 10, "app-2");
    }
    assert!(matches!(bench.judge(0, "app-1"), Judgement::Free(_)));
}

#[test]
fn an_object_that_asks_in_another_application_counts_there_only() {
    let bench = Bench::guarding(2);
    for number in 0..2 {
        bench.ask(number, "app-1");
    }
    bench.ask(0, "app-2");
    bench.ask(2, "app-1");
    assert!(matches!(bench.judge(2, "app-1"), Judgement::Free(_)));
}

#[test]
fn all_that_are_held_are_woken_to_say_so() {
    let mut bench = Bench::guarding(2);
    for number in 0..3 {
        bench.ask(number, "app-1");
    }
    assert_eq!(bench.woken.try_recv().unwrap().len(), 3);
}

#[test]
fn an_annotation_that_releases_nothing_wakes_nobody_however_often_it_is_read() {
    let bench = Bench::guarding(40);
    for number in 0..3 {
        bench.ask(number, "app-1");
    }
    let woken = || bench.guards.due.notified().now_or_never().is_some();
    assert!(woken(), "a record is due");
    bench.guards.release(&platform(), "h-long-ago", at(3));
    assert!(!woken());
}

#[test]
fn a_whole_list_tells_who_has_left() {
    let bench = Bench::guarding(2);
    for number in 0..3 {
        bench.ask(number, "app-1");
    }
    assert!(matches!(bench.judge(0, "app-1"), Judgement::Held(_)));
    for number in 0..3 {
        bench.guards.forget(&format!("uid-{number}"));
    }
    let stands = |bench: &Bench| bench.record(4)[&platform()].hold.is_some();
    assert!(stands(&bench), "before a list nobody knows all of them");
    bench.ask(0, "app-1");
    let present: HashSet<&str> = ["uid-0"].into();
    bench.guards.listed(|uid| present.contains(uid), at(3));
    assert!(stands(&bench), "one of it is left");
    bench.guards.listed(|_| false, at(3));
    assert!(!stands(&bench));
}

#[test]
fn a_hold_on_record_holds_after_a_restart_objects_that_no_status_tells_of() {
    let bench = Bench::guarding(2);
    for number in 0..3 {
        bench.ask(number, "app-1");
    }
    let record = bench.record(1)[&platform()].clone();
    let hold = record.hold.clone().expect("a hold");
    let status = PlatformStatus {
        hold: record.hold,
        guard: Some(record.guard),
        ..PlatformStatus::default()
    };
    // No object was marked when the process ended.
    let next = Bench::new();
    next.bound("app-1", 2);
    next.load(&[(platform(), status)], 2);
    assert_eq!(next.judge(0, "app-1"), Judgement::Held(hold.id.into()));
}

#[test]
fn nothing_is_held_or_let_go_before_the_statuses_were_read() {
    let bench = Bench::new();
    bench.bound("app-1", 0);
    bench.ask(0, "app-1");
    assert!(bench.guards.all_records(at(1)).is_empty());
    bench.load(&[], 2);
    assert!(matches!(bench.judge(0, "app-1"), Judgement::Held(_)));
}

#[test]
fn what_the_process_before_reserved_counts_as_sent() {
    let bench = Bench::guarding(40);
    for number in 0..2 {
        bench.ask(number, "app-1");
    }
    assert!(bench.guards.take("uid-0", at(2)));
    let status = PlatformStatus {
        guard: Some(bench.guards.all_records(at(2))[&platform()].guard.clone()),
        ..PlatformStatus::default()
    };
    assert_eq!(status.guard.as_ref().unwrap().reserved, 2);

    let next = Bench::new();
    next.bound("app-1", 40);
    let statuses = [(platform(), status)];
    next.load(&statuses, 3);
    let sent: i32 = next.guards.all_records(at(3))[&platform()]
        .guard
        .sent
        .iter()
        .map(|sent| sent.count)
        .sum();
    assert_eq!(sent, 2, "one was sent, and of the two reserved both count");
}

#[test]
fn what_a_process_with_a_faster_clock_sent_counts_as_sent_now() {
    let bench = Bench::guarding(40);
    for number in 0..2 {
        bench.ask(number, "app-1");
    }
    for number in 0..2 {
        assert!(bench.guards.take(&format!("uid-{number}"), at(9000)));
    }
    let status = PlatformStatus {
        guard: Some(bench.record(9000)[&platform()].guard.clone()),
        ..PlatformStatus::default()
    };

    let next = Bench::new();
    next.bound("app-1", 4);
    let statuses = [(platform(), status)];
    next.load(&statuses, 3);
    next.record(3);
    next.ask(7, "app-1");
    assert!(
        matches!(next.judge(7, "app-1"), Judgement::Held(_)),
        "two were sent and two reserved"
    );
}

#[test]
fn the_bound_of_a_platform_that_cannot_tell_its_credentials_at_a_start_holds_its_own_objects() {
    let strict = ObjectKey::new("iot", "strict");
    let status = PlatformStatus {
        guard: Some(GuardStatus {
            application: Some(app("app-1")),
            ..GuardStatus::default()
        }),
        ..PlatformStatus::default()
    };
    let guard = Guard {
        max_deletions: 1,
        ..Guard::default()
    };
    let bench = Bench::new();
    bench.bound("app-1", 50);
    bench.guards.keep_bound(&strict, "uid-s", &guard, at(0));
    let statuses = [(strict.clone(), status)];
    bench.load(&statuses, 1);
    let judged = |number: usize, platform: &ObjectKey| {
        let asked = Asked {
            platform: platform.clone(),
            ..asked(number)
        };
        let uid = format!("uid-{number}");
        bench.guards.judge(&uid, &app("app-1"), asked, at(2))
    };
    judged(0, &strict);
    assert!(matches!(judged(1, &strict), Judgement::Held(_)));
    judged(2, &platform());
    assert!(matches!(judged(3, &platform()), Judgement::Free(_)));
}

#[test]
fn a_status_of_another_application_tells_what_may_have_been_sent_and_nothing_else() {
    let status = PlatformStatus {
        guard: Some(GuardStatus {
            application: Some(app("app-2")),
            reserved: 50,
            ..GuardStatus::default()
        }),
        ..PlatformStatus::default()
    };
    let bench = Bench::new();
    bench.bound("app-1", 20);
    let statuses = [(platform(), status)];
    bench.load(&statuses, 3);
    let record = bench.record(3)[&platform()].clone();
    let sent: i32 = record.guard.sent.iter().map(|sent| sent.count).sum();
    assert_eq!((sent, record.hold), (50, None));
    assert_eq!(record.guard.application, Some(app("app-1")));
}

#[test]
fn what_was_sent_over_a_platform_counts_whatever_application_its_secret_names_meanwhile() {
    let bench = Bench::guarding(2);
    for number in 0..2 {
        bench.ask(number, "app-1");
        assert!(matches!(bench.judge(number, "app-1"), Judgement::Free(_)));
        bench
            .guards
            .want(&format!("uid-{number}"), Some(platform()));
        bench.record(2);
        assert!(bench.guards.take(&format!("uid-{number}"), at(2)));
    }
    bench.record(2);
    // The Secret has a typo, and a hand-over comes before it is corrected.
    bench.bound("app-2", 2);
    let record = bench.record(3)[&platform()].clone();
    assert_eq!(record.guard.application, Some(app("app-2")));
    let status = PlatformStatus {
        guard: Some(record.guard),
        ..PlatformStatus::default()
    };
    let statuses = [(platform(), status)];
    for right_before in [true, false] {
        let next = Bench::new();
        next.bound(if right_before { "app-1" } else { "app-2" }, 2);
        next.load(&statuses, 4);
        next.bound("app-1", 2);
        next.record(4);
        next.ask(7, "app-1");
        assert!(matches!(next.judge(7, "app-1"), Judgement::Held(_)));
    }
}

#[test]
fn a_record_that_could_not_be_written_is_due_again() {
    let bench = Bench::guarding(2);
    assert!(!bench.record(1)[&platform()].urgent);
    for number in 0..3 {
        bench.ask(number, "app-1");
    }
    assert!(bench.guards.all_records(at(2))[&platform()].urgent);
    assert!(
        !bench.guards.all_records(at(2))[&platform()].urgent,
        "it is on its way"
    );
    bench
        .guards
        .not_recorded(&bench.guards.all_records(at(2))[&platform()]);
    assert!(bench.guards.all_records(at(3))[&platform()].urgent);
}

#[test]
fn who_waits_for_a_record_that_could_not_be_written_is_told_apart_until_one_is() {
    let bench = Bench::guarding(40);
    for number in 0..3 {
        bench.ask(number, "app-1");
    }
    for number in 0..2 {
        assert!(bench.guards.take(&format!("uid-{number}"), at(2)));
    }
    assert_eq!(bench.judge(2, "app-1"), Judgement::Free(OnRecord::Awaited));
    bench
        .guards
        .not_recorded(&bench.guards.all_records(at(2))[&platform()]);
    assert_eq!(
        bench.judge(2, "app-1"),
        Judgement::Free(OnRecord::Unrecorded)
    );
    bench.record(3);
    assert_eq!(bench.judge(2, "app-1"), Judgement::Free(OnRecord::Allowed));
}

#[test]
fn a_deletion_that_turns_out_to_be_of_another_application_counts_there() {
    let bench = Bench::guarding(1);
    bench.ask(0, "app-1");
    bench.ask(1, "app-2");
    assert!(matches!(bench.judge(0, "app-1"), Judgement::Free(_)));
    bench.ask(1, "app-1");
    assert!(matches!(bench.judge(0, "app-1"), Judgement::Held(_)));
}

/// Returns the status left by a process that has reserved two deletions of a bound of forty and sent one of them.
fn one_of_two_sent() -> (Bench, PlatformStatus) {
    let bench = Bench::guarding(40);
    bench.ask(0, "app-1");
    let status = PlatformStatus {
        guard: Some(bench.record(1)[&platform()].guard.clone()),
        ..PlatformStatus::default()
    };
    assert!(bench.guards.take("uid-0", at(2)));
    assert!(!bench.guards.close().is_empty());
    assert!(!bench.guards.take("uid-1", at(2)), "nothing goes any more");
    (bench, status)
}

/// Returns how many deletions count as sent for the next process.
fn sent_for_the_next(status: PlatformStatus, unused: &Unused) -> i32 {
    let next = Bench::new();
    next.bound("app-1", 40);
    let statuses = [(platform(), status)];
    let statuses = statuses.iter().map(|(key, status)| (key, "uid", status));
    next.guards.load(statuses, unused, at(3));
    let records = next.record(3);
    let sent = records[&platform()].guard.sent.iter();
    sent.map(|sent| sent.count).sum()
}

#[test]
fn what_a_clean_stop_leaves_unused_counts_for_nothing() {
    let (bench, status) = one_of_two_sent();
    let words = unused_in_words(&bench.guards.close()).unwrap();
    assert_eq!(sent_for_the_next(status.clone(), &unused_of(&words)), 1);
    assert_eq!(sent_for_the_next(status.clone(), &Unused::default()), 2);
    assert_eq!(sent_for_the_next(status, &unused_of("nonsense")), 2);
}

#[test]
fn any_later_record_voids_what_was_left_unused_of_the_one_before() {
    let (bench, status) = one_of_two_sent();
    let unused = bench.guards.close();
    // The next process has written a record, and has ended without passing on its unused reservations.
    let next = Bench::new();
    next.bound("app-1", 40);
    next.ask(1, "app-1");
    let statuses = [(platform(), status)];
    let read = statuses.iter().map(|(key, status)| (key, "uid", status));
    next.guards.load(read, &unused, at(3));
    let later = PlatformStatus {
        guard: Some(next.record(3)[&platform()].guard.clone()),
        ..PlatformStatus::default()
    };
    assert_eq!(sent_for_the_next(later, &unused), 3);
    let other: Unused = [("uid-other".to_owned(), unused["uid"])].into();
    assert_eq!(sent_for_the_next(statuses[0].1.clone(), &other), 2);
}

#[test]
fn a_process_that_changes_and_reserves_nothing_writes_no_record() {
    let bench = Bench::guarding(2);
    let record = bench.record(1)[&platform()].guard.clone();
    let status = PlatformStatus {
        guard: Some(record.clone()),
        ..PlatformStatus::default()
    };
    let next = Bench::new();
    next.bound("app-1", 2);
    next.load(&[(platform(), status)], 3);
    assert_eq!(next.record(3)[&platform()].guard, record);
}
