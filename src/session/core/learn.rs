//! What a session learns from the end of a call.

mod logins;

use tokio::time::Instant;

use super::{Core, LaneId, Underway};
use crate::remote::answer::{Answer, Detail, Trouble};
use crate::remote::codes;
use crate::session::token::TokenRefusal;
use crate::session::{Purpose, SessionState};

impl Core {
    /// Handles the end of a call with a token. `answer` is `None` if the caller stopped waiting for the answer.
    pub(in crate::session) fn ended(
        &mut self,
        call: &Underway,
        answer: Option<&Answer>,
        now: Instant,
    ) {
        self.stamped(call, answer, now);
        let id = call.lane;
        // An answer to a call with a former token says nothing about the present token or its credential.
        let live = self.lanes.get_mut(&id);
        let live = live.filter(|lane| lane.tokens.is_live(call.serial));
        let (Some(answer), Some(lane)) = (answer, live) else {
            self.told_nothing(call);
            return;
        };
        let Some((uid, purpose)) = &call.waits else {
            self.listed(call, answer, now);
            return;
        };
        match answer {
            Answer::Done(status) => match purpose {
                Purpose::Delete => {
                    lane.queue.forgive(uid);
                    lane.tokens.proven(call.serial);
                    lane.health.proved();
                    self.accepted(id, now);
                }
                Purpose::LookUp => {
                    lane.queue.forgive(uid);
                    lane.tokens.proven(call.serial);
                    lane.health.half_told(uid, true, call.probe, now);
                    self.accepted(id, now);
                }
                // The package still exists after its DELETE, so the answer to the DELETE proved nothing.
                Purpose::Confirm => {
                    lane.tokens.proven(call.serial);
                    let detail = Detail {
                        http_status: Some(*status),
                        code: None,
                        message: "a look-up still shows packages although their DELETE was answered with a 2xx status".to_owned(),
                    };
                    self.accepted(id, now);
                    self.odd(call, uid, detail, now);
                }
            },
            Answer::AlreadyGone(_) => {
                lane.queue.forgive(uid);
                lane.tokens.proven(call.serial);
                lane.health.proved();
                self.accepted(id, now);
            }
            Answer::InvalidFileId(_) => {
                lane.queue.set_back(uid, now);
                lane.tokens.proven(call.serial);
                lane.health.proved();
                self.accepted(id, now);
            }
            // The object keeps its place in the queue, for the look-up that tells the outcome.
            Answer::Unproven(_) => {
                lane.tokens.proven(call.serial);
                lane.health.half_told(uid, false, call.probe, now);
            }
            Answer::Unexpected(detail) => {
                lane.tokens.proven(call.serial);
                if detail.code.as_deref().is_some_and(codes::is_own_form) {
                    lane.queue.set_back(uid, now);
                    let window = self.budget.window();
                    lane.health.coded(call.probe, window, now);
                } else {
                    self.odd(call, uid, detail.clone(), now);
                }
            }
            Answer::Throttled(_) => self.throttled(call),
            Answer::TokenRefused(detail) => self.token_refused(call, uid, detail, now),
            Answer::CredentialsRefused(detail) => {
                lane.queue.set_back(uid, now);
                // The next probe begins with a login, which proves or refutes the credentials.
                lane.tokens.drop_token();
                let explained = lane.tokens.explain(detail);
                if lane.terms.credential.logs_in() {
                    self.ails(
                        SessionState::AuthenticationFailed(explained),
                        false,
                        call,
                        now,
                    );
                } else {
                    self.credential_refused(explained, call, now);
                }
            }
            Answer::ApplicationRefused(detail) => {
                lane.queue.set_back(uid, now);
                lane.tokens.proven(call.serial);
                self.ails(
                    SessionState::ApplicationRefused(detail.clone()),
                    false,
                    call,
                    now,
                );
            }
            Answer::Unavailable(detail, trouble) => {
                lane.queue.set_back(uid, now);
                let state = SessionState::Unavailable(detail.clone(), *trouble);
                let window = self.budget.window();
                if lane.health.failed(state, call.probe, window, now) {
                    self.void_permits(id);
                }
            }
        }
    }

    /// Handles a call that failed because of its own member's TLS settings while another member's settings work. The
    /// failure concerns only the call's object, which is moved behind the others.
    pub(in crate::session) fn settings_failed(
        &mut self,
        call: &Underway,
        answer: &Answer,
        now: Instant,
    ) {
        if never_left(answer) {
            self.taken_off(call);
            self.budget.give_back();
        } else {
            self.stamped(call, Some(answer), now);
        }
        if let (Some(lane), Some((uid, _))) = (self.lanes.get_mut(&call.lane), &call.waits) {
            lane.queue.set_back(uid, now);
        }
        self.told_nothing(call);
    }

    /// Handles an answer to a call of `uid` that proves nothing.
    fn odd(&mut self, call: &Underway, uid: &str, detail: Detail, now: Instant) {
        let (state, window) = (SessionState::Unexpected(detail), self.budget.window());
        let Some(lane) = self.lanes.get_mut(&call.lane) else {
            return;
        };
        lane.queue.set_back(uid, now);
        if lane.health.odd(uid, state, call.probe, window, now) {
            self.void_permits(call.lane);
        }
    }

