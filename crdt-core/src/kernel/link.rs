//! Links: which events at several places belong together, because one transaction made them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::name::Path;
use crate::seqs::Seqs;
use crate::{Context, Dot, ReplicaId};

/// Most paths of a link. A transaction at more places names what is above them; see [`Link::paths`].
pub const MAX_LINK_PATHS: usize = 256;

/// The events of a transaction at several places, and where they act.
///
/// Kept beside the removal records, and sent along with the pieces at its paths: whoever lacks one of
/// the events is sent what there is at all of the paths as one unit. It says nothing about which events
/// were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who made the events.
    pub replica: ReplicaId,
    /// The first of their sequence numbers, which are contiguous.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// What the events act on is at or under these paths. Ascending, none under another, at least one
    /// (what is above all others) and at most [`MAX_LINK_PATHS`].
    pub paths: Arc<[Path]>,
}

/// The events are at more keys than a link may have paths; so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyKeys(pub(super) usize);

impl Link {
    /// The link of the events `first..=last` at these paths, the first component of each being a key.
    /// `None` if they are all at one path: what there is at a path is shown whole anyway.
    pub(super) fn of(
        replica: ReplicaId,
        (first, last): (u64, u64),
        mut paths: Vec<Path>,
    ) -> Result<Option<Self>, TooManyKeys> {
        paths.sort_unstable();
        paths.dedup();
        let several = paths.len() > 1;
        outermost(&mut paths);
        let keys = paths.chunk_by(|a, b| a.first() == b.first()).count();
        if keys > MAX_LINK_PATHS {
            return Err(TooManyKeys(keys));
        }
        while paths.len() > MAX_LINK_PATHS {
            let depth = paths.iter().map(|path| path.len()).max().unwrap_or(0);
            for path in paths.iter_mut().filter(|path| path.len() == depth) {
                *path = path[..depth - 1].into();
            }
            outermost(&mut paths);
        }
        let paths = paths.into();
        Ok(several.then_some(Self {
            replica,
            first,
            last,
            paths,
        }))
    }

    /// Whether all of the events were seen.
    pub fn is_in(&self, context: &Context) -> bool {
        let seqs = context.get(self.replica);
        seqs.is_some_and(|seqs| seqs.next_missing(self.first) > self.last)
    }

    /// Whether there is one of the events that `mine` has and `theirs` lacks.
    pub fn is_news(&self, mine: &Context, theirs: &Context) -> bool {
        let none = Seqs::default();
        let theirs = theirs.get(self.replica).unwrap_or(&none);
        let mine = mine.get(self.replica).into_iter();
        let mut news = mine.flat_map(|mine| mine.without(theirs));
        news.any(|(first, last)| first <= self.last && self.first <= last)
    }

    /// The last of the events, by which a link is known.
    pub fn end(&self) -> Dot {
        Dot::new(self.replica, self.last)
    }
}

/// Sorts paths, and leaves out those under another.
fn outermost(paths: &mut Vec<Path>) {
    paths.sort_unstable();
    paths.dedup_by(|later, earlier| later.starts_with(earlier));
}
