//! A single replicated value for use without a store: value, context and replica id in one.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use crate::codec::{DecodeError, Reader, Writer};
use crate::delta::{Delta, Parts};
use crate::kernel::{DotStore, EditError, Record, UnitBuilder};
use crate::limits::Limits;
use crate::shape::Shape;
use crate::types::Crdt;
use crate::version_vector::VersionVector;
use crate::{Context, Dot, ReplicaId, Timestamp};

/// Removal records that a value keeps at most. Beyond it, those that its own context covers are
/// forgotten; a delta then no longer helps a replica that lacks them, and whole values do. Records
/// that took increments of other replicas away stay until [`Causal::forget`].
pub const MAX_RECORDS: usize = 1024;

const FORMAT: u8 = 1;

/// A replicated value of type `T` at one replica.
///
/// It can be neither cloned nor deserialized, because both would make two replicas that mint the
/// same dots: [`fork`](Self::fork) and [`load`](Self::load) ask for a new id.
pub struct Causal<T> {
    store: DotStore,
    replica: ReplicaId,
    clock: Timestamp,
    limits: Limits,
    value: PhantomData<T>,
}

/// The outcome of an update.
#[derive(Debug)]
pub struct Updated<R, T> {
    /// What the closure returned.
    pub value: R,
    /// What it changed.
    pub delta: Delta<T>,
}

/// A delta is not enough: it leaves out events that this replica lacks, because their removals were
/// forgotten or because it was made for a replica that has them. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the delta leaves out events that are missing here: merge the sender's whole value instead"
)]
pub struct Behind;

/// A replica id that two use, or that wrote to a value before. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "replica id {0} wrote to this value elsewhere: each takes the other's events for its own, so take a new id"
)]
pub struct UsedId(pub ReplicaId);

/// Why a delta was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// It is not enough.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// It has events of this replica's id that this replica did not make.
    #[error(transparent)]
    UsedId(#[from] UsedId),
}

