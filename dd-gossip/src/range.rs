//! Ranges of events and their fingerprints: how two replicas find where what is live differs, at the cost of
//! what differs.
//!
//! Range-based set reconciliation (Meyer, *Range-Based Set Reconciliation*, 2022) over the order of events,
//! not of keys: of a dot that both have seen, whether it is live says everything, and the sums over
//! ranges of numbers come with the index.

mod codec;

use std::ops::Bound;

use crdt_core::{Context, Dot, Group, Measure, ReplicaId, Seqs};

use crate::by_number::ByNumber;
use crate::index::{Census, Index, Sums, mix, unmix};

pub(crate) use codec::{decode, encode};

/// Ranges of one question, at most.
pub(crate) const MAX_COMPARED: usize = 4096;

/// Origins of which it is tried whether one event of theirs is all in which a range differs, at most.
const MAX_TRIED: usize = 64;

/// Live events of ranges of one question among which two are looked for, at most.
pub(crate) const MAX_PAIRED: u64 = 1 << 18;

/// Of a set of numbers with a range for every so many live events or fewer the events are looked at one by one.
const MANY_GAPS: u64 = 16;

/// The events from `first` up to and without `end`, in the order of origins and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    first: Dot,
    end: Dot,
}

/// A fingerprint of a range: what is live in it, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Print(Sums);

/// What another's fingerprint of a range says, beside what is live here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same is live there.
    Same,
    /// The same, but for this one, or these two in order.
    Without(Dot, Option<Dot>),
    /// The same, and one that is dead here.
    OneMore,
    Differs,
}

impl Range {
    /// All events that there can be.
    pub(crate) const ALL: Self = Self {
        first: Dot::new(ReplicaId::new(0, 0), 0),
        end: Dot::new(ReplicaId::new(u64::MAX, u64::MAX), u64::MAX),
    };

    pub(crate) const NONE: Self = Self {
        first: Self::ALL.end,
        end: Self::ALL.end,
    };

    pub(crate) const fn first(&self) -> Dot {
        self.first
    }

    pub(crate) const fn end(&self) -> Dot {
        self.end
    }

    pub(crate) fn contains(&self, dot: Dot) -> bool {
        self.first <= dot && dot < self.end
    }

    /// The numbers of an origin, from the first up to and without the second.
    fn of(&self, origin: ReplicaId) -> (u64, u64) {
        let from = if origin == self.first.replica {
            self.first.seq
        } else {
            0
        };
        let to = if origin == self.end.replica {
            self.end.seq
        } else {
            u64::MAX
        };
        (from, to)
    }

