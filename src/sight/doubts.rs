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
mod tests {
    use serde_json::json;

    use super::*;

    fn object(version: u64, edits: i64) -> Lineage {
        Lineage {
            uid: "u".to_owned(),
            version,
            edits,
            ..Lineage::default()
        }
    }

    #[test]
    fn a_word_given_after_one_loss_says_nothing_of_a_later_one() {
        let confirmed = |version| Lineage {
            confirmed: Some("u".to_owned()),
            ..object(version, 1)
        };
        let mut doubts = after_a_loss();
        assert_eq!(doubts.judge(&object(11, 1), true), self::lost());
        doubts.list_ends(true);
        assert_eq!(doubts.judge(&confirmed(12), false), LossDoubt::None);
        assert_eq!(doubts.judge(&confirmed(13), true), LossDoubt::None);
        doubts.begin(".spec.deletionPolicy".to_owned(), 20);
        let lost = LossDoubt::Lost(".spec.deletionPolicy".to_owned());
        assert_eq!(doubts.judge(&confirmed(21), true), lost);
        doubts.list_ends(true);
        // Taken off and set again, it is a word about this loss.
        assert_eq!(doubts.judge(&object(22, 1), false), lost);
        assert_eq!(doubts.judge(&confirmed(23), false), LossDoubt::None);
    }

    #[test]
    fn a_process_that_first_sees_a_doubt_and_a_word_together_believes_only_one_that_is_set_anew() {
        let seen = |version, said| Lineage {
            confirmed: Some("u".to_owned()),
            said,
            ..object(version, 1)
        };
        // The status says it, or the list after a loss does.
        let said = (LossDoubts::default(), seen(11, true));
        for (mut doubts, first) in [said, (after_a_loss(), seen(11, false))] {
            assert!(matches!(doubts.judge(&first, true), LossDoubt::Lost(_)));
            doubts.list_ends(true);
            for listed in [false, true] {
                let again = doubts.judge(&seen(12, true), listed);
                assert!(matches!(again, LossDoubt::Lost(_)));
            }
            assert!(matches!(
                doubts.judge(&object(13, 1), false),
                LossDoubt::Lost(_)
            ));
            assert_eq!(doubts.judge(&seen(14, true), false), LossDoubt::None);
        }
    }

    fn after_a_loss() -> LossDoubts {
        let mut doubts = LossDoubts::default();
        doubts.begin(".spec.mode".to_owned(), 10);
        doubts
    }

    fn lost() -> LossDoubt {
        LossDoubt::Lost(".spec.mode".to_owned())
    }

    #[test]
    fn what_was_written_before_the_loss_or_after_the_list_is_not_doubted() {
        let mut doubts = after_a_loss();
        assert_eq!(doubts.judge(&object(10, 1), true), LossDoubt::None);
        assert_eq!(doubts.judge(&object(12, 2), false), LossDoubt::None);
        doubts.list_ends(true);
        assert_eq!(doubts.judge(&object(13, 2), true), LossDoubt::None);
    }

    #[test]
    fn what_was_written_meanwhile_is_doubted_until_its_spec_is_edited() {
        let mut doubts = after_a_loss();
        assert_eq!(doubts.judge(&object(11, 1), true), lost());
        doubts.list_ends(true);
        // The status, a label, a retry, its deletion.
        assert_eq!(doubts.judge(&object(15, 1), false), lost());
        assert_eq!(doubts.judge(&object(15, 1), true), lost());
        assert_eq!(doubts.judge(&object(16, 2), false), LossDoubt::None);
        // The status still says it of the edits before.
        let said = Lineage {
            said: true,
            ..object(17, 2)
        };
        assert_eq!(doubts.judge(&said, false), LossDoubt::None);
    }

    #[test]
    fn a_person_confirms_one_object_by_its_uid() {
        let mut doubts = after_a_loss();
        assert_eq!(doubts.judge(&object(11, 1), true), lost());
        let confirmed = |uid: &str| Lineage {
            confirmed: Some(uid.to_owned()),
            ..object(12, 1)
        };
        assert_eq!(doubts.judge(&confirmed("another"), false), lost());
        assert_eq!(doubts.judge(&confirmed("u"), false), LossDoubt::None);
        assert_eq!(doubts.judge(&object(13, 1), false), LossDoubt::None);
    }

    #[test]
    fn what_an_earlier_process_found_is_in_the_status() {
        let mut doubts = LossDoubts::default();
        let said = Lineage {
            said: true,
            ..object(11, 1)
        };
        assert!(matches!(doubts.judge(&said, true), LossDoubt::Lost(_)));
        assert_eq!(doubts.judge(&object(12, 2), false), LossDoubt::None);
    }

