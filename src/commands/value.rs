//! Values of flags that clap can't read by itself.

use std::time::Duration;

/// Why a value can't be used, in words that follow it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadValue(pub(super) String);

/// The duration that `text` says, where it is one that `fits`.
///
/// # Errors
/// `otherwise`, where it isn't.
pub(super) fn duration(
    text: &str,
    fits: impl Fn(&Duration) -> bool,
    otherwise: &str,
) -> Result<Duration, BadValue> {
    let span = text.parse::<jiff::SignedDuration>().ok();
    let span = span.and_then(|span| Duration::try_from(span).ok());
    span.filter(fits)
        .ok_or_else(|| BadValue(otherwise.to_owned()))
}
