//! The API server in memory against the real one: both are sent the same requests, and have to answer alike.

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

/// What `make test` sends is the same each time, so that a change of the operator never fails here; `CLUSTER_SEED` asks
/// for another run, which may find a difference that nobody has seen.
const SEED: u64 = 1;
/// Requests in `make test`; `CLUSTER_REQUESTS` asks for more.
const REQUESTS: usize = 3_000;
/// Requests in one namespace.
const LENGTH: usize = 60;
/// After so many differences the rest says nothing new.
const ENOUGH: usize = 12;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A cluster in memory beside the control plane that all tests share.
async fn both() -> Both {
    static INSTALLED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let plane = support::Plane::shared();
    INSTALLED
        .get_or_init(async || drop(plane.install_crds()))
        .await;
    Both::new(plane).await
}

/// Sends random sequences until so many requests are sent or enough differences are found; returns these.
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
async fn the_same_requests_get_the_same_answers_byte_for_byte() {
    let mut both = Both::twins().await;
    let differences = random(&mut both, "twins", 20, REQUESTS, 1).await;
    assert!(differences.is_empty(), "{}", differences.concat());
}
