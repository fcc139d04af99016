//! Packages that were deleted lately. An object that is created for such a package wants a package that no longer
//! exists.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::names::FileId;
use crate::session::Witness;

/// A package, with the witness (session and credential) whose answer proved that the package is gone. Any object may
/// have asked for the deletion.
pub type GonePackage = (Witness, FileId);

/// How long a deleted package is remembered.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Maximum number of remembered packages, over all applications. Beyond this number, the oldest packages are forgotten.
const MOST: usize = 10_000;

/// The packages that the platform lately reported as gone, for an hour each and 10 000 at most.
#[derive(Default)]
pub struct Gone(Mutex<State>);

#[derive(Default)]
struct State {
    at: HashMap<GonePackage, Instant>,
    order: VecDeque<(GonePackage, Instant)>,
}

impl Gone {
    /// Remembers that the platform reported `package` as gone at `now`.
    pub fn remember(&self, package: GonePackage, now: Instant) {
        let State { at, order } = &mut *self.0.lock();
        at.insert(package.clone(), now);
        order.push_back((package, now));
        let old = |(_, at): &(GonePackage, Instant)| *at + REMEMBERED <= now;
        while order.len() > MOST || order.front().is_some_and(old) {
            let Some((package, then)) = order.pop_front() else {
                return;
            };
            if at.get(&package) == Some(&then) {
                at.remove(&package);
            }
        }
    }

    /// When the platform last reported `package` as gone; `None` after an hour.
    pub fn since(&self, package: &GonePackage, now: Instant) -> Option<Instant> {
        let at = *self.0.lock().at.get(package)?;
        (at + REMEMBERED > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionKey;

    fn package(file: &str) -> GonePackage {
        let session = SessionKey {
            endpoint: "https://iot.example.com".parse().unwrap(),
            app_id: "app-1".parse().unwrap(),
        };
        ((session, None), file.parse().unwrap())
    }

    #[test]
    fn a_package_is_remembered_for_an_hour_and_of_too_many_the_oldest_is_forgotten() {
        let (gone, begun) = (Gone::default(), Instant::now());
        let second = Duration::from_secs(1);
        gone.remember(package("a"), begun);
        gone.remember(package("b"), begun + second);
        assert_eq!(gone.since(&package("a"), begun + second), Some(begun));
        assert_eq!(gone.since(&package("a"), begun + REMEMBERED), None);
        assert!(gone.since(&package("b"), begun + REMEMBERED).is_some());
        assert_eq!(gone.since(&package("c"), begun), None);
        // A second report renews the entry.
        gone.remember(package("a"), begun + 2 * second);
        for number in 0..MOST - 1 {
            gone.remember(package(&format!("f-{number}")), begun + 2 * second);
        }
        assert_eq!(gone.since(&package("b"), begun + second), None);
        assert!(gone.since(&package("a"), begun + REMEMBERED).is_some());
        gone.remember(package("late"), begun + 2 * REMEMBERED);
        assert_eq!(gone.0.lock().at.len(), 1);
    }
}
