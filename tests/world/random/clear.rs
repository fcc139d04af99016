//! The end of a random history: removes all obstacles.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::around::POLICIES;
use super::{BOUND, History};
use crate::stage::{NAMES, NOWHERE};

/// How many checks in a row must find everything as wished.
const ENOUGH: usize = 2;

impl History<'_> {
    pub(super) async fn clear(&mut self) {
        let stage = self.stage;
        stage.world.faults.clear();
        for name in POLICIES {
            stage.allow(name);
        }
        stage.give_fields_back().await;
        for name in NAMES {
            self.mend_secret(name).await;
        }
        // An abandoned Platform may not be deleted yet.
        sleep(Duration::from_secs(60)).await;
        self.bring_platform().await;
        // Holds are released before a limit is raised.
        stage.release_all().await;
        for platform in NAMES {
            let spec = json!({
                "mode": "Enforce",
                "guard": {"gracePeriod": "5s", "maxDeletions": BOUND},
                "quota": {"calls": 100, "window": "60s"},
            });
            stage.change_platform(platform, spec).await;
        }
        // Waits until everything is listed again.
        sleep(Duration::from_secs(30)).await;
        stage.confirm_platforms().await;
        stage.say_retain_again().await;
        for name in stage.names() {
            self.put_right(&name).await;
        }
        if !self.strangers.is_empty() {
            stage.disregard_strangers(&stage.names()).await;
        }
        // Each release may be followed by the next hold.
        let mut standing = 0;
        for _ in 0..20 {
            sleep(Duration::from_secs(15)).await;
            standing = if stage.all_stand() { standing + 1 } else { 0 };
            if standing == ENOUGH {
                break;
            }
            self.end_namespaces();
            stage.release_all().await;
            // A new leader may only now find out which fields were lost.
            stage.confirm_lost_platforms().await;
            for name in stage.names() {
                if stage.is_said(&name, "FieldsLost") {
                    stage.confirm(&name).await;
                }
            }
        }
    }

    /// Removes everything that keeps an object from its wished state.
    async fn put_right(&mut self, name: &str) {
        let stage = self.stage;
        let Some(wish) = stage.wished(name) else {
            return;
        };
        stage.pause(name, false).await;
        if wish.mistaken {
            stage.expect(name, false).await;
        }
        if wish.platform == NOWHERE {
            stage.retain(name).await;
            stage.delete(name).await;
        }
        stage.confirm(name).await;
        self.accept(name).await;
    }
}
