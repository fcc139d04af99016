//! Checks that the API server serves all fields that this binary relies on.
//!
//! If a `CustomResourceDefinition` lacks one of our fields, the API server silently drops the value of that field, even
//! the value of a guard. While a field is missing, nothing is sent, and objects of that kind aren't written.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionSpec, CustomResourceDefinitionVersion,
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::api::ApiResource;
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::api::crds;
use crate::follow::{WatchScope, follow, told};
use crate::raw::Raw;
use crate::sight::{Compared, Sight, Unfit, WatchKind};
use crate::telemetry::events::{Events, Note};

/// The lifetime of one watch, in seconds.
const WATCH_SECONDS: u32 = 50;

/// The definitions that this binary needs, with their kinds of watch.
fn definitions() -> [(WatchKind, &'static CustomResourceDefinition); 2] {
    let [packages, platforms] = crds::definitions();
    [
        (WatchKind::PackageDefinition, packages),
        (WatchKind::PlatformDefinition, platforms),
    ]
}

/// The name of the definition that the watch `kind` is about; `None` for watches of other objects.
pub fn name(kind: WatchKind) -> Option<&'static str> {
    match kind {
        WatchKind::PackageDefinition => Some("versionpackages.iodm.dev"),
        WatchKind::PlatformDefinition => Some("platforms.iodm.dev"),
        WatchKind::Packages | WatchKind::Platforms | WatchKind::Namespaces => None,
    }
}

/// The resource of definitions.
pub fn resource() -> ApiResource {
    ApiResource::erase::<CustomResourceDefinition>(&())
}

