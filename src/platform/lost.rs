//! A guard record that can't be read counts as if the whole bound of deletions had been sent now.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::object::PlatformObject;
use crate::api::names::ObjectKey;
use crate::api::platform::{GuardStatus, PlatformStatus, SentDeletions};
use crate::guard::{Guards, Unused};

/// The Platforms whose bound counts as sent and whose application is not known yet, each with its bound.
#[derive(Default)]
pub(super) struct LostBounds(BTreeMap<ObjectKey, i32>);

impl LostBounds {
    /// Adds the whole bound to each status in `objects` whose guard record can't be read.
    pub(super) fn count(objects: &mut [PlatformObject], now: Timestamp) -> Self {
        let mut lost = BTreeMap::new();
        for object in objects {
            if object.beside.unreadable.is_empty() {
                continue;
            }
            let wanted = object.wanted.as_ref().ok();
            let most = wanted.map_or(i32::MAX, |wanted| wanted.spec.guard.max_deletions);
            let status = &mut object.status;
            let guard = status.guard.get_or_insert_default();
            let session = status.session.as_ref();
            let known = guard.application.take();
            guard.application = known.or(session.and_then(|session| session.app_id.clone()));
            if guard.application.is_some() {
                guard.sent.push(all_sent(most, now));
            } else {
                lost.insert(object.key.clone(), most);
            }
        }
        Self(lost)
    }

    /// Counts the bounds of the Platforms whose application is known by now, and drops them from this list.
    pub(super) fn place(&mut self, guards: &Guards, now: Timestamp) {
        self.0.retain(|platform, most| {
            let platform: &ObjectKey = platform;
            let Some(application) = guards.application_of(platform) else {
                return true;
            };
            let status = PlatformStatus {
                guard: Some(GuardStatus {
                    application: Some(application),
                    sent: vec![all_sent(*most, now)],
                    ..GuardStatus::default()
                }),
                ..PlatformStatus::default()
            };
            let told = std::iter::once((platform, "", &status));
            guards.load(told, &Unused::default(), now);
            false
        });
    }
}

fn all_sent(count: i32, now: Timestamp) -> SentDeletions {
    SentDeletions {
        number: 0,
        from: Time(now),
        until: Time(now),
        count,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::super::object::tests::{object, spec};
    use super::*;
    use crate::api::names::AppId;
    use crate::api::platform::Guard;
    use crate::guard::{Asked, Judgement};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn app() -> AppId {
        "app-1".parse().unwrap()
    }

    /// A Platform whose bound is two deletions, with the given status.
    fn platform(mut status: Value) -> PlatformObject {
        let mut spec = spec();
        spec["guard"]["maxDeletions"] = json!(2);
        status["uid"] = json!("uid-p");
        object(&json!({
            "metadata": {"namespace": "iot", "name": "p", "uid": "uid-p"},
            "spec": spec, "status": status,
        }))
    }

    /// The judgement on the first deletion that a process asks for, after it has loaded the given status.
    fn judged(status: Value) -> Judgement {
        let guards = Guards::new(
            mpsc::unbounded_channel().0,
            Arc::default(),
            Box::new(|_, _| 100),
            crate::clock::Clock::default(),
        );
        let mut objects = [platform(status)];
        let mut lost = LostBounds::count(&mut objects, at(0));
        let loaded = objects.iter();
        let loaded = loaded.map(|object| (&object.key, &*object.uid, &object.status));
        guards.load(loaded, &Unused::default(), at(0));
        let guard = Guard {
            max_deletions: 2,
            ..Guard::default()
        };
        guards.set_bound(&objects[0].key, "uid-p", &app(), &guard, at(0));
        lost.place(&guards, at(0));
        assert!(lost.0.is_empty(), "it is counted once");
        let asked = Asked {
            key: ObjectKey::new("fleet", "meter-fw"),
            platform: ObjectKey::new("iot", "p"),
            at: at(1),
            hold: None,
            answered: None,
        };
        guards.judge("uid-1", &app(), asked, at(2))
    }

    #[test]
    fn a_guard_record_that_cannot_be_read_counts_as_the_whole_bound_sent_now() {
        for status in [
            json!({"guard": 7}),
            json!({"guard": {"sent": "all", "application": "app-1"}}),
            json!({"guard": {"sent": [{"count": "two"}]}, "session": {"appId": "app-1"}}),
        ] {
            let judged = judged(status.clone());
            assert!(matches!(judged, Judgement::Held(_)), "{status}: {judged:?}");
        }
    }

    #[test]
    fn a_guard_record_that_can_be_read_counts_as_it_is() {
        for status in [json!({}), json!({"guard": {"application": "app-1"}})] {
            let judged = judged(status.clone());
            assert!(matches!(judged, Judgement::Free(_)), "{status}: {judged:?}");
        }
    }
}
