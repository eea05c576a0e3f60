//! What a change did to the tree, for whoever keeps something derived from it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::leaf::{Entry, EntryRef, Value};
use super::record::Record;
use crate::Dot;
use crate::name::{Name, Path};

/// Dots with nothing that became live at names under one path, where nothing was, with one sequence
/// number after the other: many elements that one update inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filling {
    above: Path,
    first: Dot,
    names: Vec<Name>,
}

impl Filling {
    fn is_followed_by(&self, above: &Path, dot: Dot) -> bool {
        let next = self.first.seq + self.names.len() as u64;
        Arc::ptr_eq(&self.above, above) && dot == Dot::new(self.first.replica, next)
    }

    /// Calls `visit` with each dot and its path, in the order of their numbers.
    pub fn visit(&self, mut visit: impl FnMut(&[Name], EntryRef<'_>)) {
        let mut path = Vec::with_capacity(self.above.len() + 1);
        path.extend_from_slice(&self.above);
        for (n, name) in self.names.iter().enumerate() {
            path.truncate(self.above.len());
            path.push(name.clone());
            let dot = Dot::new(self.first.replica, self.first.seq + n as u64);
            visit(&path, EntryRef::unit(dot));
        }
    }

    /// The paths of the dots, in the order of their numbers.
    pub fn births(&self) -> impl DoubleEndedIterator<Item = (Path, Entry)> {
        let Dot { replica, seq } = self.first;
        self.names.iter().enumerate().map(move |(n, name)| {
            let path = self.above.iter().chain([name]).cloned().collect();
            let dot = Dot::new(replica, seq + n as u64);
            let value = Value::Unit;
            (path, Entry { dot, value })
        })
    }
}

impl Effect {
    /// The effect of a dot with nothing that became live at a name where nothing was. Goes into the last
    /// of `effects` if it follows that one.
    pub(super) fn push_filled(effects: &mut Vec<Self>, above: &Path, name: Name, dot: Dot) {
        match effects.last_mut() {
            Some(Self::Filled(filling)) if filling.is_followed_by(above, dot) => {
                filling.names.push(name);
            }
            _ => effects.push(Self::Filled(Filling {
                above: above.clone(),
                first: dot,
                names: alloc::vec![name],
            })),
        }
    }

    /// Where there is something new, be it a dot or a removal.
    pub(super) fn news_at(&self, paths: &mut Vec<Path>) {
        match self {
            Self::Born { at, .. } => paths.push(at.clone()),
            Self::Filled(filling) => paths.extend(filling.births().map(|(path, _)| path)),
            Self::Recorded { path, .. } => paths.push(path.clone()),
            Self::Died { .. } | Self::Dropped { .. } => {}
        }
    }
}

/// One step of a change. An index, a fingerprint or a list of changed keys is kept by following
/// the effects in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A dot became live.
    Born {
        /// Where.
        at: Path,
        /// The dot and what it carries.
        entry: Entry,
    },
    /// Dots with nothing became live, one after the other.
    Filled(Filling),
    /// A dot died, or the run that it stands for changed.
    Died {
        /// Where.
        at: Path,
        /// The dot and what it carried.
        entry: Entry,
    },
    /// A removal record was added.
    Recorded {
        /// Where.
        path: Path,
        /// The event.
        dot: Dot,
    },
    /// A removal record was absorbed by another or forgotten.
    Dropped {
        /// Where.
        path: Path,
        /// What went.
        record: Record,
    },
}