    /// Each origin of which something is live in this range, with what and its numbers.
    fn live<'a>(
        &self,
        index: &'a Index,
    ) -> impl Iterator<Item = (ReplicaId, &'a ByNumber, (u64, u64))> {
        let range = *self;
        let origins = index.live().from(self.first.replica);
        let origins = origins.take_while(move |(origin, _)| *origin <= range.end.replica);
        origins.map(move |(origin, places)| (origin, places, range.of(origin)))
    }

    /// A fingerprint of what is live here, of that which `seen` has. Equal where and only where the same is live with the
    /// same cuts, but for one chance in 2^64.
    pub(crate) fn print(&self, index: &Index, seen: &Context) -> Print {
        let mut print = Print::default();
        for (origin, places, numbers) in self.live(index) {
            let seqs = seen.get(origin);
            let gaps = seqs.map_or(0, Seqs::gaps) as u64;
            let census = if gaps * MANY_GAPS > of_numbers(places, numbers).count {
                one_by_one(index, (origin, places), seqs, numbers)
            } else {
                by_sums(index, (origin, places), seqs, numbers)
            };
            print.0 = print.0.plus(Key::of(origin).times(census.sums));
        }
        print
    }

    /// What another's fingerprint of this range says, who has seen `seen`; here `here` was seen. That one event is all
    /// in which they differ is wrong by one chance in 2^96 for each that could be it, live here or, of an origin that is
    /// not sealed, dead; that two are, by as much for each two that are live here. They are looked for among origins of
    /// which something is live, two among no more live events than `looks` says, which has as many less afterwards.
    pub(crate) fn judge(
        &self,
        index: &Index,
        here: &Context,
        seen: &Context,
        print: Print,
        looks: &mut u64,
    ) -> Verdict {
        let own = self.print(index, seen);
        if own == print {
            return Verdict::Same;
        }
        let differs = own.0.minus(print.0);
        for (origin, places, numbers) in self.live(index).take(MAX_TRIED) {
            let undone = Key::of(origin).inverse();
            let known = |more: Sums| {
                let sums = undone.times(more);
                let dot = Dot::new(origin, unmix(sums.hashes));
                let is_one = sums == Sums::of(sums.hashes);
                (is_one && self.contains(dot) && here.contains(dot)).then_some(dot)
            };
            let is_live = |dot: &Dot| index.live().get(*dot).is_some();
            if let Some(dot) = known(differs).filter(is_live) {
                return Verdict::Without(dot, None);
            }
            // Of a sealed origin all numbers that there are count as seen: too many could be the one.
            let one_more = known(print.0.minus(own.0)).filter(|_| !here.is_sealed(origin));
            if one_more.is_some_and(|dot| !is_live(&dot)) {
                return Verdict::OneMore;
            }
            let count = of_numbers(places, numbers).count;
            if let Some(left) = looks.checked_sub(count) {
                *looks = left;
                if let Some((one, two)) = two_of(undone.times(differs), places, numbers) {
                    return Verdict::Without(Dot::new(origin, one), Some(Dot::new(origin, two)));
                }
            }
        }
        Verdict::Differs
    }

    /// What is before and behind an event of it.
    fn around(&self, dot: Dot) -> [Self; 2] {
        let behind = Dot::new(dot.replica, dot.seq + 1);
        [
            Self { end: dot, ..*self },
            Self {
                first: behind,
                ..*self
            },
        ]
    }

    /// Adds to `kept` what `seen` has here of origins of which anything is live, without some events, which ascend.
    pub(crate) fn keep_without(
        &self,
        gone: impl IntoIterator<Item = Dot>,
        index: &Index,
        seen: &Context,
        kept: &mut Context,
    ) {
        let mut rest = *self;
        for dot in gone {
            let [before, behind] = rest.around(dot);
            before.keep(index, seen, kept);
            rest = behind;
        }
        rest.keep(index, seen, kept);
    }

    /// About how many numbers it takes to say what is live here, of that which `seen` has: one for each
    /// run of numbers.
    pub(crate) fn weight(&self, index: &Index, seen: &Context) -> u64 {
        let runs = |(origin, places, numbers): (_, &ByNumber, _)| {
            seen.get(origin)?;
            let count = of_numbers(places, numbers).count;
            let before = places.sum_below(numbers.0).count;
            let first = places.nth(before)?;
            let last = places.nth((before + count).checked_sub(1)?)?;
            // Where more are live than not, each that is not ends a run at most.
            (count > 0).then(|| count.min(last - first + 2 - count))
        };
        self.live(index).filter_map(runs).sum()
    }

    /// This range in parts of about as many live dots each, `parts` at most.
    pub(crate) fn split(&self, index: &Index, parts: u64) -> Vec<Self> {
        let count: u64 = self
            .live(index)
            .map(|(_, places, numbers)| of_numbers(places, numbers).count)
            .sum();
        let step = count.div_ceil(parts.max(1)).max(1);
        let (mut out, mut first) = (Vec::new(), self.first);
        let (mut before, mut next) = (0, step);
        for (origin, places, numbers) in self.live(index) {
            let here = of_numbers(places, numbers).count;
            let skipped = places.sum_below(numbers.0).count;
            while next < count && next < before + here {
                let nth = skipped + (next - before);
                let Some(seq) = places.nth(nth) else {
                    break;
                };
                let end = Dot::new(origin, seq);
                out.push(Self { first, end });
                first = end;
                next += step;
            }
            before += here;
        }
        out.push(Self { first, ..*self });
        out
    }

    /// The first dot at or behind `from` that is live here, of those that `seen` has.
    pub(crate) fn next_live(&self, index: &Index, seen: &Context, from: Dot) -> Option<Dot> {
        let rest = Self {
            first: from.max(self.first),
            ..*self
        };
        rest.live(index).find_map(|(origin, places, numbers)| {
            clipped(seen.get(origin), numbers).find_map(|(from, to)| {
                let (seq, _) = places.from(from).next()?;
                (seq < to).then(|| Dot::new(origin, seq))
            })
        })
    }

    /// Adds to `kept` what `seen` has here of origins of which anything is live.
    pub(crate) fn keep(&self, index: &Index, seen: &Context, kept: &mut Context) {
        for (origin, _, numbers) in self.live(index) {
            for (from, to) in clipped(seen.get(origin), numbers) {
                kept.insert_range(origin, from, to - 1);
            }
        }
    }
}

