//! When a write is confirmed by a majority, so that every later majority read sees it: a model of votes and of
//! the second question.
//!
//! One write, made by node 0. Nodes pass it on; a process says once that it has it, to node 0, which does not
//! notice at once when a process ends. A process that was started anew has nothing, and no vote in reads until it
//! has what a majority of the others had that vote, or what all others had.
//!
//! Rule: when as many as it takes have acknowledged, they are asked once more, and count if they answer as the
//! same processes. Then there was a moment, between the last acknowledgement and the first answer, at which all
//! of them had it. From then on every majority of voters has one that has it, as long as any process has it at
//! all.
//!
//! Left out ([`Break`]): the second question, or that a new process has no vote.

use std::collections::BTreeMap;

use super::Failure;
use crate::rng::Rng;

/// A part of the rule that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Acknowledgements alone confirm.
    OneQuestion,
    /// A process votes from its start.
    Vote,
}

#[derive(Clone, Default)]
struct Process {
    nonce: u64,
    has: bool,
    votes: bool,
    /// Whom it has caught up with since its start, and whether that one had a vote.
    heard: BTreeMap<usize, bool>,
}

/// Runs one history. Returns whether the write was confirmed.
///
/// # Errors
///
/// [`Failure`] if a majority read can miss a confirmed write that some process has.
pub fn run(seed: u64, broken: Option<Break>) -> Result<bool, Failure> {
    let mut rng = Rng::new(seed);
    let count = [3, 4, 5][rng.below(3)];
    let majority = count / 2 + 1;
    let mut nonces = count as u64;
    let mut nodes: Vec<Process> = (0..count as u64)
        .map(|nonce| Process {
            nonce,
            votes: true,
            ..Process::default()
        })
        .collect();
    nodes[0].has = true;
    let writer = nodes[0].nonce;
    let mut acknowledged: BTreeMap<usize, u64> = BTreeMap::new();
    let mut again: Option<(BTreeMap<usize, u64>, usize)> = None;
    let mut confirmed = false;
    for _ in 0..60 {
        let (a, b) = (rng.below(count), rng.below(count));
        match rng.below(20) {
            0 => nodes[b].has |= nodes[a].has,
            1 | 2 if a != 0 => {
                nonces += 1;
                let votes = broken == Some(Break::Vote);
                nodes[a] = Process {
                    nonce: nonces,
                    votes,
                    ..Process::default()
                };
            }
            3..=12 if a != b && !nodes[a].votes => {
                let (has, votes) = (nodes[b].has, nodes[b].votes);
                nodes[a].has |= has;
                nodes[a].heard.insert(b, votes);
                let voters = nodes[a].heard.values().filter(|votes| **votes).count();
                let all = nodes[a].heard.len() == count - 1;
                nodes[a].votes = all || voters > (count - 1) / 2;
            }
            _ if a == 0 || confirmed => {}
            _ => match &mut again {
                None if nodes[a].has => {
                    acknowledged.insert(a, nodes[a].nonce);
                    if acknowledged.len() + 1 >= majority {
                        // With one other the moment is that of its acknowledgement.
                        if majority <= 2 || broken == Some(Break::OneQuestion) {
                            confirmed = true;
                        } else {
                            again = Some((acknowledged.clone(), 0));
                        }
                    }
                }
                None => {}
                Some((asked, answered)) => {
                    match asked.remove(&a) {
                        Some(nonce) if nonce == nodes[a].nonce => *answered += 1,
                        // It is another process: the others are not enough.
                        Some(_) => {
                            acknowledged.remove(&a);
                            again = None;
                            continue;
                        }
                        None => {}
                    }
                    confirmed = *answered + 1 >= majority;
                }
            },
        }
        let somebody = nodes.iter().any(|node| node.has);
        let blind = nodes.iter().filter(|node| node.votes && !node.has).count();
        if confirmed && somebody && blind >= majority && nodes[0].nonce == writer {
            let what =
                format!("{blind} of {count} that vote do not have what a majority confirmed");
            return Err(Failure { seed, what });
        }
    }
    Ok(confirmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_read_sees_what_a_majority_confirmed() {
        let mut confirmed = 0;
        for seed in 0..200_000 {
            confirmed += u64::from(run(seed, None).unwrap());
        }
        assert!(confirmed > 50_000, "confirmed in {confirmed} runs only");
    }

    #[test]
    fn every_part_of_the_rule_is_needed() {
        for broken in [Break::OneQuestion, Break::Vote] {
            let failed = (0..500_000).find(|seed| run(*seed, Some(broken)).is_err());
            assert!(failed.is_some(), "without {broken:?} nothing was noticed");
        }
    }
}
