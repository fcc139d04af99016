//! Writes lines on a thread of its own, so that callers never wait for the reader at the other end.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The capacity of the queue, in lines. Further lines are dropped.
const WAITING: usize = 4096;
/// The pause between two attempts to queue a flush while the queue is full.
const AGAIN: Duration = Duration::from_millis(5);

/// The queue of lines. Each call of `write` adds one line. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lines {
    waiting: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// A request that is answered once all earlier lines are written.
    Flush(SyncSender<()>),
}

impl Lines {
    /// Starts a thread that writes to `target`. The thread calls `told` with the number of dropped lines as soon as it
    /// writes lines again.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn to(
        target: impl Write + Send + 'static,
        told: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let (waiting, items) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&dropped);
        let write = move || write_all(&items, target, &counted, told);
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(write)?;
        Ok(Self { waiting, dropped })
    }

    /// The number of lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines so far are written, but at most for `patience`.
    pub fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let (done, written) = sync_channel(1);
        let mut flush = Item::Flush(done);
        while let Err(TrySendError::Full(item)) = self.waiting.try_send(flush) {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(AGAIN);
            flush = item;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let _ = written.recv_timeout(left);
    }
}

fn write_all(
    items: &Receiver<Item>,
    mut target: impl Write,
    dropped: &AtomicU64,
    told: impl Fn(u64),
) {
    let mut known = 0;
    for item in items {
        match item {
            // A target without a reader is no error: there is nobody to report it to.
            Item::Line(line) => drop(target.write_all(&line)),
            Item::Flush(done) => drop(done.try_send(())),
        }
        let now = dropped.load(Ordering::Relaxed);
        if now > known {
            told(now - known);
            known = now;
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waiting.try_send(Item::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// A target that accepts each line only after a signal.
    struct Gate(Receiver<()>, Arc<parking_lot::Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_target_loses_counted_and_reported_lines_and_delays_no_caller() {
        let (open, gate) = channel();
        let (tell, told) = channel();
        let taken = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let target = Gate(gate, Arc::clone(&taken));
        let mut lines = Lines::to(target, move |count| tell.send(count).unwrap()).unwrap();
        let begun = Instant::now();
        for _ in 0..2 * WAITING {
            lines.write_all(b"a line\n").unwrap();
        }
        lines.flush(Duration::from_millis(10));
        assert!(begun.elapsed() < Duration::from_secs(5));
        // The writer may hold one line.
        let dropped = lines.dropped();
        let most = u64::try_from(WAITING).unwrap();
        assert!((most - 1..=most).contains(&dropped), "{dropped}");
        drop(open);
        lines.flush(Duration::from_secs(10));
        assert_eq!(told.recv().unwrap(), dropped);
        let whole = taken.lock().len() / b"a line\n".len();
        assert_eq!(u64::try_from(whole).unwrap() + dropped, 2 * most);
    }
}
