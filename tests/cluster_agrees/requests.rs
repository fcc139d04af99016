//! Random requests in the style of the operator, users, Git tools and backup tools.

use serde_json::{Value, json};

use crate::both::{APPLY, Asked, JSON, MERGE, OPERATIONS, Pair};
use crate::objects::{
    folder, metadata, object, once_in, one, package_field, package_spec, platform_field,
    platform_spec, status,
};
use crate::sequence::Sequence;

/// The field managers.
const MANAGERS: [&str; 5] = ["vpo", "flux", "kubectl", "velero", "argocd"];

impl Sequence {
    /// A seen version of an object, mostly the last one.
    fn known(&mut self, path: &str) -> Option<Pair<Value>> {
        let all = self.seen.get(path)?;
        let at = if once_in(&mut self.chance, 5) {
            self.chance.usize(..all.len())
        } else {
            all.len() - 1
        };
        Some(all[at].clone())
    }

    fn manager(&mut self) -> String {
        format!("fieldManager={}", one(&mut self.chance, &MANAGERS))
    }

    fn spec(&mut self, plural: &str) -> Value {
        match plural {
            "platforms" => platform_spec(&mut self.chance),
            _ => package_spec(&mut self.chance),
        }
    }

    fn field(&mut self, plural: &str) -> (&'static str, Value) {
        match plural {
            "platforms" => platform_field(&mut self.chance),
            _ => package_field(&mut self.chance),
        }
    }

    /// The next random request.
    pub fn next(&mut self) -> Asked {
        let plural = one(
            &mut self.chance,
            &["versionpackages", "versionpackages", "platforms"],
        );
        let name = one(&mut self.chance, &["a", "b", "c"]);
        let folder = folder(&self.namespace, plural);
        let path = format!("{folder}/{name}");
        let asked = match self.chance.u32(..100) {
            0..14 => self.create(plural, name, folder),
            14..20 => self.replace(plural, path),
            20..26 => self.replace_status(plural, path),
            26..40 => self.merge(plural, path),
            40..55 => self.merge_status(plural, path),
            55..60 => self.finalizers(path),
            60..65 => self.operations(path),
            65..77 => self.apply(plural, path),
            77..85 => self.apply_status(plural, path),
            85..92 => self.delete(path),
            92..93 => self.delete_all(folder),
            93..96 => Asked::new("GET", path),
            _ => self.list(folder),
        };
        self.varied(asked)
    }

    /// Occasionally turns a write into a dry run or lets it reject unknown fields.
    fn varied(&mut self, mut asked: Asked) -> Asked {
        if asked.method == "GET" {
            return asked;
        }
        if once_in(&mut self.chance, 25) {
            asked = asked.param("dryRun=All");
        }
        if asked.method != "DELETE" && once_in(&mut self.chance, 15) {
            asked = asked.param("fieldValidation=Strict");
        }
        asked
    }

    fn create(&mut self, plural: &str, name: &str, folder: String) -> Asked {
        let spec = self.spec(plural);
        let metadata = metadata(&mut self.chance);
        let mut object = object(plural, name, metadata, &spec);
        if once_in(&mut self.chance, 3) {
            object["status"] = status(&mut self.chance, plural);
        }
        let mut asked = Asked::new("POST", folder).body(JSON, Pair::same(object));
        if once_in(&mut self.chance, 2) {
            asked = asked.param(&self.manager());
        }
        asked
    }

    /// A seen object for a PUT, sometimes without its version or with another uid.
    fn seen_or_made(&mut self, plural: &str, path: &str) -> Pair<Value> {
        let name = path.rsplit('/').next().unwrap().to_owned();
        let Some(known) = self.known(path) else {
            let spec = self.spec(plural);
            return Pair::same(object(plural, &name, json!({}), &spec));
        };
        let (versionless, other) = (once_in(&mut self.chance, 12), once_in(&mut self.chance, 15));
        known.changed(|object| {
            let metadata = object["metadata"].as_object_mut().unwrap();
            if versionless {
                metadata.remove("resourceVersion");
            }
            if other {
                metadata.insert("uid".into(), json!("7c0f6a1e-0000-4000-8000-000000000000"));
            }
        })
    }

