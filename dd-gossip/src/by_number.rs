//! Paths of the events of one origin, by their numbers, in little more memory than the names that tell them apart.
//!
//! Neighbouring events are mostly at paths of one form: keys of one shape, elements of one set. So they stand in
//! chunks, in which a form is kept once, and of each path the one name in which it differs from others of its form.

use std::ops::Bound;
use std::sync::Arc;

use crdt_core::kernel::Names;
use crdt_core::{CowMap, Group, Measure, Name, Path};

use crate::index::Census;

/// Most events of a chunk: for a moment there is one more, and each has a bit of 128.
const CAPACITY: usize = 127;
/// Of a chunk what was taken out goes when it is one of so many, or has so much of the names: until then it costs nothing
/// but its memory, and to move what is behind it each time would mean to read all of that.
const GONE: usize = 4;
/// Most bytes of names of a chunk that has more than one event.
const MAX_BYTES: usize = 16 * 1024;

/// Paths of events by their numbers. Cloning is O(1), the rest O(log n).
#[derive(Clone, Debug, Default)]
pub(crate) struct ByNumber {
    /// Each under the number of its first event, or one before that.
    chunks: CowMap<u64, Arc<Chunk>, Census>,
    len: usize,
}

/// Where an event stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    chunk: &'a Chunk,
    at: usize,
}

impl Measure<u64, Arc<Chunk>> for Census {
    fn of(_: &u64, chunk: &Arc<Chunk>) -> Self {
        chunk.census
    }
}

impl ByNumber {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Notes where an event stands that is not in here.
    pub(crate) fn insert(&mut self, seq: u64, path: &[Name]) {
        self.len += 1;
        if self.chunks.floor_by(|first| *first <= seq).is_none() {
            self.begin_before(seq);
        }
        let inserted = self.chunks.change_floor(
            |first| *first <= seq,
            |first, chunk| {
                let offset = chunk.room_for(*first, seq)?;
                Arc::make_mut(chunk).insert(offset, seq, path);
                Some((*first, chunk.is_too_full()))
            },
        );
        match inserted.flatten() {
            Some((_, false)) => {}
            Some((first, true)) => self.split(first, seq),
            None => {
                let mut chunk = Chunk::default();
                chunk.insert(0, seq, path);
                self.chunks.insert(seq, Arc::new(chunk));
            }
        }
    }

    /// Notes where events stand that are not in here. Their numbers ascend.
    pub(crate) fn insert_all(&mut self, mut events: &[(u64, Path)]) {
        while let [(seq, path), rest @ ..] = events {
            match self.append(events) {
                0 => {
                    self.insert(*seq, path);
                    events = rest;
                }
                taken => events = &events[taken..],
            }
        }
    }

    /// Notes as many of them as the last chunk takes. Returns how many.
    fn append(&mut self, events: &[(u64, Path)]) -> usize {
        let appended = self.chunks.change_floor(
            |_| true,
            |first, chunk| {
                let chunk = Arc::make_mut(chunk);
                (
                    *first,
                    chunk.append_all(*first, events),
                    chunk.is_too_full(),
                )
            },
        );
        let Some((first, taken, too_full)) = appended else {
            return 0;
        };
        self.len += taken;
        if let (Some((last, _)), true) = (events[..taken].last(), too_full) {
            self.split(first, *last);
        }
        taken
    }

    /// The first chunk stands for an event before it too, if that is near.
    fn begin_before(&mut self, seq: u64) {
        let Some((first, chunk)) = self.chunks.iter().next() else {
            return;
        };
        let by = first.checked_sub(seq).filter(|by| *by > 0);
        if let Some(by) = by.and_then(|by| chunk.room_for_shift(by)) {
            let (first, mut chunk) = (*first, Arc::clone(chunk));
            self.chunks.remove(&first);
            let offsets = &mut Arc::make_mut(&mut chunk).offsets;
            offsets.iter_mut().for_each(|offset| *offset += by);
            self.chunks.insert(seq, chunk);
        }
    }

