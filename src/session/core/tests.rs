mod handover;

use std::task::Poll;

use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::remote::answer::{Answer, Detail, Trouble};
use crate::remote::client::Login;
use crate::session::{Priority, Purpose};

const WINDOW: Duration = Duration::from_secs(60);
const TIME_OUT: Duration = Duration::from_secs(15);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
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

fn permitted(intent: Option<(String, Instant)>) -> Standing {
    Standing::Permitted {
        purpose: Purpose::Delete,
        intent,
    }
}

fn unavailable() -> Answer {
    Answer::Unavailable(Detail::default(), Trouble::Answered)
}

/// A session under a clock that the test moves.
struct Bench {
    core: Core,
    now: Instant,
    /// Logins that are under way.
    logins: Vec<LoginOrder>,
    woken: Vec<String>,
    next: Option<Instant>,
}

impl Bench {
    /// A session whose start is long past.
    fn new(calls: usize) -> Self {
        let start = Instant::now();
        let mut core = Core::new(terms(calls, "s1"), start, TIME_OUT, Rng::with_seed(1));
        core.tenure = Tenure::unbounded(start);
        Self {
            core,
            now: start + secs(7200),
            logins: Vec::new(),
            woken: Vec::new(),
            next: None,
        }
    }

    /// The same with a token that has worked.
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
        let standing = self.core.request(&ticket(n), self.now);
        self.settle();
        standing
    }

    fn settle(&mut self) {
        let step = self.core.step(self.now);
        self.woken
            .extend(step.wake.into_iter().map(|key| key.name.to_string()));
        self.logins.extend(step.login);
        self.next = step.next;
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    /// Moves to the next instant at which the session wants to be asked.
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
        let begun = self.core.begin(&format!("u{n}"), Purpose::Delete, self.now);
        begun.map(|begun| begun.0)
    }

    fn begin_spare(&mut self) -> Option<Underway> {
        match self.core.begin_spare(self.now) {
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
        self.core.standing(&format!("u{n}"), self.now)
    }

    fn permitted(&self, n: usize) -> bool {
        matches!(self.standing(n), Standing::Permitted { .. })
    }

    fn permits(&self) -> usize {
        self.core.permits.len()
    }
}

#[test]
fn one_login_serves_a_thousand_waiters() {
    let mut bench = Bench::new(100);
    for n in 0..1000 {
        assert!(matches!(bench.ask(n), Standing::Waiting { .. }));
    }
    assert_eq!((bench.logins.len(), bench.core.logins()), (1, 1));
    let began = bench.now;
    bench.log_in(3600);
    assert_eq!(bench.permits(), 20);
    let mut calls = 1;
    for n in 0..1000 {
        while !bench.permitted(n) {
            bench.wait();
        }
        bench.call(n, &Answer::Done(200));
        calls += 1;
        assert!(bench.core.calls_in_window(bench.now) <= 100);
    }
    assert_eq!((calls, bench.core.logins()), (1001, 1));
    assert_eq!(bench.now - began, WINDOW * 10, "the floor for 1,001 calls");
}

#[test]
fn nobody_logs_in_while_nobody_waits() {
    let mut bench = Bench::new(100);
    bench.settle();
    bench.pass(secs(10_000));
    assert!(bench.logins.is_empty());
    let mut bench = Bench::live(100);
    bench.pass(secs(10_000));
    assert!(bench.logins.is_empty());
    bench.ask(1);
    assert_eq!(bench.logins.len(), 1);
}

#[test]
fn an_idle_session_with_a_token_permits_at_once_and_wakes_nobody() {
    let mut bench = Bench::live(100);
    assert_eq!(bench.ask(1), permitted(None));
    assert_eq!(bench.ask(1), permitted(None));
    assert_eq!((bench.permits(), bench.woken.len()), (1, 0));
    bench.core.intend("u1", "i".to_owned(), bench.now);
    let intent = Some(("i".to_owned(), bench.now));
    assert_eq!(bench.ask(1), permitted(intent));
}

