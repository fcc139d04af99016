use secrecy::ExposeSecret;

use super::*;

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn login(token: &str, seconds: u64) -> Login {
    Login {
        access_token: secret(token),
        expires_in: Duration::from_secs(seconds),
    }
}

fn tokens() -> (Tokens, Instant) {
    (Tokens::new(Credential::Login(secret("s1"))), Instant::now())
}

fn log_in(tokens: &mut Tokens, token: &str, now: Instant) -> u64 {
    let order = tokens.begin_login().unwrap();
    assert!(tokens.login_ended(order.credential, Some(login(token, 3600)), now));
    tokens.current().unwrap().1
}

#[test]
fn logins_never_overlap() {
    let (mut tokens, now) = tokens();
    assert!(tokens.begin_login().is_some());
    assert_eq!(tokens.need(now), Need::Answer);
    assert!(tokens.begin_login().is_none());
    tokens.set_credential(Credential::Login(secret("s2")));
    assert!(tokens.begin_login().is_none());
}

#[test]
fn the_result_of_a_login_with_a_former_secret_is_dropped() {
    let (mut tokens, now) = tokens();
    let order = tokens.begin_login().unwrap();
    assert!(tokens.set_credential(Credential::Login(secret("s2"))));
    assert!(!tokens.login_ended(order.credential, Some(login("t1", 3600)), now));
    assert!(tokens.current().is_none());
    assert_eq!(tokens.need(now), Need::Login);
    let order = tokens.begin_login().unwrap();
    assert_eq!(order.secret.expose_secret(), "s2");
}

#[test]
fn a_token_refused_after_it_was_replaced_triggers_no_login() {
    let (mut tokens, now) = tokens();
    let first = log_in(&mut tokens, "t1", now);
    let detail = Detail::default();
    assert_eq!(tokens.refused(first, &detail, now), TokenRefusal::Again);
    assert_eq!(tokens.refused(first, &detail, now), TokenRefusal::Replaced);
    log_in(&mut tokens, "t2", now);
    assert_eq!(tokens.refused(first, &detail, now), TokenRefusal::Replaced);
    assert_eq!(tokens.need(now), Need::Nothing);
}

#[test]
fn the_second_login_is_at_once_the_third_after_two_seconds_then_a_person_has_to_look() {
    let (mut tokens, now) = tokens();
    let detail = Detail::default();
    let worked = log_in(&mut tokens, "t0", now);
    tokens.proven(worked);
    assert_eq!(tokens.refused(worked, &detail, now), TokenRefusal::Again);
    assert!(!tokens.doubtful());
    let first = log_in(&mut tokens, "t1", now);
    assert_eq!(tokens.refused(first, &detail, now), TokenRefusal::Again);
    assert_eq!(tokens.need(now), Need::Login);
    let second = log_in(&mut tokens, "t2", now);
    assert!(tokens.doubtful());
    assert_eq!(tokens.refused(second, &detail, now), TokenRefusal::Again);
    let third_at = now + Duration::from_secs(2);
    assert_eq!(tokens.need(now), Need::At(third_at));
    assert_eq!(tokens.need(third_at), Need::Login);
    let third = log_in(&mut tokens, "t3", third_at);
    let refusal = tokens.refused(third, &detail, third_at);
    assert_eq!(refusal, TokenRefusal::Final(detail));
}

#[test]
fn an_understood_answer_in_between_begins_the_count_anew() {
    let (mut tokens, now) = tokens();
    for round in 0..10 {
        let serial = log_in(&mut tokens, "t", now);
        let refusal = tokens.refused(serial, &Detail::default(), now);
        assert_eq!(refusal, TokenRefusal::Again, "round {round}");
        let serial = log_in(&mut tokens, "t", now);
        tokens.proven(serial);
        assert!(!tokens.doubtful());
        tokens.refused(serial, &Detail::default(), now);
    }
}

#[test]
fn a_token_is_renewed_a_minute_or_a_tenth_of_its_life_before_its_end() {
    for (life, margin) in [(3600, 60), (100, 10)] {
        let (mut tokens, now) = tokens();
        let order = tokens.begin_login().unwrap();
        tokens.login_ended(order.credential, Some(login("t", life)), now);
        let end = now + Duration::from_secs(life);
        let due = end - Duration::from_secs(margin);
        assert_eq!(tokens.need(due - Duration::from_millis(1)), Need::Nothing);
        assert_eq!(tokens.need(due), Need::Renewal);
        assert!(!tokens.expire(due) && tokens.expire(end));
        assert_eq!(tokens.need(end), Need::Login);
    }
}

#[test]
fn a_token_handed_in_is_never_renewed_and_its_refusal_says_who_has_to() {
    let now = Instant::now();
    let mut tokens = Tokens::new(Credential::Token(secret("hunter2")));
    let (_, serial) = tokens.current().unwrap();
    let TokenRefusal::Final(detail) = tokens.refused(serial, &Detail::default(), now) else {
        panic!("trying again is of no use");
    };
    assert!(detail.message.contains("accessToken") && detail.message.contains("Secret"));
    assert!(!detail.message.contains("hunter2"));
    assert!(tokens.begin_login().is_none());
    assert_eq!(tokens.need(now), Need::Nothing);
}
