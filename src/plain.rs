//! Sanitizes text from outside: removes control characters, line breaks and invisible characters, so that the text
//! can't control a terminal, forge a line or change how other text is read. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// The character as it may be shown: blanks for line breaks and tabs, `None` for control and invisible characters.
pub fn visible(c: char) -> Option<char> {
    match c {
        '\n' | '\r' | '\t' => Some(' '),
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => None,
        _ if c.is_control() => None,
        _ => Some(c),
    }
}

/// `text` as one line, without control and invisible characters.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| visible(c) == Some(c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter_map(visible).collect())
}

/// `text` with its line breaks kept and each line sanitized as by [`plain`].
pub fn lines(text: &str) -> String {
    let seen = |c| if c == '\n' { Some(c) } else { visible(c) };
    text.chars().filter_map(seen).collect()
}

/// JSON with the same meaning as the JSON `text`. The result contains only visible characters and line breaks.
pub fn json(text: &str) -> Cow<'_, str> {
    let stays = |c: char| c == '\n' || visible(c) == Some(c);
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a String can't fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(escaped)
}

/// Sanitizes all strings in `value`.
pub fn texts(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(seen) = plain(text) {
                *text = seen;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(texts),
        Value::Object(fields) => fields.values_mut().for_each(texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text with every kind of character that terminals, logs, events and conditions must not get; for tests.
#[cfg(test)]
pub const HOSTILE: &str =
    "fw\u{1b}[2J\u{9b}31m\u{7f}\r\nForged: line\t\u{202e}dlo\u{2066}\u{61c}\u{85}\u{7}\u{e0041}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn control_line_break_and_direction_characters_are_removed() {
        assert_eq!(plain(HOSTILE), "fw[2J31m  Forged: line dlo");
        assert_eq!(lines("a\u{1b}[1m\nb\u{202e}\n"), "a[1m\nb\n");
        let mut value = json!({"a": [HOSTILE, 7, null], "b": {"c": "d\u{9b}"}});
        texts(&mut value);
        assert_eq!(
            value,
            json!({"a": ["fw[2J31m  Forged: line dlo", 7, null], "b": {"c": "d"}})
        );
    }

    #[test]
    fn ordinary_text_is_unchanged() {
        for text in ["meter-fw V1.1.10", "Zähler 水表 😀 é", ""] {
            assert!(matches!(plain(text), Cow::Borrowed(same) if same == text));
            assert_eq!(lines(text), text);
        }
    }

    proptest! {
        #[test]
        fn sanitized_json_has_the_same_meaning(text in any::<String>(), key in any::<String>()) {
            let value = json!({key: [text, HOSTILE]});
            for written in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let shown = json(&written);
                prop_assert_eq!(&lines(&shown), &*shown);
                prop_assert_eq!(&serde_json::from_str::<Value>(&shown).unwrap(), &value);
            }
        }

        #[test]
        fn sanitized_text_is_one_line_and_sanitizing_is_idempotent(text in any::<String>()) {
            let shown = plain(&text).into_owned();
            prop_assert!(!shown.contains(char::is_control));
            prop_assert_eq!(plain(&shown), &*shown);
        }
    }
}
