//! A leader ends in some way, and another process succeeds it.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_the_standby_takes_over_within_the_lease_and_five_seconds() {
    let stage = Stage::enter().await;
    // Enough calls, so that some are left however late the kill comes.
    let load = stage.rig("kill", 240, 40, "2s").await;
    let (mut a, b) = stage.at_work(&load, 60).await;
    a.kill().await;
    let pause = load
        .called_again(SHORT_LEASE + Duration::from_secs(5))
        .await;
    eprintln!("first call {pause:?} after the kill");
    load.gone().await;
    let ledger = load.proven(20).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (2, 0));
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_clean_stop_the_standby_takes_over_within_two_seconds() {
    let stage = Stage::enter().await;
    let load = stage.rig("stop", 150, 10, "1s").await;
    let (mut a, b) = stage.at_work(&load, 30).await;
    let ended = a.terminate().await;
    assert!(ended.success(), "{ended}: {:#?}", a.log());
    let pause = load.called_again(Duration::from_secs(2)).await;
    eprintln!("first call {pause:?} after the end");
    load.gone().await;
    let ledger = load.proven(0).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (2, 0));
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_only_reads_while_the_leader_works() {
    let stage = Stage::enter().await;
    let load = stage.rig("standby", 40, 20, "1s").await;
    let own = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    let leader = stage.credential(&own);
    let mut a = stage.start_with("a", &own).await;
    stage.leads("a").await;
    // Both use the same account, but each token has an id that the audit log shows.
    let own = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    let standby = stage.credential(&own);
    assert_ne!(leader, standby);
    let mut b = stage.start_with("b", &own).await;
    let since = support::pace::now();
    load.born().await;
    load.delete().await;
    load.gone().await;
    let events = stage.plane.audit_events();
    let by = |credential: &str| {
        let of = |event: &&AuditEvent| {
            event.credential == credential && !event.user_agent.starts_with("kubectl")
        };
        events.iter().filter(of).cloned().collect::<Vec<_>>()
    };
    let reads = |event: &&AuditEvent| matches!(event.verb.as_str(), "get" | "list" | "watch");
    let writes = by(&leader).iter().filter(|event| !reads(event)).count();
    assert!(writes > 40 * 4, "the leader wrote {writes} times");
    let standby = by(&standby);
    let wrote: Vec<_> = standby.iter().filter(|event| !reads(event)).collect();
    assert!(wrote.is_empty(), "{wrote:#?}");
    let looked: Vec<_> = standby
        .iter()
        .filter(|event| support::pace::since_epoch(event.time.parse().unwrap()) > since)
        .filter(|event| event.verb != "watch")
        .collect();
    assert!(!looked.is_empty());
    let elsewhere: Vec<_> = looked
        .iter()
        .filter(|event| !matches!(event.resource.as_str(), "leases" | "clusterrolebindings"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    assert!(b.is_running() && a.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_cut_off_from_the_api_server_ends_and_the_standby_takes_over() {
    let stage = Stage::enter().await;
    let load = stage.rig("cut", 200, 30, "2s").await;
    let own = stage.plane.kubeconfig_for(OPERATOR, OPERATOR);
    let proxy = ApiProxy::start(stage.plane, &own);
    let mut a = stage.start_with("a", proxy.kubeconfig()).await;
    stage.leads("a").await;
    let b = stage.start("b").await;
    load.born().await;
    load.delete().await;
    load.called(60, LOAD).await;
    proxy.cut();
    // One second of this is for its last events.
    let ended = a.ended(SHORT_LEASE + Duration::from_secs(2)).await;
    assert!(!ended.success());
    let log = a.log().join("\n");
    assert!(
        log.contains("lost: it could not be renewed in time"),
        "{log}"
    );
    load.called_again(SHORT_LEASE + Duration::from_secs(5))
        .await;
    load.gone().await;
    let ledger = load.proven(20).await;
    assert_eq!((logins(&ledger), late(&ledger).len()), (2, 0));
    drop(b);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_loses_no_deletion_and_keeps_the_quota() {
    let stage = Stage::enter().await;
    let load = stage.rig("roll", 500, 100, "2s").await;
    let mut old = [stage.start("old-0").await, stage.start("old-1").await];
    load.born().await;
    load.delete().await;
    load.called(120, LOAD).await;
    let mut new = Vec::new();
    for (n, old) in old.iter_mut().enumerate() {
        new.push(stage.start(&format!("new-{n}")).await);
        let ended = old.terminate().await;
        assert!(ended.success(), "{ended}: {:#?}", old.log());
    }
    wait_for("a new one to lead", SHORT_LEASE, async || {
        stage.holder().await.starts_with("new").then_some(())
    })
    .await;
    load.gone().await;
    let ledger = load.proven(0).await;
    assert_eq!(late(&ledger).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_lease_is_written_again_by_its_leader_with_its_full_call_log() {
    let stage = Stage::enter().await;
    let load = stage.rig("unleased", 60, 10, "1s").await;
    let (mut a, b) = stage.at_work(&load, 15).await;
    stage.lease(&["delete"]).expect_ok();
    stage.leads("a").await;
    load.gone().await;
    let ledger = load.proven(0).await;
    // No other process took the Lease meanwhile, which would have made a login of its own.
    assert_eq!((logins(&ledger), late(&ledger).len()), (1, 0));
    assert_eq!(stage.holder().await, "a");

    drop(b);
    stage.lease(&["delete"]).expect_ok();
    let ended = a.terminate().await;
    assert!(ended.success(), "{ended}: {:#?}", a.log());
    assert_eq!(stage.holder().await, "", "it was given back");
    assert_ne!(stage.call_log().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_keeps_a_lease_that_others_edit_and_ends_when_it_names_another_holder() {
    let stage = Stage::enter().await;
    let load = stage.rig("edited", 60, 10, "1s").await;
    let (mut a, b) = stage.at_work(&load, 15).await;
    // No renewal overwrites changes that it hasn't seen.
    let patch = |change: Value| {
        let change = change.to_string();
        stage
            .lease(&["patch", "--type=merge", "-p", &change])
            .expect_ok();
    };
    patch(json!({"metadata": {"annotations": {"example.com/team": "meters"}}}));
    let renewed = async || stage.seen_lease().await.unwrap().spec.unwrap().renew_time;
    for _ in 0..2 {
        let before = renewed().await;
        wait_for("a renewal", SHORT_LEASE, async || {
            (renewed().await > before).then_some(())
        })
        .await;
    }
    let annotations = stage.seen_lease().await.unwrap().metadata.annotations;
    assert_eq!(annotations.unwrap()["example.com/team"], "meters");
    assert!(a.is_running());

    patch(json!({"spec": {"holderIdentity": "somebody"}}));
    let ended = a.ended(SHORT_LEASE).await;
    assert!(!ended.success());
    let log = a.log().join("\n");
    assert!(log.contains("lost: another process holds it"), "{log}");
    // Nobody renews the Lease for that holder, so it expires.
    stage.leads("b").await;
    load.gone().await;
    load.proven(20).await;
    drop(b);
}
