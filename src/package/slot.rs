//! A pass's right to talk to the API server: there are few, so that ten thousand passes at once don't
//! open as many connections and leave the Lease no room.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many passes may talk to the API server at once. Those that come back from the platform have
/// slots of their own, so that hundreds of answers don't keep a new deletion from its first call.
#[derive(Clone)]
pub(super) struct Slots {
    beginning: Arc<Semaphore>,
    returning: Arc<Semaphore>,
}

/// One slot. Of each kind, whoever waits longest gets the next; they are never closed.
pub struct Slot {
    slots: Slots,
    held: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// So many for passes that begin, and for those that return from the platform.
    pub(super) fn new(beginning: usize, returning: usize) -> Self {
        Self {
            beginning: Arc::new(Semaphore::new(beginning)),
            returning: Arc::new(Semaphore::new(returning)),
        }
    }

    /// Waits for a slot to begin with.
    pub(super) async fn begin(&self) -> Slot {
        Slot {
            slots: self.clone(),
            held: Arc::clone(&self.beginning).acquire_owned().await.ok(),
        }
    }
}

impl Slot {
    /// Lets others have it, until [`Self::take`].
    pub fn give_back(&mut self) {
        self.held = None;
    }

    /// Waits for a slot to return with; nothing where one is held.
    pub async fn take(&mut self) {
        if self.held.is_none() {
            let returning = Arc::clone(&self.slots.returning);
            self.held = returning.acquire_owned().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn who_returns_waits_for_others_that_return_and_keeps_nobody_from_beginning() {
        let slots = Slots::new(1, 1);
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
}
