//! Random actions on Platforms, their Secrets and the cluster.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{BOUND, History};
use crate::people::PEOPLE;
use crate::stage::{NAMES, OldLease, application, has_ours};

/// The Platform that is sometimes abandoned. Meanwhile another Platform of its application counts its deletions.
const GIVEN_UP: &str = "spare";
/// The policies that refuse the operator's writes.
pub(super) const POLICIES: [&str; 3] = ["keep", "mute", "refuse"];

impl History<'_> {
    pub(super) async fn around(&mut self) {
        let stage = self.stage;
        let world = stage.world;
        let application = self.one(&["app-1", "app-2"]);
        match self.chance.u32(..68) {
            0..5 => {
                let mode = self.one(&["Observe", "Enforce"]);
                let platform = self.one(&NAMES);
                self.change_platform(platform, json!({"mode": mode})).await;
            }
            5..9 => self.edit_platform().await,
            9..12 => self.spoil().await,
            12..14 => self.lose_secret().await,
            14..17 => self.name_another().await,
            17..20 => self.mend().await,
            20..22 => world.platform.end_token(application),
            22..25 => world.platform.use_up(application),
            25..28 => world.cluster.end_watches(),
            28..30 => {
                world.cluster.end_watches();
                world.cluster.compact();
            }
            30..34 => {
                if let Some(leader) = world.leader() {
                    world.stop(&leader);
                }
            }
            34..38 => self.deny(),
            38..42 => POLICIES.iter().for_each(|name| stage.allow(name)),
            42..45 => self.set_clock(),
            45..50 => self.back_up(),
            50..54 => self.restore().await,
            54..56 => self.lose_field().await,
            56..59 => stage.give_fields_back().await,
            59..60 => self.delete_fleet().await,
            60..61 => self.install_beside().await,
            61..63 => stage.give_up_platform(GIVEN_UP).await,
            63..65 => self.bring_platform().await,
            65..66 => self.lose_platforms().await,
            _ => self.leave_old_state().await,
        }
    }

    /// Edits the guard or the quota of a Platform.
    async fn edit_platform(&mut self) {
        let platform = self.one(&NAMES);
        let spec = match self.chance.u32(..3) {
            0 => json!({"quota": {"calls": self.chance.u32(50..=100), "window": "60s"}}),
            1 => json!({"guard": {"gracePeriod": self.one(&["5s", "20s", "90s"])}}),
            _ => json!({"guard": {"maxDeletions": self.chance.usize(1..=BOUND)}}),
        };
        self.change_platform(platform, spec).await;
    }

    pub(super) async fn change_platform(&self, name: &str, spec: Value) {
        if self.stage.has_platform(name) {
            self.stage.change_platform(name, spec).await;
        }
    }

    /// Creates the abandoned Platform again.
    pub(super) async fn bring_platform(&self) {
        if !self.stage.has_platform(GIVEN_UP) {
            self.stage.bring_platform(GIVEN_UP).await;
            let enforce = json!({"mode": "Enforce"});
            self.stage.change_platform(GIVEN_UP, enforce).await;
        }
    }

    /// Puts a wrong secret into a Secret.
    async fn spoil(&mut self) {
        let name = self.one(&NAMES);
        self.wrong.insert(name);
        self.stage
            .put_secret(name, application(name), "third-secret")
            .await;
    }

    /// Deletes a Secret.
    async fn lose_secret(&mut self) {
        let name = self.one(&NAMES);
        self.wrong.insert(name);
        self.stage.delete_secret(name).await;
    }

    /// Lets a Secret name another application, once all objects of its Platform are accepted for the right one: nobody
    /// could tell for objects created meanwhile.
    async fn name_another(&mut self) {
        let name = self.one(&NAMES);
        for key in self.stage.names() {
            let wish = self.stage.wished(&key);
            if wish.is_none_or(|wish| wish.platform != name) {
                continue;
            }
            if let Some(object) = self.stage.object(&key) {
                let status = &object["status"];
                let known = status["application"] == application(name)
                    && status["uid"] == object["metadata"]["uid"];
                if !known {
                    return;
                }
            }
        }
        self.wrong.insert(name);
        self.foreign.insert(name);
        let (app_id, words) = match application(name) {
            "app-1" => ("app-2", "second-secret"),
            _ => ("app-1", "first-secret"),
        };
        self.stage.put_secret(name, app_id, words).await;
    }

    /// Restores the intended content of a Secret.
    async fn mend(&mut self) {
        let name = self.one(&NAMES);
        self.mend_secret(name).await;
    }

    pub(super) async fn mend_secret(&mut self, name: &'static str) {
        if !self.wrong.remove(name) {
            return;
        }
        let words = match application(name) {
            "app-1" => "first-secret",
            _ => "second-secret",
        };
        self.stage.put_secret(name, application(name), words).await;
    }

    /// Adds a policy that refuses some of the operator's writes.
    fn deny(&mut self) {
        let name = self.one(&POLICIES);
        self.stage.deny(name, move |attempt| {
            let ours = attempt.resource == "versionpackages.iodm.dev";
            let status = attempt.subresource == "status";
            ours && match name {
                "mute" => status,
                "refuse" => {
                    !status && has_ours(attempt.object) && !attempt.old.is_some_and(has_ours)
                }
                _ => !status,
            }
        });
    }

    /// Changes the clock of a machine.
    fn set_clock(&mut self) {
        let pod = self.one(&["vpo-0", "vpo-1"]);
        let ahead = SignedDuration::from_secs(self.chance.i64(-30..30));
        self.stage.world.set_clock(pod, ahead);
    }

    fn back_up(&mut self) {
        let name = self.object();
        if let Some(backup) = self.stage.back_up(&name) {
            self.backups.insert(name, backup);
        }
    }

    /// Restores all objects with a backup that don't exist, with or without their status.
    async fn restore(&mut self) {
        let with_status = self.chance.bool();
        for (name, backup) in self.backups.clone() {
            if self.foreign.contains(backup.platform()) || !self.takes(&name).await {
                continue;
            }
            if with_status {
                self.stage.restore(&name, &backup, None).await;
            } else {
                self.stage.restore_spec(&name, &backup, None).await;
            }
            return;
        }
    }

    /// Removes a field from a definition, or installs both definitions of an older version.
    async fn lose_field(&mut self) {
        let stage = self.stage;
        self.fields_lost = true;
        let (plural, field) = match self.chance.u32(..3) {
            0 => ("versionpackages", "deletionPolicy"),
            1 => ("platforms", "guard"),
            _ => return stage.make_definitions_old().await,
        };
        stage.lose_field(plural, field).await;
        stage.loss_is_seen().await;
    }

    /// Deletes a namespace with everything in it.
    async fn delete_fleet(&mut self) {
        if !self.fleet_deleted {
            self.fleet_deleted = true;
            self.stage.delete_fleet().await;
        }
    }

    /// Deletes the namespace of the Platforms, and creates it again later.
    async fn lose_platforms(&mut self) {
        // Objects of an ending namespace need their Platforms, and no finalizer is removed while a definition lacks
        // fields.
        if self.fleet_deleted || self.fields_lost {
            return;
        }
        self.stage.delete_iot().await;
        self.pause(60_000).await;
        self.stage.bring_iot_back().await;
        self.wrong.clear();
    }

    /// Runs the namespace controller.
    pub(super) fn end_namespaces(&self) {
        if self.fleet_deleted {
            let world = self.stage.world;
            world.cluster.end_namespaces();
            world.record.take_changes(PEOPLE);
        }
    }

    /// Starts a second operator with its Lease in another namespace.
    async fn install_beside(&mut self) {
        if self.second.is_none() {
            let world = self.stage.world;
            world.add_namespace("elsewhere", &json!({})).await;
            world.allow_lease("elsewhere");
            self.second = Some(world.start_in("vpo-x", "elsewhere"));
        }
    }

    /// Lets the next leader start from the state that an older version left.
    async fn leave_old_state(&mut self) {
        let (stage, world) = (self.stage, self.stage.world);
        let Some(leader) = world.leader() else {
            return;
        };
        world.stop(&leader);
        sleep(Duration::from_secs(1)).await;
        stage.make_statuses_old().await;
        let lease = self.one(&[OldLease::GivenBack, OldLease::Held]);
        // A process that leads already keeps leading; an older Lease doesn't record which fields were lost.
        if world.leader().is_none() && !self.fields_lost {
            stage.leave_lease(lease).await;
        }
    }
}
