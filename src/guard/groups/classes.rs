//! The classes of Platforms that count together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Place;
use crate::api::names::ObjectKey;
use crate::session::{CredentialId, SessionKey};

/// Divides the Platforms of one application into classes: Platforms share a class if their credentials are equal, or if
/// their credentials are proven at the same endpoint.
pub(super) fn classes(places: &BTreeMap<ObjectKey, Place>) -> Vec<BTreeSet<ObjectKey>> {
    let mut classes: Vec<BTreeSet<ObjectKey>> = Vec::new();
    // For each credential, and for each endpoint that has accepted a credential: the index of its class.
    let mut credentials: HashMap<&CredentialId, usize> = HashMap::new();
    let mut endpoints: HashMap<&SessionKey, usize> = HashMap::new();
    for (platform, place) in places {
        let own = classes.len();
        classes.push([platform.clone()].into());
        let Some(footing) = &place.footing else {
            continue;
        };
        let mut ties = vec![*credentials.entry(&footing.credential).or_insert(own)];
        if footing.proven {
            ties.push(*endpoints.entry(&footing.key).or_insert(own));
        }
        ties.push(own);
        let into = ties.iter().copied().min().unwrap_or(own);
        for from in ties.into_iter().filter(|from| *from != into) {
            let joined = std::mem::take(&mut classes[from]);
            classes[into].extend(joined);
            for led in credentials.values_mut().chain(endpoints.values_mut()) {
                *led = if *led == from { into } else { *led };
            }
        }
    }
    classes.retain(|class| !class.is_empty());
    classes
}
