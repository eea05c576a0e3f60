//! The places under a place: an ordered map from names, copy-on-write, of packed blocks.
//!
//! Cloning is O(1); a write afterwards copies a block and what leads to it. Two that come from one
//! share the blocks that neither has written since, and comparing or joining them passes those over.

use alloc::sync::Arc;
use core::cmp::Ordering;
use core::ops::Bound;

use super::block::{Block, RunChange};
use super::children_builder::ChildrenBuilder;
use super::children_ref::ChildrenRef;
use super::leaf::Run;
use super::node::{Node, NodeRef};
use super::zip::{Pair, Zip, compare};
use crate::cow_map::{self, CowMap};
use crate::name::{Name, SearchKey};
use crate::{Dot, ReplicaId};

/// The places under a place, by name, in order. No empty place is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Children {
    pub(super) blocks: Blocks,
    pub(super) len: usize,
}

/// Each block under a name that is at most its smallest, and above all before it, a short one; the first under
/// the empty name.
#[derive(Clone, Debug, Default)]
pub(super) enum Blocks {
    #[default]
    None,
    One(Arc<Block>),
    Many(CowMap<Name, Arc<Block>>),
}

impl Children {
    pub(super) const fn new() -> Self {
        Self {
            blocks: Blocks::None,
            len: 0,
        }
    }

    /// One place.
    pub(super) fn only(name: &Name, place: NodeRef<'_>) -> Self {
        let mut block = Block::default();
        block.insert_node(0, name.as_bytes(), None, place.to_node());
        Self {
            blocks: Blocks::One(Arc::new(block)),
            len: 1,
        }
    }

    pub(super) fn as_ref(&self) -> ChildrenRef<'_> {
        ChildrenRef::of(self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place of a name. O(log n).
    pub(super) fn get(&self, name: &[u8]) -> Option<NodeRef<'_>> {
        let block = match &self.blocks {
            Blocks::None => return None,
            Blocks::One(block) => block,
            Blocks::Many(blocks) => {
                let key = SearchKey::new(name);
                blocks.floor_by(|first| key.is_at_least(first))?.1
            }
        };
        Some(block.get(block.find(name)?))
    }

    /// The blocks from the one on where a bound is, with the place in that.
    #[allow(clippy::type_complexity)]
    pub(super) fn blocks_from(
        &self,
        from: Bound<&[u8]>,
    ) -> (Option<(&Block, usize)>, BlockIter<'_>) {
        let (Bound::Included(name) | Bound::Excluded(name)) = from else {
            return (None, self.blocks());
        };
        let mut blocks = match &self.blocks {
            Blocks::Many(many) => {
                let key = SearchKey::new(name);
                let first = many
                    .floor_by(|first| key.is_at_least(first))
                    .map(|(first, _)| first);
                let first =
                    first.map_or(Bound::Unbounded, |first| Bound::Included(first.as_bytes()));
                BlockIter::Many(many.iter_from(first))
            }
            _ => self.blocks(),
        };
        let here = blocks.next().map(|block| {
            let at = match block.search(name) {
                Ok(at) => at + usize::from(matches!(from, Bound::Excluded(_))),
                Err(at) => at,
            };
            (&**block, at)
        });
        (here, blocks)
    }

    /// The last place.
    pub(super) fn last(&self) -> Option<(&[u8], NodeRef<'_>)> {
        let block = match &self.blocks {
            Blocks::None => return None,
            Blocks::One(block) => block,
            Blocks::Many(blocks) => blocks.last()?.1,
        };
        let at = block.len().checked_sub(1)?;
        Some((block.name(at), block.get(at)))
    }

