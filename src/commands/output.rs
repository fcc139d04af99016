//! Output formats, and durations and numbers as text.

use jiff::Timestamp;

/// The output format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Text for people.
    Table,
    /// JSON for programs, complete, with times to the second.
    Json,
}

/// The seconds from `now` to `until`; 0 if `until` has passed.
pub fn seconds_until(until: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(until.duration_since(now).as_secs()).unwrap_or(0)
}

/// A duration in the style of kubectl: 45s, 3m20s, 2h5m, 4d3h.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: u64, unit: &str, small: u64, rest: &str| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit}{small}{rest}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => two(minutes, "m", seconds % 60, "s"),
        7200..172_800 => two(hours, "h", minutes % 60, "m"),
        172_800.. => two(days, "d", hours % 24, "h"),
    }
}

/// A number with thousands separators: 9,980.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_numbers_are_formatted_for_people() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (7500, "2h5m"),
            (200_000, "2d7h"),
        ] {
            assert_eq!(span(seconds), text);
        }
        let numbers = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
    }
}