#[test]
fn a_session_that_just_started_counts_the_last_window_as_used() {
    let start = Instant::now();
    let mut bench = Bench::new(100);
    bench.core = Core::new(terms(100, "s1"), start, TIME_OUT, Rng::with_seed(1));
    bench.core.tenure = Tenure::unbounded(start);
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
    bench.core.withdraw("u3");
    bench.settle();
    assert!(bench.permitted(5));
    bench.core.withdraw("u5");
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
    assert!(bench.core.begin("u3", Purpose::Delete, bench.now).is_none());
    bench.end(&second, &Answer::Done(200));
    for n in 3..=5 {
        let Standing::Waiting { state, .. } = bench.ask(n) else {
            panic!("a permit during the pause");
        };
        assert!(matches!(state, State::Throttled { .. }));
    }
    assert_eq!(bench.core.limit(bench.now), 1, "one of ours fitted");
    while bench.permits() == 0 {
        bench.wait();
    }
    assert_eq!(bench.permits(), 1, "one call alone after the pause");
    bench.call(3, &Answer::Done(200));
    assert_eq!(bench.core.state(), State::Open);
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
fn a_token_that_dies_among_many_calls_costs_one_login() {
    let mut bench = Bench::live(100);
    for n in 1..=50 {
        bench.ask(n);
    }
    let calls: Vec<_> = (1..=20).map(|n| bench.begin(n)).collect();
    for call in &calls {
        bench.end(call, &Answer::TokenRefused(Detail::default()));
    }
    assert_eq!((bench.logins.len(), bench.core.logins()), (1, 2));
    assert!(matches!(bench.core.state(), State::TokenRefused(_)));
    bench.log_in(3600);
    assert_eq!(bench.core.state(), State::Open);
    assert_eq!(bench.permits(), 20);
}

#[test]
fn a_token_refused_after_it_was_replaced_triggers_no_login() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.ask(2);
    let (first, late) = (bench.begin(1), bench.begin(2));
    bench.end(&first, &Answer::TokenRefused(Detail::default()));
    bench.ask(3);
    bench.log_in(3600);
    bench.end(&late, &Answer::TokenRefused(Detail::default()));
    assert!(bench.permitted(3));
    assert_eq!(bench.core.logins(), 2);
}

#[test]
fn three_fresh_tokens_refused_in_a_row_stall_the_session_and_cost_three_calls() {
    let mut bench = Bench::live(100);
    // Those whose permit was voided ask again, as their objects do once they are woken.
    let refuse_one = |bench: &mut Bench| {
        for n in 1..=100 {
            bench.ask(n);
        }
        let holder = (1..=100).find(|n| bench.permitted(*n)).unwrap();
        bench.call(holder, &Answer::TokenRefused(Detail::default()));
    };
    refuse_one(&mut bench);
    bench.log_in(3600);
    refuse_one(&mut bench);
    bench.log_in(3600);
    assert_eq!(bench.permits(), 1, "a doubtful token is tried alone");
    refuse_one(&mut bench);
    assert!(bench.logins.is_empty());
    let began = bench.now;
    bench.wait();
    assert_eq!(bench.now - began, secs(2));
    bench.log_in(3600);
    refuse_one(&mut bench);
    assert!(matches!(bench.core.state(), State::AuthenticationFailed(_)));
    assert_eq!((bench.permits(), bench.core.logins()), (0, 4));

    bench.core.agree(terms(100, "s2"), false, bench.now);
    bench.settle();
    assert_eq!(bench.core.state(), State::Open);
    assert_eq!(bench.logins.len(), 1, "another secret is tried at once");
}

#[test]
fn a_refused_login_is_tried_again_at_a_growing_pace_and_at_once_with_another_secret() {
    let mut bench = Bench::new(100);
    bench.ask(1);
    let mut last = secs(0);
    for round in 0..8 {
        bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
        assert!(matches!(bench.core.state(), State::AuthenticationFailed(_)));
        let began = bench.now;
        while bench.logins.is_empty() {
            bench.wait();
        }
        let pause = bench.now - began;
        assert!(pause > last / 2 && pause <= secs(600), "{pause:?}, {round}");
        last = pause;
    }
    bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
    bench.core.agree(terms(100, "s2"), false, bench.now);
    bench.settle();
    assert_eq!(bench.logins.len(), 1);
    bench.log_in(3600);
    assert!(bench.permitted(1));
}