    /// After an insertion into a chunk that is too full now. Where it was at the end, as it is for numbers that
    /// ascend, the left part stays full.
    fn split(&mut self, first: u64, inserted: u64) {
        let split = self.chunks.change_floor(
            |key| *key <= first,
            |first, chunk| {
                let chunk = Arc::make_mut(chunk);
                let last = chunk.offsets.len() - 1;
                let at_end = chunk.below(*first, inserted) == last;
                // There are two at least.
                chunk.split_off(*first, if at_end { last } else { (last / 2).max(1) })
            },
        );
        if let Some((second, right)) = split {
            self.chunks.insert(second, Arc::new(right));
        }
    }

    /// Takes an event out.
    pub(crate) fn remove(&mut self, seq: u64) {
        let removed = self.chunks.change_floor(
            |first| *first <= seq,
            |first, chunk| {
                let at = chunk.find(*first, seq)?;
                Arc::make_mut(chunk).remove(at, seq);
                Some((*first, chunk.len()))
            },
        );
        let Some((first, left)) = removed.flatten() else {
            return;
        };
        self.len -= 1;
        if left == 0 {
            self.chunks.remove(&first);
        } else if left < CAPACITY / 4 {
            self.merge_with_next(first);
        }
    }

    /// An event is replaced at its path by the one that follows it in number, as where one counter counts on.
    pub(crate) fn advance(&mut self, seq: u64, path: &[Name]) {
        let next = seq + 1;
        let advanced = self.chunks.change_floor(
            |first| *first <= next,
            |first, chunk| {
                let at = chunk.find(*first, seq)?;
                let offset = chunk.room_for(*first, next)?;
                Arc::make_mut(chunk).advance(at, offset, seq);
                Some(())
            },
        );
        if advanced.flatten().is_none() {
            self.remove(seq);
            self.insert(next, path);
        }
    }

    /// Puts a chunk and the next one together, if both fit in one.
    fn merge_with_next(&mut self, first: u64) {
        let mut from = self.chunks.iter_from(Bound::Included(&first));
        let (Some((_, chunk)), Some((second, next))) = (from.next(), from.next()) else {
            return;
        };
        if let Some(by) = chunk.room_for_all(next, second - first) {
            let (second, next) = (*second, Arc::clone(next));
            self.chunks.remove(&second);
            self.chunks.change_floor(
                |key| *key <= first,
                |_, chunk| Arc::make_mut(chunk).append(&next, by),
            );
        }
    }

    pub(crate) fn get(&self, seq: u64) -> Option<Place<'_>> {
        let (first, chunk) = self.chunks.floor_by(|first| *first <= seq)?;
        let at = chunk.find(*first, seq)?;
        Some(Place { chunk, at })
    }

    /// Those from a number on, in order.
    pub(crate) fn from(&self, seq: u64) -> impl Iterator<Item = (u64, Place<'_>)> {
        let floor = self.chunks.floor_by(|first| *first <= seq);
        let floor = floor.map_or(Bound::Unbounded, |(first, _)| Bound::Included(first));
        self.chunks
            .iter_from(floor)
            .flat_map(move |(first, chunk)| {
                let here = chunk.below(*first, seq)..chunk.offsets.len();
                here.filter(|at| !chunk.is_gone(*at))
                    .map(move |at| (chunk.seq(*first, at), Place { chunk, at }))
            })
    }

    /// The first number from one on, and below another, that is one of those, of an event in here. Where few are, this
    /// takes little for each event.
    pub(crate) fn find(&self, (from, to): (u64, u64), is: impl Fn(u64) -> bool) -> Option<u64> {
        let floor = self.chunks.floor_by(|first| *first <= from);
        let floor = floor.map_or(Bound::Unbounded, |(first, _)| Bound::Included(first));
        let chunks = self.chunks.iter_from(floor);
        let mut chunks = chunks.take_while(|(first, _)| **first < to);
        chunks.find_map(|(first, chunk)| {
            let here = chunk.below(*first, from)..chunk.below(*first, to);
            let mut here = here.filter(|at| is(chunk.seq(*first, *at)));
            let at = here.find(|at| !chunk.is_gone(*at))?;
            Some(chunk.seq(*first, at))
        })
    }

    /// Over the events of lower numbers.
    pub(crate) fn sum_below(&self, seq: u64) -> Census {
        // Of the last chunk that begins below some may be behind.
        let begins_below = |first: &u64| *first < seq;
        let sum = self.chunks.sum_below(&seq);
        match self.chunks.floor_by(begins_below) {
            Some((first, chunk)) => sum.minus(chunk.census_from(*first, chunk.below(*first, seq))),
            None => sum,
        }
    }

    /// The number of the event before which there are so many others.
    pub(crate) fn nth(&self, n: u64) -> Option<u64> {
        let (first, chunk, before) = self.chunks.first_where(|sum| sum.count > n)?;
        let n = usize::try_from(n - before.count).ok()?;
        let mut here = (0..chunk.offsets.len()).filter(|at| !chunk.is_gone(*at));
        here.nth(n).map(|at| chunk.seq(*first, at))
    }
}

