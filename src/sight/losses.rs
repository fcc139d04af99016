//! Which definitions lack, or lacked, fields of ours, and since when: what the next process has to know of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::doubts::Unsaid;
use super::{Sight, State, WatchKind};

/// A definition lacks fields, or objects that were written under such a one don't say so yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What it lacked last.
    pub what: String,
    /// The version of the store up to which it was complete, or up to which nobody can know.
    pub since: u64,
    /// The objects that are doubted by now, by their uids, each with its edits; none where it may be any that was written
    /// since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<BTreeMap<String, i64>>,
}

/// The losses whose doubts a process that ends now would take with it.
pub type Losses = BTreeMap<WatchKind, Loss>;

impl Sight {
    /// The present losses, and when they change.
    pub fn losses(&self) -> watch::Receiver<Losses> {
        self.losses.subscribe()
    }

    /// What the process that led before saw of losses: the objects that it doubted are doubted here too, or all that were
    /// written since.
    pub fn recall(&self, losses: Losses, now: Instant) {
        let mut state = self.state.lock();
        for (kind, Loss { what, since, of }) in losses {
            let definition = state.definitions.entry(kind).or_default();
            let mut news = of.is_none();
            if let Some(of) = of {
                for (uid, edits) in of {
                    news |= definition.doubts.recall(uid, edits, (&what, since));
                }
            } else {
                definition.lost = match definition.lost.take() {
                    Some((known, before)) => Some((known, before.min(since))),
                    None => Some((what, since)),
                };
            }
            if news && matches!(definition.served, Some(Ok(_))) {
                definition.returned.get_or_insert(now);
            }
        }
        self.note_losses(&state);
        drop(state);
        self.tell();
    }

    /// Notes what is lost now.
    pub(super) fn note_losses(&self, state: &State) {
        let all = state.definitions.iter();
        let losses: Losses = all
            .filter_map(|(kind, definition)| {
                let unsaid = definition.doubts.unsaid();
                let Unsaid { what, since, of } = match (definition.lost.clone(), unsaid) {
                    (None, unsaid) => unsaid?,
                    // Whom an earlier loss concerns is among those that were written since.
                    (Some((what, since)), unsaid) => Unsaid {
                        what,
                        since: unsaid.map_or(since, |unsaid| unsaid.since.min(since)),
                        of: None,
                    },
                };
                Some((*kind, Loss { what, since, of }))
            })
            .collect();
        self.losses.send_if_modified(|known| {
            let other = *known != losses;
            if other {
                *known = losses;
            }
            other
        });
    }
}
