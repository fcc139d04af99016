//! The trace of all requests and answers, line by line with simulated times.

use std::fmt::{Display, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The lines so far. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trace {
    begun: Instant,
    text: Arc<Mutex<String>>,
}

impl Trace {
    /// An empty trace that starts now.
    pub fn begin() -> Self {
        Self {
            begun: Instant::now(),
            text: Arc::default(),
        }
    }

    /// Adds a line: `who` sent `what`.
    pub fn say(&self, who: &str, what: impl Display) {
        let at = self.begun.elapsed().as_secs_f64();
        writeln!(self.lock(), "{at:>9.3} {who:<7} {what}").unwrap();
    }

    /// The whole trace.
    pub fn text(&self) -> String {
        self.lock().clone()
    }

    /// Returns a guard that prints the trace if the thread is panicking when the guard is dropped, where `WORLD_TRACE`
    /// is set.
    pub fn told_on_failure(&self) -> impl Drop + use<> {
        Told(self.clone())
    }

    /// The number of lines of `who`.
    pub fn lines_of(&self, who: &str) -> usize {
        let text = self.lock();
        let speakers = text
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1));
        speakers.filter(|speaker| *speaker == who).count()
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Told(Trace);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("WORLD_TRACE").is_some() {
            eprintln!("{}", self.0.text());
        }
    }
}
