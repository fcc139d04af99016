//! Takes in what the watch changed: wakes who is concerned, forgets who is gone, and tells the guard
//! what is asked for.

use std::collections::HashSet;

use k8s_openapi::jiff::Timestamp;

use super::Context;
use super::cache::{Cache, Changes, Wish};
use crate::platform::guard::{Asked, Guards};

/// Takes in one step of the watch.
pub(super) fn take(context: &Context, changes: Changes) {
    if changes.listed {
        context.memory.set_blind(false);
    }
    for uid in &changes.gone {
        for key in context.memory.forget(uid) {
            context.queue.add(key);
        }
    }
    count_asked(&context.cache, &context.guards, &changes, Timestamp::now());
    if changes.listed {
        context.queue.add_all(changes.wake);
    } else {
        for key in changes.wake {
            context.queue.add(key);
        }
    }
}

/// Tells the guard what is asked for from now on, before anybody can look at it: so a mass deletion is
/// known before the first of its calls.
pub(super) fn count_asked(cache: &Cache, guards: &Guards, changes: &Changes, now: Timestamp) {
    for uid in &changes.gone {
        guards.forget(uid);
    }
    if changes.listed {
        let wishes = cache.wishes();
        for (uid, wish) in &wishes {
            tell(guards, uid, wish, now);
        }
        let present: HashSet<&str> = wishes.iter().map(|(uid, _)| &**uid).collect();
        guards.listed(|uid| present.contains(uid), now);
    } else {
        for key in &changes.wake {
            if let Some((uid, wish)) = cache.wish(key) {
                tell(guards, &uid, &wish, now);
            }
        }
    }
}

fn tell(guards: &Guards, uid: &str, wish: &Wish, now: Timestamp) {
    match wish {
        Wish::Nothing(marked) => guards.leave(uid, marked.as_ref().map(|(app, hold)| (app, hold))),
        Wish::Deletion {
            application,
            population,
            asked,
        } => {
            let asked = Asked::clone(asked);
            guards.ask(uid, (application, *population, asked), now);
        }
        Wish::Open => {}
    }
}
