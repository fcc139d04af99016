//! Platforms that count together, and the changes when credentials change, are proven, or a process starts.

use super::*;
use crate::session::{CredentialId, SessionKey};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("iot", name)
}

fn footing(credential: u64, proven: bool) -> Footing {
    Footing {
        key: SessionKey {
            endpoint: "https://iot.example.com".parse().unwrap(),
            app_id: app("app-1"),
        },
        credential: CredentialId::of(credential),
        proven,
    }
}

/// The Platforms of app-1; a record is written to the statuses of all of them.
pub(super) struct Fleet {
    pub guards: Arc<Guards>,
    pub statuses: HashMap<ObjectKey, PlatformStatus>,
    pub now: i64,
}

impl Fleet {
    pub fn new() -> Self {
        Self {
            guards: Guards::new(
                mpsc::unbounded_channel().0,
                Arc::default(),
                Box::new(|_, platforms| 10 * platforms.len()),
                crate::clock::Clock::default(),
            ),
            statuses: HashMap::new(),
            now: 1,
        }
    }

    /// Creates Platforms from their names, each with the number of its credential, whether the credential is proven,
    /// and the bound of the Platform.
    pub fn of(platforms: &[(&str, u64, bool, i32)]) -> Self {
        let fleet = Self::new();
        for (name, credential, proven, most) in platforms {
            fleet.stand(name, *credential, *proven);
            fleet.bound(name, *most);
        }
        fleet.started()
    }

    fn started(mut self) -> Self {
        self.guards.listed(|_| true, at(self.now));
        self.load(self.now);
        self.record(self.now);
        self
    }

    pub fn load(&self, second: i64) {
        let statuses = self.statuses.iter();
        let statuses = statuses.map(|(key, status)| (key, &*key.name, status));
        self.guards.load(statuses, &Unused::default(), at(second));
    }

    pub fn stand(&self, name: &str, credential: u64, proven: bool) {
        self.guards
            .stand(&key(name), &footing(credential, proven), at(self.now));
    }

    pub fn bound(&self, name: &str, most: i32) {
        let guard = Guard {
            max_deletions: most,
            ..Guard::default()
        };
        self.guards
            .set_bound(&key(name), name, &app("app-1"), &guard, at(self.now));
    }

    pub fn ask(&self, name: &str, number: usize, hold: Option<&str>) {
        let asked = Asked {
            platform: key(name),
            hold: hold.map(Into::into),
            at: at(self.now),
            ..asked(number)
        };
        self.guards
            .ask(&format!("uid-{number}"), &app("app-1"), asked, at(self.now));
    }

    pub fn judge(&self, name: &str, number: usize, hold: Option<&str>, second: i64) -> Judgement {
        let asked = Asked {
            platform: key(name),
            hold: hold.map(Into::into),
            at: at(self.now),
            ..asked(number)
        };
        let uid = format!("uid-{number}");
        self.guards.judge(&uid, &app("app-1"), asked, at(second))
    }

    fn held(&self, name: &str, number: usize, hold: Option<&str>) -> bool {
        matches!(self.judge(name, number, hold, 2), Judgement::Held(_))
    }

    /// Gives the deletion its turn. Returns whether it is sent.
    pub fn send(&mut self, name: &str, number: usize, second: i64) -> bool {
        self.now = second;
        let uid = format!("uid-{number}");
        if self.judge(name, number, None, second) == Judgement::Free(OnRecord::Awaited) {
            self.guards.want(&uid, Some(key(name)));
            self.record(second);
        }
        let sent = self.guards.take(&uid, at(second));
        if sent {
            self.guards.called(&uid);
            self.guards.forget(&uid);
        }
        sent
    }

    pub fn record(&mut self, second: i64) {
        let records = self.guards.all_records(at(second));
        for (platform, record) in records {
            self.guards.recorded(&record);
            let status = self.statuses.entry(platform).or_default();
            (status.hold, status.guard) = (record.hold, Some(record.guard));
        }
    }

    fn hold(&mut self, name: &str) -> Option<String> {
        self.record(2);
        let hold = self.statuses[&key(name)].hold.as_ref();
        hold.map(|hold| hold.id.clone())
    }

    /// Creates the next process: no credential is proven, and no deletion has been requested.
    pub fn restarted(&self, platforms: &[(&str, u64, i32)]) -> Self {
        let mut next = Self::new();
        next.statuses = self.statuses.clone();
        next.now = self.now;
        for (name, credential, most) in platforms {
            next.stand(name, *credential, false);
            next.bound(name, *most);
        }
        next
    }
}

#[test]
fn what_a_platform_with_a_made_up_credential_brings_counts_for_nobody_else() {
    let fleet = Fleet::of(&[("ours", 1, true, 2), ("theirs", 2, false, 0)]);
    for number in 0..2 {
        fleet.ask("ours", number, None);
        fleet.ask("theirs", number + 10, None);
    }
    assert!(!fleet.held("ours", 0, None), "neither bound nor deletions");
    assert!(
        fleet.held("theirs", 10, None),
        "its own bound holds its own"
    );
}

