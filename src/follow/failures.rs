//! Failures of lists and watches: their wording, the test whether a failure may have hidden changes, and the backoff
//! after data that is not JSON.

use std::io;
use std::time::Duration;

use kube::runtime::watcher::Error;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::kube_error::words;

/// Backoff after data that is not JSON.
const PAUSES: Backoff = Backoff {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(300),
};

/// How many times the API server has sent data that is not JSON, without a long quiet time in between.
#[derive(Default)]
pub(super) struct Garbage {
    times: u32,
    last: Option<Instant>,
}

impl Garbage {
    /// The pause after one more failure. If no failure has come for twice the length of this pause, the count starts
    /// anew.
    pub(super) fn pause(&mut self, now: Instant) -> Duration {
        let quiet = PAUSES.after(self.times) * 2;
        if self.last.is_some_and(|last| now > last + quiet) {
            self.times = 0;
        }
        let pause = PAUSES.after(self.times);
        self.times = self.times.saturating_add(1);
        self.last = Some(now);
        pause
    }
}

pub(super) fn garbage_line() -> Error {
    let error = serde::de::Error::custom("the watch sent a line that isn't an event");
    Error::WatchFailed(kube::Error::SerdeError(error))
}

/// Whether the failure is unreadable data, which may have hidden any change.
pub(super) fn is_garbage(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(error)
        | Error::WatchStartFailed(error)
        | Error::WatchFailed(error) => {
            matches!(error, kube::Error::SerdeError(_) | kube::Error::FromUtf8(_))
        }
        Error::WatchError(_) | Error::NoResourceVersion => false,
    }
}

/// The message of a failure for people; it quotes nothing of the data that was read.
pub fn told(error: &Error) -> String {
    match error {
        Error::InitialListFailed(kube::Error::SerdeError(_) | kube::Error::FromUtf8(_))
        | Error::WatchFailed(kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) => {
            "what the API server sent is no JSON".to_owned()
        }
        Error::WatchFailed(kube::Error::ReadEvents(error))
            if error.kind() == io::ErrorKind::TimedOut =>
        {
            "the watch is silent".to_owned()
        }
        Error::InitialListFailed(error)
        | Error::WatchStartFailed(error)
        | Error::WatchFailed(error) => words(error),
        Error::WatchError(status) => status.message.clone(),
        Error::NoResourceVersion => "the API server gave no resourceVersion".to_owned(),
    }
}