#[test]
fn a_secret_changed_while_logging_in_drops_the_old_result_and_logs_in_once_more() {
    let mut bench = Bench::new(100);
    bench.ask(1);
    bench.core.agree(terms(100, "s2"), false, bench.now);
    bench.settle();
    assert_eq!(bench.logins.len(), 1, "logins must not overlap");
    bench.log_in(3600);
    assert!(!bench.permitted(1));
    assert_eq!(bench.logins.len(), 1);
    bench.log_in(3600);
    assert!(bench.permitted(1));
}

#[test]
fn a_refusal_of_the_former_secret_says_nothing_about_the_new_one() {
    let mut bench = Bench::new(100);
    bench.ask(1);
    bench.core.agree(terms(100, "s2"), false, bench.now);
    bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
    assert_eq!(bench.core.state(), State::Open);
    assert_eq!(bench.logins.len(), 1);
}

#[test]
fn a_token_is_renewed_only_if_work_waits_and_not_under_the_feet_of_calls() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    let call = bench.begin(1);
    bench.pass(secs(3600 - 60 - 60 - 5));
    bench.ask(2);
    assert!(bench.permitted(2));
    bench.core.withdraw("u2");
    bench.pass(secs(6));
    assert!(bench.logins.is_empty(), "nobody waits");
    bench.ask(3);
    assert!(bench.logins.is_empty() && !bench.permitted(3));
    bench.end(&call, &Answer::Done(200));
    assert_eq!(bench.logins.len(), 1);
    bench.log_in(3600);
    assert!(bench.permitted(3));
}

#[test]
fn permits_end_with_their_token() {
    let mut bench = Bench::new(100);
    bench.ask(1);
    bench.log_in(100);
    bench.core.withdraw("u1");
    bench.pass(secs(89));
    bench.ask(2);
    assert!(bench.permitted(2));
    bench.now += secs(12);
    assert!(bench.core.begin("u2", Purpose::Delete, bench.now).is_none());
    bench.settle();
    assert_eq!(bench.standing(2), Standing::Absent);
    assert!(bench.woken.contains(&"o2".to_owned()));
    bench.ask(2);
    assert_eq!(bench.logins.len(), 1);
}

#[test]
fn a_handed_in_token_is_never_logged_in_for_and_its_refusal_says_who_has_to_renew() {
    let mut bench = Bench::new(100);
    let terms = |token: &str| Terms {
        credential: Credential::Token(SecretString::from(token.to_owned())),
        ..terms(100, "")
    };
    bench.core.agree(terms("t1"), false, bench.now);
    bench.ask(1);
    bench.call(1, &Answer::TokenRefused(Detail::default()));
    bench.ask(2);
    let State::AuthenticationFailed(detail) = bench.core.state() else {
        panic!("a person has to look");
    };
    assert!(detail.message.contains("accessToken"), "{}", detail.message);
    bench.core.agree(terms("t2"), false, bench.now);
    bench.settle();
    assert!(bench.permitted(2));
    assert_eq!(bench.core.logins(), 0);
}

#[test]
fn after_five_failures_in_a_row_one_call_per_step_is_made_while_the_others_wait() {
    let mut bench = Bench::live(100);
    for n in 1..=100 {
        bench.ask(n);
    }
    for n in 1..=5 {
        bench.call(n, &unavailable());
    }
    assert!(matches!(bench.core.state(), State::Unavailable(..)));
    assert_eq!(bench.permits(), 0, "the permits not yet used are void");
    let began = bench.now;
    let mut probes = 0;
    while bench.now - began < secs(1800) {
        bench.wait();
        if let Some(holder) = (1..=100).find(|n| bench.permitted(*n)) {
            assert_eq!(bench.permits(), 1);
            bench.call(holder, &unavailable());
            bench.ask(holder);
            probes += 1;
        }
        // The objects that are woken ask again and don't get ahead of the probe.
        for n in 6..30 {
            bench.ask(n);
        }
    }
    assert!(
        (6..=14).contains(&probes),
        "{probes} probes in half an hour"
    );
    while bench.permits() == 0 {
        bench.wait();
    }
    let holder = (1..=100).find(|n| bench.permitted(*n)).unwrap();
    bench.call(holder, &Answer::AlreadyGone(Detail::default()));
    assert_eq!(bench.core.state(), State::Open);
    assert_eq!(bench.permits(), 20);
}

