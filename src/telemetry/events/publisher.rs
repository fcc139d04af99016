//! Writes the events of one queue. If a write is slow, for example behind an admission webhook that doesn't answer,
//! further events of that namespace are queued separately. So the events of other namespaces are delayed only once, by
//! a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::series::{Publication, Series};
use super::{CLUSTER, Item, Losses, Said, TIMEOUT, WAITING};
use crate::kube_error::words;

/// If a write takes longer, its namespace counts as slow.
const SLOW: Duration = Duration::from_secs(1);
/// How long a namespace counts as slow after its last slow write.
const LASTS: Duration = Duration::from_secs(60);
/// How many slow namespaces are written to at the same time, with one event each.
const AT_ONCE: usize = 4;

/// Writes events one after the other; those of slow namespaces separately.
pub(super) struct Publisher {
    writer: Arc<Writer>,
    slow: BTreeMap<String, Place>,
    /// The slow namespaces with a waiting event and no write in progress, in the order of their turns.
    turns: VecDeque<String>,
    /// The number of waiting events of slow namespaces.
    waiting: usize,
    under_way: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// The requests that are answered once no event waits.
    flushes: Vec<oneshot::Sender<()>>,
}

/// The queue of a slow namespace.
struct Place {
    until: Instant,
    waiting: VecDeque<Box<Said>>,
    under_way: bool,
}

/// A finished write, successful or not.
struct Ended {
    namespace: String,
    begun: Instant,
}

impl Publisher {
    pub(super) fn new(client: Client, series: Series, losses: Arc<Losses>) -> Self {
        Self {
            writer: Arc::new(Writer {
                client,
                series: Mutex::new(series),
                losses,
            }),
            slow: BTreeMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            under_way: FuturesUnordered::new(),
            flushes: Vec::new(),
        }
    }

    /// Writes events until all senders are dropped.
    pub(super) async fn run(mut self, mut items: mpsc::Receiver<Item>) {
        loop {
            let item = tokio::select! {
                biased;
                Some(ended) = self.under_way.next() => {
                    self.ended(&ended);
                    continue;
                }
                item = items.recv() => item,
            };
            match item {
                Some(Item::Said(said)) => self.take(said).await,
                Some(Item::Flush(done)) => {
                    self.flushes.push(done);
                    self.tell_flushed();
                }
                None => return,
            }
        }
    }

    /// Writes the event at once, or queues it behind others of its slow namespace.
    async fn take(&mut self, said: Box<Said>) {
        let now = Instant::now();
        self.slow
            .retain(|_, place| place.under_way || !place.waiting.is_empty() || now < place.until);
        let namespace = said.namespace().to_owned();
        if let Some(place) = self.slow.get_mut(&namespace) {
            if self.waiting >= WAITING {
                let why = "too many events wait to be written in namespaces where writing events takes long";
                self.writer.losses.lost("dropped", why);
                return;
            }
            self.waiting += 1;
            if place.waiting.is_empty() && !place.under_way {
                self.turns.push_back(namespace);
            }
            place.waiting.push_back(said);
            self.begin();
            return;
        }
        let mut write = Arc::clone(&self.writer).write(said);
        loop {
            tokio::select! {
                biased;
                _ = &mut write => return,
                Some(ended) = self.under_way.next() => self.ended(&ended),
                () = sleep_until(now + SLOW) => break,
            }
        }
        tracing::warn!(
            namespace,
            "events in this namespace take long to be written, as happens behind an admission webhook that doesn't answer: they now wait behind the events of other namespaces"
        );
        let place = Place {
            until: Instant::now() + LASTS,
            waiting: VecDeque::new(),
            under_way: true,
        };
        self.slow.insert(namespace, place);
        self.under_way.push(write);
    }

    /// Handles the end of a write to a slow namespace.
    fn ended(&mut self, ended: &Ended) {
        let now = Instant::now();
        if let Some(place) = self.slow.get_mut(&ended.namespace) {
            place.under_way = false;
            place.until = if now.saturating_duration_since(ended.begun) >= SLOW {
                now + LASTS
            } else {
                now
            };
            if !place.waiting.is_empty() {
                self.turns.push_back(ended.namespace.clone());
            }
        }
        self.begin();
        self.tell_flushed();
    }

    /// Starts writes of waiting events of slow namespaces, up to the limit.
    fn begin(&mut self) {
        while self.under_way.len() < AT_ONCE
            && let Some(namespace) = self.turns.pop_front()
        {
            if let Some(place) = self.slow.get_mut(&namespace)
                && let Some(said) = place.waiting.pop_front()
            {
                place.under_way = true;
                self.waiting -= 1;
                self.under_way.push(Arc::clone(&self.writer).write(said));
            }
        }
    }

    fn tell_flushed(&mut self) {
        if self.under_way.is_empty() && self.waiting == 0 {
            for done in self.flushes.drain(..) {
                let _ = done.send(());
            }
        }
    }
}

/// Writes single events.
struct Writer {
    client: Client,
    series: Mutex<Series>,
    losses: Arc<Losses>,
}

impl Writer {
    fn write(self: Arc<Self>, said: Box<Said>) -> BoxFuture<'static, Ended> {
        let begun = Instant::now();
        Box::pin(async move {
            match timeout(TIMEOUT, self.publish(&said)).await {
                Ok(Ok(())) => self.losses.metrics.told("published"),
                Ok(Err(error)) => self.losses.lost("failed", &words(&error)),
                Err(_) => {
                    // It isn't known whether the event was written.
                    self.series.lock().forget(said.key);
                    let why = "the API server did not answer in time";
                    self.losses.lost("failed", why);
                }
            }
            Ended {
                namespace: said.namespace().to_owned(),
                begun,
            }
        })
    }

    async fn publish(&self, said: &Said) -> kube::Result<()> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), said.namespace());
        let next = || self.series.lock().next(said);
        let event = match next() {
            Publication::New(event) => event,
            Publication::Again { name, series } => {
                let patch = Patch::Merge(json!({"series": series}));
                match api.patch(&name, &PatchParams::default(), &patch).await {
                    // The API server keeps events for a limited time.
                    Err(kube::Error::Api(status)) if status.code == 404 => {
                        self.series.lock().forget(said.key);
                        match next() {
                            Publication::New(event) => event,
                            Publication::Again { .. } => return Ok(()),
                        }
                    }
                    ended => return ended.map(drop),
                }
            }
        };
        let created = api.create(&PostParams::default(), &event).await;
        if created.is_err() {
            self.series.lock().forget(said.key);
        }
        created.map(drop)
    }
}

impl Said {
    /// The namespace of the event.
    fn namespace(&self) -> &str {
        self.about.namespace.as_deref().unwrap_or(CLUSTER)
    }
}
