//! Objects that name one package share its turn.

use super::*;
use crate::session::{CredentialId, PackageKey};

fn package(credential: u64) -> PackageKey {
    PackageKey {
        credential: CredentialId::of(credential),
        file_id: "f-1".parse().unwrap(),
        accepted_at: None,
    }
}

impl Bench {
    /// Object `n` asks for a call for the one package.
    fn shares(&mut self, n: usize, priority: Priority) -> Standing {
        let ticket = Ticket {
            priority,
            ..ticket(n)
        };
        let now = self.now;
        let standing = self.core.request_turn(LANE, ticket, &package(1), now);
        self.settle();
        standing
    }

    fn leaves(&mut self, n: usize) -> Vec<String> {
        let followers = self.core.leave(LANE, &format!("u{n}"), &package(1));
        self.settle();
        followers
            .into_iter()
            .map(|key| key.name.to_string())
            .collect()
    }

    fn position(&self, n: usize) -> Option<usize> {
        match self.standing(n) {
            Standing::Waiting { position, .. } => Some(position),
            Standing::Absent | Standing::Behind { .. } | Standing::Permitted { .. } => None,
        }
    }
}

fn behind(n: usize) -> Standing {
    Standing::Behind {
        ahead: ticket(n).key,
    }
}

#[test]
fn a_deletion_that_waits_behind_a_retirement_moves_its_ticket_among_the_deletions_and_back() {
    let mut bench = Bench::new(100);
    bench.shares(1, Priority::Retirement);
    for n in 2..=4 {
        bench.ask(n);
    }
    assert_eq!(bench.position(1), Some(4));
    assert_eq!(bench.shares(5, Priority::Deletion), behind(1));
    assert_eq!(
        bench.position(1),
        Some(1),
        "it is the oldest of the deletions"
    );
    assert_eq!(bench.position(5), None);
    assert_eq!(bench.leaves(5), [""; 0]);
    assert_eq!(bench.position(1), Some(4));
}

#[test]
fn objects_of_one_package_make_one_call_at_a_time() {
    let mut bench = Bench::live(100);
    assert_eq!(bench.shares(1, Priority::Deletion), permitted(None));
    assert_eq!(bench.shares(2, Priority::Deletion), behind(1));
    let call = bench.begin(1);
    assert_eq!(
        bench.shares(2, Priority::Deletion),
        behind(1),
        "the call is under way"
    );
    bench.end(&call, &unavailable());
    assert_eq!(
        bench.shares(2, Priority::Deletion),
        behind(1),
        "its end isn't told yet"
    );
    assert_eq!(bench.leaves(1), ["o2"]);
    let alone = bench.shares(2, Priority::Deletion);
    assert!(matches!(
        alone,
        Standing::Waiting { .. } | Standing::Permitted { .. }
    ));
}

#[test]
fn a_lane_is_kept_while_objects_wait_for_a_turn_in_it() {
    let mut bench = Bench::live(100);
    bench.shares(1, Priority::Deletion);
    bench.core.abandon(LANE, bench.now);
    bench.now += secs(7200);
    assert_eq!(bench.core.sweep(bench.now).count(), 1);
    bench.leaves(1);
    assert_eq!(bench.core.sweep(bench.now).count(), 0);
}
