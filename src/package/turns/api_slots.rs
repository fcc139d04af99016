//! Slots for the API server. Their number is small, so that ten thousand passes don't open ten thousand connections,
//! and the Lease can still be renewed.
//!
//! A write that takes over a second gives its slot back. From then on the writes of its namespace use separate places
//! (`slow.rs`), and the object of a hanging write gives up its seat. While no write of a namespace is answered, no
//! object there asks for a permit.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::api::names::ObjectKey;
use crate::package::turns::slow::{SLOW, Slow};
use crate::writes::End;

/// Error message of a write that gets no place.
const CROWDED: &str = "writes to objects of this namespace take very long, as happens behind an admission webhook that doesn't answer; \
                       the write of this object waits until other writes have ended";

/// All slots. Passes that return from the platform have slots of their own, so that hundreds of answers don't delay the
/// first call of a new deletion.
#[derive(Clone)]
pub(in crate::package) struct Slots {
    beginning: Arc<Semaphore>,
    returning: Arc<Semaphore>,
    slow: Arc<Slow>,
}

/// The slot of one pass. Slots of each kind are given out in the order of the requests; the semaphores are never
/// closed.
pub struct Slot {
    slots: Slots,
    held: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// Creates `beginning` slots for passes that begin, and `returning` slots for passes that return from the platform.
    pub(in crate::package) fn new(beginning: usize, returning: usize, slow: Arc<Slow>) -> Self {
        Self {
            beginning: Arc::new(Semaphore::new(beginning)),
            returning: Arc::new(Semaphore::new(returning)),
            slow,
        }
    }

    /// Waits for a slot for a beginning pass.
    pub(in crate::package) async fn begin(&self) -> Slot {
        Slot {
            slots: self.clone(),
            held: Arc::clone(&self.beginning).acquire_owned().await.ok(),
        }
    }
}

impl Slot {
    /// Gives the slot to other passes, until [`Self::take`].
    pub fn give_back(&mut self) {
        self.held = None;
    }

    /// Waits for a slot for a returning pass, unless the pass holds a slot.
    pub async fn take(&mut self) {
        if self.held.is_none() {
            let returning = Arc::clone(&self.slots.returning);
            self.held = returning.acquire_owned().await.ok();
        }
    }

    /// Waits for `reads` of the API server. After a second the slot is given back, and it isn't taken again before the
    /// result is returned.
    pub async fn read<T>(&mut self, reads: impl Future<Output = T>) -> T {
        let mut reads = pin!(reads);
        if let Ok(read) = timeout(SLOW, &mut reads).await {
            return read;
        }
        self.give_back();
        reads.await
    }

