//! Which definitions lack, or lacked, fields of ours, and since when: what the next process has to know of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Kind, Sight, State};

/// A definition lacks fields, or objects that were written under such a one don't say so yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// What it lacked last.
    pub what: String,
    /// The version of the store up to which it was complete, or up to which nobody can know.
    pub since: u64,
}

/// The losses whose doubts a process that ends now would take with it.
pub type Losses = BTreeMap<Kind, Loss>;

impl Sight {
    /// The present losses, and when they change.
    pub fn losses(&self) -> watch::Receiver<Losses> {
        self.losses.subscribe()
    }

    /// What the process that led before saw of losses: objects that were written since are doubted here too.
    pub fn recall(&self, losses: Losses, now: Instant) {
        let mut state = self.state.lock();
        for (kind, loss) in losses {
            let definition = state.definitions.entry(kind).or_default();
            definition.lost = match definition.lost.take() {
                Some((what, since)) => Some((what, since.min(loss.since))),
                None => Some((loss.what, loss.since)),
            };
            if matches!(definition.served, Some(Ok(_))) {
                definition.returned.get_or_insert(now);
            }
        }
        self.note_losses(&state);
        drop(state);
        self.tell();
    }

    /// Notes what is lost now.
    pub(super) fn note_losses(&self, state: &State) {
        let losses = || {
            let all = state.definitions.iter();
            all.filter_map(|(kind, definition)| {
                let lost = definition.lost.as_ref();
                let (what, since) = lost.or_else(|| definition.doubts.unsaid())?;
                let (what, since) = (what.clone(), *since);
                Some((*kind, Loss { what, since }))
            })
        };
        self.losses.send_if_modified(|known| {
            let other = !losses().eq(known.iter().map(|(kind, loss)| (*kind, loss.clone())));
            if other {
                *known = losses().collect();
            }
            other
        });
    }
}