    pub(super) fn blocks(&self) -> BlockIter<'_> {
        match &self.blocks {
            Blocks::None => BlockIter::One(None),
            Blocks::One(block) => BlockIter::One(Some(block)),
            Blocks::Many(blocks) => BlockIter::Many(blocks.iter()),
        }
    }

    /// The block that a name belongs into.
    fn block_mut(&mut self, name: &Name) -> &mut Block {
        if let Blocks::None = self.blocks {
            self.blocks = Blocks::One(Arc::default());
        }
        let block = match &mut self.blocks {
            Blocks::None => None,
            Blocks::One(block) => Some(block),
            Blocks::Many(blocks) => {
                let key = SearchKey::new(name.as_bytes());
                blocks.floor_mut_by(|first| key.is_at_least(first))
            }
        };
        match block {
            Some(block) => Arc::make_mut(block),
            None => unreachable!("the first block is under the empty name"),
        }
    }

    /// Puts a dot with nothing at a name where nothing is. Returns whether it did.
    pub(super) fn fill(&mut self, name: &Name, dot: Dot) -> bool {
        let block = self.block_mut(name);
        let Err(at) = block.search(name.as_bytes()) else {
            return false;
        };
        block.insert_unit(at, name.as_bytes(), dot);
        let too_full = block.is_too_full();
        self.len += 1;
        if too_full {
            self.split(name, at);
        }
        true
    }

    /// Changes the place at a path under that of a name, from empty if there is none; takes away what is
    /// empty afterwards.
    pub(super) fn change<T>(
        &mut self,
        name: &Name,
        path: &[Name],
        change: impl FnOnce(&mut Node) -> T,
    ) -> T {
        let block = self.block_mut(name);
        let before = block.len();
        let (at, out) = block.change(name, path, change);
        let (after, too_full) = (block.len(), block.is_too_full());
        self.len = self.len + after - before;
        if self.len == 0 {
            self.blocks = Blocks::None;
            return out;
        }
        if too_full {
            self.split(name, at);
        } else if after < before {
            self.shrink(name);
        }
        out
    }

    /// Changes the run of a replica under a name; see [`Block::change_run`].
    pub(super) fn change_run(
        &mut self,
        name: &Name,
        path: &[Name],
        replica: ReplicaId,
        change: impl FnOnce(Dot, Run) -> (Dot, Run),
    ) -> RunChange {
        if self.is_empty() {
            return RunChange::NoRun;
        }
        self.block_mut(name).change_run(name, path, replica, change)
    }

    fn split(&mut self, name: &Name, inserted: usize) {
        match &mut self.blocks {
            Blocks::None => {}
            Blocks::One(block) => {
                let right = Arc::make_mut(block).split(inserted);
                let second = (right.bound_behind(block), Arc::new(right));
                let first = (Name::new(&[]), Arc::clone(block));
                self.blocks = Blocks::Many([first, second].into_iter().collect());
            }
            Blocks::Many(blocks) => {
                let key = SearchKey::new(name.as_bytes());
                if let Some(block) = blocks.floor_mut_by(|first| key.is_at_least(first)) {
                    let right = Arc::make_mut(block).split(inserted);
                    let bound = right.bound_behind(block);
                    blocks.insert(bound, Arc::new(right));
                }
            }
        }
    }

    /// After a removal: an empty block goes, a sparse one takes in the next one if both fit.
    fn shrink(&mut self, name: &Name) {
        let Blocks::Many(blocks) = &mut self.blocks else {
            if self.len == 0 {
                self.blocks = Blocks::None;
            }
            return;
        };
        let key = SearchKey::new(name.as_bytes());
        let Some((first, block)) = blocks.floor_by(|first| key.is_at_least(first)) else {
            return;
        };
        let first = first.clone();
        if block.len() == 0 {
            blocks.remove(first.as_bytes());
            if first.is_empty()
                && let Some((next, block)) = blocks.iter().next()
            {
                let (next, block) = (next.clone(), Arc::clone(block));
                blocks.remove(next.as_bytes());
                blocks.insert(first, block);
            }
        } else if block.len() < super::block::CAPACITY / 4 {
            let mut behind = blocks.iter_from(Bound::Excluded(first.as_bytes()));
            let next = behind
                .next()
                .filter(|(_, next)| block.has_room_for(next))
                .map(|(second, next)| (second.clone(), Arc::clone(next)));
            if let Some((second, next)) = next {
                blocks.remove(second.as_bytes());
                if let Some(block) = blocks.get_mut(first.as_bytes()) {
                    let block = Arc::make_mut(block);
                    (0..next.len()).for_each(|at| block.push_from(&next, at));
                }
            }
        }
        if blocks.len() <= 1 {
            let last = blocks.iter().next().map(|(_, block)| Arc::clone(block));
            self.blocks = last.map_or(Blocks::None, Blocks::One);
        }
    }

    /// Both in one, with `judge` saying what becomes of each place. Blocks that both share are taken
    /// as they are.
    pub(super) fn join(&self, other: &Self, judge: &mut impl Judge) -> Self {
        let mut out = ChildrenBuilder::default();
        let mut zip = Zip::new(self, other);
        loop {
            if let Some((a, b)) = zip.plain() {
                let (at, bt) = join_plain(a, b, judge, &mut out);
                zip.go_on(at, bt);
                continue;
            }
            let Some(pair) = zip.next() else { break };
            match pair {
                Pair::Shared(block) => out.push_block(block),
                Pair::Left(block) if judge.left_block(block) => out.push_block(block),
                Pair::Left(block) => {
                    (0..block.len()).for_each(|at| out.push(block, at, judge.left(block.get(at))));
                }
                Pair::Right(block) if judge.right_block(block) => out.push_block(block),
                Pair::Right(block) => {
                    (0..block.len()).for_each(|at| out.push(block, at, judge.right(block.get(at))));
                }
                Pair::LeftPlace(block, at) => out.push(block, at, judge.left(block.get(at))),
                Pair::RightPlace(block, at) => out.push(block, at, judge.right(block.get(at))),
                Pair::Both((a, at), (b, bt)) => match judge.both(a.get(at), b.get(bt)) {
                    Fate::Yields => out.push(b, bt, Fate::Stays),
                    fate => out.push(a, at, fate),
                },
            }
        }
        out.finish()
    }
}

