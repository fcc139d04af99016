//! Processes the changes of the watch: wakes the objects concerned, forgets removed objects, and tells the guard which
//! deletions the objects ask for.

use std::collections::HashSet;

use k8s_openapi::jiff::Timestamp;

use crate::clock::Clock;
use crate::guard::{Asked, Guards};
use crate::package::cache::{Asking, Cache, Changes, Wish};
use crate::package::decide::Now;
use crate::package::memory::Memory;
use crate::package::memory::requests::Requests;
use crate::package::turns::workqueue::Workqueue;

/// Everything that a change of the watch affects, beside the cache itself.
#[derive(Clone, Copy)]
pub(in crate::package) struct Intake<'a> {
    /// Cache of all objects, with the change already applied.
    pub cache: &'a Cache,
    /// Memory of this process.
    pub memory: &'a Memory,
    /// Guards, which are told which deletions the objects ask for.
    pub guards: &'a Guards,
    /// Work queue of object keys to reconcile.
    pub queue: &'a Workqueue,
    /// Steady clock and wall clock.
    pub clock: &'a Clock,
}

impl Intake<'_> {
    /// Processes the changes of one event.
    pub(in crate::package) fn take(self, changes: Changes) {
        if changes.listed {
            self.memory.set_blind(false);
        }
        for uid in &changes.gone {
            self.queue.add_each(self.memory.forget(uid));
        }
        let now = self.clock.now();
        see_requests(self.cache, self.memory, &changes, now);
        let requests = &self.memory.requests;
        count_asked(self.cache, self.guards, requests, &changes, now.wall);
        if changes.listed {
            self.queue.add_all(changes.wakes.all());
        } else {
            self.queue.add_each(changes.wakes.now);
            self.queue.add_later(changes.wakes.later);
        }
    }
}

/// Notes when each deletion was first asked for. A standby does this too, so it already knows these times when it
/// becomes the leader.
pub(in crate::package) fn see_requests(
    cache: &Cache,
    memory: &Memory,
    changes: &Changes,
    now: Now,
) {
    for key in &changes.wakes.now {
        match cache.asking(key, now.wall) {
            Some(Asking::Yes(object)) => drop(memory.requests.see(&object, now)),
            Some(Asking::No(uid)) => memory.requests.forget(&uid),
            None => {}
        }
    }
}

/// Tells the guard what the changed objects ask for, before any pass looks at them. So the guard knows of a mass
/// deletion before the first call of that deletion.
pub(in crate::package) fn count_asked(
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
        // The request begins only after the look-up that is due has shown the package.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use tokio::time::Instant;

    use super::*;
    use crate::package::cache::Event;
    use crate::package::cache::packed::Packed;
    use crate::package::fixtures;

    #[test]
    fn a_retirement_that_is_put_off_before_a_standby_leads_begins_anew_at_its_new_time() {
        let (cache, memory) = (Cache::default(), Memory::default());
        let now = Now {
            wall: Timestamp::now(),
            tick: Instant::now(),
        };
        let retires = |version: &str, at: Timestamp| {
            let mut object = fixtures::accepted("a", "app-1");
            object.resource_version = version.to_owned();
            object.spec.as_mut().unwrap().retire_after = Some(Time(at));
            let packed = Packed::from(fixtures::watched(&object));
            let changes = cache.apply(Event::Applied(packed));
            see_requests(&cache, &memory, &changes, now);
            memory.requests.since(&object.uid)
        };
        let hour = Duration::from_secs(3600);
        assert!(retires("1", now.wall - hour).is_some());
        assert_eq!(retires("2", now.wall + hour), None);
    }
}