/// Bytes that can't be loaded as the value or delta that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are damaged, or not made by this library.
    #[error("damaged: {0}")]
    Decode(#[from] DecodeError),
    /// They were written by a later version.
    #[error("format {0} is not known: it was written by a later version")]
    Format(u8),
    /// They are a value of another type.
    #[error("it holds another type of value than the one asked for")]
    Shape,
    /// The id was used before by somebody who wrote to this value.
    #[error(transparent)]
    UsedId(#[from] UsedId),
}

impl<T: Crdt> Causal<T> {
    /// An empty value at `replica`, an id that nobody else uses or used.
    pub fn new(replica: ReplicaId) -> Self {
        Self::with(DotStore::new(), replica, Timestamp::ZERO)
    }

    fn with(store: DotStore, replica: ReplicaId, clock: Timestamp) -> Self {
        Self {
            store,
            replica,
            clock,
            limits: Limits::default(),
            value: PhantomData,
        }
    }

    /// The id of this replica.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The events that this replica has seen. Equal contexts mean equal values.
    pub fn context(&self) -> &Context {
        self.store.context()
    }

    /// The value.
    pub fn view(&self) -> T::View<'_> {
        let root = self.store.root();
        T::view((!root.is_empty()).then(|| root.as_ref()))
    }

    /// Changes the value. Timestamps, where the type has any, count updates; see
    /// [`update_at`](Self::update_at) for real ones.
    ///
    /// # Errors
    ///
    /// [`EditError`] if a limit is passed; nothing was changed then, nor if the closure panics.
    pub fn update<R>(
        &mut self,
        update: impl FnOnce(&mut T::Edit<'_>) -> R,
    ) -> Result<Updated<R, T>, EditError> {
        self.update_at(self.clock.next(), update)
    }

    /// Changes the value at a reading of a clock, which orders concurrent writes of the
    /// last-writer-wins types.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub fn update_at<R>(
        &mut self,
        clock: Timestamp,
        update: impl FnOnce(&mut T::Edit<'_>) -> R,
    ) -> Result<Updated<R, T>, EditError> {
        let done = self
            .store
            .transact(self.replica, clock, self.limits, |tx| {
                Ok::<_, EditError>(update(&mut T::edit(tx.at(&[]))))
            })?;
        self.clock = self.clock.max(clock);
        let (value, done) = done.split();
        let delta = Delta::of_update(self.store.clone(), done);
        if self.store.record_count() > MAX_RECORDS {
            let replica = self.replica;
            let own = |record: &Record| record.cuts.keys().all(|key| key.replica == replica);
            self.store
                .forget(|_, _, record| own(record), &mut Vec::new());
        }
        Ok(Updated { value, delta })
    }

    /// Takes in everything that another replica of the value has seen.
    ///
    /// Values whose histories have nothing in common are united like any others, as if both had begun
    /// as one empty value.
    ///
    /// # Errors
    ///
    /// [`UsedId`] if somebody else wrote under this replica's id, as far as that can be seen from here:
    /// `other` has the same id and either of the two has written, or it knows events of it that this one
    /// did not make. (A value that is loaded only to be merged gets an id of its own, too.) What goes
    /// wrong unnoticed is
    /// one id at two others: events are known by replica and number alone, so each of those takes
    /// the other's events for its own, and what they did is lost. [How to choose
    /// ids](crate#replica-ids).
    pub fn merge(&mut self, other: &Self) -> Result<(), UsedId> {
        let one_id = self.replica == other.replica;
        if one_id && [self, other].iter().any(|of| of.knows(self.replica)) {
            return Err(UsedId(self.replica));
        }
        if other.context().is_subset(self.context()) {
            return Ok(());
        }
        let records = other.store.records().map(|(_, record)| record);
        self.check_own(other.context().max(self.replica), records)?;
        self.store.join(&other.store);
        self.clock = self.clock.max(other.clock);
        Ok(())
    }

    /// Whether there is an event of this id, or a removal that saw one.
    fn knows(&self, replica: ReplicaId) -> bool {
        let mut records = self.store.records();
        self.context().get(replica).is_some()
            || records.any(|(_, record)| newest_seen(record, replica) > 0)
    }

    /// Whoever knows more events of this replica's id than this replica does has them from another.
    fn check_own<'r>(
        &self,
        newest: u64,
        records: impl Iterator<Item = &'r Record>,
    ) -> Result<(), UsedId> {
        let newest = records.fold(newest, |newest, record| {
            newest.max(newest_seen(record, self.replica))
        });
        if newest > self.context().max(self.replica) {
            return Err(UsedId(self.replica));
        }
        Ok(())
    }

    /// Takes in a delta.
    ///
    /// # Errors
    ///
    /// [`Behind`] if the sender has forgotten removals that this replica lacks, or if the delta was
    /// made by [`delta_since`](Self::delta_since) for a replica that has events which this one lacks.
    /// [`UsedId`] if it brings events of this replica's id that this one did not make.
    pub fn apply(&mut self, delta: &Delta<T>) -> Result<(), ApplyError> {
        let parts = delta.parts();
        let own = self.replica;
        let dots = parts.unit.dots().filter(|dot| dot.replica == own);
        let newest = [&parts.brings, &parts.needs].map(|events| events.max(own));
        let newest = dots.map(|dot| dot.seq).chain(newest).max();
        let records = parts.unit.records.iter().map(|(_, record)| record);
        self.check_own(newest.unwrap_or(0), records)?;
        if !parts.needs.is_subset(self.context()) {
            return Err(Behind.into());
        }
        self.store.apply(&parts.unit, &mut Vec::new());
        self.store.take_over(&parts.brings, &parts.floor);
        Ok(())
    }

    /// What a replica with this context, or more, lacks, as one delta. O(size of the value).
    ///
    /// # Errors
    ///
    /// [`Behind`] if it lacks removals that were forgotten here.
    pub fn delta_since(&self, context: &Context) -> Result<Delta<T>, Behind> {
        if self.store.is_behind_floor(context) {
            return Err(Behind);
        }
        let mut paths = Vec::new();
        self.store
            .root()
            .visit(&mut Vec::new(), &mut |path, entry| {
                if !context.contains(entry.dot) {
                    paths.push(path.into());
                }
            });
        paths.extend(self.store.records().map(|(path, _)| path.clone()));
        paths.sort_unstable();
        paths.dedup();
        let mut unit = UnitBuilder::new(&self.store, context);
        for path in &paths {
            unit.piece(path);
        }
        Ok(Delta::of(Parts {
            unit: unit.finish(),
            needs: context.clone(),
            brings: self.context().difference(context),
            floor: self.store.floor().clone(),
        }))
    }

    /// Forgets the records of removals that all replicas have seen, `others` being the contexts of
    /// all other replicas. Saves memory; a replica that was left out catches up by
    /// [`merge`](Self::merge) alone. Returns how many went.
    ///
    /// The record of a counter's removal stays until this replica has everything that those whose
    /// increments it took away had made when they stated their contexts: an increment made before
    /// its maker saw the removal, and arriving after the record went, would bring the old total back.
    pub fn forget<'c>(&mut self, others: impl IntoIterator<Item = &'c Context>) -> usize {
        let others: Vec<&Context> = others.into_iter().collect();
        let stable = |mine: &Context, record: &Record| {
            let has_all_of = |origin| {
                let mine = mine.restrict([origin]);
                let all = |theirs: &&Context| theirs.restrict([origin]).is_subset(&mine);
                others.iter().all(all)
            };
            others.iter().all(|theirs| theirs.contains(record.dot))
                && record.cuts.keys().all(|key| has_all_of(key.replica))
        };
        self.store
            .forget(|mine, _, record| stable(mine, record), &mut Vec::new())
    }

    /// A second replica of the value, under an id of its own. O(removal records), and nothing of the value
    /// is copied.
    ///
    /// # Errors
    ///
    /// [`UsedId`] if it is this replica's, or wrote to the value before.
    pub fn fork(&self, replica: ReplicaId) -> Result<Self, UsedId> {
        if replica == self.replica || self.knows(replica) {
            return Err(UsedId(replica));
        }
        Ok(Self::with(self.store.clone(), replica, self.clock))
    }

    /// The value with its context and the removal records that are kept as bytes: the same for the same
    /// of these, on every machine. Two replicas with equal contexts, which have equal values, may
    /// differ in the records that each still keeps.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = header::<T>();
        self.store.context().encode(&mut w);
        self.store.floor().encode(&mut w);
        self.store.encode_whole(&mut w);
        w.finish()
    }

    /// A value from the bytes of [`encode`](Self::encode), under an id that did not write to it.
    ///
    /// # Errors
    ///
    /// [`LoadError`] says what is wrong with the bytes or the id.
    pub fn load(bytes: &[u8], replica: ReplicaId) -> Result<Self, LoadError> {
        let mut r = check_header::<T>(bytes)?;
        let context = Context::decode(&mut r)?;
        let floor = VersionVector::decode(&mut r)?;
        if !floor
            .iter()
            .all(|(o, seq)| context.contains(Dot::new(o, seq)))
        {
            return Err(DecodeError::Invalid("a forgotten record outside of the context").into());
        }
        let store = DotStore::decode_whole(&mut r, &Limits::default(), context, floor)?;
        r.finish()?;
        if store.link_count() > 0 {
            return Err(DecodeError::Invalid("a transaction within one value").into());
        }
        let loaded = Self::with(store, replica, Timestamp::ZERO);
        if loaded.knows(replica) {
            return Err(UsedId(replica).into());
        }
        Ok(loaded)
    }
}

