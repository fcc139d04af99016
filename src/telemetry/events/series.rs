//! Decides whether an event is new or one more of a series. Pure.

use std::collections::{HashMap, VecDeque};

use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{CLUSTER, Said};
use crate::api::condition::cut;
use crate::plain::plain;

/// An equal event within this time continues the series.
const LASTS: SignedDuration = SignedDuration::from_mins(6);
/// How many events are remembered.
const KNOWN: usize = 1024;
/// The API's limit of a note, in bytes.
const NOTE_BOUND: usize = 1024;
/// The API's limit of the reporting instance, in bytes.
const INSTANCE_BOUND: usize = 128;
/// The API's limit of a name, in bytes.
const NAME_BOUND: usize = 253;

/// The reporter of the events.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    controller: String,
    instance: String,
}

impl Reporter {
    /// A reporter; `instance` is the name of the pod, `None` outside of one.
    pub(super) fn new(controller: &str, instance: Option<&str>) -> Self {
        Self {
            controller: controller.to_owned(),
            instance: cut(instance.unwrap_or(controller), INSTANCE_BOUND).to_owned(),
        }
    }
}

/// The events published within the last minutes.
pub(super) struct Series {
    reporter: Reporter,
    known: HashMap<u64, Standing>,
    /// The times and hashes of the events, oldest first.
    order: VecDeque<(Timestamp, u64)>,
    /// The stamp in the name of the last event, which makes names unique.
    stamp: i128,
}

/// A published event.
struct Standing {
    name: String,
    count: i32,
    last: Timestamp,
}

/// The write for an event.
#[derive(Debug, PartialEq)]
pub(super) enum Publication {
    /// Create this event.
    New(Box<Event>),
    /// Update the series of an existing event.
    Again {
        /// The name of the event.
        name: String,
        /// The new state of the series.
        series: EventSeries,
    },
}

impl Series {
    pub(super) fn new(reporter: Reporter) -> Self {
        Self {
            reporter,
            known: HashMap::new(),
            order: VecDeque::new(),
            stamp: 0,
        }
    }

    /// The write for the event `said`.
    pub(super) fn next(&mut self, said: &Said) -> Publication {
        self.expire(said.at);
        self.order.push_back((said.at, said.key));
        if let Some(standing) = self.known.get_mut(&said.key) {
            standing.count = standing.count.saturating_add(1);
            standing.last = said.at;
            return Publication::Again {
                name: standing.name.clone(),
                series: EventSeries {
                    count: standing.count,
                    last_observed_time: MicroTime(said.at),
                },
            };
        }
        // Names stay unique even if the clock doesn't advance.
        self.stamp = said.at.as_nanosecond().max(self.stamp + 1);
        let name = name(said.about.name.as_deref().unwrap_or_default(), self.stamp);
        let standing = Standing {
            name: name.clone(),
            count: 1,
            last: said.at,
        };
        self.known.insert(said.key, standing);
        Publication::New(Box::new(self.event(said, name)))
    }

    /// Forgets a published event that doesn't exist (any more).
    pub(super) fn forget(&mut self, key: u64) {
        self.known.remove(&key);
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.order.front().copied() {
            if self.order.len() < KNOWN && now.duration_since(at) < LASTS {
                return;
            }
            self.order.pop_front();
            // If an equal event came later, the entry stays.
            if self.known.get(&key).is_some_and(|known| known.last == at) {
                self.known.remove(&key);
            }
        }
    }

    fn event(&self, said: &Said, name: String) -> Event {
        let note = &said.note;
        let kind = if note.warning { "Warning" } else { "Normal" };
        Event {
            action: Some("Delete".to_owned()),
            event_time: Some(MicroTime(said.at)),
            metadata: ObjectMeta {
                name: Some(name),
                namespace: said
                    .about
                    .namespace
                    .clone()
                    .or_else(|| Some(CLUSTER.to_owned())),
                ..ObjectMeta::default()
            },
            note: Some(cut(&plain(&note.message), NOTE_BOUND).to_owned()),
            reason: Some(note.reason.to_owned()),
            regarding: Some(said.about.clone()),
            reporting_controller: Some(self.reporter.controller.clone()),
            reporting_instance: Some(self.reporter.instance.clone()),
            type_: Some(kind.to_owned()),
            ..Event::default()
        }
    }
}