    fn replace(&mut self, plural: &str, path: String) -> Asked {
        let (field, value) = self.field(plural);
        let more = metadata(&mut self.chance);
        let object = self.seen_or_made(plural, &path).changed(|object| {
            object["spec"][field] = value.clone();
            for (name, value) in more.as_object().unwrap() {
                object["metadata"][name] = value.clone();
            }
        });
        Asked::new("PUT", path)
            .body(JSON, object)
            .param(&self.manager())
    }

    fn replace_status(&mut self, plural: &str, path: String) -> Asked {
        let status = status(&mut self.chance, plural);
        let object = self
            .seen_or_made(plural, &path)
            .changed(|object| object["status"] = status.clone());
        Asked::new("PUT", path + "/status")
            .body(JSON, object)
            .param("fieldManager=velero")
    }

    /// The body with the seen version as precondition, and sometimes the uid.
    fn guarded(&mut self, path: &str, body: Value, uid: bool) -> Pair<Value> {
        let body = Pair::same(body);
        let Some(known) = self.known(path) else {
            return body;
        };
        let mut metadata = body.at("/metadata");
        if metadata.0.is_null() {
            metadata = Pair::same(json!({}));
        }
        metadata = metadata.with("resourceVersion", known.at("/metadata/resourceVersion"));
        if uid {
            metadata = metadata.with("uid", known.at("/metadata/uid"));
        }
        body.with("metadata", metadata)
    }

    fn merge(&mut self, plural: &str, path: String) -> Asked {
        let (field, value) = self.field(plural);
        let mut body = json!({"metadata": metadata(&mut self.chance)});
        if once_in(&mut self.chance, 2) {
            body["spec"][field] = value;
        }
        if once_in(&mut self.chance, 10) {
            body["status"] = status(&mut self.chance, plural);
        }
        let body = if once_in(&mut self.chance, 3) {
            let uid = once_in(&mut self.chance, 2);
            self.guarded(&path, body, uid)
        } else {
            Pair::same(body)
        };
        Asked::new("PATCH", path)
            .body(MERGE, body)
            .param(&self.manager())
    }

    fn merge_status(&mut self, plural: &str, path: String) -> Asked {
        let mut body = json!({"status": status(&mut self.chance, plural)});
        if once_in(&mut self.chance, 10) {
            body["metadata"] = metadata(&mut self.chance);
        }
        if once_in(&mut self.chance, 20) {
            body["status"] = json!(null);
        }
        let body = if once_in(&mut self.chance, 4) {
            Pair::same(body)
        } else {
            self.guarded(&path, body, false)
        };
        Asked::new("PATCH", path + "/status")
            .body(MERGE, body)
            .param(&self.manager())
    }

    /// A write of finalizers in the style of the operator.
    fn finalizers(&mut self, path: String) -> Asked {
        let all = [
            json!(["iodm.dev/package"]),
            json!([]),
            json!(["example.com/other", "iodm.dev/package"]),
        ];
        let body = json!({"metadata": {"finalizers": one(&mut self.chance, &all)}});
        let body = self.guarded(&path, body, true);
        Asked::new("PATCH", path)
            .body(MERGE, body)
            .param("fieldManager=vpo")
    }

    fn operations(&mut self, path: String) -> Asked {
        let all = [
            json!([{"op": "test", "path": "/spec/fileId", "value": "f1"}, {"op": "replace", "path": "/spec/lifecycle", "value": "Retired"}]),
            json!([{"op": "add", "path": "/metadata/finalizers", "value": ["iodm.dev/package"]}]),
            json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/other"}]),
            json!([{"op": "remove", "path": "/metadata/finalizers/0"}]),
            json!([{"op": "remove", "path": "/metadata/finalizers"}]),
            json!([{"op": "test", "path": "/metadata/finalizers/0", "value": "iodm.dev/package"}, {"op": "remove", "path": "/metadata/finalizers/0"}]),
            json!([{"op": "add", "path": "/metadata/annotations/note", "value": "x"}]),
            json!([{"op": "replace", "path": "/metadata/uid", "value": "x"}]),
            json!([{"op": "remove", "path": "/spec/expect"}]),
            json!({"op": "remove"}),
            json!([]),
        ];
        let body = one(&mut self.chance, &all);
        Asked::new("PATCH", path)
            .body(OPERATIONS, Pair::same(body))
            .param(&self.manager())
    }

