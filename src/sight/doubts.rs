//! Doubts: objects that were written while their definition lacked fields. The values of these fields are lost for
//! good, since the API server stores the pruned object. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::api::condition::READY;
use crate::api::names::CONFIRM_ANNOTATION;
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;

/// Highest number of objects that a record of a loss names; a record of more objects has only the version of the
/// loss.
const NAMED: usize = 64;
/// The outcomes after which no deletion of the object can follow.
const SETTLED: [&str; 2] = [Outcome::Deleted.as_str(), Outcome::AlreadyGone.as_str()];

/// The properties of an object that decide whether it is doubted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The uid of the object.
    pub uid: String,
    /// The resource version of the object.
    pub version: u64,
    /// The number of edits, which grows only with a change of the spec.
    pub edits: i64,
    /// The value of the annotation `iodm.dev/confirm`.
    pub confirmed: Option<String>,
    /// Whether the status already reports lost fields for these edits; an earlier process may have written that report.
    pub said: bool,
    /// Whether the status says that the package is gone, so that no deletion can follow from any value of the fields.
    pub settled: bool,
}

/// The lineage of an object, from its metadata and its status.
pub fn lineage(metadata: &ObjectMeta, status: &Value) -> Lineage {
    let generation = metadata.generation.unwrap_or_default();
    // The generation grows once more when the object is marked for deletion.
    let marked = i64::from(metadata.deletion_timestamp.is_some());
    let annotations = metadata.annotations.as_ref();
    let version = metadata.resource_version.as_ref();
    let own = metadata.uid.is_some() && status["uid"].as_str() == metadata.uid.as_deref();
    let settled = status["deletion"]["outcome"].as_str();
    let conditions = status["conditions"].as_array();
    let said = conditions.into_iter().flatten().any(|condition| {
        let observed = condition["observedGeneration"].as_i64();
        condition["type"] == READY
            && condition["reason"] == Reason::FieldsLost.as_str()
            && observed.is_some_and(|seen| seen == generation || seen == generation - marked)
    });
    Lineage {
        uid: metadata.uid.clone().unwrap_or_default(),
        version: version
            .and_then(|version| version.parse().ok())
            .unwrap_or_default(),
        edits: generation - marked,
        settled: own && settled.is_some_and(|outcome| SETTLED.contains(&outcome)),
        confirmed: annotations.and_then(|all| all.get(CONFIRM_ANNOTATION).cloned()),
        said,
    }
}

/// The judgement on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LossDoubt {
    /// The object has no lost fields.
    None,
    /// The object was written while its definition lacked these fields.
    Lost(String),
}

/// The doubts about the objects of one kind.
#[derive(Default)]
pub(super) struct LossDoubts {
    /// The loss by which the next list is judged, and the version up to which no field was lost.
    listing: Option<(String, u64)>,
    /// The oldest loss that has doubts which no status reports yet, and the version up to which no field was lost.
    oldest: Option<(String, u64)>,
    /// The doubts by uid: the edits and the lost fields of a doubted object, or `None` for an object that a person
    /// has confirmed since.
    known: HashMap<String, Option<(i64, String)>>,
    /// Objects that a person had already confirmed when their doubt arose: that confirmation doesn't count for this
    /// doubt.
    stale: HashSet<String>,
    /// Doubted objects whose status doesn't report the doubt yet; a process that ends now would lose these doubts.
    unsaid: BTreeSet<String>,
    /// Objects that the previous process doubted, and that this process has not seen yet.
    recalled: HashSet<String>,
    /// Known objects that the list in progress has not shown; at its end they are gone.
    unseen: HashSet<String>,
}

/// The record of the doubts that no status reports yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsaid {
    /// The fields that were lost.
    pub(super) what: String,
    /// The resource version up to which no field was lost.
    pub(super) since: u64,
    /// The edits of the doubted objects, by uid; `None` if any object written after `since` may be doubted.
    pub(super) of: Option<BTreeMap<String, i64>>,
}

impl LossDoubts {
    /// Sets the loss by which the next list is judged.
    pub(super) fn begin(&mut self, what: String, complete_until: u64) {
        let open = self.is_open();
        let oldest = self.oldest.take().filter(|_| open);
        let (first, since) = oldest.unwrap_or_else(|| (what.clone(), complete_until));
        self.oldest = Some((first, since.min(complete_until)));
        self.listing = Some((what, complete_until));
    }