#[test]
fn a_refused_application_is_probed_and_does_not_eat_the_quota() {
    let mut bench = Bench::live(100);
    for n in 1..=100 {
        bench.ask(n);
    }
    let calls: Vec<_> = (1..=20).map(|n| bench.begin(n)).collect();
    for call in &calls {
        bench.end(call, &Answer::ApplicationRefused(Detail::default()));
    }
    assert!(matches!(bench.core.state(), State::ApplicationRefused(_)));
    let began = bench.now;
    while bench.permits() == 0 {
        bench.wait();
    }
    let pause = bench.now - began;
    assert!(pause >= secs(2) && pause <= secs(5), "{pause:?}");
    assert_eq!(bench.permits(), 1);
}

#[test]
fn a_probe_given_back_unused_goes_to_the_next() {
    let mut bench = Bench::live(100);
    for n in 1..=3 {
        bench.ask(n);
    }
    bench.call(1, &Answer::ApplicationRefused(Detail::default()));
    bench.ask(2);
    bench.ask(3);
    while bench.permits() == 0 {
        bench.wait();
    }
    assert!(bench.permitted(2));
    bench.core.withdraw("u2");
    bench.settle();
    assert!(bench.permitted(3));
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
    bench.core.agree(terms(5, "s1"), false, bench.now);
    bench.settle();
    assert_eq!(bench.permits(), 0);
    for n in 1..=20 {
        bench.ask(n);
    }
    assert_eq!(bench.permits(), 5);
}

#[test]
fn the_head_says_at_once_that_a_person_has_to_look_and_the_others_at_a_pace_when_it_lasts() {
    let mut bench = Bench::new(100);
    for n in 0..200 {
        bench.ask(n);
    }
    bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
    assert_eq!(bench.woken, ["o0"]);
    let may_say = |bench: &Bench, n| match bench.standing(n) {
        Standing::Waiting { told, .. } => told,
        other @ (Standing::Absent | Standing::Permitted { .. }) => panic!("{other:?}"),
    };
    assert!(may_say(&bench, 0) && !may_say(&bench, 1));
    let began = bench.now;
    let mut told = Vec::new();
    while bench.now - began < secs(60) {
        bench.wait();
        told.extend(bench.woken.drain(..).map(|name| (bench.now - began, name)));
        if !bench.logins.is_empty() {
            bench.end_login(Err(Answer::CredentialsRefused(Detail::default())));
        }
    }
    assert_eq!(told.first().unwrap().1, "o0");
    let others = told.get(1..).unwrap();
    assert!(others.iter().all(|(at, _)| *at >= secs(30)));
    let mut names: Vec<_> = others.iter().map(|(_, name)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), others.len(), "somebody was told twice");
    for (index, (at, _)) in others.iter().enumerate().skip(50) {
        assert!(*at >= others[index - 50].0 + Duration::from_millis(999));
    }
    assert!(others.len() >= 198);
    assert!((0..200).all(|n| may_say(&bench, n)));
}

#[test]
fn a_permit_for_a_look_up_deletes_nothing_and_the_other_way_round() {
    let mut bench = Bench::live(100);
    let now = bench.now;
    bench.core.request(&look_up(1), now);
    assert!(bench.core.begin("u1", Purpose::Delete, now).is_none());
    bench.ask(1);
    assert_eq!(bench.standing(1), permitted(None), "the permit is kept");
    bench.core.intend("u1", "i".to_owned(), now);
    bench.core.request(&look_up(1), now);
    assert!(bench.core.begin("u1", Purpose::Delete, now).is_none());
    let intent = None;
    let purpose = Purpose::LookUp;
    assert_eq!(bench.standing(1), Standing::Permitted { purpose, intent });
    assert!(bench.core.begin("u1", Purpose::LookUp, now).is_some());
}

