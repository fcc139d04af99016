//! Masks secrets in text of others, in all spellings in which a secret may come back: raw, form or URL encoded, JSON or
//! HTML escaped, and mixtures of these. Pure.

use std::borrow::Cow;

use crate::plain::visible;

/// The replacement of a secret.
const MASK: &str = "***";
/// The most bytes of one character in UTF-8.
const UTF8: usize = 4;
/// The most bytes of an HTML entity: `&#x10ffff;` with some leading zeros.
const LONGEST_ENTITY: usize = 16;
/// From this length on, in characters, a secret doesn't occur in a text by chance.
const LONG: usize = 8;
/// If a text holds at least this many leading characters of a secret, they are masked even if the rest of the secret
/// doesn't follow. The following characters that match are masked too. So the cost at a place without a secret doesn't
/// grow with the length of the secret.
const TELLING: usize = 16;

/// The most readings of a text that are followed at the same time. If there are more, the shortest and the longest
/// readings are kept. A row of n backslashes has n readings.
const READINGS: usize = 64;

/// Secrets to be masked, as visible characters.
pub(crate) struct Mask(Vec<Vec<char>>);

impl Mask {
    /// A mask of these secrets. An empty secret, or one of invisible characters only, never matches.
    pub(crate) fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let seen = |secret: &str| secret.chars().filter_map(visible).collect();
        Self(secrets.into_iter().map(seen).collect())
    }

    /// A mask of only the long secrets, which no text holds by chance.
    pub(crate) fn of_long_ones(&self) -> Self {
        let long = self.0.iter().filter(|secret| secret.len() >= LONG);
        Self(long.cloned().collect())
    }

    /// `text` with its secrets masked, cut after `limit` bytes of `text`. Borrowed if nothing was masked or cut.
    pub(crate) fn hide<'a>(&self, text: &'a str, limit: usize) -> Cow<'a, str> {
        let mut hidden = String::new();
        let (mut rest, mut kept) = (text, text);
        while let Some(c) = rest.chars().next() {
            if text.len() - rest.len() >= limit {
                hidden.push_str(before(kept, rest));
                return Cow::Owned(hidden);
            }
            if let Some(length) = self.found_at(rest) {
                hidden.push_str(before(kept, rest));
                hidden.push_str(MASK);
                rest = after(rest, length);
                kept = rest;
            } else {
                rest = after(rest, c.len_utf8());
            }
        }
        if hidden.is_empty() {
            Cow::Borrowed(text)
        } else {
            hidden.push_str(kept);
            Cow::Owned(hidden)
        }
    }

    /// `text` without secrets, control characters and invisible characters that change what people read, cut to `limit`
    /// characters. A cut never leaves a part of a secret, and removed characters never join into a secret.
    pub(crate) fn clean(&self, text: &str, limit: usize) -> String {
        let mut clean = String::new();
        let (mut rest, mut length) = (text, 0);
        while let Some(c) = rest.chars().next() {
            if length > limit {
                break;
            }
            if let Some(found) = self.found_at(rest) {
                clean.push_str(MASK);
                length += MASK.len();
                rest = after(rest, found);
            } else {
                clean.extend(visible(c));
                length += usize::from(visible(c).is_some());
                rest = after(rest, c.len_utf8());
            }
        }
        if let Some((cut, _)) = clean.char_indices().nth(limit) {
            clean.truncate(cut);
            clean.pop();
            clean.push('…');
        }
        clean
    }

    /// The length in bytes of the longest match at the beginning of `text`: a whole secret, or the leading part of a
    /// secret.
    fn found_at(&self, text: &str) -> Option<usize> {
        // A match must not begin with an invisible character.
        visible(text.chars().next()?)?;
        self.0
            .iter()
            .filter_map(|secret| spelled(secret, text))
            .max()
    }
}

/// The length in bytes of the longest reading of `secret`, or of its leading part, that `text` begins with.
fn spelled(secret: &[char], text: &str) -> Option<usize> {
    let (plain, end) = plainly_spelled(secret, text);
    let (mut ends, mut open, mut next) = (vec![end], Vec::new(), Vec::new());
    for (index, wanted) in secret.iter().enumerate().skip(plain) {
        open.clone_from(&ends);
        while let Some(at) = open.pop() {
            for (read, length) in readings(after(text, at)).into_iter().flatten() {
                match visible(read) {
                    None => open.push(at + length),
                    Some(read) if read == *wanted => next.push(at + length),
                    Some(_) => {}
                }
            }
        }
        if next.is_empty() {
            return ends.last().copied().filter(|_| index >= TELLING);
        }
        next.sort_unstable();
        next.dedup();
        if next.len() > READINGS {
            next.drain(READINGS / 2..next.len() - READINGS / 2);
        }
        ends.clone_from(&next);
        next.clear();
    }
    ends.last().copied().filter(|end| *end > 0)
}

