//! Whether the API server serves the fields that this binary relies on.
//!
//! An old `CustomResourceDefinition` under a new binary drops unknown fields without a word, guards
//! among them: until every field is served, nothing is reconciled and no DELETE is sent.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::{Api, Client, ResourceExt};

use crate::api::crds;
use crate::package::API_TIMEOUT;

/// How often an incomplete schema is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Waits until both definitions are served with every field of ours; tells `report` what is missing.
pub async fn wait_until_served(client: &Client, report: impl Fn(&str)) {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    loop {
        match missing(&api).await {
            Ok(()) => return,
            Err(why) => {
                tracing::error!(
                    why,
                    "nothing is reconciled: the CustomResourceDefinitions don't fit this version"
                );
                report(&why);
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn missing(api: &Api<CustomResourceDefinition>) -> Result<(), String> {
    for ours in crds::definitions() {
        let name = ours.name_any();
        let served = match tokio::time::timeout(API_TIMEOUT, api.get_opt(&name)).await {
            Ok(Ok(Some(served))) => served,
            Ok(Ok(None)) => return Err(format!("{name} is not there; {MEND}")),
            Ok(Err(error)) => return Err(format!("{name} can't be read: {error}")),
            Err(_) => {
                return Err(format!(
                    "{name} can't be read: the API server did not answer in time"
                ));
            }
        };
        let fields = missing_fields(&ours, &served);
        if !fields.is_empty() {
            return Err(format!("{name} lacks {}; {MEND}", fields.join(", ")));
        }
    }
    Ok(())
}

const MEND: &str =
    "apply the definitions of this version: vpo crds | kubectl apply --server-side -f -";

/// The fields of `ours` that `served` lacks, as paths.
pub fn missing_fields(
    ours: &CustomResourceDefinition,
    served: &CustomResourceDefinition,
) -> Vec<String> {
    let mut fields = Vec::new();
    for version in &ours.spec.versions {
        let theirs = served
            .spec
            .versions
            .iter()
            .find(|other| other.name == version.name && other.served);
        let ours = version
            .schema
            .as_ref()
            .and_then(|schema| schema.open_api_v3_schema.as_ref());
        let theirs = theirs.and_then(|theirs| theirs.schema.as_ref()?.open_api_v3_schema.as_ref());
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => compare("", ours, theirs, &mut fields),
            (Some(_), None) => fields.push(format!("version {}", version.name)),
            (None, _) => {}
        }
    }
    fields
}

fn compare(
    path: &str,
    ours: &JSONSchemaProps,
    theirs: &JSONSchemaProps,
    missing: &mut Vec<String>,
) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_definitions_lack_nothing_and_an_older_one_is_named_field_by_field() {
        for ours in crds::definitions() {
            assert_eq!(missing_fields(&ours, &ours), Vec::<String>::new());
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
        assert_eq!(missing_fields(&ours, &old), [".spec.deletionPolicy"]);
        old.spec.versions[0].served = false;
        assert_eq!(missing_fields(&ours, &old), ["version v1alpha1"]);
    }
}
