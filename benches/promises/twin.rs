//! A kind equal to `VersionPackage` in everything but its group: a bare loop deletes its objects while the operator,
//! which doesn't know the kind, is busy with the real ones.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, GroupVersionKind, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use version_package_operator::api::crds;

use crate::support::Plane;

const GROUP: &str = "bench.iodm.dev";

/// Lets the API server serve the twin kind.
pub async fn serve(plane: &Plane) -> ApiResource {
    let [definition, _] = crds::definitions();
    let mut definition = definition.clone();
    let names = &mut definition.spec.names;
    (names.short_names, names.categories) = (None, None);
    let version = &definition.spec.versions[0].name;
    let kind = GroupVersionKind::gvk(GROUP, version, &names.kind);
    let kind = ApiResource::from_gvk_with_plural(&kind, &names.plural);
    let name = format!("{}.{GROUP}", names.plural);
    GROUP.clone_into(&mut definition.spec.group);
    definition.metadata.name = Some(name.clone());
    let api = Api::<CustomResourceDefinition>::all(plane.client().await);
    let created = api.create(&PostParams::default(), &definition).await;
    created.expect("a definition");
    let established = await_condition(api, &name, is_crd_established());
    established.await.expect("a kind that is served");
    kind
}