impl Place<'_> {
    pub(crate) fn path(&self) -> Path {
        let (hole, rest) = self.form();
        let name = Name::new(self.chunk.names.get(self.at));
        let mut path: Vec<Name> = rest.map(Name::new).collect();
        if hole <= path.len() {
            path.insert(hole, name);
        }
        path.into()
    }

    /// Whether it stands there.
    pub(crate) fn is_at(&self, path: &[Name]) -> bool {
        let form = self.chunk.forms.get(self.chunk.form_of(self.at));
        is_of_form(form, path) && self.chunk.names.get(self.at) == varying(path)
    }

    fn form(&self) -> (usize, Rest<'_>) {
        let form = self.chunk.forms.get(self.chunk.form_of(self.at));
        parts(form)
    }
}

/// Events of numbers that are not far from each other.
#[derive(Clone, Debug, Default)]
struct Chunk {
    /// By how much each number is greater than that under which the chunk stands. They ascend.
    offsets: Vec<u16>,
    /// Which of them were taken out, a bit for each.
    gone: u128,
    /// Bytes of their names.
    gone_bytes: usize,
    /// In what each path differs from others of its form.
    names: Names,
    /// Which form each path has; empty while all have the first.
    which: Vec<u8>,
    forms: Names,
    census: Census,
}

impl Chunk {
    fn seq(&self, first: u64, at: usize) -> u64 {
        first + u64::from(self.offsets[at])
    }

    /// How many stand below a number.
    fn below(&self, first: u64, seq: u64) -> usize {
        let wanted = seq.saturating_sub(first);
        self.offsets
            .partition_point(|offset| u64::from(*offset) < wanted)
    }

    /// How many there are that were not taken out.
    fn len(&self) -> usize {
        self.offsets.len() - self.gone.count_ones() as usize
    }

    fn is_gone(&self, at: usize) -> bool {
        self.gone >> at & 1 == 1
    }

    fn find(&self, first: u64, seq: u64) -> Option<usize> {
        let offset = u16::try_from(seq.checked_sub(first)?).ok()?;
        let at = self.offsets.binary_search(&offset).ok()?;
        (!self.is_gone(at)).then_some(at)
    }

    /// Over those from a place on.
    fn census_from(&self, first: u64, at: usize) -> Census {
        let here = (at..self.offsets.len()).filter(|at| !self.is_gone(*at));
        let seqs = here.map(|at| self.seq(first, at));
        seqs.map(Census::of_event)
            .fold(Census::default(), Census::plus)
    }

