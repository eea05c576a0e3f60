//! When what a process that is gone had made may be taken as settled: a model of sealing.
//!
//! A process R has made events, given each to some of the members, and is gone. A member may *seal* R, which
//! means that whatever it holds of R is all that there ever was: R's entry in contexts goes, and an event of R
//! that turns up later is void. That is safe only if no member holds another event of R then, or ever will.
//!
//! Rule: a member asks all others, twice, for the set that each holds, and seals R if all have answered both
//! times, as the same processes, with the set that it holds itself. The second question is asked when all
//! answers to the first have come. Who answers is connected to no process R. What a process holds only grows,
//! so between the two rounds there is one moment at which all hold the same; from then on no member can get
//! more from a member, and not from R either.
//!
//! R stands for all that is not sealed yet of one node: a later seal builds on the one before it, and what is
//! compared has that one in it, so that whoever lacks it has not the same set.
//!
//! Left out ([`Break`]): the second round, the comparison of processes, or that R is not connected.

use std::collections::BTreeSet;

use super::Failure;
use crate::rng::Rng;

/// A part of the rule that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// One round only.
    OneRound,
    /// Answers of the second round may come from other processes than those of the first.
    AnyProcess,
    /// Whoever is still connected to R may answer.
    Connected,
}

type Events = BTreeSet<u8>;

/// Events that R had made.
const MADE: u8 = 2;

struct Member {
    nonce: u64,
    holds: Events,
    connected: bool,
    kept: Events,
    sealed: Option<Events>,
}

/// One answer: from which process, and with which set.
type Answer = (u64, Events);

struct Question {
    asker: usize,
    /// Of the asker's process, which forgets it when it ends.
    nonce: u64,
    rounds: Vec<Vec<Option<Answer>>>,
}

/// Runs one history. Returns whether R was sealed.
///
/// # Errors
///
/// [`Failure`] if a member holds an event of R that a seal calls void.
pub fn run(seed: u64, broken: Option<Break>) -> Result<bool, Failure> {
    let mut rng = Rng::new(seed);
    let count = rng.range(2, 4);
    let mut nonces = 0;
    let mut members: Vec<Member> = Vec::new();
    for _ in 0..count {
        nonces += 1;
        let some: Events = (1..=MADE).filter(|_| rng.chance(20)).collect();
        members.push(Member {
            nonce: nonces,
            holds: some.clone(),
            connected: rng.chance(30),
            kept: some,
            sealed: None,
        });
    }
    let mut question: Option<Question> = None;
    let rounds = if broken == Some(Break::OneRound) {
        1
    } else {
        2
    };
    for _ in 0..40 {
        let (a, b) = (rng.below(count), rng.below(count));
        match rng.below(20) {
            // What was on its way from R to whom it was connected arrives.
            0 if members[a].connected => {
                let event = rng.range(1, MADE.into()) as u8;
                members[a].take(&[event].into());
            }
            // A connection ends after all that came over it was taken.
            1 | 2 => members[a].connected = false,
            3..=8 => {
                let holds = members[a].holds.clone();
                members[b].take(&holds);
                if let Some(sealed) = members[a].sealed.clone() {
                    members[b].seal(sealed);
                }
            }
            9 => members[a].kept = members[a].holds.clone(),
            10 | 11 => {
                nonces += 1;
                members[a].restart(nonces, rng.chance(70));
            }
            12 if question.is_none() => {
                question = Some(Question {
                    asker: a,
                    nonce: members[a].nonce,
                    rounds: vec![vec![None; count]],
                });
            }
            _ => {
                let Some(asked) = &mut question else { continue };
                if members[asked.asker].nonce != asked.nonce {
                    question = None;
                    continue;
                }
                let answer = (members[a].nonce, members[a].holds.clone());
                let may = !members[a].connected || broken == Some(Break::Connected);
                let round = asked.rounds.len() - 1;
                if may && members[a].sealed.is_none() && asked.rounds[round][a].is_none() {
                    asked.rounds[round][a] = Some(answer);
                }
                let full = |round: &Vec<Option<Answer>>| round.iter().all(Option::is_some);
                if !full(&asked.rounds[round]) {
                    continue;
                }
                if asked.rounds.len() < rounds {
                    asked.rounds.push(vec![None; count]);
                    continue;
                }
                let own = members[asked.asker].holds.clone();
                let same = asked
                    .rounds
                    .iter()
                    .flatten()
                    .flatten()
                    .all(|(_, set)| *set == own);
                let processes = |round: &Vec<Option<Answer>>| -> Vec<u64> {
                    round.iter().flatten().map(|(nonce, _)| *nonce).collect()
                };
                let first = processes(&asked.rounds[0]);
                let steady = asked.rounds.iter().all(|round| processes(round) == first);
                if same && (steady || broken == Some(Break::AnyProcess)) {
                    members[asked.asker].seal(own);
                }
                question = None;
            }
        }
        check(seed, &members)?;
    }
    Ok(members.iter().any(|member| member.sealed.is_some()))
}

impl Member {
    fn take(&mut self, events: &Events) {
        if self.sealed.is_none() {
            self.holds.extend(events);
        }
    }

    /// In the code a process that was told of a seal and holds another set goes through a full comparison
    /// with who told it; whatever it held beyond the seal is void then.
    fn seal(&mut self, sealed: Events) {
        self.sealed.get_or_insert(sealed);
    }

    fn restart(&mut self, nonce: u64, empty: bool) {
        self.nonce = nonce;
        if empty {
            // An image from before its disk was lost does not come back: what only that held is void by
            // definition, as what a node held that was removed.
            self.kept = Events::new();
        }
        self.holds = self.kept.clone();
        // A new process is connected to nobody who is gone, and knows of no seal until it is told.
        self.connected = false;
        self.sealed = None;
    }
}

/// No event that a member holds, or ever gets, is void by a seal.
fn check(seed: u64, members: &[Member]) -> Result<(), Failure> {
    let Some(sealed) = members.iter().find_map(|member| member.sealed.as_ref()) else {
        return Ok(());
    };
    for (at, member) in members.iter().enumerate() {
        if let Some(lost) = member.holds.difference(sealed).next() {
            let what =
                format!("member {at} holds event {lost}, which a seal with {sealed:?} calls void");
            return Err(Failure { seed, what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_member_holds_is_ever_void() {
        let mut sealed = 0;
        for seed in 0..40_000 {
            sealed += u64::from(run(seed, None).unwrap());
        }
        assert!(sealed > 1_000, "sealed in {sealed} runs only");
    }

    #[test]
    fn every_part_of_the_rule_is_needed() {
        for broken in [Break::OneRound, Break::AnyProcess, Break::Connected] {
            let failed = (0..1_000_000).find(|seed| run(*seed, Some(broken)).is_err());
            assert!(failed.is_some(), "without {broken:?} nothing was noticed");
        }
    }
}
