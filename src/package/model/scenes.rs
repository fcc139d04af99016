//! Steps in an order that chance hardly finds, and that a mistake needs to be seen.

use std::time::Duration;

use serde_json::json;

use super::server;
use super::world::{GRACE, Reply, World};
use crate::package::claims;
use crate::session::Standing;

impl World {
    /// An object is seen, permitted and looked at, as often as a deletion needs.
    pub fn turn(&mut self, name: &str, reply: Reply) {
        for _ in 0..4 {
            self.deliver(usize::MAX);
            self.permit(name);
            self.pass(name, reply);
            self.record();
        }
    }

    /// An object that is being deleted is taken away by force and created anew, and is looked at before the
    /// watch shows that.
    pub fn replace(&mut self, name: &str, file: &str, reply: Reply) {
        self.server.delete(name, self.now);
        self.deliver(usize::MAX);
        let before = self.server.get(name);
        let files = before.iter().filter_map(|object| object.file_id());
        self.forced.extend(files.map(ToString::to_string));
        self.server.strip(name);
        self.server.create(name, &server::spec(file));
        self.pass(name, reply);
    }

    /// The same, by a backup tool that gives the new object the status of the old one.
    pub fn restore(&mut self, name: &str, reply: Reply) {
        let Some(before) = self.server.objects.get(name).cloned() else {
            return;
        };
        self.server.delete(name, self.now);
        let file = before["spec"]["fileId"].as_str().unwrap();
        self.forced.insert(file.to_owned());
        self.server.strip(name);
        let mut spec = before["spec"].clone();
        spec["retireAfter"] = json!(null);
        let status = before["status"].clone();
        self.server.restore(name, &spec, status);
        if let Some(restored) = self.server.get(name)
            && restored.is_retired(self.now)
        {
            self.retires(&restored, self.now);
        }
        self.pass(name, reply);
    }

    /// Another controller overwrites our conditions and keeps one of its own.
    pub fn overwrite(&mut self, name: &str) {
        let now = self.now;
        let condition = |type_: &str| {
            json!({
                "type": type_, "status": "True", "reason": "Foreign", "message": "",
                "lastTransitionTime": now,
            })
        };
        let all = ["Ready", "Stalled", "Reviewed"].map(condition);
        self.server.edit(name, |object| {
            object["status"]["conditions"] = json!(all);
            object["status"]["phase"] = json!("Dancing");
        });
    }

    /// Two objects of one package, both accepted; all in `retired` are retired, longer ago than a grace period.
    fn share(&mut self, names: [&str; 2], file: &str, retired: &[&str]) {
        let spec = server::spec(file);
        for name in names {
            self.server.create(name, &spec);
            self.set_lifecycle(name, "Active");
            self.turn(name, Reply::Unavailable);
        }
        for name in retired {
            self.set_lifecycle(name, "Retired");
            self.deliver(usize::MAX);
            self.pass(name, Reply::Unavailable);
        }
        self.pass_time(GRACE + Duration::from_secs(1));
        self.record();
    }

    /// The watch breaks off again and again, and passes come when `read` objects of a list are read.
    pub fn relisting(&mut self, names: [&str; 2], file: &str, read: usize, reply: Reply) {
        self.share(names, file, &names[..1]);
        for _ in 0..4 {
            self.begin_list(read);
            self.permit(names[0]);
            self.pass(names[0], reply);
            self.end_list();
            self.deliver(usize::MAX);
            self.record();
        }
    }

    /// An object is retired, wanted again long after, and retired once more.
    pub fn waver(&mut self, name: &str, reply: Reply) {
        for lifecycle in ["Retired", "Active"] {
            self.set_lifecycle(name, lifecycle);
            self.deliver(usize::MAX);
            self.pass(name, reply);
            self.pass_time(GRACE + Duration::from_secs(1));
        }
        self.deliver(usize::MAX);
        self.set_lifecycle(name, "Retired");
        self.turn(name, reply);
    }

    /// The Secret names another application for a while; meanwhile Git renames an object, and then the Secret is put right.
    pub fn rename(&mut self, names: [&str; 2], file: &str, reply: Reply) {
        let [before, after] = names;
        self.set_application("app-1");
        self.server.create(before, &server::spec(file));
        self.turn(before, reply);
        self.set_application("app-2");
        self.server.create(after, &server::spec(file));
        self.turn(after, reply);
        self.delete(before);
        self.pass_time(GRACE + Duration::from_secs(1));
        self.turn(before, reply);
        self.set_application("app-1");
        self.turn(before, reply);
    }

    /// A person passes over an object that may claim the package of another one, and has done so for long.
    pub fn pass_over(&mut self, names: [&str; 2], file: &str, reply: Reply) {
        self.rename(names, file, reply);
        self.disregard(names[0], names[1]);
        for _ in 0..2 {
            self.turn(names[0], reply);
            self.pass_time(claims::PATIENCE + Duration::from_secs(1));
        }
        self.turn(names[0], reply);
    }

    /// The first permit of an object is voided after its intent was written. While that of the second is on its way, another
    /// object wants the package again, and the watch shows only what came before.
    pub fn race(&mut self, names: [&str; 2], file: &str, reply: Reply) {
        self.share(names, file, &names);
        let [name, other] = names;
        for _ in 0..6 {
            self.deliver(usize::MAX);
            self.permit(name);
            self.record();
            let Some(object) = self.server.get(name) else {
                return;
            };
            let tried = object
                .status
                .deletion
                .as_ref()
                .is_some_and(|d| d.intent.is_some());
            match self.standings.get(&object.uid) {
                Some(Standing::Permitted {
                    intent: Some(_), ..
                }) => self.void_permits(),
                Some(Standing::Permitted { intent: None, .. }) if tried => {
                    let labels = json!({"race": self.now});
                    self.server.edit(name, |o| o["metadata"]["labels"] = labels);
                    self.set_lifecycle(other, "Active");
                    self.pass(name, reply);
                    self.deliver(1);
                }
                Some(_) | None => {}
            }
            self.pass(name, reply);
        }
    }
}
