//! The API server in memory against the real one: both are sent the same requests, and have to answer alike.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod both;
mod compare;
mod objects;
mod sequence;
#[path = "../support/mod.rs"]
mod support;

use both::Both;
use sequence::Sequence;

/// Requests in `make test`; `CLUSTER_REQUESTS` asks for more, `CLUSTER_SEED` for another run.
const REQUESTS: usize = 3_000;
/// Requests in one namespace.
const LENGTH: usize = 60;
/// After so many differences the rest says nothing new.
const ENOUGH: usize = 12;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn random_requests_are_answered_as_the_real_api_server_answers_them() {
    let seed = number("CLUSTER_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let wanted = number("CLUSTER_REQUESTS").map_or(REQUESTS, |n| usize::try_from(n).unwrap());
    println!("CLUSTER_SEED={seed} CLUSTER_REQUESTS={wanted}");
    let plane = support::Plane::shared();
    plane.install_crds();
    let mut both = Both::new(plane).await;
    let mut differences = Vec::new();
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut number = 0;
    while both.sent < wanted && differences.len() < ENOUGH {
        let sequence = Sequence::new(&format!("random-{number}"), chance.fork());
        differences.extend(sequence.run(&mut both, LENGTH).await.err());
        number += 1;
    }
    println!("{} requests, {} events compared", both.sent, both.events);
    assert!(
        differences.is_empty(),
        "seed {seed}:\n{}",
        differences.join("\n\n")
    );
}
