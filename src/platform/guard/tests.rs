use std::collections::HashSet;

use super::*;
use crate::api::platform::GuardStatus;

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
            guards: Guards::new(wake, Arc::default()),
            woken,
        }
    }

    /// One Platform of app-1 that lets `most` go, loaded.
    fn guarding(most: i32) -> Self {
        let bench = Self::new();
        bench.bound("app-1", most);
        bench.guards.load(std::iter::empty(), at(0));
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
        let asked = asked(number);
        self.guards.ask(
            &format!("uid-{number}"),
            (&app(application), 100, asked),
            at(1),
        );
    }

    fn judge(&self, number: usize, application: &str) -> Judgement {
        let asked = (&app(application), 100, asked(number));
        self.guards.judge(&format!("uid-{number}"), asked, at(2))
    }

    fn record(&self, second: i64) -> HashMap<AppId, Record> {
        let records = self.guards.records(at(second));
        for (application, record) in &records {
            self.guards.recorded(application, record);
        }
        records
    }
}

fn asked(number: usize) -> Asked {
    Asked {
        key: ObjectKey::new("fleet", format!("vp-{number}")),
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
fn all_that_are_held_are_woken_to_say_so() {
    let mut bench = Bench::guarding(2);
    for number in 0..3 {
        bench.ask(number, "app-1");
    }
    assert_eq!(bench.woken.try_recv().unwrap().len(), 3);
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
    let stands = |bench: &Bench| bench.record(4)[&app("app-1")].hold.is_some();
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
    let record = bench.record(1)[&app("app-1")].clone();
    let hold = record.hold.clone().expect("a hold");
    let status = PlatformStatus {
        hold: record.hold,
        guard: Some(record.guard),
        ..PlatformStatus::default()
    };
    // No object was marked when the process ended.
    let next = Bench::new();
    next.bound("app-1", 2);
    next.guards
        .load(std::iter::once((&platform(), &status)), at(2));
    assert_eq!(next.judge(0, "app-1"), Judgement::Held(hold.id.into()));
}

#[test]
fn nothing_is_held_or_let_go_before_the_statuses_were_read() {
    let bench = Bench::new();
    bench.bound("app-1", 0);
    bench.ask(0, "app-1");
    assert!(bench.guards.records(at(1)).is_empty());
    bench.guards.load(std::iter::empty(), at(2));
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
        guard: Some(bench.guards.records(at(2))[&app("app-1")].guard.clone()),
        ..PlatformStatus::default()
    };
    assert_eq!(status.guard.as_ref().unwrap().reserved, 2);

    let next = Bench::new();
    next.bound("app-1", 40);
    let statuses = [(platform(), status)];
    next.guards
        .load(statuses.iter().map(|(key, status)| (key, status)), at(3));
    let sent: i32 = next.guards.records(at(3))[&app("app-1")]
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
        guard: Some(bench.record(9000)[&app("app-1")].guard.clone()),
        ..PlatformStatus::default()
    };

    let next = Bench::new();
    next.bound("app-1", 4);
    let statuses = [(platform(), status)];
    next.guards
        .load(statuses.iter().map(|(key, status)| (key, status)), at(3));
    next.record(3);
    next.ask(7, "app-1");
    assert!(
        matches!(next.judge(7, "app-1"), Judgement::Held(_)),
        "two were sent and two reserved"
    );
}

#[test]
fn the_bound_of_a_platform_that_cannot_tell_its_application_at_a_start_is_found_by_its_status() {
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
    let statuses = [(strict, status)];
    bench
        .guards
        .load(statuses.iter().map(|(key, status)| (key, status)), at(1));
    bench.ask(0, "app-1");
    bench.ask(1, "app-1");
    assert!(matches!(bench.judge(0, "app-1"), Judgement::Held(_)));
}

#[test]
fn a_status_of_another_application_says_nothing_of_this_one() {
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
    bench
        .guards
        .load(statuses.iter().map(|(key, status)| (key, status)), at(3));
    assert!(bench.record(3)[&app("app-1")].guard.sent.is_empty());
}

#[test]
fn a_record_that_could_not_be_written_is_due_again() {
    let bench = Bench::guarding(2);
    assert!(!bench.record(1)[&app("app-1")].urgent);
    for number in 0..3 {
        bench.ask(number, "app-1");
    }
    assert!(bench.guards.records(at(2))[&app("app-1")].urgent);
    assert!(
        !bench.guards.records(at(2))[&app("app-1")].urgent,
        "it is on its way"
    );
    bench.guards.not_recorded(&app("app-1"));
    assert!(bench.guards.records(at(3))[&app("app-1")].urgent);
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
    assert_eq!(bench.judge(2, "app-1"), Judgement::Free(Unit::Awaited));
    bench.guards.not_recorded(&app("app-1"));
    assert_eq!(bench.judge(2, "app-1"), Judgement::Free(Unit::Unrecorded));
    bench.record(3);
    assert_eq!(bench.judge(2, "app-1"), Judgement::Free(Unit::Allowed));
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
