//! How a peer is told of a context that is too long for one frame.

use std::collections::VecDeque;

use crdt_core::{Context, Seqs};

use crate::frame::MAX_CONTEXT;

/// Frames in which a context is stated, at most: some million ranges. What goes beyond them is left out, which costs
/// bytes and is never wrong.
pub const MAX_STATEMENT: usize = 64;

/// Most bytes of an origin in an encoded context, beside those of its ranges.
const ORIGIN: usize = 40;

/// What a peer that was told so much is told of a context, in parts that fit a frame each; none is left where it knows
/// all of it. Together with what it was told they are the context, unless that is too long.
pub(crate) fn parts(context: &Context, told: &Context) -> VecDeque<Context> {
    let untold = context.untold(told);
    let whole = untold.truncated(MAX_CONTEXT);
    if whole == untold {
        return VecDeque::from([whole]);
    }
    // All seals come first: without them nobody could tell that the rest is a part.
    let mut part = untold.truncated(0);
    let mut left = MAX_CONTEXT.saturating_sub(28 * part.seals().len());
    let mut parts = VecDeque::new();
    for (origin, seqs) in untold.iter() {
        let mut begun = false;
        let mut end = 0;
        for (first, last) in seqs.without(told.get(origin).unwrap_or(Seqs::none())) {
            let mut size = len(first - end) + len(last - first);
            size += if begun { 0 } else { ORIGIN };
            if size > left {
                parts.push_back(std::mem::take(&mut part));
                if parts.len() == MAX_STATEMENT {
                    return parts;
                }
                left = MAX_CONTEXT;
                size = len(first) + len(last - first) + ORIGIN;
            }
            left -= size;
            part.insert_range(origin, first, last);
            (begun, end) = (true, last);
        }
    }
    parts.push_back(part);
    parts
}

/// Bytes of a number, encoded.
fn len(n: u64) -> usize {
    (64 - n.leading_zeros() as usize).div_ceil(7).max(1)
}

#[cfg(test)]
mod tests {
    use crdt_core::codec::Writer;
    use crdt_core::{Dot, ReplicaId};

    use super::*;

    fn sparse(origins: u64, ranges: u64, step: u64) -> Context {
        let mut context = Context::new();
        for origin in 1..=origins {
            let events = (1..=ranges).map(|n| Dot::new(ReplicaId::new(origin, 1), n * step));
            context.extend_sorted(&events.collect::<Vec<_>>());
        }
        context
    }

    fn size(context: &Context) -> usize {
        let mut w = Writer::new();
        context.encode(&mut w);
        w.finish().len()
    }

    #[test]
    fn the_parts_of_a_statement_fit_a_frame_each_and_are_the_context_together() {
        for (origins, ranges, step) in [
            (1, 100, 2),
            (3, 40_000, 9),
            (1, 150_000, 1_000),
            (9_000, 2, 3),
        ] {
            let mut context = sparse(origins, ranges, step);
            context.seal(ReplicaId::new(70_000, 4), 9);
            for told in [Context::new(), sparse(1, ranges / 2, step)] {
                let parts = parts(&context, &told);
                assert!(parts.iter().all(|part| size(part) <= MAX_CONTEXT));
                assert!(parts[0].seals() == context.seals());
                let mut heard = told;
                parts.iter().for_each(|part| heard.union(part));
                assert_eq!(heard, context);
                let all: usize = parts.iter().map(size).sum();
                assert!(
                    parts.len() <= 1 + all / (MAX_CONTEXT / 2),
                    "{}",
                    parts.len()
                );
            }
        }
    }

    #[test]
    fn a_statement_has_a_most_of_frames_and_says_nothing_that_is_not_so() {
        let context = sparse(60, 60_000, 1_000);
        let parts = parts(&context, &Context::new());
        assert_eq!(parts.len(), MAX_STATEMENT);
        assert!(
            parts
                .iter()
                .all(|part| size(part) <= MAX_CONTEXT && part.is_subset(&context))
        );
    }
}
