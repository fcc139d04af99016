//! The next process's knowledge of its predecessor's calls.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_after_a_refusal_survives_a_crash_and_a_clean_stop() {
    let stage = Stage::enter().await;
    let load = stage.rig("pause", 2, 20, "16s").await;
    let kubeconfig = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    // With the shipped flags: regular renewals are too rare to record the pause in time.
    let start = async || ready(Operator::start_pod("only", &kubeconfig, OPERATOR, &[])).await;
    let mut only = start().await;
    load.born().await;
    load.rig.neighbour(20).await;
    load.delete().await;
    load.called(1, LOAD).await;
    wait_for(
        "the Lease to tell of it",
        Duration::from_secs(3),
        async || stage.call_log().await.contains("throttled").then_some(()),
    )
    .await;
    only.kill().await;
    only = start().await;
    load.called(2, LOAD).await;
    let ended = only.terminate().await;
    assert!(ended.success(), "{ended}: {:#?}", only.log());
    only = start().await;
    load.gone().await;
    let ledger = load.rig.simulator.ledger().await;
    let verdicts: Vec<_> = ledger
        .iter()
        .map(|row| row["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts[..3], ["throttled", "throttled", "logged-in"]);
    // Other clients used all calls, so each pause lasts half a window.
    let times = times(&ledger);
    for pair in times[..3].windows(2) {
        let pause = pair[1] - pair[0];
        assert!(
            pause >= load.window_ms / 2.0,
            "the next one called after {pause} ms"
        );
    }
    drop(only);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_a_clean_stop_abandons_count_for_the_next_process() {
    let stage = Stage::enter().await;
    let load = stage.rig("abandoned", 3, 4, "14s").await;
    let kubeconfig = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    // A stop waits for answers for 8 s, which is less than the time limit of a call, as with the shipped flags.
    let flags = ["--lease-duration=20s", "--call-timeout=10s"];
    let start = async |pod| ready(Operator::start_pod(pod, &kubeconfig, OPERATOR, &flags)).await;
    let mut a = start("a").await;
    stage.leads("a").await;
    let b = start("b").await;
    load.born().await;
    // Each call takes effect, and is answered when nobody waits any more.
    let slow = json!({
        "match": {"method": "DELETE"}, "kind": {"delay": {"ms": 60_000}}, "times": load.packages,
    });
    let simulator = &load.rig.simulator;
    simulator.admin(Method::POST, "/faults", &slow).await;
    load.delete().await;
    // With the login this is the whole quota.
    load.called(load.calls, LOAD).await;
    let ended = a.terminate().await;
    let log = a.log().join("\n");
    assert!(ended.success(), "{ended}: {log}");
    assert!(log.contains("calls under way are abandoned"), "{log}");
    stage.leads("b").await;
    load.gone().await;
    // One login of its own, and each package once more.
    let ledger = load.proven(load.packages).await;
    assert_eq!(ledger.len(), 2 * load.calls);
    assert_eq!((logins(&ledger), late(&ledger).len()), (2, 0));
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_created_again_keeps_its_call_log_even_after_a_restart() {
    let stage = Stage::enter().await;
    let load = stage.rig("again", 25, 10, "8s").await;
    let create = || {
        let quota = json!({"quota": {"calls": 10, "window": "8s"}});
        let simulator = &load.rig.simulator;
        let manifests = simulator.platform(&load.rig.namespace, "production", &quota);
        load.rig.plane.apply(&manifests).expect_ok();
    };
    let mut only = stage.start("only").await;
    load.born().await;
    load.delete().await;
    load.called(10, LOAD).await;
    load.rig.give_up_platform("production").await;
    load.rig.reason("p-25", "PlatformNotFound").await;
    create();
    load.called(20, LOAD).await;
    load.rig.give_up_platform("production").await;
    only.kill().await;
    only = stage.start("only").await;
    stage.leads("only").await;
    create();
    load.gone().await;
    load.proven(3).await;
    drop(only);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_container_takes_over_its_lease_at_once_and_remembers_its_calls() {
    let stage = Stage::enter().await;
    let load = stage.rig("crash", 300, 100, "4s").await;
    let mut only = stage.start("only").await;
    load.born().await;
    load.delete().await;
    for round in 1..=3 {
        load.called(80 * round, LOAD).await;
        only.kill().await;
        let since = Instant::now();
        only = stage.start("only").await;
        stage.leads("only").await;
        wait_for("the restarted one to lead", SHORT_LEASE, async || {
            only.log()
                .iter()
                .any(|line| line.contains("TakeBack"))
                .then_some(())
        })
        .await;
        eprintln!("leads again {:?} after the kill", since.elapsed());
    }
    load.gone().await;
    load.proven(60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_install_starts_at_once_and_a_lease_without_a_readable_log_costs_one_window() {
    let stage = Stage::enter().await;
    let load = stage.rig("first", 2, 5, "20s").await;
    let mut only = stage.start("only").await;
    load.rig
        .active(&[("one", "package-00001"), ("two", "package-00002")])
        .await;
    let since = Instant::now();
    load.rig.delete("one");
    load.rig.gone("one").await;
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    assert!(only.terminate().await.success());
    let text = stage.call_log().await;
    let log: Value = serde_json::from_str(&text).expect("the log is JSON");
    let calls: u64 = log["sessions"][0]["calls"]
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(
        (calls, &log["sessions"][0]["reserved"]),
        (2, &json!(0)),
        "{text}"
    );

    let garbled = [
        "-n",
        OPERATOR,
        "annotate",
        "--overwrite",
        "lease",
        OPERATOR,
        "iodm.dev/call-log=?",
    ];
    stage.plane.kubectl(&garbled).expect_ok();
    let again = stage.start("again").await;
    load.rig.delete("two");
    wait_for("the second to go", Duration::from_secs(30), async || {
        load.rig.get("two").await.is_none().then_some(())
    })
    .await;
    let times = times(&load.rig.simulator.ledger().await);
    let pause = times[2] - times[1];
    assert!(pause >= 20e3, "the next process called after {pause} ms");
    drop(again);
}
