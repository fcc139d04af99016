//! Many packages: created, and deleted with one request.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::Api;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use version_package_operator::api::names::FINALIZER;
use version_package_operator::api::version_package::VersionPackage;

use super::follow;
use super::pace::{self, Call};
use super::{OPERATOR, Rig, wait_for};

/// The number of concurrent requests that create objects.
const CREATORS: usize = 16;
/// How much later than the platform the operator may see an answer.
const ANSWER_TRAVELS: Duration = Duration::from_millis(250);

/// The package that warms a session up; the numbers of a fleet begin after it.
const FIRST: usize = 1;

/// The finalizers that an object is created with.
type Finalizers = &'static [&'static str];

const NONE: Finalizers = &[];
const OURS: Finalizers = &[FINALIZER];

/// Objects of a rig, one for each package of its simulator in a range of numbers.
pub struct Fleet<'a> {
    rig: &'a Rig<'a>,
    kind: ApiResource,
    api: Api<DynamicObject>,
    numbers: Range<usize>,
    pub(super) born: Duration,
    /// The end of the audit log at the creation.
    log: u64,
}

impl<'a> Fleet<'a> {
    /// Creates an object for each number and waits until all are Active.
    pub async fn create(rig: &'a Rig<'a>, numbers: Range<usize>) -> Self {
        let fleet = Self::created(rig, numbers, kind(), NONE, |_| active()).await;
        fleet.active().await;
        fleet
    }

    /// Creates a retired object for each number, with the finalizer and with the status of an accepted Active object.
    /// An operator that starts later finds the state after a long downtime, and writes nothing before its turn except
    /// that it waits.
    pub async fn retired(rig: &'a Rig<'a>, numbers: Range<usize>) -> Self {
        let retired = |_| json!({"lifecycle": "Retired"});
        let fleet = Self::created(rig, numbers.clone(), kind(), OURS, retired).await;
        stream::iter(numbers)
            .map(Ok)
            .try_for_each_concurrent(CREATORS, |number| fleet.accept_one(number))
            .await
            .expect("objects can be accepted");
        fleet
    }

    /// Writes the operator's status of an Active object.
    async fn accept_one(&self, number: usize) -> kube::Result<()> {
        let object = self.api.get_metadata(&name(number)).await?;
        let status = json!({
            "uid": object.metadata.uid, "observedGeneration": 1, "phase": "Active",
            "application": self.rig.namespace,
        });
        let change = Patch::Merge(json!({"status": status}));
        let params = PatchParams::default();
        self.api
            .patch_status(&name(number), &params, &change)
            .await?;
        Ok(())
    }

    /// Creates objects that each retire at a time of their own.
    pub async fn scheduled(
        rig: &'a Rig<'a>,
        numbers: Range<usize>,
        due: impl Fn(usize) -> Timestamp,
    ) -> Self {
        let scheduled = |number| json!({"retireAfter": due(number).to_string()});
        Self::created(rig, numbers, kind(), OURS, scheduled).await
    }

    /// Creates an object of another kind for each number, which the operator doesn't know; each has a finalizer.
    pub async fn of_kind(rig: &'a Rig<'a>, numbers: Range<usize>, kind: &ApiResource) -> Self {
        Self::created(rig, numbers, kind.clone(), OURS, |_| active()).await
    }

    async fn created(
        rig: &'a Rig<'a>,
        numbers: Range<usize>,
        kind: ApiResource,
        finalizers: Finalizers,
        spec: impl Fn(usize) -> Value,
    ) -> Self {
        let since = pace::now();
        let log = rig.plane.audit_end();
        let api = Api::namespaced_with(rig.plane.client().await, &rig.namespace, &kind);
        let fleet = Self {
            rig,
            kind,
            api,
            numbers: numbers.clone(),
            born: since,
            log,
        };
        stream::iter(numbers)
            .map(Ok)
            .try_for_each_concurrent(CREATORS, |number| {
                fleet.create_one(number, finalizers, spec(number))
            })
            .await
            .expect("objects can be created");
        fleet
    }

    /// Waits until every object is Active.
    pub async fn active(&self) {
        self.none_is("status.phase!=Active").await;
    }

    /// Waits until every object was reconciled after it was marked for deletion, and so isn't Active any more.
    pub async fn parked(&self) {
        self.none_is("status.phase=Active").await;
    }

    /// Waits until every object is Held.
    pub async fn held(&self) {
        self.none_is("status.phase!=Held").await;
    }

