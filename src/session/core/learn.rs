//! What a session learns from the end of a call.

use tokio::time::Instant;

use super::{Core, Underway};
use crate::remote::answer::{Answer, Detail, Trouble};
use crate::remote::client::Login;
use crate::remote::codes;
use crate::session::token::Refusal;
use crate::session::{Purpose, State};

impl Core {
    /// A call with the token ended with `answer`, or with none since nobody waited for it any more.
    pub(in crate::session) fn ended(
        &mut self,
        call: &Underway,
        answer: Option<&Answer>,
        now: Instant,
    ) {
        self.stamped(call, answer, now);
        // What is said under a token that is used no more tells nothing of the one in use, nor of the credential
        // that the next one comes from.
        let Some(answer) = answer.filter(|_| self.tokens.is_live(call.serial)) else {
            self.told_nothing(call);
            return;
        };
        let Some((uid, purpose)) = &call.waits else {
            self.listed(call, answer);
            return;
        };
        match answer {
            Answer::Done(status) => match purpose {
                Purpose::Delete => {
                    self.queue.forgive(uid);
                    self.tokens.proven(call.serial);
                    self.health.proved();
                }
                Purpose::LookUp => {
                    self.queue.forgive(uid);
                    self.tokens.proven(call.serial);
                    self.health.half_told(uid, true, call.probe, now);
                }
                // Still there after its DELETE: that answer proved nothing.
                Purpose::Confirm => {
                    self.tokens.proven(call.serial);
                    let detail = Detail {
                        http_status: Some(*status),
                        code: None,
                        message: "a look-up shows packages whose DELETE had a 2xx".to_owned(),
                    };
                    self.odd(call, uid, detail, now);
                }
            },
            Answer::AlreadyGone(_) => {
                self.queue.forgive(uid);
                self.tokens.proven(call.serial);
                self.health.proved();
            }
            Answer::InvalidFileId(_) => {
                self.queue.set_back(uid, now);
                self.tokens.proven(call.serial);
                self.health.proved();
            }
            // It keeps its place, for the look-up that tells.
            Answer::Unproven(_) => {
                self.tokens.proven(call.serial);
                self.health.half_told(uid, false, call.probe, now);
            }
            Answer::Unexpected(detail) => {
                self.tokens.proven(call.serial);
                if detail.code.as_deref().is_some_and(codes::is_own_form) {
                    self.queue.set_back(uid, now);
                    let window = self.budget.window();
                    self.health.coded(call.probe, window, now);
                } else {
                    self.odd(call, uid, detail.clone(), now);
                }
            }
            Answer::Throttled(_) => self.throttled(call),
            Answer::TokenRefused(detail) => self.token_refused(call, uid, detail, now),
            Answer::CredentialsRefused(detail) => {
                self.queue.set_back(uid, now);
                // The next probe begins with a login, which proves the credentials or doesn't.
                self.tokens.drop_token();
                let state = State::AuthenticationFailed(self.tokens.explain(detail));
                self.ails(state, false, call, now);
            }
            Answer::ApplicationRefused(detail) => {
                self.queue.set_back(uid, now);
                self.tokens.proven(call.serial);
                self.ails(State::ApplicationRefused(detail.clone()), false, call, now);
            }
            Answer::Unavailable(detail, trouble) => {
                self.queue.set_back(uid, now);
                let state = State::Unavailable(detail.clone(), *trouble);
                let window = self.budget.window();
                if self.health.failed(state, call.probe, window, now) {
                    self.void_permits();
                }
            }
        }
    }

    /// The answer to a call of `uid` proves nothing.
    fn odd(&mut self, call: &Underway, uid: &str, detail: Detail, now: Instant) {
        self.queue.set_back(uid, now);
        let (state, window) = (State::Unexpected(detail), self.budget.window());
        if self.health.odd(uid, state, call.probe, window, now) {
            self.void_permits();
        }
    }

    /// A page of the list was answered. A list has rights and a path of its own, so what it's refused for makes
    /// nobody wait: it teaches what holds for every call, and whether the platform answers again.
    fn listed(&mut self, call: &Underway, answer: &Answer) {
        match answer {
            Answer::Throttled(_) => {
                self.throttled(call);
                return;
            }
            Answer::Done(_) => {
                self.tokens.proven(call.serial);
                // What is refused to others may be granted to a list.
                if !matches!(
                    self.health.ailment(),
                    Some(State::ApplicationRefused(_) | State::Unexpected(_))
                ) {
                    self.health.understood();
                    return;
                }
            }
            Answer::TokenRefused(detail) | Answer::CredentialsRefused(detail) => {
                if self.tokens.replace(call.serial, detail) {
                    self.void_permits();
                }
            }
            Answer::Unproven(_)
            | Answer::AlreadyGone(_)
            | Answer::InvalidFileId(_)
            | Answer::ApplicationRefused(_)
            | Answer::Unexpected(_)
            | Answer::Unavailable(..) => {}
        }
        self.told_nothing(call);
    }

