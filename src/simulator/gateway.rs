//! The gateway in front of the services: counts calls and checks tokens. Answers in shape B.

use std::time::Duration;

use super::answer::{HttpAnswer, Shape, Verdict};
use super::application::Application;
use super::settings::Switches;
use crate::remote::wire::{THROTTLE_TEXT, code};

/// Counts a call against the quota of its application.
///
/// # Errors
/// The throttle answer, which has no `Retry-After`.
pub fn count(
    application: &mut Application,
    switches: &Switches,
    now: Duration,
) -> Result<(), (HttpAnswer, Verdict)> {
    if application.quota.admit(now) {
        return Ok(());
    }
    let answer = HttpAnswer::error(
        switches.throttle_status,
        switches.throttle_shape,
        switches.throttle_code.as_str(),
        &format!("{THROTTLE_TEXT}."),
    );
    Err((answer, Verdict::Throttled))
}

/// Checks the token of a call.
///
/// # Errors
/// The answer to any token but the valid one.
pub fn check_token(
    application: &Application,
    token: Option<&str>,
    now: Duration,
) -> Result<(), (HttpAnswer, Verdict)> {
    if token.is_some_and(|token| application.knows(token, now)) {
        Ok(())
    } else {
        Err(token_refused())
    }
}

/// The answer to an invalid token or `app_key`.
pub fn token_refused() -> (HttpAnswer, Verdict) {
    let answer = HttpAnswer::error(
        403,
        Shape::B,
        code::TOKEN_INVALID,
        "Invalid access token or appId.",
    );
    (answer, Verdict::TokenRefused)
}
