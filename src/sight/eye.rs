//! What one watch tells of itself.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Listener, Sight, Subject};

/// The part of one watch.
pub struct Eye {
    sight: Arc<Sight>,
    subject: Subject,
    anew: Listener,
    /// The round that its list is of.
    round: u64,
}

impl Eye {
    pub(super) fn new(sight: Arc<Sight>, subject: Subject) -> Self {
        let mut anew = sight.rounds();
        let round = anew.catch_up();
        Self {
            sight,
            subject,
            anew,
            round,
        }
    }

    /// Waits until everything has to be listed anew.
    pub fn anew(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut anew = self.anew.clone();
        async move { anew.changed().await }
    }

    /// A list begins that shows everything up to now.
    pub fn begins(&mut self) {
        self.round = self.anew.catch_up();
    }

    /// Its first item comes next.
    pub fn lists(&self) {
        let mut state = self.sight.state.lock();
        let definition = self.subject.definition();
        if let Some(definition) = definition.and_then(|kind| state.definitions.get_mut(&kind)) {
            definition.doubts.list_begins();
        }
    }

    /// Its list is complete, and taken in.
    pub fn listed(&self) {
        let round = self.round;
        let mut state = self.sight.state.lock();
        let definition = self.subject.definition();
        if let Some(definition) = definition.and_then(|kind| state.definitions.get_mut(&kind)) {
            let current = round == self.sight.round.count();
            definition.doubts.list_ends(current);
        }
        self.sight.note_losses(&state);
        drop(state);
        self.sight.with(&self.subject, |watch| {
            let news = watch.listed != Some(round) || watch.blind;
            watch.listed = Some(round);
            watch.blind = false;
            news
        });
    }

    /// The API server answers it.
    pub fn works(&self) {
        self.sight.with(&self.subject, |watch| {
            watch.failing = None;
            false
        });
    }

    /// It has come so far.
    pub fn at(&self, version: u64) {
        self.sight.with(&self.subject, |watch| {
            watch.newest = watch.newest.max(version);
            false
        });
    }

    /// Its list shows everything up to `version`. Before the first list is taken in, nothing is known of what came before.
    pub fn lists_until(&self, version: u64) {
        self.sight.with(&self.subject, |watch| {
            if watch.listed.is_none() {
                watch.newest = version;
            }
            false
        });
    }

    /// Something may have been missed.
    pub fn blind(&self) {
        self.sight.with(&self.subject, |watch| {
            watch.blind = true;
            true
        });
    }

    /// It failed once more.
    pub fn fails(&self, words: String) {
        self.sight.with(&self.subject, |watch| {
            let since = watch.failing.take();
            let since = since.map_or_else(Instant::now, |(since, _)| since);
            watch.failing = Some((since, words));
            false
        });
    }

    /// A list shows an older version than was seen before: the store went back in time.
    pub fn went_back(&self, newest: u64, seen: u64) {
        let of = self.subject.name();
        let why = format!("version {newest} of {of} was seen before, and now there is {seen}");
        self.sight.begin_anew(&why, Instant::now());
    }
}

impl Drop for Eye {
    /// Nobody watches the Secret any more.
    fn drop(&mut self) {
        if let Subject::Secret(secret) = &self.subject {
            self.sight.state.lock().secrets.remove(secret);
        }
    }
}
