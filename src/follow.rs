//! Lists objects, then watches from the list's version, in a loop, as kube's watcher does, with three differences:
//!
//! Each item is decoded separately, so one bad object can't fail the list. After a line that is not JSON a new list is
//! made, since the line may have hidden any change. The `Eye` of `crate::sight` is told whether the watch works, even
//! while no object changes.

mod failures;
mod page;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{AsyncBufReadExt, Stream, StreamExt};
use kube::api::{Api, WatchParams};
use kube::core::{Request, Status};
use kube::runtime::watcher::{Error, Event, Result};
use kube::{Client, Resource};
use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until, timeout};

pub use self::failures::told;
use self::failures::{Garbage, garbage_line, is_garbage};
pub use self::page::list;
use self::page::{ListPage, Size};
use crate::backoff::WatchBackoff;
use crate::raw::Fields;
use crate::sight::Eye;

/// How long after the announced timeout the API server may end a watch.
const LATE: Duration = Duration::from_secs(5);

/// The scope of a list and watch.
#[derive(Debug, Clone)]
pub struct WatchScope {
    /// Highest number of objects in one page of the list; pages of large objects have fewer.
    pub page: u32,
    /// Timeout of one watch request in seconds, after which a new watch starts.
    pub seconds: u32,
    /// The field selector, if there is one.
    pub fields: Option<String>,
}

/// Lists and watches the objects of `api`. After an error, the next poll waits for a backoff and tries again.
///
/// `K` has to decode from any JSON, so that no object is hidden.
pub fn follow<K>(api: Api<K>, wanted: WatchScope, eye: Eye) -> impl Stream<Item = Result<Event<K>>>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let url = api.resource_url().to_owned();
    let follower = Follower {
        client: api.into_client(),
        url,
        size: Size::new(wanted.page),
        wanted,
        eye,
        state: State::Empty,
        backoff: WatchBackoff::default(),
        pause: None,
        garbage: Garbage::default(),
        newest: 0,
        cut: false,
    };
    futures::stream::unfold(follower, |mut follower| async {
        let event = follower.next().await;
        Some((event, follower))
    })
}

struct Follower<K> {
    client: Client,
    url: String,
    wanted: WatchScope,
    size: Size,
    eye: Eye,
    state: State<K>,
    backoff: WatchBackoff,
    pause: Option<Instant>,
    garbage: Garbage,
    /// The newest known resource version.
    newest: u64,
    /// Whether a request has failed, and no later answer has proved that the store is at `newest` or later.
    cut: bool,
}

enum State<K> {
    /// The next step starts a list.
    Empty,
    /// A page of the list was read, or the first one is still to be read.
    Page {
        next: Option<String>,
        items: VecDeque<K>,
        version: Option<String>,
    },
    /// The list is complete and was handed on.
    Listed { version: String },
    /// A watch is open.
    Watching {
        version: String,
        lines: BoxStream<'static, io::Result<String>>,
        /// Whether the watch has sent any line.
        fruitful: bool,
    },
}

