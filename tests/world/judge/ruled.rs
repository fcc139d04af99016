//! The specs of the Platforms over time, as the API server stored them. A restored store isn't considered.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use super::{History, WINDOW};
use crate::stage::{IOT, NAMES, application};

impl History<'_> {
    /// The shortest grace period of a Platform at any moment of the period.
    pub fn shortest_grace(&self, platform: &str, time: &RangeInclusive<Duration>) -> Duration {
        let grace = |spec: &Value| duration(&spec["guard"]["gracePeriod"]);
        let all = self.said_by(platform, time, grace).into_iter();
        all.min().unwrap_or(self.meant.grace)
    }

    /// The highest limit of deletions of an application in a window of the guard, at any moment of the period.
    pub fn largest_bound(&self, of: &str, time: &RangeInclusive<Duration>) -> usize {
        let bound = |spec: &Value| number(&spec["guard"]["maxDeletions"]);
        self.largest(of, time, bound).unwrap_or(self.meant.bound)
    }

    /// The highest limit of calls of an application in a window, at any moment of the period.
    pub fn largest_quota(&self, of: &str, time: &RangeInclusive<Duration>) -> usize {
        let quota = |spec: &Value| {
            let window = duration(&spec["quota"]["window"]);
            let calls = number(&spec["quota"]["calls"]);
            calls.filter(|_| window == Some(WINDOW))
        };
        self.largest(of, time, quota).unwrap_or(self.meant.quota)
    }

    /// The largest number among all Platforms of an application: which of them count depends on their credentials.
    fn largest(
        &self,
        of: &str,
        time: &RangeInclusive<Duration>,
        read: impl Fn(&Value) -> Option<usize>,
    ) -> Option<usize> {
        let platforms = NAMES.into_iter().filter(|name| application(name) == of);
        let all = platforms.flat_map(|name| self.said_by(name, time, &read));
        all.max()
    }

    /// All values that a Platform had in the period, including the one at its start.
    fn said_by<T>(
        &self,
        platform: &str,
        time: &RangeInclusive<Duration>,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Vec<T> {
        let mut said = Vec::new();
        for (at, kept) in self.kept("platforms") {
            if at > *time.end() {
                break;
            }
            if kept.key.namespace == IOT && kept.key.name == platform {
                if at <= *time.start() {
                    said.clear();
                }
                let after = kept.after.as_ref();
                said.extend(after.and_then(|object| read(&object["spec"])));
            }
        }
        said
    }
}

fn duration(value: &Value) -> Option<Duration> {
    let duration: SignedDuration = value.as_str()?.parse().ok()?;
    Some(duration.unsigned_abs())
}

fn number(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}
