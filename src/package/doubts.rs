//! Since when claims have been unclear to this process.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::claims::{Doubt, Why};
use super::decide::Now;
use crate::api::names::{AppId, FileId, ObjectKey};

/// Who is held by an unclear claim looks again at least this often.
pub const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// What claims are judged for: a package, its application, and the Platform over which it would be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Case {
    /// The package.
    pub file: FileId,
    /// Whose it is.
    pub application: AppId,
    /// The Platform of who asks.
    pub platform: Option<ObjectKey>,
}

/// Since when, by both clocks.
pub type Since = (Instant, Timestamp);

/// The unclear claims of every case that somebody has looked at lately.
#[derive(Default)]
pub struct Doubts(Mutex<HashMap<Case, Seen>>);

struct Seen {
    last: Instant,
    since: HashMap<Arc<str>, Since>,
    /// Those of them that only reads of the API server find unclear.
    unconfirmed: HashSet<Arc<str>>,
}

impl Doubts {
    /// Takes in what one look has found, and tells since when each claim, by its uid, has been unclear without a
    /// break. `read` tells whether it was found by reads of the API server: a look without them ends no doubt that only
    /// they have raised.
    pub fn note(
        &self,
        case: Case,
        doubts: &[Doubt],
        read: bool,
        now: Now,
    ) -> HashMap<Arc<str>, Since> {
        let mut cases = self.0.lock();
        if !cases.contains_key(&case) {
            // A new one is the moment to forget those that nobody is held by any more.
            cases.retain(|_, seen| seen.last + 3 * LOOK_AGAIN > now.tick);
        }
        let before = cases.remove(&case);
        // People read it, and need no more.
        let wall = Timestamp::from_second(now.wall.as_second()).unwrap_or(now.wall);
        let mut seen = Seen {
            last: now.tick,
            since: HashMap::new(),
            unconfirmed: HashSet::new(),
        };
        for doubt in doubts {
            let known = before.as_ref().and_then(|seen| seen.since.get(&doubt.uid));
            let since = known.copied().unwrap_or((now.tick, wall));
            seen.since.insert(Arc::clone(&doubt.uid), since);
            if doubt.why == Why::Unconfirmed {
                seen.unconfirmed.insert(Arc::clone(&doubt.uid));
            }
        }
        let found = seen.since.clone();
        if let Some(before) = before.filter(|_| !read) {
            for uid in before.unconfirmed {
                if let Some(since) = before.since.get(&uid) {
                    seen.since.entry(Arc::clone(&uid)).or_insert(*since);
                    seen.unconfirmed.insert(uid);
                }
            }
        }
        if !seen.since.is_empty() {
            cases.insert(case, seen);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::fixtures::{self, app};

    fn case(file: &str) -> Case {
        Case {
            file: file.parse().unwrap(),
            application: app("app-1"),
            platform: None,
        }
    }

    fn doubt(uid: &str) -> Doubt {
        Doubt {
            key: ObjectKey::new("fleet", uid),
            uid: uid.into(),
            platform: None,
            why: Why::Fresh,
        }
    }

    #[test]
    fn a_claim_is_unclear_since_the_first_of_an_unbroken_row_of_looks() {
        let doubts = Doubts::default();
        let begun = Instant::now();
        let at = |seconds| Now {
            wall: fixtures::now() + Duration::from_secs(seconds),
            tick: begun + Duration::from_secs(seconds),
        };
        let since = |uids: &[&str], seconds| {
            let found: Vec<_> = uids.iter().map(|uid| doubt(uid)).collect();
            let since = doubts.note(case("f-1"), &found, true, at(seconds));
            let of = |uid: &&str| (since[*uid].0 - begun).as_secs();
            uids.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(since(&["a"], 0), [0]);
        assert_eq!(since(&["a", "b"], 10), [0, 10]);
        assert_eq!(since(&["b"], 20), [10]);
        assert_eq!(since(&["a", "b"], 30), [30, 10]);
        assert!(since(&[], 40).is_empty());
        assert_eq!(since(&["a"], 50), [50]);
        // Others are forgotten once nobody has looked at them for long.
        doubts.note(case("f-2"), &[doubt("a")], true, at(60));
        doubts.note(case("f-3"), &[doubt("a")], true, at(10_000));
        assert_eq!(doubts.0.lock().len(), 1);
    }
    #[test]
    fn a_doubt_that_only_reads_raise_lasts_over_looks_without_them() {
        let doubts = Doubts::default();
        let begun = Instant::now();
        let at = |seconds| Now {
            wall: fixtures::now() + Duration::from_secs(seconds),
            tick: begun + Duration::from_secs(seconds),
        };
        let unconfirmed = Doubt {
            why: Why::Unconfirmed,
            ..doubt("a")
        };
        let note = |found: &[Doubt], read, seconds| {
            let since = doubts.note(case("f-1"), found, read, at(seconds));
            since.get("a").map(|since| (since.0 - begun).as_secs())
        };
        assert_eq!(note(std::slice::from_ref(&unconfirmed), true, 0), Some(0));
        assert_eq!(note(&[], false, 10), None, "it is not seen just now");
        assert_eq!(note(&[], false, 20), None);
        assert_eq!(note(std::slice::from_ref(&unconfirmed), true, 30), Some(0));
        assert_eq!(note(&[], true, 40), None, "reads say that it is over");
        assert_eq!(note(std::slice::from_ref(&unconfirmed), true, 50), Some(50));
        // Whatever else is unclear of it meanwhile.
        assert_eq!(note(&[doubt("a")], false, 60), Some(50));
        assert_eq!(note(&[], false, 70), None);
        assert_eq!(note(std::slice::from_ref(&unconfirmed), true, 80), Some(50));
        assert_eq!(note(&[], true, 90), None);
        assert!(doubts.0.lock().is_empty());
    }
}