/// The newest event of a replica that a removal is, saw or cut.
fn newest_seen(record: &Record, replica: ReplicaId) -> u64 {
    let is = (record.dot.replica == replica).then_some(record.dot.seq);
    let cuts = record.cuts.iter();
    let cut = cuts.filter(|(key, _)| key.replica == replica);
    let all = is.into_iter().chain(cut.map(|(_, cut)| cut.newest));
    all.fold(record.seen.max(replica), u64::max)
}

pub(crate) fn header<T: Crdt>() -> Writer {
    let mut w = Writer::new();
    w.byte(FORMAT);
    w.bytes(Shape::of::<T>().name());
    w
}

pub(crate) fn check_header<T: Crdt>(bytes: &[u8]) -> Result<Reader<'_>, LoadError> {
    let mut r = Reader::new(bytes);
    match r.byte()? {
        FORMAT => {}
        other => return Err(LoadError::Format(other)),
    }
    if r.bytes()? == Shape::of::<T>().name().as_bytes() {
        Ok(r)
    } else {
        Err(LoadError::Shape)
    }
}

impl<T: Crdt> fmt::Debug for Causal<T>
where
    for<'a> T::View<'a>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Causal")
            .field("replica", &self.replica)
            .field("value", &self.view())
            .field("context", self.context())
            .finish()
    }
}
