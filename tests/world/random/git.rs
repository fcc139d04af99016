//! Random actions of Git: applies, prunes, renames, moves, splits and reverts, intended or by mistake.

use serde_json::{Value, json};

use super::{History, OBJECTS};
use crate::stage::{DEPOT, FLEET, NAMES, NOWHERE};
use crate::wishes::{Fate, Wish};

/// The number of packages: few, so that some objects share one; more than the limit, so that a hold can come without a
/// release.
const FILES: usize = 7;
/// The id of a package that the platform doesn't have.
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

    /// Creates one more object.
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

    /// Creates an object, if the API server accepts the name now and the Platform's application is the intended one.
    pub(super) async fn put(&mut self, name: &str, platform: &str, file: &str, more: &Value) {
        if self.takes(name).await && !self.foreign.contains(platform) {
            self.stage.create(name, platform, file, more).await;
        }
    }

    /// Whether an object of this name can be created now. A deleted namespace is created again first.
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

    /// Deletes an object and remembers it, so that Git may restore it.
    async fn delete(&mut self, name: &str) {
        if let Some(wish) = self.stage.wished(name)
            && wish.fate != Fate::Deleted
        {
            self.pruned.push((name.to_owned(), wish));
        }
        self.stage.delete(name).await;
    }

    /// Creates the object under another name or namespace and deletes the old one, in either order.
    async fn rename(&mut self, name: &str) {
        let (Some(wish), Some(new)) = (self.stage.wished(name), self.free()) else {
            return;
        };
        self.instead(name, &new, &wish).await;
    }

    /// Moves the package to another Platform.
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

    /// Replaces one object by two.
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

    /// Restores the object that was deleted last.
    async fn revert(&mut self) {
        if let Some((name, wish)) = self.pruned.pop() {
            self.again(&name, &wish).await;
        }
    }

    /// Deletes all objects of a namespace, by a wrong selector.
    async fn prune(&mut self) {
        let namespace = self.one(&[FLEET, DEPOT]);
        for name in self.stage.names() {
            if name.starts_with(namespace) {
                self.delete(&name).await;
            }
        }
    }

    /// Replaces an object: deletes it, removes what blocks the deletion, and creates it again.
    async fn replace(&mut self, name: &str) {
        let Some(wish) = self.stage.wished(name) else {
            return;
        };
        self.stage.delete(name).await;
        self.stage.force(name).await;
        self.again(name, &wish).await;
    }

    /// Copies a manifest and makes a mistake in the copy.
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
            // The `fileId` wasn't changed in the copy.
            _ => self.again(&new, &wish).await,
        }
    }
}

/// The spec fields of a wish besides Platform and package.
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
