//! The pure rooms together with a small API server and platform, through any history of edits, deletes,
//! re-creations, restarts and answers: no wrong delete, no orphan, no hold passed, progress at the end.

mod checks;
mod operator;
mod server;
mod world;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use self::world::{Reply, World};
use crate::api::platform::Mode;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const FILES: [&str; 4] = ["f-1", "f-2", "f-3", "f-4"];

/// What may happen next.
#[derive(Debug, Clone)]
enum Step {
    Create {
        name: usize,
        file: usize,
        expect: u8,
    },
    Retire(usize),
    Activate(usize),
    Delete(usize),
    /// Finalizers are taken off by force, and the next sync creates the object anew.
    Replace(usize),
    Retain(usize),
    Pause(usize),
    Resume(usize),
    Label(usize),
    Observe,
    Enforce,
    OtherApplication,
    OwnApplication,
    Bound(usize),
    Release,
    Record,
    Deliver(usize),
    Relist,
    BeginList,
    EndList,
    Permit(usize),
    Pass(usize, Reply),
    /// The way of an object in good times: it is seen, permitted and looked at, some times in a row.
    Turn(usize, Reply),
    Wait(u64),
    Restart,
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        6 => Just(Reply::Done),
        1 => Just(Reply::DoneLost),
        1 => Just(Reply::Unavailable),
        1 => Just(Reply::Throttled),
        1 => Just(Reply::BareNotFound),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        5 => (name.clone(), 0..FILES.len(), 0..6_u8).prop_map(|(name, file, expect)| Step::Create { name, file, expect }),
        2 => name.clone().prop_map(Step::Retire),
        1 => name.clone().prop_map(Step::Activate),
        4 => name.clone().prop_map(Step::Delete),
        1 => name.clone().prop_map(Step::Replace),
        1 => name.clone().prop_map(Step::Retain),
        1 => name.clone().prop_map(Step::Pause),
        1 => name.clone().prop_map(Step::Resume),
        1 => name.clone().prop_map(Step::Label),
        1 => Just(Step::Observe),
        2 => Just(Step::Enforce),
        1 => Just(Step::OtherApplication),
        2 => Just(Step::OwnApplication),
        1 => (0..4_usize).prop_map(Step::Bound),
        1 => Just(Step::Release),
        4 => Just(Step::Record),
        12 => (1..6_usize).prop_map(Step::Deliver),
        1 => Just(Step::Relist),
        1 => Just(Step::BeginList),
        1 => Just(Step::EndList),
        10 => name.clone().prop_map(Step::Permit),
        30 => (name.clone(), reply()).prop_map(|(name, reply)| Step::Pass(name, reply)),
        8 => (name, reply()).prop_map(|(name, reply)| Step::Turn(name, reply)),
        4 => prop_oneof![Just(1_u64), Just(16), Just(31), Just(700)].prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

fn take(world: &mut World, step: &Step, listing: &mut bool) {
    let name = |index: &usize| NAMES[*index];
    match step {
        Step::Create {
            name: index,
            file,
            expect,
        } => {
            let file = FILES[*file];
            let mut spec = json!({"fileId": file, "platformRef": {"name": "production"}});
            match expect {
                0 => spec["expect"] = json!({"version": format!("V-{file}")}),
                1 => spec["expect"] = json!({"version": "another"}),
                _ => {}
            }
            world.server.create(name(index), &spec);
        }
        Step::Retire(index) => world.set_lifecycle(name(index), "Retired"),
        Step::Activate(index) => world.set_lifecycle(name(index), "Active"),
        Step::Delete(index) => world.server.delete(name(index), world.now),
        Step::Replace(index) => {
            world.server.strip(name(index));
            let spec = json!({"fileId": FILES[0], "platformRef": {"name": "production"}});
            world.server.create(name(index), &spec);
        }
        Step::Retain(index) => world.server.edit(name(index), |o| {
            o["spec"]["deletionPolicy"] = json!("Retain");
        }),
        Step::Pause(index) => world.server.edit(name(index), |o| {
            o["metadata"]["annotations"] = json!({"iodm.dev/paused": "true"});
        }),
        Step::Resume(index) => world
            .server
            .edit(name(index), |o| o["metadata"]["annotations"] = json!({})),
        Step::Label(index) => world
            .server
            .edit(name(index), |o| o["metadata"]["labels"] = json!({"x": "y"})),
        Step::Observe => world.mode = Mode::Observe,
        Step::Enforce => world.mode = Mode::Enforce,
        Step::OtherApplication => world.application = "app-2".parse().unwrap(),
        Step::OwnApplication => world.application = "app-1".parse().unwrap(),
        Step::Bound(most) => world.set_bound(*most),
        Step::Release => world.release(),
        Step::Record => world.record(),
        Step::Deliver(count) => {
            if !*listing {
                world.deliver(*count);
            }
        }
        Step::Relist => {
            world.relist();
            *listing = false;
        }
        Step::BeginList => {
            world.begin_list();
            *listing = true;
        }
        Step::EndList => {
            if std::mem::take(listing) {
                world.end_list();
            }
        }
        Step::Permit(index) => world.permit(name(index)),
        Step::Pass(index, reply) => world.pass(name(index), *reply),
        Step::Turn(index, reply) => {
            for _ in 0..4 {
                if !*listing {
                    world.deliver(usize::MAX);
                }
                world.permit(name(index));
                world.pass(name(index), *reply);
            }
        }
        Step::Wait(seconds) => world.pass_time(Duration::from_secs(*seconds)),
        Step::Restart => {
            world.restart();
            *listing = false;
        }
    }
}

/// How many histories are explored: few in each run of the tests, as many as wanted by `VPO_HISTORIES`.
fn histories() -> u32 {
    let asked = std::env::var("VPO_HISTORIES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), max_shrink_iters: 4000, ..ProptestConfig::default() })]
    #[test]
    fn any_history_ends_well_and_never_deletes_what_somebody_wants(
        steps in proptest::collection::vec(step(), 1..160)
    ) {
        let mut world = World::new();
        world.packages.extend(FILES.map(str::to_owned));
        let mut listing = false;
        for step in &steps {
            take(&mut world, step, &mut listing);
        }
        world.finish();
    }
}
