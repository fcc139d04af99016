//! The reference for the operator: a loop with the same API calls for each deletion, and nothing else.
//!
//! It has no queue, budget, guard, cache, metrics or retries. It runs on a thread of its own on the operator's core and
//! with the operator's rights, so a [`Fleet`](crate::support::Fleet) that is deleted while it runs is measured like one
//! of the operator's: `drain` for the rate, `delete_each` for the latency. The operator itself must be stopped
//! meanwhile ([`Stage::stop_operator`](crate::stage::Stage::stop_operator)), unless the loop serves a
//! [`twin`](crate::twin).

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use version_package_operator::api::condition::{Statement, merge};
use version_package_operator::api::names::{AppId, Endpoint, FIELD_MANAGER, FINALIZER, FileId};
use version_package_operator::api::reason::{Phase, Progress};
use version_package_operator::api::version_package::{
    Deletion, VersionPackage, VersionPackageSpec, VersionPackageStatus,
};
use version_package_operator::api_server;
use version_package_operator::remote::answer::Answer;
use version_package_operator::remote::client::{Authorization, Connection, Timeouts};
use version_package_operator::remote::tls::TlsSettings;

use crate::machine;
use crate::support::{OPERATOR, Rig, Simulator, install_crypto};

/// A `VersionPackage`, or an object of a twin.
type Package = kube::core::Object<VersionPackageSpec, VersionPackageStatus>;

/// A running loop. Dropping it ends the loop.
pub struct BareLoop {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// The settings of the loop.
#[derive(Clone, Copy)]
pub struct Manner {
    /// The number of concurrent deletions, each from its first write to its last.
    pub concurrency: usize,
    /// How many of the first deletions also get the status write of a waiting deletion, before their intent.
    pub parked: usize,
}

impl Manner {
    /// One deletion after the other, without the status write of a waiting one.
    pub const ONE_BY_ONE: Self = Self {
        concurrency: 1,
        parked: 0,
    };
}

/// A logged-in client of a platform, for the first application of a simulator.
pub struct Platform {
    connection: Connection,
    app_id: AppId,
    authorization: Authorization,
}

/// The shared state of all deletions of a loop.
struct Hands {
    client: Client,
    kind: ApiResource,
    recorder: Recorder,
    platform: Platform,
    /// The intents that must come back through the watch, by uid.
    echoes: Mutex<HashMap<String, oneshot::Sender<()>>>,
    slots: Semaphore,
}

impl BareLoop {
    /// Starts the loop for all `VersionPackage`s of the rig's control plane, with the application of the rig. It is
    /// ready when it has logged in and its watch has listed.
    pub async fn start(rig: &Rig<'_>, manner: Manner) -> Self {
        let kubeconfig = rig.plane.kubeconfig_for(OPERATOR, OPERATOR);
        let kind = ApiResource::erase::<VersionPackage>(&());
        Self::run(rig, &kubeconfig, kind, manner).await
    }

    /// Starts the loop for all objects of a [`twin`](crate::twin), one after the other, in addition to the operator and
    /// with the rights of an admin.
    pub async fn beside(rig: &Rig<'_>, kind: &ApiResource) -> Self {
        let kubeconfig = rig.plane.kubeconfig();
        Self::run(rig, kubeconfig, kind.clone(), Manner::ONE_BY_ONE).await
    }

    async fn run(rig: &Rig<'_>, kubeconfig: &Path, kind: ApiResource, manner: Manner) -> Self {
        let platform = Platform::of(&rig.simulator).await;
        let plane = rig.plane.config_for(kubeconfig).await;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (ready, listed) = oneshot::channel();
        let run = async move {
            let client = api_server::client(plane).expect("a client");
            let reporter = Reporter {
                controller: FIELD_MANAGER.to_owned(),
                instance: None,
            };
            let hands = Hands {
                recorder: Recorder::new(client.clone(), reporter),
                client,
                kind,
                platform,
                echoes: Mutex::default(),
                slots: Semaphore::new(manner.concurrency),
            };
            follow(Arc::new(hands), manner.parked, ready, stopped).await;
        };
        let thread = std::thread::spawn(move || {
            machine::pin_thread();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(run);
        });
        listed.await.expect("the loop gets ready");
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for BareLoop {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        // A failed loop has printed the reason; a second panic would only hide it.
        assert!(
            std::thread::panicking() || ended.is_none_or(|end| end.is_ok()),
            "the bare loop failed"
        );
    }
}

/// Follows the watch: starts a deletion for each marked object, and passes echoes to the deletions that wait for them.
async fn follow(
    hands: Arc<Hands>,
    parked: usize,
    ready: oneshot::Sender<()>,
    stop: CancellationToken,
) {
    let api = Api::<Package>::all_with(hands.client.clone(), &hands.kind);
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let mut ready = Some(ready);
    // Names of deleted objects are kept: a late event must not start a deletion again.
    let (mut begun, mut tasks) = (HashSet::new(), JoinSet::new());
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            Some(ended) = tasks.join_next() => {
                let () = ended.expect("a deletion succeeds");
                continue;
            }
            event = events.next() => event.expect("the watch goes on").expect("the watch stands"),
        };
        match event {
            watcher::Event::InitDone => {
                if let Some(ready) = ready.take() {
                    let _ = ready.send(());
                }
            }
            watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::Delete(_) => {}
            watcher::Event::Apply(object) => {
                let uid = object.uid().expect("a uid");
                let intent = object.status.as_ref().and_then(|status| {
                    let deletion = status.deletion.as_ref()?;
                    deletion.intent.as_ref()
                });
                if intent.is_some() {
                    if let Some(waiting) = hands.echoes.lock().remove(&uid) {
                        let _ = waiting.send(());
                    }
                } else if object.metadata.deletion_timestamp.is_some() && begun.insert(uid) {
                    let park = begun.len() <= parked;
                    tasks.spawn(hands.clone().delete(object, park));
                }
            }
        }
    }
}

