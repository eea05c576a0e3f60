//! The sending side of a full comparison asks where what is live differs, and states it there.
//!
//! Of a range with more to state than a frame carries the peer is told a fingerprint. It answers whether it has the
//! same; a range that differs is taken apart, until what is left is short enough to be stated.

use std::collections::VecDeque;

use crdt_core::Context;

use crate::index::Index;
use crate::range::{MAX_COMPARED, Range};
use crate::time::Time;
use crate::walk::Statement;

/// Into how many a range that differs is taken apart.
const PARTS: u64 = 16;
/// A range that takes no more numbers than this to be stated is; as many bytes as fingerprints of its parts.
const SHORT: u64 = 48;

#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    ask: VecDeque<Range>,
    /// The last question.
    number: u64,
    open: Option<(Time, Vec<Range>)>,
    short: u64,
    statement: Statement,
}

impl Asking {
    /// `seen`: what the peer has seen; `chunk`: bytes of a frame.
    pub(crate) fn new(index: &Index, seen: &Context, chunk: usize) -> Self {
        // What a frame carries is stated at once: to ask would take a round trip.
        let outright = chunk as u64 / 8;
        let all = Range::ALL;
        let mut asking = Self {
            short: SHORT.min(outright),
            ..Self::default()
        };
        if all.weight(index, seen) <= outright {
            asking.statement.push(all);
        } else {
            asking.ask.extend(all.split(index, PARTS));
        }
        asking
    }

    pub(crate) fn waits_since(&self) -> Option<Time> {
        self.open.as_ref().map(|(since, _)| *since)
    }

    /// The next question, unless one is open: ranges with their fingerprints.
    pub(crate) fn next_question(
        &mut self,
        now: Time,
        index: &Index,
        seen: &Context,
    ) -> Option<Vec<(Range, u64)>> {
        if self.open.is_some() || self.ask.is_empty() {
            return None;
        }
        let next = self.ask.len().min(MAX_COMPARED);
        let ranges: Vec<Range> = self.ask.drain(..next).collect();
        let question = ranges
            .iter()
            .map(|range| (*range, range.fingerprint(index, seen)));
        let question = question.collect();
        self.number += 1;
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
        for (range, _) in ranges
            .into_iter()
            .zip(which)
            .filter(|(_, differs)| **differs)
        {
            let parts = range.split(index, PARTS);
            if parts.len() == 1 || range.weight(index, seen) <= self.short {
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
