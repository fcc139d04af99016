//! Unused reservations that a process leaves to the next leader when it stops in order, and their text form.

use std::collections::BTreeMap;

/// The unused reservations of the former leader's last records. The key is the uid of a Platform. The value is the
/// number of a record, and the number of that record's reserved deletions that were never sent.
pub type Unused = BTreeMap<String, (i64, usize)>;

/// The most Platforms in the text, because a Lease has no room for more. The reservations of all further Platforms
/// count as sent.
const TOLD_OF: usize = 1000;

/// Returns the unused reservations as text for the next leader; `None` if there are none.
pub fn unused_in_words(unused: &Unused) -> Option<String> {
    let told: BTreeMap<_, _> = unused.iter().take(TOLD_OF).collect();
    let told = Some(told).filter(|told| !told.is_empty());
    told.and_then(|told| serde_json::to_string(&told).ok())
}

/// Reads the text of [`unused_in_words`]; an unreadable text gives no unused reservations.
pub fn unused_of(words: &str) -> Unused {
    serde_json::from_str(words).unwrap_or_default()
}
