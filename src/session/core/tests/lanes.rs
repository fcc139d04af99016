//! Several credentials of one application: under which token calls go, and which lanes stop others.

use secrecy::ExposeSecret;

use super::*;
use crate::remote::client::Authorization;

pub(super) const OTHER: LaneId = LaneId(2);

fn refused() -> Answer {
    Answer::CredentialsRefused(Detail::default())
}

pub(super) fn token(calls: usize, text: &str) -> Terms {
    Terms {
        credential: Credential::Token(SecretString::from(text.to_owned())),
        ..terms(calls, "")
    }
}

/// Creates a session whose first credential has worked, beside another credential of which nothing is known.
pub(super) fn beside(other: Terms) -> Bench {
    let mut bench = Bench::live(100);
    bench.core.agree(OTHER, other, false, bench.now);
    bench.settle();
    bench
}

impl Bench {
    fn ask_in(&mut self, lane: LaneId, n: usize) -> Standing {
        let standing = self.core.request(lane, &ticket(n), self.now);
        self.settle();
        standing
    }

    fn begin_in(&mut self, lane: LaneId, n: usize) -> Option<(Underway, Authorization)> {
        let begun = self
            .core
            .begin(lane, &format!("u{n}"), Purpose::Delete, self.now);
        self.settle();
        begun
    }

    fn call_in(&mut self, lane: LaneId, n: usize, answer: &Answer) {
        let (call, _) = self.begin_in(lane, n).expect("it holds a permit");
        self.end(&call, answer);
    }

    /// Advances until a login is in flight. Returns how long that took, and the login's lane.
    pub(super) fn until_login(&mut self) -> (Duration, LaneId) {
        let began = self.now;
        while self.logins.is_empty() {
            self.wait();
        }
        (self.now - began, self.logins[0].call.lane)
    }

    fn permitted_in(&self, lane: LaneId, n: usize) -> bool {
        let standing = self.core.standing(lane, &format!("u{n}"), self.now);
        matches!(standing, Standing::Permitted { .. })
    }
}

#[test]
fn a_call_goes_out_only_under_a_token_that_its_own_credential_obtained() {
    let mut bench = beside(terms(100, "made up"));
    assert!(!matches!(
        bench.ask_in(OTHER, 7),
        Standing::Permitted { .. }
    ));
    assert_eq!(bench.logins[0].secret.expose_secret(), "made up");
    assert!(bench.begin_in(LANE, 7).is_none(), "it holds no permit here");
    bench.end_login(Err(refused()));
    bench.pass(secs(3000));
    assert!(!bench.permitted_in(OTHER, 7) && bench.begin_in(OTHER, 7).is_none());
    assert!(matches!(
        bench.core.state(OTHER, bench.now),
        SessionState::AuthenticationFailed(_)
    ));
}

#[test]
fn a_refused_credential_stops_nobody_else_and_is_tried_again_after_an_hour() {
    let mut bench = beside(terms(100, "made up"));
    bench.ask_in(OTHER, 7);
    assert_eq!(
        bench.logins.len(),
        1,
        "the first such try waits for nothing"
    );
    bench.end_login(Err(refused()));
    let logins = bench.core.logins(LANE);
    for n in 20..40 {
        bench.ask(n);
        assert!(bench.permitted(n), "{n}");
        bench.call(n, &Answer::Done(200));
    }
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    assert_eq!(bench.core.logins(LANE), logins, "its token lives on");
    assert_eq!(bench.until_login(), (secs(3600), OTHER));
}

#[test]
fn whichever_credential_comes_first_after_a_restart_the_right_one_serves() {
    for wrong_first in [true, false] {
        let mut bench = Bench::new(100);
        bench
            .core
            .agree(OTHER, terms(100, "made up"), false, bench.now);
        let (first, second) = if wrong_first {
            (OTHER, LANE)
        } else {
            (LANE, OTHER)
        };
        bench.core.request(first, &ticket(1), bench.now);
        bench.core.request(second, &ticket(2), bench.now);
        let right = if wrong_first { 2 } else { 1 };
        bench.settle();
        for _ in 0..9 {
            match bench.logins.first().map(|order| order.call.lane) {
                Some(LANE) => bench.log_in(3600),
                Some(_) => bench.end_login(Err(refused())),
                None => bench.wait(),
            }
            if bench.permitted(right) {
                break;
            }
        }
        assert!(bench.permitted(right), "{wrong_first}");
    }
}

