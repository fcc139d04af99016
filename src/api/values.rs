//! Parses durations and times as the schema defines them: every text that the validation rules accept can be parsed and
//! keeps its meaning. `tests/schema/values.rs` tests this against a real API server.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Deserializer};

/// The last year that RFC 3339 can express.
const LAST_YEAR: i16 = 9999;
/// How many digits of the fraction of a second are read.
const FRACTION: usize = 9;

/// Parses a duration in the schema's format: numbers of one to five digits, each followed by `s`, `m` or `h`, in any
/// order, added up. `None` for any other text.
pub fn span(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at_checked(digits)?;
        let factor = match unit.bytes().next()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            _ => return None,
        };
        if !(1..=5).contains(&digits) {
            return None;
        }
        let part = number.parse::<u64>().ok()?.checked_mul(factor)?;
        seconds = seconds.checked_add(part)?;
        rest = unit.get(1..)?;
        if rest.is_empty() {
            return Some(Duration::from_secs(seconds));
        }
    }
}

/// Deserializes an optional time. A time beyond the range of jiff never comes, so it reads as `None`.
///
/// # Errors
/// The text isn't a time.
pub fn time_or_never<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let at = moment(&text).map_err(serde::de::Error::custom)?;
    Ok(at.map(Time))
}

/// A text that isn't a time, cut to 64 characters.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time such as 2026-12-24T00:00:00Z")]
struct NoTime(String);

/// The time; `None` for a time beyond the range of jiff, which never comes; an error for a text that isn't a time.
fn moment(text: &str) -> Result<Option<Timestamp>, NoTime> {
    let short = shortened(text);
    if let Ok(at) = short.parse::<Timestamp>() {
        return Ok(Some(at));
    }
    // Timestamps of jiff end a day before the end of the last year.
    let last = Pieces::parse(&short).is_ok_and(|pieces| {
        let whole = pieces.time().is_some() && pieces.offset().is_some();
        whole && pieces.date().year() == LAST_YEAR
    });
    if last {
        return Ok(None);
    }
    Err(NoTime(text.chars().take(64).collect()))
}

/// The text with the fraction of a second cut to nine digits.
fn shortened(text: &str) -> String {
    let Some(point) = text.find(['.', ',']) else {
        return text.to_owned();
    };
    let (before, fraction) = text.split_at(point + 1);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, after) = fraction.split_at(digits);
    let kept = fraction.get(..FRACTION).unwrap_or(fraction);
    format!("{before}{kept}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_duration_are_added_up_in_any_order() {
        for (text, seconds) in [
            ("0s", 0),
            ("30s", 30),
            ("5s5m", 305),
            ("1h1h", 7200),
            ("00001m", 60),
            ("99999h99999h", 2 * 99_999 * 3600),
        ] {
            assert_eq!(span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "", "s", "5", "5s5", "123456s", "1.5h", "-1s", "1d", "5 s", " 5s", "5S", "5ms",
            "\u{663}s",
        ] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_beyond_the_range_never_comes_and_other_text_is_refused() {
        for never in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T00:00:00+01:00",
            "9999-12-30T23:00:00.123456789012Z",
        ] {
            assert_eq!(moment(never), Ok(None), "{never}");
        }
        for (text, same) in [
            (
                "2026-12-24T00:00:00.1234567891234Z",
                "2026-12-24T00:00:00.123456789Z",
            ),
            ("2026-12-24t00:00:00z", "2026-12-24T00:00:00Z"),
            ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(moment(text), Ok(Some(same.parse().unwrap())), "{text}");
        }
        for bad in [
            "",
            "tomorrow",
            "9999-12-31",
            "9999-13-31T00:00:00Z",
            "9999-12-31T23:59:59",
            "2026-12-24T00:00:00Ztomorrow",
        ] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