#[test]
fn a_look_up_and_the_delete_after_it_keep_the_place_of_their_object() {
    for seed in 0..100 {
        let mut rng = Rng::with_seed(seed);
        let mut bench = Bench::live(1);
        let mut order: Vec<usize> = (1..=20).collect();
        rng.shuffle(&mut order);
        let first = order.iter().position(|n| *n == 1).unwrap();
        order.swap(0, first);
        for n in order {
            bench.core.request(&look_up(n), bench.now);
        }
        bench.settle();
        // Each looks up and asks for its delete; so at any time the oldest holds the next permit.
        let mut deleted = Vec::new();
        while deleted.len() < 20 {
            let holder = (1..=20).find(|n| bench.permitted(*n));
            let Some(holder) = holder else {
                bench.wait();
                continue;
            };
            assert_eq!(holder, deleted.len() + 1, "seed {seed}: it was overtaken");
            let uid = format!("u{holder}");
            if let Some((call, _)) = bench.core.begin(&uid, Purpose::LookUp, bench.now) {
                bench.core.ended(&call, Some(&Answer::Done(200)), bench.now);
                bench.core.request(&ticket(holder), bench.now);
                if let Standing::Waiting { position, .. } = bench.standing(holder) {
                    assert_eq!(position, 1, "seed {seed}");
                }
                bench.settle();
            } else {
                bench.call(holder, &Answer::Done(200));
                deleted.push(holder);
            }
        }
    }
}

#[test]
fn the_inventory_takes_only_what_nobody_waits_for() {
    let mut bench = Bench::live(10);
    assert!(bench.begin_spare().is_none(), "nobody wants one");
    bench.core.want_spare();
    for n in 1..=12 {
        bench.ask(n);
    }
    for n in 1..=10 {
        assert!(bench.begin_spare().is_none());
        bench.call(n, &Answer::Done(200));
    }
    bench.pass(WINDOW);
    for n in 11..=12 {
        assert!(bench.permitted(n));
    }
    // All who waited hold their permits; of what is left half a window stays for those who may come.
    let spare: Vec<_> = std::iter::from_fn(|| bench.begin_spare()).collect();
    assert_eq!(spare.len(), 3);
    for n in 13..=17 {
        assert!(matches!(bench.ask(n), Standing::Permitted { .. }), "{n}");
    }
    for call in &spare {
        bench.end(call, &Answer::Done(200));
    }
    assert!(bench.begin_spare().is_none());
}

#[test]
fn an_inventory_that_waits_is_told_when_it_may_go_and_logs_in_where_it_must() {
    let mut bench = Bench::new(4);
    bench.core.want_spare();
    bench.settle();
    assert_eq!(bench.logins.len(), 1, "its call is due");
    bench.log_in(3600);
    let mut went = Vec::new();
    while went.len() < 5 {
        if let Some(call) = bench.begin_spare() {
            went.push(bench.now);
            bench.end(&call, &Answer::Done(200));
        } else {
            bench.wait();
        }
    }
    let began = went[0];
    let windows: Vec<_> = went.iter().map(|at| (*at - began) / 60).collect();
    let [a, b, c] = [0, 1, 2].map(secs);
    assert_eq!(windows, [a, b, b, c, c], "two of four each window");
    assert!(bench.core.step(bench.now).next.is_some());
    bench.core.forgo_spare();
    assert!(bench.core.step(bench.now).next.is_none(), "nobody waits");
}

