//! Where each event that still matters stands: from (origin, sequence number) to the path.

use std::ops::Bound;

use crdt_core::kernel::{EntryRef, ValueRef};
use crdt_core::{Context, CowMap, Dot, Group, Measure, Name, Path, ReplicaId, Seqs};

use crate::by_number::{ByNumber, Place};

/// Places of all live dots and of all records that are kept. Void events are not in it, so walking
/// what a peer lacks costs what the peer lacks. Cloning is O(1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    live: Places,
    records: Places,
    /// Live runs that have a cut, each with the last event that was cut.
    cuts: CowMap<(Dot, u64), (), Census>,
}

/// Births that the index does not know of yet: those of one origin, as they come. They are put in together, in the order
/// of their numbers, in which those of one time stand side by side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Births {
    /// The dot of the least number.
    least: Option<Dot>,
    born: Vec<(u64, Path)>,
}

/// Births for which room is kept.
const ROOM: usize = 512;

impl Births {
    /// Whether one of this dot may be among them.
    fn may_have(&self, dot: Dot) -> bool {
        let least = self.least.filter(|least| least.replica == dot.replica);
        least.is_some_and(|least| least.seq <= dot.seq)
    }

    fn push(&mut self, dot: Dot, at: Path) {
        self.least = Some(self.least.map_or(dot, |least| least.min(dot)));
        self.born.push((dot.seq, at));
    }
}

impl Index {
    pub(crate) fn born(&mut self, at: &[Name], entry: EntryRef<'_>) {
        self.live.insert(entry.dot, at);
        self.cut_born(entry);
    }

    /// As [`born`](Self::born), when [`put_in`](Self::put_in) is called.
    pub(crate) fn note_born(&mut self, at: Path, entry: EntryRef<'_>, births: &mut Births) {
        if births
            .least
            .is_some_and(|least| least.replica != entry.dot.replica)
        {
            self.put_in(births);
        }
        births.push(entry.dot, at);
        self.cut_born(entry);
    }

    pub(crate) fn put_in(&mut self, births: &mut Births) {
        let Some(Dot { replica, .. }) = births.least.take() else {
            return;
        };
        births.born.sort_unstable_by_key(|(seq, _)| *seq);
        self.live.insert_all(replica, &births.born);
        births.born.clear();
        births.born.shrink_to(ROOM);
    }

    fn cut_born(&mut self, entry: EntryRef<'_>) {
        if let Some(cut) = cut_of(entry) {
            self.cuts.insert((entry.dot, cut), ());
        }
    }

    pub(crate) fn died(&mut self, entry: EntryRef<'_>, births: &mut Births) {
        if births.may_have(entry.dot) {
            self.put_in(births);
        }
        self.live.remove(entry.dot);
        if let Some(cut) = cut_of(entry) {
            self.cuts.remove(&(entry.dot, cut));
        }
    }

    /// One dies at a path and another is born there.
    pub(crate) fn replaced(
        &mut self,
        at: Path,
        died: EntryRef<'_>,
        born: EntryRef<'_>,
        births: &mut Births,
    ) {
        let next = Dot::new(died.dot.replica, died.dot.seq + 1);
        let cut = cut_of(died).or(cut_of(born));
        if born.dot != next || cut.is_some() || births.may_have(next) {
            self.died(died, births);
            return self.note_born(at, born, births);
        }
        if let Some(places) = self.live.origins.get_mut(&next.replica) {
            places.advance(died.dot.seq, &at);
        }
    }

    pub(crate) fn recorded(&mut self, at: &[Name], dot: Dot) {
        self.records.insert(dot, at);
    }

    pub(crate) fn dropped(&mut self, dot: Dot) {
        self.records.remove(dot);
    }

    /// Forgets where records are.
    pub(crate) fn drop_records(&mut self) {
        self.records = Places::default();
    }

    /// Where records are.
    pub(crate) fn records(&self) -> &Places {
        &self.records
    }

    /// Where dots are live.
    pub(crate) fn live(&self) -> &Places {
        &self.live
    }

    /// Live runs that have a cut, each with the last event that was cut.
    pub(crate) fn cuts(&self) -> &CowMap<(Dot, u64), (), Census> {
        &self.cuts
    }

    /// Number of live dots and of records.
    pub(crate) fn len(&self) -> usize {
        self.live.len() + self.records.len()
    }