#[test]
fn two_accepted_logins_change_over_at_most_once_in_five_minutes() {
    let mut bench = beside(terms(100, "s2"));
    bench.ask_in(OTHER, 7);
    assert_eq!(bench.until_login(), (secs(0), OTHER), "the first at once");
    bench.log_in(36_000);
    assert!(bench.permitted_in(OTHER, 7));
    assert!(bench.core.takes_turns(LANE) && bench.core.takes_turns(OTHER));
    // The token of the first lane is dead.
    bench.ask(8);
    assert!(!bench.permitted(8));
    let (call, _) = bench.begin_in(OTHER, 7).unwrap();
    bench.end(&call, &Answer::Done(200));
    let Standing::Waiting { estimated, .. } = bench.standing(8) else {
        panic!("it waits");
    };
    assert_eq!(estimated, secs(300));
    assert_eq!(bench.until_login(), (secs(300), LANE));
    bench.log_in(36_000);
    assert!(bench.permitted(8));
}

#[test]
fn a_change_over_waits_for_calls_under_way_and_no_other_begins_meanwhile() {
    let mut bench = beside(terms(100, "s2"));
    bench.ask(1);
    let call = bench.begin(1);
    bench.ask_in(OTHER, 7);
    bench.ask(2);
    assert!(bench.logins.is_empty() && !bench.permitted(2));
    bench.end(&call, &Answer::Done(200));
    assert_eq!(bench.logins.len(), 1);
}

#[test]
fn a_token_handed_in_beside_a_login_that_works_is_not_used() {
    let mut bench = beside(token(100, "t"));
    assert!(matches!(
        bench.ask_in(OTHER, 7),
        Standing::Waiting {
            state: SessionState::Superseded,
            ..
        }
    ));
    bench.pass(secs(7200));
    assert!(!bench.permitted_in(OTHER, 7));
    assert!(SessionState::Superseded.needs_person());
    // Without the login, the token is used.
    bench.core.abandon(LANE, bench.now);
    bench.settle();
    assert!(bench.permitted_in(OTHER, 7));
}

#[test]
fn a_token_that_is_refused_is_tried_again_after_an_hour() {
    let mut bench = Bench::new(100);
    bench.core.agree(LANE, token(100, "t"), false, bench.now);
    bench.ask(1);
    bench.call(1, &token_refused());
    assert!(matches!(bench.core.learned(LANE), Learned::Refused(..)));
    bench.ask(2);
    let began = bench.now;
    while !bench.permitted(2) {
        bench.wait();
    }
    assert_eq!(bench.now - began, secs(3600));
}

#[test]
fn credentials_that_somebody_waits_for_are_tried_one_a_minute_the_longest_awaited_first() {
    let mut bench = beside(terms(100, "a"));
    let (second, third) = (LaneId(3), LaneId(4));
    bench.core.agree(second, terms(100, "b"), false, bench.now);
    bench.core.agree(third, token(100, "c"), false, bench.now);
    for lane in [second, OTHER, third] {
        bench.core.try_credential(lane, false, bench.now);
        bench.pass(Duration::from_millis(1));
    }
    assert_eq!(bench.logins[0].call.lane, second);
    bench.end_login(Err(refused()));
    let (pause, lane) = bench.until_login();
    assert_eq!(lane, OTHER);
    assert!(pause <= secs(60) && pause > secs(59), "{pause:?}");
    bench.end_login(Err(refused()));
    let began = bench.now;
    while bench.trials.is_empty() {
        bench.wait();
    }
    assert_eq!(bench.now - began, secs(60));
    let trial = bench.trials.remove(0);
    assert_eq!(
        (trial.call.lane, trial.secret.expose_secret()),
        (third, "c")
    );
    bench
        .core
        .trial_ended(&trial.call, Some(&Answer::Done(200)), bench.now);
    assert!(matches!(bench.core.learned(third), Learned::Proven(_)));
    // A refused credential waits for its hour, however often it is asked for.
    bench.core.try_credential(second, false, bench.now);
    bench.pass(secs(1800));
    assert!(bench.logins.is_empty());
}

