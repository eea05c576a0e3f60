//! Builds a tree from leaves in the order of their paths.

use alloc::vec::Vec;

use super::children_builder::ChildrenBuilder;
use super::group_codec::Group;
use super::leaf::{Entry, Leaf, Value};
use super::node::Node;
use super::unit_reader::Leaves;
use crate::codec::DecodeError;
use crate::name::{Name, Path};
use crate::{Context, Dot};

/// A tree under way: the places from the root down to the last leaf are open.
pub(super) struct TreeBuilder<'c> {
    context: &'c Context,
    root: Open,
    /// Each under the one before.
    below: Vec<(Name, Open)>,
}

#[derive(Default)]
struct Open {
    leaf: Leaf,
    children: ChildrenBuilder,
}

impl Open {
    fn close(self) -> Node {
        Node {
            leaf: self.leaf,
            children: self.children.finish(),
        }
    }
}

impl<'c> TreeBuilder<'c> {
    /// A tree of dots that this context must have.
    pub(super) fn under(context: &'c Context) -> Self {
        Self {
            context,
            root: Open::default(),
            below: Vec::new(),
        }
    }

    pub(super) fn finish(mut self) -> Node {
        self.close_to(0);
        self.root.close()
    }

    fn close_to(&mut self, depth: usize) {
        while self.below.len() > depth {
            if let Some((name, open)) = self.below.pop() {
                self.last()
                    .children
                    .push_node(name.as_bytes(), open.close());
            }
        }
    }

    fn last(&mut self) -> &mut Open {
        self.below
            .last_mut()
            .map_or(&mut self.root, |(_, open)| open)
    }

    /// Opens the place at a path.
    fn open(&mut self, path: &[Name]) -> &mut Open {
        let both = self.below.iter().zip(path);
        let shared = both.take_while(|((open, _), name)| open == *name).count();
        self.close_to(shared);
        for name in &path[shared..] {
            self.below.push((name.clone(), Open::default()));
        }
        self.last()
    }

    fn check(&self, dot: Dot) -> Result<(), DecodeError> {
        if self.context.contains(dot) {
            Ok(())
        } else {
            Err(DecodeError::Invalid("a live dot outside of the context"))
        }
    }
}

impl Leaves for TreeBuilder<'_> {
    fn leaf(&mut self, path: Path, entries: Vec<Entry>) -> Result<(), DecodeError> {
        entries.iter().try_for_each(|entry| self.check(entry.dot))?;
        let runs = || entries.iter().filter(|e| matches!(e.value, Value::Run(_)));
        let owners = || runs().map(|entry| entry.dot.replica);
        if owners()
            .zip(owners().skip(1))
            .any(|(one, next)| one == next)
        {
            return Err(DecodeError::Invalid("two runs of one replica"));
        }
        self.open(&path).leaf = Leaf::from_sorted(entries);
        Ok(())
    }

    fn group(&mut self, above: &[Name], group: &Group) -> Result<(), DecodeError> {
        for at in 0..group.len() {
            let (name, dot) = group.member(at);
            self.check(dot)?;
            if at == 0 {
                self.open(above);
            }
            if at + 1 < group.len() {
                self.last().children.push_unit(name, dot);
                continue;
            }
            // Places under the last one may follow.
            let value = Value::Unit;
            let open = Open {
                leaf: Leaf::from_sorted(alloc::vec![Entry { dot, value }]),
                ..Open::default()
            };
            self.below.push((Name::new(name), open));
        }
        Ok(())
    }
}