    fn is_too_full(&self) -> bool {
        let len = self.offsets.len();
        // One form, however long, is not told apart by a split.
        let forms = if self.forms.len() > 1 {
            self.forms.bytes()
        } else {
            0
        };
        len > CAPACITY || (len > 1 && self.names.bytes() + forms > MAX_BYTES)
    }

    /// The offset that a number has, if it is near enough.
    fn room_for(&self, first: u64, seq: u64) -> Option<u16> {
        u16::try_from(seq.checked_sub(first)?).ok()
    }

    /// By how much all numbers move, if they are near enough then.
    fn room_for_shift(&self, by: u64) -> Option<u16> {
        let by = u16::try_from(by).ok()?;
        let fits = self.offsets.last()?.checked_add(by).is_some();
        fits.then_some(by)
    }

    /// By how much the numbers of the next chunk move to be in this one, if they fit.
    fn room_for_all(&self, next: &Self, by: u64) -> Option<u16> {
        let by = next.room_for_shift(by)?;
        let one = |chunk: &Self| chunk.forms.len() == 1;
        let same = one(self) && one(next) && self.forms.get(0) == next.forms.get(0);
        let forms = if same {
            0
        } else {
            self.forms.bytes() + next.forms.bytes()
        };
        let fits = self.len() + next.len() <= CAPACITY * 3 / 4
            && self.names.bytes() + next.names.bytes() + forms <= MAX_BYTES;
        fits.then_some(by)
    }

    fn form_of(&self, at: usize) -> usize {
        self.which.get(at).map_or(0, |which| usize::from(*which))
    }

    fn insert(&mut self, offset: u16, seq: u64, path: &[Name]) {
        // Mostly numbers ascend.
        let at = match self.offsets.last() {
            Some(last) if *last >= offset => {
                self.drop_gone();
                self.offsets.partition_point(|before| *before < offset)
            }
            _ => self.offsets.len(),
        };
        let form = self.number_of_form(at, path);
        self.insert_at(at, offset, varying(path), form);
        self.census = self.census.plus(Census::of_event(seq));
        if self.is_too_full() {
            self.drop_gone();
        }
    }

    /// Puts in those that it has room for, from the first on, if they come behind all that is in it. Returns how many.
    fn append_all(&mut self, first: u64, events: &[(u64, Path)]) -> usize {
        for (taken, (seq, path)) in events.iter().enumerate() {
            let behind = |offset: &u16| self.offsets.last().is_none_or(|last| last < offset);
            let offset = self.room_for(first, *seq).filter(behind);
            let Some(offset) = offset.filter(|_| !self.is_too_full()) else {
                return taken;
            };
            self.insert(offset, *seq, path);
        }
        events.len()
    }

    fn insert_at(&mut self, at: usize, offset: u16, name: &[u8], form: u8) {
        if form > 0 && self.which.is_empty() {
            self.which.reserve_exact(self.offsets.capacity());
            self.which.resize(self.offsets.len(), 0);
        }
        if form > 0 || !self.which.is_empty() {
            self.which.insert(at, form);
        }
        self.offsets.insert(at, offset);
        self.names.insert(at, name);
    }

    /// The number of the form of a path. That of the event before is the first to be looked at.
    fn number_of_form(&mut self, at: usize, path: &[Name]) -> u8 {
        let is_it = |form: &usize| is_of_form(self.forms.get(*form), path);
        let before = at.checked_sub(1).map(|before| self.form_of(before));
        let known = before.filter(is_it);
        if let Some(known) = known.or_else(|| (0..self.forms.len()).find(is_it)) {
            return known as u8;
        }
        self.add_form(&form_of(path))
    }

    fn add_form(&mut self, form: &[u8]) -> u8 {
        if self.forms.len() > usize::from(u8::MAX) - 1 {
            self.drop_unused_forms();
        }
        let number = self.forms.len();
        self.forms.insert(number, form);
        number as u8
    }

