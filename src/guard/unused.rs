//! What a process that stops in order leaves unused of what its records reserve, in words for the next one.

use std::collections::BTreeMap;

/// What the process before left unused of its last records: by the uid of a Platform the number of a record, and how many
/// of those that it reserves were never sent.
pub type Unused = BTreeMap<String, (i64, usize)>;

/// So many Platforms are told of at most, since a Lease has no room for more; what isn't told counts as sent.
const TOLD_OF: usize = 1000;

/// What is unused in words, for the process that comes next; none where that is nothing.
pub fn unused_in_words(unused: &Unused) -> Option<String> {
    let told: BTreeMap<_, _> = unused.iter().take(TOLD_OF).collect();
    let told = Some(told).filter(|told| !told.is_empty());
    told.and_then(|told| serde_json::to_string(&told).ok())
}

/// The same read. What can't be read says nothing.
pub fn unused_of(words: &str) -> Unused {
    serde_json::from_str(words).unwrap_or_default()
}
