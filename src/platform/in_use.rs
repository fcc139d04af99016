//! The finalizer of Platforms: one that is in use stays until its users are gone, or a person gives it up.

use std::collections::HashMap;
use std::time::Duration;

use kube::api::{Api, ApiResource, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::Users;
use super::credentials::Refusal;
use super::failing::Failing;
use super::object::Object;
use crate::api::names::{FIELD_MANAGER, IN_USE_FINALIZER, ObjectKey};
use crate::api::platform::{Platform, PlatformReason};
use crate::follow::words;
use crate::raw::Raw;

/// How long one patch may take.
const PATCH_TIMEOUT: Duration = Duration::from_secs(10);
/// The same version isn't patched again sooner.
const REPEAT: Duration = Duration::from_secs(4);
/// An object may have been accepted a moment before its Platform was seen to be deleted: so long its status may be on
/// its way. It's told by the steady clock: that of the API server, which says when it was deleted, may be another one.
const ACCEPTANCE_TRAVELS: Duration = Duration::from_secs(2);

/// What is to be done with the finalizer of one Platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Keep,
    /// Put it on, before the first object needs it.
    Add,
    /// Take it off: nobody needs the Platform, or a person gave it up.
    Remove,
}

/// Decides on the finalizer. `users` are unknown before a first list of the objects; `known` is how long this process
/// has known that the Platform is being deleted.
pub(super) fn step(object: &Object, users: Option<&Users>, known: Duration) -> Step {
    match (object.deleted_at, object.in_use) {
        (None, false) => Step::Add,
        (None, true) | (Some(_), false) => Step::Keep,
        (Some(_), true) if object.is_abandoned() => Step::Remove,
        (Some(_), true) => {
            let unused = users.is_some_and(|users| users.count == 0);
            if unused && known >= ACCEPTANCE_TRAVELS {
                Step::Remove
            } else {
                Step::Keep
            }
        }
    }
}

/// Carries steps out, each version of a Platform once in a while.
#[derive(Default)]
pub(super) struct Finalizers {
    tried: HashMap<ObjectKey, (String, Instant)>,
    /// The Platforms that are being deleted, by uid, and since when that is known.
    going: HashMap<ObjectKey, (String, Instant)>,
    failing: HashMap<ObjectKey, Failing>,
}

impl Finalizers {
    /// Whether this version was patched just now.
    pub(super) fn is_tried(&mut self, object: &Object, now: Instant) -> bool {
        let last = self.tried.get(&object.key);
        let again = last.is_some_and(|(version, at)| {
            *version == object.resource_version && now.saturating_duration_since(*at) < REPEAT
        });
        if !again {
            let version = object.resource_version.clone();
            self.tried.insert(object.key.clone(), (version, now));
        }
        again
    }

    /// How long it has been known that `object` is being deleted.
    pub(super) fn known_to_go(&mut self, object: &Object, now: Instant) -> Duration {
        if object.deleted_at.is_none() {
            return Duration::ZERO;
        }
        let known = self.going.get(&object.key);
        let since = known.filter(|(uid, _)| *uid == object.uid);
        let since = since.map_or(now, |(_, since)| *since);
        self.going
            .insert(object.key.clone(), (object.uid.clone(), since));
        now.saturating_duration_since(since)
    }

    /// Forgets Platforms that are gone.
    pub(super) fn retain(&mut self, known: impl Fn(&ObjectKey) -> bool) {
        self.tried.retain(|key, _| known(key));
        self.going.retain(|key, _| known(key));
        self.failing.retain(|key, _| known(key));
    }

    /// Nothing is to be done (any more).
    pub(super) fn kept(&mut self, key: &ObjectKey) {
        self.failing.remove(key);
    }

    /// A step ended like this.
    pub(super) fn ended(&mut self, key: ObjectKey, result: Result<(), String>, now: Instant) {
        match result {
            Ok(()) => drop(self.failing.remove(&key)),
            Err(error) => {
                let failing = Failing::after(self.failing.remove(&key), error, now);
                self.failing.insert(key, failing);
            }
        }
    }

    /// The Platforms whose finalizer could not be changed for long, and what to say of each.
    pub(super) fn refused(&self, now: Instant) -> HashMap<ObjectKey, Refusal> {
        let refusal = |error: &str| {
            let message = format!(
                "The finalizer {IN_USE_FINALIZER} can't be changed, and without it no object may rely on this Platform: {error}"
            );
            Refusal::new(PlatformReason::FinalizerRefused, message)
        };
        self.failing
            .iter()
            .filter_map(|(key, failing)| Some((key.clone(), refusal(failing.lasting(now)?))))
            .collect()
    }
}

