//! What updates changed, apart from the value: how it is put together, cut into pieces and sent.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use crate::causal::{LoadError, check_header, header};
use crate::codec::DecodeError;
use crate::kernel::{Committed, DotStore, Entry, Record, Unit};
use crate::limits::Limits;
use crate::name::{Name, Path};
use crate::types::Crdt;
use crate::version_vector::VersionVector;
use crate::{Context, Dot};

/// What one or more updates changed: for a replica that has all but them, much smaller than the
/// value. Deltas may be applied in any order and more than once.
///
/// The delta of an update is put together when it is first looked at. Until then it shares the
/// value as it was after the update, so one that is dropped costs nothing.
pub struct Delta<T> {
    source: Source,
    value: PhantomData<T>,
}

#[derive(Clone)]
enum Source {
    Parts(Parts),
    /// The value after an update, and what that did.
    Update(DotStore, Committed<()>),
}

#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) unit: Unit,
    /// What the receiver has to have: nothing of it comes along, not even the records of what was
    /// removed.
    pub(crate) needs: Context,
    /// The events that the receiver then has, those too that others of them have made void.
    pub(crate) brings: Context,
    /// What the sender had forgotten: whoever has a removal must know what its maker, or whoever
    /// passed it on, had forgotten by then.
    pub(crate) floor: VersionVector,
}

impl<T> Delta<T> {
    pub(crate) fn of(parts: Parts) -> Self {
        Self {
            source: Source::Parts(parts),
            value: PhantomData,
        }
    }

    /// Of an update, after which the value is `store`.
    pub(crate) fn of_update(store: DotStore, done: Committed<()>) -> Self {
        Self {
            source: Source::Update(store, done),
            value: PhantomData,
        }
    }

    pub(crate) fn parts(&self) -> Cow<'_, Parts> {
        match &self.source {
            Source::Parts(parts) => Cow::Borrowed(parts),
            Source::Update(store, done) => Cow::Owned(Parts {
                unit: store.delta_of(done),
                needs: store.below_floor(),
                brings: store.context().difference(&done.base),
                floor: store.floor().clone(),
            }),
        }
    }
}

impl<T: Crdt> Delta<T> {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        match &self.source {
            Source::Parts(parts) => parts.unit.is_empty() && parts.brings.is_empty(),
            Source::Update(store, done) => *store.context() == done.base,
        }
    }

    /// The delta in pieces, for sending a large one a little at a time: one for each path that it says
    /// something about, with the removal records above that path, and a last one that claims the
    /// events of which nothing is left.
    ///
    /// This is the join decomposition of Enes, Almeida, Baquero and Leitão, *Efficient
    /// Synchronization of State-based CRDTs* (2019). Pieces may be applied in any order and more than
    /// once, and all of them together come to the same as the delta. The last one is refused as
    /// [`Behind`](crate::Behind) until the others are there. A piece is decomposed into itself.
    ///
    /// ```
    /// use crdt_core::{Causal, Context, Delta, OrSet, ReplicaId};
    ///
    /// let mut ann = Causal::<OrSet<u32>>::new(ReplicaId::new(1, 1));
    /// let mut bob = Causal::<OrSet<u32>>::new(ReplicaId::new(2, 1));
    /// ann.update(|set| (0..100).for_each(|n| drop(set.insert(&n))))?;
    /// ann.update(|set| (0..10).for_each(|n| drop(set.remove(&n))))?;
    ///
    /// let delta = ann.delta_since(bob.context())?;
    /// let mut waiting: Vec<Delta<_>> = delta.decompose();
    /// assert_eq!(waiting.len(), 101); // 90 elements, 10 removals, and what these removed
    /// while !waiting.is_empty() {
    ///     waiting.retain(|piece| bob.apply(piece).is_err());
    /// }
    /// assert_eq!(bob.view().len(), 90);
    /// assert_eq!(bob.context(), ann.context());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decompose(&self) -> Vec<Self> {
        let Parts {
            unit,
            needs,
            brings,
            floor,
        } = self.parts().into_owned();
        let claims = |unit: &Unit| {
            let mut claims = Context::new();
            for dot in unit.dots().filter(|dot| brings.contains(*dot)) {
                claims.insert(dot);
            }
            claims
        };
        let piece = |unit: Unit| {
            Self::of(Parts {
                brings: claims(&unit),
                needs: needs.clone(),
                floor: floor.clone(),
                unit,
            })
        };
        let mut pieces: Vec<Self> = pieces(&unit).into_iter().map(piece).collect();
        let claimed = claims(&unit);
        let left = brings.difference(&claimed);
        if !left.is_empty() {
            // An event is void because of others: without these, what it replaced would be back.
            let mut needs = needs.clone();
            needs.union(&claimed);
            pieces.push(Self::of(Parts {
                unit: Unit::default(),
                needs,
                brings: left,
                floor,
            }));
        }
        pieces
    }

    /// The delta as bytes. O(what the update changed).
    pub fn encode(&self) -> Vec<u8> {
        let parts = self.parts();
        let mut w = header::<T>();
        parts.needs.encode(&mut w);
        parts.brings.encode(&mut w);
        parts.floor.encode(&mut w);
        parts.unit.encode(&mut w);
        w.finish()
    }

    /// A delta from the bytes of [`encode`](Self::encode).
    ///
    /// # Errors
    ///
    /// [`LoadError`] says what is wrong with the bytes.
    pub fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut r = check_header::<T>(bytes)?;
        let needs = Context::decode(&mut r)?;
        let brings = Context::decode(&mut r)?;
        let floor = VersionVector::decode(&mut r)?;
        let unit = Unit::decode(&mut r, &Limits::default())?;
        r.finish()?;
        if !unit.links.is_empty() {
            return Err(DecodeError::Invalid("a transaction within one value").into());
        }
        Ok(Self::of(Parts {
            unit,
            needs,
            brings,
            floor,
        }))
    }
}

