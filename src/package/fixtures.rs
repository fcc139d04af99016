//! Test fixtures: objects, claims and observations.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::claims::{Claim, Doubt, Unclear, Why};
use super::decide::{Observation, PlatformView};
use crate::api::names::{AppId, FINALIZER, ObjectKey};
use crate::api::platform::Mode;
use crate::api::status::{Beside, patch};
use crate::api::version_package::{Lifecycle, VersionPackageStatus};
use crate::guard::{Judgement, OnRecord};
use crate::inventory::Known;
use crate::object::watched::Watched;
use crate::object::{Object, Undecodable};
use crate::package::memory::own_write::Echo;
use crate::session::Standing;

pub(crate) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub(crate) fn app(name: &str) -> AppId {
    name.parse().unwrap()
}

/// A live, Active object with our finalizer that was never accepted.
pub(crate) fn object(name: &str) -> Object {
    let spec = json!({"fileId": "f-1", "platformRef": {"name": "production"}});
    Object {
        key: ObjectKey::new("fleet", name),
        uid: format!("uid-{name}"),
        resource_version: "7".into(),
        generation: 1,
        deleted_at: None,
        finalizers: vec![FINALIZER.into()],
        paused: false,
        odd_pause: None,
        requested_at: None,
        disregard: BTreeSet::new(),
        accept: None,
        actor: None,
        spec: Ok(serde_json::from_value(spec).unwrap()),
        status: VersionPackageStatus::default(),
        beside: Beside::default(),
    }
}

pub(crate) fn accepted(name: &str, application: &str) -> Object {
    let mut object = object(name);
    object.status.application = Some(app(application));
    object
}

pub(crate) fn retired(mut object: Object) -> Object {
    object.spec.as_mut().unwrap().lifecycle = Lifecycle::Retired;
    object
}

pub(crate) fn deleted(object: Object) -> Object {
    Object {
        deleted_at: Some(now()),
        generation: object.generation + 1,
        ..object
    }
}

pub(crate) fn undecodable(name: &str) -> Object {
    let undecodable = Undecodable {
        error: "spec: invalid type".into(),
        lost: false,
        file_id: Some("f-1".parse().unwrap()),
        platform: None,
        retain: false,
    };
    Object {
        spec: Err(undecodable),
        ..object(name)
    }
}

/// The unclear claim of another object.
pub(crate) fn unclear(name: &str) -> Claim {
    let key = ObjectKey::new("fleet", name);
    let doubt = Doubt {
        uid: format!("uid-{name}").into(),
        key,
        platform: None,
        why: Why::Unreadable,
    };
    Claim::Unclear(Box::new(Unclear {
        doubt,
        since: now(),
        others: false,
        word: crate::package::claims::Word::None,
    }))
}

/// `object` in the form in which the API server sends it.
pub(crate) fn watched(object: &Object) -> Watched {
    let spec = match &object.spec {
        Ok(spec) => json!(spec),
        Err(undecodable) => json!({"fileId": undecodable.file_id, "platformRef": 7}),
    };
    Watched {
        metadata: ObjectMeta {
            namespace: Some(object.key.namespace.to_string()),
            name: Some(object.key.name.to_string()),
            uid: Some(object.uid.clone()),
            resource_version: Some(object.resource_version.clone()),
            generation: Some(object.generation),
            deletion_timestamp: object.deleted_at.map(Time),
            finalizers: Some(object.finalizers.clone()),
            ..ObjectMeta::default()
        },
        unreadable: None,
        lost: None,
        actor: object.actor.clone(),
        spec,
        status: patch(&object.status, &object.uid, &object.beside),
    }
}

/// An observation of `object` in which nothing stands in the way: a usable Platform, no claim and no ticket yet.
pub(crate) fn seen(object: Object) -> Observation {
    Observation {
        object: std::sync::Arc::new(object),
        echo: Echo::Seen,
        request: None,
        anew: false,
        keepers: Vec::new(),
        looks_first: false,
        finalizers_refused: None,
        status_refused: None,
        complaint_refused: None,
        blind: false,
        settled: None,
        platform: PlatformView::Usable {
            app_id: app("app-1"),
            mode: Mode::Enforce,
            last_good: None,
            grace: std::time::Duration::ZERO,
            accepts: true,
        },
        hindrance: None,
        graces_since: None,
        lagging: false,
        endpoint: None,
        elsewhere: None,
        known: Known::Unread,
        claim: Claim::Nobody,
        unproven: None,
        given_back: 0,
        finding: None,
        trials: Vec::new(),
        misplaced: false,
        failure: None,
        failed_audits: 0,
        conflicts: 0,
        writes_hang: false,
        audited: None,
        owed: None,
        overdue: None,
        window: std::time::Duration::from_secs(60),
        guard: Judgement::Free(OnRecord::Allowed),
        proven: None,
        standing: Standing::Absent,
        backoff: None,
    }
}
