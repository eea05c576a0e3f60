//! What a change did to the tree, for whoever keeps something derived from it.

use super::leaf::Entry;
use super::record::Record;
use crate::Dot;
use crate::name::{Name, Path};

/// Where a dot lives: a path, or a name under one. Many elements of one set share the path above
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    above: Path,
    name: Option<Name>,
}

impl Place {
    /// The place of a name under a path.
    pub fn under(above: &Path, name: Name) -> Self {
        Self {
            above: above.clone(),
            name: Some(name),
        }
    }

    /// The whole path.
    pub fn path(&self) -> Path {
        match &self.name {
            None => self.above.clone(),
            Some(name) => self.above.iter().chain([name]).cloned().collect(),
        }
    }

    /// Whether it is this very path, and not only one of the same names.
    pub(super) fn is(&self, path: &Path) -> bool {
        self.name.is_none() && alloc::sync::Arc::ptr_eq(&self.above, path)
    }
}

impl Effect {
    /// Where there is something new, be it a dot or a removal.
    pub(super) fn news_at(&self) -> Option<Path> {
        match self {
            Self::Born { at, .. } => Some(at.path()),
            Self::Recorded { path, .. } => Some(path.clone()),
            Self::Died { .. } | Self::Dropped { .. } => None,
        }
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self {
            above: path.clone(),
            name: None,
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
        at: Place,
        /// The dot and what it carries.
        entry: Entry,
    },
    /// A dot died, or the run that it stands for changed.
    Died {
        /// Where.
        at: Place,
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