#[test]
fn the_objects_of_a_platform_with_a_made_up_credential_make_no_share_larger() {
    let mut fleet = Fleet::new();
    fleet.stand("ours", 1, true);
    fleet.stand("theirs", 2, false);
    let share = Guard {
        max_percent: Some(20),
        ..Guard::default()
    };
    let application = app("app-1");
    for name in ["ours", "theirs"] {
        let guards = &fleet.guards;
        guards.set_bound(&key(name), name, &application, &share, at(0));
    }
    fleet = fleet.started();
    for number in 0..3 {
        fleet.ask("ours", number, None);
    }
    assert!(fleet.held("ours", 0, None), "a fifth of ten are two");
    fleet.stand("theirs", 1, true);
    fleet.guards.forget("uid-0");
    fleet.guards.forget("uid-1");
    fleet.guards.forget("uid-2");
    for number in 3..6 {
        fleet.ask("ours", number, None);
    }
    assert!(!fleet.held("ours", 3, None), "a fifth of twenty are four");
}

#[test]
fn platforms_of_equal_credentials_and_those_proven_at_one_endpoint_count_together() {
    for (ours, theirs, together) in [
        ((1, false), (1, false), true),
        ((1, true), (2, true), true),
        ((1, true), (2, false), false),
        ((1, false), (2, true), false),
    ] {
        let fleet = Fleet::of(&[
            ("ours", ours.0, ours.1, 5),
            ("theirs", theirs.0, theirs.1, 1),
        ]);
        fleet.ask("ours", 0, None);
        fleet.ask("theirs", 1, None);
        assert_eq!(fleet.held("ours", 0, None), together, "{ours:?} {theirs:?}");
    }
    // A credential proven at another endpoint isn't proven at this one.
    let fleet = Fleet::of(&[("ours", 1, true, 5), ("theirs", 2, false, 1)]);
    let elsewhere = SessionKey {
        endpoint: "https://elsewhere.example.com".parse().unwrap(),
        app_id: app("app-1"),
    };
    let footing = Footing {
        key: elsewhere,
        ..footing(2, true)
    };
    fleet.guards.stand(&key("theirs"), &footing, at(0));
    fleet.ask("ours", 0, None);
    fleet.ask("theirs", 1, None);
    assert!(!fleet.held("ours", 0, None));
}

#[test]
fn a_release_by_a_credential_that_is_not_proven_frees_nothing_of_others_until_it_is() {
    let mut fleet = Fleet::of(&[("ours", 1, true, 1), ("theirs", 2, false, 50)]);
    for number in 0..2 {
        fleet.ask("ours", number, None);
    }
    let hold = fleet.hold("ours").expect("two are more than one");
    for number in 0..2 {
        fleet.ask("ours", number, Some(&hold));
    }
    let theirs = key("theirs");
    assert!(fleet.guards.waits_for(&theirs, None).is_empty());
    assert!(fleet.guards.waits_for(&theirs, Some("h-other")).is_empty());
    assert_eq!(
        fleet.guards.waits_for(&theirs, Some(&hold)),
        std::slice::from_ref(&theirs)
    );
    fleet.guards.release(&theirs, &hold, at(2));
    fleet.record(2);
    assert!(fleet.held("ours", 0, Some(&hold)));
    fleet.stand("theirs", 2, true);
    fleet.guards.release(&theirs, &hold, at(3));
    fleet.record(3);
    assert!(!fleet.held("ours", 0, Some(&hold)));
    assert!(fleet.guards.waits_for(&theirs, Some(&hold)).is_empty());
}

#[test]
fn a_raised_bound_of_a_credential_that_is_not_proven_releases_nothing_of_others_until_it_is() {
    let mut fleet = Fleet::of(&[("ours", 1, true, 50), ("theirs", 2, true, 1)]);
    for number in 0..3 {
        fleet.ask("ours", number, None);
    }
    let hold = fleet.hold("ours").expect("three are more than one");
    for number in 0..3 {
        fleet.ask("ours", number, Some(&hold));
    }
    // The process is restarted.
    let mut next = fleet.restarted(&[("ours", 1, 50), ("theirs", 2, 1)]);
    for number in 0..3 {
        next.ask("ours", number, Some(&hold));
    }
    next = next.started();
    next.bound("theirs", 10);
    next.record(3);
    assert!(next.held("ours", 0, Some(&hold)));
    let both = [key("ours"), key("theirs")];
    assert_eq!(next.guards.waits_for(&key("theirs"), None), both);
    next.stand("theirs", 2, true);
    assert_eq!(next.guards.waits_for(&key("theirs"), None), [key("ours")]);
    next.stand("ours", 1, true);
    next.record(4);
    assert!(!next.held("ours", 0, Some(&hold)));
}

