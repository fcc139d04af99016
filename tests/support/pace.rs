//! The ideal and the actual speed of calls under a quota.

use std::time::Duration;

use serde_json::Value;

/// One call in the platform's ledger. Times are since the Unix epoch, on this machine's clock.
#[derive(Debug, Clone)]
pub struct Call {
    /// When the call arrived, which is the time that the quota uses.
    pub arrived: Duration,
    /// When the answer was sent.
    pub answered: Duration,
    /// The result, such as `deleted` or `throttled`.
    pub verdict: String,
}

impl Call {
    /// Parses a row of the ledger; `None` for a call without an answer (yet).
    pub fn read(row: &Value) -> Option<Self> {
        let text = |field: &str| row[field].as_str().expect("a text").to_owned();
        let arrived = since_epoch(text("time").parse().expect("a time"));
        let took = row["doneMs"].as_f64()? - row["ms"].as_f64().expect("a number");
        Some(Self {
            arrived,
            answered: arrived + Duration::from_secs_f64(took.max(0.0) / 1e3),
            verdict: text("verdict"),
        })
    }
}

/// The time since the Unix epoch.
pub fn since_epoch(time: k8s_openapi::jiff::Timestamp) -> Duration {
    Duration::try_from(time.as_duration()).expect("a time after 1970")
}

/// The current time since the Unix epoch.
pub fn now() -> Duration {
    since_epoch(k8s_openapi::jiff::Timestamp::now())
}

/// The arrival times of the calls of an ideal client that needs no time of its own.
///
/// Its call i is sent as soon as it is requested and the answer to its call i - `quota` is a `window` old. A client
/// can't know whether a platform that counts calls on arrival would accept it earlier. Both clients get their requests
/// at the same times (`asked`, in order), and their calls i are answered after the same latency. But the ideal client
/// waits for its own answers and not for the real ones, so time lost in one window isn't forgiven in the next.
pub fn ideal(
    asked: &[Duration],
    latencies: &[Duration],
    quota: usize,
    window: Duration,
) -> Vec<Duration> {
    assert_eq!(asked.len(), latencies.len(), "one answer for each call");
    assert!(asked.is_sorted(), "calls are asked for in order");
    let mut calls: Vec<Duration> = Vec::with_capacity(asked.len());
    for (index, asked) in asked.iter().enumerate() {
        let past = index.checked_sub(quota);
        let paced = past.map_or(Duration::ZERO, |past| {
            calls[past] + latencies[past] + window
        });
        calls.push(paced.max(*asked));
    }
    calls
}

/// The most calls that arrived within any period of one window's length.
pub fn most_in_window(calls: &[Call], window: Duration) -> usize {
    let mut times: Vec<_> = calls.iter().map(|call| call.arrived).collect();
    times.sort_unstable();
    most_within(&times, window)
}

/// The most of the sorted times within any period of one window's length.
pub fn most_within(times: &[Duration], window: Duration) -> usize {
    let within = |(index, start): (usize, &Duration)| {
        times.partition_point(|time| *time < *start + window) - index
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}
