//! How often a leader writes its Lease.

use futures::future::try_join_all;

use super::support::pace;
use super::*;

/// A short Lease is renewed every second, so a window has this many regular renewals at most.
const PERIOD: Duration = Duration::from_secs(1);
const WINDOW: &str = "24s";
const REGULAR: usize = 25;
/// The number of renewals that a busy session may bring forward in one window.
const EXTRA: usize = 10;
/// A burst: two thirds of the twenty calls that an idle session has reserved are used before its end, and all calls
/// fit.
const BURST: usize = 18;
const BURSTS: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_bursts_brings_at_most_ten_renewals_forward_in_a_window() {
    let stage = Stage::enter().await;
    let load = stage.rig("bursts", BURST * BURSTS, 800, WINDOW).await;
    let only = stage.start("only").await;
    load.born().await;
    let log = stage.plane.audit_end();

    // Each burst meets an idle session, so each would cause a renewal of its own.
    let renewed = async || stage.seen_lease().await?.spec?.renew_time;
    for burst in 0..BURSTS {
        let before = renewed().await;
        wait_for("the next renewal", SHORT_LEASE, async || {
            (renewed().await > before).then_some(())
        })
        .await;
        let numbers = burst * BURST + 1..=(burst + 1) * BURST;
        let names: Vec<String> = numbers.map(|n| format!("p-{n}")).collect();
        let params = DeleteParams::default();
        let deletions = names.iter().map(|name| load.api.delete(name, &params));
        try_join_all(deletions)
            .await
            .expect("deletions are accepted");
        let left = (BURSTS - burst - 1) * BURST;
        wait_for("a burst to go", LOAD, async || {
            (load.list().await.len() == left).then_some(())
        })
        .await;
    }
    load.proven(0).await;

    let writes = lease_writes(stage.plane, log);
    let early = |pair: &&[Duration]| pair[1].abs_diff(pair[0]) < PERIOD * 3 / 4;
    let early = writes.windows(2).filter(early).count();
    let window = Duration::from_secs_f64(load.window_ms / 1e3);
    let most = pace::most_within(&writes, window);
    eprintln!(
        "{} writes, {early} of them brought forward, {most} within a window",
        writes.len()
    );
    assert!(early >= EXTRA / 2, "bursts bring renewals forward");
    // A renewal without an answer in time is repeated, and once more where it was written all the same.
    let log = only.log();
    let late = log
        .iter()
        .filter(|line| line.contains("the Lease could not be renewed"));
    let most_allowed = REGULAR + EXTRA + 2 * late.count();
    assert!(most <= most_allowed, "{most} writes within a window");
}

/// When the operator wrote its Lease, in order.
fn lease_writes(plane: &Plane, log: u64) -> Vec<Duration> {
    let user = format!("system:serviceaccount:{OPERATOR}:{OPERATOR}");
    let events = plane.audit_events_from(log).into_iter();
    let writes = events.filter(|event| {
        event.resource == "leases" && event.name == OPERATOR && event.user == user && !event.reads()
    });
    let mut times: Vec<_> = writes
        .map(|event| pace::since_epoch(event.time.parse().unwrap()))
        .collect();
    times.sort_unstable();
    times
}