    /// Handles the answer to a page of the list. The list has its own rights and its own path, so a refusal of the list
    /// stops no other call. From the answer the session learns only what holds for every call, and whether the platform
    /// answers again.
    fn listed(&mut self, call: &Underway, answer: &Answer, now: Instant) {
        let id = call.lane;
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        match answer {
            Answer::Throttled(_) => {
                self.throttled(call);
                return;
            }
            Answer::Done(_) => {
                lane.tokens.proven(call.serial);
                // The platform may grant a list and still refuse other calls.
                let refused = matches!(
                    lane.health.ailment(),
                    Some(SessionState::ApplicationRefused(_) | SessionState::Unexpected(_))
                );
                if !refused {
                    lane.health.understood();
                }
                self.accepted(id, now);
                if !refused {
                    return;
                }
            }
            Answer::TokenRefused(detail) | Answer::CredentialsRefused(detail) => {
                if lane.tokens.replace(call.serial, detail) {
                    self.void_permits(id);
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

    fn throttled(&mut self, call: &Underway) {
        let Some(lane) = self.lanes.get_mut(&call.lane) else {
            return;
        };
        match lane.health.ailment() {
            // The answer leaves open whether the platform accepts the token or the application.
            Some(
                SessionState::AuthenticationFailed(_)
                | SessionState::ApplicationRefused(_)
                | SessionState::Unexpected(_),
            ) => self.told_nothing(call),
            Some(_) | None => lane.health.understood(),
        }
    }

    fn token_refused(&mut self, call: &Underway, uid: &str, detail: &Detail, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&call.lane) else {
            return;
        };
        match lane.tokens.refused(call.serial, detail, now) {
            TokenRefusal::Replaced => self.told_nothing(call),
            TokenRefusal::Again => {
                match lane.health.ailment() {
                    Some(
                        SessionState::AuthenticationFailed(_)
                        | SessionState::ApplicationRefused(_)
                        | SessionState::Unexpected(_),
                    ) => {
                        let state = if is_by_platform(detail) {
                            SessionState::AuthenticationFailed(detail.clone())
                        } else {
                            SessionState::Unexpected(detail.clone())
                        };
                        self.ails(state, false, call, now);
                    }
                    Some(_) | None => lane.health.understood(),
                }
                self.void_permits(call.lane);
            }
            TokenRefusal::Final(explained) => {
                lane.queue.set_back(uid, now);
                let logs_in = lane.terms.credential.logs_in();
                if !is_by_platform(detail) {
                    self.ails(SessionState::Unexpected(detail.clone()), false, call, now);
                } else if logs_in {
                    self.ails(
                        SessionState::AuthenticationFailed(explained),
                        false,
                        call,
                        now,
                    );
                } else {
                    self.credential_refused(explained, call, now);
                }
            }
        }
    }

    fn ails(&mut self, state: SessionState, healed_by_login: bool, call: &Underway, now: Instant) {
        let window = self.budget.window();
        if let Some(lane) = self.lanes.get_mut(&call.lane) {
            lane.health
                .ails(state, healed_by_login, call.probe, window, now);
        }
        self.void_permits(call.lane);
    }

    /// Ends a call that says nothing about the lane's health; if the call was the probe, another probe may be made.
    fn told_nothing(&mut self, call: &Underway) {
        if call.probe
            && let Some(lane) = self.lanes.get_mut(&call.lane)
        {
            lane.health.probe_returned();
        }
    }

    /// Removes a call from the calls in flight.
    fn taken_off(&mut self, call: &Underway) {
        let began = |began: &(Instant, LaneId)| *began == (call.started, call.lane);
        if let Some(at) = self.under_way.iter().position(began) {
            self.under_way.swap_remove(at);
        }
    }

    /// Logs the end of a call, and updates the budget from its answer.
    fn stamped(&mut self, call: &Underway, answer: Option<&Answer>, now: Instant) {
        self.taken_off(call);
        let stamp = self.stamp(call, answer, now);
        if let Some(lane) = self.lanes.get_mut(&call.lane) {
            lane.called(stamp, now);
        }
        if let Some(Answer::Throttled(_)) = answer {
            let before = self.budget.paused_until();
            self.budget.refused(call.started, now);
            self.untold |= self.budget.paused_until() != before;
            self.void_all_permits();
            return;
        }
        self.budget.ended(stamp, now);
        if answer.is_some_and(is_understood) {
            self.budget.understood(call.started, now);
        }
    }

    /// Returns the time at which a call begins to age in the window: at its answer or, if the answer was lost, at the
    /// end of its time-out.
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

/// Whether the refusal comes from the platform itself: a proxy before the platform uses none of the platform's codes.
fn is_by_platform(detail: &Detail) -> bool {
    detail.code.as_deref().and_then(codes::class).is_some()
}

/// Whether the platform can't have counted the call, because nothing of it was sent.
fn never_left(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Unavailable(
            _,
            Trouble::NotConnected | Trouble::CertificateNotTrusted(_) | Trouble::TlsMismatch(_)
        )
    )
}

/// Whether the platform received the call and gave an understood answer.
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