#[test]
fn the_answers_of_an_inventory_teach_like_others() {
    let detail = Detail::default;
    let mut bench = Bench::live(100);
    bench.core.want_spare();
    let call = bench.begin_spare().unwrap();
    bench.end(&call, &Answer::Throttled(detail()));
    assert!(matches!(bench.core.state(), State::Throttled { .. }));
    let mut bench = Bench::live(100);
    bench.core.want_spare();
    let call = bench.begin_spare().unwrap();
    bench.end(&call, &Answer::TokenRefused(detail()));
    assert_eq!(bench.logins.len(), 1);
    let mut bench = Bench::live(1);
    bench.core.want_spare();
    let call = bench.begin_spare().unwrap();
    let started = bench.now;
    bench.core.ended(&call, None, bench.now);
    bench.ask(1);
    bench.wait();
    assert_eq!(bench.now, started + TIME_OUT + WINDOW, "a lost one counts");
}

/// An answer that refuses, or none, of every kind that a list may get.
fn refusals() -> Vec<Answer> {
    let detail = Detail::default;
    vec![
        Answer::ApplicationRefused(detail()),
        Answer::CredentialsRefused(detail()),
        Answer::TokenRefused(detail()),
        Answer::Unexpected(detail()),
        Answer::Unavailable(detail(), Trouble::Answered),
        Answer::Unavailable(detail(), Trouble::NotConnected),
    ]
}

#[test]
fn a_list_that_is_refused_makes_no_deletion_wait() {
    for credential in ["s1", "token"] {
        for answer in refusals() {
            let mut bench = Bench::live(100);
            if credential == "token" {
                let handed_in = Credential::Token(credential.to_owned().into());
                let terms = Terms {
                    credential: handed_in,
                    ..terms(100, "s1")
                };
                bench.core.agree(terms, false, bench.now);
            }
            bench.core.want_spare();
            for _ in 0..10 {
                let call = bench.begin_spare().unwrap();
                bench.end(&call, &answer);
                if !bench.logins.is_empty() {
                    bench.log_in(3600);
                }
                assert_eq!(bench.core.state(), State::Open, "{answer:?}");
            }
            bench.ask(1);
            assert!(bench.permitted(1), "{answer:?}");
        }
    }
}

#[test]
fn a_list_that_fails_where_the_session_ails_leaves_the_next_try_to_whoever_comes() {
    for answer in refusals() {
        let mut bench = Bench::live(100);
        for n in 1..=5 {
            bench.ask(n);
            bench.call(
                n,
                &Answer::Unavailable(Detail::default(), Trouble::Answered),
            );
        }
        assert!(matches!(bench.core.state(), State::Unavailable(..)));
        bench.core.want_spare();
        bench.settle();
        bench.wait();
        let call = bench.begin_spare().unwrap();
        assert!(bench.begin_spare().is_none(), "one probe at a time");
        bench.end(&call, &answer);
        if !bench.logins.is_empty() {
            bench.log_in(3600);
        }
        bench.ask(6);
        assert!(bench.permitted(6), "{answer:?}");
    }
}

#[test]
fn a_list_that_is_answered_heals_what_kept_the_platform_from_answering() {
    let (detail, wanted) = (Detail::default, |bench: &mut Bench| {
        bench.core.want_spare();
        bench.settle();
        bench.wait();
        let call = bench.begin_spare().unwrap();
        bench.end(&call, &Answer::Done(200));
    });
    let mut bench = Bench::live(100);
    for n in 1..=5 {
        bench.ask(n);
        bench.call(n, &Answer::Unavailable(detail(), Trouble::Answered));
    }
    wanted(&mut bench);
    assert_eq!(bench.core.state(), State::Open);
    // The right to list is not the right to delete.
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.call(1, &Answer::ApplicationRefused(detail()));
    wanted(&mut bench);
    assert!(matches!(bench.core.state(), State::ApplicationRefused(_)));
}

#[test]
fn once_closed_nothing_is_granted_used_or_begun() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.core.close();
    assert!(bench.core.begin("u1", Purpose::Delete, bench.now).is_none());
    assert!(matches!(bench.ask(2), Standing::Waiting { .. }));
    let mut bench = Bench::new(100);
    bench.core.close();
    bench.ask(1);
    assert!(bench.logins.is_empty());
    bench.core.want_spare();
    let begun = bench.core.begin_spare(bench.now);
    assert!(matches!(begun, Poll::Ready(None)), "nobody waits for ever");
}

