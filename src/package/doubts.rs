//! Since when claims have been unclear to this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::claims::Doubt;
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
}

impl Doubts {
    /// Takes in what one look has found, and tells since when each claim, by its uid, has been unclear without a
    /// break.
    pub fn note(&self, case: Case, doubts: &[Doubt], now: Now) -> HashMap<Arc<str>, Since> {
        let mut cases = self.0.lock();
        if doubts.is_empty() {
            cases.remove(&case);
            return HashMap::new();
        }
        if !cases.contains_key(&case) {
            // A new one is the moment to forget those that nobody is held by any more.
            cases.retain(|_, seen| seen.last + 3 * LOOK_AGAIN > now.tick);
        }
        let before = cases.remove(&case).map(|seen| seen.since);
        let before = before.unwrap_or_default();
        // People read it, and need no more.
        let wall = Timestamp::from_second(now.wall.as_second()).unwrap_or(now.wall);
        let since: HashMap<_, _> = doubts
            .iter()
            .map(|doubt| {
                let since = before.get(&doubt.uid).copied();
                (Arc::clone(&doubt.uid), since.unwrap_or((now.tick, wall)))
            })
            .collect();
        let seen = Seen {
            last: now.tick,
            since: since.clone(),
        };
        cases.insert(case, seen);
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::claims::Why;
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
            let since = doubts.note(case("f-1"), &found, at(seconds));
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
        doubts.note(case("f-2"), &[doubt("a")], at(60));
        doubts.note(case("f-3"), &[doubt("a")], at(10_000));
        assert_eq!(doubts.0.lock().len(), 1);
    }
}