/// How many characters of `secret` stand unescaped at the beginning of `text`, and their length in bytes.
fn plainly_spelled(secret: &[char], text: &str) -> (usize, usize) {
    let (mut plain, mut end) = (0, 0);
    for (wanted, c) in secret.iter().zip(text.chars()) {
        if matches!(c, '+' | '%' | '\\' | '&') || visible(c) != Some(*wanted) {
            break;
        }
        (plain, end) = (plain + 1, end + c.len_utf8());
    }
    (plain, end)
}

/// The characters that `text` may begin with, and the length in bytes of each spelling: raw, form or URL, JSON, HTML.
fn readings(text: &str) -> [Option<(char, usize)>; 2] {
    let Some(first) = text.chars().next() else {
        return [None, None];
    };
    let spelled = match first {
        '+' => Some((' ', 1)),
        '%' => percent(text),
        '\\' => json(text),
        '&' => html(text),
        _ => None,
    };
    [Some((first, first.len_utf8())), spelled]
}

/// Decodes a percent-encoded character such as `%C3%BC`.
fn percent(text: &str) -> Option<(char, usize)> {
    let mut bytes = Vec::with_capacity(UTF8);
    for part in text.as_bytes().chunks(3).take(UTF8) {
        let [b'%', high, low] = *part else { break };
        let (high, low) = (
            char::from(high).to_digit(16)?,
            char::from(low).to_digit(16)?,
        );
        bytes.push(u8::try_from(high * 16 + low).ok()?);
        if let Ok(read) = std::str::from_utf8(&bytes) {
            return Some((read.chars().next()?, bytes.len() * 3));
        }
    }
    None
}

/// Decodes a JSON escape: `\"`, `\u00fc`, or a surrogate pair such as `\ud83d\ude00`.
fn json(text: &str) -> Option<(char, usize)> {
    let read = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = unit(text)?;
            if let Some(read) = char::from_u32(u32::from(first)) {
                return Some((read, 6));
            }
            let pair = [first, unit(text.get(6..)?)?];
            let read = char::decode_utf16(pair).next()?.ok()?;
            return Some((read, 12));
        }
        _ => return None,
    };
    Some((read, 2))
}