/// One line of a watch.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl<K: Resource + DeserializeOwned + Send + 'static> Follower<K> {
    async fn next(&mut self) -> Result<Event<K>> {
        loop {
            let pause = self.pause;
            let anew = self.eye.anew();
            let step = async {
                if let Some(until) = pause {
                    sleep_until(until).await;
                }
                self.pause = None;
                self.step().await
            };
            let result = tokio::select! {
                biased;
                () = anew => None,
                result = step => Some(result),
            };
            match result {
                None => {
                    self.eye.begins();
                    self.newest = 0;
                    self.pause = None;
                    self.state = State::Empty;
                }
                Some(Ok(None)) => {}
                Some(Ok(Some(event))) => return Ok(event),
                Some(Err(error)) => {
                    let now = Instant::now();
                    let pause = if is_garbage(&error) {
                        // Only a new list shows what the unreadable line hid.
                        self.state = State::Empty;
                        self.eye.blind();
                        self.garbage.pause(now)
                    } else {
                        self.backoff.pause()
                    };
                    self.eye.fails(told(&error));
                    self.cut = true;
                    self.pause = Some(now + pause);
                    return Err(error);
                }
            }
        }
    }

    /// Makes one step. The future may be dropped at any await: the next call then begins the same step again.
    async fn step(&mut self) -> Result<Option<Event<K>>> {
        match &mut self.state {
            State::Empty => {
                self.eye.lists();
                self.state = State::Page {
                    next: None,
                    items: VecDeque::new(),
                    version: None,
                };
                Ok(Some(Event::Init))
            }
            State::Page {
                next,
                items,
                version,
            } => {
                if let Some(item) = items.pop_front() {
                    return Ok(Some(Event::InitApply(item)));
                }
                if next.is_none()
                    && let Some(version) = version.take()
                {
                    self.newest = self.newest.max(version.parse().unwrap_or_default());
                    self.eye.lists_until(self.newest);
                    self.state = State::Listed { version };
                    return Ok(Some(Event::InitDone));
                }
                let next = next.clone();
                let mut size = self.size;
                let page = self.page(next, &mut size).await;
                self.size = size;
                match page {
                    Ok(page) => {
                        self.eye.works();
                        // A page that is too large is requested again with fewer objects.
                        if let Some(page) = page {
                            self.state = page;
                        }
                        Ok(None)
                    }
                    Err(error) => {
                        self.state = State::Empty;
                        Err(error)
                    }
                }
            }
            State::Listed { version } => {
                let version = version.clone();
                self.begin_watch(version).await
            }
            State::Watching { .. } => self.line().await,
        }
    }

    /// Opens a watch at `version`, after a complete list or the end of the last watch.
    async fn begin_watch(&mut self, version: String) -> Result<Option<Event<K>>> {
        // The caller has taken in the whole list before it polls again.
        self.eye.at(self.newest);
        self.eye.listed();
        if self.cut {
            // The store may have been restored meanwhile. A watch would then wait in silence for versions that the
            // store has yet to reach again; a list shows the store's version.
            self.page(None, &mut Size::new(1)).await?;
            self.cut = false;
        }
        let lines = match self.watch(&version).await {
            Ok(lines) => lines,
            Err(error) => {
                // The watch can't be resumed at this version, because the version is too old, the kind is gone, or the
                // permissions have changed. Only a list shows which of these it is.
                if let Error::WatchStartFailed(kube::Error::Api(status)) = &error
                    && matches!(status.code, 400 | 403 | 404 | 410)
                {
                    self.state = State::Empty;
                }
                return Err(error);
            }
        };
        self.eye.works();
        self.state = State::Watching {
            version,
            lines,
            fruitful: false,
        };
        Ok(None)
    }

    /// Reads the next page; `None` if the page is too large and has to be requested again with fewer objects.
    async fn page(&mut self, next: Option<String>, size: &mut Size) -> Result<Option<State<K>>> {
        let fields = self.wanted.fields.clone();
        let read = page::read(&self.client, &self.url, fields, next, size).await?;
        let Some(ListPage {
            items,
            next,
            version,
        }) = read
        else {
            return Ok(None);
        };
        if version.is_none() && next.is_none() {
            return Err(Error::NoResourceVersion);
        }
        if let Some(seen) = version
            .as_deref()
            .and_then(|version| version.parse().ok())
            .filter(|seen: &u64| *seen < self.newest)
        {
            self.eye.went_back(self.newest, seen);
        }
        Ok(Some(State::Page {
            next,
            items,
            version,
        }))
    }

    async fn watch(&mut self, version: &str) -> Result<BoxStream<'static, io::Result<String>>> {
        let params = WatchParams {
            field_selector: self.wanted.fields.clone(),
            timeout: Some(self.wanted.seconds),
            bookmarks: true,
            ..WatchParams::default()
        };
        let request = Request::new(self.url.as_str()).watch(&params, version);
        let mut request =
            request.map_err(|error| Error::WatchStartFailed(kube::Error::BuildRequest(error)))?;
        // The request rules compression out: an API server may compress each event separately, and the client can't
        // decompress such events.
        let as_is = HeaderValue::from_static("identity");
        request.headers_mut().insert(ACCEPT_ENCODING, as_is);
        let body = self.client.request_stream(request).await;
        let body = body.map_err(Error::WatchStartFailed)?;
        Ok(Box::pin(body).lines().boxed())
    }

    /// Reads the next line of the watch.
    async fn line(&mut self) -> Result<Option<Event<K>>> {
        let State::Watching {
            version,
            lines,
            fruitful,
        } = &mut self.state
        else {
            return Ok(None);
        };
        let patience = Duration::from_secs(self.wanted.seconds.into()) + LATE;
        let line = timeout(patience, lines.next()).await;
        let resumed = State::Listed {
            version: version.clone(),
        };
        let line = match line {
            Ok(Some(Ok(line))) => line,
            Ok(Some(Err(error))) => {
                self.state = resumed;
                // Invalid data counts as garbage; after any other error the watch is resumed at its last version.
                return match error.kind() {
                    io::ErrorKind::InvalidData => Err(garbage_line()),
                    _ => Err(Error::WatchFailed(kube::Error::ReadEvents(error))),
                };
            }
            Ok(None) if *fruitful => {
                self.state = resumed;
                return Ok(None);
            }
            Ok(None) | Err(_) => {
                // A working watch sends at least a bookmark with its version before it ends.
                self.state = resumed;
                let silent = io::Error::from(io::ErrorKind::TimedOut);
                return Err(Error::WatchFailed(kube::Error::ReadEvents(silent)));
            }
        };
        let parsed: std::result::Result<Line<'_>, _> = serde_json::from_str(&line);
        let parsed = match parsed {
            Ok(parsed) => parsed,
            // The end of the connection cut the line, so the watch is resumed. If the first line of the next watch is
            // cut too, the API server itself sent an incomplete line.
            Err(error) if error.is_eof() && *fruitful => {
                self.state = resumed;
                return Ok(None);
            }
            Err(error) => return Err(Error::WatchFailed(kube::Error::SerdeError(error))),
        };
        *fruitful = true;
        self.eye.works();
        let object = parsed.object.get();
        if parsed.kind == "ERROR" {
            let status: Status = serde_json::from_str(object).unwrap_or_default();
            self.state = match status.code {
                410 => State::Empty,
                _ => resumed,
            };
            return Err(Error::WatchError(Box::new(status)));
        }
        let shown: Option<String> = Fields::of(object).inner("metadata").get("resourceVersion");
        let Some(shown) = shown.filter(|shown| !shown.is_empty()) else {
            self.state = State::Empty;
            return Err(Error::NoResourceVersion);
        };
        self.newest = self.newest.max(shown.parse().unwrap_or_default());
        self.eye.at(self.newest);
        *version = shown;
        let decode = || {
            serde_json::from_str(object)
                .map_err(|error| Error::WatchFailed(kube::Error::SerdeError(error)))
        };
        match parsed.kind.as_str() {
            "ADDED" | "MODIFIED" => decode().map(Event::Apply).map(Some),
            "DELETED" => decode().map(Event::Delete).map(Some),
            "BOOKMARK" => Ok(None),
            _ => Err(garbage_line()),
        }
    }
}

#[cfg(test)]
mod tests;
