//! A complete setup: control plane, operator with its own ServiceAccount, and a platform.

use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{History, Operator, Plane, Said, Simulator, SimulatorOptions, own, wait_for};

/// The time limit of steps that should finish quickly. Occasionally a watch stays silent until the next event of its
/// kind; the operator renews each watch after 60 s.
pub const SOON: Duration = Duration::from_secs(75);
/// The namespace of the operator in the manifests, and the name of its ServiceAccount.
pub const OPERATOR: &str = "version-package-operator";

/// A namespace with a Platform named `production` and a simulator of its own, whose application has the name of the
/// namespace.
pub struct Rig<'a> {
    /// The control plane.
    pub plane: &'a Plane,
    /// The namespace of this test.
    pub namespace: String,
    /// The platform of this test.
    pub simulator: Simulator,
    api: Api<DynamicObject>,
}

/// The layout of a rig.
pub struct Layout<'a> {
    /// The options of the simulator, except its application.
    pub simulator: SimulatorOptions<'a>,
    /// Additions to the spec of the Platform.
    pub platform: Value,
}

impl Default for Layout<'_> {
    /// Twenty packages and a window of one second, so that a start of the operator delays a test by one second only.
    fn default() -> Self {
        Self {
            simulator: SimulatorOptions {
                packages: 20,
                quota_window: "1s",
                ..SimulatorOptions::default()
            },
            platform: json!({"quota": {"calls": 100, "window": "1s"}}),
        }
    }
}

/// The control plane that the tests of one binary share, with a running operator.
pub async fn shared() -> &'static Plane {
    shared_operator().await;
    Plane::shared()
}

/// The operator that the tests of one binary share. It has short time limits, for calls that never end.
pub async fn shared_operator() -> &'static Operator {
    static STARTED: OnceCell<Operator> = OnceCell::const_new();
    let start = async {
        let plane = Plane::shared();
        plane.install();
        let flags = ["--connect-timeout", "1s", "--call-timeout", "3s"];
        let mut operator = start_operator(plane, &flags);
        operator.ready().await;
        operator
    };
    STARTED.get_or_init(|| start).await
}

/// Starts the operator with the shipped rights.
pub fn start_operator(plane: &Plane, flags: &[&str]) -> Operator {
    Operator::start(&plane.kubeconfig_for(OPERATOR, OPERATOR), OPERATOR, flags)
}

impl<'a> Rig<'a> {
    /// Creates a namespace with a Platform; the operator is the shared one.
    pub async fn shared(subject: &str, layout: Layout<'_>) -> Rig<'static> {
        Rig::on(shared().await, subject, layout).await
    }

    /// Creates a namespace with a Platform on a control plane of the test's own.
    pub async fn on(plane: &'a Plane, subject: &str, layout: Layout<'_>) -> Self {
        let namespace = plane.namespace(subject);
        plane.grant_secrets(&namespace, &["production-app", "production-ca"]);
        // Each test has its own application and its own ids, so no test claims the packages of another test.
        let prefix = own::prefix(&namespace);
        let options = SimulatorOptions {
            app_id: &namespace,
            prefix: &prefix,
            ..layout.simulator
        };
        let simulator = Simulator::start(options).await;
        let manifests = simulator.platform(&namespace, "production", &layout.platform);
        plane.apply(&manifests).expect_ok();
        let kind = GroupVersionKind::gvk("iodm.dev", "v1alpha1", "VersionPackage");
        let kind = ApiResource::from_gvk_with_plural(&kind, "versionpackages");
        let api = Api::namespaced_with(plane.client().await, &namespace, &kind);
        Self {
            plane,
            namespace,
            simulator,
            api,
        }
    }

    /// The API of the packages in the namespace of this test.
    pub fn packages(&self) -> &Api<DynamicObject> {
        &self.api
    }

    /// Runs kubectl in the namespace of this test.
    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend(arguments);
        self.plane.kubectl(&all)
    }

    /// The manifest of a package; `spec` is merged over the default one.
    pub fn manifest(&self, name: &str, file_id: &str, spec: &Value) -> Value {
        let mut object = json!({
            "apiVersion": "iodm.dev/v1alpha1", "kind": "VersionPackage",
            "metadata": {"namespace": self.namespace, "name": name},
            "spec": {"platformRef": {"name": "production"}, "fileId": file_id},
        });
        for (field, value) in spec.as_object().into_iter().flatten() {
            object["spec"][field] = value.clone();
        }
        own::with_prefix(&mut object["spec"], &own::prefix(&self.namespace));
        object
    }

    /// Applies packages and waits until each is Active.
    pub async fn active(&self, packages: &[(&str, &str)]) {
        let items: Vec<Value> = packages
            .iter()
            .map(|(name, file_id)| self.manifest(name, file_id, &json!({})))
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.plane.apply(&list.to_string()).expect_ok();
        for (name, _) in packages {
            self.reason(name, "Active").await;
        }
    }

    /// The current object; `None` where it doesn't exist.
    pub async fn get(&self, name: &str) -> Option<Value> {
        let object = self
            .api
            .get_opt(name)
            .await
            .expect("the API server answers")?;
        let object = serde_json::to_value(object).expect("an object is JSON");
        Some(own::plain_value(&object))
    }

