//! What may go without a person.

use std::time::Duration;

use crate::api::platform::Guard;

/// What one Platform lets go without a person. It holds for all of its application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Bound {
    pub uid: String,
    pub max_deletions: usize,
    pub max_percent: Option<usize>,
    pub window: Duration,
}

impl Bound {
    /// What the spec of the Platform with this uid says.
    pub(in super::super) fn of(uid: &str, guard: &Guard) -> Self {
        Self {
            uid: uid.to_owned(),
            max_deletions: guard.max_deletions(),
            max_percent: guard.max_percent(),
            window: guard.window(),
        }
    }

    /// Whether the spec of the same Platform lets more go than `before`, and nothing fewer. A share of more
    /// objects is no raise.
    pub(super) fn is_raised_from(&self, before: &Self) -> bool {
        let terms = |bound: &Self| {
            let share = bound.max_percent.unwrap_or(usize::MAX);
            [bound.max_deletions, share]
        };
        let mut pairs = terms(self).into_iter().zip(terms(before));
        let none_lower = pairs.all(|(now, then)| now >= then);
        self.uid == before.uid && none_lower && terms(self) != terms(before)
    }

    /// The most deletions in one window, of an application with `population` objects, where `gone` more were sent in
    /// it and are no objects any more.
    pub(super) fn most(&self, population: usize, gone: usize) -> usize {
        // Of few objects a small share is less than one, and that isn't what was written.
        let share = self.max_percent.map(|percent| {
            let share = (population + gone).saturating_mul(percent) / 100;
            share.max(usize::from(percent > 0))
        });
        share.map_or(self.max_deletions, |share| share.min(self.max_deletions))
    }
}
