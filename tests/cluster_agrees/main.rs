//! The API server in memory against the real one: both get the same requests and must give equal answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]
#![allow(
    clippy::similar_names,
    reason = "an owner owns what is owned, and chance changes"
)]

mod both;
mod built_in;
mod compare;
mod controllers;
mod naive;
mod objects;
mod refusals;
mod requests;
mod sequence;
#[path = "../support/mod.rs"]
mod support;
mod upheavals;
mod watches;

use both::Both;
use sequence::Sequence;

/// The default seed, so that `make test` sends the same requests each time and no change of the operator fails here by
/// chance. `CLUSTER_SEED` selects another run, which may find an unknown difference.
const SEED: u64 = 1;
/// The number of requests in `make test`; `CLUSTER_REQUESTS` sets another one.
const REQUESTS: usize = 3_000;
/// The number of requests in one namespace.
const LENGTH: usize = 60;
/// After this many differences the test stops.
const ENOUGH: usize = 12;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A cluster in memory and the shared control plane.
async fn both() -> Both {
    static INSTALLED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let plane = support::Plane::shared();
    INSTALLED
        .get_or_init(async || drop(plane.install_crds()))
        .await;
    Both::new(plane).await
}

/// Sends random sequences until `count` requests are sent or enough differences are found. Returns the differences.
async fn random(
    both: &mut Both,
    name: &str,
    seed: u64,
    wanted: usize,
    enough: usize,
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut number = 0;
    while both.sent < wanted && differences.len() < enough {
        let sequence = Sequence::new(&format!("{name}-{number}"), chance.fork());
        differences.extend(sequence.run(both, LENGTH).await.err());
        number += 1;
    }
    differences
}

#[tokio::test]
async fn random_requests_are_answered_as_the_real_api_server_answers_them() {
    let seed = number("CLUSTER_SEED").unwrap_or(SEED);
    let wanted = number("CLUSTER_REQUESTS").map_or(REQUESTS, |n| usize::try_from(n).unwrap());
    println!("CLUSTER_SEED={seed} CLUSTER_REQUESTS={wanted}");
    let mut both = both().await;
    let differences = random(&mut both, "random", seed, wanted, ENOUGH).await;
    println!("{} requests, {} events compared", both.sent, both.events);
    assert!(
        differences.is_empty(),
        "seed {seed}:\n{}",
        differences.join("\n\n")
    );
}

#[tokio::test]
async fn equal_requests_get_equal_answers_byte_for_byte() {
    let mut both = Both::twins().await;
    let differences = random(&mut both, "twins", 20, REQUESTS, 1).await;
    assert!(differences.is_empty(), "{}", differences.concat());
}