    /// Makes a write to the object `key`. A write of over a second gives its slot back. From then on the writes of its
    /// namespace need separate places for a while, and a write without a free place fails at once. `hangs` is called if
    /// the write is slow and no other write of the namespace is answered either.
    pub async fn write(
        &mut self,
        key: &ObjectKey,
        write: impl Future<Output = End>,
        hangs: impl FnOnce(),
    ) -> End {
        let slow = Arc::clone(&self.slots.slow);
        let namespace = &key.namespace;
        let mut place = None;
        if slow.is(namespace, Instant::now()) {
            self.give_back();
            place = slow.admit(key, Instant::now());
            if place.is_none() {
                return End::Failed(CROWDED.to_owned());
            }
        } else {
            self.take().await;
        }
        let begun = Instant::now();
        let mut write = pin!(write);
        let end = if let Ok(end) = timeout(SLOW, &mut write).await {
            end
        } else {
            let place = place.get_or_insert_with(|| slow.turned_out(key, begun));
            place.is_slow();
            if place.counts {
                self.give_back();
            }
            if slow.hangs(key, Instant::now()) {
                hangs();
            }
            write.await
        };
        match (place, &end) {
            (Some(place), End::Taken(_) | End::Conflict(_) | End::Gone | End::Refused(_)) => {
                place.answered();
            }
            (Some(_), End::Failed(_)) | (None, _) => {}
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use futures::future::join_all;
    use futures::poll;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn who_returns_waits_for_others_that_return_and_keeps_nobody_from_beginning() {
        let slots = Slots::new(1, 1, Arc::default());
        let mut first = slots.begin().await;
        let mut begins = Box::pin(slots.begin());
        assert!(poll!(&mut begins).is_pending());
        first.give_back();
        let mut second = begins.await;
        first.take().await;
        second.give_back();
        let mut returns = Box::pin(second.take());
        assert!(poll!(&mut returns).is_pending());
        let third = slots.begin().await;
        drop(first);
        returns.await;
        assert!(third.held.is_some() && second.held.is_some());
    }

    /// Duration of one write.
    const QUICK: Duration = Duration::from_millis(5);
    /// Duration of a write that is given up.
    const GIVEN_UP: Duration = Duration::from_secs(10);

    async fn taken() -> End {
        sleep(QUICK).await;
        End::Taken(serde_json::Value::Null)
    }

    async fn hanging() -> End {
        sleep(GIVEN_UP).await;
        End::Failed("no answer".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_hang_in_one_namespace_hold_up_those_of_another_for_a_second_once() {
        let slots = Slots::new(2, 2, Arc::default());
        let (dead, other) = (ObjectKey::new("dead", "a"), ObjectKey::new("other", "a"));
        let (slots, dead, other) = (&slots, &dead, &other);
        let over = Cell::new(false);
        let over = &over;
        // Each failed write is tried again.
        let tries = (0..300).map(|_| async move {
            while !over.get() {
                let mut slot = slots.begin().await;
                let end = slot.write(dead, hanging(), || {}).await;
                drop(slot);
                assert!(matches!(end, End::Failed(_)));
                sleep(Duration::from_secs(1)).await;
            }
        });
        let quick = async {
            let mut waits = Vec::new();
            for _ in 0..100 {
                let since = Instant::now();
                let mut slot = slots.begin().await;
                let end = slot.write(other, taken(), || {}).await;
                assert!(matches!(end, End::Taken(_)));
                waits.push(since.elapsed());
                drop(slot);
                sleep(Duration::from_secs(1)).await;
            }
            over.set(true);
            waits
        };
        let (_, waits) = tokio::join!(join_all(tries), quick);
        assert!(waits[0] <= SLOW + 2 * QUICK, "{waits:?}");
        assert!(
            waits[1..].iter().all(|wait| *wait <= 2 * QUICK),
            "{waits:?}"
        );
    }

    /// Backoff after this number of consecutive failures.
    fn pause(failures: u32) -> Duration {
        let whole = Duration::from_millis(500).saturating_mul(1 << failures.min(6));
        whole
            .min(Duration::from_secs(30))
            .mul_f64(1.0 - fastrand::f64() / 2.0)
    }

    #[tokio::test(start_paused = true)]
    async fn beside_three_hundred_objects_that_hang_another_of_their_namespace_waits_for_minutes_once()
     {
        fastrand::seed(1);
        let slots = Slots::new(16, 16, Arc::default());
        let key = |name: String| ObjectKey::new("lame", name);
        let over = Cell::new(false);
        let (slots, over) = (&slots, &over);
        let hang = (0..300).map(|number| async move {
            let (key, mut failures) = (key(format!("h-{number}")), 0);
            while !over.get() {
                let mut slot = slots.begin().await;
                slot.write(&key, hanging(), || {}).await;
                drop(slot);
                sleep(pause(failures)).await;
                failures += 1;
            }
        });
        let begun = Instant::now();
        let good = (0..20).map(|number| async move {
            let (key, mut waits) = (key(format!("g-{number}")), Vec::new());
            for _ in 0..10 {
                let since = Instant::now();
                for failures in 0.. {
                    let mut slot = slots.begin().await;
                    let end = slot.write(&key, taken(), || {}).await;
                    drop(slot);
                    if matches!(end, End::Taken(_)) {
                        break;
                    }
                    sleep(pause(failures)).await;
                }
                waits.push(since.elapsed());
                sleep(Duration::from_secs(60)).await;
            }
            waits
        });
        let good = async {
            let waits = join_all(good).await;
            over.set(true);
            waits
        };
        let (_, waits) = tokio::join!(join_all(hang), good);
        let longest = |number: usize| waits.iter().map(|of_one| of_one[number]).max();
        let longest: Vec<_> = (0..10).map(|number| longest(number).unwrap()).collect();
        println!("{longest:?} within {:?}", begun.elapsed());
        // The first write waits until each hanging write has been tried once.
        assert!(longest[0] <= Duration::from_secs(200), "{longest:?}");
        // Later writes are not delayed by the hanging writes.
        assert!(longest[5..].iter().all(|wait| *wait <= SLOW), "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn reads_that_take_long_hold_no_slot() {
        let slots = Slots::new(1, 1, Arc::default());
        let mut slot = slots.begin().await;
        assert_eq!(slot.read(async { 1 }).await, 1);
        assert!(slot.held.is_some());
        let reads = slot.read(sleep(GIVEN_UP));
        let begun = Instant::now();
        let begins = async {
            let _other = slots.begin().await;
            begun.elapsed()
        };
        let ((), waited) = tokio::join!(reads, begins);
        assert_eq!(waited, SLOW);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_hangs_tells_so_once_it_is_slow_unless_others_are_answered() {
        let slots = Slots::new(2, 2, Arc::default());
        let key = ObjectKey::new("n", "a");
        let told = Cell::new(None);
        let begun = Instant::now();
        let tell = || told.set(Some(begun.elapsed()));
        let mut slot = slots.begin().await;
        slot.write(&key, hanging(), tell).await;
        assert_eq!(told.take(), Some(SLOW));
        let late = async {
            sleep(2 * SLOW).await;
            End::Taken(serde_json::Value::Null)
        };
        slot.write(&key, late, || {}).await;
        slot.write(&key, hanging(), tell).await;
        assert_eq!(told.take(), None, "it may only take its time");
    }
}
