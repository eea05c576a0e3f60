//! Full comparison by fingerprints of ranges: a model of what the receiver may keep without being told.
//!
//! What is live is a function of the events that were seen: those that no seen removal had seen. The sender has
//! frozen its state; the receiver goes on, and hears from a third. Where both have the same live events of a
//! range, of those that the other has seen, the receiver keeps them; elsewhere the sender says which are live.
//! All else that the sender has seen is dead.
//!
//! Rule: in a range that is equal the receiver keeps what it *had seen when it was compared*. What came
//! later may be dead for the sender, whose statement did not speak of it; if it is live there the sender
//! brings it, because it does not know that the receiver has it.
//!
//! Rule: sums tell of a single event in which a range differs which it is, and of two that are live at the receiver
//! alone. What is live there alone is dead there too, and nothing else of the range is; if one is live at the sender
//! alone the receiver loses nothing. So such a range need not be stated.
//!
//! Left out ([`Break`]): it keeps all that it has in the range by the end, or what is live there alone as well.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Failure;
use crate::rng::Rng;

/// A part of the rule that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// What came while the comparison went on is kept as well.
    KeptByTheEnd,
    /// A range that differs in one event, or two, is kept with them.
    KeptTheOne,
}

type Events = BTreeSet<usize>;

/// All events: what each removes; an addition removes nothing.
type History = Vec<Option<Events>>;

fn live(history: &History, seen: &Events) -> Events {
    let removals = seen.iter().filter_map(|event| history[*event].as_ref());
    let dead: Events = removals.flatten().copied().collect();
    let adds = seen.iter().filter(|event| history[**event].is_none());
    adds.filter(|event| !dead.contains(event))
        .copied()
        .collect()
}

/// Three replicas for some steps: each has what it has seen.
fn act(rng: &mut Rng, history: &mut History, seen: &mut [Events; 3], steps: usize, frozen: bool) {
    for _ in 0..steps {
        // The sender of a comparison is a view, which nothing reaches any more.
        let at = if frozen {
            1 + rng.below(2)
        } else {
            rng.below(3)
        };
        let from = rng.below(3);
        match rng.below(6) {
            0..=2 => {
                seen[at].insert(history.len());
                history.push(None);
            }
            3 => {
                let here = live(history, &seen[at]);
                let some = here.into_iter().filter(|_| rng.below(2) == 0).collect();
                seen[at].insert(history.len());
                history.push(Some(some));
            }
            4 => {
                let all = seen[from].clone();
                seen[at].extend(all);
            }
            // An exchange that was cut.
            _ => {
                let some: Events = seen[from]
                    .iter()
                    .filter(|_| rng.below(2) == 0)
                    .copied()
                    .collect();
                seen[at].extend(some);
            }
        }
    }
}

fn within(events: &Events, range: &Range<usize>) -> Events {
    events.range(range.clone()).copied().collect()
}

/// Runs one history with one comparison at its end. Returns of how many ranges nothing had to be stated.
///
/// # Errors
///
/// [`Failure`] if what is live at the receiver afterwards is not what its events say.
pub fn run(seed: u64, broken: Option<Break>) -> Result<usize, Failure> {
    let mut rng = Rng::new(seed);
    let (mut history, mut seen) = (
        History::new(),
        [Events::new(), Events::new(), Events::new()],
    );
    let steps = 5 + rng.below(30);
    act(&mut rng, &mut history, &mut seen, steps, false);
    let against = seen[1].clone();
    let steps = rng.below(5);
    act(&mut rng, &mut history, &mut seen, steps, false);
    let sender = seen[0].clone();
    let sent = live(&history, &sender);
    let steps = rng.below(5);
    act(&mut rng, &mut history, &mut seen, steps, true);
    let view = seen[1].clone();
    let here = live(&history, &view);

    let all = 0..history.len();
    let mut ask = vec![all];
    let (mut equal, mut stated) = (Vec::new(), Events::new());
    while let Some(range) = ask.pop() {
        let theirs = within(&sent, &range)
            .intersection(&against)
            .copied()
            .collect::<Events>();
        let mine = within(&here, &range)
            .intersection(&sender)
            .copied()
            .collect::<Events>();
        let half = range.start + range.len() / 2;
        let differ: Events = theirs.symmetric_difference(&mine).copied().collect();
        let is_told = match differ.len() {
            0 => true,
            // Not always looked for: there may be too many origins, or too much in the range.
            1 => rng.below(4) > 0,
            2 => differ.is_subset(&mine) && rng.below(4) > 0,
            _ => false,
        };
        if is_told {
            let gone = match broken {
                Some(Break::KeptTheOne) => Events::new(),
                _ => differ.intersection(&mine).copied().collect(),
            };
            equal.push((range, gone));
        } else if range.len() <= 2 {
            stated.extend(theirs);
        } else {
            ask.extend([range.start..half, half..range.end]);
        }
        // The receiver goes on between two questions.
        act(&mut rng, &mut history, &mut seen, 1, true);
    }

    let by_now = match broken {
        Some(Break::KeptByTheEnd) => &seen[1],
        _ => &view,
    };
    let mut kept = stated;
    for (range, gone) in &equal {
        kept.extend(within(by_now, range).difference(gone));
    }
    let brought: Events = sent.difference(&against).copied().collect();
    let mut out = live(&history, &seen[1]);
    out.retain(|event| !sender.contains(event) || kept.contains(event) || brought.contains(event));
    // A removal of which the sender has not seen all that it removed is still on record there.
    for event in sender.difference(&against) {
        let removed = history[*event]
            .iter()
            .filter(|removed| !removed.is_subset(&sender));
        removed.flatten().for_each(|dead| {
            out.remove(dead);
        });
    }
    let both: Events = seen[1].union(&sender).copied().collect();
    let removed_here = |event: &usize| {
        let removals = seen[1].iter().filter_map(|e| history[*e].as_ref());
        removals.flatten().any(|dead| dead == event)
    };
    out.extend(
        brought
            .into_iter()
            .filter(|e| !seen[1].contains(e) && !removed_here(e)),
    );
    let due = live(&history, &both);
    if out != due {
        let what = format!("{out:?} are live, and should be {due:?}");
        return Err(Failure { seed, what });
    }
    Ok(equal.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_of_ranges_ends_in_what_the_events_say() {
        let mut equal = 0;
        for seed in 0..100_000 {
            equal += run(seed, None).unwrap();
        }
        assert!(equal > 100_000, "{equal} ranges were equal only");
    }

    #[test]
    fn what_came_meanwhile_may_not_be_kept() {
        let failed = (0..20_000).find(|seed| run(*seed, Some(Break::KeptByTheEnd)).is_err());
        assert!(failed.is_some());
    }

    #[test]
    fn the_one_in_which_a_range_differs_may_not_be_kept() {
        let failed = (0..20_000).find(|seed| run(*seed, Some(Break::KeptTheOne)).is_err());
        assert!(failed.is_some());
    }
}
