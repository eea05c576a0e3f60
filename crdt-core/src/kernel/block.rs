//! A leaf of the tree of children: some tens of names in order, packed into columns.
//!
//! Most places hold one dot with nothing (an element), a payload (a register) or a run (a counter).
//! Such a place costs its name and 8 bytes, and 24 more unless it carries nothing. So does one that has
//! nothing but one such place under it, as a key has its value: what stands there stands in the columns
//! of the upper one, with the lower one's name in a list of the block. Only other places have a node of
//! their own.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::leaf::{Entry, EntryRef, Leaf, Run, Value, ValueRef};
use super::lower::Lower;
use super::names::{self, Names, step};
use super::node::{Node, NodeRef};
use super::tags::Tags;
use crate::name::Name;
use crate::{Dot, ReplicaId};

/// Most names of a block.
pub(super) const CAPACITY: usize = 64;
/// Most bytes of names of a block that has more than one.
const MAX_BYTES: usize = names::USUAL;
/// A block that is built is closed when it has so many places: some are left free.
pub(super) const FILLED: usize = CAPACITY * 7 / 8;
/// Most origins of a block: more than its dots can have, for those that are gone meanwhile.
const MAX_ORIGINS: usize = 256;
/// A packed dot is the place of its origin in the block's list, and a sequence number below it.
const SEQ_BITS: u32 = 56;
const SEQS: u64 = (1 << SEQ_BITS) - 1;

#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    names: Names,
    tags: Tags,
    origins: Vec<ReplicaId>,
    /// Packed dots; 0 where there is not just one.
    dots: Vec<u64>,
    /// Empty while every place holds one dot with nothing.
    cells: Vec<Cell>,
    /// Where the dot and the cell of a place are those of the only place under it: the name of that.
    lower: Lower,
}

/// What stands at a name beside the dot.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Unit,
    Bytes(Arc<[u8]>),
    /// A run that was not cut, of a total that is not large.
    Count {
        start: u64,
        total: i64,
    },
    Run(Arc<Run>),
    /// A second dot, packed, with nothing either: two concurrent insertions.
    Second(u64),
    /// More dots with nothing.
    Dots(Arc<[Dot]>),
    Node(Arc<Node>),
}

/// What became of a run that was to be changed in its column.
pub(super) enum RunChange {
    /// What stood there, and what does now.
    Changed { from: (Dot, Run), to: (Dot, Run) },
    /// The replica has none at that path.
    NoRun,
    /// It may stand elsewhere, or would have to. Nothing was changed.
    Elsewhere,
}

impl Block {
    pub(super) fn len(&self) -> usize {
        self.dots.len()
    }

    pub(super) fn is_too_full(&self) -> bool {
        self.len() > CAPACITY || (self.names.bytes() > MAX_BYTES && self.len() > 1)
    }

    /// Whether it could take `other` in and still have room.
    pub(super) fn has_room_for(&self, other: &Self) -> bool {
        self.len() + other.len() <= CAPACITY * 3 / 4
            && self.names.bytes() + other.names.bytes() <= MAX_BYTES
    }

    pub(super) fn name(&self, at: usize) -> &[u8] {
        self.names.get(at)
    }

    /// Under what it may stand, behind a block: the shortest name that is above all in that, and not above any here.
    /// Such names are mostly kept without an allocation, where keys are long.
    pub(super) fn bound_behind(&self, before: &Self) -> Name {
        let first = self.name(0);
        let last = before
            .len()
            .checked_sub(1)
            .map_or(&[][..], |at| before.name(at));
        let same = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        Name::new(&first[..first.len().min(same + 1)])
    }

