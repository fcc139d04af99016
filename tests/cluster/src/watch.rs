//! The body of an answer: a whole, or the lines of a watch.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Cluster;
use crate::state::Watching;

/// The interval of bookmarks.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long before its end a watch sends its last bookmark.
const BEFORE_END: Duration = Duration::from_secs(2);
/// The duration of a watch without a time-out: half an hour, to which the real API server adds up to the same at
/// random.
const UNTIL: Duration = Duration::from_secs(1800);

/// The body of an answer.
pub struct Body(Inner);

enum Inner {
    Whole(Option<Bytes>),
    Watch(Box<Lines>),
}

struct Lines {
    cluster: Cluster,
    watching: Box<Watching>,
    ready: VecDeque<Value>,
    bookmarks: bool,
    bookmark: Option<Pin<Box<Sleep>>>,
    /// Whether the store has reached the start version of the watch; before that nothing is sent.
    reached: bool,
    end: Instant,
    ended: Pin<Box<Sleep>>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

impl Body {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self(Inner::Whole(Some(bytes)))
    }

    pub(crate) fn watch(cluster: Cluster, mut watching: Box<Watching>) -> Self {
        let call = &watching.watched.call;
        let seconds = call
            .param("timeoutSeconds")
            .parse()
            .ok()
            .filter(|seconds| *seconds > 0);
        let end = Instant::now() + seconds.map_or(UNTIL, Duration::from_secs);
        let bookmarks = call.flag("allowWatchBookmarks");
        let ready = std::mem::take(&mut watching.first).into();
        let mut lines = Lines {
            cluster,
            watching,
            ready,
            bookmarks,
            bookmark: None,
            reached: false,
            end,
            ended: Box::pin(sleep_until(end)),
        };
        lines.plan();
        Self(Inner::Watch(Box::new(lines)))
    }
}

impl Lines {
    /// Sets the time of the next bookmark.
    fn plan(&mut self) {
        let now = Instant::now();
        let at = (now + BOOKMARK_EVERY).min(self.end - BEFORE_END);
        let wanted = self.bookmarks && at > now;
        self.bookmark = wanted.then(|| Box::pin(sleep_until(at)));
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Poll::Ready(Some(Bytes::from(line.to_string() + "\n")));
            }
            // Events from before the end are sent even if the body is polled after it.
            let goes_on = self.take(context);
            if !self.ready.is_empty() {
                continue;
            }
            let mut timer = self.bookmark.as_mut();
            let due = timer
                .as_mut()
                .is_some_and(|at| at.as_mut().poll(context).is_ready());
            if due && goes_on {
                if self.reached {
                    let Watching {
                        watched,
                        kind,
                        version,
                        ..
                    } = &*self.watching;
                    self.ready.push_back(watched.bookmark(kind, *version));
                }
                self.plan();
            } else if !goes_on || self.ended.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            } else {
                return Poll::Pending;
            }
        }
    }

    /// Takes the new changes; returns false where the watch has ended.
    fn take(&mut self, context: &Context<'_>) -> bool {
        let mut state = self.cluster.state();
        let watching = &mut self.watching;
        // The missed changes are compacted, so later ones mustn't be sent.
        if watching.version < state.store.compacted() {
            return false;
        }
        let served = state.kinds.get(&watching.watched.resource);
        // A changed definition ends the watches of its kind.
        let is_same = served.is_some_and(|served| std::sync::Arc::ptr_eq(&served, &watching.kind));
        for change in state.store.since(watching.version) {
            self.ready
                .extend(watching.watched.event(change, &watching.kind));
        }
        self.reached = state.store.version() >= watching.version;
        watching.version = watching.version.max(state.store.version());
        if watching.epoch != state.epoch || !is_same {
            return false;
        }
        let waker = context.waker();
        if !state.waiting.iter().any(|known| known.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        true
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Inner::Whole(bytes) => Poll::Ready(bytes.take()),
            Inner::Watch(lines) => lines.poll(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