#[test]
fn a_session_that_nobody_shares_lets_all_go_and_serves_again_when_somebody_comes() {
    let mut bench = Bench::live(100);
    bench.ask(1);
    bench.ask(2);
    bench.pass(secs(1));
    bench.core.queue.insert(&ticket(3));
    let mut let_go = bench.core.abandon();
    let_go.sort();
    assert_eq!(let_go, [ticket(1).key, ticket(2).key, ticket(3).key]);
    bench.settle();
    assert_eq!(bench.standing(1), Standing::Absent);
    assert!(bench.woken.is_empty());
    bench.ask(1);
    assert!(!bench.permitted(1));
    bench.core.agree(terms(100, "s1"), false, bench.now);
    bench.settle();
    assert!(bench.permitted(1));
}

#[test]
fn the_state_machine_never_breaks_its_promises_whatever_happens() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let mut bench = Bench::new(30);
        let mut calls: Vec<Underway> = Vec::new();
        let mut ends: Vec<Instant> = Vec::new();
        bench.core.want_spare();
        for _ in 0..600 {
            let n = rng.usize(0..60);
            match rng.u8(0..13) {
                0..4 => {
                    bench.ask(n);
                }
                4 => bench.core.withdraw(&format!("u{n}")),
                5 => {
                    let secret = ["s1", "s2"][rng.usize(0..2)];
                    if rng.u8(0..10) == 0 {
                        let limit = rng.usize(10..40);
                        bench
                            .core
                            .agree(terms(limit, secret), rng.bool(), bench.now);
                    }
                }
                6..8 => calls.extend(bench.try_begin(n)),
                8 | 9 => {
                    if let Some(call) = calls.pop() {
                        let answer = random_answer(&mut rng);
                        ends.push(bench.now);
                        bench.core.ended(&call, answer.as_ref(), bench.now);
                    }
                }
                10 => {
                    if !bench.logins.is_empty() {
                        ends.push(bench.now);
                        if rng.u8(0..3) > 0 {
                            bench.log_in(rng.u64(0..200));
                        } else {
                            let answer = random_answer(&mut rng).unwrap_or(Answer::Done(200));
                            bench.end_login(Err(answer));
                        }
                    }
                }
                11 => {
                    let waited = bench.core.waiting();
                    let used = bench.core.calls_in_window(bench.now);
                    let half = bench.core.limit(bench.now).div_ceil(2);
                    if let Some(call) = bench.begin_spare() {
                        assert_eq!(waited, 0, "somebody waits, seed {seed}");
                        assert!(used < half, "seed {seed}: {used} of {half}");
                        calls.push(call);
                    }
                }
                _ => bench.pass(Duration::from_millis(rng.u64(1..4000))),
            }
            bench.settle();
            assert!(bench.logins.len() <= 1, "logins overlap, seed {seed}");
            let out = calls.len() + bench.permits() + bench.logins.len();
            assert_eq!(out, bench.core.budget.in_flight(), "seed {seed}");
            assert!(out <= 20);
            assert!(bench.next.is_none_or(|next| next > bench.now));
        }
        // Whatever happened, a session that is answered comes to serve everybody.
        for call in calls {
            bench.end(&call, &Answer::Done(200));
        }
        for n in 0..60 {
            bench.ask(n);
        }
        let mut left: Vec<usize> = (0..60).collect();
        for _ in 0..20_000 {
            if !bench.logins.is_empty() {
                bench.log_in(3600);
            }
            let holders: Vec<_> = left
                .iter()
                .copied()
                .filter(|n| bench.permitted(*n))
                .collect();
            for n in &holders {
                bench.call(*n, &Answer::Done(200));
            }
            left.retain(|n| !holders.contains(n));
            if left.is_empty() {
                break;
            }
            for n in &left {
                bench.ask(*n);
            }
            if holders.is_empty() && bench.logins.is_empty() {
                bench.wait();
            }
        }
        assert!(
            left.is_empty(),
            "seed {seed}: {left:?}, {:?}",
            bench.core.state()
        );
    }
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
