//! What transactions tie together of that which a peer lacks.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::kernel::{DotStore, Link, UnitBuilder};
use crdt_core::{Context, Dot, Path};

use crate::range::Range;

/// Most bytes, about, that transactions may tie together in an exchange; beyond it the peer gets a full
/// comparison, which takes effect as one whatever its size. What is tied together is one message: it is
/// held as a whole by both sides, and read and applied in one go. So small that it also stays within
/// [`MAX_ITEMS`](crdt_core::kernel::MAX_ITEMS) paths.
pub const MAX_LINKED: usize = 8 * 1024 * 1024;

/// Something is tied together that is larger than [`MAX_LINKED`], or more than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// How much is looked at, at most, to find what is tied together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Links, and paths of theirs.
    pub(crate) paths: usize,
    /// Events at and under the paths.
    pub(crate) events: usize,
}

impl Effort {
    pub(crate) const ANY: Self = Self {
        paths: usize::MAX,
        events: usize::MAX,
    };

    fn spend(left: &mut usize, spent: usize) -> Result<(), TooLarge> {
        *left = left.checked_sub(spent).ok_or(TooLarge)?;
        Ok(())
    }
}

/// The parts of a key space that can't be sent apart from each other. Each is all that the peer lacks at
/// and under some paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Linked {
    /// Which part each path belongs to; none of them is under another.
    by_path: BTreeMap<Path, usize>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Default)]
struct Part {
    links: Vec<Link>,
    paths: Vec<Path>,
    /// The first event that the peer lacks of it.
    first: Option<Dot>,
    sent: bool,
}

impl Linked {
    /// Those of which a peer with this context lacks anything.
    ///
    /// A transaction of which it lacks one event ties its paths, even if that event is void: what replaced
    /// it stands there or above. Whoever shares a path, or a record above, is tied in turn.
    pub(crate) fn of(store: &DotStore, peer: &Context) -> Result<Self, TooLarge> {
        Self::with(Effort::ANY, store, peer)
    }

    /// As [`of`](Self::of), unless that takes more.
    pub(crate) fn with(
        mut effort: Effort,
        store: &DotStore,
        peer: &Context,
    ) -> Result<Self, TooLarge> {
        let mut links: Vec<&Link> = Vec::new();
        for link in store.links_lacked_by(peer) {
            Effort::spend(&mut effort.paths, 1 + link.paths.len())?;
            links.push(link);
        }
        let mut tied: Vec<(Path, usize)> = Vec::new();
        for (at, link) in links.iter().enumerate() {
            let paths = link.paths.iter();
            tied.extend(paths.map(|path| (below_records(store, path, peer), at)));
        }
        tied.sort_unstable();
        let mut groups = Groups::of(links.len());
        let mut outermost: Vec<(Path, usize)> = Vec::new();
        for (path, link) in tied {
            match outermost.last() {
                Some((above, other)) if path.starts_with(above) => groups.unite(*other, link),
                _ => outermost.push((path, link)),
            }
        }
        for (path, _) in &outermost {
            let most = effort.events.saturating_add(1);
            let place = store.root().get(path).filter(|_| most < usize::MAX);
            let events = place.map_or(0, |place| place.count_up_to(most));
            Effort::spend(&mut effort.events, events)?;
        }
        let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
        for (at, link) in links.into_iter().enumerate() {
            let part = parts.entry(groups.find(at)).or_default();
            part.links.push(link.clone());
        }
        for (path, link) in outermost {
            let part = parts.entry(groups.find(link)).or_default();
            part.paths.push(path);
        }
        let mut parts: Vec<Part> = parts.into_values().collect();
        let by_path = parts.iter().enumerate();
        let by_path =
            by_path.flat_map(|(at, part)| part.paths.iter().map(move |p| (p.clone(), at)));
        let by_path = by_path.collect();
        for part in &mut parts {
            let mut unit = UnitBuilder::new(store, peer);
            part.collect(&mut unit, MAX_LINKED)?;
            let events = unit.finish().events();
            part.first = events.into_iter().find(|dot| !peer.contains(*dot));
        }
        Ok(Self { by_path, parts })
    }

    /// As if all parts were sent but those whose first event is in this range.
    pub(crate) fn within(mut self, range: Range) -> Self {
        for part in &mut self.parts {
            part.sent = !part.first.is_some_and(|first| range.contains(first));
        }
        self
    }

    /// The part that the piece of a path belongs to.
    pub(crate) fn part_of(&self, path: &Path) -> Option<usize> {
        let (above, part) = self.by_path.range::<Path, _>(..=path).next_back()?;
        path.starts_with(above).then_some(*part)
    }

    /// Adds a part to a unit, unless it was sent before.
    pub(crate) fn send(&mut self, part: usize, unit: &mut UnitBuilder<'_>) {
        let part = &mut self.parts[part];
        if !std::mem::replace(&mut part.sent, true) {
            // It was found to be small enough.
            let _ = part.collect(unit, usize::MAX);
        }
    }

    /// The links of which nothing was sent: their events are all void. Who takes over a context has to
    /// know those with an event in it that it lacked.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Link> + '_ {
        let rest = self.parts.iter_mut().filter(|part| !part.sent);
        rest.flat_map(|part| {
            part.sent = true;
            std::mem::take(&mut part.links)
        })
    }
}

impl Part {
    fn collect(&self, unit: &mut UnitBuilder<'_>, most: usize) -> Result<(), TooLarge> {
        for link in &self.links {
            unit.link(link);
            if unit.weight() > most {
                return Err(TooLarge);
            }
        }
        let (store, peer) = (unit.store(), unit.peer());
        for path in &self.paths {
            // A path with dots and records is named more than once.
            let lacking: BTreeSet<Path> = store.lacking_under(path, peer).collect();
            for path in &lacking {
                unit.piece(path);
                if unit.weight() > most {
                    return Err(TooLarge);
                }
            }
        }
        Ok(())
    }
}

/// The topmost path at or above this one where the peer lacks a record: whatever it lacks under that
/// is sent along with the record, and the record tells of this path.
fn below_records(store: &DotStore, path: &Path, peer: &Context) -> Path {
    let lacks = |depth: &usize| {
        let records = store.records_at(&path[..*depth]);
        records.iter().any(|record| !peer.contains(record.dot))
    };
    let depth = (0..path.len()).find(lacks).unwrap_or(path.len());
    path[..depth].into()
}

/// Numbers in disjoint groups.
struct Groups(Vec<usize>);

impl Groups {
    fn of(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn find(&mut self, mut of: usize) -> usize {
        while self.0[of] != of {
            self.0[of] = self.0[self.0[of]];
            of = self.0[of];
        }
        of
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}
