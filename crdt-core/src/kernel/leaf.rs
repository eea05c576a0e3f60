//! What is live at a path: dots, and what each carries.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::cow_map::CowMap;
use crate::name::Name;
use crate::{Dot, ReplicaId};

/// Totals of counters stay within plus and minus this, so that no sum of them can overflow.
pub const MAX_TOTAL: i128 = 1 << 96;

/// What a live dot carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: the dot itself is the fact (an element of a set, a flag).
    Unit,
    /// Opaque bytes (a register's write).
    Bytes(Arc<[u8]>),
    /// The share of one replica in a counter. The entry's dot is the newest of the run.
    Run(Run),
}

/// A run: consecutive increments of one counter by one replica, kept as their total.
///
/// Increments are not superseded by records; a removal *cuts* the run instead, up to the newest
/// increment that it saw. What counts is `total - cut_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Sequence number of the first increment of the run: its identity.
    pub start: u64,
    /// Sum of all increments of the run.
    pub total: i128,
    /// The newest increment that was cut, 0 if none was.
    pub cut_seq: u64,
    /// The sum of the increments up to that one.
    pub cut_total: i128,
}

impl Run {
    /// What the run counts for.
    pub fn amount(&self) -> i128 {
        self.total.saturating_sub(self.cut_total)
    }
}

/// A live dot and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event; for a run its newest increment.
    pub dot: Dot,
    /// What it carries.
    pub value: Value,
}

/// The live dots at one path, in the order of the dots. At most one [`Value::Run`] per replica.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf(Repr);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Repr {
    #[default]
    Empty,
    One(Entry),
    Many(Arc<Vec<Entry>>),
}

impl Leaf {
    /// The entries.
    pub fn entries(&self) -> &[Entry] {
        match &self.0 {
            Repr::Empty => &[],
            Repr::One(entry) => core::slice::from_ref(entry),
            Repr::Many(entries) => entries,
        }
    }

    /// Whether nothing is live here.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::Empty)
    }

    /// The entry of a dot.
    pub fn get(&self, dot: Dot) -> Option<&Entry> {
        let entries = self.entries();
        entries
            .binary_search_by_key(&dot, |e| e.dot)
            .ok()
            .map(|at| &entries[at])
    }

    /// The run of a replica.
    pub fn run(&self, replica: ReplicaId) -> Option<(Dot, Run)> {
        self.entries().iter().find_map(|e| match e.value {
            Value::Run(run) if e.dot.replica == replica => Some((e.dot, run)),
            _ => None,
        })
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        match &mut self.0 {
            Repr::Empty => self.0 = Repr::One(entry),
            Repr::One(one) if one.dot == entry.dot => *one = entry,
            Repr::One(one) => {
                let mut both = alloc::vec![one.clone(), entry];
                both.sort_unstable_by_key(|e| e.dot);
                self.0 = Repr::Many(Arc::new(both));
            }
            Repr::Many(entries) => {
                let entries = Arc::make_mut(entries);
                match entries.binary_search_by_key(&entry.dot, |e| e.dot) {
                    Ok(at) => entries[at] = entry,
                    Err(at) => entries.insert(at, entry),
                }
            }
        }
    }

    pub(super) fn remove(&mut self, dot: Dot) -> Option<Entry> {
        match &mut self.0 {
            Repr::One(one) if one.dot == dot => match core::mem::take(&mut self.0) {
                Repr::One(entry) => Some(entry),
                _ => None,
            },
            Repr::Many(entries) => {
                let at = entries.binary_search_by_key(&dot, |e| e.dot).ok()?;
                let entries = Arc::make_mut(entries);
                let removed = entries.remove(at);
                if entries.len() == 1 {
                    self.0 = entries.pop().map_or(Repr::Empty, Repr::One);
                }
                Some(removed)
            }
            _ => None,
        }
    }
}

/// A place in the tree: the dots that are live at it, and the places under it that have any.
/// Cloning is O(1); no empty node is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub(super) leaf: Leaf,
    pub(super) children: CowMap<Name, Node>,
}

impl Node {
    /// The dots at this place.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The places under this one.
    pub fn children(&self) -> &CowMap<Name, Node> {
        &self.children
    }

    /// Whether nothing is live here or below.
    pub fn is_empty(&self) -> bool {
        self.leaf.is_empty() && self.children.is_empty()
    }

    /// The place at a path below this one.
    pub fn get(&self, path: &[Name]) -> Option<&Node> {
        path.iter()
            .try_fold(self, |node, name| node.children.get(name.as_bytes()))
    }

    /// Calls `visit` with every entry at and below this place, which is at `path`.
    pub fn visit(&self, path: &mut Vec<Name>, visit: &mut impl FnMut(&[Name], &Entry)) {
        for entry in self.leaf.entries() {
            visit(path, entry);
        }
        for (name, child) in &self.children {
            path.push(name.clone());
            child.visit(path, visit);
            path.pop();
        }
    }

    /// Changes the leaf at a path; makes the nodes on the way and takes empty ones away.
    pub(super) fn change_leaf<T>(
        &mut self,
        path: &[Name],
        change: impl FnOnce(&mut Leaf) -> T,
    ) -> T {
        let Some((name, rest)) = path.split_first() else {
            return change(&mut self.leaf);
        };
        if let Some(child) = self.children.get_mut(name.as_bytes()) {
            let out = child.change_leaf(rest, change);
            if child.is_empty() {
                self.children.remove(name.as_bytes());
            }
            return out;
        }
        let mut child = Node::default();
        let out = child.change_leaf(rest, change);
        if !child.is_empty() {
            self.children.insert(name.clone(), child);
        }
        out
    }

    /// Puts a whole node at a path, or takes it away.
    pub(super) fn put(&mut self, path: &[Name], node: Option<Node>) {
        let Some((name, rest)) = path.split_first() else {
            *self = node.unwrap_or_default();
            return;
        };
        let mut child = self.children.remove(name.as_bytes()).unwrap_or_default();
        child.put(rest, node);
        if !child.is_empty() {
            self.children.insert(name.clone(), child);
        }
    }
}
