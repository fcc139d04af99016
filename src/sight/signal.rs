//! A signal that wakes its listeners in the order in which they began to wait. tokio's `watch` wakes several
//! listeners in random order, which would make the order of their actions random.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// A counter of changes that wakes its listeners at each change.
#[derive(Debug, Clone, Default)]
pub(super) struct Signal(Arc<State>);

#[derive(Debug, Default)]
struct State {
    count: AtomicU64,
    given: Notify,
}

impl Signal {
    /// Counts one more change and wakes the listeners.
    pub(super) fn give(&self) {
        self.0.count.fetch_add(1, Ordering::Release);
        self.0.given.notify_waiters();
    }

    /// The number of changes so far.
    pub(super) fn count(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }

    /// A listener to all changes from now on.
    pub(super) fn listen(&self) -> Listener {
        Listener {
            signal: self.clone(),
            heard: self.count(),
        }
    }
}

/// A listener to the changes of a signal.
#[derive(Debug, Clone)]
pub struct Listener {
    signal: Signal,
    heard: u64,
}

impl Listener {
    /// Waits for a change that this listener has not seen. If the future is dropped before its end, the change still
    /// counts as unseen.
    pub async fn changed(&mut self) {
        let State { count, given } = &*self.signal.0;
        loop {
            let next = given.notified();
            let count = count.load(Ordering::Acquire);
            if count != self.heard {
                self.heard = count;
                return;
            }
            next.await;
        }
    }

    /// Marks all changes so far as seen; returns their number.
    pub fn catch_up(&mut self) -> u64 {
        self.heard = self.signal.count();
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn all_who_listen_are_told_in_the_order_in_which_they_began_to_wait() {
        let (signal, told) = (Signal::default(), Arc::new(Mutex::new(Vec::new())));
        let listeners: Vec<_> = (0..50)
            .map(|number| {
                let (mut listener, told) = (signal.listen(), Arc::clone(&told));
                tokio::spawn(async move {
                    listener.changed().await;
                    told.lock().unwrap().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        signal.give();
        for listener in listeners {
            listener.await.unwrap();
        }
        assert_eq!(*told.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_before_the_wait_is_heard_once_and_one_before_the_listener_never() {
        let signal = Signal::default();
        signal.give();
        let mut listener = signal.listen();
        signal.give();
        signal.give();
        listener.changed().await;
        {
            let mut again = std::pin::pin!(listener.changed());
            assert!(futures::poll!(&mut again).is_pending());
            signal.give();
            again.await;
        }
        assert_eq!(listener.catch_up(), 4);
    }
}
