//! The sending side of a full comparison asks where what is live differs, and states it there.
//!
//! Of a range with more to state than a frame carries the peer is told a fingerprint. It answers whether that says all:
//! it has the same, or the same but for one event, or for two that are live there alone. A range that differs in more is
//! taken apart, until what is left is short enough to be stated. At first there are as many ranges as events that the
//! peer lacks: each of those may have removed one of what it has.

use std::collections::VecDeque;

use crdt_core::Context;

use crate::index::Index;
use crate::range::{MAX_COMPARED, Print, Range};
use crate::time::Time;
use crate::walk::Statement;

/// Into how many a range that differs is taken apart: if most of a question do, they differ in many events, and if few
/// do, mostly in two or three.
const PARTS: u64 = 16;
const FEW_PARTS: u64 = 4;
/// As many numbers as take about the bytes of a fingerprint to be stated.
const NUMBERS: u64 = 6;
/// Ranges to begin with, at most.
const MAX_PARTS: u64 = 4 * MAX_COMPARED as u64;

/// Bytes that are sent behind a question before its answer has come, at most by a message more.
const MAX_AHEAD: usize = 256 * 1024;

#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    ask: VecDeque<Range>,
    /// The last question.
    number: u64,
    open: Option<(Time, Vec<Range>)>,
    /// Bytes that were sent since.
    ahead: usize,
    /// A range that takes no more numbers than this to be stated is not compared.
    outright: u64,
    statement: Statement,
}

impl Asking {
    /// `seen`: what the peer has seen; `lacking`: of how many events about it may not know what they removed; `chunk`:
    /// bytes of a frame.
    pub(crate) fn new(index: &Index, seen: &Context, lacking: u64, chunk: usize) -> Self {
        // What a frame carries is stated at once: to ask would take a round trip.
        let outright = chunk as u64 / 8;
        let all = Range::ALL;
        let mut asking = Self {
            outright,
            ..Self::default()
        };
        // With two fingerprints for each event it is mostly told.
        if all.weight(index, seen) <= outright.max(lacking.saturating_mul(2 * NUMBERS)) {
            asking.statement.push(all);
        } else {
            asking.ask.extend(all.split(index, lacking.min(MAX_PARTS)));
        }
        asking
    }

    pub(crate) fn waits_since(&self) -> Option<Time> {
        self.open.as_ref().map(|(since, _)| *since)
    }

    /// Something was sent. The peer gets to know of a question when all before it has arrived, so its time begins
    /// anew.
    pub(crate) fn note_sent(&mut self, now: Time, bytes: usize) {
        if let Some((since, _)) = &mut self.open {
            *since = now;
            self.ahead += bytes;
        }
    }

    /// Whether there is so much on its way since the question that the answer is to be waited for: what the peer
    /// has not got yet is in the way of the next question.
    pub(crate) fn is_ahead(&self) -> bool {
        self.open.is_some() && self.ahead >= MAX_AHEAD
    }

    /// The next question, unless one is open: ranges with their fingerprints.
    pub(crate) fn next_question(
        &mut self,
        now: Time,
        index: &Index,
        seen: &Context,
    ) -> Option<Vec<(Range, Print)>> {
        if self.open.is_some() || self.ask.is_empty() {
            return None;
        }
        let next = self.ask.len().min(MAX_COMPARED);
        let mut ranges: Vec<Range> = self.ask.drain(..next).collect();
        // Parts of the first ones of a level come behind the last ones of it, if these are many.
        ranges.sort_unstable_by_key(Range::first);
        let question = ranges
            .iter()
            .map(|range| (*range, range.print(index, seen)));
        let question = question.collect();
        self.number += 1;
        self.ahead = 0;
        self.open = Some((now, ranges));
        Some(question)
    }

    /// Which ranges of a question differ. Returns whether that can be; what is late is passed over.
    pub(crate) fn answered(
        &mut self,
        number: u64,
        which: &[bool],
        index: &Index,
        seen: &Context,
    ) -> bool {
        if number != self.number {
            return number < self.number;
        }
        let Some((_, ranges)) = self.open.take() else {
            return true;
        };
        if which.len() != ranges.len() {
            return false;
        }
        let differ = which.iter().filter(|differs| **differs).count();
        let parts = if differ * 2 > which.len() {
            PARTS
        } else {
            FEW_PARTS
        };
        let short = self.outright.min(parts * NUMBERS);
        for (range, _) in ranges
            .into_iter()
            .zip(which)
            .filter(|(_, differs)| **differs)
        {
            let parts = range.split(index, parts);
            if parts.len() == 1 || range.weight(index, seen) <= short {
                self.statement.push(range);
            } else {
                self.ask.extend(parts);
            }
        }
        true
    }

    /// What is stated.
    pub(crate) fn statement(&mut self) -> &mut Statement {
        &mut self.statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::{decode, encode};
    use crdt_core::codec::{Reader, Writer};
    use crdt_core::kernel::{EntryRef, ValueRef};
    use crdt_core::{Dot, Path, ReplicaId};

    #[test]
    fn questions_of_many_ranges_ascend_and_end_in_all_being_stated() {
        let path: Path = [].as_slice().into();
        let (mut index, mut seen) = (Index::default(), Context::new());
        let replica = ReplicaId::new(1, 1);
        for seq in (1..=1_400_000).filter(|seq| seq % 2 == 0) {
            let (dot, value) = (Dot::new(replica, seq), ValueRef::Unit);
            index.born(&path, EntryRef { dot, value });
        }
        seen.insert_range(replica, 1, 1_400_000);
        let mut asking = Asking::new(&index, &seen, PARTS, 64);
        let (mut number, mut full) = (0, 0);
        while let Some(question) = asking.next_question(Time::ZERO, &index, &seen) {
            number += 1;
            full += usize::from(question.len() == MAX_COMPARED);
            let mut w = Writer::new();
            encode(&question, &mut w);
            let bytes = w.finish();
            assert_eq!(decode(&mut Reader::new(&bytes)).as_ref(), Ok(&question));
            // All but the first differ, until there are more parts of one level than a question has.
            let differs: Vec<bool> = (0..question.len())
                .map(|at| at > 0 && number <= 4)
                .collect();
            assert!(asking.answered(number, &differs, &index, &seen));
        }
        assert!(full > 4, "{full} full questions of {number}");
        assert!(asking.waits_since().is_none());
    }
}
