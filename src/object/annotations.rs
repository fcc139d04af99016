//! What the annotations of a `VersionPackage` say: whether it is paused, and whose unclear claims are disregarded.

use std::collections::BTreeSet;

/// How many characters of an odd value of `iodm.dev/paused` are shown.
const SHOWN_OF_PAUSE: usize = 32;

/// What `iodm.dev/paused` says.
pub(super) struct Pause {
    /// Whether the annotation holds the deletion.
    pub(super) holds: bool,
    /// The beginning of the value, if the value is neither `"true"` nor `"false"`.
    pub(super) odd: Option<String>,
}

impl Pause {
    /// Every value but `"false"` holds: a person who writes "True", "yes" or an empty value means to hold the deletion,
    /// which can't be undone.
    pub(super) fn read(value: Option<String>) -> Self {
        let value = value.filter(|value| value != "false");
        Self {
            holds: value.is_some(),
            odd: value
                .filter(|value| value != "true")
                .map(|value| value.chars().take(SHOWN_OF_PAUSE).collect()),
        }
    }
}

/// The uids in a comma-separated annotation.
pub(super) fn uids(annotation: Option<String>) -> BTreeSet<String> {
    let text = annotation.unwrap_or_default();
    let uids = text.split(',').map(str::trim).filter(|uid| !uid.is_empty());
    uids.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_pause_but_false_holds_and_any_but_true_is_kept_as_odd() {
        let pause = |value: Option<&str>| {
            let pause = Pause::read(value.map(str::to_owned));
            (pause.holds, pause.odd)
        };
        assert_eq!(pause(None), (false, None));
        assert_eq!(pause(Some("false")), (false, None));
        assert_eq!(pause(Some("true")), (true, None));
        for odd in [
            "", "True", "TRUE", "False", "yes", "no", "1", "0", " false", "false\n",
        ] {
            assert_eq!(pause(Some(odd)), (true, Some(odd.to_owned())), "{odd:?}");
        }
        let long = "ü".repeat(100);
        assert_eq!(pause(Some(&long)), (true, Some("ü".repeat(32))));
    }
}
