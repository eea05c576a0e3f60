//! Builds a map of children from places in order.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::block::{Block, FILLED};
use super::children::{Blocks, Children, Fate};
use super::node::Node;
use crate::Dot;
use crate::cow_map::CowMap;
use crate::name::Name;

/// Builds from places in order.
#[derive(Default)]
pub(super) struct ChildrenBuilder {
    blocks: Vec<(Name, Arc<Block>)>,
    current: Block,
    len: usize,
}

impl ChildrenBuilder {
    pub(super) fn push(&mut self, block: &Block, at: usize, fate: Fate) {
        match fate {
            Fate::Stays | Fate::Yields => {
                self.current.push_from(block, at);
                self.pushed();
            }
            Fate::Both(one, other) => self.push_pair(block.name(at), one, other),
            Fate::Becomes(node) if !node.is_empty() => self.push_node(block.name(at), node),
            Fate::Goes | Fate::Becomes(_) => {}
        }
    }

    /// Appends a place that holds one dot with nothing.
    pub(super) fn push_unit(&mut self, name: &[u8], dot: Dot) {
        self.current.push(name, dot);
        self.pushed();
    }

    /// Appends a place that holds two dots with nothing, in order.
    pub(super) fn push_pair(&mut self, name: &[u8], first: Dot, second: Dot) {
        self.current.push_pair(name, first, second);
        self.pushed();
    }

    /// Appends a place that is not empty.
    pub(super) fn push_node(&mut self, name: &[u8], node: Node) {
        let end = self.current.len();
        self.current.insert_node(end, name, None, node);
        self.pushed();
    }

    fn pushed(&mut self) {
        self.len += 1;
        if self.current.len() >= FILLED || self.current.is_too_full() {
            self.close();
        }
    }

    pub(super) fn push_block(&mut self, block: &Arc<Block>) {
        if self.current.len() > 0 && self.current.has_room_for(block) {
            (0..block.len()).for_each(|at| self.current.push_from(block, at));
        } else {
            self.close();
            self.append(Arc::clone(block));
        }
        self.len += block.len();
    }

    fn close(&mut self) {
        if self.current.len() > 0 {
            let mut block = core::mem::take(&mut self.current);
            block.shrink();
            self.append(Arc::new(block));
        }
    }

    fn append(&mut self, block: Arc<Block>) {
        let bound = match self.blocks.last() {
            None => Name::new(&[]),
            Some((_, before)) => block.bound_behind(before),
        };
        self.blocks.push((bound, block));
    }

    pub(super) fn finish(mut self) -> Children {
        self.close();
        let blocks = match self.blocks.len() {
            0 => Blocks::None,
            1 => self
                .blocks
                .pop()
                .map_or(Blocks::None, |(_, only)| Blocks::One(only)),
            _ => Blocks::Many(CowMap::from_sorted(self.blocks)),
        };
        Children {
            blocks,
            len: self.len,
        }
    }
}
