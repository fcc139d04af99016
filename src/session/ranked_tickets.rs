//! Tickets ordered by age, with the rank of each ticket: a treap in an arena.
//!
//! An exact queue position needs a sorted set that also counts. Each ticket is one node and one text, so that a hundred
//! thousand tickets take less than 20 MB. The weights that keep the tree shallow are hashes of the uids, so no random
//! numbers are needed.

use std::cmp::Ordering;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use hashbrown::HashTable;
use k8s_openapi::jiff::Timestamp;

use super::{Priority, Purpose, Ticket};
use crate::api::names::ObjectKey;

const NONE: u32 = u32::MAX;
const BLOCK: usize = 256;

struct Node {
    /// `uid`, then `namespace/name`, in one allocation.
    text: Box<str>,
    uid_length: u32,
    requested_at: Timestamp,
    priority: Priority,
    purpose: Purpose,
    weight: u32,
    left: u32,
    right: u32,
    size: u32,
}

impl Node {
    fn uid(&self) -> &str {
        self.text.get(..self.uid_length as usize).unwrap_or("")
    }

    fn order(&self) -> (Timestamp, &str) {
        (self.requested_at, self.uid())
    }

    fn object(&self) -> ObjectKey {
        let key = self.text.get(self.uid_length as usize..).unwrap_or("");
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        ObjectKey::new(namespace, name)
    }

    fn ticket(&self) -> Ticket {
        Ticket {
            uid: self.uid().to_owned(),
            key: self.object(),
            purpose: self.purpose,
            priority: self.priority,
            requested_at: self.requested_at,
        }
    }
}

/// Tickets by priority and age, and by uid. Each change and each look-up takes O(log n).
pub(super) struct RankedTickets {
    /// The nodes, in blocks, because one vector that doubles would take up to three times the size of its content.
    blocks: Vec<Vec<Node>>,
    /// The free places in `blocks`.
    free: Vec<u32>,
    /// The place of the node of each uid.
    index: HashTable<u32>,
    /// The trees of [`Priority::Deletion`] and [`Priority::Retirement`].
    roots: [u32; 2],
}

