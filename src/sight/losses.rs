//! Records which definitions lack or lacked fields of ours, and since which version, for the next process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::doubts::Unsaid;
use super::{Sight, State, WatchKind};

/// A loss of fields: a definition lacks fields, or objects were written under such a definition and their statuses
/// don't report the loss yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The fields that the definition lacked last.
    pub what: String,
    /// A resource version. Up to that version the definition was complete, or no process can know whether it was
    /// complete.
    pub since: u64,
    /// The edits of the doubted objects, by uid; `None` if any object written after `since` may be concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<BTreeMap<String, i64>>,
}

/// The losses whose doubts are recorded in no status yet, so that a process that ends now would lose them.
pub type Losses = BTreeMap<WatchKind, Loss>;

impl Sight {
    /// The present losses; the receiver is notified of their changes.
    pub fn losses(&self) -> watch::Receiver<Losses> {
        self.losses.subscribe()
    }

    /// Takes over the losses that the previous leader recorded. If a loss names objects, these objects are doubted here
    /// too. Otherwise all objects that were written after the version of the loss are doubted.
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

    /// Publishes the present losses.
    pub(super) fn note_losses(&self, state: &State) {
        let all = state.definitions.iter();
        let losses: Losses = all
            .filter_map(|(kind, definition)| {
                let unsaid = definition.doubts.unsaid();
                let Unsaid { what, since, of } = match (definition.lost.clone(), unsaid) {
                    (None, unsaid) => unsaid?,
                    // `since` becomes the smaller version, so the objects of the earlier loss are among the objects
                    // that were written after `since`.
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
