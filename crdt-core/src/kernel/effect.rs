//! What a change did to the tree, for whoever keeps something derived from it.

use super::leaf::Entry;
use crate::Dot;
use crate::name::Path;

/// One step of a change. An index, a fingerprint or a list of changed keys is kept by following
/// the effects in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A dot became live.
    Born {
        /// Where.
        path: Path,
        /// The dot and what it carries.
        entry: Entry,
    },
    /// A dot died, or the run that it stands for changed.
    Died {
        /// Where.
        path: Path,
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
        /// The event.
        dot: Dot,
    },
}