    /// A login ended; without a result where nobody waited for it any more.
    pub(in crate::session) fn login_ended(
        &mut self,
        call: &Underway,
        result: Option<Result<Login, Answer>>,
        now: Instant,
    ) {
        let answer = match &result {
            Some(Ok(_)) => Some(&Answer::Done(200)),
            Some(Err(answer)) => Some(answer),
            None => None,
        };
        self.stamped(call, answer, now);
        let (login, refusal) = match result {
            Some(Ok(login)) => (Some(login), None),
            Some(Err(answer)) => (None, Some(answer)),
            None => (None, None),
        };
        let succeeded = login.is_some();
        if !self.tokens.login_ended(call.serial, login, now) {
            // Made with a former credential: it tells nothing about the present one.
            self.told_nothing(call);
            return;
        }
        match refusal {
            None if succeeded => self.health.logged_in(call.probe),
            None => self.told_nothing(call),
            Some(Answer::Throttled(_)) => self.throttled(call),
            // All wait for the login, so it is paced from its first failure on.
            Some(Answer::Unavailable(detail, trouble)) => {
                self.ails(State::Unavailable(detail, trouble), true, call, now);
            }
            Some(Answer::ApplicationRefused(detail)) => {
                self.ails(State::ApplicationRefused(detail), true, call, now);
            }
            Some(Answer::CredentialsRefused(detail)) => {
                self.ails(State::AuthenticationFailed(detail), true, call, now);
            }
            // Not the platform's words: whatever answers there has judged no credentials.
            Some(
                Answer::TokenRefused(detail)
                | Answer::Unexpected(detail)
                | Answer::Unproven(detail)
                | Answer::InvalidFileId(detail)
                | Answer::AlreadyGone(detail),
            ) => self.ails(State::Unexpected(detail), true, call, now),
            Some(Answer::Done(_)) => {
                let detail = Detail {
                    message: "the login was answered without a token".to_owned(),
                    ..Detail::default()
                };
                self.ails(State::Unexpected(detail), true, call, now);
            }
        }
    }

    fn throttled(&mut self, call: &Underway) {
        match self.health.ailment() {
            // Whether the token or the application is accepted remains to be seen.
            Some(
                State::AuthenticationFailed(_)
                | State::ApplicationRefused(_)
                | State::Unexpected(_),
            ) => self.told_nothing(call),
            Some(_) | None => self.health.understood(),
        }
    }

    fn token_refused(&mut self, call: &Underway, uid: &str, detail: &Detail, now: Instant) {
        match self.tokens.refused(call.serial, detail, now) {
            Refusal::Replaced => self.told_nothing(call),
            Refusal::Again => {
                self.void_permits();
                match self.health.ailment() {
                    Some(
                        State::AuthenticationFailed(_)
                        | State::ApplicationRefused(_)
                        | State::Unexpected(_),
                    ) => {
                        let state = if is_by_platform(detail) {
                            State::AuthenticationFailed(detail.clone())
                        } else {
                            State::Unexpected(detail.clone())
                        };
                        self.ails(state, false, call, now);
                    }
                    Some(_) | None => self.health.understood(),
                }
            }
            Refusal::Final(explained) => {
                self.queue.set_back(uid, now);
                let state = if is_by_platform(detail) {
                    State::AuthenticationFailed(explained)
                } else {
                    State::Unexpected(detail.clone())
                };
                self.ails(state, false, call, now);
            }
        }
    }

    fn ails(&mut self, state: State, healed_by_login: bool, call: &Underway, now: Instant) {
        let window = self.budget.window();
        self.health
            .ails(state, healed_by_login, call.probe, window, now);
        self.void_permits();
    }

    /// A call ended that says nothing of the health; where it was the probe, another may go.
    fn told_nothing(&mut self, call: &Underway) {
        if call.probe {
            self.health.probe_returned();
        }
    }

    /// Logs the end of a call, and what it tells of the budget.
    fn stamped(&mut self, call: &Underway, answer: Option<&Answer>, now: Instant) {
        let began = |began: &Instant| *began == call.started;
        if let Some(at) = self.under_way.iter().position(began) {
            self.under_way.swap_remove(at);
        }
        if let Some(Answer::Throttled(_)) = answer {
            let before = self.budget.paused_until();
            self.budget.refused(call.started, now);
            self.untold |= self.budget.paused_until() != before;
            self.void_permits();
            return;
        }
        self.budget.ended(self.stamp(call, answer, now), now);
        if answer.is_some_and(is_understood) {
            self.budget.understood(call.started, now);
        }
    }

    /// From when on a call counts: its answer, or where none came the end of its time-out.
    fn stamp(&self, call: &Underway, answer: Option<&Answer>, now: Instant) -> Instant {
        let lost = match answer {
            None => true,
            Some(Answer::Unavailable(_, trouble)) => match trouble {
                Trouble::TimedOut | Trouble::ConnectionLost => true,
                Trouble::Answered
                | Trouble::NotConnected
                | Trouble::CertificateNotTrusted(_)
                | Trouble::ClientCertificateRefused(_)
                | Trouble::TlsMismatch(_) => false,
            },
            Some(
                Answer::Done(_)
                | Answer::Unproven(_)
                | Answer::AlreadyGone(_)
                | Answer::Throttled(_)
                | Answer::TokenRefused(_)
                | Answer::CredentialsRefused(_)
                | Answer::InvalidFileId(_)
                | Answer::ApplicationRefused(_)
                | Answer::Unexpected(_),
            ) => false,
        };
        if lost {
            now.max(call.started + self.time_out)
        } else {
            now
        }
    }
}

/// Whether the platform itself refuses the token or the credentials: something before it has none of its codes.
fn is_by_platform(detail: &Detail) -> bool {
    detail.code.as_deref().and_then(codes::class).is_some()
}

/// Whether the platform took the call, and said something of it.
fn is_understood(answer: &Answer) -> bool {
    match answer {
        Answer::Done(_)
        | Answer::Unproven(_)
        | Answer::AlreadyGone(_)
        | Answer::TokenRefused(_)
        | Answer::CredentialsRefused(_)
        | Answer::InvalidFileId(_)
        | Answer::ApplicationRefused(_)
        | Answer::Unexpected(_) => true,
        Answer::Throttled(_) | Answer::Unavailable(..) => false,
    }
}
