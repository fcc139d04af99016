//! The contents of one Secret: its texts, its application and its login or token.

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::{ACCESS_TOKEN, APP_ID, APP_KEY, PlatformWord, SECRET, SecretData};
use crate::api::names::AppId;
use crate::api::platform::PlatformReason;
use crate::session::Credential;

/// Highest length of a secret or a token in bytes; the token from a login has the same bound. Each answer is searched
/// for each of these values.
const LONGEST: usize = 4096;

/// The contents of one Secret with its name, for messages that never repeat a value.
pub(super) struct Contents<'a> {
    secret: String,
    data: &'a SecretData,
}

impl<'a> Contents<'a> {
    pub(super) fn new(namespace: &str, name: &str, data: &'a SecretData) -> Self {
        Self {
            secret: format!("{namespace}/{name}"),
            data,
        }
    }

    pub(super) fn invalid(&self, what: &str) -> PlatformWord {
        PlatformWord::new(
            PlatformReason::SecretInvalid,
            format!("Secret {} {what}.", self.secret),
        )
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.data.0.contains_key(key)
    }

    pub(super) fn required(&self, key: &str) -> Result<&'a SecretSlice<u8>, PlatformWord> {
        match self.data.0.get(key) {
            Some(value) if value.expose_secret().is_empty() => {
                Err(self.invalid(&format!("has nothing under the key {key}")))
            }
            Some(value) => Ok(value),
            None => Err(self.invalid(&format!("lacks the key {key}"))),
        }
    }

    /// The text under `key`, without one line break at its end, which editors and `echo` leave there.
    pub(super) fn text(&self, key: &str) -> Result<&'a str, PlatformWord> {
        let bytes = self.required(key)?.expose_secret();
        if bytes.len() > LONGEST {
            return Err(self.invalid(&format!(
                "has more than {LONGEST} bytes under the key {key}"
            )));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.invalid(&format!("has something that isn't text under {key}")))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(self.invalid(&format!("has nothing under the key {key}")));
        }
        Ok(text)
    }

    pub(super) fn app_id(&self, key: &str) -> Result<AppId, PlatformWord> {
        // The message doesn't repeat the refused value: a secret may have been put under the wrong key.
        self.text(key)?.parse().map_err(|_| {
            self.invalid(&format!(
                "has a value under {key} that is not 1 to 256 visible ASCII characters without blanks"
            ))
        })
    }

    /// The secret values to hide.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let secrets = [SECRET, ACCESS_TOKEN].into_iter();
        let secrets = secrets.filter_map(|key| self.text(key).ok());
        secrets.map(SecretString::from).collect()
    }

    /// The login if the Secret has any key of a login, since the token of a login can be renewed; otherwise the token
    /// of the Secret.
    pub(super) fn login(&self) -> Result<(AppId, Credential), PlatformWord> {
        if self.has(APP_ID) || self.has(SECRET) {
            let app_id = self.app_id(APP_ID)?;
            let secret = self.text(SECRET)?;
            if secret.chars().any(char::is_control) {
                return Err(
                    self.invalid("has line breaks or other control characters under secret")
                );
            }
            return Ok((app_id, Credential::Login(SecretString::from(secret))));
        }
        if self.has(APP_KEY) || self.has(ACCESS_TOKEN) {
            let app_id = self.app_id(APP_KEY)?;
            let token = self.text(ACCESS_TOKEN)?;
            if !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(self.invalid(
                    "has a value under accessToken that is not made of visible ASCII characters without blanks",
                ));
            }
            return Ok((app_id, Credential::Token(SecretString::from(token))));
        }
        Err(self.invalid("needs the keys appId and secret, or appKey and accessToken"))
    }
}