/// Changes the finalizers of the version that was looked at, and of no other.
///
/// # Errors
/// When that was refused or not answered, in words for people.
pub(super) async fn patch(
    client: &kube::Client,
    object: &Object,
    step: Step,
) -> Result<(), String> {
    let finalizers: Vec<&str> = match step {
        Step::Keep => return Ok(()),
        Step::Add => {
            let others = object.finalizers.iter().map(String::as_str);
            others.chain([IN_USE_FINALIZER]).collect()
        }
        Step::Remove => {
            let all = object.finalizers.iter().map(String::as_str);
            all.filter(|other| *other != IN_USE_FINALIZER).collect()
        }
    };
    let key = &object.key;
    let kind = ApiResource::erase::<Platform>(&());
    let api: Api<Raw> = Api::namespaced_with(client.clone(), &key.namespace, &kind);
    let body = json!([
        {"op": "test", "path": "/metadata/uid", "value": object.uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": object.resource_version},
        {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
    ]);
    let body = serde_json::from_value(body).map_err(|error| error.to_string())?;
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::<Value>::Json(body);
    match timeout(PATCH_TIMEOUT, api.patch(&key.name, &params, &patch)).await {
        Ok(Ok(_)) => {
            if step == Step::Remove {
                info!(platform = %key, "let go: nobody needs it any more");
            }
            Ok(())
        }
        // Changed or gone since it was looked at: the watch shows how.
        Ok(Err(kube::Error::Api(answer))) if matches!(answer.code, 404 | 409 | 422) => Ok(()),
        Ok(Err(error)) => {
            warn!(platform = %key, %error, "the finalizer can't be changed");
            Err(words(&error))
        }
        Err(_) => {
            warn!(platform = %key, "the finalizer can't be changed: no answer in time");
            Err("no answer in time".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::object::tests::{object, spec};
    use super::*;

    fn platform(deleted: bool, in_use: bool, abandon: Option<&str>) -> Object {
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
            Step::Add
        );
        assert_eq!(
            step(&platform(false, true, None), Some(&users(0)), later(9)),
            Step::Keep
        );
    }

    #[test]
    fn a_finalizer_that_cannot_be_changed_for_long_is_told_of_until_it_can() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let key = ObjectKey::new("iot", "p");
        let mut finalizers = Finalizers::default();
        for seconds in [0, 20, 29] {
            finalizers.ended(key.clone(), Err("forbidden".to_owned()), at(seconds));
            assert!(finalizers.refused(at(seconds)).is_empty(), "{seconds}");
        }
        let refused = finalizers.refused(at(30));
        assert!(refused[&key].message.ends_with(": forbidden"));
        finalizers.ended(key, Ok(()), at(31));
        assert!(finalizers.refused(at(99)).is_empty());
    }

    #[test]
    fn it_goes_once_its_users_are_known_to_be_gone() {
        let going = platform(true, true, None);
        assert_eq!(step(&going, None, later(9)), Step::Keep);
        assert_eq!(step(&going, Some(&users(1)), later(9)), Step::Keep);
        assert_eq!(step(&going, Some(&users(0)), later(1)), Step::Keep);
        assert_eq!(step(&going, Some(&users(0)), later(2)), Step::Remove);
    }

    #[test]
    fn how_long_it_goes_is_told_by_the_steady_clock_whatever_the_api_server_says() {
        let begun = Instant::now();
        let mut finalizers = Finalizers::default();
        let mut going = platform(true, true, None);
        for deleted in ["2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
            going.deleted_at = deleted.parse().ok();
            going.uid = deleted.to_owned();
            for seconds in [0, 1, 2] {
                let known = finalizers.known_to_go(&going, begun + later(seconds));
                assert_eq!(known, later(seconds), "{deleted}");
            }
        }
        finalizers.retain(|_| false);
        assert_eq!(finalizers.known_to_go(&going, begun + later(9)), later(0));
        let alive = platform(false, true, None);
        assert_eq!(finalizers.known_to_go(&alive, begun), later(0));
    }

    #[test]
    fn it_goes_before_its_users_only_when_a_person_names_its_uid() {
        let with = |uid| step(&platform(true, true, Some(uid)), Some(&users(7)), later(0));
        assert_eq!(with("uid-1"), Step::Remove);
        assert_eq!(
            with("uid-2"),
            Step::Keep,
            "that was an earlier Platform of this name"
        );
        let alive = platform(false, true, Some("uid-1"));
        assert_eq!(step(&alive, Some(&users(7)), later(0)), Step::Keep);
    }
}
