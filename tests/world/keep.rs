//! Keeps pods running, as a kubelet does.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use tokio::time::sleep;

use crate::world::World;

/// How long an ended container stays down.
pub const RESTART: Duration = Duration::from_secs(3);

/// Plays `scene` while these pods run. Every process that ends, by a crash or by itself, is restarted.
pub async fn running<T>(world: &World, pods: &[&str], scene: impl Future<Output = T>) -> T {
    let kept = join_all(pods.iter().map(|pod| keep(world, pod)));
    let (scene, kept) = (std::pin::pin!(scene), std::pin::pin!(kept));
    match select(scene, kept).await {
        Either::Left((played, _)) => played,
        Either::Right(_) => panic!("pods are kept for ever"),
    }
}

async fn keep(world: &World, pod: &str) -> Infallible {
    loop {
        world.start(pod).ended().await;
        sleep(RESTART).await;
    }
}
