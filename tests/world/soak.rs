//! Plays histories for a given time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::at_once::{on_each_core, unless_failing};
use crate::random::Plan;
use crate::shrink::tell;

#[test]
#[ignore = "it plays histories for as many minutes as somebody names: make soak MINUTES=10"]
fn soak() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let minutes = number("WORLD_MINUTES").unwrap_or(1);
    let first = number("WORLD_SEED").unwrap_or_else(|| fastrand::u64(..1 << 40));
    println!("from seed {first} on");
    let (begun, next) = (Instant::now(), AtomicU64::new(first));
    let failed = Mutex::new(Vec::new());
    on_each_core(|| {
        while begun.elapsed() < Duration::from_secs(60 * minutes) {
            let plan = Plan::of(next.fetch_add(1, Ordering::Relaxed));
            if unless_failing(|| plan.play()).is_none() {
                failed.lock().unwrap().push(plan.seed);
            }
        }
    });
    let played = next.into_inner() - first;
    println!("{played} histories in {:?}", begun.elapsed());
    let failed = failed.into_inner().unwrap();
    if let Some(first) = failed.iter().min() {
        tell(Plan::of(*first));
    }
    assert!(failed.is_empty(), "{} fail: {failed:?}", failed.len());
}
