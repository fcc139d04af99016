//! The last status written to each Platform: an equal status is repeated with growing pauses. Pure.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::api::names::ObjectKey;
use crate::api::platform::PlatformStatus;
use crate::backoff::Backoff;

/// Pauses before an equal status is written again: the echo may be late, or another writer may change the same
/// fields. The pauses double, since an admission policy may let the write pass one day.
const REPEATS: Backoff = Backoff {
    first: Duration::from_secs(4),
    longest: Duration::from_secs(300),
};

/// The last status write of each Platform.
#[derive(Default)]
pub(super) struct Repeats(HashMap<ObjectKey, Last>);

struct Last {
    /// The written status, without the times of its conditions.
    status: PlatformStatus,
    at: Instant,
    /// How many times this status was repeated, each time soon after the last pause.
    again: u32,
}

impl Last {
    fn pause(&self) -> Duration {
        REPEATS.after(self.again)
    }
}

/// `status` without the times of its conditions: another writer may set a condition back each time.
fn timeless(status: &PlatformStatus) -> PlatformStatus {
    let mut status = status.clone();
    for condition in &mut status.conditions {
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    status
}

impl Repeats {
    /// The time since the last status write of this Platform.
    pub(super) fn since(&self, key: &ObjectKey, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.0.get(key)?.at))
    }

    /// Whether the pause after an equal status of this Platform is not over yet.
    pub(super) fn bars(&self, key: &ObjectKey, status: &PlatformStatus, now: Instant) -> bool {
        let status = timeless(status);
        let last = self.0.get(key).filter(|last| last.status == status);
        last.is_some_and(|last| now.saturating_duration_since(last.at) < last.pause())
    }

    /// Records that `status` is being written.
    pub(super) fn begins(&mut self, key: &ObjectKey, status: &PlatformStatus, now: Instant) {
        let status = timeless(status);
        let last = self.0.get(key).filter(|last| last.status == status);
        // A status that is set back only now and then is corrected at once, without growing pauses.
        let soon = last.filter(|last| now.saturating_duration_since(last.at) < 2 * last.pause());
        let again = soon.map_or(0, |last| last.again.saturating_add(1));
        let last = Last {
            status,
            at: now,
            again,
        };
        self.0.insert(key.clone(), last);
    }

    /// Drops the last write of a Platform, since nothing of it was stored or the Platform is gone.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.0.remove(key);
    }

    /// Drops Platforms that are gone.
    pub(super) fn retain(&mut self, known: impl Fn(&ObjectKey) -> bool) {
        self.0.retain(|key, _| known(key));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

    use super::*;

    #[test]
    fn the_same_status_is_written_again_ever_more_rarely_and_another_one_at_once() {
        let begun = Instant::now();
        let key = ObjectKey::new("fleet", "production");
        let (status, other) = (
            PlatformStatus::default(),
            PlatformStatus {
                observed_generation: Some(7),
                ..PlatformStatus::default()
            },
        );
        let at = |second: u64| PlatformStatus {
            conditions: vec![Condition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                reason: "Available".to_owned(),
                message: String::new(),
                observed_generation: None,
                last_transition_time: Time(Timestamp::UNIX_EPOCH + Duration::from_secs(second)),
            }],
            ..PlatformStatus::default()
        };
        let mut repeats = Repeats::default();
        let mut now = begun;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert!(!repeats.bars(&key, &status, now));
            repeats.begins(&key, &status, now);
            assert!(!repeats.bars(&key, &other, now));
            let seconds = (1..=300).find(|seconds| {
                let then = now + Duration::from_secs(*seconds);
                !repeats.bars(&key, &status, then)
            });
            pauses.push(seconds.unwrap());
            now += Duration::from_secs(seconds.unwrap());
        }
        assert_eq!(pauses, [4, 8, 16, 32, 64, 128, 256, 300, 300]);
        // A repetition after a long time starts with the first pause again.
        now += Duration::from_secs(700);
        repeats.begins(&key, &status, now);
        assert!(!repeats.bars(&key, &status, now + REPEATS.first));
        repeats.begins(&key, &other, now);
        assert_eq!(repeats.since(&key, now), Some(Duration::ZERO));
        repeats.forget(&key);
        assert!(!repeats.bars(&key, &other, now));
        // Another writer sets a condition back each time.
        repeats.begins(&key, &at(1), now);
        assert!(repeats.bars(&key, &at(2), now) && !repeats.bars(&key, &status, now));
    }
}
