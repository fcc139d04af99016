//! The bound of one Platform: how many deletions may be sent without a person's release.

use std::time::Duration;

use crate::api::platform::Guard;

/// The bound of one Platform; it applies to all Platforms that count together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Bound {
    pub uid: String,
    pub max_deletions: usize,
    pub max_percent: Option<usize>,
    pub window: Duration,
}

impl Bound {
    /// Returns the bound in the spec of the Platform with this uid.
    pub(in super::super) fn of(uid: &str, guard: &Guard) -> Self {
        Self {
            uid: uid.to_owned(),
            max_deletions: guard.max_deletions(),
            max_percent: guard.max_percent(),
            window: guard.window(),
        }
    }

    /// Whether this bound is a raise of `before`: the Platform is the same, no field is lower, and at least one field
    /// is higher. A larger population doesn't raise a bound in percent.
    pub(super) fn is_raised_from(&self, before: &Self) -> bool {
        let terms = |bound: &Self| {
            let share = bound.max_percent.unwrap_or(usize::MAX);
            [bound.max_deletions, share]
        };
        let mut pairs = terms(self).into_iter().zip(terms(before));
        let none_lower = pairs.all(|(now, then)| now >= then);
        self.uid == before.uid && none_lower && terms(self) != terms(before)
    }

    /// Returns the most deletions in one window for an application with `population` objects; `gone` is the number of
    /// objects that were deleted within the window and no longer exist.
    pub(super) fn most(&self, population: usize, gone: usize) -> usize {
        // A small percentage of few objects would be less than one deletion. The spec then means one deletion.
        let share = self.max_percent.map(|percent| {
            let share = (population + gone).saturating_mul(percent) / 100;
            share.max(usize::from(percent > 0))
        });
        share.map_or(self.max_deletions, |share| share.min(self.max_deletions))
    }
}
