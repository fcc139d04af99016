//! Reports the state of one watch to the [`Sight`].

use std::sync::Arc;

use tokio::time::Instant;

use super::{Listener, Sight, Subject};

/// The reporter of one watch.
pub struct Eye {
    sight: Arc<Sight>,
    subject: Subject,
    anew: Listener,
    /// The round that the watch's present list belongs to.
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

    /// Waits until a new round begins, that is, until everything has to be listed again.
    pub fn anew(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut anew = self.anew.clone();
        async move { anew.changed().await }
    }

    /// Reports that a list of the present round begins.
    pub fn begins(&mut self) {
        self.round = self.anew.catch_up();
    }

    /// Reports that the first item of the list comes next.
    pub fn lists(&self) {
        let mut state = self.sight.state.lock();
        let definition = self.subject.definition();
        if let Some(definition) = definition.and_then(|kind| state.definitions.get_mut(&kind)) {
            definition.doubts.list_begins();
        }
    }

    /// Reports that the list is complete and was taken in.
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

    /// Reports that the API server answers the watch.
    pub fn works(&self) {
        self.sight.with(&self.subject, |watch| {
            watch.failing = None;
            false
        });
    }

    /// Reports the resource version that the watch has reached.
    pub fn at(&self, version: u64) {
        self.sight.with(&self.subject, |watch| {
            watch.newest = watch.newest.max(version);
            false
        });
    }

    /// Reports the resource version of a list. Before the first list is taken in, this version replaces the newest
    /// known one, since nothing is known of earlier changes.
    pub fn lists_until(&self, version: u64) {
        self.sight.with(&self.subject, |watch| {
            if watch.listed.is_none() {
                watch.newest = version;
            }
            false
        });
    }

    /// Reports that the watch may have missed changes.
    pub fn blind(&self) {
        self.sight.with(&self.subject, |watch| {
            watch.blind = true;
            true
        });
    }

    /// Reports a failure.
    pub fn fails(&self, words: String) {
        self.sight.with(&self.subject, |watch| {
            let since = watch.failing.take();
            let since = since.map_or_else(Instant::now, |(since, _)| since);
            watch.failing = Some((since, words));
            false
        });
    }

    /// Reports that a list has an older version than one seen before: the store went back in time.
    pub fn went_back(&self, newest: u64, seen: u64) {
        let of = self.subject.name();
        let why = format!(
            "the API server went back in time: version {newest} of {of} was seen before, and now it shows the older version {seen}"
        );
        self.sight.begin_anew(&why, Instant::now());
    }
}

impl Drop for Eye {
    /// Removes the state of a Secret that is no longer watched.
    fn drop(&mut self) {
        if let Subject::Secret(secret) = &self.subject {
            self.sight.state.lock().secrets.remove(secret);
        }
    }
}