impl Platform {
    /// Logs in to the platform of a simulator.
    pub async fn of(simulator: &Simulator) -> Self {
        install_crypto();
        let (app_id, secret) = simulator.credentials();
        let app_id = AppId::try_from(app_id.to_owned()).expect("an appId");
        let endpoint = Endpoint::try_from(simulator.endpoint()).expect("an endpoint");
        let ca = std::fs::read(simulator.tls_dir().join("ca.crt")).expect("a certificate");
        let tls = TlsSettings {
            ca: Some(ca),
            ..TlsSettings::default()
        };
        let connection = Connection::new(&endpoint, &tls, Timeouts::default());
        let connection = connection.expect("a connection");
        let login = connection.login(&app_id, &SecretString::from(secret)).await;
        Self {
            connection,
            app_id,
            authorization: Authorization::new(login.expect("a login").access_token, None),
        }
    }

    /// Deletes a package, without retries.
    pub async fn delete(&self, file_id: &str) -> Answer {
        let file_id = FileId::try_from(file_id.to_owned()).expect("a fileId");
        let answer = self
            .connection
            .delete(&self.app_id, &self.authorization, &file_id);
        answer.await
    }
}

impl Hands {
    /// One deletion: intent, echo, call, event, finalizer.
    async fn delete(self: Arc<Self>, object: Package, park: bool) {
        let _slot = self.slots.acquire().await.expect("slots are never closed");
        if park {
            self.write_status(&object, Phase::Waiting, None).await;
        }
        let (echo, echoed) = oneshot::channel();
        self.echoes
            .lock()
            .insert(object.uid().expect("a uid"), echo);
        let intent = format!("{:016x}", fastrand::u64(..));
        let written = self
            .write_status(&object, Phase::Deleting, Some(intent))
            .await;
        let echoed = tokio::time::timeout(Duration::from_secs(30), echoed).await;
        echoed.expect("an echo in time").expect("an echo");
        let answer = self.platform.delete(object.spec.file_id.as_str()).await;
        assert!(matches!(answer, Answer::Done(_)), "the package is there");
        self.tell(&object).await;
        self.release(&written).await;
    }

    async fn write_status(
        &self,
        object: &Package,
        phase: Phase,
        intent: Option<String>,
    ) -> Package {
        let mut status = object.status.clone().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or_default();
        let verdict = Statement {
            progress: Progress::Reconciling,
            reason: phase.as_str(),
            message: "The platform is asked to delete the package.",
            generation,
        };
        status.conditions = merge(&status.conditions, &verdict, Timestamp::now());
        status.observed_generation = Some(generation);
        status.phase = Some(phase);
        status.deletion = Some(Deletion {
            requested_at: object.metadata.deletion_timestamp.clone(),
            attempts: intent.is_some().then_some(1),
            intent,
            ..Deletion::default()
        });
        let body = json!({
            "apiVersion": self.kind.api_version, "kind": self.kind.kind,
            "metadata": {
                "name": object.name_any(), "namespace": object.namespace(), "uid": object.uid(),
            },
            "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api(object);
        api.patch_status(&object.name_any(), &params, &Patch::Apply(&body))
            .await
            .expect("a status can be written")
    }

    async fn tell(&self, object: &Package) {
        let event = Event {
            type_: EventType::Normal,
            reason: "Deleted".to_owned(),
            note: Some("The platform deleted the package.".to_owned()),
            action: "Delete".to_owned(),
            secondary: None,
        };
        let about = object.object_ref(&self.kind);
        let told = self.recorder.publish(&event, &about);
        told.await.expect("an event can be written");
    }

    async fn release(&self, object: &Package) {
        let kept: Vec<_> = object
            .finalizers()
            .iter()
            .filter(|finalizer| *finalizer != FINALIZER)
            .collect();
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": object.uid()},
            {"op": "test", "path": "/metadata/resourceVersion", "value": object.resource_version()},
            {"op": "replace", "path": "/metadata/finalizers", "value": kept},
        ]);
        let patch = serde_json::from_value(patch).expect("a patch");
        let (api, params) = (self.api(object), PatchParams::default());
        api.patch(&object.name_any(), &params, &Patch::<()>::Json(patch))
            .await
            .expect("a finalizer can be taken off");
    }

    fn api(&self, object: &Package) -> Api<Package> {
        let namespace = object.namespace().expect("a namespace");
        Api::namespaced_with(self.client.clone(), &namespace, &self.kind)
    }
}
