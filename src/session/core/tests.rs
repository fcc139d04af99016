mod ailing;
mod any_history;
mod crash_loop;
mod handover;
mod lanes;
mod logins;
mod look_ups;
mod odd_answers;
mod shared_turns;
mod short_lives;
mod starving;
mod strangers;
mod throttled;

use std::task::Poll;

use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::remote::answer::{Answer, Detail, Trouble};
use crate::remote::reply::Login;
use crate::session::{Priority, Purpose, SessionKey, SessionState};

const WINDOW: Duration = Duration::from_secs(60);
const TIME_OUT: Duration = Duration::from_secs(15);
/// The lane of a session with one credential.
const LANE: LaneId = LaneId(1);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn session_key() -> SessionKey {
    SessionKey {
        endpoint: "https://platform.example.com".parse().unwrap(),
        app_id: "app-1".parse().unwrap(),
    }
}

fn terms(calls: usize, secret: &str) -> Terms {
    Terms {
        calls,
        window: WINDOW,
        credential: Credential::Login(SecretString::from(secret.to_owned())),
    }
}

fn ticket(n: usize) -> Ticket {
    Ticket {
        uid: format!("u{n}"),
        key: ObjectKey::new("fleet", format!("o{n}")),
        purpose: Purpose::Delete,
        priority: Priority::Deletion,
        requested_at: Timestamp::from_second(i64::try_from(n).unwrap()).unwrap(),
    }
}

fn look_up(n: usize) -> Ticket {
    Ticket {
        purpose: Purpose::LookUp,
        ..ticket(n)
    }
}

fn permitted(intent: Option<String>) -> Standing {
    Standing::Permitted {
        purpose: Purpose::Delete,
        intent,
    }
}

/// Returns the refusal of a token by the platform itself.
fn token_refused() -> Answer {
    Answer::TokenRefused(Detail {
        code: Some("1010005".to_owned()),
        ..Detail::default()
    })
}

fn unavailable() -> Answer {
    Answer::Unavailable(Detail::default(), Trouble::Answered)
}

/// A session with a clock that the test moves.
struct Bench {
    core: Core,
    now: Instant,
    /// The logins in flight.
    logins: Vec<LoginOrder>,
    /// The trials in flight, each a list of one entry.
    trials: Vec<LoginOrder>,
    woken: Vec<String>,
    next: Option<Instant>,
}

impl Bench {
    /// Creates a session that started long ago.
    fn new(calls: usize) -> Self {
        let start = Instant::now();
        let mut core = Core::new(LANE, terms(calls, "s1"), start, TIME_OUT, Rng::with_seed(1));
        core.lease_bounds = LeaseBounds::unbounded(start);
        Self {
            core,
            now: start + secs(7200),
            logins: Vec::new(),
            trials: Vec::new(),
            woken: Vec::new(),
            next: None,
        }
    }

    /// Creates such a session with a token that has worked.
    fn live(calls: usize) -> Self {
        let mut bench = Self::new(calls);
        bench.ask(0);
        bench.log_in(3600);
        while !bench.permitted(0) {
            bench.wait();
        }
        bench.call(0, &Answer::Done(200));
        bench.pass(WINDOW);
        bench.woken.clear();
        bench
    }

    fn ask(&mut self, n: usize) -> Standing {
        let standing = self.core.request(LANE, &ticket(n), self.now);
        self.settle();
        standing
    }