    /// Forms that no path has go. What is left are no more than paths, which fits.
    fn drop_unused_forms(&mut self) {
        let former = std::mem::take(&mut self.forms);
        if self.which.is_empty() && !self.offsets.is_empty() {
            self.forms.insert(0, former.get(0));
        }
        let mut numbers = vec![None; former.len()];
        for which in &mut self.which {
            let number = &mut numbers[usize::from(*which)];
            *which = *number.get_or_insert_with(|| {
                let next = self.forms.len();
                self.forms.insert(next, former.get(usize::from(*which)));
                next as u8
            });
        }
        if self.forms.len() <= 1 {
            self.which = Vec::new();
        }
    }

    fn advance(&mut self, mut at: usize, offset: u16, seq: u64) {
        // Of an event that was undone the number may come again.
        if self.offsets.get(at + 1) == Some(&offset) {
            at -= (self.gone & ((1 << at) - 1)).count_ones() as usize;
            self.drop_gone();
        }
        self.offsets[at] = offset;
        let (former, next) = (Census::of_event(seq), Census::of_event(seq + 1));
        self.census = self.census.minus(former).plus(next);
    }

    fn remove(&mut self, at: usize, seq: u64) {
        self.gone |= 1 << at;
        self.gone_bytes += self.names.get(at).len();
        self.census = self.census.minus(Census::of_event(seq));
        let are_many = self.gone.count_ones() as usize * GONE >= self.offsets.len();
        if are_many || self.gone_bytes * GONE > self.names.bytes() {
            self.drop_gone();
        }
    }

    /// What was taken out goes.
    fn drop_gone(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        self.gone_bytes = 0;
        if gone == 0 {
            return;
        }
        let is_here = |at: &usize| gone >> at & 1 == 0;
        let names = std::mem::take(&mut self.names);
        let left = names.len() - gone.count_ones() as usize;
        for at in (0..names.len()).filter(is_here) {
            self.names.push(names.get(at), left);
        }
        retain(&mut self.offsets, gone);
        retain(&mut self.which, gone);
        if self.offsets.len() * 2 <= self.offsets.capacity() {
            self.shrink();
        }
    }

    /// Gives back what it has too much.
    fn shrink(&mut self) {
        self.drop_unused_forms();
        self.offsets.shrink_to_fit();
        self.names.shrink();
        self.which.shrink_to_fit();
        self.forms.shrink();
    }

    /// Takes the events from a place on out, with the number under which they are to stand.
    fn split_off(&mut self, first: u64, at: usize) -> (u64, Self) {
        let by = self.offsets[at];
        let census = self.census_from(first, at);
        let mut right = Self {
            offsets: self.offsets.split_off(at),
            gone: 0,
            gone_bytes: 0,
            names: self.names.split_off(at),
            which: self.which.split_off(at.min(self.which.len())),
            forms: self.forms.clone(),
            census,
        };
        self.census = self.census.minus(census);
        right.offsets.iter_mut().for_each(|offset| *offset -= by);
        self.shrink();
        right.shrink();
        (first + u64::from(by), right)
    }

    /// Appends the events of the next chunk, which move by so much.
    fn append(&mut self, next: &Self, by: u16) {
        self.drop_gone();
        let offsets = next.offsets.iter().enumerate();
        for (at, offset) in offsets.filter(|(at, _)| !next.is_gone(*at)) {
            let form = next.forms.get(next.form_of(at));
            let known = (0..self.forms.len()).find(|known| self.forms.get(*known) == form);
            let form = known.map_or_else(|| self.add_form(form), |known| known as u8);
            self.insert_at(self.offsets.len(), offset + by, next.names.get(at), form);
        }
        self.census = self.census.plus(next.census);
    }
}

/// Leaves those whose bit is not set.
fn retain<T>(items: &mut Vec<T>, gone: u128) {
    let mut bits = (0..).map(|at| gone >> at & 1);
    items.retain(|_| bits.next() == Some(0));
}

