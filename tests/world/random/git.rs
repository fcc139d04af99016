//! What Git does: it applies, prunes, renames, moves, splits and reverts, by right and by mistake.

use serde_json::{Value, json};

use super::{History, OBJECTS};
use crate::stage::{DEPOT, FLEET, NAMES, NOWHERE};
use crate::wishes::{Fate, Wish};

/// Few, so that some objects are for the same; more than the bound, so that a hold can come without a release.
const FILES: usize = 7;
/// A package that the platform doesn't have.
const MISSPELT: &str = "package-0001";

impl History<'_> {
    pub(super) async fn git(&mut self) {
        let name = self.object();
        match self.chance.u32(..42) {
            0..11 => self.delete(&name).await,
            11..20 => self.create().await,
            20..24 => self.rename(&name).await,
            24..27 => self.replatform(&name).await,
            27..30 => self.split(&name).await,
            30..35 => self.revert().await,
            35..37 => self.prune().await,
            37..39 => self.replace(&name).await,
            _ => self.copy(&name).await,
        }
    }

    /// One more object.
    pub(super) async fn create(&mut self) {
        let Some(name) = self.free() else {
            return;
        };
        let file = self.file();
        let more = match self.chance.u32(..8) {
            0 => json!({"deletionPolicy": "Retain"}),
            1 => json!({"lifecycle": "Retired"}),
            _ => json!({}),
        };
        let platform = self.one(&NAMES);
        self.put(&name, platform, &file, &more).await;
    }

    pub(super) fn file(&mut self) -> String {
        format!("package-{:05}", self.chance.usize(1..=FILES))
    }

    /// A name that no object has now.
    fn free(&mut self) -> Option<String> {
        let namespace = self.one(&[FLEET, DEPOT]);
        let first = self.chance.usize(..OBJECTS);
        for number in 0..OBJECTS {
            let name = format!("{namespace}/o{}", (first + number) % OBJECTS);
            if !self.stage.is_there(&name) {
                return Some(name);
            }
        }
        None
    }

    /// Creates an object, where the API server takes one of this name, and its application is the one that people mean.
    pub(super) async fn put(&mut self, name: &str, platform: &str, file: &str, more: &Value) {
        if self.takes(name).await && !self.foreign.contains(platform) {
            self.stage.create(name, platform, file, more).await;
        }
    }

    /// Whether an object of this name can be created now. A namespace that has gone is made anew first.
    pub(super) async fn takes(&mut self, name: &str) -> bool {
        if self.fleet_deleted && name.starts_with(FLEET) {
            let world = self.stage.world;
            if world.cluster.has_ending_namespaces() {
                return false;
            }
            world.add_namespace(FLEET, &json!({})).await;
            self.fleet_deleted = false;
        }
        !self.stage.is_there(name)
    }

    async fn again(&mut self, name: &str, wish: &Wish) {
        self.put(name, &wish.platform, &wish.file, &more(wish))
            .await;
    }

    /// What Git deletes it may bring back.
    async fn delete(&mut self, name: &str) {
        if let Some(wish) = self.stage.wished(name)
            && wish.fate != Fate::Deleted
        {
            self.pruned.push((name.to_owned(), wish));
        }
        self.stage.delete(name).await;
    }

    /// The same object under another name, or in another namespace; either may come first.
    async fn rename(&mut self, name: &str) {
        let (Some(wish), Some(new)) = (self.stage.wished(name), self.free()) else {
            return;
        };
        self.instead(name, &new, &wish).await;
    }

    /// The same package by another Platform.
    async fn replatform(&mut self, name: &str) {
        let (Some(mut wish), Some(new)) = (self.stage.wished(name), self.free()) else {
            return;
        };
        self.one(&NAMES).clone_into(&mut wish.platform);
        self.instead(name, &new, &wish).await;
    }

    async fn instead(&mut self, old: &str, new: &str, wish: &Wish) {
        let create_first = self.chance.bool();
        if create_first {
            self.again(new, wish).await;
        }
        self.pause(2_000).await;
        self.delete(old).await;
        if !create_first {
            self.pause(2_000).await;
            self.again(new, wish).await;
        }
    }

    /// Two objects instead of one.
    async fn split(&mut self, name: &str) {
        let Some(wish) = self.stage.wished(name) else {
            return;
        };
        let files = [wish.file.clone(), self.file()];
        for file in files {
            if let Some(new) = self.free() {
                let part = Wish {
                    file,
                    ..wish.clone()
                };
                self.again(&new, &part).await;
            }
        }
        self.delete(name).await;
    }

    /// What was taken away last comes back.
    async fn revert(&mut self) {
        if let Some((name, wish)) = self.pruned.pop() {
            self.again(&name, &wish).await;
        }
    }

    /// A wrong selector takes all objects of a namespace away.
    async fn prune(&mut self) {
        let namespace = self.one(&[FLEET, DEPOT]);
        for name in self.stage.names() {
            if name.starts_with(namespace) {
                self.delete(&name).await;
            }
        }
    }

    /// A tool deletes an object, takes off what keeps it, and makes it anew.
    async fn replace(&mut self, name: &str) {
        let Some(wish) = self.stage.wished(name) else {
            return;
        };
        self.stage.delete(name).await;
        self.stage.force(name).await;
        self.again(name, &wish).await;
    }

    /// Somebody copies a manifest and makes a mistake in it.
    async fn copy(&mut self, name: &str) {
        let (Some(wish), Some(new)) = (self.stage.wished(name), self.free()) else {
            return;
        };
        let (file, platform) = (wish.file.clone(), wish.platform.clone());
        match self.chance.u32(..5) {
            0 => self.put(&new, &platform, MISSPELT, &more(&wish)).await,
            1 => self.put(&new, NOWHERE, &file, &more(&wish)).await,
            2 => {
                let mistaken = json!({"expect": {"version": "mistaken"}});
                self.put(&new, &platform, &file, &mistaken).await;
            }
            3 => {
                let retired = json!({"lifecycle": "Retired"});
                self.put(&new, &platform, &file, &retired).await;
            }
            // The name of the package was left as it was.
            _ => self.again(&new, &wish).await,
        }
    }
}

/// What a manifest says beside.
fn more(wish: &Wish) -> Value {
    let mut more = json!({});
    if wish.fate == Fate::Retired {
        more["lifecycle"] = json!("Retired");
    }
    if wish.retain {
        more["deletionPolicy"] = json!("Retain");
    }
    if wish.mistaken {
        more["expect"] = json!({"version": "mistaken"});
    }
    more
}
