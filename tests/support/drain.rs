//! A fleet that is deleted at once, and how its calls went compared with those of an ideal client.

use std::time::Duration;

use tokio::sync::Mutex;

use super::pace::{self, Call};
use super::{Fleet, wait_for};

/// What came of a fleet that was deleted at once.
pub struct Drain {
    /// When each delete was asked for, in order: when a watch of our own first saw the object marked.
    pub asked: Vec<Duration>,
    /// When the last object was gone.
    pub gone: Duration,
    /// Every call that the platform saw meanwhile.
    pub calls: Vec<Call>,
    /// Writes of the operator to each object at its birth, refused ones included.
    pub birth_writes: Vec<usize>,
    /// The same for its deletion.
    pub deletion_writes: Vec<usize>,
    /// Events that the operator wrote meanwhile.
    pub events: usize,
}

/// Real calls beside those of an ideal client.
pub struct Pace {
    /// From the first delete that was asked for to the arrival of the last call.
    pub time: Duration,
    /// The same of the ideal client.
    pub floor: Duration,
    /// How much later than the ideal one each call arrived.
    pub behind: Vec<Duration>,
}

impl Fleet<'_> {
    /// Deletes all with one `deletecollection`, and waits until the last is gone, which `floor` is the least time for.
    pub async fn drain(&self, floor: Duration) -> Drain {
        let begun = pace::now();
        let drain = self.drain_unaudited(floor, &Mutex::default()).await;
        let deletion_writes = wait_for("the audit log", Duration::from_secs(10), async || {
            let writes = self.writes(begun, Duration::MAX);
            writes.values().all(|count| *count >= 2).then_some(writes)
        })
        .await;
        Drain {
            birth_writes: self.writes(self.born, begun).into_values().collect(),
            deletion_writes: deletion_writes.into_values().collect(),
            events: self.operator_writes("events", begun, Duration::MAX).len(),
            ..drain
        }
    }

    /// The same without a look at writes and events, for an audit log too long to be read many times; whoever holds `turn`
    /// asks first.
    pub async fn drain_unaudited(&self, floor: Duration, turn: &Mutex<()>) -> Drain {
        let ends = self.follow_ends().await;
        let turn = turn.lock().await;
        let begun = self.delete_all().await;
        drop(turn);
        let (asked, gone) = tokio::time::timeout(floor * 2 + Duration::from_secs(30), ends)
            .await
            .expect("all objects go in time")
            .expect("the watch goes on to the end");
        Drain {
            asked,
            gone,
            calls: self.calls(begun).await,
            birth_writes: Vec::new(),
            deletion_writes: Vec::new(),
            events: 0,
        }
    }
}

impl Drain {
    /// How the calls went compared with those of an ideal client ([`pace::ideal`]).
    pub fn pace(&self, quota: usize, window: Duration) -> Pace {
        let start = *self.asked.first().expect("a delete");
        // Beside the deletes there may be logins, which are calls too; they are asked for with the first delete.
        let logins = self.calls.len().saturating_sub(self.asked.len());
        let asked: Vec<_> = std::iter::repeat_n(start, logins)
            .chain(self.asked.iter().copied())
            .collect();
        let latency = |call: &Call| call.answered.saturating_sub(call.arrived);
        let latencies: Vec<_> = self.calls.iter().map(latency).collect();
        let ideal = pace::ideal(&asked, &latencies, quota, window);
        let behind = self.calls.iter().zip(&ideal);
        Pace {
            time: last(self.calls.iter().map(|call| call.arrived), start),
            floor: last(ideal.iter().copied(), start),
            behind: behind
                .map(|(call, ideal)| call.arrived.saturating_sub(*ideal))
                .collect(),
        }
    }

    /// How many calls ended with this verdict.
    pub fn verdicts(&self, verdict: &str) -> usize {
        let calls = self.calls.iter();
        calls.filter(|call| call.verdict == verdict).count()
    }
}

fn last(times: impl Iterator<Item = Duration>, start: Duration) -> Duration {
    times.max().expect("a call").saturating_sub(start)
}