    fn settle(&mut self) {
        let step = self.core.step(self.now);
        self.woken
            .extend(step.wake.into_iter().map(|key| key.name.to_string()));
        self.logins.extend(step.login);
        self.trials.extend(step.trial);
        self.next = step.next;
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    /// Advances to the next instant at which the session has something to do.
    fn wait(&mut self) {
        self.now = self.next.expect("the session waits for nothing");
        self.settle();
    }

    fn end_login(&mut self, result: Result<Login, Answer>) {
        let order = self.logins.remove(0);
        self.core.login_ended(&order.call, Some(result), self.now);
        self.settle();
    }

    fn log_in(&mut self, seconds: u64) {
        self.end_login(Ok(Login {
            access_token: SecretString::from("t".to_owned()),
            expires_in: secs(seconds),
        }));
    }

    fn begin(&mut self, n: usize) -> Underway {
        self.try_begin(n).expect("it holds a permit")
    }

    fn try_begin(&mut self, n: usize) -> Option<Underway> {
        let begun = self
            .core
            .begin(LANE, &format!("u{n}"), Purpose::Delete, self.now);
        begun.map(|begun| begun.0)
    }

    /// Begins the twenty oldest calls, which is the most that may be in flight.
    fn begin_twenty(&mut self) -> Vec<Underway> {
        let begin = |n| {
            let call = self.begin(n);
            self.settle();
            call
        };
        (1..=20).map(begin).collect()
    }

    fn begin_spare(&mut self) -> Option<Underway> {
        match self.core.begin_spare(LANE, self.now) {
            Poll::Ready(begun) => Some(begun.expect("the session serves").0),
            Poll::Pending => None,
        }
    }

    fn end(&mut self, call: &Underway, answer: &Answer) {
        self.core.ended(call, Some(answer), self.now);
        self.settle();
    }

    fn call(&mut self, n: usize, answer: &Answer) {
        let call = self.begin(n);
        self.end(&call, answer);
    }

    fn standing(&self, n: usize) -> Standing {
        self.core.standing(LANE, &format!("u{n}"), self.now)
    }

    fn permitted(&self, n: usize) -> bool {
        matches!(self.standing(n), Standing::Permitted { .. })
    }

    fn permits(&self) -> usize {
        self.core.permits.len()
    }
}

#[test]
fn an_idle_session_with_a_token_permits_at_once_and_wakes_nobody() {
    let mut bench = Bench::live(100);
    assert_eq!(bench.ask(1), permitted(None));
    assert_eq!(bench.ask(1), permitted(None));
    assert_eq!((bench.permits(), bench.woken.len()), (1, 0));
    bench.core.intend(LANE, "u1", "i".to_owned());
    let intent = Some("i".to_owned());
    assert_eq!(bench.ask(1), permitted(intent));
}

#[test]
fn a_session_that_just_started_counts_the_last_window_as_used() {
    let start = Instant::now();
    let mut bench = Bench::new(100);
    bench.core = Core::new(LANE, terms(100, "s1"), start, TIME_OUT, Rng::with_seed(1));
    bench.core.lease_bounds = LeaseBounds::unbounded(start);
    bench.now = start;
    let Standing::Waiting { estimated, .. } = bench.ask(1) else {
        panic!("it has to wait");
    };
    assert_eq!(estimated, WINDOW);
    assert!(bench.logins.is_empty(), "a login is a call too");
    bench.wait();
    assert_eq!((bench.now, bench.logins.len()), (start + WINDOW, 1));
}

#[test]
fn permits_are_given_in_order_and_their_holders_woken() {
    let mut bench = Bench::new(3);
    for n in [5, 3, 4] {
        bench.ask(n);
    }
    bench.log_in(3600);
    assert_eq!(bench.woken, ["o3", "o4"], "the login took one of three");
    assert!(matches!(
        bench.standing(5),
        Standing::Waiting { position: 1, .. }
    ));
    bench.core.withdraw(LANE, "u3");
    bench.settle();
    assert!(bench.permitted(5));
    bench.core.withdraw(LANE, "u5");
    assert_eq!(bench.standing(5), Standing::Absent);
}

#[test]
fn a_permit_that_nobody_uses_is_taken_back() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.wait();
    assert_eq!(bench.standing(1), Standing::Absent);
    assert_eq!(bench.woken, ["o1"]);
    assert_eq!(bench.core.calls_in_window(bench.now), 0);
}

