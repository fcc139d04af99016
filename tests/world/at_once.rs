//! Runs many simulations on all cores; single runs may fail.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `work` for each item. Returns the results in no order, and the items whose run failed.
pub fn at_once<T: Sync + Debug + Clone + Send, R: Send>(
    all: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> (Vec<R>, Vec<T>) {
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Vec::new(), Vec::new()));
    on_each_core(|| {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let given = unless_failing(|| work(one));
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(given) = given {
                done.0.push(given);
            } else {
                eprintln!("it fails: {one:?}");
                done.1.push(one.clone());
            }
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` on each core at the same time and waits for all.
pub fn on_each_core(work: impl Fn() + Sync) {
    thread::scope(|threads| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(&work);
        }
    });
}

/// The result of `play`; `None` where it panics.
pub fn unless_failing<R>(play: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(play)).ok()
}