/// Decodes an HTML entity: `&#252;`, `&#xfc;`, or one of the common named entities.
fn html(text: &str) -> Option<(char, usize)> {
    let end = text
        .bytes()
        .take(LONGEST_ENTITY)
        .position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let read = match (name, name.strip_prefix('#')) {
        ("amp", _) => '&',
        ("lt", _) => '<',
        ("gt", _) => '>',
        ("quot", _) => '"',
        ("apos", _) => '\'',
        (_, Some(number)) => {
            let number = match number.strip_prefix(['x', 'X']) {
                Some(number) => u32::from_str_radix(number, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
        (_, None) => return None,
    };
    Some((read, end + 1))
}

/// Decodes the UTF-16 unit of `\u00fc`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u16::from_str_radix(digits, 16).ok())?
}

/// The rest of `text` after `bytes` bytes; empty where there is none.
fn after(text: &str, bytes: usize) -> &str {
    text.get(bytes..).unwrap_or_default()
}

/// The part of `whole` before its suffix `rest`.
fn before<'a>(whole: &'a str, rest: &str) -> &'a str {
    let length = whole.len().saturating_sub(rest.len());
    whole.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Spells `c` in one of the supported encodings, chosen by `way`.
    #[expect(clippy::format_collect, reason = "a few bytes of one character")]
    fn spell(c: char, way: u8) -> String {
        let mut utf8 = [0; 4];
        let bytes = c.encode_utf8(&mut utf8).bytes();
        let mut utf16 = [0; 2];
        let units = c.encode_utf16(&mut utf16).iter();
        match way {
            0 => c.to_string(),
            1 if c == ' ' => "+".to_owned(),
            1 if c.is_ascii_alphanumeric() => c.to_string(),
            1 => bytes.map(|byte| format!("%{byte:02X}")).collect(),
            2 => bytes.map(|byte| format!("%{byte:02x}")).collect(),
            3 => {
                let quoted = serde_json::to_string(&c.to_string()).unwrap();
                quoted[1..quoted.len() - 1].to_owned()
            }
            4 => units.map(|unit| format!("\\u{unit:04x}")).collect(),
            5 => units.map(|unit| format!("\\u{unit:04X}")).collect(),
            6 => format!("&#{};", u32::from(c)),
            7 => format!("&#x{:X};", u32::from(c)),
            _ if c == '/' => "\\/".to_owned(),
            _ => format!("\u{200b}{c}"),
        }
    }

    /// Spells every character of `secret` in the same encoding.
    fn spelled_in(secret: &str, way: u8) -> String {
        secret.chars().map(|c| spell(c, way)).collect()
    }

    #[test]
    fn the_spellings_of_libraries_are_found() {
        let secret = "hun\"ter&2 =ü/\\%€😀+";
        let url = reqwest::Url::parse_with_params("https://x.invalid/", [("", secret)]).unwrap();
        let form = url.query().unwrap().trim_start_matches('=');
        let json = serde_json::to_string(secret).unwrap();
        let page = "hun&quot;ter&amp;2 =&#xfc;/\\%€😀+";
        for text in [secret, form, &*json, page] {
            let hidden = Mask::of([secret]).hide(text, 256).into_owned();
            assert_eq!(hidden.trim_matches('"'), "***", "{text}");
        }
    }

    #[test]
    fn the_longer_of_two_readings_is_hidden() {
        let hide = |secret: &str, text: &str| Mask::of([secret]).hide(text, 256).into_owned();
        assert_eq!(hide("%2", "a%252b"), "a***b");
        assert_eq!(hide("a b", "xa+by a b"), "x***y ***");
        assert_eq!(hide("", "text"), "text");
        assert_eq!(hide("ab", "aab %zz \\u12 \\"), "a*** %zz \\u12 \\");
    }

    #[test]
    fn all_secrets_are_hidden_and_the_longer_one_where_two_begin_alike() {
        let mask = Mask::of(["abc", "abcdefgh", ""]);
        assert_eq!(mask.hide("abcd abcdefgh", 256), "***d ***");
        assert_eq!(mask.of_long_ones().hide("abcd abcdefgh", 256), "abcd ***");
    }

    #[test]
    fn the_beginning_of_a_long_secret_is_hidden_and_text_beyond_the_limit_is_cut() {
        let mask = Mask::of(["0123456789abcdefghij"]);
        assert_eq!(mask.hide("x 0123456789abcdefgh y", 256), "x *** y");
        assert_eq!(mask.hide("x 0123456789abcde y", 256), "x 0123456789abcde y");
        assert_eq!(mask.hide("12340123456789abcdefghij", 5), "1234***");
        assert_eq!(mask.hide("12345678", 5), "12345");
    }

    #[test]
    fn a_text_full_of_partial_matches_takes_linear_time() {
        let mask = Mask::of([&*format!("{}b", "a".repeat(4095))]);
        for text in ["a".repeat(1 << 20), "%61".repeat(1 << 18)] {
            assert_eq!(mask.hide(&text, text.len()).trim_matches('*'), "");
        }
    }

    #[test]
    fn a_text_of_many_readings_takes_linear_time() {
        let secrets = [4095, 10].map(|length| format!("{}b", "\\".repeat(length)));
        let mask = Mask::of(secrets.iter().map(|secret| &**secret));
        let text = "\\".repeat(1 << 17);
        let hidden = mask.hide(&text, text.len());
        assert!(
            hidden.trim_matches('*').len() < 2 * TELLING,
            "{}",
            hidden.len()
        );
    }

    #[test]
    fn a_cut_leaves_no_part_of_a_secret_and_the_rest_of_a_long_text_costs_nothing() {
        let mask = Mask::of(["hunter2"]);
        assert_eq!(mask.clean("12345hunter2", 8), "12345***");
        assert_eq!(mask.clean("123456hunter2", 8), "123456*…");
        let long = "a".repeat(10_000_000);
        assert_eq!(
            Mask::of([&*"a".repeat(4000)])
                .clean(&long, 256)
                .chars()
                .count(),
            256
        );
    }

    proptest! {
        #[test]
        fn a_secret_is_hidden_however_it_is_spelled(
            secret in "[^*\\s]{1,12}( [^*\\s]{1,4})?",
            ways in proptest::collection::vec(0_u8..9, 17),
            one in 0_u8..9,
            (before, after) in ("[a-z ]{0,20}", "[a-z ]{0,20}"),
        ) {
            let secret: String = secret.chars().filter(|c| visible(*c) == Some(*c)).collect();
            prop_assume!(!secret.is_empty());
            let mask = Mask::of([&*secret]);
            let mixed: String = secret.chars().zip(&ways).map(|(c, way)| spell(c, *way)).collect();
            for spelling in [spelled_in(&secret, one), mixed] {
                let text = format!("{before}{spelling}{after}");
                for shown in [mask.hide(&text, 1024).into_owned(), mask.clean(&text, 256)] {
                    prop_assert!(shown.contains(MASK), "{text} -> {shown}");
                    for way in 0..8 {
                        let left = shown.contains(&spelled_in(&secret, way));
                        prop_assert!(!left, "{text} -> {shown}");
                    }
                }
            }
        }

        #[test]
        fn text_without_a_secret_is_unchanged(text in "\\PC{0,80}", secret in "[\u{4e00}-\u{4fff}]{3}") {
            prop_assume!(!text.contains('%') && !text.contains('\\') && !text.contains(&secret));
            prop_assert_eq!(Mask::of([&*secret]).hide(&text, 1024), &*text);
        }

        #[test]
        fn masking_never_panics(text in any::<String>(), secret in any::<String>(), limit in 1_usize..40) {
            let mask = Mask::of([&*secret]);
            prop_assert!(mask.hide(&text, limit).len() <= limit * MASK.len() + UTF8);
            prop_assert!(mask.clean(&text, limit).chars().count() <= limit);
        }
    }
}
