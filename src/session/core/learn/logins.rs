//! What a session learns from a login, and from a trial list that tests a token.

use tokio::time::Instant;

use super::is_by_platform;
use crate::remote::answer::{Answer, Detail};
use crate::remote::reply::Login;
use crate::session::SessionState;
use crate::session::core::{Core, LaneId, Underway};
use crate::session::credential::REFUSED_FOR;

impl Core {
    /// Handles the end of a trial: a list of one entry that tests a token.
    pub(in crate::session) fn trial_ended(
        &mut self,
        call: &Underway,
        answer: Option<&Answer>,
        now: Instant,
    ) {
        let id = call.lane;
        self.has_been_tried(id, now);
        let lane = self.lanes.get(&id);
        let own = lane.is_some_and(|lane| lane.tokens.is_live(call.serial));
        let handed_in = lane.is_some_and(|lane| !lane.terms.credential.logs_in());
        match answer {
            Some(Answer::TokenRefused(detail) | Answer::CredentialsRefused(detail))
                if own && handed_in && is_by_platform(detail) =>
            {
                self.stamped(call, answer, now);
                let explained = self.lanes.get(&id).map(|lane| lane.tokens.explain(detail));
                self.credential_refused(explained.unwrap_or_default(), call, now);
            }
            Some(Answer::Done(_)) if own && handed_in => {
                self.ended(call, answer, now);
                self.serves(id, now);
            }
            Some(_) | None => self.ended(call, answer, now),
        }
    }

    /// Handles the end of a login. `result` is `None` if the caller stopped waiting for the answer.
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
        let Some(lane) = self.lanes.get_mut(&call.lane) else {
            return;
        };
        let counts = lane.tokens.login_ended(call.serial, login, now);
        if succeeded {
            // A successful login ends the tokens of all other logins, whichever secret the login used.
            self.serves(call.lane, now);
        }
        if !counts {
            // A login made with a former credential says nothing about the present one.
            self.told_nothing(call);
            return;
        }
        self.has_been_tried(call.lane, now);
        let Some(lane) = self.lanes.get_mut(&call.lane) else {
            return;
        };
        match refusal {
            None if succeeded => {
                lane.health.logged_in(call.probe);
                self.accepted(call.lane, now);
            }
            None => self.told_nothing(call),
            Some(Answer::Throttled(_)) => self.throttled(call),
            // All calls wait for the login, so backoff begins with its first failure.
            Some(Answer::Unavailable(detail, trouble)) => {
                self.ails(SessionState::Unavailable(detail, trouble), true, call, now);
            }
            Some(Answer::ApplicationRefused(detail)) => {
                self.ails(SessionState::ApplicationRefused(detail), true, call, now);
            }
            Some(Answer::CredentialsRefused(detail)) => {
                self.credential_refused(detail, call, now);
            }
            // These answers aren't the platform's refusal of a login: the server that gave them has judged no
            // credentials.
            Some(
                Answer::TokenRefused(detail)
                | Answer::Unexpected(detail)
                | Answer::Unproven(detail)
                | Answer::InvalidFileId(detail)
                | Answer::AlreadyGone(detail),
            ) => self.ails(SessionState::Unexpected(detail), true, call, now),
            Some(Answer::Done(_)) => {
                let detail = Detail {
                    message: "the login was answered without a token".to_owned(),
                    ..Detail::default()
                };
                self.ails(SessionState::Unexpected(detail), true, call, now);
            }
        }
    }

    /// Marks the token of this lane as the newest of the application; the tokens of other logins are dead.
    fn serves(&mut self, id: LaneId, now: Instant) {
        if self.live.is_some_and(|live| live != id) {
            self.changed_over = Some(now);
        }
        self.live = Some(id);
        let others: Vec<_> = self.lanes.keys().copied().filter(|o| *o != id).collect();
        for other in others {
            let lane = self.lanes.get_mut(&other);
            if let Some(lane) = lane.filter(|lane| lane.terms.credential.logs_in()) {
                lane.tokens.drop_token();
                self.void_permits(other);
            }
        }
    }

    /// Handles a credential that the platform refused: it isn't tried again soon.
    pub(super) fn credential_refused(&mut self, detail: Detail, call: &Underway, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&call.lane) {
            let state = SessionState::AuthenticationFailed(detail.clone());
            lane.health.refuses(state, REFUSED_FOR, now);
        }
        self.refused(call.lane, detail, now);
        self.void_permits(call.lane);
    }
}