/// Which name of a path is kept for each by itself: of a key, and of what stands at or under its shape.
fn hole(path: &[Name]) -> usize {
    let at = if path.len() <= 2 { 0 } else { path.len() - 1 };
    at.min(usize::from(u8::MAX - 1))
}

/// The name of a path that is kept by itself.
fn varying(path: &[Name]) -> &[u8] {
    path.get(hole(path)).map_or(&[], |name| name.as_bytes())
}

/// The rest: where that name stands, and all others, each with its length before it. The path of no names has a
/// place that it does not come to.
fn form_of(path: &[Name]) -> Vec<u8> {
    let hole = if path.is_empty() {
        u8::MAX
    } else {
        hole(path) as u8
    };
    let mut out = vec![hole];
    for (at, name) in path.iter().enumerate() {
        if at != usize::from(hole) {
            out.extend_from_slice(&(name.len() as u32).to_be_bytes()[1..]);
            out.extend_from_slice(name);
        }
    }
    out
}

/// Names with their lengths before them.
struct Rest<'a>(&'a [u8]);

impl<'a> Iterator for Rest<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let ([a, b, c], rest) = self.0.split_first_chunk()?;
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (name, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(name)
    }
}

fn parts(form: &[u8]) -> (usize, Rest<'_>) {
    let (hole, rest) = form.split_first().unwrap_or((&u8::MAX, &[]));
    (usize::from(*hole), Rest(rest))
}

