use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::remote::answer::{Answer, Detail, TlsFault, Trouble};
use crate::remote::client::{Authorization, Connection, Timeouts};
use crate::remote::tls::TlsSettings;
use crate::session::calls::TrackedCall;
use crate::session::core::Underway;
use crate::session::{
    Credential, CredentialId, PackageKey, Priority, Purpose, SessionState, Standing, Ticket,
};

const CALL_TIMEOUT: Duration = Duration::from_secs(15);
const WINDOW: Duration = Duration::from_secs(60);

/// Returns the connection to a platform that accepts no connections.
fn connection() -> Arc<Connection> {
    let timeouts = Timeouts {
        connect: Duration::from_secs(5),
        total: Duration::from_secs(15),
    };
    let endpoint = "https://127.0.0.1:1".parse().unwrap();
    Arc::new(Connection::new(&endpoint, &TlsSettings::default(), timeouts).unwrap())
}

fn member(calls: usize, credential: Credential) -> Member {
    Member {
        calls,
        window: WINDOW,
        credential,
        connection: connection(),
        requested_at: None,
        handled: None,
    }
}

fn handed_in() -> Credential {
    Credential::Token(SecretString::from("token".to_owned()))
}

fn login() -> Credential {
    Credential::Login(SecretString::from("secret".to_owned()))
}

fn key(app_id: &str) -> SessionKey {
    SessionKey {
        endpoint: "https://127.0.0.1:1".parse().unwrap(),
        app_id: app_id.parse().unwrap(),
    }
}

fn platform(name: &str) -> ObjectKey {
    ObjectKey::new("iot", name)
}

fn ticket(n: i64) -> Ticket {
    Ticket {
        uid: format!("u{n}"),
        key: ObjectKey::new("fleet", format!("o{n}")),
        purpose: Purpose::Delete,
        priority: Priority::Deletion,
        requested_at: Timestamp::from_second(n).unwrap(),
    }
}

/// The requests of an object whose package no other object names.
trait Alone {
    fn ask(&self, ticket: Ticket) -> Standing;
    fn stands(&self, uid: &str) -> Standing;
    fn leave(&self, uid: &str);
}

/// Returns the package that only the object `uid` names.
fn package(uid: &str) -> PackageKey {
    PackageKey {
        credential: CredentialId::of(1),
        file_id: uid.parse().unwrap(),
        accepted_at: None,
    }
}

impl Alone for Session {
    fn ask(&self, ticket: Ticket) -> Standing {
        let package = package(&ticket.uid);
        self.request(ticket, &package)
    }

    fn stands(&self, uid: &str) -> Standing {
        self.standing(uid, &package(uid))
    }

    fn leave(&self, uid: &str) {
        assert!(self.withdraw(uid, &package(uid)).is_empty());
    }
}

async fn delete(session: &Session, uid: &str) -> Option<Answer> {
    let file_id = "f1".parse().unwrap();
    session.delete(uid, &connection(), &file_id).await
}

/// Begins the DELETE of an object that holds a permit for it.
fn begin(session: &Session, n: i64) -> (Underway, Authorization) {
    let begun = session
        .change(|core, now| core.begin(session.lane, &format!("u{n}"), Purpose::Delete, now));
    begun.expect("it holds a permit")
}

/// Lets the platform accept the token of `session`, one window ago; before that its calls go one by one.
async fn accepted(session: &Session) {
    session.ask(ticket(0));
    let (call, _) = begin(session, 0);
    session.change(|core, now| core.ended(&call, Some(&Answer::Done(200)), now));
    sleep(WINDOW).await;
}

/// Returns the sessions of a process that started long ago, and the channel of objects that they wake.
async fn sessions() -> (Arc<Sessions>, mpsc::UnboundedReceiver<ObjectKey>) {
    let (wake, woken) = mpsc::unbounded_channel();
    let sessions = Sessions::new(CALL_TIMEOUT, wake, crate::clock::Clock::default());
    sessions.lead_unbounded();
    sleep(Duration::from_secs(7200)).await;
    (sessions, woken)
}