/// By what an origin's sums count in a print: odd numbers, so that it can be undone.
struct Key(u64);

impl Key {
    fn of(origin: ReplicaId) -> Self {
        let id = u128::from_be_bytes(origin.to_bytes());
        Self(mix(mix((id >> 64) as u64) ^ id as u64) | 1)
    }

    /// What undoes this one, by Newton's method: each step doubles how many of the last bits are right, which are three
    /// at first.
    fn inverse(&self) -> Self {
        let odd = self.0;
        let better =
            |inverse: u64| inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        Self((0..5).fold(odd, |inverse, _| better(inverse)))
    }

    fn times(&self, sums: Sums) -> Sums {
        Sums {
            hashes: sums.hashes.wrapping_mul(self.0),
            squares: sums.squares.wrapping_mul(self.0 as u32),
        }
    }
}

/// Over what is live between two numbers of an origin and in a set, with its cuts. O(log n) for each range of the set.
fn by_sums(
    index: &Index,
    (origin, places): (ReplicaId, &ByNumber),
    seqs: Option<&Seqs>,
    numbers: (u64, u64),
) -> Census {
    let at = |seq| (Dot::new(origin, seq), 0);
    let (mut census, cuts) = (Census::default(), index.cuts());
    for (from, to) in clipped(seqs, numbers) {
        let cut = cuts.sum_below(&at(to)).minus(cuts.sum_below(&at(from)));
        census = census.plus(of_numbers(places, (from, to)));
        census.sums = census.sums.plus(cut.sums);
    }
    census
}

/// As [`by_sums`], in steps that are short, one for each event and range.
fn one_by_one(
    index: &Index,
    (origin, places): (ReplicaId, &ByNumber),
    seqs: Option<&Seqs>,
    (first, end): (u64, u64),
) -> Census {
    let mut ranges = clipped(seqs, (first, end)).peekable();
    let mut census = Census::default();
    for (seq, _) in places.from(first).take_while(|(seq, _)| *seq < end) {
        while ranges.next_if(|(_, to)| *to <= seq).is_some() {}
        if ranges.peek().is_some_and(|(from, _)| *from <= seq) {
            census = census.plus(Census::of_event(seq));
        }
    }
    let from = (Dot::new(origin, first), 0);
    let cuts = index.cuts().iter_from(Bound::Included(&from));
    let here = cuts.take_while(|((dot, _), ())| dot.replica == origin && dot.seq < end);
    let seen = here.filter(|((dot, _), ())| seqs.is_some_and(|seqs| seqs.contains(dot.seq)));
    let sums = seen.map(|(cut, ())| <Census as Measure<(Dot, u64), ()>>::of(cut, &()).sums);
    census.sums = sums.fold(census.sums, Sums::plus);
    census
}

/// The numbers of two live events, the lesser first, of which these are the sums. Each says which the other would be.
fn two_of(sums: Sums, places: &ByNumber, (from, to): (u64, u64)) -> Option<(u64, u64)> {
    let other = |one: u64| unmix(sums.hashes.wrapping_sub(mix(one)));
    let are_two = |one: u64, two: u64| {
        let both = Sums::of(mix(one)).plus(Sums::of(mix(two)));
        both == sums && places.get(two).is_some()
    };
    let one = places.find((from, to), |one| {
        let two = other(one);
        one < two && two < to && are_two(one, two)
    })?;
    Some((one, other(one)))
}

fn of_numbers(places: &ByNumber, (from, to): (u64, u64)) -> Census {
    if from >= to {
        return Census::default();
    }
    places.sum_below(to).minus(places.sum_below(from))
}