    /// Waits until a field selector matches none of the objects.
    async fn none_is(&self, selector: &str) {
        let count = u32::try_from(self.len()).expect("a number of objects");
        let patience = Duration::from_secs(20) + Duration::from_millis(40) * count;
        // The API server scans all objects for each answer.
        let between = Duration::from_micros(20) * count;
        let others = ListParams::default().fields(selector).limit(1);
        let what = format!("none to be {selector}");
        wait_for(&what, patience, async || {
            tokio::time::sleep(between).await;
            let left = self.api.list_metadata(&others).await.expect("a list");
            left.items.is_empty().then_some(())
        })
        .await;
    }

    /// The initial number of objects.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Requests the deletion of some objects, counted from the first, many at a time, without waiting for their end.
    pub async fn ask_for_deletion(&self, which: Range<usize>) {
        stream::iter(self.some(which).map(name).map(Ok::<_, kube::Error>))
            .try_for_each_concurrent(CREATORS, async |name| {
                self.api.delete(&name, &DeleteParams::default()).await?;
                Ok(())
            })
            .await
            .expect("objects can be deleted");
    }

    /// Waits until some objects, counted from the first, are gone, or until the deadline. Returns the number of gone
    /// objects.
    pub async fn gone(&self, which: Range<usize>, deadline: Duration) -> usize {
        let end = pace::now() + deadline;
        let mut left: Vec<String> = self.some(which).map(name).collect();
        let all = left.len();
        while let Some(next) = left.last() {
            if self.rig.get(next).await.is_none() {
                left.pop();
            } else if pace::now() < end {
                tokio::time::sleep(Duration::from_millis(50)).await;
            } else {
                break;
            }
        }
        all - left.len()
    }

