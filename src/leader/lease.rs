//! Decodes and encodes the Lease object.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

use super::evaluate::{SeenLease, Term};
use crate::sight::Losses;

/// The name of the Lease.
pub const NAME: &str = "version-package-operator";
/// The annotation that records the calls of the last window.
const CALL_LOG_ANNOTATION: &str = "iodm.dev/call-log";

/// The annotation that holds the last words of a leader that has stopped in order.
const LAST_WORDS_ANNOTATION: &str = "iodm.dev/last-words";
/// The annotation that records which definitions lack or lacked fields, and since which version.
const FIELDS_LOST_ANNOTATION: &str = "iodm.dev/fields-lost";

/// A new Lease object that doesn't exist in the cluster yet.
pub fn fresh() -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            ..ObjectMeta::default()
        },
        spec: None,
    }
}

/// Holder, term and duration of `lease`; `own_duration` is used if the Lease has no duration.
pub fn seen(lease: &Lease, own_duration: Duration) -> SeenLease {
    let spec = lease.spec.clone().unwrap_or_default();
    let duration = spec
        .lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(own_duration, Duration::from_secs);
    SeenLease {
        holder: spec.holder_identity.unwrap_or_default(),
        term: Term {
            acquired: spec.acquire_time.map(|time| time.0),
            number: spec.lease_transitions.unwrap_or_default(),
        },
        duration,
    }
}

/// The resource version of the Lease; `None` if it is not a number.
pub fn version(lease: &Lease) -> Option<u64> {
    lease.metadata.resource_version.as_ref()?.parse().ok()
}

fn annotation<'a>(lease: &'a Lease, name: &str) -> Option<&'a str> {
    let annotations = lease.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

/// The calls of the last window, as the last leader recorded them.
pub fn call_log(lease: &Lease) -> Option<&str> {
    annotation(lease, CALL_LOG_ANNOTATION)
}

/// The last words of the previous leader, if that leader has stopped in order and no leader has renewed the Lease
/// since.
pub fn last_words(lease: &Lease) -> Option<&str> {
    annotation(lease, LAST_WORDS_ANNOTATION)
}

/// The losses of definition fields that the previous leader recorded; none if the annotation can't be read.
pub fn losses(lease: &Lease) -> Losses {
    let Some(text) = annotation(lease, FIELDS_LOST_ANNOTATION) else {
        return Losses::new();
    };
    match serde_json::from_str(text) {
        Ok(losses) => losses,
        Err(error) => {
            let annotation = FIELDS_LOST_ANNOTATION;
            tracing::warn!(%error, annotation, "an annotation of the Lease can't be read and is passed over");
            Losses::new()
        }
    }
}

/// When `lease` was renewed last; `None` if the Lease has no renewal time.
pub fn renewed_at(lease: &Lease) -> Option<Timestamp> {
    let spec = lease.spec.as_ref()?;
    Some(spec.renew_time.as_ref()?.0)
}

/// The Lease with a new term for `identity`. The records of the last leader stay unchanged. They are still correct for
/// another process that reads the Lease, since no call was sent meanwhile.
pub fn acquired(lease: &Lease, identity: &str, duration: Duration, now: Timestamp) -> Lease {
    let transitions = lease
        .spec
        .as_ref()
        .map(|spec| spec.lease_transitions.unwrap_or_default().wrapping_add(1));
    Lease {
        metadata: lease.metadata.clone(),
        spec: Some(LeaseSpec {
            holder_identity: Some(identity.to_owned()),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
            lease_transitions: Some(transitions.unwrap_or_default()),
            ..LeaseSpec::default()
        }),
    }
}

/// The Lease with its term renewed and with records for the next leader. No call is sent before the first renewal; from
/// then on the last words of the previous leader are stale, so they are removed.
pub fn renewed(lease: &Lease, call_log: String, losses: &Losses, now: Timestamp) -> Lease {
    let mut lease = lease.clone();
    let annotations = lease.metadata.annotations.get_or_insert_default();
    annotations.insert(CALL_LOG_ANNOTATION.to_owned(), call_log);
    annotations.remove(LAST_WORDS_ANNOTATION);
    match serde_json::to_string(losses) {
        Ok(text) if !losses.is_empty() => {
            annotations.insert(FIELDS_LOST_ANNOTATION.to_owned(), text);
        }
        // Serializing a map of names and numbers can't fail.
        Ok(_) | Err(_) => {
            annotations.remove(FIELDS_LOST_ANNOTATION);
        }
    }
    lease.spec.get_or_insert_default().renew_time = Some(MicroTime(now));
    lease
}

/// The Lease without a holder, with records for the next leader.
pub fn released(
    lease: &Lease,
    call_log: String,
    losses: &Losses,
    last_words: Option<&String>,
    now: Timestamp,
) -> Lease {
    let mut lease = renewed(lease, call_log, losses, now);
    if let Some(words) = last_words {
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert(LAST_WORDS_ANNOTATION.to_owned(), words.clone());
    }
    lease.spec.get_or_insert_default().holder_identity = None;
    lease
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sight::{Loss, WatchKind};

    const DURATION: Duration = Duration::from_secs(30);

    #[test]
    fn a_lease_says_what_was_written_into_it() {
        let first = acquired(&fresh(), "a", DURATION, Timestamp::UNIX_EPOCH);
        let before = seen(&first, Duration::ZERO);
        assert_eq!((before.holder.as_str(), before.duration), ("a", DURATION));
        assert_eq!(call_log(&first), None);
        let later = Timestamp::UNIX_EPOCH + Duration::from_secs(5);
        let none = Losses::new();
        let mode = Loss {
            what: ".spec.mode".to_owned(),
            since: 7,
            of: Some([("uid".to_owned(), 3)].into()),
        };
        let lost = Losses::from([(WatchKind::PlatformDefinition, mode)]);
        let renewal = renewed(&first, "log".to_owned(), &lost, later);
        assert_eq!(losses(&renewal), lost);
        assert_eq!(
            seen(&renewal, Duration::ZERO),
            before,
            "a renewal is no new term"
        );
        assert_eq!(call_log(&renewal), Some("log"));
        let words = "words".to_owned();
        let given_back = released(&renewal, "last".to_owned(), &none, Some(&words), later);
        assert_eq!(losses(&given_back), none);
        assert_eq!(seen(&given_back, Duration::ZERO).holder, "");
        let second = acquired(&given_back, "a", DURATION, Timestamp::UNIX_EPOCH);
        assert_ne!(seen(&second, Duration::ZERO).term, before.term);
        assert_eq!(call_log(&second), Some("last"), "what was left stays");
        assert_eq!(last_words(&second), Some("words"), "nothing was sent yet");
        let third = renewed(&second, "log".to_owned(), &none, later);
        assert_eq!(last_words(&third), None, "calls may go from now on");
    }

    #[test]
    fn a_lease_without_a_duration_is_taken_to_last_as_long_as_ones_own() {
        assert_eq!(seen(&fresh(), DURATION).duration, DURATION);
    }
}
