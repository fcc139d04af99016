//! Conditions in the form of the Kubernetes API conventions and of kstatus.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::reason::Progress;
use crate::plain::plain;

/// The condition type `Ready`, which is always present.
pub const READY: &str = "Ready";
/// The condition type `Reconciling`, which is present only while true.
pub const RECONCILING: &str = "Reconciling";
/// The condition type `Stalled`, which is present only while true and never together with `Reconciling`.
pub const STALLED: &str = "Stalled";

/// The API's limit of a condition's message, in bytes.
const MESSAGE_BOUND: usize = 32_768;

/// The content of the next conditions of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Whether the object is finished, progresses by itself, or waits for a person.
    pub progress: Progress,
    /// The reason, in CamelCase.
    pub reason: &'a str,
    /// The message: one or two sentences.
    pub message: &'a str,
    /// The generation of the object that the statement is about.
    pub generation: i64,
}

/// The next conditions of an object, given its previous ones.
///
/// `lastTransitionTime` changes only with the `status` of a condition (API conventions). Conditions of other types than
/// the three above are kept unchanged.
pub fn merge(previous: &[Condition], verdict: &Statement<'_>, now: Timestamp) -> Vec<Condition> {
    let next = |type_: &str, status: &str| {
        let last_transition_time = previous
            .iter()
            .find(|old| old.type_ == type_ && old.status == status)
            .map_or(Time(now), |old| old.last_transition_time.clone());
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: cut(&plain(verdict.message), MESSAGE_BOUND).to_owned(),
            observed_generation: Some(verdict.generation),
            last_transition_time,
        }
    };
    let ours = match verdict.progress {
        Progress::Done => vec![next(READY, "True")],
        Progress::Reconciling => vec![next(READY, "False"), next(RECONCILING, "True")],
        Progress::Stalled => vec![next(READY, "False"), next(STALLED, "True")],
    };
    let foreign = previous
        .iter()
        .filter(|old| ![READY, RECONCILING, STALLED].contains(&old.type_.as_str()))
        .cloned();
    ours.into_iter().chain(foreign).collect()
}

/// Appends `words` to the messages of our conditions.
pub fn add(conditions: &mut [Condition], words: &str) {
    for condition in conditions {
        if [READY, RECONCILING, STALLED].contains(&condition.type_.as_str()) {
            let message = format!("{}{words}", condition.message);
            cut(&message, MESSAGE_BOUND).clone_into(&mut condition.message);
        }
    }
}

/// The longest prefix of `text` that has at most `bound` bytes and ends between characters.
pub fn cut(text: &str, bound: usize) -> &str {
    if text.len() <= bound {
        return text;
    }
    let end = (0..=bound)
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(progress: Progress, reason: &str) -> Statement<'_> {
        Statement {
            progress,
            reason,
            message: "because",
            generation: 3,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn of<'a>(list: &'a [Condition], type_: &str) -> &'a Condition {
        list.iter().find(|c| c.type_ == type_).unwrap()
    }

    #[test]
    fn a_new_reason_with_the_same_status_keeps_the_transition_time() {
        let first = merge(&[], &verdict(Progress::Reconciling, "Queued"), at(1));
        let second = merge(&first, &verdict(Progress::Reconciling, "Throttled"), at(2));
        assert_eq!(of(&second, READY).last_transition_time.0, at(1));
        assert_eq!(of(&second, READY).reason, "Throttled");
        let third = merge(&second, &verdict(Progress::Done, "Deleted"), at(3));
        assert_eq!(of(&third, READY).last_transition_time.0, at(3));
    }

    #[test]
    fn a_condition_of_another_controller_survives() {
        let mut list = merge(&[], &verdict(Progress::Done, "Active"), at(1));
        list.push(Condition {
            type_: "Reviewed".into(),
            ..list[0].clone()
        });
        let next = merge(&list, &verdict(Progress::Stalled, "Paused"), at(2));
        assert_eq!(of(&next, "Reviewed").last_transition_time.0, at(1));
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let hostile = Statement {
            message: crate::plain::HOSTILE,
            ..verdict(Progress::Done, "Active")
        };
        let list = merge(&[], &hostile, at(1));
        assert_eq!(list[0].message, plain(crate::plain::HOSTILE));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut("aüb", 2), "a");
        assert_eq!(cut("aüb", 3), "aü");
    }

    proptest! {
        #[test]
        fn reconciling_and_stalled_exclude_each_other_and_merging_is_idempotent(
            steps in proptest::collection::vec(0_u8..3, 1..20)
        ) {
            let mut list = Vec::new();
            for (i, step) in steps.iter().enumerate() {
                let progress = [Progress::Done, Progress::Reconciling, Progress::Stalled][usize::from(*step)];
                let now = at(i64::try_from(i).unwrap());
                list = merge(&list, &verdict(progress, "R"), now);
                let has = |t: &str| list.iter().any(|c| c.type_ == t);
                prop_assert!(has(READY) && !(has(RECONCILING) && has(STALLED)));
                prop_assert_eq!(&merge(&list, &verdict(progress, "R"), at(1_000)), &list);
            }
        }
    }
}
