//! One application: its credentials, its valid token, its packages and tasks, its quota.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::packages::Packages;
use super::quota::{Limit, Quota};
use super::tasks::Tasks;

/// The lifetime of a refresh token: one month on most pages of the documentation.
pub const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const FROZEN: Refusal = Refusal(
    400,
    "100247",
    "The operation is not allowed, the application is frozen.",
);
const EMPTY_PARAMETER: Refusal = Refusal(400, "102202", "Required Parameter is null or empty.");
const INPUT_INVALID: Refusal = Refusal(400, "50400", "The input is invalid.");
const WRONG_SECRET: Refusal = Refusal(401, "100208", "AppId or secret is not right.");
const REFRESH_FAILED: Refusal = Refusal(401, "100006", "Refresh access token failed.");

/// One application of the platform.
pub struct Application {
    /// The secret; `None` until one is set. Without a secret every login fails.
    pub secret: Option<SecretString>,
    /// Whether the application is frozen, because its owner is in arrears.
    pub frozen: bool,
    /// The packages.
    pub packages: Packages,
    /// The upgrade tasks.
    pub tasks: Tasks,
    /// The quota.
    pub quota: Quota,
    access: Option<Token>,
    refresh: Option<Token>,
}

struct Token {
    text: SecretString,
    ends: Duration,
}

impl Token {
    fn new(chance: &mut fastrand::Rng, ends: Duration) -> Self {
        Self {
            text: format!("{:032x}", chance.u128(..)).into(),
            ends,
        }
    }

    fn is(&self, text: &str, now: Duration) -> bool {
        now < self.ends && self.text.expose_secret() == text
    }
}

/// The parameters of a login, a refresh or a logout.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginParameters {
    /// The id of the application.
    pub app_id: String,
    secret: SecretString,
    refresh_token: SecretString,
    access_token: SecretString,
}

impl LoginParameters {
    /// Parses the form of a login.
    pub fn from_form(body: &[u8]) -> Self {
        let mut found = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            match name.as_ref() {
                "appId" => found.app_id = value.into_owned(),
                "secret" => found.secret = value.into_owned().into(),
                _ => {}
            }
        }
        found
    }

    /// Parses the JSON of a refresh or a logout.
    ///
    /// # Errors
    /// Code 50400 for any other body.
    pub fn from_json(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|_| INPUT_INVALID)
    }

    /// The access token to end.
    pub fn access_token(&self) -> &str {
        self.access_token.expose_secret()
    }

    /// Checks that the parameters of a login are present.
    ///
    /// # Errors
    /// Code 102202 where one is missing or empty.
    pub fn check_login(&self) -> Result<(), Refusal> {
        if self.app_id.is_empty() || self.secret.expose_secret().is_empty() {
            return Err(EMPTY_PARAMETER);
        }
        Ok(())
    }

    /// Checks that the parameters of a refresh are present.
    ///
    /// # Errors
    /// Code 102202 where one is missing or empty.
    pub fn check_refresh(&self) -> Result<(), Refusal> {
        self.check_login()?;
        if self.refresh_token.expose_secret().is_empty() {
            return Err(EMPTY_PARAMETER);
        }
        Ok(())
    }

    /// Checks that the parameter of a logout is present.
    ///
    /// # Errors
    /// Code 102202 where it is missing or empty.
    pub fn check_logout(&self) -> Result<(), Refusal> {
        if self.access_token().is_empty() {
            return Err(EMPTY_PARAMETER);
        }
        Ok(())
    }
}

/// The refusal of a login for an unknown application. The platform doesn't say whether `appId` or `secret` is wrong.
pub fn unknown() -> Refusal {
    WRONG_SECRET
}

impl Application {
    /// An application without packages and with an unused quota.
    pub fn new(secret: Option<SecretString>, limit: Limit) -> Self {
        Self {
            secret,
            frozen: false,
            packages: Packages::new(),
            tasks: Tasks::default(),
            quota: Quota::new(limit),
            access: None,
            refresh: None,
        }
    }

    /// Returns new tokens, which end the earlier ones.
    ///
    /// # Errors
    /// The credentials are wrong, or the application is frozen.
    pub fn login(
        &mut self,
        given: &LoginParameters,
        now: Duration,
        lifetime: Duration,
        chance: &mut fastrand::Rng,
    ) -> Result<Value, Refusal> {
        self.prove(given)?;
        Ok(self.renew(now, lifetime, chance))
    }

    /// Returns new tokens for a refresh token, which can be used once.
    ///
    /// # Errors
    /// The credentials are wrong, the application is frozen, or the refresh token isn't the valid one.
    pub fn refresh(
        &mut self,
        given: &LoginParameters,
        now: Duration,
        lifetime: Duration,
        chance: &mut fastrand::Rng,
    ) -> Result<Value, Refusal> {
        self.prove(given)?;
        let token = given.refresh_token.expose_secret();
        if !self
            .refresh
            .as_ref()
            .is_some_and(|live| live.is(token, now))
        {
            return Err(REFRESH_FAILED);
        }
        Ok(self.renew(now, lifetime, chance))
    }

    /// Whether `text` is the valid access token.
    pub fn knows(&self, text: &str, now: Duration) -> bool {
        self.access.as_ref().is_some_and(|live| live.is(text, now))
    }

    /// Ends the access token; the refresh token stays valid.
    pub fn expire(&mut self) {
        self.access = None;
    }

    /// Ends both tokens.
    pub fn logout(&mut self) {
        self.access = None;
        self.refresh = None;
    }

    /// Checks that the application isn't frozen.
    ///
    /// # Errors
    /// Code 100247 while it is frozen.
    pub fn check_frozen(&self) -> Result<(), Refusal> {
        if self.frozen { Err(FROZEN) } else { Ok(()) }
    }

    fn prove(&self, given: &LoginParameters) -> Result<(), Refusal> {
        let right = self
            .secret
            .as_ref()
            .is_some_and(|secret| secret.expose_secret() == given.secret.expose_secret());
        if !right {
            return Err(WRONG_SECRET);
        }
        self.check_frozen()
    }

    fn renew(&mut self, now: Duration, lifetime: Duration, chance: &mut fastrand::Rng) -> Value {
        let access = Token::new(chance, now.saturating_add(lifetime));
        let refresh = Token::new(chance, now.saturating_add(REFRESH_LIFETIME));
        let answer = json!({
            "scope": "default",
            "tokenType": "bearer",
            "expiresIn": lifetime.as_secs(),
            "accessToken": access.text.expose_secret(),
            "refreshToken": refresh.text.expose_secret(),
        });
        self.access = Some(access);
        self.refresh = Some(refresh);
        answer
    }
}
