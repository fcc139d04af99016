//! Whether an object asks for the deletion of its package, whatever else holds it, and since when.

use k8s_openapi::jiff::Timestamp;

use crate::guard::Asked;
use crate::object::Object;

/// What `object` asks for; `None` where nothing is to be deleted for it. Whether another object
/// claims the package is not looked at.
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
    // What holds one request, or was released, says nothing of another one that came after it was called off.
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

/// When the deletion was asked for: the deletionTimestamp, or for a retired object the moment
/// that it was first seen retired, in whole seconds as the API keeps it. A deleted object keeps the earlier one only
/// while it is retired. It orders deletions, and is told to people; grace periods run from
/// the moment at which this process first saw the request.
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

/// Whether time alone can make an object ask that doesn't ask at `now`.
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
    fn an_object_asks_while_it_goes_or_is_retired_and_its_package_is_not_gone() {
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
    fn retain_asks_for_nothing_on_an_object_that_goes_and_stops_no_retirement() {
        let retained = |mut object: Object| {
            object.spec.as_mut().unwrap().deletion_policy = DeletionPolicy::Retain;
            object
        };
        assert!(asking(&retained(deleted(accepted("a", "app-1"))), now()).is_none());
        assert!(asking(&retained(retired(accepted("a", "app-1"))), now()).is_some());
    }

    #[test]
    fn a_hold_keeps_and_its_release_frees_the_request_that_it_held_and_no_later_one() {
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
        // Deleted as well, it still asks for what it asked for.
        assert_eq!(hold(&deleted(before)).as_deref(), Some("h-1"));
        // Set Active and deleted since, it asks anew.
        let anew = marked(deleted(accepted("a", "app-1")), earlier);
        assert_eq!(hold(&anew), None);
        let going = deleted(accepted("a", "app-1"));
        let at = going.deleted_at.unwrap();
        assert_eq!(hold(&marked(going, at)).as_deref(), Some("h-1"));
    }

    #[test]
    fn a_call_counts_as_answered_only_once_there_was_one() {
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
