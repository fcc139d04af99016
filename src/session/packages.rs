//! Turns of packages: one object at a time asks for the call for a package, and other objects of that package wait
//! behind it.

use std::collections::{BTreeMap, HashMap};

use super::{CredentialId, Priority, Ticket};
use crate::api::names::{Endpoint, FileId, ObjectKey};

/// The key by which objects are grouped for the turn of a package. Objects with equal keys share one turn, because a
/// deletion that is settled for one of these objects is settled for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackageKey {
    /// The credential under which calls for the package are made. So an object doesn't wait when another credential is
    /// in trouble.
    pub credential: CredentialId,
    /// The package.
    pub file_id: FileId,
    /// The endpoint where the objects were accepted, if this session may belong to another instance of the platform.
    /// For these objects, the answer of another instance that the package doesn't exist settles nothing.
    pub accepted_at: Option<Endpoint>,
}

/// An object that waits behind the holder of a turn: its uid and its key.
pub type Follower = (String, ObjectKey);

/// The turn of one package.
struct PackageTurn {
    /// The uid of the object that holds the turn. This object has a ticket, a permit or a call, or is about to ask for
    /// a ticket.
    holder: String,
    key: ObjectKey,
    /// The priority that the holder asked for itself.
    own: Priority,
    /// The objects that wait behind the holder, by uid.
    behind: BTreeMap<String, (ObjectKey, Priority)>,
}

impl PackageTurn {
    /// Returns the most urgent priority of the holder and the objects behind it.
    fn priority(&self) -> Priority {
        let behind = self.behind.values().map(|(_, priority)| *priority);
        behind.fold(self.own, Ord::min)
    }
}

/// The place of an object that has asked for the turn of a package.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TurnPlace {
    /// The object holds the turn, and its ticket has this priority.
    Holder(Priority),
    /// The object waits behind the object `ahead`; the ticket of the `holder` has this priority from now on.
    Behind {
        ahead: ObjectKey,
        holder: String,
        priority: Priority,
    },
}

/// The objects that are affected when an object gives up its turn or its place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// The objects that waited behind the former holder; one of them asks for the turn next.
    pub(super) followers: Vec<ObjectKey>,
    /// The holder that the object waited behind, with the new priority of the holder's ticket.
    pub(super) holder: Option<(String, Priority)>,
}

/// The turns of all packages of one lane.
#[derive(Default)]
pub(super) struct PackageTurns(HashMap<PackageKey, PackageTurn>);

impl PackageTurns {
    /// Whether no object holds a turn.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks for the turn of `package`: the first object that asks holds it.
    pub(super) fn join(&mut self, package: &PackageKey, ticket: &Ticket) -> TurnPlace {
        let turn = self
            .0
            .entry(package.clone())
            .or_insert_with(|| PackageTurn {
                holder: ticket.uid.clone(),
                key: ticket.key.clone(),
                own: ticket.priority,
                behind: BTreeMap::new(),
            });
        if turn.holder == ticket.uid {
            turn.own = ticket.priority;
            return TurnPlace::Holder(turn.priority());
        }
        let place = (ticket.key.clone(), ticket.priority);
        turn.behind.insert(ticket.uid.clone(), place);
        TurnPlace::Behind {
            ahead: turn.key.clone(),
            holder: turn.holder.clone(),
            priority: turn.priority(),
        }
    }

    /// Returns the object that `uid` waits behind.
    pub(super) fn ahead(&self, package: &PackageKey, uid: &str) -> Option<&ObjectKey> {
        let turn = self.0.get(package)?;
        turn.behind.contains_key(uid).then_some(&turn.key)
    }

    /// Returns the uids of the objects that wait behind `uid`.
    pub(super) fn behind(&self, package: &PackageKey, uid: &str) -> Vec<String> {
        let turn = self.0.get(package).filter(|turn| turn.holder == uid);
        turn.map_or_else(Vec::new, |turn| turn.behind.keys().cloned().collect())
    }

    /// Removes all objects behind `uid`, because its call has settled the deletion for them too. Returns those objects.
    pub(super) fn serve(&mut self, package: &PackageKey, uid: &str) -> Vec<Follower> {
        let turn = self.0.get_mut(package).filter(|turn| turn.holder == uid);
        let behind = turn.map(|turn| std::mem::take(&mut turn.behind));
        let served = behind.into_iter().flatten();
        served.map(|(uid, (key, _))| (uid, key)).collect()
    }

    /// Gives up the turn of `uid`, or its place behind the holder.
    pub(super) fn leave(&mut self, package: &PackageKey, uid: &str) -> Left {
        let Some(turn) = self.0.get_mut(package) else {
            return Left::default();
        };
        if turn.holder == uid {
            let turn = self.0.remove(package);
            let behind = turn.into_iter().flat_map(|turn| turn.behind.into_values());
            return Left {
                followers: behind.map(|(key, _)| key).collect(),
                holder: None,
            };
        }
        let waited = turn.behind.remove(uid).is_some();
        Left {
            followers: Vec::new(),
            holder: waited.then(|| (turn.holder.clone(), turn.priority())),
        }
    }
}

#[cfg(test)]
mod tests;