#[test]
fn nobody_is_tried_without_need_and_each_answer_tells_what_it_proves() {
    for (answer, proves) in [
        (Answer::Done(200), true),
        (Answer::AlreadyGone(Detail::default()), true),
        (Answer::InvalidFileId(Detail::default()), true),
        (Answer::Unproven(Detail::default()), false),
        (Answer::Throttled(Detail::default()), false),
        (Answer::TokenRefused(Detail::default()), false),
        (Answer::CredentialsRefused(Detail::default()), false),
        (Answer::Unexpected(Detail::default()), false),
        (Answer::ApplicationRefused(Detail::default()), false),
        (unavailable(), false),
    ] {
        let mut bench = Bench::new(100);
        bench.core.agree(LANE, token(100, "t"), false, bench.now);
        bench.pass(secs(60));
        assert!(bench.trials.is_empty() && bench.logins.is_empty());
        bench.ask(1);
        bench.call(1, &answer);
        let proven = matches!(bench.core.learned(LANE), Learned::Proven(_));
        assert_eq!(proven, proves, "{answer:?}");
    }
}

#[test]
fn a_person_has_a_credential_tried_at_once() {
    let mut bench = Bench::new(100);
    bench.core.ask(LANE, bench.now);
    bench.settle();
    assert_eq!(bench.logins.len(), 1, "a login");
    bench.log_in(3600);
    bench.pass(secs(5));
    bench.core.ask(LANE, bench.now);
    bench.settle();
    assert_eq!(bench.trials.len(), 1, "with a token, a list of one entry");
    let trial = bench.trials.remove(0);
    bench
        .core
        .trial_ended(&trial.call, Some(&Answer::Done(200)), bench.now);
    bench.pass(secs(3600));
    assert!(bench.trials.is_empty() && bench.logins.is_empty(), "once");
}

#[test]
fn the_quota_of_a_credential_counts_for_others_only_once_it_is_accepted() {
    let mut bench = beside(terms(1, "s2"));
    assert_eq!(bench.core.limit(bench.now), 100);
    bench.ask_in(OTHER, 7);
    bench.log_in(3600);
    assert_eq!(bench.core.limit(bench.now), 1);
}

#[test]
fn the_quota_of_a_credential_that_is_not_accepted_yet_binds_its_own_calls() {
    let mut bench = Bench::new(100);
    bench.core.agree(OTHER, token(2, "t"), false, bench.now);
    for n in 1..=3 {
        bench.ask_in(OTHER, n);
    }
    // The calls go one by one, and prove nothing.
    for n in 1..=2 {
        bench.call_in(OTHER, n, &Answer::Unexpected(Detail::default()));
    }
    assert!(!bench.permitted_in(OTHER, 3));
    bench.ask(9);
    assert_eq!(bench.core.limit(bench.now), 100);
}

#[test]
fn of_two_tokens_that_work_each_obeys_its_own_quota_and_neither_the_other_ones() {
    let mut bench = Bench::new(100);
    bench.core.agree(LANE, token(100, "t"), false, bench.now);
    bench
        .core
        .agree(OTHER, token(2, "narrow"), false, bench.now);
    for lane in [LANE, OTHER] {
        bench.ask_in(lane, 0);
        while !bench.permitted_in(lane, 0) {
            bench.wait();
        }
        bench.call_in(lane, 0, &Answer::Done(200));
    }
    bench.pass(WINDOW);
    assert_eq!(bench.core.limit(bench.now), 100);
    let permitted = |lane, bench: &mut Bench| {
        for n in 1..=6 {
            bench.ask_in(lane, n);
        }
        (1..=6).filter(|n| bench.permitted_in(lane, *n)).count()
    };
    assert_eq!(permitted(OTHER, &mut bench), 2);
    assert_eq!(permitted(LANE, &mut bench), 6);
}

