//! Takes in what the watch changed: wakes who is concerned, forgets who is gone, and tells the guard
//! what is asked for.

use std::collections::HashSet;

use k8s_openapi::jiff::Timestamp;

use super::Context;
use super::cache::{Asking, Cache, Changes, Wish};
use super::decide::Now;
use super::memory::Memory;
use super::requests::Requests;
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
    let now = context.clock.now();
    see_requests(&context.cache, &context.memory, &changes, now);
    let requests = &context.memory.requests;
    count_asked(
        &context.cache,
        &context.guards,
        requests,
        &changes,
        now.wall,
    );
    if changes.listed {
        context.queue.add_all(changes.wakes.all());
    } else {
        for key in changes.wakes.now {
            context.queue.add(key);
        }
        context.queue.add_later(changes.wakes.later);
    }
}

/// Notes since when deletions are asked for: a standby has seen that itself by the time that it leads.
pub(super) fn see_requests(cache: &Cache, memory: &Memory, changes: &Changes, now: Now) {
    for key in &changes.wakes.now {
        match cache.asking(key) {
            Some(Asking::Yes(object)) => drop(memory.requests.see(&object, now)),
            Some(Asking::No(uid)) => memory.requests.forget(&uid),
            None => {}
        }
    }
}

/// Tells the guard what is asked for from now on, before anybody can look at it: so a mass deletion is
/// known before the first of its calls.
pub(super) fn count_asked(
    cache: &Cache,
    guards: &Guards,
    requests: &Requests,
    changes: &Changes,
    now: Timestamp,
) {
    let tell = |uid: &str, wish: &Wish| tell(guards, requests, uid, wish, now);
    for uid in &changes.gone {
        guards.forget(uid);
    }
    if changes.listed {
        let wishes = cache.wishes();
        for (uid, wish) in &wishes {
            tell(uid, wish);
        }
        let present: HashSet<&str> = wishes.iter().map(|(uid, _)| &**uid).collect();
        guards.listed(|uid| present.contains(uid), now);
    } else {
        for key in &changes.wakes.now {
            if let Some((uid, wish)) = cache.wish(key) {
                tell(&uid, &wish);
            }
        }
    }
}

fn tell(guards: &Guards, requests: &Requests, uid: &str, wish: &Wish, now: Timestamp) {
    match wish {
        // Nothing is asked for before a look-up has shown the package.
        Wish::Deletion { .. } if requests.looks_first(uid) => guards.leave(uid, None),
        Wish::Nothing(marked) => {
            let marked = marked.as_deref();
            guards.leave(
                uid,
                marked.map(|(app, platform, hold)| (app, platform, hold)),
            );
        }
        Wish::Deletion { application, asked } => {
            guards.ask(uid, application, Asked::clone(asked), now);
        }
        Wish::Open => {}
    }
}
