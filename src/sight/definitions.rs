//! What is known of the definitions that the API server serves.

use std::time::Duration;

use tokio::time::Instant;

use super::Sight;
use super::doubts::LossDoubts;
use super::watches::WatchKind;

/// So long a definition that was mended may not be served everywhere yet.
pub const SETTLES: Duration = Duration::from_secs(10);

/// Which version of a definition was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Its uid.
    pub uid: String,
    /// Moves with its schema.
    pub generation: i64,
}

/// Why a definition doesn't serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// For people, with what mends it.
    pub why: String,
    /// The same without what mends it.
    pub what: String,
    /// Whether objects can be written under it all the same.
    pub lossy: bool,
}

/// One definition, as it is served.
#[derive(Default)]
pub(super) struct Definition {
    /// Compared and found complete; or what is wrong. `None` before it was looked at.
    pub(super) served: Option<Result<Compared, Unfit>>,
    /// Since when it doesn't serve.
    pub(super) unfit_since: Option<Instant>,
    /// What it lacked last, and the version of the store up to which it was complete, or up to which this process can't
    /// know.
    pub(super) lost: Option<(String, u64)>,
    /// When it was seen to be complete again.
    pub(super) returned: Option<Instant>,
    pub(super) doubts: LossDoubts,
}

impl Definition {
    pub(super) fn is_fit(&self) -> bool {
        matches!(self.served, Some(Ok(_))) && self.returned.is_none()
    }
}

impl Sight {
    /// Whether objects of `kind` may be written: what their definition lacks would be lost by that.
    pub fn may_write(&self, kind: WatchKind) -> bool {
        let state = self.state.lock();
        let definition = kind.definition();
        definition
            .and_then(|definition| state.definitions.get(&definition))
            .is_none_or(|definition| definition.served.is_none() || definition.is_fit())
    }

    /// What is wrong with the definitions.
    pub fn unfit(&self) -> Option<String> {
        let state = self.state.lock();
        let all = state.definitions.values();
        let wrong: Vec<&str> = all
            .filter_map(|definition| definition.served.as_ref()?.as_ref().err())
            .map(|unfit| &*unfit.why)
            .collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// How many definitions are not as this version needs them.
    pub fn unfit_definitions(&self) -> usize {
        let state = self.state.lock();
        let all = state.definitions.values();
        all.filter(|definition| !definition.is_fit()).count()
    }

    /// Whether both definitions are there and complete, and were so long enough.
    pub fn is_served(&self) -> bool {
        let state = self.state.lock();
        let mut all = WatchKind::DEFINITIONS.iter();
        all.all(|kind| {
            let definition = state.definitions.get(kind);
            definition.is_some_and(Definition::is_fit)
        })
    }

    /// The versions of both definitions that were compared and found complete.
    pub fn compared(&self, kind: WatchKind) -> Option<Compared> {
        let state = self.state.lock();
        let served = state.definitions.get(&kind)?.served.as_ref()?;
        served.as_ref().ok().cloned()
    }

    /// What a definition is now: complete, or what is wrong with it. Tells whether that is another judgement than before.
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
                // Also where a process before this one saw what it lacked.
                let returns = news || definition.returned.is_some() || definition.lost.is_some();
                definition.returned = returns.then_some(since);
            }
            Err(unfit) => {
                definition.unfit_since.get_or_insert(now);
                definition.returned = None;
                // One that came back for a moment and went again lacks it since the first time.
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

    /// When the definitions that came back are served everywhere.
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

    /// The definitions that came back are served everywhere: all that is listed from here on is as it is.
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