#[test]
fn a_credential_that_nobody_uses_is_remembered_for_an_hour() {
    let mut bench = beside(terms(100, "made up"));
    bench.ask_in(OTHER, 7);
    bench.end_login(Err(refused()));
    bench.core.abandon(OTHER, bench.now);
    bench.pass(secs(1800));
    assert_eq!(bench.core.sweep(bench.now).count(), 2);
    bench.pass(secs(1800));
    assert_eq!(bench.core.sweep(bench.now).count(), 1);
}

impl Bench {
    /// Returns how often the credential of [`OTHER`] is tried while a person asks for it every second; each try is
    /// refused.
    fn tries_while_asked(&mut self, seconds: usize) -> usize {
        let mut tries = 0;
        for _ in 0..seconds {
            self.core.ask(OTHER, self.now);
            self.settle();
            while !self.logins.is_empty() {
                assert_eq!(self.logins[0].call.lane, OTHER);
                self.end_login(Err(refused()));
                tries += 1;
            }
            self.pass(secs(1));
        }
        tries
    }
}

#[test]
fn a_person_who_asks_without_end_costs_others_one_try_in_a_minute() {
    let mut bench = beside(terms(100, "made up"));
    bench.ask_in(OTHER, 7);
    bench.end_login(Err(refused()));
    bench.pass(secs(60));
    assert_eq!(bench.tries_while_asked(300), 5);
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);

    // This needs no accepted credential.
    let mut bench = Bench::new(100);
    bench
        .core
        .agree(OTHER, terms(100, "made up"), false, bench.now);
    assert_eq!(bench.tries_while_asked(300), 5);

    // As the only credential of the application, it is soon tried again.
    bench.core.abandon(LANE, bench.now);
    let tries = bench.tries_while_asked(300);
    assert!((59..=60).contains(&tries), "{tries}");
}

#[test]
fn a_person_who_asks_for_one_credential_after_another_has_each_tried_at_once_while_none_is_accepted()
 {
    let mut bench = Bench::new(100);
    bench
        .core
        .agree(OTHER, terms(100, "made up"), false, bench.now);
    bench.core.ask(OTHER, bench.now);
    bench.settle();
    bench.end_login(Err(refused()));
    bench.core.ask(LANE, bench.now);
    bench.settle();
    assert_eq!(bench.logins[0].call.lane, LANE);
}

#[test]
fn the_tries_of_persons_and_of_claims_beside_an_accepted_credential_go_in_the_order_of_their_waiting()
 {
    let mut bench = beside(terms(100, "a"));
    let (second, third) = (LaneId(3), LaneId(4));
    bench.core.agree(second, terms(100, "b"), false, bench.now);
    bench.core.agree(third, terms(100, "c"), false, bench.now);
    bench.core.try_credential(OTHER, false, bench.now);
    bench.pass(secs(1));
    assert_eq!(bench.logins[0].call.lane, OTHER);
    bench.core.ask(third, bench.now);
    bench.pass(secs(1));
    bench.core.try_credential(second, false, bench.now);
    bench.pass(secs(1));
    bench.core.ask(OTHER, bench.now);
    bench.end_login(Err(refused()));
    let mut tried = Vec::new();
    for _ in 0..2 {
        tried.push(bench.until_login().1);
        bench.end_login(Err(refused()));
        bench.pass(secs(59));
        assert!(bench.logins.is_empty(), "one in a minute");
    }
    assert_eq!(tried, [third, second]);
}