    /// Waits until the object has `reason` for its current generation; returns it.
    pub async fn reason(&self, name: &str, reason: &str) -> Value {
        let mut last = None;
        let found = tokio::time::timeout(SOON, async {
            loop {
                last = self.get(name).await;
                if let Some(object) = &last
                    && ready(object)["reason"] == reason
                    && object["status"]["observedGeneration"] == object["metadata"]["generation"]
                {
                    return object.clone();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        found.await.unwrap_or_else(|_| {
            panic!(
                "{name} never said {reason}: {:#?}",
                last.map(|o| o["status"].clone())
            )
        })
    }

    /// Waits until an object satisfies `wanted`; returns it.
    pub async fn becomes(
        &self,
        name: &str,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_for(&format!("{name}: {what}"), deadline, async || {
            self.get(name).await.filter(&wanted)
        })
        .await
    }

    /// Waits until a Platform of this namespace has `reason` for its current generation; returns it.
    pub async fn platform_reason(&self, name: &str, reason: &str) -> Value {
        let what = format!("the Platform {name} to say {reason}");
        self.platform_becomes(name, &what, |object| {
            let current =
                object["status"]["observedGeneration"] == object["metadata"]["generation"];
            current && ready(object)["reason"] == reason
        })
        .await
    }

    /// Waits until a Platform of this namespace satisfies `wanted`; returns it.
    pub async fn platform_becomes(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_for(what, SOON, async || {
            let text = self.kubectl(&["get", "platform", name, "-o", "json"]);
            let object: Value = serde_json::from_str(&text.expect_ok()).expect("JSON");
            Some(object).filter(&wanted)
        })
        .await
    }

    /// Merges `change` into an object, named as `vp/meter-fw`, as a user would.
    pub fn patch(&self, object: &str, change: &Value) {
        self.kubectl(&["patch", object, "--type=merge", "-p", &change.to_string()])
            .expect_ok();
    }

    /// Merges `change` into the status of an object, as the operator would.
    pub fn patch_status(&self, object: &str, change: &Value) {
        let change = change.to_string();
        let patch = [
            "patch",
            object,
            "--subresource=status",
            "--type=merge",
            "-p",
            &change,
        ];
        self.kubectl(&patch).expect_ok();
    }

    /// Sets `lifecycle: Retired`.
    pub fn retire(&self, name: &str) {
        self.patch(
            &format!("vp/{name}"),
            &json!({"spec": {"lifecycle": "Retired"}}),
        );
    }

    /// Sets one of our annotations, or removes it with `None`.
    pub fn annotate(&self, object: &str, annotation: &str, value: Option<&str>) {
        let annotation = format!("iodm.dev/{annotation}");
        self.patch(
            object,
            &json!({"metadata": {"annotations": {annotation: value}}}),
        );
    }

    /// Deletes a Platform although objects need it, and abandons it.
    pub async fn give_up_platform(&self, name: &str) {
        let get = ["get", "platform", name, "-o", "jsonpath={.metadata.uid}"];
        let uid = self.kubectl(&get).expect_ok();
        let delete = ["delete", "platform", name, "--wait=false"];
        self.kubectl(&delete).expect_ok();
        self.annotate(&format!("platform/{name}"), "abandon", Some(&uid));
        wait_for(&format!("the Platform {name} to go"), SOON, async || {
            let said = self.kubectl(&["get", "platform", name]);
            said.stderr.contains("NotFound").then_some(())
        })
        .await;
    }

    /// Requests the deletion of an object as a user would, without waiting for it.
    pub fn delete(&self, name: &str) {
        self.delete_all(&[name]);
    }

    /// Requests the deletion of several objects at once, without waiting for it.
    pub fn delete_all(&self, names: &[&str]) {
        let mut arguments = vec!["delete", "vp", "--wait=false"];
        arguments.extend(names);
        self.kubectl(&arguments).expect_ok();
    }

    /// Waits until the object is gone.
    pub async fn gone(&self, name: &str) {
        wait_for(&format!("{name} to go"), SOON, async || {
            self.get(name).await.is_none().then_some(())
        })
        .await;
    }

    /// The DELETE calls for one package that the platform received.
    pub async fn deletes(&self, file_id: &str) -> Vec<Value> {
        let path = format!("/category/{file_id}");
        let of_this = |call: &Value| {
            call["method"] == "DELETE" && call["path"].as_str().is_some_and(|p| p.ends_with(&path))
        };
        self.simulator
            .ledger()
            .await
            .into_iter()
            .filter(of_this)
            .collect()
    }

    /// Makes `calls` calls for the same application at once, as another client.
    pub async fn neighbour(&self, calls: usize) {
        let body = json!({"appId": self.namespace, "calls": calls});
        let simulator = &self.simulator;
        simulator.admin(Method::POST, "/neighbour", &body).await;
    }

    /// The number of logins that the platform received.
    pub async fn logins(&self) -> usize {
        let ledger = self.simulator.ledger().await;
        let login = |call: &&Value| call["path"].as_str().is_some_and(|p| p.ends_with("/login"));
        ledger.iter().filter(login).count()
    }

    /// Records all objects of this kind in the namespace, from now on.
    pub async fn history(&self) -> History {
        History::follow(self.api.clone()).await
    }
}

/// The Ready condition of an object.
pub fn ready(object: &Value) -> Value {
    let conditions = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions
        .into_iter()
        .find(|c| c["type"] == "Ready")
        .unwrap_or_default()
}
