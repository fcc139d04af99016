//! A pass's right to talk to the API server: there are few, so that ten thousand passes at once don't
//! open as many connections and leave the Lease no room.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One of the slots of a semaphore, which is never closed. Whoever waits longest gets the next.
pub struct Slot {
    slots: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// Waits for a slot.
    pub async fn taken(slots: &Arc<Semaphore>) -> Self {
        let mut slot = Self {
            slots: Arc::clone(slots),
            held: None,
        };
        slot.take().await;
        slot
    }

    /// Lets others have it, until [`Self::take`].
    pub fn give_back(&mut self) {
        self.held = None;
    }

    /// Waits for a slot once more; nothing where one is held.
    pub async fn take(&mut self) {
        if self.held.is_none() {
            self.held = Arc::clone(&self.slots).acquire_owned().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_slot_that_was_given_back_is_taken_again_in_turn() {
        let slots = Arc::new(Semaphore::new(1));
        let mut first = Slot::taken(&slots).await;
        let mut second = std::pin::pin!(Slot::taken(&slots));
        assert!(poll!(&mut second).is_pending());
        first.give_back();
        let second = second.await;
        let mut again = std::pin::pin!(first.take());
        assert!(poll!(&mut again).is_pending());
        drop(second);
        again.await;
        assert_eq!(slots.available_permits(), 0);
    }
}