#[test]
fn the_credential_for_which_a_person_has_a_word_is_tried_before_others_and_once() {
    let mut bench = beside(terms(100, "a"));
    let (second, third) = (LaneId(3), LaneId(4));
    bench.core.agree(second, terms(100, "b"), false, bench.now);
    bench.core.agree(third, terms(100, "c"), false, bench.now);
    for lane in [OTHER, second, third] {
        bench.core.try_credential(lane, false, bench.now);
        bench.pass(Duration::from_millis(1));
    }
    assert_eq!(bench.logins[0].call.lane, OTHER);
    assert!(!bench.core.was_tried(OTHER));
    bench.end_login(Err(unavailable()));
    assert!(
        bench.core.was_tried(OTHER),
        "although nothing is known of it"
    );
    assert_eq!(bench.core.learned(OTHER), Learned::Untried);
    for lane in [OTHER, third] {
        bench.core.try_credential(lane, true, bench.now);
    }
    let mut tried = Vec::new();
    for _ in 0..3 {
        tried.push(bench.until_login().1);
        bench.end_login(Err(unavailable()));
    }
    assert_eq!(tried, [third, second, OTHER]);
    bench.core.agree(OTHER, terms(100, "d"), false, bench.now);
    assert!(!bench.core.was_tried(OTHER), "another secret wasn't");
}

/// Returns terms of one call in an hour.
fn narrow(secret: &str) -> Terms {
    Terms {
        window: secs(3600),
        ..terms(1, secret)
    }
}

#[test]
fn a_credential_with_a_quota_of_one_call_in_an_hour_is_tried_beside_one_that_is_busy() {
    let mut bench = beside(narrow("made up"));
    for n in 20..24 {
        bench.ask(n);
        bench.call(n, &Answer::Done(200));
    }
    bench.core.try_credential(OTHER, true, bench.now);
    bench.settle();
    assert_eq!(bench.logins[0].call.lane, OTHER, "at once");
    bench.end_login(Err(refused()));
    assert!(bench.core.was_tried(OTHER));

    // The same holds for a credential that an object waits for.
    let mut bench = beside(narrow("s2"));
    for n in 20..24 {
        bench.ask(n);
        bench.call(n, &Answer::Done(200));
    }
    bench.ask_in(OTHER, 7);
    assert_eq!(bench.logins[0].call.lane, OTHER);
    bench.log_in(3600);
    assert_eq!(bench.core.limit(bench.now), 1, "now it counts for all");
}

#[test]
fn the_calls_of_a_credential_that_is_not_accepted_obey_its_own_quota_beside_one_that_is_busy() {
    let mut bench = beside(Terms {
        calls: 2,
        ..narrow("s2")
    });
    bench.core.try_credential(OTHER, false, bench.now);
    let begun = bench.now;
    let (mut tries, mut served) = (Vec::new(), 0);
    for n in 20..200 {
        bench.ask(n);
        while let Some(order) = bench.logins.first() {
            if order.call.lane == OTHER {
                tries.push(bench.now - begun);
                bench.end_login(Err(unavailable()));
            } else {
                bench.log_in(36_000);
            }
        }
        if bench.permitted(n) {
            bench.call(n, &Answer::Done(200));
            served += 1;
        }
        bench.pass(secs(30));
    }
    assert!(served > 170, "{served}");
    assert!(tries.len() > 2, "{tries:?}");
    let apart = |three: &[Duration]| three[2] >= three[0] + secs(3600);
    assert!(tries.windows(3).all(apart), "{tries:?}");
}

#[test]
fn a_credential_whose_own_quota_is_used_up_keeps_no_other_from_its_try() {
    let mut bench = beside(narrow("a"));
    let second = LaneId(3);
    bench.core.agree(second, terms(100, "b"), false, bench.now);
    bench.core.try_credential(OTHER, false, bench.now);
    bench.settle();
    bench.end_login(Err(unavailable()));
    // The try of the other credential has waited for longer.
    bench.pass(secs(1));
    bench.core.try_credential(second, false, bench.now);
    bench.settle();
    let (pause, lane) = bench.until_login();
    assert_eq!(lane, second);
    assert!(pause <= secs(60), "{pause:?}");
}
