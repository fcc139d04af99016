//! One object at a time asks for the call for a package; the others that name the package wait behind that object.

use std::collections::{BTreeMap, HashMap};

use super::{CredentialId, Priority, Ticket};
use crate::api::names::{Endpoint, FileId, ObjectKey};

/// A package as objects of one kind know it: what settles the deletion for one of them settles it for all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackageKey {
    /// The credential that calls for the package go out under: an object of another credential doesn't wait for its trouble.
    pub credential: CredentialId,
    /// The package.
    pub file_id: FileId,
    /// The endpoint that the objects were accepted at, where this session may be of another instance of the platform: an
    /// answer that the package doesn't exist settles nothing for them.
    pub accepted_at: Option<Endpoint>,
}

/// An object that waits behind the holder of a turn: its uid and its key.
pub type Follower = (String, ObjectKey);

/// The turn of one package.
struct PackageTurn {
    /// The uid of the object that holds the turn: it has a ticket, a permit or a call, or is about to ask for one.
    holder: String,
    key: ObjectKey,
    /// The priority that the holder asked for itself.
    own: Priority,
    /// The objects that wait behind the holder, by uid.
    behind: BTreeMap<String, (ObjectKey, Priority)>,
}

impl PackageTurn {
    /// The most urgent priority of the holder and of all that wait behind it.
    fn priority(&self) -> Priority {
        let behind = self.behind.values().map(|(_, priority)| *priority);
        behind.fold(self.own, Ord::min)
    }
}

/// Where an object stands that has asked for the turn of a package.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TurnPlace {
    /// It holds the turn, and its ticket has this priority.
    Holder(Priority),
    /// It waits behind the object `ahead`. The ticket of the `holder` has this priority from now on.
    Behind {
        ahead: ObjectKey,
        holder: String,
        priority: Priority,
    },
}

/// What an object leaves behind that has given its turn or its place up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// The objects that waited behind the one that held the turn: one of them asks for the turn next.
    pub(super) followers: Vec<ObjectKey>,
    /// The holder that the object waited behind, and the priority that the holder's ticket has from now on.
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

    /// The object that `uid` waits behind.
    pub(super) fn ahead(&self, package: &PackageKey, uid: &str) -> Option<&ObjectKey> {
        let turn = self.0.get(package)?;
        turn.behind.contains_key(uid).then_some(&turn.key)
    }

    /// The objects that wait behind `uid`.
    pub(super) fn behind(&self, package: &PackageKey, uid: &str) -> Vec<String> {
        let turn = self.0.get(package).filter(|turn| turn.holder == uid);
        turn.map_or_else(Vec::new, |turn| turn.behind.keys().cloned().collect())
    }

    /// The call of `uid` has settled the deletion for all that wait behind it: they wait no longer.
    pub(super) fn serve(&mut self, package: &PackageKey, uid: &str) -> Vec<Follower> {
        let turn = self.0.get_mut(package).filter(|turn| turn.holder == uid);
        let behind = turn.map(|turn| std::mem::take(&mut turn.behind));
        let served = behind.into_iter().flatten();
        served.map(|(uid, (key, _))| (uid, key)).collect()
    }

    /// Gives the turn or the place of `uid` up.
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