fn is_of_form(form: &[u8], path: &[Name]) -> bool {
    let (at, rest) = parts(form);
    if path.is_empty() || at == usize::from(u8::MAX) {
        return path.is_empty() && at == usize::from(u8::MAX);
    }
    let others = path.iter().enumerate().filter(|(other, _)| *other != at);
    at == hole(path) && rest.eq(others.map(|(_, name)| name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rng::Rng;

    fn path(names: &[&str]) -> Path {
        names.iter().map(|name| Name::from(*name)).collect()
    }

    /// Paths of several forms, of long names, of one name and of none.
    fn any_path(rng: &mut Rng) -> Path {
        let n = rng.below(1_000).to_string();
        let set = format!("set {}", rng.below(300));
        match rng.below(8) {
            0 | 1 => path(&[&n, "pn_counter"]),
            2 => path(&[&n]),
            3 => path(&["a register of a long name", "lww_register<str>"]),
            4 | 5 => path(&[&set, "or_set<str>", &n]),
            6 => path(&["m", "or_map<str, or_set<str>>", &set, &"long ".repeat(100)]),
            _ => path(&[]),
        }
    }

    fn check(events: &ByNumber, model: &BTreeMap<u64, Path>, rng: &mut Rng) {
        assert_eq!(events.len(), model.len());
        assert_eq!(events.is_empty(), model.is_empty());
        let all = events.from(0).map(|(seq, place)| (seq, place.path()));
        assert!(all.eq(model.iter().map(|(seq, path)| (*seq, Path::clone(path)))));
        for _ in 0..20 {
            let seq = rng.below(300_000) as u64;
            let next = events.from(seq).next().map(|(seq, _)| seq);
            assert_eq!(next, model.range(seq..).next().map(|(seq, _)| *seq));
            assert_eq!(
                events.get(seq).map(|place| place.path()),
                model.get(&seq).cloned()
            );
            let below = model.range(..seq).map(|(seq, _)| Census::of_event(*seq));
            let below = below.fold(Census::default(), Census::plus);
            assert_eq!(events.sum_below(seq), below);
            let nth = rng.below(model.len() + 2);
            assert_eq!(events.nth(nth as u64), model.keys().nth(nth).copied());
        }
        for (_, chunk) in events.chunks.iter() {
            assert!(chunk.offsets.len() <= CAPACITY);
            let gone = (0..chunk.offsets.len()).filter(|at| chunk.is_gone(*at));
            let bytes = gone.map(|at| chunk.names.get(at).len()).sum::<usize>();
            assert_eq!(bytes, chunk.gone_bytes);
            assert!(bytes * GONE <= chunk.names.bytes());
        }
    }

    #[test]
    fn does_what_a_map_of_paths_does_and_clones_stay() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let (mut events, mut model) = (ByNumber::default(), BTreeMap::new());
            // Numbers that ascend, that descend, and in any order; close together and far apart.
            let (order, span) = (rng.below(3), [4_000, 300_000][rng.below(2)]);
            let mut kept = (events.clone(), model.clone());
            for n in 0..2_000 {
                let seq = match order {
                    0 => n * (span / 2_000),
                    1 => (2_000 - n) * (span / 2_000),
                    _ => rng.below(span as usize) as u64,
                };
                if rng.below(20) == 0 {
                    let several =
                        (0..rng.below(300)).map(|at| (seq + at as u64, any_path(&mut rng)));
                    let several: Vec<_> = several.collect();
                    let is_new = |(seq, _): &(u64, Path)| !model.contains_key(seq);
                    let new: Vec<_> = several.into_iter().filter(is_new).collect();
                    events.insert_all(&new);
                    model.extend(new);
                }
                if let std::collections::btree_map::Entry::Vacant(free) = model.entry(seq) {
                    let path = any_path(&mut rng);
                    events.insert(seq, &path);
                    free.insert(path);
                }
                if rng.below(100) < 45
                    && let Some(seq) = model.keys().nth(rng.below(model.len().max(1)))
                {
                    let seq = *seq;
                    assert!(
                        events
                            .get(seq)
                            .is_some_and(|place| place.is_at(&model[&seq]))
                    );
                    let other = any_path(&mut rng);
                    let is_at = events.get(seq).is_some_and(|place| place.is_at(&other));
                    assert_eq!(is_at, model[&seq] == other);
                    events.remove(seq);
                    model.remove(&seq);
                }
                if let Some(seq) = model.keys().nth(rng.below(model.len().max(1)))
                    && !model.contains_key(&(seq + 1))
                {
                    let seq = *seq;
                    if let Some(path) = model.remove(&seq) {
                        events.advance(seq, &path);
                        model.insert(seq + 1, path);
                    }
                }
                if n == 1_000 {
                    kept = (events.clone(), model.clone());
                }
            }
            check(&events, &model, &mut rng);
            check(&kept.0, &kept.1, &mut rng);
            while let Some(seq) = model.keys().nth(rng.below(model.len().max(1))) {
                let seq = *seq;
                events.remove(seq);
                model.remove(&seq);
                let fewest = model.len() / (CAPACITY / 8) + 8;
                if span == 4_000 {
                    assert!(
                        events.chunks.len() <= fewest,
                        "{} chunks for {}",
                        events.chunks.len(),
                        model.len()
                    );
                }
            }
            check(&events, &model, &mut rng);
        }
    }

    #[test]
    fn a_form_that_is_long_is_not_kept_for_each_event() {
        let long = "long ".repeat(8_000);
        let mut events = ByNumber::default();
        for n in 0..1_000u64 {
            events.insert(n + 1, &path(&["map", "or_map<str>", &long, &n.to_string()]));
        }
        assert!(events.chunks.len() <= 10, "{}", events.chunks.len());
    }

    #[test]
    fn two_long_names_are_split_whichever_comes_first() {
        let long = |n: u64| path(&[&n.to_string().repeat(9_000), "pn_counter"]);
        let mut events = ByNumber::default();
        for seq in [11, 20, 15, 10] {
            events.insert(seq, &long(seq % 10));
        }
        for (first, chunk) in events.chunks.iter() {
            assert!(!chunk.offsets.is_empty(), "nothing stands under {first}");
            assert!(!chunk.is_too_full(), "{first}");
        }
        assert!(events.from(0).map(|(seq, _)| seq).eq([10, 11, 15, 20]));
    }
}