    #[test]
    fn a_record_of_a_package_that_is_gone_is_not_doubted_and_keeps_no_loss_open() {
        let mut doubts = after_a_loss();
        assert_eq!(doubts.judge(&object(11, 1), true), lost());
        doubts.list_ends(true);
        assert!(doubts.unsaid().is_some());
        let settled = Lineage {
            settled: true,
            ..object(12, 1)
        };
        assert_eq!(doubts.judge(&settled, false), LossDoubt::None);
        assert!(doubts.unsaid().is_none());
        let status =
            |uid: &str, outcome: &str| json!({"uid": uid, "deletion": {"outcome": outcome}});
        let metadata = ObjectMeta {
            uid: Some("u".to_owned()),
            ..ObjectMeta::default()
        };
        assert!(lineage(&metadata, &status("u", "AlreadyGone")).settled);
        assert!(!lineage(&metadata, &status("u", "Retained")).settled);
        assert!(!lineage(&metadata, &status("another", "Deleted")).settled);
    }

    #[test]
    fn the_next_process_doubts_those_that_did_not_say_so_and_nobody_else() {
        let mut doubts = after_a_loss();
        assert_eq!(doubts.judge(&object(11, 1), true), lost());
        assert_eq!(doubts.unsaid().unwrap().of, None, "the list is under way");
        doubts.list_ends(true);
        let told = doubts.unsaid().unwrap();
        assert_eq!((&*told.what, told.since), (".spec.mode", 10));
        assert_eq!(told.of, Some([("u".to_owned(), 1)].into()));
        // This one has listed before it hears of that.
        let mut next = LossDoubts::default();
        let other = Lineage {
            uid: "other".to_owned(),
            ..object(12, 1)
        };
        assert_eq!(next.judge(&other, true), LossDoubt::None);
        assert!(next.recall("u".to_owned(), 1, (".spec.mode", 10)));
        assert!(
            !next.recall("u".to_owned(), 1, (".spec.mode", 10)),
            "no news"
        );
        assert_eq!(next.unsaid(), Some(told));
        next.list_begins();
        let confirmed = Lineage {
            confirmed: Some("u".to_owned()),
            ..object(13, 1)
        };
        assert_eq!(next.judge(&confirmed, true), lost(), "an earlier word");
        assert_eq!(next.judge(&other, true), LossDoubt::None);
        next.list_ends(true);
        assert_eq!(next.judge(&object(14, 2), false), LossDoubt::None, "edited");
        assert_eq!(next.unsaid(), None);
    }

    #[test]
    fn a_recalled_doubt_takes_no_later_one_away_and_comes_back_where_a_person_has_looked_at_an_earlier_one()
     {
        let mut own = after_a_loss();
        assert_eq!(own.judge(&object(11, 2), true), lost());
        own.list_ends(true);
        assert!(!own.recall("u".to_owned(), 1, (".spec.mode", 10)));
        assert_eq!(own.judge(&object(12, 2), false), lost());
        assert_eq!(own.judge(&object(13, 3), false), LossDoubt::None);
        assert!(own.recall("u".to_owned(), 3, (".spec.mode", 10)));
        assert_eq!(own.judge(&object(14, 3), true), lost());
    }

    #[test]
    fn of_too_many_that_did_not_say_so_the_record_tells_only_since_when() {
        let mut doubts = after_a_loss();
        for number in 0..=NAMED {
            let one = Lineage {
                uid: format!("u-{number}"),
                ..object(11, 1)
            };
            assert_eq!(doubts.judge(&one, true), lost());
        }
        doubts.list_ends(true);
        assert_eq!(doubts.unsaid().unwrap().of, None);
    }

    #[test]
    fn one_that_a_list_no_longer_shows_is_doubted_no_more_and_keeps_no_loss_open() {
        let mut doubts = after_a_loss();
        assert_eq!(doubts.judge(&object(11, 1), true), lost());
        doubts.list_ends(true);
        for shown in [true, false] {
            doubts.list_begins();
            if shown {
                assert_eq!(doubts.judge(&object(12, 1), true), lost());
            }
            doubts.list_ends(true);
            assert_eq!(doubts.unsaid().is_some(), shown);
        }
    }

    #[test]
    fn an_edit_under_a_second_loss_is_doubted_again() {
        let mut doubts = after_a_loss();
        assert_eq!(doubts.judge(&object(11, 1), true), lost());
        doubts.list_ends(true);
        assert_eq!(doubts.judge(&object(12, 2), false), LossDoubt::None);
        doubts.begin(".spec.mode".to_owned(), 20);
        assert_eq!(doubts.judge(&object(21, 3), true), lost());
    }
}
