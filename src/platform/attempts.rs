//! The attempts to write one part of each Platform: when the next attempt may be made, and which attempts were refused.
//! Pure.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::lasting::LastingFailure;
use super::object::PlatformObject;
use crate::api::names::ObjectKey;
use crate::backoff::Backoff;
use crate::writes::{CONFLICT_BOUND, End};

/// Shortest interval between two writes against the same version, also where the echo is late.
const REPEAT: Duration = Duration::from_secs(4);
/// Backoff after writes that failed or were refused.
const PAUSES: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
};

/// The last attempt for each Platform.
#[derive(Default)]
pub(super) struct Attempts(HashMap<ObjectKey, Attempt>);

struct Attempt {
    /// The uid and the version of the object that was written, and the generation and annotation whose change permits
    /// a retry at once.
    uid: String,
    version: String,
    under: (i64, Option<String>),
    at: Instant,
    end: Ended,
    count: u32,
}

enum Ended {
    Taken,
    Conflict(String),
    Refused(String),
    Failed(LastingFailure),
}

impl Attempt {
    /// The message of a refusal, or of a failure that has lasted for 30 s.
    fn words(&self, now: Instant) -> Option<&str> {
        match &self.end {
            Ended::Refused(words) => Some(words),
            Ended::Failed(failing) => failing.lasting(now),
            Ended::Taken | Ended::Conflict(_) => None,
        }
    }
}

impl Attempts {
    /// Returns whether `object` may be written at `now`. A conflict counts as a refusal once the watch has shown no
    /// other version for a while. The message of the conflict is then returned too, but only once.
    pub(super) fn may(&mut self, object: &PlatformObject, now: Instant) -> (bool, Option<String>) {
        let Some(last) = self.0.get_mut(&object.key) else {
            return (true, None);
        };
        let changed = last.uid != object.uid || last.under != under(object);
        let since = now.saturating_duration_since(last.at);
        let same = last.version == object.resource_version;
        match &last.end {
            _ if changed => (true, None),
            Ended::Taken => (!same || since >= REPEAT, None),
            Ended::Conflict(_) if !same => (true, None),
            Ended::Conflict(words) if since >= CONFLICT_BOUND => {
                let words = words.clone();
                (last.end, last.at) = (Ended::Refused(words.clone()), now);
                last.count = last.count.saturating_add(1);
                (false, Some(words))
            }
            Ended::Conflict(_) => (false, None),
            Ended::Refused(_) | Ended::Failed(_) => (since >= PAUSES.after(last.count), None),
        }
    }

    /// Records how a write ended. Returns the message of a new refusal, or of a failure that has now lasted for 30 s.
    pub(super) fn ended(
        &mut self,
        object: &PlatformObject,
        end: &End,
        now: Instant,
    ) -> Option<String> {
        let last = self.0.remove(&object.key);
        let last = last.filter(|last| last.uid == object.uid && last.under == under(object));
        let count = last.as_ref().map_or(0, |last| last.count);
        let known = matches!(
            &last,
            Some(Attempt {
                end: Ended::Refused(_),
                ..
            })
        );
        let same = last
            .as_ref()
            .is_some_and(|last| last.version == object.resource_version);
        let told = last
            .as_ref()
            .is_some_and(|last| last.words(last.at).is_some());
        let failing = last.and_then(|last| match last.end {
            Ended::Failed(failing) => Some(failing),
            Ended::Taken | Ended::Conflict(_) | Ended::Refused(_) => None,
        });
        let (end, count, news) = match end {
            End::Taken(_) => (Ended::Taken, 0, None),
            // The watch shows the end of the object too.
            End::Gone => return None,
            // The same conflict counted as a refusal before, and the version has not changed since.
            End::Conflict(words) if known && same => {
                (Ended::Refused(words.clone()), count.saturating_add(1), None)
            }
            End::Conflict(words) => (Ended::Conflict(words.clone()), count, None),
            End::Refused(words) => {
                let news = (!known).then(|| words.clone());
                (Ended::Refused(words.clone()), count.saturating_add(1), news)
            }
            End::Failed(words) => {
                let failing = LastingFailure::after(failing, words.clone(), now);
                // A failure is reported once, after it has lasted for 30 s.
                let news = failing.lasting(now).filter(|_| !told).map(str::to_owned);
                (Ended::Failed(failing), count.saturating_add(1), news)
            }
        };
        let attempt = Attempt {
            uid: object.uid.clone(),
            version: object.resource_version.clone(),
            under: under(object),
            at: now,
            end,
            count,
        };
        self.0.insert(object.key.clone(), attempt);
        news
    }

