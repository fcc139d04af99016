//! The finalizer of Platforms: a Platform that is in use stays until its users are gone, or until a person gives it
//! up.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tracing::info;

use super::Users;
use super::attempts::Attempts;
use super::credentials::PlatformWord;
use super::object::PlatformObject;
use crate::api::names::{IN_USE_FINALIZER, ObjectKey, REQUESTED_AT_ANNOTATION};
use crate::api::platform::{Platform, PlatformReason};
use crate::writes::{self, End};

/// An object may have been accepted just before this process learned that its Platform is being deleted. The status
/// that accepts the object may arrive up to this much later. The monotonic clock measures this time, since the deletion
/// timestamp comes from the API server's clock, which may differ.
const ACCEPTANCE_TRAVELS: Duration = Duration::from_secs(2);

/// The change to make to the finalizer of one Platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FinalizerStep {
    /// No change.
    Keep,
    /// Add the finalizer, before the first object needs the Platform.
    Add,
    /// Remove the finalizer: no object needs the Platform, or a person gave the Platform up.
    Remove,
}

/// Decides on the finalizer. `users` is `None` before the first list of objects; `known` is how long this process has
/// known that the Platform is being deleted.
pub(super) fn step(
    object: &PlatformObject,
    users: Option<&Users>,
    known: Duration,
) -> FinalizerStep {
    match (object.deleted_at, object.in_use) {
        (None, false) => FinalizerStep::Add,
        (None, true) | (Some(_), false) => FinalizerStep::Keep,
        (Some(_), true) if object.is_abandoned() => FinalizerStep::Remove,
        (Some(_), true) => {
            let unused = users.is_some_and(|users| users.count == 0);
            if unused && known >= ACCEPTANCE_TRAVELS {
                FinalizerStep::Remove
            } else {
                FinalizerStep::Keep
            }
        }
    }
}

/// The Platforms that are being deleted: the uid of each, and the time at which this process learned of its deletion.
#[derive(Default)]
pub(super) struct Going(HashMap<ObjectKey, (String, Instant)>);

impl Going {
    /// How long this process has known that `object` is being deleted; zero if it is not.
    pub(super) fn known_to_go(&mut self, object: &PlatformObject, now: Instant) -> Duration {
        if object.deleted_at.is_none() {
            return Duration::ZERO;
        }
        let known = self.0.get(&object.key);
        let since = known.filter(|(uid, _)| *uid == object.uid);
        let since = since.map_or(now, |(_, since)| *since);
        self.0
            .insert(object.key.clone(), (object.uid.clone(), since));
        now.saturating_duration_since(since)
    }

    /// Forgets Platforms that are gone.
    pub(super) fn retain(&mut self, known: impl Fn(&ObjectKey) -> bool) {
        self.0.retain(|key, _| known(key));
    }
}

/// The Platforms whose finalizer could not be changed, each with reason and message.
pub(super) fn refusals(attempts: &Attempts, now: Instant) -> HashMap<ObjectKey, PlatformWord> {
    let refused = attempts.refused(now);
    refused
        .map(|(key, words)| (key.clone(), refusal(words)))
        .collect()
}

/// Reason and message for a Platform whose finalizer can't be changed.
pub(super) fn refusal(words: &str) -> PlatformWord {
    let message = format!(
        "The finalizer {IN_USE_FINALIZER} of this Platform can't be changed: {words}. Until it can, no object may rely on this Platform, and if the Platform is being deleted, it stays. Mend the admission policy that refuses the write, or give the operator the right that it lacks. The write is tried again by itself, with growing pauses of up to a minute, and at once when the annotation {REQUESTED_AT_ANNOTATION} gets a new value"
    );
    PlatformWord::new(PlatformReason::FinalizerRefused, message)
}

/// Patches the finalizers, on condition that the object still has the version that was decided on.
pub(super) async fn patch(
    client: &kube::Client,
    object: &PlatformObject,
    step: FinalizerStep,
) -> End {
    let others = object.finalizers.iter().map(String::as_str);
    let others = others.filter(|other| *other != IN_USE_FINALIZER);
    let ours = (step == FinalizerStep::Add).then_some(IN_USE_FINALIZER);
    let list: Vec<&str> = others.chain(ours).collect();
    let target = object.target();
    let end = writes::finalizers::<Platform>(client, &target, &list, IN_USE_FINALIZER).await;
    if step == FinalizerStep::Remove && matches!(end, End::Taken(_)) {
        info!(platform = %object.key, "the finalizer of the Platform was removed: no object needs the Platform any more");
    }
    end
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::object::tests::{object, spec};
    use super::*;

    fn platform(deleted: bool, in_use: bool, abandon: Option<&str>) -> PlatformObject {
        let mut whole = json!({
            "metadata": {"namespace": "iot", "name": "p", "uid": "uid-1", "finalizers": ["other/one"]},
            "spec": spec(),
        });
        if in_use {
            whole["metadata"]["finalizers"] = json!(["other/one", IN_USE_FINALIZER]);
        }
        if deleted {
            whole["metadata"]["deletionTimestamp"] = json!("2026-11-23T12:00:00Z");
        }
        if let Some(uid) = abandon {
            whole["metadata"]["annotations"] = json!({"iodm.dev/abandon": uid});
        }
        object(&whole)
    }

    fn users(count: usize) -> Users {
        Users {
            count,
            some: Vec::new(),
        }
    }

    fn later(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_platform_gets_the_finalizer_before_anybody_uses_it() {
        assert_eq!(
            step(&platform(false, false, None), None, later(0)),
            FinalizerStep::Add
        );
        assert_eq!(
            step(&platform(false, true, None), Some(&users(0)), later(9)),
            FinalizerStep::Keep
        );
    }

    #[test]
    fn it_goes_once_its_users_are_known_to_be_gone() {
        let going = platform(true, true, None);
        assert_eq!(step(&going, None, later(9)), FinalizerStep::Keep);
        assert_eq!(step(&going, Some(&users(1)), later(9)), FinalizerStep::Keep);
        assert_eq!(step(&going, Some(&users(0)), later(1)), FinalizerStep::Keep);
        assert_eq!(
            step(&going, Some(&users(0)), later(2)),
            FinalizerStep::Remove
        );
    }

    #[test]
    fn how_long_it_goes_is_told_by_the_steady_clock_whatever_the_api_server_says() {
        let begun = Instant::now();
        let mut platforms = Going::default();
        let mut going = platform(true, true, None);
        for deleted in ["2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
            going.deleted_at = deleted.parse().ok();
            going.uid = deleted.to_owned();
            for seconds in [0, 1, 2] {
                let known = platforms.known_to_go(&going, begun + later(seconds));
                assert_eq!(known, later(seconds), "{deleted}");
            }
        }
        platforms.retain(|_| false);
        assert_eq!(platforms.known_to_go(&going, begun + later(9)), later(0));
        let alive = platform(false, true, None);
        assert_eq!(platforms.known_to_go(&alive, begun), later(0));
    }

    #[test]
    fn it_goes_before_its_users_only_when_a_person_names_its_uid() {
        let with = |uid| step(&platform(true, true, Some(uid)), Some(&users(7)), later(0));
        assert_eq!(with("uid-1"), FinalizerStep::Remove);
        assert_eq!(
            with("uid-2"),
            FinalizerStep::Keep,
            "that was an earlier Platform of this name"
        );
        let alive = platform(false, true, Some("uid-1"));
        assert_eq!(step(&alive, Some(&users(7)), later(0)), FinalizerStep::Keep);
    }
}