    /// Whether a list may still add doubts, or some doubt is reported in no status yet.
    fn is_open(&self) -> bool {
        self.listing.is_some() || !self.unsaid.is_empty()
    }

    /// Starts a list.
    pub(super) fn list_begins(&mut self) {
        self.unseen = self.known.keys().cloned().collect();
    }

    /// Ends a list, and drops the objects that it did not show; `current` is true if the list belongs to the present
    /// round.
    pub(super) fn list_ends(&mut self, current: bool) {
        for gone in std::mem::take(&mut self.unseen) {
            self.forget(&gone);
        }
        if current {
            self.listing = None;
        }
    }

    /// Adds a doubt that the previous process had about an object whose status doesn't report that doubt yet. Returns
    /// whether the doubt is new, so that the object has to be looked at again.
    pub(super) fn recall(&mut self, uid: String, edits: i64, (what, since): (&str, u64)) -> bool {
        // A doubt about the same or later edits stays; an object that a person has confirmed since an earlier doubt
        // is doubted again.
        let doubted = self.known.get(&uid).and_then(Option::as_ref);
        if doubted.is_some_and(|(known, _)| *known >= edits) {
            return false;
        }
        let known = self.oldest.take().filter(|_| !self.unsaid.is_empty());
        let (first, before) = known.unwrap_or_else(|| (what.to_owned(), since));
        self.oldest = Some((first, before.min(since)));
        self.known
            .insert(uid.clone(), Some((edits, what.to_owned())));
        self.unsaid.insert(uid.clone());
        self.recalled.insert(uid)
    }

    /// The record of the doubts that no status reports yet, for the next process; `None` if there are none.
    pub(super) fn unsaid(&self) -> Option<Unsaid> {
        let oldest = self.oldest.as_ref().filter(|_| self.is_open());
        let (what, since) = oldest?.clone();
        let few = self.listing.is_none() && self.unsaid.len() <= NAMED;
        let edits = |uid: &String| Some((uid.clone(), self.known.get(uid)?.as_ref()?.0));
        let of = few.then(|| self.unsaid.iter().filter_map(edits).collect());
        Some(Unsaid { what, since, of })
    }

    pub(super) fn forget(&mut self, uid: &str) {
        self.known.remove(uid);
        self.stale.remove(uid);
        self.unsaid.remove(uid);
        self.recalled.remove(uid);
    }

    pub(super) fn judge(&mut self, object: &Lineage, listed: bool) -> LossDoubt {
        self.unseen.remove(&object.uid);
        if object.settled {
            self.forget(&object.uid);
            return LossDoubt::None;
        }
        let written_meanwhile = self
            .listing
            .as_ref()
            .filter(|(_, complete_until)| listed && object.version > *complete_until);
        let heard = self.recalled.contains(&object.uid) || !self.known.contains_key(&object.uid);
        let arises = written_meanwhile.is_some() || heard;
        let what = match (self.known.get(&object.uid), written_meanwhile) {
            (Some(Some((edits, what))), _) if *edits == object.edits => Some(what.clone()),
            // An edit under a loss may have lost its values too.
            (_, Some((what, _))) => Some(what.clone()),
            (Some(_), None) => None,
            (None, None) if object.said => {
                Some("it is not known any more which fields of this version".to_owned())
            }
            (None, None) => return LossDoubt::None,
        };
        let what = what.filter(|_| !self.is_confirmed(object, arises));
        self.recalled.remove(&object.uid);
        let doubt = what.as_ref().map(|what| (object.edits, what.clone()));
        self.known.insert(object.uid.clone(), doubt);
        if what.is_some() && !object.said {
            self.unsaid.insert(object.uid.clone());
        } else {
            self.unsaid.remove(&object.uid);
        }
        what.map_or(LossDoubt::None, LossDoubt::Lost)
    }

    /// Whether a person has set the confirming annotation after the doubt arose. An annotation that is already there
    /// when the doubt `arises`, or when this process first hears of the doubt, may belong to an earlier loss.
    fn is_confirmed(&mut self, object: &Lineage, arises: bool) -> bool {
        if object.confirmed.as_ref() != Some(&object.uid) {
            self.stale.remove(&object.uid);
            return false;
        }
        if arises {
            self.stale.insert(object.uid.clone());
        }
        !self.stale.contains(&object.uid)
    }
}

#[cfg(test)]
mod tests;