#[tokio::test(start_paused = true)]
async fn two_platforms_of_one_application_share_a_session_and_the_lower_quota_counts() {
    let (sessions, _woken) = sessions().await;
    let one = sessions.join(&platform("a"), key("app"), member(5, handed_in()));
    let other = sessions.join(&platform("b"), key("app"), member(2, handed_in()));
    assert!(Arc::ptr_eq(&one, &other));
    accepted(&one).await;
    let permitted = |n| matches!(one.ask(ticket(n)), Standing::Permitted { .. });
    assert_eq!((1..=5).filter(|n| permitted(*n)).count(), 2);
    let apart = sessions.join(&platform("b"), key("other"), member(2, handed_in()));
    assert!(!Arc::ptr_eq(&one, &apart));
    assert_eq!(sessions.snapshots().len(), 2);
    // The higher quota applies again, and the dispatcher grants the permits that it allows.
    sleep(Duration::from_millis(1)).await;
    for n in 1..=5 {
        let standing = one.stands(&format!("u{n}"));
        assert!(matches!(standing, Standing::Permitted { .. }), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_session_outlives_its_last_platform_by_a_window() {
    let (sessions, _woken) = sessions().await;
    let first = sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    first.ask(ticket(1));
    assert!(delete(&first, "u1").await.is_some());
    sessions.leave(&platform("a"));
    assert!(sessions.snapshots().is_empty());
    let again = sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    assert!(matches!(again.ask(ticket(2)), Standing::Waiting { .. }));
    sessions.leave(&platform("a"));
    sleep(WINDOW + Duration::from_secs(20)).await;
    let fresh = sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    assert!(!Arc::ptr_eq(&first, &fresh));
    assert!(matches!(fresh.ask(ticket(2)), Standing::Permitted { .. }));
    assert!(matches!(first.ask(ticket(3)), Standing::Waiting { .. }));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_woken_when_the_last_platform_leaves() {
    let (sessions, mut woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    session.ask(ticket(1));
    session.ask(ticket(2));
    drop(session);
    sessions.leave(&platform("a"));
    let mut names = [
        woken.try_recv().unwrap().name,
        woken.try_recv().unwrap().name,
    ];
    names.sort();
    assert_eq!(names.map(|name| name.to_string()), ["o1", "o2"]);
}

#[tokio::test(start_paused = true)]
async fn the_dispatcher_wakes_the_next_when_its_turn_has_come() {
    let (sessions, mut woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    session.ask(ticket(1));
    session.ask(ticket(2));
    session.ask(ticket(3));
    session.leave("u2");
    assert!(delete(&session, "u1").await.is_some());
    let answered = Instant::now();
    let next = timeout(WINDOW * 2, woken.recv()).await.unwrap();
    assert_eq!(next, Some(ticket(3).key));
    assert!(answered.elapsed() >= WINDOW && answered.elapsed() < WINDOW + Duration::from_secs(16));
    assert!(matches!(session.stands("u3"), Standing::Permitted { .. }));
}

/// Returns a session of five calls with ten thousand waiting objects, of which the first five hold permits.
async fn crowded(sessions: &Sessions) -> Arc<Session> {
    let session = sessions.join(&platform("crowded"), key("crowded"), member(5, handed_in()));
    accepted(&session).await;
    for n in 1..=10_000 {
        session.ask(ticket(n));
    }
    session
}

/// Serves two objects of a session of their own, the first at once and the second when the quota allows it, while
/// `other` doesn't change.
async fn serves_beside(
    other: &Session,
    sessions: &Sessions,
    woken: &mut mpsc::UnboundedReceiver<ObjectKey>,
) {
    sleep(Duration::from_millis(1)).await;
    let before = other.snapshot();
    while woken.try_recv().is_ok() {}
    let began = Instant::now();
    let window = Duration::from_secs(1);
    let own = Member {
        window,
        ..member(1, handed_in())
    };
    let session = sessions.join(&platform("own"), key("own"), own);
    let standing = session.ask(ticket(20_001));
    assert!(matches!(standing, Standing::Permitted { intent: None, .. }));
    assert!(delete(&session, "u20001").await.is_some());
    assert_eq!(began.elapsed(), Duration::ZERO);
    session.ask(ticket(20_002));
    assert_eq!(woken.recv().await, Some(ticket(20_002).key));
    assert_eq!(began.elapsed(), window);
    let after = other.snapshot();
    assert_eq!(after.queue_length, before.queue_length);
    assert_eq!(after.calls_in_window, before.calls_in_window);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_calls_all_hang_costs_another_nothing() {
    let (sessions, mut woken) = sessions().await;
    let crowded = crowded(&sessions).await;
    let _hanging: Vec<_> = (1..=5).map(|n| begin(&crowded, n)).collect();
    serves_beside(&crowded, &sessions, &mut woken).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_throttled_costs_another_nothing() {
    let (sessions, mut woken) = sessions().await;
    let crowded = crowded(&sessions).await;
    let (call, _) = begin(&crowded, 1);
    let refusal = Answer::Throttled(Detail::default());
    crowded.change(|core, now| core.ended(&call, Some(&refusal), now));
    let SessionState::Throttled { until } = crowded.snapshot().state else {
        panic!("a refusal throttles");
    };
    assert!(until > Instant::now());
    serves_beside(&crowded, &sessions, &mut woken).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_with_ten_thousand_waiting_costs_another_nothing() {
    let (sessions, mut woken) = sessions().await;
    let crowded = crowded(&sessions).await;
    for n in 1..=5 {
        let (call, _) = begin(&crowded, n);
        crowded.change(|core, now| core.ended(&call, Some(&Answer::Done(200)), now));
    }
    assert_eq!(crowded.snapshot().queue_length, 9_995);
    serves_beside(&crowded, &sessions, &mut woken).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_stamped_as_lost() {
    let (sessions, mut woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    session.ask(ticket(1));
    session.ask(ticket(2));
    let started = Instant::now();
    drop(TrackedCall::new(&session, begin(&session, 1)));
    assert_eq!(woken.recv().await, Some(ticket(2).key));
    assert!(started.elapsed() >= WINDOW + CALL_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn tls_settings_of_one_platform_that_fail_stop_nobody_while_those_of_another_work() {
    let (sessions, _woken) = sessions().await;
    let [bad, good] = ["a-bad", "good"].map(|name| (platform(name), member(50, handed_in())));
    let session = sessions.join(&bad.0, key("app"), bad.1.clone());
    let beside = sessions.join(&good.0, key("app"), good.1.clone());
    assert!(Arc::ptr_eq(&session, &beside));
    accepted(&session).await;
    let answer = Answer::Unavailable(Detail::default(), Trouble::TlsMismatch(TlsFault::Version));
    let fail = |numbers: std::ops::RangeInclusive<i64>| {
        for n in numbers {
            session.ask(ticket(n));
            TrackedCall::new(&session, begin(&session, n))
                .0
                .end(&answer);
        }
    };
    bad.1.connection.set_broken();
    fail(1..=20);
    assert_eq!(beside.snapshot().state, SessionState::Open);
    assert!(matches!(beside.ask(ticket(21)), Standing::Permitted { .. }));
    // If no member's connection works, all objects report it.
    good.1.connection.set_broken();
    fail(22..=26);
    assert!(matches!(
        beside.snapshot().state,
        SessionState::Unavailable(_, Trouble::TlsMismatch(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_uses_the_permit_for_it_and_the_delete_needs_another() {
    let (sessions, _woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(9, handed_in()));
    session.ask(Ticket {
        purpose: Purpose::LookUp,
        ..ticket(1)
    });
    let (connection, file_id) = (connection(), "f1".parse().unwrap());
    assert_eq!(delete(&session, "u1").await, None);
    let shown = session
        .show("u1", Purpose::LookUp, &connection, &file_id)
        .await
        .unwrap();
    assert!(matches!(shown, Err(Answer::Unavailable(..))), "{shown:?}");
    assert_eq!(
        session
            .show("u1", Purpose::LookUp, &connection, &file_id)
            .await,
        None
    );
    session.ask(ticket(1));
    assert!(delete(&session, "u1").await.is_some());
    assert_eq!(session.snapshot().calls_in_window, 2);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_read_once_nobody_waits_and_never_once_nobody_is_served() {
    let (sessions, mut woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    session.ask(ticket(1));
    session.ask(ticket(2));
    let begun = Instant::now();
    let listing = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.list(&connection(), 0).await }
    });
    assert!(delete(&session, "u1").await.is_some());
    assert_eq!(woken.recv().await, Some(ticket(2).key));
    assert!(begun.elapsed() >= WINDOW);
    assert!(delete(&session, "u2").await.is_some());
    let listed = timeout(WINDOW * 9, listing).await.unwrap();
    let listed = listed.unwrap().unwrap();
    assert!(matches!(listed, Err(Answer::Unavailable(..))), "{listed:?}");
    assert!(begun.elapsed() >= WINDOW * 2);

    for over in [true, false] {
        let listing = tokio::spawn({
            let session = Arc::clone(&session);
            async move { session.list(&connection(), 1).await }
        });
        sleep(Duration::from_millis(1)).await;
        assert!(!listing.is_finished());
        if over {
            sessions.leave(&platform("a"));
        } else {
            sessions.close();
        }
        let told = timeout(WINDOW, listing).await.unwrap();
        assert_eq!(told.unwrap(), None);
        sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_without_a_permit_sends_nothing() {
    let (sessions, _woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(1, handed_in()));
    assert_eq!(delete(&session, "u1").await, None);
    session.ask(ticket(1));
    session.ask(ticket(2));
    assert_eq!(delete(&session, "u2").await, None);
    assert!(delete(&session, "u1").await.is_some());
    assert_eq!(
        delete(&session, "u1").await,
        None,
        "a permit is for one call"
    );
    assert_eq!(session.snapshot().calls_in_window, 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_login_that_finds_nobody_see_so() {
    let (sessions, mut woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(100, login()));
    for n in 1..=3 {
        assert!(matches!(session.ask(ticket(n)), Standing::Waiting { .. }));
    }
    assert_eq!(woken.recv().await, Some(ticket(1).key));
    let Standing::Waiting {
        state, position, ..
    } = session.stands("u3")
    else {
        panic!("there is no token");
    };
    assert_eq!(position, 3);
    assert!(matches!(state, SessionState::Unavailable(..)), "{state:?}");
    sleep(Duration::from_secs(600)).await;
    let logins = session.snapshot().logins;
    assert!((5..=14).contains(&logins), "{logins} logins in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn once_closed_nothing_new_is_sent_and_drained_waits_for_what_is_under_way() {
    let (sessions, _woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(9, handed_in()));
    session.ask(ticket(1));
    session.ask(ticket(2));
    let under_way = TrackedCall::new(&session, begin(&session, 1));
    sessions.close();
    assert_eq!(delete(&session, "u2").await, None);
    let late = sessions.join(&platform("b"), key("late"), member(9, handed_in()));
    assert!(matches!(late.ask(ticket(3)), Standing::Waiting { .. }));
    let patience = Duration::from_secs(8);
    assert!(timeout(patience, sessions.drained()).await.is_err());
    drop(under_way);
    assert!(timeout(patience, sessions.drained()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_dispatcher_ends_with_its_session() {
    let (sessions, _woken) = sessions().await;
    let session = sessions.join(&platform("a"), key("app"), member(9, handed_in()));
    sleep(Duration::from_millis(1)).await;
    let held = Arc::downgrade(&session.shared.changed);
    assert_eq!(held.strong_count(), 2);
    drop((session, sessions));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(held.strong_count(), 0);
}
