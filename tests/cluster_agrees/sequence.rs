//! A sequence of random requests in a namespace of its own, and its watches.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::both::{Answer, Asked, Both, JSON, Lines, Pair, Side};
use crate::objects::{folder, object};

/// The time limit of an event.
const PATIENCE: Duration = Duration::from_secs(10);
/// The object whose creation ends a sequence.
const LAST: &str = "zz-last";

/// A sequence, and everything it has seen so far.
pub struct Sequence {
    pub namespace: String,
    pub chance: Rng,
    /// Every seen version of each object, by its path.
    pub seen: BTreeMap<String, Vec<Pair<Value>>>,
    /// The requests so far.
    history: Vec<String>,
}

impl Sequence {
    pub fn new(namespace: &str, chance: Rng) -> Self {
        Self {
            namespace: namespace.to_owned(),
            chance,
            seen: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    /// Sends `length` requests and compares the answers. Returns the first difference, with the requests before it.
    pub async fn run(mut self, both: &mut Both, length: usize) -> Result<(), String> {
        let name = json!({"metadata": {"name": self.namespace}});
        let create = Asked::new("POST", "/api/v1/namespaces").body(JSON, Pair::same(name));
        both.compare(&create).await?;
        let mut watches = Vec::new();
        for plural in ["versionpackages", "platforms"] {
            let watch = self.watch(both, plural).await?;
            watches.push((plural, watch));
        }
        for _ in 0..length {
            let asked = self.next();
            self.send(both, &asked).await?;
        }
        for (plural, mut lines) in watches {
            let spec = if plural == "platforms" {
                json!({"endpoint": "https://iot.example.com", "credentialsSecretRef": {"name": "app"}})
            } else {
                json!({"platformRef": {"name": "p"}, "fileId": "f"})
            };
            let last = object(plural, LAST, json!({}), &spec);
            let create =
                Asked::new("POST", folder(&self.namespace, plural)).body(JSON, Pair::same(last));
            self.send(both, &create).await?;
            self.events(both, &mut lines, plural).await?;
        }
        Ok(())
    }

    async fn watch(&mut self, both: &mut Both, plural: &str) -> Result<Pair<Lines>, String> {
        let list = Asked::new("GET", folder(&self.namespace, plural));
        let Pair(real, memory) = both.compare(&list).await?;
        let version = |answer: &Answer| {
            let version = answer.body["metadata"]["resourceVersion"].as_str().unwrap();
            format!(
                "&watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion={version}"
            )
        };
        let watch = Asked {
            query: Pair(version(&real), version(&memory)),
            ..list
        };
        let real = both.watch(Side::Real, &watch).await;
        Ok(Pair(real, both.watch(Side::Memory, &watch).await))
    }

    /// Compares the events of both watches up to the last object.
    async fn events(
        &mut self,
        both: &mut Both,
        lines: &mut Pair<Lines>,
        plural: &str,
    ) -> Result<(), String> {
        let trouble = |what: &str, at: &Self| {
            Err(format!(
                "watch of {plural}: {what}\n{}",
                at.history.join("\n")
            ))
        };
        loop {
            let Some(real) = next_change(&mut lines.0).await else {
                return trouble("the real one ended", self);
            };
            let Some(memory) = next_change(&mut lines.1).await else {
                return trouble(&format!("the one in memory ended before {real}"), self);
            };
            both.events += 1;
            let found = both.mapping.differences(&real, &memory);
            if !found.is_empty() {
                let what = format!("{}\n  real: {real}\n  memory: {memory}", found.join("\n  "));
                return trouble(&what, self);
            }
            if real["object"]["metadata"]["name"] == LAST {
                return Ok(());
            }
        }
    }

    async fn send(&mut self, both: &mut Both, asked: &Asked) -> Result<(), String> {
        let Pair(real, memory) = both.compare(asked).await.map_err(|difference| {
            let from = self.history.len().saturating_sub(12);
            format!("{}\n>>> {difference}", self.history[from..].join("\n"))
        })?;
        self.history
            .push(format!("    {} -> {}", asked.told(), real.code));
        let name = real.body["metadata"]["name"].as_str();
        if let Some(name) = name.filter(|_| real.code < 300 && real.body["kind"] != "Status") {
            let kind = real.body["kind"].as_str().unwrap_or_default();
            let plural = format!("{}s", kind.to_lowercase());
            let path = format!("{}/{name}", folder(&self.namespace, &plural));
            self.seen
                .entry(path)
                .or_default()
                .push(Pair(real.body, memory.body));
        }
        Ok(())
    }
}

/// The next event that isn't a bookmark.
async fn next_change(lines: &mut Lines) -> Option<Value> {
    loop {
        let line = lines.next(PATIENCE).await?;
        if line["type"] != "BOOKMARK" {
            return Some(line);
        }
    }
}