impl RankedTickets {
    pub(super) fn new() -> Self {
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            roots: [NONE; 2],
        }
    }

    /// Returns the number of tickets of `priority`.
    pub(super) fn count(&self, priority: Priority) -> usize {
        self.size(self.roots[slot(priority)]) as usize
    }

    /// Returns the ticket of `uid`.
    pub(super) fn get(&self, uid: &str) -> Option<Ticket> {
        self.find(uid).map(|at| self.node(at).ticket())
    }

    /// Whether there is a ticket of `uid`.
    pub(super) fn contains(&self, uid: &str) -> bool {
        self.find(uid).is_some()
    }

    /// Returns the ticket of `priority` that has `rank` older tickets before it.
    pub(super) fn nth(&self, priority: Priority, mut rank: usize) -> Option<Ticket> {
        let mut at = self.roots[slot(priority)];
        while at != NONE {
            let node = self.node(at);
            let older = self.size(node.left) as usize;
            match rank.cmp(&older) {
                Ordering::Less => at = node.left,
                Ordering::Equal => return Some(node.ticket()),
                Ordering::Greater => {
                    rank -= older + 1;
                    at = node.right;
                }
            }
        }
        None
    }

    /// Returns the priority of `uid`, the number of older tickets of that priority, and the purpose of its call.
    pub(super) fn rank(&self, uid: &str) -> Option<(Priority, usize, Purpose)> {
        let target = self.node(self.find(uid)?);
        let mut at = self.roots[slot(target.priority)];
        let mut older = 0;
        while at != NONE {
            let node = self.node(at);
            if node.order() < target.order() {
                older += 1 + self.size(node.left) as usize;
                at = node.right;
            } else {
                at = node.left;
            }
        }
        Some((target.priority, older, target.purpose))
    }

    /// Returns the oldest ticket of `priority`, or the oldest ticket after `after`.
    pub(super) fn next(
        &self,
        priority: Priority,
        after: Option<(Timestamp, &str)>,
    ) -> Option<Ticket> {
        let mut at = self.roots[slot(priority)];
        let mut found = None;
        while at != NONE {
            let node = self.node(at);
            if after.is_none_or(|after| node.order() > after) {
                found = Some(node);
                at = node.left;
            } else {
                at = node.right;
            }
        }
        found.map(Node::ticket)
    }

    /// Inserts a ticket. The caller ensures that there is no ticket of its uid.
    pub(super) fn insert(&mut self, ticket: &Ticket) {
        let hash = hash(&ticket.uid);
        let (uid, key) = (ticket.uid.as_str(), &ticket.key);
        let node = Node {
            text: [uid, &*key.namespace, "/", &*key.name]
                .concat()
                .into_boxed_str(),
            uid_length: u32::try_from(uid.len()).unwrap_or(u32::MAX),
            requested_at: ticket.requested_at,
            priority: ticket.priority,
            purpose: ticket.purpose,
            // The weight is the upper half of the hash, because the index uses the lower half.
            weight: u32::try_from(hash >> 32).unwrap_or(0),
            left: NONE,
            right: NONE,
            size: 1,
        };
        let at = self.place(node);
        let blocks = &self.blocks;
        let rehash = |at: &u32| self::hash(node_of(blocks, *at).uid());
        self.index.insert_unique(hash, at, rehash);
        let root = self.roots[slot(ticket.priority)];
        let (older, younger) = self.split(root, at);
        let older = self.merge(older, at);
        self.roots[slot(ticket.priority)] = self.merge(older, younger);
    }

    /// Removes and returns the ticket of `uid`.
    pub(super) fn remove(&mut self, uid: &str) -> Option<Ticket> {
        let blocks = &self.blocks;
        let same = |at: &u32| node_of(blocks, *at).uid() == uid;
        let entry = self.index.find_entry(hash(uid), same);
        let at = entry.ok()?.remove().0;
        let ticket = self.node(at).ticket();
        let root = self.roots[slot(ticket.priority)];
        self.roots[slot(ticket.priority)] = self.cut(root, at);
        if self.index.is_empty() {
            // A queue that was once long doesn't keep its memory.
            *self = Self::new();
        } else {
            self.node_mut(at).text = Box::default();
            self.free.push(at);
        }
        Some(ticket)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.blocks.capacity() + self.index.capacity()
    }

    fn find(&self, uid: &str) -> Option<u32> {
        let same = |at: &u32| self.node(*at).uid() == uid;
        self.index.find(hash(uid), same).copied()
    }

    fn place(&mut self, node: Node) -> u32 {
        if let Some(at) = self.free.pop() {
            *self.node_mut(at) = node;
            return at;
        }
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(node),
            _ => {
                // The first block grows as needed; further blocks are allocated whole.
                let room = if self.blocks.is_empty() { 1 } else { BLOCK };
                let mut block = Vec::with_capacity(room);
                block.push(node);
                self.blocks.push(block);
            }
        }
        let last = self.blocks.last().map_or(0, Vec::len) + (self.blocks.len() - 1) * BLOCK - 1;
        u32::try_from(last).unwrap_or(NONE)
    }

    fn node(&self, at: u32) -> &Node {
        node_of(&self.blocks, at)
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.blocks[at as usize / BLOCK][at as usize % BLOCK]
    }

    fn size(&self, at: u32) -> u32 {
        if at == NONE { 0 } else { self.node(at).size }
    }

    fn resize(&mut self, at: u32) {
        let node = self.node(at);
        let size = 1 + self.size(node.left) + self.size(node.right);
        self.node_mut(at).size = size;
    }

    /// Splits a tree into the nodes older than the node at `pivot` and the younger nodes.
    fn split(&mut self, root: u32, pivot: u32) -> (u32, u32) {
        if root == NONE {
            return (NONE, NONE);
        }
        let parts = if self.node(root).order() < self.node(pivot).order() {
            let (older, younger) = self.split(self.node(root).right, pivot);
            self.node_mut(root).right = older;
            (root, younger)
        } else {
            let (older, younger) = self.split(self.node(root).left, pivot);
            self.node_mut(root).left = younger;
            (older, root)
        };
        self.resize(root);
        parts
    }

    /// Joins two trees; all nodes of the first are older than those of the second.
    fn merge(&mut self, older: u32, younger: u32) -> u32 {
        if older == NONE || younger == NONE {
            return older.min(younger);
        }
        let root = if self.node(older).weight >= self.node(younger).weight {
            let right = self.merge(self.node(older).right, younger);
            self.node_mut(older).right = right;
            older
        } else {
            let left = self.merge(older, self.node(younger).left);
            self.node_mut(younger).left = left;
            younger
        };
        self.resize(root);
        root
    }

    /// Returns the tree without the node at `target`.
    fn cut(&mut self, root: u32, target: u32) -> u32 {
        if root == NONE {
            return NONE;
        }
        let (left, right) = (self.node(root).left, self.node(root).right);
        if root == target {
            return self.merge(left, right);
        }
        if self.node(target).order() < self.node(root).order() {
            let left = self.cut(left, target);
            self.node_mut(root).left = left;
        } else {
            let right = self.cut(right, target);
            self.node_mut(root).right = right;
        }
        self.resize(root);
        root
    }
}

fn node_of(blocks: &[Vec<Node>], at: u32) -> &Node {
    &blocks[at as usize / BLOCK][at as usize % BLOCK]
}

fn slot(priority: Priority) -> usize {
    match priority {
        Priority::Deletion => 0,
        Priority::Retirement => 1,
    }
}

fn hash(uid: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(uid)
}
