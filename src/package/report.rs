//! Tells the world what a pass came to: memory, audit, status, event; in this order.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use serde_json::json;
use tokio::time::Instant;

use super::act::{leave_seat, record_end};
use super::conclude::{Note, Report, Retry, pause};
use super::effect::Effect;
use super::memory::Failure;
use super::object::{Object, Watched};
use super::observe::Observed;
use super::{API_TIMEOUT, Context};
use crate::api::names::FIELD_MANAGER;
use crate::api::reason::Phase;
use crate::api::version_package::{Outcome, VersionPackageStatus};
use crate::remote::answer::Answer;

/// Delivers `report`; returns when to look at the object again.
pub async fn deliver(
    context: &Context,
    observed: &Observed,
    effect: &Effect,
    report: Report,
) -> Option<Instant> {
    let object = &*observed.facts.object;
    remember(context, observed, effect, &report);
    let mut wake = report.wake;
    let mut failed = match effect {
        Effect::Failed(error) => Some(error.clone()),
        _ => None,
    };
    if let Some(status) = report.status.filter(|status| *status != object.status) {
        match write_status(context, object, &status).await {
            Ok(()) => tracing::info!(
                reason = status.conditions.first().map(|c| c.reason.as_str()),
                phase = status.phase.map(Phase::as_str),
                "status"
            ),
            Err(error) => {
                // Without its intent, a permit is of no use.
                if matches!(effect, Effect::Intended(_)) {
                    leave_seat(context, object);
                }
                failed = Some(error);
            }
        }
    }
    if let Some(error) = failed {
        tracing::warn!(error, "the API server did not take a write");
        let failures = context.memory.write_failed(&object.uid);
        let again = pause(WRITE_PAUSE, WRITE_PAUSE_CAP, failures, fastrand::f64());
        wake = Some(Instant::now() + again);
    }
    if let Some(note) = report.event {
        publish(context, object, note).await;
    }
    wake
}

/// After a write that the API server did not take; it doubles with each further one.
const WRITE_PAUSE: Duration = Duration::from_millis(500);
const WRITE_PAUSE_CAP: Duration = Duration::from_secs(30);

/// What is remembered of an answer, and its audit line, before anything is written.
fn remember(context: &Context, observed: &Observed, effect: &Effect, report: &Report) {
    let object = &*observed.facts.object;
    let Effect::Answered(answer) = effect else {
        return;
    };
    if let Some(outcome) = report.settled {
        record_end(context, object, outcome, Some(answer), observed.now);
        for key in context.memory.settle(&object.uid, outcome) {
            if let Some(served) = context.cache.look(&key) {
                record_end(context, &served.object, outcome, None, observed.now);
            }
            context.queue.add(key);
        }
        context.memory.set_failure(&object.uid, None);
    }
    log_answer(answer, report.settled);
    match report.retry {
        Retry::Unchanged => {}
        Retry::After(until) => {
            let count = observed
                .failure
                .as_ref()
                .map_or(0, |failure| failure.count)
                .saturating_add(1);
            let failure = Failure {
                count,
                until,
                fingerprint: observed.fingerprint.clone(),
            };
            context.memory.set_failure(&object.uid, Some(failure));
        }
    }
    leave_seat(context, object);
}

fn log_answer(answer: &Answer, outcome: Option<Outcome>) {
    match (outcome, answer.detail()) {
        (Some(outcome), _) => tracing::info!(outcome = outcome.as_str(), "the platform answered"),
        (None, Some(detail)) => tracing::warn!(
            answer = answer.as_str(),
            http_status = detail.http_status,
            code = detail.code.as_deref(),
            message = detail.message,
            "the platform answered"
        ),
        (None, None) => tracing::warn!(answer = answer.as_str(), "the platform answered"),
    }
}

async fn write_status(
    context: &Context,
    object: &Object,
    status: &VersionPackageStatus,
) -> Result<(), String> {
    let body = json!({
        "apiVersion": "iodm.dev/v1alpha1",
        "kind": "VersionPackage",
        // The uid: another object of the same name must not get this status.
        "metadata": {"name": &*object.key.name, "namespace": &*object.key.namespace, "uid": object.uid},
        "status": status,
    });
    let api = Api::<Watched>::namespaced(context.client.clone(), &object.key.namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&body);
    let written = tokio::time::timeout(
        API_TIMEOUT,
        api.patch_status(&object.key.name, &params, &patch),
    );
    match written.await {
        Ok(Ok(next)) => {
            // A write that changed nothing has no echo to wait for.
            if kube::ResourceExt::resource_version(&next).as_deref()
                != Some(&*object.resource_version)
            {
                context
                    .memory
                    .wrote(&object.uid, &object.resource_version, Instant::now());
            }
            Ok(())
        }
        // Gone meanwhile: the watch says so too.
        Ok(Err(kube::Error::Api(answer))) if answer.code == 404 => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the API server did not answer in time".to_owned()),
    }
}

/// Publishes an event; one that can't be published is counted, and never fails the pass.
async fn publish(context: &Context, object: &Object, note: Note) {
    if context.directory.is_terminating(&object.key.namespace) {
        context.metrics.told("skipped");
        return;
    }
    let event = Event {
        type_: if note.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: note.reason.to_owned(),
        note: Some(crate::api::condition::cut(&note.message, 1024).to_owned()),
        action: "Delete".to_owned(),
        secondary: None,
    };
    let about = ObjectReference {
        api_version: Some("iodm.dev/v1alpha1".to_owned()),
        kind: Some("VersionPackage".to_owned()),
        name: Some(object.key.name.to_string()),
        namespace: Some(object.key.namespace.to_string()),
        uid: Some(object.uid.clone()),
        ..ObjectReference::default()
    };
    match tokio::time::timeout(API_TIMEOUT, context.recorder.publish(&event, &about)).await {
        Ok(Ok(())) => context.metrics.told("published"),
        Ok(Err(error)) => {
            tracing::debug!(%error, "an event could not be published");
            context.metrics.told("failed");
        }
        Err(_) => context.metrics.told("failed"),
    }
}