    /// Why writes of this Platform are refused or have failed for long.
    pub(super) fn words(&self, key: &ObjectKey, now: Instant) -> Option<&str> {
        self.0.get(key)?.words(now)
    }

    /// Drops the last attempt of a Platform for which nothing has to be written.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.0.remove(key);
    }

    /// Forgets Platforms that are gone.
    pub(super) fn retain(&mut self, known: impl Fn(&ObjectKey) -> bool) {
        self.0.retain(|key, _| known(key));
    }

    /// The Platforms whose writes are refused or have failed for long, each with the message.
    pub(super) fn refused(&self, now: Instant) -> impl Iterator<Item = (&ObjectKey, &str)> {
        let all = self.0.iter();
        all.filter_map(move |(key, last)| Some((key, last.words(now)?)))
    }
}

fn under(object: &PlatformObject) -> (i64, Option<String>) {
    (object.generation, object.requested_at.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::object::tests::{platform, spec};
    use super::*;

    fn at_version(version: &str) -> PlatformObject {
        PlatformObject {
            resource_version: version.to_owned(),
            ..platform(&spec())
        }
    }

    fn words(attempts: &Attempts, now: Instant) -> Vec<&str> {
        attempts.refused(now).map(|(_, words)| words).collect()
    }

    #[test]
    fn a_conflict_waits_for_another_version_and_is_a_refusal_where_none_comes() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut attempts = Attempts::default();
        let conflict = End::Conflict("changed".to_owned());
        assert_eq!(attempts.ended(&at_version("7"), &conflict, begun), None);
        assert_eq!(attempts.may(&at_version("7"), at(4)), (false, None));
        assert_eq!(attempts.may(&at_version("8"), at(4)), (true, None));
        let told = Some("changed".to_owned());
        assert_eq!(attempts.may(&at_version("7"), at(5)), (false, told));
        assert_eq!(words(&attempts, at(5)), ["changed"]);
        assert_eq!(attempts.may(&at_version("7"), at(7)), (true, None));
        // A repeated conflict stays a refusal, with a longer pause and no news.
        assert_eq!(attempts.ended(&at_version("7"), &conflict, at(7)), None);
        assert_eq!(words(&attempts, at(7)), ["changed"]);
        assert_eq!(attempts.may(&at_version("7"), at(10)), (false, None));
        assert_eq!(attempts.may(&at_version("7"), at(11)), (true, None));
    }

    #[test]
    fn a_refusal_is_news_once_and_tried_again_with_growing_pauses_or_after_a_change() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let object = at_version("7");
        let mut attempts = Attempts::default();
        let refused = End::Refused("no".to_owned());
        assert_eq!(
            attempts.ended(&object, &refused, begun),
            Some("no".to_owned())
        );
        assert!(!attempts.may(&object, at(1)).0 && attempts.may(&object, at(2)).0);
        assert_eq!(attempts.ended(&object, &refused, at(2)), None);
        assert!(!attempts.may(&object, at(5)).0 && attempts.may(&object, at(6)).0);
        for _ in 0..20 {
            attempts.ended(&object, &refused, at(9));
        }
        assert!(!attempts.may(&object, at(68)).0 && attempts.may(&object, at(69)).0);
        let changed = PlatformObject {
            generation: object.generation + 1,
            ..object.clone()
        };
        assert!(attempts.may(&changed, at(9)).0);
        attempts.ended(&object, &End::Taken(Value::Null), at(9));
        assert!(words(&attempts, at(9)).is_empty());
    }

    #[test]
    fn what_only_fails_is_told_of_once_it_lasts() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut attempts = Attempts::default();
        for seconds in [0, 20, 29] {
            let end = End::Failed("forbidden".to_owned());
            let news = attempts.ended(&at_version("7"), &end, at(seconds));
            assert_eq!(news, None, "{seconds}");
            assert!(words(&attempts, at(seconds)).is_empty(), "{seconds}");
        }
        assert_eq!(words(&attempts, at(30)), ["forbidden"]);
        for (seconds, told) in [(31, Some("forbidden".to_owned())), (35, None)] {
            let end = End::Failed("forbidden".to_owned());
            let news = attempts.ended(&at_version("7"), &end, at(seconds));
            assert_eq!(news, told, "{seconds}");
        }
    }
}
