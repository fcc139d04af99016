//! Which objects were written while their definition lacked fields: what the fields held is lost for good, since the API
//! server stores what it prunes. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::api::condition::READY;
use crate::api::names::CONFIRM_ANNOTATION;
use crate::api::outcome::Outcome;
use crate::api::reason::Reason;

/// So many objects a record of a loss names; of more it says only since when the loss is.
const NAMED: usize = 64;
/// The outcomes after which nothing is deleted any more.
const SETTLED: [&str; 2] = [Outcome::Deleted.as_str(), Outcome::AlreadyGone.as_str()];

/// What tells whether an object was looked at since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Tells it from others of its name.
    pub uid: String,
    /// Its version in the store.
    pub version: u64,
    /// Moves with each change of its spec, and with nothing else.
    pub edits: i64,
    /// The value of `iodm.dev/confirm`.
    pub confirmed: Option<String>,
    /// Whether its status says of these edits that fields were lost: an earlier process has found that.
    pub said: bool,
    /// Whether its status says that its package is gone: whatever its fields held, nothing is deleted for it any more.
    pub settled: bool,
}

/// What the metadata and the status of an object tell of it.
pub fn lineage(metadata: &ObjectMeta, status: &Value) -> Lineage {
    let generation = metadata.generation.unwrap_or_default();
    // It grows once more when the object is marked for deletion.
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

/// What is thought of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LossDoubt {
    /// It is as it was meant.
    None,
    /// It was written under this loss.
    Lost(String),
}

/// The doubts about the objects of one kind.
#[derive(Default)]
pub(super) struct LossDoubts {
    /// The loss that the next list judges, and the version up to which nothing was lost.
    listing: Option<(String, u64)>,
    /// The oldest loss whose doubts don't all stand in a status yet.
    oldest: Option<(String, u64)>,
    /// The edits of those that are doubted; `None` for whom a person has looked at since.
    known: HashMap<String, Option<(i64, String)>>,
    /// Those that carried a person's word when their doubt arose: it says nothing of that one.
    stale: HashSet<String>,
    /// Those that are doubted and whose status doesn't say so yet: a process that ends now takes the doubt with it.
    unsaid: BTreeSet<String>,
    /// Those that the process before has doubted, and this one has not seen yet.
    recalled: HashSet<String>,
    /// Those that are known and that the list under way has not shown: at its end they are gone.
    unseen: HashSet<String>,
}

/// What a record tells of doubts that stand in no status yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsaid {
    /// What was lost.
    pub(super) what: String,
    /// The version up to which nothing was.
    pub(super) since: u64,
    /// The doubted objects by their uids, each with its edits; `None` where it may be any that was written since.
    pub(super) of: Option<BTreeMap<String, i64>>,
}

impl LossDoubts {
    /// What the next list brings is judged by this loss.
    pub(super) fn begin(&mut self, what: String, complete_until: u64) {
        let open = self.is_open();
        let oldest = self.oldest.take().filter(|_| open);
        let (first, since) = oldest.unwrap_or_else(|| (what.clone(), complete_until));
        self.oldest = Some((first, since.min(complete_until)));
        self.listing = Some((what, complete_until));
    }

    /// Whether a doubt may still come of a loss, or stands in no status yet.
    fn is_open(&self) -> bool {
        self.listing.is_some() || !self.unsaid.is_empty()
    }

    /// A list begins.
    pub(super) fn list_begins(&mut self) {
        self.unseen = self.known.keys().cloned().collect();
    }

    /// A list is complete; `current` where it began after what last had everything listed anew.
    pub(super) fn list_ends(&mut self, current: bool) {
        for gone in std::mem::take(&mut self.unseen) {
            self.forget(&gone);
        }
        if current {
            self.listing = None;
        }
    }

    /// The process before doubted an object, whose status doesn't say so yet. Whether that is news, so that the object has to
    /// be looked at anew.
    pub(super) fn recall(&mut self, uid: String, edits: i64, (what, since): (&str, u64)) -> bool {
        // A doubt of later edits stands; one that a person has looked at since an earlier doubt is doubted again.
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

    /// What the next process has to know of doubts that stand in no status yet.
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
            // An edit under a loss may have lost what it said.
            (_, Some((what, _))) => Some(what.clone()),
            (Some(_), None) => None,
            (None, None) if object.said => Some("fields of this version".to_owned()),
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

    /// Whether a person has set the annotation since the doubt was there. One that stands when the doubt `arises`, or when
    /// this process first hears of it, may be the word about an earlier loss.
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
