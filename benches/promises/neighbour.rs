//! Another client that calls for the same application.

use std::time::Duration;

use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::pace;

/// The load of the other client, which doesn't repeat refused calls.
#[derive(Clone, Copy)]
pub struct Neighbour {
    /// The number of calls in a window while it is active.
    pub calls: u32,
    /// The length of the window.
    pub window: Duration,
    /// The length of its alternating active and inactive periods; `None` for a constant load.
    pub swing: Option<Duration>,
    /// When it stops for good.
    pub stops: Duration,
}

impl Neighbour {
    fn there(self, at: Duration) -> bool {
        let turn = self.swing.map(|swing| at.as_nanos() / swing.as_nanos());
        at < self.stops && turn.is_none_or(|turn| turn % 2 == 1)
    }

    /// When it becomes inactive, with three windows left until `end`.
    pub fn goes(self, end: Duration) -> Vec<Duration> {
        match self.swing {
            None => vec![self.stops],
            Some(swing) => (1..100)
                .map(|turn| swing * 2 * turn)
                .take_while(|at| *at + self.window * 3 <= end)
                .collect(),
        }
    }

    /// Calls several platforms at the same times through their admin ports, for `before` and then for `length`.
    ///
    /// Returns when `length` began, since the Unix epoch, and how many calls each platform allowed from then on.
    pub async fn call(
        self,
        platforms: &[String],
        before: Duration,
        length: Duration,
    ) -> (Duration, Vec<usize>) {
        let pages: Vec<Url> = platforms
            .iter()
            .map(|page| page.parse().expect("an address"))
            .collect();
        let (client, mut rng) = (Client::new(), fastrand::Rng::with_seed(1));
        let mut taken = vec![0; pages.len()];
        let start = Instant::now() + before;
        let began = pace::now() + before;
        let (mut next, end) = (Instant::now(), start + length);
        while next < end {
            tokio::time::sleep_until(next).await;
            let at = next.checked_duration_since(start);
            let there = at.map_or(self.swing.is_none(), |at| self.there(at));
            if there {
                let call = |page: &Url| call_once(client.clone(), page.clone());
                let answers = futures::future::join_all(pages.iter().map(call)).await;
                for (taken, allowed) in taken.iter_mut().zip(answers) {
                    *taken += allowed * usize::from(at.is_some());
                }
            }
            next += (self.window / self.calls).mul_f64(0.5 + rng.f64());
        }
        (began, taken)
    }
}

async fn call_once(client: Client, page: Url) -> usize {
    let request = client
        .post(page)
        .header("content-type", "application/json")
        .body(json!({"calls": 1}).to_string());
    let response = request.send().await.expect("the admin port answers");
    let text = response.text().await.expect("a text");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let allowed = answer["allowed"].as_u64().expect("a number");
    usize::try_from(allowed).expect("one call")
}
