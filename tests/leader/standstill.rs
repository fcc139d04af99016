//! A leader that was suspended sends nothing when it continues.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_suspended_for_longer_than_its_lease_sends_nothing_more() {
    const STOPS: usize = 20;
    let stage = Stage::enter().await;
    let load = stage.rig("freeze", 250, 6, "2s").await;
    // A short Lease, as each stop lasts longer. On a busy machine a Lease may be lost without a stop, which is one more
    // change of the leader.
    let kubeconfig = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    let flags = [
        "--lease-duration=4s",
        "--call-timeout=2s",
        "--connect-timeout=1s",
    ];
    let mut started = 0;
    let mut start = || {
        started += 1;
        let pod = format!("pod-{started}");
        let operator = Operator::start_pod(&pod, &kubeconfig, OPERATOR, &flags);
        (pod, operator)
    };
    // Two standbys, so that one is ready while the other restarts.
    let mut pods = BTreeMap::new();
    for _ in 0..3 {
        let (pod, operator) = start();
        pods.insert(pod, ready(operator).await);
    }
    load.born().await;
    load.delete().await;
    let since = Instant::now();
    let (mut stops, mut within_a_burst) = (0, 0);
    while stops < STOPS + within_a_burst {
        stops += 1;
        let calls = between_calls(&load).await;
        let mut leader = wait_for("a leader", SHORT_LEASE * 4, async || {
            pods.remove(&stage.holder().await)
        })
        .await;
        leader.freeze().await;
        // On a busy machine a stop may come too late and hit a burst; then the test makes one more stop.
        let too_late = load.rig.simulator.ledger().await.len() > calls;
        within_a_burst += usize::from(too_late);
        load.called_again(LOAD).await;
        leader.thaw();
        let ended = leader.ended(Duration::from_secs(5)).await;
        assert!(
            !ended.success(),
            "a lost Lease ends the process with an error"
        );
        pods.retain(|_, operator| operator.is_running());
        while pods.len() < 3 {
            pods.extend([start()]);
        }
    }
    let ledger = load.rig.simulator.ledger().await;
    load.within_quota(&ledger);
    eprintln!(
        "{stops} stops in {:?}, {within_a_burst} within a burst",
        since.elapsed()
    );
    // The rest of the test needs no quota.
    let quota = json!({"calls": 100, "window": "1s"});
    load.rig.simulator.switch("/quota", &quota).await;
    load.rig
        .patch("platform/production", &json!({"spec": {"quota": quota}}));
    load.gone().await;
    let ledger = load.rig.simulator.ledger().await;
    let terms = stage
        .seen_lease()
        .await
        .and_then(|lease| lease.spec?.lease_transitions);
    let terms = usize::try_from(terms.unwrap()).unwrap() + 1;
    // A Lease that is lost without a stop may be lost within a burst.
    load.all_deleted(&ledger, (terms - 1 - stops + within_a_burst) * load.calls);
    assert_eq!(
        late(&ledger).len(),
        0,
        "each leader begins with a token of its own"
    );
    let logins = logins(&ledger);
    assert!(
        (stops + 1..=terms).contains(&logins),
        "{logins} logins in {terms} terms"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_suspended_while_connecting_sends_nothing_when_it_continues() {
    let stage = Stage::enter().await;
    let load = stage.rig("connecting", 3, 20, "1s").await;
    let kubeconfig = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    // Connecting may take as long as the whole call, so that the stop certainly comes in between.
    let flags = [
        "--lease-duration=6s",
        "--call-timeout=3s",
        "--connect-timeout=3s",
    ];
    let mut a = ready(Operator::start_pod("a", &kubeconfig, OPERATOR, &flags)).await;
    stage.leads("a").await;
    let b = ready(Operator::start_pod("b", &kubeconfig, OPERATOR, &flags)).await;
    load.born().await;
    load.rig.simulator.freeze().await;
    load.delete().await;
    wait_for(
        "a connection that hangs",
        Duration::from_secs(5),
        async || {
            connections_to(&load.rig.simulator.endpoint())
                .gt(&0)
                .then_some(())
        },
    )
    .await;
    a.freeze().await;
    // The platform's answer to the connection now waits for the suspended process.
    load.rig.simulator.thaw();
    load.called(1, SHORT_LEASE * 4).await;
    a.thaw();
    assert!(!a.ended(Duration::from_secs(5)).await.success());
    load.gone().await;
    let ledger = load.proven(0).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (1, 0));
    drop(b);
}

/// The number of connections from this machine to an endpoint on it.
fn connections_to(endpoint: &str) -> usize {
    let port: u16 = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let remote = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let stands = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        (fields.next(), fields.next()) == (Some(&remote), Some("01"))
    };
    table.lines().filter(stands).count()
}

/// Waits for a moment without an in-flight call or a pass after one, when the quota is used up. Returns the number of
/// calls so far.
async fn between_calls(load: &Load<'_>) -> usize {
    let mut quiet = (0, Instant::now());
    wait_for("a pause between calls", LOAD, async || {
        let ledger = load.rig.simulator.ledger().await;
        if ledger.len() != quiet.0 {
            quiet = (ledger.len(), Instant::now());
        }
        let ended = ledger.iter().all(|row| !row["doneMs"].is_null());
        if ledger.is_empty() || !ended || quiet.1.elapsed() < Duration::from_millis(300) {
            return None;
        }
        let deleted = ledger.iter().filter(|row| row["verdict"] == "deleted");
        let settled = load.list().await.len() + deleted.count() == load.packages;
        settled.then_some(ledger.len())
    })
    .await
}
