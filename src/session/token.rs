//! The token of one application: who may log in, when, and what a refusal means.
//!
//! Only the newest token of an application lives, and logins must not overlap
//! (platform reference, section 1): so there is one login at a time, whatever happens meanwhile.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::Credential;
use super::credential::same_credential;
use crate::remote::answer::Detail;
use crate::remote::client::Authorization;
use crate::remote::reply::Login;

/// A token is renewed so long before its end, or a tenth of its life before, if that is less.
const RENEWED_BEFORE: Duration = Duration::from_secs(60);
/// A token serves so much shorter than it lives, or by a tenth of its life, if that is less: a call takes its time.
const SPENT_ON_A_CALL: Duration = Duration::from_secs(10);
/// Fresh tokens that are refused in a row until a person has to look.
const REFUSED_IN_A_ROW: u32 = 3;
/// The pause before the last of them: another client of the application may be logging in too.
const LAST_TRY_AFTER: Duration = Duration::from_secs(2);

/// A token in use.
struct Live {
    secret: SecretString,
    serial: u64,
    ends: Option<Instant>,
    renewal: Option<Instant>,
    /// Whether a call with it was understood.
    proven: bool,
}

/// What the next call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: a token is there.
    Nothing,
    /// A login.
    Login,
    /// A login, since the token ends soon; not while calls with it are out.
    Renewal,
    /// A login, but not before this instant.
    At(Instant),
    /// The end of the login under way.
    Answer,
}

/// What a refused token means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenRefusal {
    /// It was replaced already; nothing is to be done.
    Replaced,
    /// A new login is due.
    Again,
    /// Trying again is of no use without a person, for this reason.
    Final(Detail),
}

/// A login to be made.
pub(super) struct LoginJob {
    pub(super) secret: SecretString,
    /// The credential that it is made with.
    pub(super) credential: u64,
}

/// The token, and the credential it comes from.
pub(super) struct Tokens {
    credential: Credential,
    /// Counts the changes of the credential.
    revision: u64,
    live: Option<Live>,
    logging_in: bool,
    /// Counts the tokens.
    serial: u64,
    refused_in_a_row: u32,
    /// Why the last token was refused, until there is a new one.
    refused: Option<Detail>,
    not_before: Option<Instant>,
    /// When the last login brought a token, and how long that lives.
    last: Option<(Instant, Duration)>,
    logins: u64,
}

impl Tokens {
    /// No token yet, unless one is handed in.
    pub(super) fn new(credential: Credential) -> Self {
        let mut tokens = Self {
            credential,
            revision: 0,
            live: None,
            logging_in: false,
            serial: 0,
            refused_in_a_row: 0,
            refused: None,
            not_before: None,
            last: None,
            logins: 0,
        };
        tokens.begin_anew();
        tokens
    }

    /// Takes another credential; whether it differs. The token of the former one is dropped, and so
    /// is the result of a login that is under way.
    pub(super) fn set_credential(&mut self, credential: Credential) -> bool {
        let differs = !same_credential(&self.credential, &credential);
        if differs {
            self.credential = credential;
            self.revision += 1;
            self.begin_anew();
        }
        differs
    }

    /// Whether a login is under way.
    pub(super) fn is_logging_in(&self) -> bool {
        self.logging_in
    }

    /// What the next call needs.
    pub(super) fn need(&self, now: Instant) -> Need {
        if self.logging_in {
            return Need::Answer;
        }
        match &self.live {
            Some(live) if live.renewal.is_none_or(|renewal| now < renewal) => Need::Nothing,
            Some(_) => Need::Renewal,
            None => match self.not_before {
                Some(at) if now < at => Need::At(at),
                Some(_) | None => Need::Login,
            },
        }
    }

    /// Begins the one login; `None` where a token is handed in or a login is under way.
    pub(super) fn begin_login(&mut self) -> Option<LoginJob> {
        match &self.credential {
            Credential::Login(secret) if !self.logging_in => {
                self.logging_in = true;
                self.logins += 1;
                Some(LoginJob {
                    secret: secret.clone(),
                    credential: self.revision,
                })
            }
            Credential::Login(_) | Credential::Token(_) => None,
        }
    }

    /// The login made with `credential` ended; whether that is still the one that counts.
    pub(super) fn login_ended(
        &mut self,
        credential: u64,
        login: Option<Login>,
        now: Instant,
    ) -> bool {
        self.logging_in = false;
        if credential != self.revision {
            return false;
        }
        if let Some(login) = login {
            let life = login.expires_in;
            // A platform that names no life lets the token live until it refuses it.
            let ends = (!life.is_zero()).then(|| now + life);
            self.refused = None;
            self.not_before = None;
            self.last = ends.map(|_| (now, life));
            self.put(login.access_token, ends);
            if let Some(live) = &mut self.live {
                live.renewal = ends.map(|ends| ends - RENEWED_BEFORE.min(life / 10));
            }
        }
        true
    }

