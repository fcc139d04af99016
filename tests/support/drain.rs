//! Deletes a whole fleet at once, and compares its calls with those of an ideal client.

use std::time::Duration;

use tokio::sync::Mutex;

use super::pace::{self, Call};
use super::{Fleet, wait_for};

/// The result of deleting a fleet.
pub struct Drain {
    /// When each deletion was requested, in order: when the test's watch first saw the object marked.
    pub asked: Vec<Duration>,
    /// When the last object was gone.
    pub gone: Duration,
    /// All calls that the platform received during the drain.
    pub calls: Vec<Call>,
    /// The number of the operator's writes to each object after its creation, including refused ones.
    pub birth_writes: Vec<usize>,
    /// The number of the operator's writes to each object after its deletion was requested.
    pub deletion_writes: Vec<usize>,
    /// The number of events that the operator wrote during the drain.
    pub events: usize,
}

/// The speed of the calls, compared with an ideal client.
pub struct Pace {
    /// The time from the first requested deletion to the arrival of the last call.
    pub time: Duration,
    /// The same time for the ideal client.
    pub floor: Duration,
    /// The delay of each call compared with the ideal client.
    pub behind: Vec<Duration>,
}

impl Fleet<'_> {
    /// Deletes all objects with one `deletecollection` and waits until the last is gone. `floor` is the least time that
    /// this can take.
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

    /// As [`Self::drain`], without counting writes and events, for an audit log that is too long to be read often. The
    /// holder of `turn` sends its requests first.
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
    /// Compares the calls with those of an ideal client ([`pace::ideal`]).
    pub fn pace(&self, quota: usize, window: Duration) -> Pace {
        let start = *self.asked.first().expect("a delete");
        // The calls besides the deletes are logins, which are needed from the first delete on.
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

    /// The number of calls with this verdict.
    pub fn verdicts(&self, verdict: &str) -> usize {
        let calls = self.calls.iter();
        calls.filter(|call| call.verdict == verdict).count()
    }
}

fn last(times: impl Iterator<Item = Duration>, start: Duration) -> Duration {
    times.max().expect("a call").saturating_sub(start)
}
