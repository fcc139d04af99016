//! The API server requests of `vpo hold`.

use anyhow::{Context as _, anyhow};
use kube::Api;
use kube::Client;
use kube::api::{ListParams, Patch, PatchParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::run;
use super::selection::{Held, PlatformSeen, Set, anew};
use crate::api::names::{ObjectKey, RELEASE_HOLD_ANNOTATION};
use crate::api::platform::Platform;
use crate::api::status::{self, Bearer, ReadStatus};
use crate::api_server;
use crate::object::Object;
use crate::object::watched::Watched;
use crate::raw::Raw;

/// The field manager of this command, so that managed fields tell its writes from the operator's.
const FIELD_MANAGER: &str = "vpo";
/// The page size of a list, in objects.
const PAGE: u32 = 500;
/// The maximum number of attempts to read a list. A list is begun again if its continue token has expired.
const LISTS: usize = 3;
/// The maximum number of attempts to write an object that keeps changing.
const WRITES: usize = 5;

/// A client of the cluster in KUBECONFIG.
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// Reads KUBECONFIG. Sends no request yet.
    pub async fn connect() -> anyhow::Result<Self> {
        let mut config = run::config().await?;
        // Every write here has a precondition, so a repeated write has no second effect.
        config.default_retry = true;
        Ok(Self {
            client: api_server::client(config)?,
        })
    }

    /// All Platforms.
    pub async fn platforms(&self) -> anyhow::Result<Vec<PlatformSeen>> {
        let api = Raw::all::<Platform>(self.client.clone());
        let all = list(&api, |object| Some(seen(object))).await;
        let all = all.map_err(words).context("Platforms can't be listed")?;
        all.into_iter().collect()
    }

    /// All `VersionPackages` that carry a hold, as of one moment.
    pub async fn held(&self) -> anyhow::Result<Vec<Held>> {
        let api = Api::<Watched>::all(self.client.clone());
        let held = list(&api, |object| Held::read(&object.into())).await;
        held.map_err(words)
            .context("VersionPackages can't be listed")
    }

    /// One Platform; `None` if it doesn't exist.
    pub async fn platform(&self, key: &ObjectKey) -> anyhow::Result<Option<PlatformSeen>> {
        let read = self.platforms_of(key).get_opt(&key.name).await;
        let read = read
            .map_err(words)
            .with_context(|| format!("Platform {key} can't be read"))?;
        read.map(seen).transpose()
    }

    /// Sets the release annotation on one Platform. A new Platform of the same name isn't changed.
    pub async fn ask_for_release(&self, id: &str, platform: &PlatformSeen) -> anyhow::Result<()> {
        let key = &platform.key;
        let patch = Patch::Merge(asking(id, platform));
        let patched = self
            .platforms_of(key)
            .patch(&key.name, &params(), &patch)
            .await;
        patched
            .map(drop)
            .map_err(words)
            .with_context(|| format!("Platform {key} can't be annotated"))
    }

    /// Sets `deletionPolicy: Retain` on one object, if the object still carries the hold.
    pub async fn retain(&self, held: &Held) -> Set {
        let api = Api::<Watched>::namespaced(self.client.clone(), &held.key.namespace);
        let name = &held.key.name;
        let mut now = held.clone();
        for _ in 0..WRITES {
            let patch = Patch::Merge(retaining(&now));
            match api.patch(name, &params(), &patch).await {
                Ok(_) if now.retained => return Set::Already,
                Ok(_) => return Set::Done,
                Err(kube::Error::Api(answer)) if answer.code == 404 => return Set::Gone,
                Err(kube::Error::Api(answer)) if answer.code == 409 => {}
                Err(error) => return Set::Refused(words(error).to_string()),
            }
            let read = match api.get_opt(name).await {
                Ok(read) => read.map(Object::from),
                Err(error) => return Set::Refused(words(error).to_string()),
            };
            match anew(held, read.as_ref()) {
                Ok(changed) => now = changed,
                Err(end) => return end,
            }
        }
        Set::Refused(
            "the object was changed by others at each attempt to write it; try again".to_owned(),
        )
    }

    fn platforms_of(&self, key: &ObjectKey) -> Api<Raw> {
        Raw::namespaced::<Platform>(self.client.clone(), &key.namespace)
    }
}

/// The patch that sets the release annotation. The API server refuses it for another uid.
fn asking(id: &str, platform: &PlatformSeen) -> Value {
    json!({"metadata": {
        "uid": platform.uid,
        "annotations": {RELEASE_HOLD_ANNOTATION: id},
    }})
}

/// The patch that sets the deletion policy. The API server refuses it for another version of the object.
fn retaining(held: &Held) -> Value {
    json!({
        "metadata": {"uid": held.uid, "resourceVersion": held.resource_version},
        "spec": {"deletionPolicy": "Retain"},
    })
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn seen(mut read: Raw) -> anyhow::Result<PlatformSeen> {
    let meta = read.metadata;
    let key = ObjectKey::new(
        meta.namespace.unwrap_or_default(),
        meta.name.unwrap_or_default(),
    );
    let uid = meta.uid.unwrap_or_default();
    let bearer = Bearer {
        uid: &uid,
        created: meta.creation_timestamp.map(|time| time.0),
    };
    let ReadStatus { status, beside } = status::read(read.data["status"].take(), &bearer);
    // A Platform with an unreadable hold must not look like one without.
    if let Some(error) = beside.error {
        anyhow::bail!("the status of Platform {key} is not one of this version of vpo: {error}");
    }
    Ok(PlatformSeen {
        key,
        uid,
        terminating: meta.deletion_timestamp.is_some(),
        status,
    })
}

/// Lists all objects page by page, as of one moment, and keeps what `keep` returns for each.
async fn list<K, T>(
    api: &Api<K>,
    mut keep: impl FnMut(K) -> Option<T>,
) -> Result<Vec<T>, kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut lists = 0;
    let mut kept = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = match api.list(&params).await {
            Err(kube::Error::Api(answer)) if answer.code == 410 && lists + 1 < LISTS => {
                lists += 1;
                kept.clear();
                params.continue_token = None;
                continue;
            }
            page => page?,
        };
        kept.extend(page.items.into_iter().filter_map(&mut keep));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(kept),
        }
    }
}

/// The API server's own message, or why no answer came.
fn words(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(answer) => anyhow!(answer.message),
        error => anyhow::Error::new(error).context("the API server can't be asked"),
    }
}
