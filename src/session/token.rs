//! The token of one credential: when to log in, and what a refusal of the token means.
//!
//! Only the newest token of an application is alive (the vendor's REST reference, page `iot_06_0007` of
//! support.huaweicloud.com), so logins must not overlap: at most one login is in flight at any time.

#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::Credential;
use super::credential::same_credential;
use crate::remote::answer::Detail;
use crate::remote::client::Authorization;
use crate::remote::reply::Login;

/// How long before its end a token is renewed; a tenth of its lifetime if that is less.
const RENEWED_BEFORE: Duration = Duration::from_secs(60);
/// How long before its end a token is used for the last time, because a call takes time; a tenth of its lifetime if
/// that is less.
const SPENT_ON_A_CALL: Duration = Duration::from_secs(10);
/// The number of fresh tokens refused in a row at which a person has to act.
const REFUSED_IN_A_ROW: u32 = 3;
/// The pause before the login for the last of these tokens, because another client of the application may be logging in
/// too.
const LAST_TRY_AFTER: Duration = Duration::from_secs(2);

/// The token in use.
struct Live {
    secret: SecretString,
    serial: u64,
    ends: Option<Instant>,
    renewal: Option<Instant>,
    /// Whether a call with this token was understood.
    proven: bool,
}

/// What has to happen before the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: there is a token.
    Nothing,
    /// A login has to be made first.
    Login,
    /// A login has to be made first, because the token expires soon. The login has to wait for calls in flight that use
    /// the token.
    Renewal,
    /// A login has to be made first, but not before this instant.
    At(Instant),
    /// The login in flight has to end.
    Answer,
}

/// The consequence of a refused token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenRefusal {
    /// The token was replaced already; nothing has to be done.
    Replaced,
    /// A new login is due.
    Again,
    /// Only a person can help, for this reason.
    Final(Detail),
}

/// A login to send.
pub(super) struct LoginJob {
    pub(super) secret: SecretString,
    /// The revision of the credential that the login uses.
    pub(super) credential: u64,
}

/// The token of a credential, and the state of its logins.
pub(super) struct Tokens {
    credential: Credential,
    /// Counts the changes of the credential.
    revision: u64,
    live: Option<Live>,
    logging_in: bool,
    /// Counts the tokens.
    serial: u64,
    refused_in_a_row: u32,
    /// The refusal of the last token, until there is a new one.
    refused: Option<Detail>,
    not_before: Option<Instant>,
    /// When the last login brought a token, and the lifetime of that token.
    last: Option<(Instant, Duration)>,
    logins: u64,
}

impl Tokens {
    /// Creates the state without a token, unless the credential is a handed-in token.
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

    /// Sets the credential. If it differs, the token is dropped, and the result of a login in flight will be ignored.
    /// Returns whether the credential differs.
    pub(super) fn set_credential(&mut self, credential: Credential) -> bool {
        let differs = !same_credential(&self.credential, &credential);
        if differs {
            self.credential = credential;
            self.revision += 1;
            self.begin_anew();
        }
        differs
    }

    /// Whether a login is in flight.
    pub(super) fn is_logging_in(&self) -> bool {
        self.logging_in
    }

    /// Returns what has to happen before the next call.
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

    /// Begins a login; `None` if the token is handed in or a login is in flight.
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

    /// Ends the login that used the revision `credential`. Returns whether that revision is still the present one.
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
            // If the platform gives no lifetime, the token is used until the platform refuses it.
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

    /// Returns the time at which the last login brought a token, and the token's lifetime; `None` if that isn't known.
    pub(super) fn last(&self) -> Option<(Instant, Duration)> {
        self.last
    }

    /// Returns how long after a login its token is usable for calls, judged by the last login.
    pub(super) fn serves(&self) -> Option<Duration> {
        self.last
            .map(|(_, life)| life.saturating_sub(SPENT_ON_A_CALL.min(life / 10)))
    }

    /// Returns how long after a login its token is used before it is due for renewal.
    pub(super) fn serves_unrenewed(&self) -> Option<Duration> {
        self.last
            .map(|(_, life)| life.saturating_sub(RENEWED_BEFORE.min(life / 10)))
    }

    /// Handles the refusal of the token `serial`.
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

    /// Drops the token `serial`, so that the next call begins with a login. The token was refused for a call whose
    /// refusal says nothing about other calls. Returns whether the token was in use and a login can replace it.
    pub(super) fn replace(&mut self, serial: u64, detail: &Detail) -> bool {
        let replaces = self.is_live(serial) && matches!(self.credential, Credential::Login(_));
        if replaces {
            self.live = None;
            self.refused = Some(detail.clone());
        }
        replaces
    }

    /// Adds to `detail` what a person has to do: only a person can renew a handed-in token.
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

    /// Records that a call with the token `serial` was understood.
    pub(super) fn proven(&mut self, serial: u64) {
        if let Some(live) = self.live.as_mut().filter(|live| live.serial == serial) {
            live.proven = true;
            self.refused_in_a_row = 0;
        }
    }

    /// Whether the token should be tried with a single call in flight, because the token before it was refused while it
    /// was fresh.
    pub(super) fn doubtful(&self) -> bool {
        self.refused_in_a_row > 0
    }

    /// Drops a token that came from a login, so that the next call begins with a login.
    pub(super) fn drop_token(&mut self) {
        if matches!(self.credential, Credential::Login(_)) {
            self.live = None;
        }
    }

    /// Drops an expired token. Returns whether it had expired.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let over = self.ends().is_some_and(|ends| ends <= now);
        if over {
            self.live = None;
        }
        over
    }

    /// Returns the token and its serial.
    pub(super) fn current(&self) -> Option<(SecretString, u64)> {
        let live = self.live.as_ref()?;
        Some((live.secret.clone(), live.serial))
    }

    /// Returns the token with the secret of its login, for a call, and the token's serial.
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

    /// Returns the time at which the token expires, if that is known.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.live.as_ref()?.ends
    }

    /// Returns the refusal of the last token, until there is a new one.
    pub(super) fn last_refusal(&self) -> Option<&Detail> {
        self.refused.as_ref()
    }

    /// Returns the number of logins begun.
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