/// The name of an event: as much of the object's name as fits, and a stamp that makes the name unique.
fn name(object: &str, stamp: i128) -> String {
    let ending = format!(".{stamp:x}");
    let begins = cut(object, NAME_BOUND - ending.len());
    // Each part between dots must begin and end with a letter or a digit.
    let begins = begins.trim_end_matches(['.', '-']);
    format!("{begins}{ending}")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ObjectReference;
    use proptest::prelude::*;

    use super::*;
    use crate::telemetry::events::Note;

    /// A time, `seconds` after a fixed moment.
    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn said(key: u64, at: Timestamp) -> Said {
        Said {
            about: ObjectReference {
                kind: Some("VersionPackage".to_owned()),
                name: Some("meter-fw".to_owned()),
                namespace: Some("fleet".to_owned()),
                uid: Some("uid-a".to_owned()),
                ..ObjectReference::default()
            },
            note: Note {
                warning: true,
                reason: "Paused",
                message: "It waits".to_owned(),
            },
            at,
            key,
        }
    }

    fn series() -> Series {
        Series::new(Reporter::new("vpo", Some("vpo-0")))
    }

    /// The count of a series; 1 for a new event.
    fn count(publication: &Publication) -> i32 {
        match publication {
            Publication::New(_) => 1,
            Publication::Again { series, .. } => series.count,
        }
    }

    proptest! {
        #[test]
        fn the_name_of_an_event_is_valid_for_each_name_of_an_object(
            parts in prop::collection::vec("[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?", 1..20),
            stamp in any::<i128>(),
        ) {
            let mut object = parts.join(".");
            object.truncate(253);
            let object = object.trim_end_matches(['.', '-']);
            let name = name(object, stamp);
            prop_assert!(name.len() <= 253);
            for part in name.split('.') {
                let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                prop_assert!(part.starts_with(ends) && part.ends_with(ends), "{}", name);
            }
            prop_assert!(object.len() > 200 || name.starts_with(object));
        }
    }

    #[test]
    fn an_event_names_the_uid_of_its_object_and_its_reporter() {
        let mut said = said(1, at(0));
        said.note.message = "é".repeat(1000);
        let pod = "p".repeat(253);
        let mut series = Series::new(Reporter::new("vpo", Some(&pod)));
        let Publication::New(event) = series.next(&said) else {
            panic!("nothing was said before");
        };
        assert_eq!(event.regarding.unwrap().uid.as_deref(), Some("uid-a"));
        assert_eq!(event.note.unwrap().len(), 1024);
        assert_eq!(event.reporting_instance.unwrap().len(), 128);
        assert_eq!(event.metadata.namespace.as_deref(), Some("fleet"));
        said.about.namespace = None;
        said.key = 2;
        let Publication::New(event) = series.next(&said) else {
            panic!("nothing was said before");
        };
        assert_eq!(event.metadata.namespace.as_deref(), Some("default"));
    }

    #[test]
    fn a_note_is_one_line_without_control_characters() {
        let mut said = said(1, at(0));
        crate::plain::HOSTILE.clone_into(&mut said.note.message);
        let Publication::New(event) = series().next(&said) else {
            panic!("nothing was said before");
        };
        assert_eq!(event.note.unwrap(), plain(crate::plain::HOSTILE));
    }

    #[test]
    fn an_equal_event_within_six_minutes_continues_the_series() {
        let mut series = series();
        let counts = [
            (1, 0),
            (1, 359),
            (2, 360),
            (1, 700),
            (1, 1060),
            (2, 1061),
            (1, 1061),
        ];
        let counts: Vec<i32> = counts
            .into_iter()
            .map(|(key, seconds)| count(&series.next(&said(key, at(seconds)))))
            .collect();
        assert_eq!(counts, [1, 2, 1, 3, 1, 1, 2]);
        series.forget(1);
        assert_eq!(count(&series.next(&said(1, at(1062)))), 1);
    }

    #[test]
    fn two_events_of_one_moment_have_two_names() {
        let mut series = series();
        let mut names: Vec<_> = (0..3)
            .map(|key| match series.next(&said(key, at(0))) {
                Publication::New(event) => event.metadata.name,
                Publication::Again { .. } => None,
            })
            .collect();
        names.dedup();
        assert!(
            names.len() == 3 && names.iter().all(Option::is_some),
            "{names:?}"
        );
    }

    #[test]
    fn the_memory_is_bounded_even_if_the_clock_runs_backwards() {
        let mut series = series();
        for key in 0..5000 {
            // The clock runs backwards.
            series.next(&said(key, at(-i64::try_from(key).unwrap())));
            series.next(&said(key, at(-i64::try_from(key).unwrap())));
        }
        assert!(series.known.len() <= KNOWN && series.order.len() <= KNOWN);
        assert_eq!(count(&series.next(&said(4999, at(-4999)))), 3);
    }
}
