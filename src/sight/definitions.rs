//! The state of the `CustomResourceDefinition`s that the API server serves.

use std::time::Duration;

use tokio::time::Instant;

use super::Sight;
use super::doubts::LossDoubts;
use super::watches::WatchKind;

/// How long it may take until every API server serves a repaired definition.
pub const SETTLES: Duration = Duration::from_secs(10);

/// The version of a definition that was compared with this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The uid of the definition.
    pub uid: String,
    /// The generation of the definition, which changes with its schema.
    pub generation: i64,
}

/// The reason why a definition can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The reason for people, with advice how to correct it.
    pub why: String,
    /// The reason without the advice.
    pub what: String,
    /// Whether objects can still be written under the definition, so that their fields may be lost.
    pub lossy: bool,
}

/// The state of one definition.
#[derive(Default)]
pub(super) struct Definition {
    /// The compared version of a complete definition, or why the definition can't be used; `None` before the first
    /// comparison.
    pub(super) served: Option<Result<Compared, Unfit>>,
    /// When the definition became unusable.
    pub(super) unfit_since: Option<Instant>,
    /// The fields that the definition lacked last, and a resource version. Up to that version the definition was
    /// complete, or this process can't know whether it was complete.
    pub(super) lost: Option<(String, u64)>,
    /// When the definition became complete again.
    pub(super) returned: Option<Instant>,
    pub(super) doubts: LossDoubts,
}

impl Definition {
    pub(super) fn is_fit(&self) -> bool {
        matches!(self.served, Some(Ok(_))) && self.returned.is_none()
    }
}

impl Sight {
    /// Whether objects of `kind` may be written: a write under an incomplete definition would drop the fields that
    /// the definition lacks.
    pub fn may_write(&self, kind: WatchKind) -> bool {
        let state = self.state.lock();
        let definition = kind.definition();
        definition
            .and_then(|definition| state.definitions.get(&definition))
            .is_none_or(|definition| definition.served.is_none() || definition.is_fit())
    }

    /// The reasons why definitions can't be used, for people; `None` if both can be used.
    pub fn unfit(&self) -> Option<String> {
        let state = self.state.lock();
        let all = state.definitions.values();
        let wrong: Vec<&str> = all
            .filter_map(|definition| definition.served.as_ref()?.as_ref().err())
            .map(|unfit| &*unfit.why)
            .collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// The number of known definitions that can't be used at present.
    pub fn unfit_definitions(&self) -> usize {
        let state = self.state.lock();
        let all = state.definitions.values();
        all.filter(|definition| !definition.is_fit()).count()
    }

    /// Whether both definitions are served, are complete, and have been so for long enough.
    pub fn is_served(&self) -> bool {
        let state = self.state.lock();
        let mut all = WatchKind::DEFINITIONS.iter();
        all.all(|kind| {
            let definition = state.definitions.get(kind);
            definition.is_some_and(Definition::is_fit)
        })
    }

    /// The version of the definition `kind` that was compared and found complete; `None` if there is no such version.
    pub fn compared(&self, kind: WatchKind) -> Option<Compared> {
        let state = self.state.lock();
        let served = state.definitions.get(&kind)?.served.as_ref()?;
        served.as_ref().ok().cloned()
    }

    /// Records the result of a comparison of a definition: the compared version, or why it can't be used. Returns
    /// whether the result differs from the last one.
    pub fn define(&self, kind: WatchKind, served: Result<Compared, Unfit>, now: Instant) -> bool {
        let mut state = self.state.lock();
        let newest = state.watches.get(&kind).map_or(0, |watch| watch.newest);
        let definition = state.definitions.entry(kind).or_default();
        let news = match (&definition.served, &served) {
            (Some(Err(before)), Err(unfit)) => before != unfit,
            (Some(Ok(_)) | None, Err(_)) | (Some(Err(_)), Ok(_)) => true,
            (Some(Ok(_)) | None, Ok(_)) => false,
        };
        match &served {
            Ok(_) => {
                definition.unfit_since = None;
                let since = definition.returned.filter(|_| !news).unwrap_or(now);
                // A loss that an earlier process recorded counts too.
                let returns = news || definition.returned.is_some() || definition.lost.is_some();
                definition.returned = returns.then_some(since);
            }
            Err(unfit) => {
                definition.unfit_since.get_or_insert(now);
                definition.returned = None;
                // If the definition was complete only for a moment between two losses, they count as one loss, which
                // started with the first.
                if unfit.lossy && definition.lost.is_none() {
                    definition.lost = Some((unfit.what.clone(), newest));
                }
            }
        }
        definition.served = Some(served);
        self.note_losses(&state);
        drop(state);
        self.tell();
        news
    }

    /// When the repaired definitions will be served everywhere; `None` if no definition was repaired, or if a
    /// definition can't be used.
    pub fn settles(&self) -> Option<Instant> {
        let state = self.state.lock();
        let mut all = state.definitions.values();
        if all.any(|definition| matches!(definition.served, Some(Err(_)))) {
            return None;
        }
        let all = state.definitions.values();
        let returned = all.filter_map(|definition| definition.returned).max();
        returned.map(|returned| returned + SETTLES)
    }

    /// Records that the repaired definitions are served everywhere, and starts a new round: the lists from now on
    /// show the objects as they are stored.
    pub fn settled(&self, now: Instant) {
        let mut state = self.state.lock();
        for definition in state.definitions.values_mut() {
            definition.returned = None;
            if let Some((what, since)) = definition.lost.take() {
                definition.doubts.begin(what, since);
            }
        }
        self.next_round(&mut state, now);
        self.note_losses(&state);
        drop(state);
        self.tell();
    }
}
