//! Random manual actions of people on objects, and the actions of a stranger.

use serde_json::json;

use super::History;
use crate::stage::NAMES;

impl History<'_> {
    pub(super) async fn people(&mut self) {
        let stage = self.stage;
        let name = self.object();
        match self.chance.u32(..43) {
            0..9 => stage.retire(&name).await,
            9..14 => stage.revive(&name).await,
            14..18 => stage.retain(&name).await,
            18..20 => stage.let_go(&name).await,
            20..24 => stage.pause(&name, true).await,
            24..28 => stage.pause(&name, false).await,
            28..30 => stage.force(&name).await,
            30..32 => {
                let word = self.chance.u32(..).to_string();
                stage.ask_again(&name, &word).await;
            }
            32..34 => {
                let mistaken = self.chance.bool();
                stage.expect(&name, mistaken).await;
            }
            34..36 => self.accept(&name).await,
            36..38 => stage.release_all().await,
            38..39 => self.disregard(&name).await,
            39..41 => {
                let word = self.chance.u32(..).to_string();
                let platform = self.one(&NAMES);
                stage.ask_of_platform(platform, &word).await;
            }
            _ => self.strange().await,
        }
    }

    /// Confirms the application of an object.
    pub(super) async fn accept(&mut self, name: &str) {
        if let Some(wish) = self.stage.wished(name) {
            self.stage.accept(name, &wish.application).await;
        }
    }

    /// Overrules the claims of the stranger.
    async fn disregard(&mut self, name: &str) {
        if !self.strangers.is_empty() {
            self.stage.disregard_strangers(&[name.to_owned()]).await;
        }
    }

    /// Lets a stranger name one of our packages.
    async fn strange(&mut self) {
        if self.strangers.is_empty() {
            self.stage.stranger().await;
        }
        let file = self.file();
        let (name, more) = match self.strangers.len() {
            0 => ("x", json!({})),
            1 => ("y", json!({"lifecycle": "Retired"})),
            _ => return,
        };
        self.stage.strange(name, &file, &more).await;
        self.strangers.push(name);
    }
}
