//! Calls of an application: never more than its quota, and never from two leading processes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{History, ON_ITS_WAY, WINDOW};
use crate::record::{At, Event};
use crate::world::HOME;

/// Windows with more calls of one application than its quota, whichever processes made them.
pub fn over_quota(history: &History<'_>) -> Vec<String> {
    let mut calls: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for (at, call) in history.calls() {
        if let Some(application) = &call.application {
            calls.entry(application).or_default().push(at);
        }
    }
    let mut breaches = Vec::new();
    for (application, times) in calls {
        let over = times.iter().enumerate().find_map(|(index, first)| {
            let span = first.saturating_sub(ON_ITS_WAY)..=*first + WINDOW;
            let quota = history.largest_quota(application, &span);
            let last = times.get(index + quota)?;
            (*last < *first + WINDOW).then_some((quota, *first, *last))
        });
        if let Some((quota, first, last)) = over {
            breaches.push(format!(
                "over the quota: {} calls of {application} from {first:?} to {last:?}, of {quota}",
                quota + 1
            ));
        }
    }
    breaches
}

/// Calls of a process while another one holds the Lease.
pub fn two_leaders(history: &History<'_>) -> Vec<String> {
    let mut holder: Option<String> = None;
    let mut breaches = Vec::new();
    for At { at, event } in history.events {
        match event {
            Event::Kept(kept) if kept.resource == "leases" && kept.key.namespace == HOME => {
                let lease = kept.after.as_ref();
                let identity = lease.and_then(|lease| lease["spec"]["holderIdentity"].as_str());
                let pod = identity.and_then(|identity| identity.split_once('_'));
                holder = pod.map(|(pod, _)| pod.to_owned());
            }
            Event::Called(call) => {
                if let Some(holder) = holder.as_ref().filter(|holder| **holder != call.by) {
                    breaches.push(format!(
                        "two leaders: {} calls at {at:?} while {holder} holds the Lease",
                        call.by
                    ));
                }
            }
            _ => {}
        }
    }
    breaches
}