#[test]
fn a_release_after_a_restart_frees_nothing_of_others_that_was_marked_since() {
    let mut fleet = Fleet::of(&[("ours", 1, true, 1), ("theirs", 2, true, 1)]);
    fleet.ask("ours", 0, None);
    fleet.ask("theirs", 1, None);
    let hold = fleet.hold("ours").expect("two are more than one");
    assert_eq!(fleet.hold("theirs").as_ref(), Some(&hold));
    let mut next = fleet.restarted(&[("ours", 1, 1), ("theirs", 2, 1)]);
    next.ask("ours", 0, Some(&hold));
    next.ask("theirs", 1, Some(&hold));
    next = next.started();
    next.guards.release(&key("theirs"), &hold, at(2));
    next.record(2);
    assert!(!next.held("theirs", 1, Some(&hold)));
    assert!(next.held("ours", 0, Some(&hold)));
    // The deletion is requested after the person's check, and marked with the id of the hold that stays.
    next.ask("ours", 2, None);
    next.ask("ours", 2, Some(&hold));
    next.stand("ours", 1, true);
    next.stand("theirs", 2, true);
    next.record(3);
    for number in [0, 2] {
        assert!(next.held("ours", number, Some(&hold)), "{number}");
    }
    assert!(!next.held("theirs", 1, Some(&hold)), "a release stays one");
    // The statuses contain no more than that.
    let mut last = next.restarted(&[("ours", 1, 1), ("theirs", 1, 1)]);
    last.ask("ours", 0, Some(&hold));
    last.ask("theirs", 1, Some(&hold));
    last = last.started();
    assert!(last.held("ours", 0, Some(&hold)));
}

#[test]
fn what_was_sent_while_two_counted_together_counts_for_each_of_them_after_they_part() {
    let mut fleet = Fleet::of(&[("ours", 1, false, 2), ("theirs", 1, false, 2)]);
    for number in 0..2 {
        fleet.ask("ours", number, None);
        assert!(fleet.send("ours", number, 2), "{number}");
    }
    // One Secret is rotated; nothing is known about its new credential.
    fleet.stand("theirs", 2, false);
    for (number, name) in [(2, "ours"), (3, "theirs")] {
        fleet.ask(name, number, None);
        assert!(!fleet.send(name, number, 3), "{name}");
    }
    // The same holds after a restart of the process.
    let mut next = fleet
        .restarted(&[("ours", 1, 2), ("theirs", 2, 2)])
        .started();
    for (number, name) in [(2, "ours"), (3, "theirs")] {
        next.ask(name, number, None);
        assert!(!next.send(name, number, 3), "{name}");
    }
}

#[test]
fn what_both_have_counted_before_they_parted_counts_once_when_they_are_together_again() {
    let mut fleet = Fleet::of(&[("ours", 1, true, 40), ("theirs", 2, true, 40)]);
    for number in 0..20 {
        fleet.ask("ours", number, None);
        assert!(fleet.send("ours", number, 2), "{number}");
    }
    fleet.stand("theirs", 2, false);
    for number in 20..30 {
        fleet.ask("theirs", number, None);
        assert!(fleet.send("theirs", number, 3), "{number}");
        fleet.ask("ours", number + 10, None);
        let fits = number < 28;
        assert!(!fits || fleet.send("ours", number + 10, 3), "{number}");
        fleet.guards.forget(&format!("uid-{}", number + 10));
    }
    fleet.stand("theirs", 2, true);
    fleet.record(4);
    let guard = fleet.statuses[&key("ours")].guard.as_ref().unwrap();
    let sent: i32 = guard.sent.iter().map(|sent| sent.count).sum();
    assert_eq!(sent, 38);
}

#[test]
fn a_platform_that_is_gone_counts_for_those_beside_it_no_longer_than_something_of_it_does() {
    let mut fleet = Fleet::of(&[("a", 1, true, 50), ("b", 1, true, 50), ("c", 1, true, 50)]);
    fleet.ask("b", 1, None);
    let beside = |fleet: &mut Fleet, second| {
        fleet.record(second);
        let mut state = fleet.guards.lock();
        let group = state.groups.of(&app("app-1"), &key("a"));
        state.groups.get(group).unwrap().platforms.clone()
    };
    assert!(fleet.send("c", 2, 2));
    for name in ["b", "c"] {
        fleet.guards.drop_bound(&key(name));
    }
    fleet.guards.forget("uid-2");
    let all = [key("a"), key("b"), key("c")];
    assert_eq!(beside(&mut fleet, 63), all, "what was sent counts");
    assert_eq!(beside(&mut fleet, 2_000), [key("a"), key("b")]);
    fleet.guards.forget("uid-1");
    assert_eq!(
        beside(&mut fleet, 2_001),
        [key("a"), key("b")],
        "now and then"
    );
    assert_eq!(beside(&mut fleet, 2_060), [key("a")]);
    // A new Platform of that name counts with the others.
    fleet.stand("b", 1, true);
    fleet.bound("b", 50);
    assert_eq!(beside(&mut fleet, 2_120), [key("a"), key("b")]);
}
