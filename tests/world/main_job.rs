//! The operator's main job: with a restart in its middle, and with two processes for one Lease.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;
use version_package_operator::simulator::answer::Verdict;
use version_package_operator::simulator::faults::{Fault, FaultKind, Match, Times};

use crate::objects::{package, platform, secret};
use crate::world::{HOME, LEASE, World, run, until};

/// Creates a namespace with one Platform, and one for packages.
async fn furnish(world: &World) {
    world.add_namespace("iot", &json!({})).await;
    world.add_namespace("fleet", &json!({})).await;
    world.platform.register("app-1", "hunter2", 20);
    world.show_secrets("iot", &["production"]);
    let people = &world.people;
    let secret = secret("production", "app-1", "hunter2");
    people.create("secrets", "iot", &secret).await;
    let production = platform("production", &json!({"guard": {"gracePeriod": "5s"}}));
    people.create("platforms", "iot", &production).await;
}

async fn wish(world: &World, name: &str, file: &str) {
    let object = package(name, "production", file, &json!({}));
    world
        .people
        .create("versionpackages", "fleet", &object)
        .await;
    world.comes_to("fleet", name, "Active").await;
}

async fn delete(world: &World, name: &str) {
    let code = world.people.delete("versionpackages", "fleet", name).await;
    assert_eq!(code, 200);
}

#[test]
fn the_package_of_a_deleted_object_is_deleted_once_and_leaves_an_audit_line() {
    run(1, async |world| {
        furnish(world).await;
        let operator = world.start("vpo-0");
        wish(world, "meter", "package-00001").await;
        assert!(world.platform.has("app-1", "package-00001"));
        delete(world, "meter").await;
        world.goes("fleet", "meter").await;
        let deletions = world.platform.deletions("package-00001");
        assert_eq!(deletions, [Verdict::Deleted]);
        assert!(!world.platform.has("app-1", "package-00001"));
        let lines = world.paper.lines();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["outcome"], "Deleted");
        assert_eq!(lines[0]["fileId"], "package-00001");
        operator.stop().await.unwrap();
        assert!(world.platform.has("app-1", "package-00002"));
    });
}

#[test]
fn the_successor_of_a_process_that_crashed_before_the_answer_finds_the_package_gone() {
    run(2, async |world| {
        furnish(world).await;
        let operator = world.start("vpo-0");
        wish(world, "meter", "package-00001").await;
        world.platform.change(|simulator| {
            simulator.faults.add(Fault {
                id: 0,
                calls: Match {
                    method: Some("DELETE".to_owned()),
                    ..Match::default()
                },
                times: Times::default(),
                kind: FaultKind::Delay { ms: 5_000 },
            })
        });
        delete(world, "meter").await;
        until("the package is gone", async || {
            (!world.platform.has("app-1", "package-00001")).then_some(())
        })
        .await;
        operator.crash().await;
        sleep(Duration::from_secs(60)).await;
        assert!(world.package("fleet", "meter").is_some());
        assert!(world.paper.lines().is_empty());

        let operator = world.start("vpo-0");
        world.goes("fleet", "meter").await;
        let deletions = world.platform.deletions("package-00001");
        assert_eq!(deletions, [Verdict::Deleted, Verdict::NotFound]);
        let lines = world.paper.lines();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["outcome"], "AlreadyGone");
        assert_eq!(lines[0]["earlierAttempts"], 1);
        operator.stop().await.unwrap();
    });
}

#[test]
fn no_request_of_a_crashed_process_arrives() {
    run(3, async |world| {
        furnish(world).await;
        let operator = world.start("vpo-0");
        wish(world, "meter", "package-00001").await;
        operator.crash().await;
        delete(world, "meter").await;
        let said = world.trace.lines_of("vpo-0");
        sleep(LEASE * 10).await;
        assert_eq!(world.trace.lines_of("vpo-0"), said);
        assert!(world.platform.has("app-1", "package-00001"));
    });
}

/// The pods that have called the platform since the call number `since`.
fn callers(world: &World, since: usize) -> BTreeSet<String> {
    let calls = world.platform.calls().into_iter().skip(since);
    calls.map(|call| call.by).collect()
}

#[test]
fn only_the_lease_holder_calls_and_the_other_process_succeeds_it() {
    run(4, async |world| {
        furnish(world).await;
        let first = world.start("vpo-0");
        wish(world, "meter", "package-00001").await;
        wish(world, "valve", "package-00002").await;
        let second = world.start("vpo-1");
        delete(world, "meter").await;
        world.goes("fleet", "meter").await;
        let lease = world.people.get("leases", HOME, HOME).unwrap();
        assert_eq!(lease["spec"]["holderIdentity"], "vpo-0_uid");
        assert_eq!(callers(world, 0), BTreeSet::from(["vpo-0".to_owned()]));

        let before = world.platform.calls().len();
        first.stop().await.unwrap();
        delete(world, "valve").await;
        world.goes("fleet", "valve").await;
        let lease = world.people.get("leases", HOME, HOME).unwrap();
        assert_eq!(lease["spec"]["holderIdentity"], "vpo-1_uid");
        assert_eq!(callers(world, before), BTreeSet::from(["vpo-1".to_owned()]));
        let deletions = world.platform.deletions("package-00002");
        assert_eq!(deletions, [Verdict::Deleted]);
        second.stop().await.unwrap();
    });
}
