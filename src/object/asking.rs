//! Tells whether an object asks for the deletion of its package, and since when, regardless of what holds the deletion.

use k8s_openapi::jiff::Timestamp;

use crate::guard::Asked;
use crate::object::Object;

/// The deletion that `object` asks for; `None` where it asks for none. Claims of other objects aren't considered.
pub fn asking(object: &Object, now: Timestamp) -> Option<Asked> {
    let going = object.deleted_at.is_some();
    let wanted = if going {
        !object.is_retained()
    } else {
        object.is_retired(now)
    };
    let deletion = object.status.deletion.as_ref();
    let ended = deletion.is_some_and(|deletion| deletion.outcome.is_some());
    if !wanted || ended || object.spec.is_err() || !object.has_finalizer() {
        return None;
    }
    let platform = object.platform()?;
    let at = asked_at(object, now);
    // A hold or its release applies to one request only, and not to a later request that is made after the first was
    // called off.
    let same = deletion.filter(|d| d.is_of(object.deleted_at, object.is_retired(now)));
    let hold = same.and_then(|deletion| deletion.hold.as_deref());
    let attempted = deletion.filter(|deletion| deletion.is_attempted());
    Some(Asked {
        key: object.key.clone(),
        platform,
        at,
        hold: hold.map(Into::into),
        answered: attempted
            .and_then(|deletion| deletion.last_error.as_ref())
            .map(|error| error.time.0),
    })
}

/// When the deletion was requested: the deletionTimestamp, or for a retired object the time at which it was first seen
/// retired, in whole seconds as the API stores it. A deleted object keeps the earlier of both times only while it is
/// retired. The time orders deletions and is shown to people; grace periods start when this process first sees the
/// request.
pub fn asked_at(object: &Object, now: Timestamp) -> Timestamp {
    let stored = object
        .status
        .deletion
        .as_ref()
        .and_then(|deletion| deletion.requested_at.as_ref());
    match (object.deleted_at, stored.map(|time| time.0)) {
        (Some(deleted), Some(stored)) if object.is_retired(now) => stored.min(deleted),
        (Some(deleted), _) => deleted,
        (None, Some(stored)) => stored,
        (None, None) => Timestamp::from_second(now.as_second()).unwrap_or(now),
    }
}

/// Whether an object that asks for nothing at `now` starts to ask without a further change, when the time
/// `spec.retireAfter` comes.
pub fn may_ask_later(object: &Object, now: Timestamp) -> bool {
    let scheduled = object
        .spec
        .as_ref()
        .is_ok_and(|spec| spec.retire_after.is_some());
    scheduled && object.deleted_at.is_none() && !object.is_retired(now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::outcome::Outcome;
    use crate::api::version_package::{Deletion, DeletionPolicy, LastError};
    use crate::package::fixtures::{accepted, deleted, now, retired};

    #[test]
    fn an_object_asks_while_it_is_deleted_or_retired_and_its_package_exists() {
        assert!(asking(&accepted("a", "app-1"), now()).is_none());
        assert!(asking(&deleted(accepted("a", "app-1")), now()).is_some());
        assert!(asking(&retired(accepted("a", "app-1")), now()).is_some());
        let mut ended = retired(accepted("a", "app-1"));
        ended.status.deletion = Some(Deletion {
            outcome: Some(Outcome::Deleted),
            ..Deletion::default()
        });
        assert!(asking(&ended, now()).is_none());
    }

    #[test]
    fn a_deleted_object_with_retain_asks_for_nothing_but_a_retired_one_asks() {
        let retained = |mut object: Object| {
            object.spec.as_mut().unwrap().deletion_policy = DeletionPolicy::Retain;
            object
        };
        assert!(asking(&retained(deleted(accepted("a", "app-1"))), now()).is_none());
        assert!(asking(&retained(retired(accepted("a", "app-1"))), now()).is_some());
    }

    #[test]
    fn a_hold_and_its_release_apply_to_the_held_request_and_to_no_later_one() {
        let marked = |mut object: Object, requested_at| {
            object.status.deletion = Some(Deletion {
                requested_at: Some(Time(requested_at)),
                hold: Some("h-1".to_owned()),
                ..Deletion::default()
            });
            object
        };
        let hold = |object: &Object| asking(object, now()).unwrap().hold;
        let earlier = now() - Duration::from_secs(60);
        let before = marked(retired(accepted("a", "app-1")), earlier);
        assert_eq!(hold(&before).as_deref(), Some("h-1"));
        // The object is deleted as well, and still makes the same request.
        assert_eq!(hold(&deleted(before)).as_deref(), Some("h-1"));
        // The object was set to Active and deleted since: this is a new request.
        let anew = marked(deleted(accepted("a", "app-1")), earlier);
        assert_eq!(hold(&anew), None);
        let going = deleted(accepted("a", "app-1"));
        let at = going.deleted_at.unwrap();
        assert_eq!(hold(&marked(going, at)).as_deref(), Some("h-1"));
    }

    #[test]
    fn an_error_without_a_call_is_no_answer() {
        let mut object = deleted(accepted("a", "app-1"));
        let error = LastError {
            http_status: Some(500),
            code: None,
            message: "m".into(),
            time: Time(now()),
        };
        object.status.deletion = Some(Deletion {
            last_error: Some(error),
            ..Deletion::default()
        });
        assert_eq!(asking(&object, now()).unwrap().answered, None);
        object.status.deletion.as_mut().unwrap().attempts = Some(1);
        assert_eq!(asking(&object, now()).unwrap().answered, Some(now()));
    }

    #[test]
    fn a_scheduled_object_may_ask_later() {
        let mut object = accepted("a", "app-1");
        let due = now() + Duration::from_secs(60);
        object.spec.as_mut().unwrap().retire_after = Some(Time(due));
        assert!(may_ask_later(&object, now()) && asking(&object, now()).is_none());
        assert!(!may_ask_later(&object, due) && asking(&object, due).is_some());
    }
}
