//! Runs passes over the keys of the work queue: several at once, and at most one for each object.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::api::names::ObjectKey;
use crate::package::turns::api_slots::{Slot, Slots};
use crate::package::turns::slow::Slow;
use crate::package::turns::workqueue::Workqueue;

/// Maximum number of passes that may use the API server at once, before and after their call to the platform. Passes
/// that wait for the platform don't count. With a higher number, a single deletion waits behind the requests of all
/// other passes. With half of this number, a new object waits too long behind ten thousand objects that each write.
const BEGINNING: usize = 16;
const RETURNING: usize = 16;

/// Runs `pass` over each due object until `cancel`, then waits for the passes under way. `pass` returns when to look at
/// the object again without a wake-up. `ended` is called after each pass with the time since which the object was due.
pub(in crate::package) async fn serve<F>(
    queue: Arc<Workqueue>,
    places: Arc<Slow>,
    cancel: CancellationToken,
    pass: impl Fn(ObjectKey, Slot) -> F,
    ended: impl Fn(Instant) + Clone + Send + 'static,
) where
    F: Future<Output = Option<Instant>> + Send + 'static,
{
    let passes = TaskTracker::new();
    let slots = Slots::new(BEGINNING, RETURNING, places);
    loop {
        let next = async {
            let slot = slots.begin().await;
            (slot, queue.next().await)
        };
        let (slot, key) = tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            next = next => next,
        };
        let span = tracing::info_span!("pass", object = %key);
        let (queue, ended, run) = (Arc::clone(&queue), ended.clone(), pass(key.clone(), slot));
        passes.spawn(
            async move {
                let wake = run.await;
                if let Some(due) = queue.done(&key, wake) {
                    ended(due);
                }
            }
            .instrument(span),
        );
    }
    passes.close();
    passes.wait().await;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use parking_lot::Mutex;
    use tokio::time::{advance, sleep};

    use super::*;

    /// Duration of one write to the API server.
    const WRITE: Duration = Duration::from_millis(3);
    const PARKED: usize = 10_000;
    const NEW: usize = 100;

    fn key(name: &str, number: usize) -> ObjectKey {
        ObjectKey::new(name, number.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_new_objects_are_looked_at_within_a_second_beside_ten_thousand_parked_ones() {
        fastrand::seed(1);
        let queue = Arc::new(Workqueue::new(|_| None));
        let begun = Arc::new(Mutex::new(HashMap::<ObjectKey, Instant>::new()));
        let cancel = CancellationToken::new();
        let pass = {
            let begun = Arc::clone(&begun);
            move |key: ObjectKey, slot: Slot| {
                let begun = Arc::clone(&begun);
                async move {
                    begun.lock().entry(key).or_insert_with(Instant::now);
                    sleep(WRITE).await;
                    drop(slot);
                    // Each parked object is looked at again and again, at random times.
                    Some(Instant::now() + Duration::from_millis(fastrand::u64(500..5000)))
                }
            }
        };
        let serving = tokio::spawn(serve(
            Arc::clone(&queue),
            Arc::default(),
            cancel.clone(),
            pass,
            |_| {},
        ));
        queue.add_all((0..PARKED).map(|number| key("parked", number)));
        let mut added = Vec::new();
        for number in 0..NEW {
            advance(Duration::from_millis(50)).await;
            // Some changes concern all parked objects.
            if number % 20 == 0 {
                queue.add_all((0..PARKED).map(|number| key("parked", number)));
            }
            added.push((key("new", number), Instant::now()));
            queue.add(key("new", number));
        }
        sleep(Duration::from_secs(5)).await;
        cancel.cancel();
        serving.await.unwrap();
        let begun = begun.lock();
        let mut waits: Vec<Duration> = added.iter().map(|(key, at)| begun[key] - *at).collect();
        waits.sort_unstable();
        let p99 = waits[NEW * 99 / 100];
        assert!(
            p99 <= Duration::from_secs(1),
            "p99 {p99:?}, the last {:?}",
            waits[NEW - 1]
        );
        assert!(
            begun.len() == PARKED + NEW,
            "every parked one had its turn too"
        );
    }
}