    /// When the last login brought a token, and how long that lives; `None` where that isn't known.
    pub(super) fn last(&self) -> Option<(Instant, Duration)> {
        self.last
    }

    /// How long after a login calls can be made with its token, as far as the last one tells.
    pub(super) fn serves(&self) -> Option<Duration> {
        self.last
            .map(|(_, life)| life.saturating_sub(SPENT_ON_A_CALL.min(life / 10)))
    }

    /// The same up to its renewal.
    pub(super) fn serves_unrenewed(&self) -> Option<Duration> {
        self.last
            .map(|(_, life)| life.saturating_sub(RENEWED_BEFORE.min(life / 10)))
    }

    /// The platform refused the token `serial`.
    pub(super) fn refused(&mut self, serial: u64, detail: &Detail, now: Instant) -> TokenRefusal {
        let Some(live) = self.live.as_ref().filter(|live| live.serial == serial) else {
            return TokenRefusal::Replaced;
        };
        if matches!(self.credential, Credential::Token(_)) {
            return TokenRefusal::Final(self.explain(detail));
        }
        self.refused_in_a_row = if live.proven {
            0
        } else {
            self.refused_in_a_row + 1
        };
        self.drop_token();
        self.refused = Some(detail.clone());
        if self.refused_in_a_row >= REFUSED_IN_A_ROW {
            return TokenRefusal::Final(detail.clone());
        }
        if self.refused_in_a_row == REFUSED_IN_A_ROW - 1 {
            self.not_before = Some(now + LAST_TRY_AFTER);
        }
        TokenRefusal::Again
    }

    /// Drops the token `serial`, refused to a call that proves nothing for the others, so that the next call
    /// begins with a login; whether it was in use, and can be got anew.
    pub(super) fn replace(&mut self, serial: u64, detail: &Detail) -> bool {
        let replaces = self.is_live(serial) && matches!(self.credential, Credential::Login(_));
        if replaces {
            self.live = None;
            self.refused = Some(detail.clone());
        }
        replaces
    }

    /// What a person is told who has to mend it: who can renew a token that was handed in.
    pub(super) fn explain(&self, detail: &Detail) -> Detail {
        match self.credential {
            Credential::Login(_) => detail.clone(),
            Credential::Token(_) => Detail {
                message: "the accessToken in the Secret was refused. It was handed in, so the \
                          operator can't renew it: put a new accessToken into the Secret"
                    .to_owned(),
                ..detail.clone()
            },
        }
    }

    /// A call with the token `serial` was understood.
    pub(super) fn proven(&mut self, serial: u64) {
        if let Some(live) = self.live.as_mut().filter(|live| live.serial == serial) {
            live.proven = true;
            self.refused_in_a_row = 0;
        }
    }

    /// Whether the token should be tried with one call alone: the one before it, fresh like this
    /// one, was refused.
    pub(super) fn doubtful(&self) -> bool {
        self.refused_in_a_row > 0
    }

    /// Forgets a token that came from a login, so that the next call begins with one.
    pub(super) fn drop_token(&mut self) {
        if matches!(self.credential, Credential::Login(_)) {
            self.live = None;
        }
    }

    /// Drops the token if its life is over; whether it was.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let over = self.ends().is_some_and(|ends| ends <= now);
        if over {
            self.live = None;
        }
        over
    }

    /// The token and its serial.
    pub(super) fn current(&self) -> Option<(SecretString, u64)> {
        let live = self.live.as_ref()?;
        Some((live.secret.clone(), live.serial))
    }

    /// The token with what it came from, for a call, and its serial.
    pub(super) fn authorization(&self) -> Option<(Authorization, u64)> {
        let (token, serial) = self.current()?;
        let login = match &self.credential {
            Credential::Login(secret) => Some(secret.clone()),
            Credential::Token(_) => None,
        };
        Some((Authorization::new(token, login), serial))
    }

    /// Whether `serial` is the token in use.
    pub(super) fn is_live(&self, serial: u64) -> bool {
        self.live.as_ref().is_some_and(|live| live.serial == serial)
    }

    /// When the token ends, if that is known.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.live.as_ref()?.ends
    }

    /// Why the last token was refused, until there is a new one.
    pub(super) fn last_refusal(&self) -> Option<&Detail> {
        self.refused.as_ref()
    }

    /// How many logins were begun.
    pub(super) fn logins(&self) -> u64 {
        self.logins
    }

    fn begin_anew(&mut self) {
        self.live = None;
        self.refused_in_a_row = 0;
        self.refused = None;
        self.not_before = None;
        self.last = None;
        if let Credential::Token(token) = &self.credential {
            let token = token.clone();
            self.put(token, None);
        }
    }

    fn put(&mut self, secret: SecretString, ends: Option<Instant>) {
        self.serial += 1;
        self.live = Some(Live {
            secret,
            serial: self.serial,
            ends,
            renewal: None,
            proven: false,
        });
    }
}

#[cfg(test)]
mod tests;