/// The parts of a set of numbers between two, each up to and without its second.
fn clipped(seqs: Option<&Seqs>, (from, to): (u64, u64)) -> impl Iterator<Item = (u64, u64)> {
    let ranges = seqs
        .into_iter()
        .flat_map(move |seqs| seqs.ranges_from(from));
    let here = ranges.take_while(move |(first, _)| *first < to);
    let parts = here.map(move |(first, last)| (first.max(from), (last + 1).min(to)));
    parts.filter(|(from, to)| from < to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Births;
    use crate::rng::Rng;
    use crdt_core::Path;
    use crdt_core::codec::{Reader, Writer};
    use crdt_core::kernel::{EntryRef, Run, ValueRef};

    fn entry(dot: Dot, cut: u64) -> EntryRef<'static> {
        let value = if cut == 0 {
            ValueRef::Unit
        } else {
            ValueRef::Run(Run {
                start: 1,
                total: 1,
                cut_seq: cut,
                cut_total: 1,
            })
        };
        EntryRef { dot, value }
    }

    /// Some of the first events of three origins are live.
    fn some(rng: &mut Rng, share: usize) -> Index {
        let (mut index, path): (_, Path) = (Index::default(), [].as_slice().into());
        for origin in 1..=3 {
            for seq in 1..=200 {
                if rng.below(100) < share {
                    let dot = Dot::new(ReplicaId::new(origin, 7), seq);
                    index.born(&path, entry(dot, 0));
                }
            }
        }
        index
    }

    fn seen(rng: &mut Rng) -> Context {
        let mut seen = Context::new();
        for origin in 1..=3 {
            seen.insert_range(ReplicaId::new(origin, 7), 1, 50 + rng.below(100) as u64);
            seen.insert_range(ReplicaId::new(origin, 7), 160, 161 + rng.below(40) as u64);
        }
        seen
    }

    fn live(range: Range, index: &Index, seen: &Context) -> Vec<Dot> {
        let mut at = range.first();
        let next = || {
            let dot = range.next_live(index, seen, at)?;
            at = Dot::new(dot.replica, dot.seq + 1);
            Some(dot)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn parts_cover_a_range_and_equal_prints_mean_the_same() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let share = [3, 50, 97][rng.below(3)];
            let (index, seen) = (some(&mut rng, share), seen(&mut rng));
            let mut other = index.clone();
            let gone = Dot::new(
                ReplicaId::new(1 + rng.below(3) as u64, 7),
                1 + rng.below(200) as u64,
            );
            other.died(entry(gone, 0), &mut Births::default());
            let parts = Range::ALL.split(&index, 16);
            assert!(parts.len() <= 16, "{}", parts.len());
            assert_eq!(
                (parts[0].first, parts[parts.len() - 1].end),
                (Range::ALL.first, Range::ALL.end)
            );
            assert!(
                parts
                    .windows(2)
                    .all(|two| two[0].end == two[1].first && two[0].first < two[0].end)
            );
            let all: Vec<Dot> = parts
                .iter()
                .flat_map(|part| live(*part, &index, &seen))
                .collect();
            assert_eq!(all, live(Range::ALL, &index, &seen));
            assert!(all.iter().all(|dot| seen.contains(*dot)));
            for part in parts {
                let same = live(part, &index, &seen) == live(part, &other, &seen);
                let prints = (part.print(&index, &seen), part.print(&other, &seen));
                assert_eq!(same, prints.0 == prints.1, "seed {seed}");
                let mut kept = Context::new();
                part.keep(&index, &seen, &mut kept);
                assert!(kept.is_subset(&seen));
                assert!(
                    live(part, &index, &seen)
                        .iter()
                        .all(|dot| kept.contains(*dot))
                );
            }
        }
    }

    fn has_live(index: &Index, replica: ReplicaId) -> bool {
        let mut origins = index.live().from(replica);
        origins.next().is_some_and(|(origin, _)| origin == replica)
    }

    #[test]
    fn a_range_that_differs_in_an_event_or_two_says_which_and_one_that_differs_in_more_does_not() {
        let (mut one, mut two, mut more) = (0, 0, 0);
        for seed in 0..2_000 {
            let mut rng = Rng::new(seed);
            let share = [3, 50, 97][rng.below(3)];
            let (index, here, seen) = (some(&mut rng, share), seen(&mut rng), seen(&mut rng));
            let range = if rng.below(2) == 0 {
                Range::ALL
            } else {
                let parts = Range::ALL.split(&index, 1 + rng.below(20) as u64);
                parts[rng.below(parts.len())]
            };
            let mut other = index.clone();
            let both = here.difference(&here.difference(&seen));
            let mut differ = std::collections::BTreeSet::new();
            for _ in 0..rng.below(5) {
                let dot = Dot::new(
                    ReplicaId::new(1 + rng.below(3) as u64, 7),
                    1 + rng.below(200) as u64,
                );
                if both.contains(dot) && range.contains(dot) && differ.insert(dot) {
                    match index.live().get(dot) {
                        Some(_) => other.died(entry(dot, 0), &mut Births::default()),
                        None => other.born(&[], entry(dot, 0)),
                    }
                }
            }
            // The other has nothing of what only this one has seen, and this one does not count what it has not seen.
            let print = range.print(&other, &both);
            let mut mine = index.clone();
            for dot in live(Range::ALL, &index, &seen) {
                if !here.contains(dot) {
                    mine.died(entry(dot, 0), &mut Births::default());
                }
            }
            let differ: Vec<Dot> = differ.into_iter().collect();
            let is_live = |dot: &Dot| index.live().get(*dot).is_some();
            let expected = match *differ {
                [] => Verdict::Same,
                [dot] if is_live(&dot) => Verdict::Without(dot, None),
                // Of an origin of which nothing is live it is not looked for.
                [dot] if has_live(&mine, dot.replica) => Verdict::OneMore,
                [a, b] if a.replica == b.replica && differ.iter().all(is_live) => {
                    Verdict::Without(a, Some(b))
                }
                _ => Verdict::Differs,
            };
            let judge = |looks: u64| {
                let mut left = looks;
                let verdict = range.judge(&mine, &here, &seen, print, &mut left);
                (verdict, looks - left)
            };
            let (verdict, looked) = judge(MAX_PAIRED);
            assert_eq!(verdict, expected, "seed {seed}");
            one += usize::from(matches!(
                expected,
                Verdict::Without(_, None) | Verdict::OneMore
            ));
            if matches!(expected, Verdict::Without(_, Some(_))) {
                two += 1;
                assert_eq!(judge(looked), (expected, looked));
                let (verdict, less) = judge(looked - 1);
                assert!(verdict == Verdict::Differs && less < looked, "{verdict:?}");
            }
            more += usize::from(expected == Verdict::Differs);
            if let Verdict::Without(dot, second) = expected {
                let (mut whole, mut kept) = (Context::new(), Context::new());
                range.keep(&mine, &here, &mut whole);
                let gone = || [dot].into_iter().chain(second);
                range.keep_without(gone(), &mine, &here, &mut kept);
                assert!(gone().all(|dot| !kept.contains(dot)));
                gone().for_each(|dot| kept.insert(dot));
                assert_eq!(kept, whole);
            }
        }
        assert!(
            one > 300 && two > 20 && more > 100,
            "{one} differ in one, {two} in two, {more} in more"
        );
    }

    /// The hash of a cut may be that of a number, and of a sealed origin any number counts as seen.
    #[test]
    fn a_cut_that_is_not_known_is_no_event_that_is_dead_here() {
        let (path, replica): (Path, _) = ([].as_slice().into(), ReplicaId::new(1, 7));
        let is_number = |(seq, cut): &(u64, u64)| unmix(mix(mix(*seq) ^ cut)) <= crdt_core::MAX_SEQ;
        let pairs = (1..5_000u64).map(|seq| (seq, seq - 1));
        let pairs: Vec<_> = pairs.filter(is_number).collect();
        assert!(pairs.contains(&(558, 557)), "{pairs:?}");
        for (seq, cut) in pairs {
            for sealed in [false, true] {
                let dot = Dot::new(replica, seq);
                let mut seen = Context::new();
                seen.insert_range(replica, 1, seq);
                if sealed {
                    seen.seal(replica, 9);
                }
                let [here, there] = [0, cut].map(|cut| {
                    let mut index = Index::default();
                    index.born(&path, entry(dot, cut));
                    index
                });
                let print = Range::ALL.print(&there, &seen);
                let verdict = Range::ALL.judge(&here, &seen, &seen, print, &mut { MAX_PAIRED });
                assert_eq!(verdict, Verdict::Differs, "{seq} {cut} {sealed}");
            }
        }
    }

    #[test]
    fn hashes_of_numbers_can_be_undone() {
        for n in (0..64)
            .map(|bit| 1 << bit)
            .chain(0..1_000)
            .chain([u64::MAX])
        {
            assert_eq!(unmix(mix(n)), n);
            let key = Key::of(ReplicaId::new(n, 3));
            let sums = Sums::of(mix(n));
            assert_eq!(key.inverse().times(key.times(sums)), sums);
        }
    }

    #[test]
    fn sums_of_many_ranges_are_those_of_their_events() {
        let path: Path = [].as_slice().into();
        let replica = ReplicaId::new(1, 7);
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (mut index, mut seqs) = (Index::default(), Seqs::default());
            for seq in 1..=300 {
                if rng.below(3) > 0 {
                    let cut = rng.below(2) * rng.below(seq as usize);
                    index.born(&path, entry(Dot::new(replica, seq), cut as u64));
                }
                if rng.below(100) < 40 {
                    seqs.insert(seq);
                }
            }
            let (_, places) = index.live().from(replica).next().expect("there are some");
            let from = rng.below(300) as u64;
            for numbers in [(0, u64::MAX), (from, from + rng.below(100) as u64)] {
                for seqs in [None, Some(&seqs)] {
                    assert_eq!(
                        one_by_one(&index, (replica, places), seqs, numbers),
                        by_sums(&index, (replica, places), seqs, numbers)
                    );
                }
            }
        }
    }

    #[test]
    fn a_cut_changes_a_print() {
        let path: Path = [].as_slice().into();
        let dot = Dot::new(ReplicaId::new(1, 7), 9);
        let mut seen = Context::new();
        seen.insert_range(dot.replica, 1, 9);
        let prints = [0, 3, 4].map(|cut| {
            let mut index = Index::default();
            index.born(&path, entry(dot, cut));
            Range::ALL.print(&index, &seen)
        });
        assert!(prints[0] != prints[1] && prints[1] != prints[2]);
        let mut index = Index::default();
        index.born(&path, entry(dot, 3));
        index.died(entry(dot, 3), &mut Births::default());
        index.born(&path, entry(dot, 0));
        assert_eq!(Range::ALL.print(&index, &seen), prints[0]);
    }

    #[test]
    fn the_weight_is_that_of_what_is_rarer_and_of_nothing_for_who_has_nothing() {
        let path: Path = [].as_slice().into();
        let mut index = Index::default();
        for seq in (1..=1000).filter(|seq| seq % 100 != 0) {
            index.born(&path, entry(Dot::new(ReplicaId::new(1, 7), seq), 0));
        }
        let mut seen = Context::new();
        assert_eq!(Range::ALL.weight(&index, &seen), 0);
        seen.insert_range(ReplicaId::new(1, 7), 1, 1000);
        assert_eq!(Range::ALL.weight(&index, &seen), 10);
    }

    #[test]
    fn ranges_are_read_back_and_nothing_else_is() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let (index, seen) = (some(&mut rng, 50), seen(&mut rng));
            let mut ranges: Vec<_> = Range::ALL
                .split(&index, 40)
                .into_iter()
                .map(|range| (range, range.print(&index, &seen)))
                .collect();
            ranges.retain(|_| rng.below(3) > 0);
            let mut w = Writer::new();
            encode(&ranges, &mut w);
            let bytes = w.finish();
            assert_eq!(decode(&mut Reader::new(&bytes)).as_ref(), Ok(&ranges));
            for at in 0..bytes.len() {
                assert!(decode(&mut Reader::new(&bytes[..at])).is_err());
                let mut other = bytes.clone();
                other[at] ^= 1 << rng.below(8);
                let mut r = Reader::new(&other);
                if let Ok(read) = decode(&mut r) {
                    let mut w = Writer::new();
                    encode(&read, &mut w);
                    let again = w.finish();
                    assert_eq!(again, other[..again.len()], "canonical");
                }
            }
        }
    }
}