    /// Sets a label of an object, counted from the first, to a new value.
    pub async fn relabel(&self, which: usize, value: usize) {
        let name = name(self.numbers.start + which % self.numbers.len());
        let change = json!({"metadata": {"labels": {"edit": value.to_string()}}});
        self.api
            .patch_metadata(&name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .expect("a label can be changed");
    }

    fn some(&self, which: Range<usize>) -> Range<usize> {
        let start = self.numbers.start;
        start + which.start..(start + which.end).min(self.numbers.end)
    }

    async fn create_one(
        &self,
        number: usize,
        finalizers: Finalizers,
        spec: Value,
    ) -> kube::Result<()> {
        let file_id = name(number);
        let mut manifest = self.rig.manifest(&file_id, &file_id, &spec);
        manifest["apiVersion"] = json!(self.kind.api_version);
        manifest["metadata"]["finalizers"] = json!(finalizers);
        let object = serde_json::from_value(manifest).expect("a manifest is an object");
        self.api.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// Deletes one object, so that the session has a valid token.
    ///
    /// `window` is the Platform's window: after a start of the operator the first call comes one window later.
    pub async fn warm_up(&self, window: Duration) {
        self.create_one(FIRST, NONE, active())
            .await
            .expect("an object can be created");
        let first = name(FIRST);
        self.rig.reason(&first, "Active").await;
        self.rig.delete(&first);
        wait_for(
            "the first to go",
            window + Duration::from_secs(30),
            async || self.rig.get(&first).await.is_none().then_some(()),
        )
        .await;
    }

    /// Waits until every call in the ledger is older than `window`.
    pub async fn rest(&self, window: Duration) {
        wait_for(
            "an empty window",
            window + Duration::from_secs(10),
            async || {
                let calls = self.calls(Duration::ZERO).await;
                let last = calls.iter().map(|call| call.answered).max();
                last.is_none_or(|last| last + window + ANSWER_TRAVELS < pace::now())
                    .then_some(())
            },
        )
        .await;
    }

    /// Waits until earlier calls or a start have no more consequences: a session forgets a call after one `window`, and
    /// the Platform's status follows its session at most every 10 s.
    pub async fn settle(&self, window: Duration) {
        let settled = Instant::now() + window + Duration::from_secs(12);
        self.rest(window + Duration::from_secs(12)).await;
        tokio::time::sleep_until(settled).await;
    }

    /// Requests the deletion of all objects, many at a time, and waits until the last is gone, at most `deadline`.
    /// Returns the time since the first request.
    pub async fn rush(&self, deadline: Duration) -> Duration {
        let ends = self.follow_ends().await;
        let begun = pace::now();
        self.ask_for_deletion(0..self.len()).await;
        let (_, gone) = tokio::time::timeout(deadline, ends)
            .await
            .expect("all objects go in time")
            .expect("the watch goes on to the end");
        gone.saturating_sub(begun)
    }

    /// Watches from now on until all objects are gone.
    pub(super) async fn follow_ends(&self) -> JoinHandle<(Vec<Duration>, Duration)> {
        let version = self.version().await;
        tokio::spawn(follow::ends(self.api.clone(), version, self.len()))
    }

    /// Watches from now on until all objects have had this reason.
    pub async fn follow_reason(&self, reason: &'static str) -> JoinHandle<()> {
        let version = self.version().await;
        tokio::spawn(follow::saying(
            self.api.clone(),
            version,
            self.len(),
            reason,
        ))
    }

    /// The current resourceVersion, as the start of a watch.
    async fn version(&self) -> String {
        let one = ListParams::default().limit(1);
        let list = self.api.list_metadata(&one).await.expect("a list");
        let version = list.metadata.resource_version;
        version.expect("a list has a version")
    }

    /// Requests the deletion of all objects with one `deletecollection`, repeated where the API server aborts it after
    /// a minute. Returns the time of the first request.
    pub async fn delete_all(&self) -> Duration {
        let begun = pace::now();
        let (all, one) = (ListParams::default(), DeleteParams::default());
        while let Err(error) = self.api.delete_collection(&one, &all).await {
            let broken_off = match &error {
                kube::Error::Api(answer) => answer.code == 504,
                error => matches!(error, kube::Error::Service(_)),
            };
            assert!(broken_off, "a collection can be deleted: {error}");
        }
        begun
    }

    /// Deletes one object after the other, each once the previous one is gone and at least `apart` after its request.
    /// Returns when each was requested and gone.
    pub async fn delete_each(&self, apart: Duration) -> Vec<(Duration, Duration)> {
        let (tell, mut gone) = mpsc::unbounded_channel();
        let watch = tokio::spawn(follow::tell_gone(
            self.api.clone(),
            self.version().await,
            tell,
        ));
        let mut ends = Vec::with_capacity(self.numbers.len());
        for name in self.numbers.clone().map(name) {
            let (next, asked) = (Instant::now() + apart, pace::now());
            let deleted = self.api.delete(&name, &DeleteParams::default()).await;
            deleted.expect("an object can be deleted");
            loop {
                let (other, at) = gone.recv().await.expect("the watch goes on to the end");
                if other == name {
                    ends.push((asked, at));
                    break;
                }
            }
            tokio::time::sleep_until(next).await;
        }
        watch.abort();
        ends
    }

    /// The current number of objects.
    pub async fn count(&self) -> usize {
        let all = self.api.list_metadata(&ListParams::default()).await;
        all.expect("a list").items.len()
    }

    /// How long after its creation the operator first wrote each object, for those that it has written.
    pub fn first_writes(&self) -> Vec<Duration> {
        let user = operator_user();
        let mut asked = BTreeMap::new();
        let mut first = BTreeMap::new();
        for event in self.rig.plane.audit_events_from(self.log) {
            if event.resource != "versionpackages" || event.namespace != self.rig.namespace {
                continue;
            }
            let time = pace::since_epoch(event.time.parse().expect("a time"));
            if event.verb == "create" {
                asked.insert(event.name, time);
            } else if event.user == user && !event.reads() {
                let known = first.entry(event.name).or_insert(time);
                *known = time.min(*known);
            }
        }
        let waited = |(name, asked): (String, Duration)| first.get(&name)?.checked_sub(asked);
        asked.into_iter().filter_map(waited).collect()
    }

    /// The calls that the platform received from `since` on, in the order of their arrival.
    pub async fn calls(&self, since: Duration) -> Vec<Call> {
        let ledger = self.rig.simulator.ledger().await;
        let calls = ledger.iter().filter_map(Call::read);
        calls.filter(|call| call.arrived >= since).collect()
    }

    /// How often the operator wrote each object of the fleet in a period.
    pub fn writes(&self, since: Duration, until: Duration) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<_, _> = self.numbers.clone().map(|n| (name(n), 0)).collect();
        for name in self.operator_writes("versionpackages", since, until) {
            counts.entry(name).and_modify(|count| *count += 1);
        }
        counts
    }

    /// The names of the objects of a kind, named by its plural, that the operator wrote in this namespace in a period.
    pub fn operator_writes(&self, resource: &str, since: Duration, until: Duration) -> Vec<String> {
        let user = operator_user();
        let events = self.rig.plane.audit_events().into_iter();
        events
            .filter(|event| event.user == user && event.resource == resource)
            .filter(|event| event.namespace == self.rig.namespace)
            .filter(|event| !event.reads())
            .filter(|event| {
                let time = pace::since_epoch(event.time.parse().expect("a time"));
                since <= time && time < until
            })
            .map(|event| event.name)
            .collect()
    }
}

fn active() -> Value {
    json!({"lifecycle": "Active"})
}

fn kind() -> ApiResource {
    ApiResource::erase::<VersionPackage>(&())
}

fn operator_user() -> String {
    format!("system:serviceaccount:{OPERATOR}:{OPERATOR}")
}

fn name(number: usize) -> String {
    format!("package-{number:05}")
}