#[test]
fn a_throttle_answer_voids_the_permits_not_yet_used() {
    let mut bench = Bench::live(100);
    for n in 1..=5 {
        bench.ask(n);
    }
    let (first, second) = (bench.begin(1), bench.begin(2));
    bench.end(&first, &Answer::Throttled(Detail::default()));
    assert_eq!(bench.permits(), 0);
    let mut woken = std::mem::take(&mut bench.woken);
    woken.sort();
    assert_eq!(woken, ["o3", "o4", "o5"]);
    assert!(
        bench
            .core
            .begin(LANE, "u3", Purpose::Delete, bench.now)
            .is_none()
    );
    bench.end(&second, &Answer::Done(200));
    for n in 3..=5 {
        let Standing::Waiting { state, .. } = bench.ask(n) else {
            panic!("a permit during the pause");
        };
        assert!(matches!(state, SessionState::Throttled { .. }));
    }
    assert_eq!(bench.core.limit(bench.now), 1, "one of ours fitted");
    assert!(matches!(
        bench.core.state(LANE, bench.now),
        SessionState::Throttled { .. }
    ));
    for uid in ["u3", "u4", "u5"] {
        bench.core.withdraw(LANE, uid);
    }
    assert_eq!(
        bench.core.state(LANE, bench.now),
        SessionState::Open,
        "nobody waits for the pause to end"
    );
    for n in 3..=5 {
        bench.ask(n);
    }
    while bench.permits() == 0 {
        bench.wait();
    }
    assert_eq!(bench.permits(), 1, "one call alone after the pause");
    bench.call(3, &Answer::Done(200));
    assert_eq!(bench.core.state(LANE, bench.now), SessionState::Open);
    while bench.permits() == 0 {
        bench.wait();
    }
    bench.call(4, &Answer::Done(200));
    while bench.permits() == 0 {
        bench.wait();
    }
    assert!(bench.permitted(5));
}

#[test]
fn a_lost_call_counts_until_its_time_out_would_have_ended() {
    for answer in [
        None,
        Some(Answer::Unavailable(
            Detail::default(),
            Trouble::ConnectionLost,
        )),
    ] {
        let mut bench = Bench::live(1);
        bench.ask(1);
        let call = bench.begin(1);
        let started = bench.now;
        bench.pass(secs(3));
        bench.core.ended(&call, answer.as_ref(), bench.now);
        bench.ask(2);
        bench.wait();
        assert_eq!(bench.now, started + TIME_OUT + WINDOW);
        assert!(bench.permitted(2));
    }
}

#[test]
fn a_lower_limit_voids_permits_that_it_does_not_allow() {
    let mut bench = Bench::live(100);
    for n in 1..=20 {
        bench.ask(n);
    }
    bench.core.agree(LANE, terms(5, "s1"), false, bench.now);
    bench.settle();
    assert!((1..=8).all(|n| !bench.permitted(n)));
    assert!((9..=13).all(|n| bench.permitted(n)) && bench.permits() == 5);
}

#[test]
fn once_closed_nothing_is_granted_used_or_begun() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.core.close();
    assert!(
        bench
            .core
            .begin(LANE, "u1", Purpose::Delete, bench.now)
            .is_none()
    );
    assert_eq!(bench.standing(1), Standing::Absent, "no intent is written");
    assert!(matches!(bench.ask(2), Standing::Waiting { .. }));
    let mut bench = Bench::new(100);
    bench.core.close();
    bench.ask(1);
    assert!(bench.logins.is_empty());
    bench.core.want_spare(LANE);
    let begun = bench.core.begin_spare(LANE, bench.now);
    assert!(matches!(begun, Poll::Ready(None)), "nobody waits for ever");
}

#[test]
fn a_session_that_nobody_shares_lets_all_go_and_serves_again_when_somebody_comes() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.ask(2);
    bench.pass(secs(1));
    bench
        .core
        .lanes
        .get_mut(&LANE)
        .unwrap()
        .queue
        .insert(&ticket(3));
    let mut let_go = bench.core.abandon(LANE, bench.now);
    let_go.sort();
    assert_eq!(let_go, [ticket(1).key, ticket(2).key, ticket(3).key]);
    bench.settle();
    assert_eq!(bench.standing(1), Standing::Absent);
    assert!(bench.woken.is_empty());
    bench.ask(1);
    assert!(!bench.permitted(1));
    bench.core.agree(LANE, terms(100, "s1"), false, bench.now);
    bench.settle();
    assert!(bench.permitted(1));
}

fn random_answer(rng: &mut Rng) -> Option<Answer> {
    let detail = Detail::default();
    Some(match rng.u8(0..14) {
        0 => return None,
        1 => Answer::Throttled(detail),
        2 => Answer::TokenRefused(detail),
        3 => Answer::CredentialsRefused(detail),
        4 => Answer::ApplicationRefused(detail),
        5 => Answer::InvalidFileId(detail),
        6 => Answer::Unexpected(detail),
        7 => Answer::AlreadyGone(detail),
        8 => Answer::Unavailable(detail, Trouble::TimedOut),
        9 => unavailable(),
        _ => Answer::Done(200),
    })
}