/// Joins two blocks, each from a place on, up to where one of them ends. Returns how far it came.
/// Most sets have no others: what is general in `Judge` costs as much again.
fn join_plain(
    (a, mut at): (&Block, usize),
    (b, mut bt): (&Block, usize),
    judge: &mut impl Judge,
    out: &mut ChildrenBuilder,
) -> (usize, usize) {
    while at < a.len() && bt < b.len() {
        let (left, right) = (a.name(at), b.name(bt));
        let order = compare(left, right);
        match order {
            Ordering::Less => {
                let dot = a.dot(at);
                if judge.keeps_left(dot) {
                    out.push_unit(left, dot);
                }
            }
            Ordering::Greater => {
                let dot = b.dot(bt);
                if judge.keeps_right(dot) {
                    out.push_unit(right, dot);
                }
            }
            Ordering::Equal => {
                let (x, y) = (a.dot(at), b.dot(bt));
                let (stays, comes) = (
                    x == y || judge.keeps_left(x),
                    x != y && judge.keeps_right(y),
                );
                match (stays, comes) {
                    (true, true) => out.push_pair(left, x.min(y), x.max(y)),
                    (true, false) => out.push_unit(left, x),
                    (false, true) => out.push_unit(left, y),
                    (false, false) => {}
                }
            }
        }
        at += usize::from(order.is_le());
        bt += usize::from(order.is_ge());
    }
    (at, bt)
}

/// Says what becomes of places in a join of two sides.
pub(super) trait Judge {
    /// Whether a dot stays that is live on the left side and not on the right.
    fn keeps_left(&mut self, dot: Dot) -> bool;
    fn keeps_right(&mut self, dot: Dot) -> bool;
    /// Whether all of a block that the left side has alone stays. If not, its places are asked for.
    fn left_block(&mut self, block: &Block) -> bool;
    fn right_block(&mut self, block: &Block) -> bool;
    /// A place that the left side has alone.
    fn left(&mut self, place: NodeRef<'_>) -> Fate;
    fn right(&mut self, place: NodeRef<'_>) -> Fate;
    fn both(&mut self, left: NodeRef<'_>, right: NodeRef<'_>) -> Fate;
}

/// What becomes of a place in a join.
pub(super) enum Fate {
    Stays,
    /// The right one stays.
    Yields,
    Goes,
    /// Two dots with nothing, in order.
    Both(Dot, Dot),
    Becomes(Node),
}

/// Blocks in order.
pub(super) enum BlockIter<'a> {
    One(Option<&'a Arc<Block>>),
    Many(cow_map::Iter<'a, Name, Arc<Block>>),
}

impl<'a> Iterator for BlockIter<'a> {
    type Item = &'a Arc<Block>;

    fn next(&mut self) -> Option<&'a Arc<Block>> {
        match self {
            Self::One(block) => block.take(),
            Self::Many(blocks) => blocks.next().map(|(_, block)| block),
        }
    }
}

impl PartialEq for Children {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Children {}