    /// The first event at or behind `from`, in the order of origins and numbers.
    pub(crate) fn next(&self, from: Dot) -> Option<(Dot, Place<'_>)> {
        let live = self.live.next(from);
        let record = self.records.next(from);
        match (live, record) {
            (Some(live), Some(record)) if record.0 < live.0 => Some(record),
            (live, record) => live.or(record),
        }
    }

    #[cfg(test)]
    pub(crate) fn lose(&mut self, dot: Dot) {
        self.live.remove(dot);
    }
}

fn cut_of(entry: EntryRef<'_>) -> Option<u64> {
    match entry.value {
        ValueRef::Run(run) => (run.cut_seq > 0).then_some(run.cut_seq),
        ValueRef::Unit | ValueRef::Bytes(_) => None,
    }
}

/// Paths of events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    origins: CowMap<ReplicaId, ByNumber>,
}

impl Places {
    fn insert(&mut self, dot: Dot, path: &[Name]) {
        if let Some(places) = self.origins.get_mut(&dot.replica) {
            places.insert(dot.seq, path);
        } else {
            let mut places = ByNumber::default();
            places.insert(dot.seq, path);
            self.origins.insert(dot.replica, places);
        }
    }

    /// Their numbers ascend.
    fn insert_all(&mut self, origin: ReplicaId, born: &[(u64, Path)]) {
        if let Some(places) = self.origins.get_mut(&origin) {
            places.insert_all(born);
        } else {
            let mut places = ByNumber::default();
            places.insert_all(born);
            self.origins.insert(origin, places);
        }
    }

    fn remove(&mut self, dot: Dot) {
        let Some(places) = self.origins.get_mut(&dot.replica) else {
            return;
        };
        places.remove(dot.seq);
        if places.is_empty() {
            self.origins.remove(&dot.replica);
        }
    }

    pub(crate) fn get(&self, dot: Dot) -> Option<Place<'_>> {
        self.origins.get(&dot.replica)?.get(dot.seq)
    }

    /// The events. O(n).
    pub(crate) fn context(&self) -> Context {
        let mut context = Context::new();
        for (origin, places) in self.origins.iter() {
            let mut range: Option<(u64, u64)> = None;
            for (seq, _) in places.from(0) {
                match &mut range {
                    Some((_, last)) if *last + 1 == seq => *last = seq,
                    _ => {
                        if let Some((first, last)) = range.replace((seq, seq)) {
                            context.insert_range(*origin, first, last);
                        }
                    }
                }
            }
            if let Some((first, last)) = range {
                context.insert_range(*origin, first, last);
            }
        }
        context
    }

    fn len(&self) -> usize {
        self.origins.iter().map(|(_, places)| places.len()).sum()
    }

    /// The origins from this one on, with the places of their events.
    pub(crate) fn from(&self, origin: ReplicaId) -> impl Iterator<Item = (ReplicaId, &ByNumber)> {
        let origins = self.origins.iter_from(Bound::Included(&origin));
        origins.map(|(origin, places)| (*origin, places))
    }

    /// Those that one context has and the other has not.
    pub(crate) fn of_those<'a>(
        &'a self,
        has: &'a Context,
        has_not: &'a Context,
    ) -> impl Iterator<Item = (Place<'a>, Dot)> + 'a {
        let origins = self.origins.iter().filter_map(move |(origin, places)| {
            let seqs = has.get(*origin)?;
            let others = has_not.get(*origin).unwrap_or(Seqs::none());
            Some((*origin, places, seqs.without(others)))
        });
        origins.flat_map(|(origin, places, ranges)| {
            ranges.flat_map(move |(first, last)| {
                let here = places.from(first);
                let here = here.take_while(move |(seq, _)| *seq <= last);
                here.map(move |(seq, place)| (place, Dot::new(origin, seq)))
            })
        })
    }

    /// The first at or behind `from`, in the order of origins and numbers.
    pub(crate) fn next(&self, from: Dot) -> Option<(Dot, Place<'_>)> {
        for (origin, places) in self.from(from.replica) {
            let first = if origin == from.replica { from.seq } else { 0 };
            if let Some((seq, place)) = places.from(first).next() {
                return Some((Dot::new(origin, seq), place));
            }
        }
        None
    }
}

/// How many events, and sums of hashes of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) count: u64,
    pub(crate) sums: Sums,
}