    fn apply(&mut self, plural: &str, path: String) -> Asked {
        let name = path.rsplit('/').next().unwrap().to_owned();
        let spec = self.spec(plural);
        let metadata = metadata(&mut self.chance);
        let mut body = object(plural, &name, metadata, &spec);
        if once_in(&mut self.chance, 4) {
            body.as_object_mut().unwrap().remove("spec");
        }
        if once_in(&mut self.chance, 8) {
            body["status"] = status(&mut self.chance, plural);
        }
        let body = if once_in(&mut self.chance, 8) {
            let uid = once_in(&mut self.chance, 2);
            self.guarded(&path, body, uid)
        } else {
            Pair::same(body)
        };
        self.forced(Asked::new("PATCH", path).body(APPLY, body))
    }

    fn apply_status(&mut self, plural: &str, path: String) -> Asked {
        let name = path.rsplit('/').next().unwrap().to_owned();
        let mut body = object(plural, &name, json!({}), &json!({}));
        body.as_object_mut().unwrap().remove("spec");
        body["status"] = status(&mut self.chance, plural);
        if once_in(&mut self.chance, 6) {
            body["metadata"]["uid"] = json!("7c0f6a1e-0000-4000-8000-000000000000");
        }
        self.forced(Asked::new("PATCH", path + "/status").body(APPLY, Pair::same(body)))
    }

    fn forced(&mut self, asked: Asked) -> Asked {
        let asked = asked.param(&self.manager());
        if once_in(&mut self.chance, 2) {
            asked.param("force=true")
        } else {
            asked
        }
    }

    fn delete(&mut self, path: String) -> Asked {
        let mut options = Pair::same(json!({}));
        if once_in(&mut self.chance, 3) {
            options = Pair::same(json!({"propagationPolicy": "Background"}));
        }
        if once_in(&mut self.chance, 4)
            && let Some(known) = self.known(&path)
        {
            let field = one(&mut self.chance, &["uid", "resourceVersion"]);
            let wanted = Pair::same(json!({})).with(field, known.at(&format!("/metadata/{field}")));
            options = options.with("preconditions", wanted);
        }
        Asked::new("DELETE", path).body(JSON, options)
    }

    /// Deletes all objects, or those that a selector selects.
    fn delete_all(&mut self, folder: String) -> Asked {
        let all = [
            "labelSelector=team%3Dfleet",
            "fieldSelector=metadata.name%3Db",
            "",
        ];
        Asked::new("DELETE", folder).param(one(&mut self.chance, &all))
    }

    fn list(&mut self, folder: String) -> Asked {
        let mut asked = Asked::new("GET", folder);
        if once_in(&mut self.chance, 3) {
            let all = [
                "labelSelector=team",
                "labelSelector=team%3Dfleet",
                "labelSelector=team%20in%20(fleet,core),tier",
                "labelSelector=!team",
                "labelSelector=team!%3Dfleet",
                "fieldSelector=metadata.name%3Da",
                "fieldSelector=spec.fileId%3Df1",
                "fieldSelector=status.phase%3DGone",
                "fieldSelector=spec.fileId!%3Df1",
                "fieldSelector=spec.lifecycle%3DRetired",
            ];
            asked = asked.param(one(&mut self.chance, &all));
        }
        if once_in(&mut self.chance, 3) {
            asked = asked.param(one(&mut self.chance, &["limit=1", "limit=2"]));
        }
        if once_in(&mut self.chance, 4) {
            asked.accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        }
        asked
    }
}