/// Watches both definitions until cancelled, and reports missing fields to `sight`.
pub async fn watch(client: Client, sight: Arc<Sight>, events: Events, cancel: CancellationToken) {
    let watches = definitions().map(|(kind, ours)| {
        watch_one(
            client.clone(),
            Arc::clone(&sight),
            events.clone(),
            kind,
            ours,
        )
    });
    let [packages, platforms] = watches;
    let settle = async {
        let mut changes = sight.changes();
        loop {
            let due = sight.settles();
            tokio::select! {
                biased;
                () = changes.changed() => {}
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                    sight.settled(Instant::now());
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = async { tokio::join!(packages, platforms, settle); } => {}
    }
}

async fn watch_one(
    client: Client,
    sight: Arc<Sight>,
    events: Events,
    kind: WatchKind,
    ours: &'static CustomResourceDefinition,
) {
    let name = ours.name_any();
    let api = Api::<Raw>::all_with(client, &resource());
    let wanted = WatchScope {
        page: 500,
        seconds: WATCH_SECONDS,
        // A ClusterRole with resourceNames permits only a list and watch with this selector.
        fields: Some(format!("metadata.name={name}")),
    };
    let mut changes = pin!(follow(api, wanted, sight.eye(kind)));
    let mut listed = None;
    while let Some(change) = changes.next().await {
        let shown = match change {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(definition)) => {
                listed = Some(definition);
                continue;
            }
            Ok(Event::InitDone) => listed.take(),
            Ok(Event::Apply(definition)) => Some(definition),
            Ok(Event::Delete(_)) => None,
            Err(error) => {
                let why = told(&error);
                tracing::warn!(
                    why,
                    name,
                    "the watch of a CustomResourceDefinition failed and is made anew"
                );
                continue;
            }
        };
        let uid = shown.as_ref().and_then(|shown| shown.metadata.uid.clone());
        let served = compared(ours, shown.as_ref());
        let complaint = served.as_ref().err().map(|unfit| unfit.why.clone());
        if sight.define(kind, served, Instant::now()) {
            say(&events, &name, uid, complaint);
        }
    }
}

fn say(events: &Events, name: &str, uid: Option<String>, complaint: Option<String>) {
    let warning = complaint.is_some();
    let message = match complaint {
        Some(why) => format!("Nothing is sent, and nothing is written to objects of this kind: {why}"),
        None => "All fields of this version are served again; everything is listed anew, and grace periods begin anew".to_owned(),
    };
    if warning {
        tracing::error!(name, "{message}");
    } else {
        tracing::warn!(name, "{message}");
    }
    let about = ObjectReference {
        api_version: Some("apiextensions.k8s.io/v1".to_owned()),
        kind: Some("CustomResourceDefinition".to_owned()),
        name: Some(name.to_owned()),
        uid,
        ..ObjectReference::default()
    };
    let reason = if warning {
        "FieldsMissing"
    } else {
        "FieldsServed"
    };
    let note = Note {
        warning,
        reason,
        message,
    };
    events.say(about, note);
}

/// Compares a served definition with the one of this binary.
fn compared(ours: &CustomResourceDefinition, served: Option<&Raw>) -> Result<Compared, Unfit> {
    let name = ours.name_any();
    let unfit = |what: &str, lossy| Unfit {
        why: format!("{name} {what}; {MEND}"),
        what: format!("{name} {what}"),
        lossy,
    };
    let Some(served) = served else {
        return Err(unfit("is not there", false));
    };
    let spec = CustomResourceDefinitionSpec::deserialize(&served.data["spec"]);
    let spec = spec.map_err(|error| unfit(&format!("can't be read: {error}"), true))?;
    let theirs = CustomResourceDefinition {
        spec,
        ..CustomResourceDefinition::default()
    };
    let fields = missing_fields(ours, &theirs);
    if !fields.is_empty() {
        return Err(unfit(&format!("lacks {}", fields.join(", ")), true));
    }
    Ok(compared_version(served))
}

/// The identity of a definition's version.
pub fn compared_version(served: &Raw) -> Compared {
    Compared {
        uid: served.metadata.uid.clone().unwrap_or_default(),
        generation: served.metadata.generation.unwrap_or_default(),
    }
}

const MEND: &str = "apply the definitions of this version: vpo crds | kubectl apply --server-side --force-conflicts -f -";

/// The paths of the fields of `ours` that `served` lacks, in each version that is served or stored. The result also
/// names missing transition rules, because what is known of an object relies on the immutability of its fields. It
/// names different defaults too, because a default gives an absent field its meaning.
pub fn missing_fields(
    ours: &CustomResourceDefinition,
    served: &CustomResourceDefinition,
) -> Vec<String> {
    let mut fields = Vec::new();
    for version in &ours.spec.versions {
        let theirs = &served.spec.versions;
        if !theirs
            .iter()
            .any(|other| other.name == version.name && other.served)
        {
            fields.push(format!("version {}", version.name));
            continue;
        }
        // An object stored in another version has only the fields of that version.
        for other in theirs.iter().filter(|other| other.served || other.storage) {
            let lacks = missing_in(version, other);
            if other.name == version.name {
                fields.extend(lacks);
            } else {
                let other = &other.name;
                fields.extend(
                    lacks
                        .into_iter()
                        .map(|field| format!("{field} of version {other}")),
                );
            }
        }
    }
    fields
}

/// The paths of the fields that one version lacks.
fn missing_in(
    ours: &CustomResourceDefinitionVersion,
    theirs: &CustomResourceDefinitionVersion,
) -> Vec<String> {
    let mut fields = Vec::new();
    let subresource = |version: &CustomResourceDefinitionVersion| {
        let subresources = version.subresources.as_ref();
        subresources.is_some_and(|subresources| subresources.status.is_some())
    };
    if subresource(ours) && !subresource(theirs) {
        fields.push("the subresource status".to_owned());
    }
    let schema = |version: &CustomResourceDefinitionVersion| {
        let schema = version.schema.as_ref();
        schema.and_then(|schema| schema.open_api_v3_schema.clone())
    };
    match (schema(ours), schema(theirs)) {
        (Some(ours), Some(theirs)) => compare("", &ours, &theirs, &mut fields),
        (Some(_), None) => fields.push("the schema".to_owned()),
        (None, _) => {}
    }
    fields
}

fn compare(
    path: &str,
    ours: &JSONSchemaProps,
    theirs: &JSONSchemaProps,
    missing: &mut Vec<String>,
) {
    match (&ours.default, &theirs.default) {
        (ours, theirs) if ours == theirs => {}
        (Some(default), _) => missing.push(format!("the default {} of {path}", default.0)),
        // The API server fills in a default on reads, so an object would seem to hold a value that nobody wrote.
        (None, _) => missing.push(format!(
            "a {path} without a default (the default in the cluster has to go)"
        )),
    }
    let has = |rule: &str| {
        let theirs = theirs.x_kubernetes_validations.iter().flatten();
        theirs.into_iter().any(|other| other.rule == rule)
    };
    for validation in ours.x_kubernetes_validations.iter().flatten() {
        if validation.rule.contains("oldSelf") && !has(&validation.rule) {
            let of = if path.is_empty() { "the object" } else { path };
            missing.push(format!("the rule {} of {of}", validation.rule));
        }
    }
    for (name, schema) in ours.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        match theirs
            .properties
            .as_ref()
            .and_then(|properties| properties.get(name))
        {
            Some(theirs) => compare(&path, schema, theirs, missing),
            None => missing.push(path),
        }
    }
    if let (
        Some(JSONSchemaPropsOrArray::Schema(ours)),
        Some(JSONSchemaPropsOrArray::Schema(theirs)),
    ) = (&ours.items, &theirs.items)
    {
        compare(&format!("{path}[]"), ours, theirs, missing);
    }
    let keeps_all = theirs.x_kubernetes_preserve_unknown_fields == Some(true);
    if ours.additional_properties.is_some() && theirs.additional_properties.is_none() && !keeps_all
    {
        missing.push(format!("{path}.*"));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSON;

    use super::*;

    #[test]
    fn names_match_the_definitions() {
        for (kind, ours) in definitions() {
            assert_eq!(name(kind), Some(&*ours.name_any()));
        }
    }

    #[test]
    fn our_definitions_are_complete_and_each_field_missing_in_an_older_one_is_named() {
        for ours in crds::definitions() {
            assert_eq!(missing_fields(ours, ours), Vec::<String>::new());
        }
        let [ours, _] = crds::definitions();
        let mut old = ours.clone();
        let root = old.spec.versions[0]
            .schema
            .as_mut()
            .unwrap()
            .open_api_v3_schema
            .as_mut()
            .unwrap();
        let spec = root.properties.as_mut().unwrap().get_mut("spec").unwrap();
        spec.properties.as_mut().unwrap().remove("deletionPolicy");
        assert_eq!(missing_fields(ours, &old), [".spec.deletionPolicy"]);
        old.spec.versions[0].subresources = None;
        assert_eq!(
            missing_fields(ours, &old),
            ["the subresource status", ".spec.deletionPolicy"]
        );
        old.spec.versions[0].served = false;
        assert_eq!(missing_fields(ours, &old), ["version v1alpha1"]);
    }

    fn spec_of(version: &mut CustomResourceDefinitionVersion) -> &mut JSONSchemaProps {
        let schema = version.schema.as_mut().unwrap();
        let root = schema.open_api_v3_schema.as_mut().unwrap();
        root.properties.as_mut().unwrap().get_mut("spec").unwrap()
    }

    #[test]
    fn every_served_or_stored_version_needs_all_fields() {
        let [ours, _] = crds::definitions();
        for (is_served, is_stored, missing) in [
            (true, false, 1),
            (false, true, 1),
            (true, true, 1),
            (false, false, 0),
        ] {
            let mut served = ours.clone();
            let mut second = ours.spec.versions[0].clone();
            second.name = "v1beta1".to_owned();
            (second.served, second.storage) = (is_served, is_stored);
            served.spec.versions[0].storage = !is_stored;
            served.spec.versions.push(second);
            assert_eq!(missing_fields(ours, &served), Vec::<String>::new());
            let spec = spec_of(&mut served.spec.versions[1]);
            spec.properties.as_mut().unwrap().remove("expect");
            let lacks = vec![".spec.expect of version v1beta1".to_owned(); missing];
            assert_eq!(missing_fields(ours, &served), lacks);
        }
    }

    #[test]
    fn a_definition_needs_the_rules_that_make_fields_immutable() {
        let [ours, _] = crds::definitions();
        let mut loose = ours.clone();
        let spec = spec_of(&mut loose.spec.versions[0]);
        let file_id = spec.properties.as_mut().unwrap().get_mut("fileId").unwrap();
        assert!(file_id.x_kubernetes_validations.take().is_some());
        assert_eq!(
            missing_fields(ours, &loose),
            ["the rule self == oldSelf of .spec.fileId"]
        );
    }

    #[test]
    fn a_definition_needs_the_same_defaults() {
        let [ours, _] = crds::definitions();
        let mut other = ours.clone();
        let spec = spec_of(&mut other.spec.versions[0]);
        let lifecycle = spec.properties.as_mut().unwrap().get_mut("lifecycle");
        lifecycle.unwrap().default = Some(JSON(serde_json::json!("Retired")));
        assert_eq!(
            missing_fields(ours, &other),
            [r#"the default "Active" of .spec.lifecycle"#]
        );
        let mut other = ours.clone();
        let spec = spec_of(&mut other.spec.versions[0]);
        let time = spec.properties.as_mut().unwrap().get_mut("retireAfter");
        time.unwrap().default = Some(JSON(serde_json::json!("2020-01-01T00:00:00Z")));
        let lacks = missing_fields(ours, &other);
        assert_eq!(
            lacks,
            ["a .spec.retireAfter without a default (the default in the cluster has to go)"]
        );
    }
}