impl Census {
    /// Of one event, by its number.
    pub(crate) const fn of_event(seq: u64) -> Self {
        let (count, sums) = (1, Sums::of(mix(seq)));
        Self { count, sums }
    }
}

/// A sum of hashes, and one of parts of their squares: what the first says of a single hash the second confirms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) hashes: u64,
    pub(crate) squares: u32,
}

impl Sums {
    pub(crate) const fn of(hash: u64) -> Self {
        let (hashes, squares) = (hash, (hash.wrapping_mul(hash) >> 32) as u32);
        Self { hashes, squares }
    }
}

impl Measure<(Dot, u64), ()> for Census {
    fn of((dot, cut): &(Dot, u64), (): &()) -> Self {
        let (count, mut sums) = (1, Sums::of(mix(mix(dot.seq) ^ cut)));
        // So that none looks like a single event.
        sums.squares = sums.squares.wrapping_add(1);
        Self { count, sums }
    }
}

impl Group for Census {
    fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sums: self.sums.plus(other.sums),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            count: self.count - other.count,
            sums: self.sums.minus(other.sums),
        }
    }
}

impl Group for Sums {
    fn plus(self, other: Self) -> Self {
        Self {
            hashes: self.hashes.wrapping_add(other.hashes),
            squares: self.squares.wrapping_add(other.squares),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            hashes: self.hashes.wrapping_sub(other.hashes),
            squares: self.squares.wrapping_sub(other.squares),
        }
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, 2014).
pub(crate) const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The number of which [`mix`] makes this one.
pub(crate) const fn unmix(n: u64) -> u64 {
    let n = n ^ (n >> 31) ^ (n >> 62);
    let n = n.wrapping_mul(0x3196_42b2_d24d_8ec3);
    let n = n ^ (n >> 27) ^ (n >> 54);
    let n = n.wrapping_mul(0x96de_1b17_3f11_9089);
    let n = n ^ (n >> 30) ^ (n >> 60);
    n.wrapping_sub(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use super::*;
    use crate::rng::Rng;

    fn entry(dot: Dot) -> EntryRef<'static> {
        let value = ValueRef::Unit;
        EntryRef { dot, value }
    }

    /// Dots of few origins are born, die and are replaced, also those that were born a moment ago, and one by itself.
    #[test]
    fn births_that_are_put_in_later_are_as_those_that_are_put_in_at_once() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut model: BTreeMap<Dot, Path> = BTreeMap::new();
            let mut index = Index::default();
            let (mut births, mut next) = (Births::default(), [1u64; 3]);
            for n in 0..300 {
                let path = |n: usize| -> Path {
                    let key = format!("key {n}");
                    [Name::from(&*key), Name::from("pn_counter")]
                        .into_iter()
                        .collect()
                };
                let origin = rng.below(3);
                let replica = ReplicaId::new(origin as u64, 1);
                // Now and then numbers are left out, and what was left out comes.
                next[origin] += [1, 1, 1, 7][rng.below(4)];
                let back = [0, 0, 3][rng.below(3)];
                let dot = Dot::new(replica, next[origin].saturating_sub(back).max(1));
                let some = model.keys().nth(rng.below(model.len().max(1))).copied();
                match (rng.below(4), some) {
                    (0, Some(some)) => {
                        index.died(entry(some), &mut births);
                        model.remove(&some);
                    }
                    (1, Some(some)) => {
                        let follows = Dot::new(some.replica, some.seq + 1);
                        let born = [dot, follows, some][rng.below(3)];
                        let at = model[&some].clone();
                        model.remove(&some);
                        if let Entry::Vacant(free) = model.entry(born) {
                            free.insert(Path::clone(&at));
                            index.replaced(at, entry(some), entry(born), &mut births);
                        } else {
                            index.died(entry(some), &mut births);
                        }
                    }
                    _ if !model.contains_key(&dot) => {
                        model.insert(dot, path(n));
                        index.note_born(path(n), entry(dot), &mut births);
                    }
                    _ => {}
                }
                if rng.below(40) == 0 {
                    index.put_in(&mut births);
                }
            }
            index.put_in(&mut births);
            assert_eq!(index.live.len(), model.len(), "seed {seed}");
            for (dot, path) in &model {
                let place = index.live.get(*dot).map(|place| place.path());
                assert_eq!(place.as_ref(), Some(path), "seed {seed}, {dot:?}");
            }
        }
    }
}
