//! How commands print: the two forms, and spans and numbers as people say them.

use jiff::Timestamp;

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs: all of it, times to the second.
    Json,
}

/// From `now` to `until`; nothing where that is past.
pub fn seconds_until(until: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(until.duration_since(now).as_secs()).unwrap_or(0)
}

/// A span as kubectl says it: 45s, 3m20s, 2h5m, 4d3h.
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

/// A number with its thousands apart: 9,980.
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
    fn spans_and_numbers_read_as_people_say_them() {
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