/// What a unit says about each path, together with the records above it. A path about which it has
/// records alone goes along with those below it, if there are any.
fn pieces(unit: &Unit) -> Vec<Unit> {
    let records: BTreeSet<&[Name]> = unit.records.iter().map(|(path, _)| &**path).collect();
    let adds = unit.adds.iter().map(|(path, _)| path);
    let paths: BTreeSet<&Path> = adds
        .chain(unit.records.iter().map(|(path, _)| path))
        .collect();
    let mut rest = paths.into_iter().peekable();
    let mut pieces = Vec::new();
    while let Some(path) = rest.next() {
        let own = adds_at(unit, path);
        let below = rest.peek().is_some_and(|next| next.starts_with(path));
        if below && own.iter().all(|entry| has_record(unit, path, entry.dot)) {
            continue;
        }
        let mut piece = Unit::default();
        let depths = if records.is_empty() { 0 } else { path.len() };
        for above in (0..depths).map(|depth| &path[..depth]) {
            if !records.contains(above) {
                continue;
            }
            piece.records.extend_from_slice(records_at(unit, above));
            // An event that wrote there has left a dot beside its record.
            let written = adds_at(unit, above).iter();
            let written = written.filter(|entry| has_record(unit, above, entry.dot));
            let written: Vec<Entry> = written.cloned().collect();
            if !written.is_empty() {
                piece.adds.push((above.into(), written));
            }
        }
        piece.records.extend_from_slice(records_at(unit, path));
        if !own.is_empty() {
            piece.adds.push((path.clone(), own.to_vec()));
        }
        pieces.push(piece);
    }
    pieces
}

fn records_at<'u>(unit: &'u Unit, path: &[Name]) -> &'u [(Path, Record)] {
    let first = unit.records.partition_point(|(at, _)| **at < *path);
    let behind = unit.records.partition_point(|(at, _)| **at <= *path);
    &unit.records[first..behind]
}

fn adds_at<'u>(unit: &'u Unit, path: &[Name]) -> &'u [Entry] {
    let at = unit.adds.binary_search_by(|(at, _)| (**at).cmp(path));
    at.map_or(&[], |at| &unit.adds[at].1)
}

fn has_record(unit: &Unit, path: &[Name], dot: Dot) -> bool {
    records_at(unit, path).iter().any(|(_, r)| r.dot == dot)
}

impl<T> Clone for Delta<T> {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Delta<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        f.debug_struct("Delta")
            .field("unit", &parts.unit)
            .field("needs", &parts.needs)
            .field("brings", &parts.brings)
            .finish()
    }
}
