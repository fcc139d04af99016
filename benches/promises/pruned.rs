//! Three thousand objects are removed from Git at once: how soon the hold appears, what it costs, and how other
//! deletions fare meanwhile.

use std::time::{Duration, Instant};

use futures::future::join3;
use serde_json::json;

use crate::bare_loop::BareLoop;
use crate::figures::{Row, Rows, number};
use crate::first_call::{self, Latencies};
use crate::stage::{Setting, Stage};
use crate::support::{Fleet, pace, ready};
use crate::twin;

/// The pause between two single deletes.
const APART: Duration = Duration::from_millis(100);
/// The target for the hold on the Platform, in seconds after the last requested delete.
const STANDS: f64 = 5.0;
/// The target for the Platform's status after an edit, in seconds.
const SAYS: f64 = 5.0;
/// The target for the statuses of ten thousand objects after an edit, in seconds.
const ALL_SAY: f64 = 60.0;

/// The cores of the processes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cores {
    /// The operator on one core, all others on another.
    Apart,
    /// No pinning, so that a single core for the control plane isn't the limit.
    Shared,
}

/// Prunes a fleet while single objects of another application are deleted, and then sets `mode: Observe`.
pub async fn run(bench: &'static str, quick: bool, cores: Cores) -> Vec<Row> {
    let (pruned, samples) = if quick { (1000, 100) } else { (3000, 500) };
    let stage = Stage::start().await;
    let setting = Setting {
        objects: pruned,
        calls: 100,
        seconds: 60,
    };
    let single = first_call::setting(samples);
    let other = stage.rig("other", &single).await;
    let one_by_one = Fleet::create(&other, 2..samples + 2).await;
    let rig = stage.rig("pruned", &setting).await;
    let guard = json!({"maxDeletions": 50, "window": "10m", "gracePeriod": "30s"});
    rig.patch("platform/production", &json!({"spec": {"guard": guard}}));
    let fleet = Fleet::create(&rig, 2..pruned + 2).await;
    one_by_one.warm_up(single.window()).await;
    let bare = stage.rig("bare", &single).await;
    let twin = twin::serve(stage.plane()).await;
    let twins = Fleet::of_kind(&bare, 2..samples + 2, &twin).await;
    let bare_loop = BareLoop::beside(&bare, &twin).await;
    if cores == Cores::Shared {
        stage.unpin(&[&other, &rig, &bare]).await;
    }

    let begun = pace::now();
    let prune = async {
        fleet.delete_all().await;
        let asked = Instant::now();
        rig.platform_becomes("production", "the hold to stand", |platform| {
            ready(platform)["reason"] == "MassDeletionHeld"
        })
        .await;
        let stands = asked.elapsed();
        fleet.held().await;
        (stands, asked.elapsed())
    };
    let singles = Latencies::of(&one_by_one, APART);
    let bares = Latencies::of(&twins, APART);
    let ((stands, all_held), latencies, bare) = join3(prune, singles, bares).await;
    drop(bare_loop);
    let writes = fleet.writes(begun, pace::now());
    let ledger = rig.simulator.ledger().await;
    let deletes = ledger.iter().filter(|call| call["method"] == "DELETE");
    let deletes = deletes.count();

    let said = fleet.follow_reason("WouldDelete").await;
    rig.patch("platform/production", &json!({"spec": {"mode": "Observe"}}));
    let edited = Instant::now();
    rig.platform_becomes("production", "Observe", |platform| {
        platform["status"]["observedGeneration"] == platform["metadata"]["generation"]
    })
    .await;
    let says = edited.elapsed();
    let said = tokio::time::timeout(Duration::from_secs(120), said);
    said.await
        .expect("all say so in time")
        .expect("the watch goes on to the end");
    let all_say = edited.elapsed();

    let mut rows = Rows::of(bench);
    rows.know("objects pruned at once", number(pruned), "");
    rows.at_most("the hold stands after", stands.as_secs_f64(), "s", STANDS);
    rows.know("all objects say so after", all_held.as_secs_f64(), "s");
    let most = writes.values().copied().max().unwrap_or(0);
    rows.at_most("writes to one object", number(most), "", 2.0);
    rows.exactly("calls for them", number(deletes), "", 0.0);
    rows.know("single deletes of another meanwhile", number(samples), "");
    latencies.tell(bare, &mut rows);
    let says = says.as_secs_f64();
    rows.at_most("the Platform says Observe after", says, "s", SAYS);
    let target = ALL_SAY * number(pruned) / 10_000.0;
    let all_say = all_say.as_secs_f64();
    rows.at_most("all objects say WouldDelete after", all_say, "s", target);
    rows.know(
        "peak memory of the operator",
        stage.peak_memory().await,
        "MiB",
    );
    rows.done()
}
