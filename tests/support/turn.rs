//! Serialises the tests that start and end operators themselves: an operator serves a whole cluster, so two operators
//! would serve each other's objects, and a control plane for each test costs more than waiting.

use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::Plane;

/// The control plane that the tests of this binary share, with everything installed and no operator, for the test that
/// holds the guard.
pub async fn alone() -> (MutexGuard<'static, ()>, &'static Plane) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let turn = TURN.lock().await;
    let plane = Plane::shared();
    INSTALLED.get_or_init(async || plane.install()).await;
    (turn, plane)
}
