//! Since when each claim has been unclear, as this process has seen it.
//!
//! The times are kept in memory, for each package, application and Platform.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::names::{AppId, FileId, ObjectKey};
use crate::package::claims::{Doubt, Why};
use crate::package::decide::Now;

/// How long a claim has to be unclear before the annotation `iodm.dev/disregard` passes over it.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Longest wait until an object with an unclear claim is looked at again.
pub const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// The key of a judgement: a package, its application, and the Platform through which the package would be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Case {
    /// The package.
    pub file: FileId,
    /// Application of the package.
    pub application: AppId,
    /// Platform of the object that asks for the deletion.
    pub platform: Option<ObjectKey>,
}

/// The unclear claims that one look has found for a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The case.
    pub case: Case,
    /// The unclear claims.
    pub unclear: Vec<Doubt>,
    /// Whether the look included reads of the API server. A look without reads doesn't end a doubt that only reads can
    /// raise.
    pub read: bool,
}

/// Start of a doubt, by the steady clock and by the wall clock.
pub type Since = (Instant, Timestamp);

/// The unclear claims of all cases that were looked at lately.
#[derive(Default)]
pub struct Doubts(Mutex<HashMap<Case, Seen>>);

struct Seen {
    last: Instant,
    since: HashMap<Arc<str>, Since>,
    /// Claims that only reads of the API server find unclear.
    unconfirmed: HashSet<Arc<str>>,
}

impl Doubts {
    /// Since when each claim of `finding`, by uid, has been unclear without a break. Changes nothing.
    pub fn peek(&self, finding: &Finding, now: Now) -> HashMap<Arc<str>, Since> {
        let cases = self.0.lock();
        since(cases.get(&finding.case), &finding.unclear, now)
    }

    /// Stores what one look has found.
    pub fn note(&self, finding: Finding, now: Now) {
        let Finding {
            case,
            unclear,
            read,
        } = finding;
        let mut cases = self.0.lock();
        if !cases.contains_key(&case) {
            // A new case is the occasion to forget cases that nobody has looked at for long.
            cases.retain(|_, seen| seen.last + 3 * LOOK_AGAIN > now.tick);
        }
        let before = cases.remove(&case);
        let unconfirmed = unclear.iter().filter(|doubt| doubt.why == Why::Unconfirmed);
        let mut seen = Seen {
            last: now.tick,
            since: since(before.as_ref(), &unclear, now),
            unconfirmed: unconfirmed.map(|doubt| Arc::clone(&doubt.uid)).collect(),
        };
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
    }
}

/// Since when each of the `unclear` claims has been unclear, given the results of the earlier looks.
fn since(before: Option<&Seen>, unclear: &[Doubt], now: Now) -> HashMap<Arc<str>, Since> {
    // Only people read the wall-clock time, so whole seconds are enough.
    let wall = Timestamp::from_second(now.wall.as_second()).unwrap_or(now.wall);
    let of = |doubt: &Doubt| {
        let known = before.and_then(|seen| seen.since.get(&doubt.uid));
        let since = known.copied().unwrap_or((now.tick, wall));
        (Arc::clone(&doubt.uid), since)
    };
    unclear.iter().map(of).collect()
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

    fn note(
        doubts: &Doubts,
        file: &str,
        found: &[Doubt],
        read: bool,
        now: Now,
    ) -> HashMap<Arc<str>, Since> {
        let finding = Finding {
            case: case(file),
            unclear: found.to_vec(),
            read,
        };
        let since = doubts.peek(&finding, now);
        assert_eq!(since, doubts.peek(&finding, now), "a look notes nothing");
        doubts.note(finding, now);
        since
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
            let since = note(&doubts, "f-1", &found, true, at(seconds));
            let of = |uid: &&str| (since[*uid].0 - begun).as_secs();
            uids.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(since(&["a"], 0), [0]);
        assert_eq!(since(&["a", "b"], 10), [0, 10]);
        assert_eq!(since(&["b"], 20), [10]);
        assert_eq!(since(&["a", "b"], 30), [30, 10]);
        assert!(since(&[], 40).is_empty());
        assert_eq!(since(&["a"], 50), [50]);
        // A case is forgotten once nobody has looked at it for long.
        note(&doubts, "f-2", &[doubt("a")], true, at(60));
        note(&doubts, "f-3", &[doubt("a")], true, at(10_000));
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
        let since = |found: &[Doubt], read, seconds| {
            let since = note(&doubts, "f-1", found, read, at(seconds));
            since.get("a").map(|since| (since.0 - begun).as_secs())
        };
        assert_eq!(since(std::slice::from_ref(&unconfirmed), true, 0), Some(0));
        assert_eq!(since(&[], false, 10), None, "it is not seen just now");
        assert_eq!(since(&[], false, 20), None);
        assert_eq!(since(std::slice::from_ref(&unconfirmed), true, 30), Some(0));
        assert_eq!(since(&[], true, 40), None, "reads say that it is over");
        assert_eq!(
            since(std::slice::from_ref(&unconfirmed), true, 50),
            Some(50)
        );
        // Another doubt about the same claimant leaves the start as it is.
        assert_eq!(since(&[doubt("a")], false, 60), Some(50));
        assert_eq!(since(&[], false, 70), None);
        assert_eq!(
            since(std::slice::from_ref(&unconfirmed), true, 80),
            Some(50)
        );
        assert_eq!(since(&[], true, 90), None);
        assert!(doubts.0.lock().is_empty());
    }
}