    /// Where a name is.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        match self.tags.find(&self.names, name) {
            None if !self.tags.is_complete() => self.names.search(name).ok(),
            found => found,
        }
    }

    /// Where a name is, or where it would be.
    pub(super) fn search(&self, name: &[u8]) -> Result<usize, usize> {
        let found = self.tags.find(&self.names, name);
        found.map_or_else(|| self.names.search(name), Ok)
    }

    pub(super) fn get(&self, at: usize) -> NodeRef<'_> {
        if self.lower.is_empty() || self.lower.name(at).is_none() {
            self.column(at)
        } else {
            NodeRef::of_upper(self, at)
        }
    }

    /// The only place under a place, if it stands in the columns instead of that.
    pub(super) fn lower(&self, at: usize) -> Option<(&Name, NodeRef<'_>)> {
        let name = self.lower.name(at)?;
        Some((name, self.column(at)))
    }

    /// What stands in the columns.
    fn column(&self, at: usize) -> NodeRef<'_> {
        let value = match self.cells.get(at) {
            None | Some(Cell::Unit) => ValueRef::Unit,
            Some(Cell::Bytes(bytes)) => ValueRef::Bytes(bytes),
            Some(Cell::Count { start, total }) => ValueRef::Run(Run {
                start: *start,
                total: i128::from(*total),
                cut_seq: 0,
                cut_total: 0,
            }),
            Some(Cell::Run(run)) => ValueRef::Run(**run),
            Some(Cell::Second(second)) => {
                return NodeRef::of_two(self.dot(at), self.unpack(*second));
            }
            Some(Cell::Dots(dots)) => return NodeRef::of_dots(dots),
            Some(Cell::Node(node)) => return NodeRef::of(node),
        };
        NodeRef::of_entry(EntryRef {
            dot: self.dot(at),
            value,
        })
    }

    pub(super) fn dot(&self, at: usize) -> Dot {
        self.unpack(self.dots[at])
    }

    fn unpack(&self, packed: u64) -> Dot {
        Dot::new(self.origins[(packed >> SEQ_BITS) as usize], packed & SEQS)
    }

    /// The node of its own in a place's column, to be changed where it is.
    fn node_mut(&mut self, at: usize) -> Option<&mut Node> {
        match self.cells.get_mut(at) {
            Some(Cell::Node(node)) => Some(Arc::make_mut(node)),
            _ => None,
        }
    }

    /// Changes the place at a path under that of `name`, from empty if there is none; takes away what is
    /// empty afterwards. Returns where `name` stands or stood, and what `change` did.
    pub(super) fn change<T>(
        &mut self,
        name: &Name,
        path: &[Name],
        change: impl FnOnce(&mut Node) -> T,
    ) -> (usize, T) {
        let found = self.search(name.as_bytes());
        let (Ok(at) | Err(at)) = found;
        let out = if found.is_ok() {
            self.change_at(at, path, change)
        } else {
            let (lower, path) = match path.split_first() {
                Some((lower, path)) => (Some(lower), path),
                None => (None, path),
            };
            let mut node = Node::default();
            let out = node.change(path, change);
            if !node.is_empty() {
                self.insert_node(at, name.as_bytes(), lower, node);
            }
            out
        };
        (at, out)
    }

    fn change_at<T>(&mut self, at: usize, path: &[Name], change: impl FnOnce(&mut Node) -> T) -> T {
        let (whole, path) = match (self.lower.name(at), path) {
            (None, path) => (true, path),
            (Some(lower), [first, path @ ..]) if lower == first => (false, path),
            // Beside the only place under this one, or at this one.
            (Some(_), path) => {
                let mut node = self.get(at).to_node();
                let out = node.change(path, change);
                self.set(at, node);
                return out;
            }
        };
        if let Some(node) = self.node_mut(at) {
            let out = node.change(path, change);
            if node.is_empty() {
                self.remove(at);
            } else if node.is_simple() || (whole && node.is_upper()) {
                let node = core::mem::take(node);
                self.set_column(at, whole, node);
            }
            return out;
        }
        let mut node = self.column(at).to_node();
        let out = node.change(path, change);
        self.set_column(at, whole, node);
        out
    }

    /// Changes the run of a replica at a path under that of `name`, if it stands in a column where nothing else does, as
    /// most do, and can stand there afterwards.
    pub(super) fn change_run(
        &mut self,
        name: &Name,
        path: &[Name],
        replica: ReplicaId,
        change: impl FnOnce(Dot, Run) -> (Dot, Run),
    ) -> RunChange {
        let Some(at) = self.find(name.as_bytes()) else {
            return RunChange::NoRun;
        };
        let path = match (self.lower.name(at), path) {
            (None, path) => path,
            (Some(lower), [first, path @ ..]) if lower == first => path,
            _ => return RunChange::NoRun,
        };
        let (start, total) = match self.cells.get_mut(at) {
            Some(Cell::Node(node)) => {
                return Arc::make_mut(node).change_run(path, replica, change);
            }
            Some(Cell::Count { start, total }) if path.is_empty() => (start, total),
            Some(Cell::Run(_)) => return RunChange::Elsewhere,
            _ => return RunChange::NoRun,
        };
        let packed = self.dots[at];
        if self.origins[(packed >> SEQ_BITS) as usize] != replica {
            return RunChange::NoRun;
        }
        let run = Run {
            start: *start,
            total: i128::from(*total),
            cut_seq: 0,
            cut_total: 0,
        };
        let before = (Dot::new(replica, packed & SEQS), run);
        let (dot, run) = change(before.0, run);
        let is_cut = (run.cut_seq, run.cut_total) != (0, 0);
        match i64::try_from(run.total) {
            Ok(short) if dot.replica == replica && !is_cut => *total = short,
            _ => return RunChange::Elsewhere,
        }
        *start = run.start;
        self.dots[at] = packed & !SEQS | dot.seq;
        RunChange::Changed {
            from: before,
            to: (dot, run),
        }
    }

    /// Puts a dot with nothing in at a name where nothing is.
    pub(super) fn insert_unit(&mut self, at: usize, name: &[u8], dot: Dot) {
        self.make_room_for_origins();
        let packed = self.pack(Some(dot));
        self.insert_packed(at, name, packed, Cell::Unit, None);
    }

    fn insert_packed(
        &mut self,
        at: usize,
        name: &[u8],
        packed: u64,
        cell: Cell,
        lower: Option<&Name>,
    ) {
        self.names.insert(at, name);
        self.tags.insert(&self.names, at);
        self.lower.insert(self.dots.len(), at, lower);
        if self.dots.len() == self.dots.capacity() {
            self.dots.reserve_exact(step(self.dots.len()));
        }
        self.dots.insert(at, packed);
        if !self.cells.is_empty() || !matches!(cell, Cell::Unit) {
            self.cells.resize(self.dots.len() - 1, Cell::Unit);
            if self.cells.len() == self.cells.capacity() {
                self.cells.reserve_exact(step(self.cells.len()));
            }
            self.cells.insert(at, cell);
        }
    }

    /// Puts in a place before the one at `at`, with what stands there or, if a name is given, at the only
    /// place under it.
    pub(super) fn insert_node(&mut self, at: usize, name: &[u8], lower: Option<&Name>, node: Node) {
        let (lower, node) = match lower {
            Some(lower) => (Some(lower.clone()), node),
            None => apart(node),
        };
        self.make_room_for_origins();
        let (dot, cell) = self.cell_of(node);
        let packed = self.pack(dot);
        self.insert_packed(at, name, packed, cell, lower.as_ref());
    }

    /// Appends two dots with nothing, in order.
    pub(super) fn push_pair(&mut self, name: &[u8], first: Dot, second: Dot) {
        self.push_two(name, first, second, None);
    }

    fn push_two(&mut self, name: &[u8], first: Dot, second: Dot, lower: Option<&Name>) {
        self.make_room_for_origins();
        let (first, second) = (self.pack(Some(first)), self.pack(Some(second)));
        if self.cells.is_empty() {
            self.cells.reserve_exact(FILLED);
            self.cells.resize(self.dots.len(), Cell::Unit);
        }
        self.push_packed(name, first, lower);
        self.cells.push(Cell::Second(second));
    }

    /// Replaces what stands at a place and under it.
    fn set(&mut self, at: usize, node: Node) {
        self.set_column(at, true, node);
    }

    /// Replaces what stands in a place's column: `whole` if it is for the place itself, not for the only one
    /// under it. Takes the place away if that is nothing.
    fn set_column(&mut self, at: usize, whole: bool, node: Node) {
        if node.is_empty() {
            return self.remove(at);
        }
        let node = if whole {
            let (lower, node) = apart(node);
            self.lower.set(self.dots.len(), at, lower.as_ref());
            node
        } else {
            node
        };
        self.make_room_for_origins();
        let (dot, cell) = self.cell_of(node);
        self.dots[at] = self.pack(dot);
        if self.cells.is_empty() {
            if matches!(cell, Cell::Unit) {
                return;
            }
            self.cells.reserve_exact(self.dots.capacity());
            self.cells.resize(self.dots.len(), Cell::Unit);
        }
        self.cells[at] = cell;
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.names.remove(at);
        self.tags.remove(at);
        self.lower.remove(at);
        self.dots.remove(at);
        if !self.cells.is_empty() {
            self.cells.remove(at);
        }
    }

    /// Appends the place at `at` of another block.
    pub(super) fn push_from(&mut self, other: &Self, at: usize) {
        let (name, lower) = (other.name(at), other.lower.name(at));
        match other.cells.get(at) {
            None | Some(Cell::Unit) => self.push_one(name, other.dot(at), lower),
            Some(Cell::Second(second)) => {
                self.push_two(name, other.dot(at), other.unpack(*second), lower);
            }
            Some(cell) => {
                let has_dot = !matches!(cell, Cell::Node(_) | Cell::Dots(_));
                self.make_room_for_origins();
                let packed = self.pack(has_dot.then(|| other.dot(at)));
                self.insert_packed(self.len(), name, packed, cell.clone(), lower);
            }
        }
    }

    /// Appends a dot with nothing, which most places hold.
    pub(super) fn push(&mut self, name: &[u8], dot: Dot) {
        self.push_one(name, dot, None);
    }

    fn push_one(&mut self, name: &[u8], dot: Dot, lower: Option<&Name>) {
        self.make_room_for_origins();
        let packed = self.pack(Some(dot));
        self.push_packed(name, packed, lower);
        if !self.cells.is_empty() {
            self.cells.push(Cell::Unit);
        }
    }

    fn push_packed(&mut self, name: &[u8], packed: u64, lower: Option<&Name>) {
        self.names.push(name, FILLED);
        self.tags.insert(&self.names, self.names.len() - 1);
        self.lower.insert(self.dots.len(), self.dots.len(), lower);
        if self.dots.len() == self.dots.capacity() {
            self.dots.reserve_exact(FILLED);
        }
        self.dots.push(packed);
    }

    /// Whether every place holds one dot with nothing.
    pub(super) fn is_plain(&self) -> bool {
        self.cells.is_empty() && self.lower.is_empty()
    }

    /// Gives back what the columns have too much.
    pub(super) fn shrink(&mut self) {
        self.names.shrink();
        self.tags.shrink();
        self.origins.shrink_to_fit();
        self.dots.shrink_to_fit();
        self.cells.shrink_to_fit();
        self.lower.shrink();
    }

    /// Takes the right part out. Where the last insertion was at the end, as it is for ascending
    /// names, the left part stays full.
    pub(super) fn split(&mut self, inserted: usize) -> Self {
        let at = if inserted + 1 == self.len() {
            self.len() - 1
        } else {
            self.len() / 2
        };
        let mut right = Self {
            names: self.names.split_off(at),
            tags: self.tags.split_off(at),
            origins: self.origins.clone(),
            dots: self.dots.split_off(at),
            cells: self.cells.split_off(at.min(self.cells.len())),
            lower: self.lower.split_off(at),
        };
        for part in [self, &mut right] {
            if part.cells.iter().all(|cell| matches!(cell, Cell::Unit)) {
                part.cells = Vec::new();
            }
            part.drop_unused_origins();
            part.shrink();
        }
        right
    }

    /// What a node comes to in a block.
    fn cell_of(&mut self, node: Node) -> (Option<Dot>, Cell) {
        if !node.is_simple() {
            return (None, Cell::Node(Arc::new(node)));
        }
        let mut dots = node.leaf.iter().map(|entry| entry.dot);
        match (node.leaf.len(), dots.next(), dots.next()) {
            (2, Some(first), Some(second)) => {
                let second = self.pack(Some(second));
                (Some(first), Cell::Second(second))
            }
            (0 | 1, ..) => match node.leaf.into_single() {
                Some(entry) => cell_of_entry(entry),
                None => (None, Cell::Node(Arc::default())),
            },
            _ => {
                let dots = node.leaf.iter().map(|entry| entry.dot);
                (None, Cell::Dots(dots.collect()))
            }
        }
    }

    fn pack(&mut self, dot: Option<Dot>) -> u64 {
        let Some(dot) = dot else { return 0 };
        debug_assert!(dot.seq <= crate::seqs::MAX_SEQ);
        let known = self.origins.iter().position(|o| *o == dot.replica);
        let origin = known.unwrap_or_else(|| self.add_origin(dot.replica));
        (origin as u64) << SEQ_BITS | dot.seq
    }

    fn add_origin(&mut self, origin: ReplicaId) -> usize {
        self.origins.reserve_exact(1);
        self.origins.push(origin);
        self.origins.len() - 1
    }

    /// Origins that nobody has any more go before there are too many for a packed dot. To be called
    /// before dots are packed, which does not know of those that are not in their columns yet.
    fn make_room_for_origins(&mut self) {
        if self.origins.len() + 2 > MAX_ORIGINS {
            self.drop_unused_origins();
        }
    }

    fn drop_unused_origins(&mut self) {
        if self.origins.len() <= 1 {
            return;
        }
        let former = core::mem::take(&mut self.origins);
        let mut kept: Vec<ReplicaId> = Vec::new();
        let mut renumber = |packed: &mut u64| {
            let origin = former[(*packed >> SEQ_BITS) as usize];
            let known = kept.iter().position(|o| *o == origin);
            let at = known.unwrap_or_else(|| {
                kept.push(origin);
                kept.len() - 1
            });
            *packed = (at as u64) << SEQ_BITS | (*packed & SEQS);
        };
        self.dots
            .iter_mut()
            .filter(|packed| **packed != 0)
            .for_each(&mut renumber);
        for cell in &mut self.cells {
            if let Cell::Second(packed) = cell {
                renumber(packed);
            }
        }
        self.origins = kept;
    }
}

/// What is to stand in a place's column for this node, and the name of the place under it if it is for that.
fn apart(node: Node) -> (Option<Name>, Node) {
    let only = node
        .is_upper()
        .then(|| node.children.as_ref().iter().next());
    match only.flatten() {
        Some((name, child)) => (Some(Name::new(name)), child.to_node()),
        None => (None, node),
    }
}

fn cell_of_entry(Entry { dot, value }: Entry) -> (Option<Dot>, Cell) {
    let cell = match value {
        Value::Unit => Cell::Unit,
        Value::Bytes(bytes) => Cell::Bytes(bytes),
        Value::Run(run) => match i64::try_from(run.total) {
            Ok(total) if (run.cut_seq, run.cut_total) == (0, 0) => Cell::Count {
                start: run.start,
                total,
            },
            _ => Cell::Run(Arc::new(run)),
        },
    };
    (Some(dot), cell)
}

impl From<NodeRef<'_>> for Leaf {
    fn from(node: NodeRef<'_>) -> Self {
        let mut leaf = Leaf::default();
        for entry in node.entries() {
            leaf.insert(entry.to_entry());
        }
        leaf
    }
}
