//! The self-check: whether what is here is what should be.
//!
//! A sum over everything live is kept, and states of equal contexts have equal sums. So a fault in memory, or in
//! this code, shows in two ways. *Scrubbing* sums everything up anew, a little at a time, from a frozen view, and
//! compares; it also looks whether every live event is where the index says, and in the context. *Comparing*
//! happens with every digest: who has an equal context and another sum is at fault, or this replica is. Then a
//! third opinion is asked for: a replica that nobody agrees with, and against which two others agree with each
//! other, is the one.
//!
//! A replica that finds itself damaged says so once ([`Event::Damaged`]) and has to be [made
//! anew](Replica::reborn), which is as if its process had lost its memory. That two of the same context
//! disagree, and no third one is there to tell, is [reported](Event::Diverged) and left alone: to let the
//! missing win would spread a fault in one replica to all.

use std::collections::BTreeMap;
use std::time::Duration;

use crdt_core::codec::Writer;
use crdt_core::kernel::EntryRef;
use crdt_core::{Context, Name, Path, ReplicaId};

use super::{Event, Replica};
use crate::NodeId;
use crate::config::Config;
use crate::fingerprint::Hashes;
use crate::key_space::Frozen;
use crate::time::Time;

/// Live events that are summed up at one time, for which readers wait some tenths of a millisecond.
const STEP: usize = 256;
/// Between two steps.
const PAUSE: Duration = Duration::from_millis(5);

/// What a replica found wrong with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Damage {
    /// The sum that is kept is not that of what is live.
    Sum,
    /// A live event is not where the index says, or not in the context.
    Index,
    /// Two others of the same context agree with each other and not with this replica.
    Others,
    /// The others have [sealed](crate::Status::origins) this replica's incarnation: they had removed its node
    /// and took the process for gone. Whatever it writes, to them it is void. Or they have sealed another, of
    /// which this replica has seen something else: what that had removed is not to be told from what is gone.
    Sealed,
}

#[derive(Clone, Debug)]
pub(super) struct SelfCheck {
    due: Time,
    scrub: Option<Scrub>,
    /// The sum that each peer had when its context was equal to the one of this hash.
    opinions: BTreeMap<NodeId, (u128, u64)>,
    damaged: bool,
    /// Up to here this node's incarnations are sealed elsewhere.
    sealed: Option<ReplicaId>,
    /// This replica takes and gives nothing any more: it waits for being made anew.
    over: bool,
}

#[derive(Clone, Debug)]
struct Scrub {
    frozen: Frozen,
    kept: u128,
    sum: u128,
    /// The place that was summed up last.
    done: Option<Path>,
}

impl SelfCheck {
    pub(super) fn new(due: Time) -> Self {
        Self {
            due,
            scrub: None,
            opinions: BTreeMap::new(),
            damaged: false,
            sealed: None,
            over: false,
        }
    }

    /// What a peer's former process said counts no more.
    pub(super) fn forget_opinion(&mut self, node: &NodeId) {
        self.opinions.remove(node);
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        (!self.damaged).then_some(self.due)
    }
}

impl Scrub {
    /// Sums up some more. Answers at the end, or at the first thing that is wrong.
    fn step(&mut self, hashes: &Hashes) -> Option<Result<(), Damage>> {
        let Frozen { store, index } = &self.frozen;
        let (sum, mut misplaced, mut room) = (&mut self.sum, false, Writer::new());
        let mut check = |path: &[Name], entry: EntryRef<'_>| {
            *sum = sum.wrapping_add(hashes.entry(path, entry, &mut room));
            let place = index.live().get(entry.dot);
            let placed = place.is_some_and(|place| place.is_at(path));
            misplaced |= !placed || !store.context().contains(entry.dot);
        };
        let root = store.root().as_ref();
        self.done = root.visit_some(self.done.as_deref(), STEP, &mut check);
        if misplaced {
            return Some(Err(Damage::Index));
        }
        if self.done.is_some() {
            return None;
        }
        let sound = self.sum == self.kept;
        Some(if sound { Ok(()) } else { Err(Damage::Sum) })
    }
}

impl Replica {
    /// Whether this replica has found itself damaged; see [`Event::Damaged`].
    pub fn is_damaged(&self) -> bool {
        self.self_check.damaged
    }

    /// Own events that no peer is known to have: they are lost if this replica goes now.
    pub fn unshared(&self) -> u64 {
        let mut own = self.keys.context().restrict([self.config.replica]);
        let processes = self.peers.values().filter_map(|peer| peer.process.as_ref());
        for process in processes {
            own = own.difference(&process.known);
        }
        own.len()
    }

    /// An empty replica in the place of this one, under a new incarnation and nonce that were never used: it
    /// catches up with its peers, to which it has to be connected anew. The clock and the members are to be
    /// told again. Where the incarnation is not a later one, because a clock was set back say, it is raised.
    pub fn reborn(&self, replica: ReplicaId, nonce: u64, now: Time) -> Self {
        let former = self.self_check.sealed.max(Some(self.config.replica));
        let later = former.map_or(0, |former| former.incarnation().saturating_add(1));
        let replica = ReplicaId::new(replica.node(), replica.incarnation().max(later));
        let config = Config {
            replica,
            nonce,
            seed: nonce,
            peers: self.others().cloned().collect(),
            bootstrap: false,
            ..self.config.clone()
        };
        let mut reborn = Self::new(config, now);
        // The process goes on, and so do its own keys.
        reborn.take_own_keys_over(now, &self.owned);
        reborn.keys.take_standby_over(self.keys.standby());
        reborn.quorum = self.quorum.reborn();
        reborn.recover();
        reborn
    }

    /// Goes on with scrubbing, if that is due.
    pub(super) fn scrub(&mut self, now: Time) {
        if now < self.self_check.due || self.self_check.damaged {
            return;
        }
        let (frozen, kept) = (self.keys.freeze(), self.keys.fingerprint());
        let new = || Scrub {
            frozen,
            kept,
            sum: 0,
            done: None,
        };
        let scrub = self.self_check.scrub.get_or_insert_with(new);
        match scrub.step(&self.hashes) {
            None => self.self_check.due = now + PAUSE,
            Some(outcome) => {
                self.self_check.scrub = None;
                self.self_check.due = now + self.rng.spread(self.config.timing.scrub);
                self.counts.scrubs += 1;
                if let Err(damage) = outcome {
                    self.be_damaged(damage);
                }
            }
        }
    }

    /// A peer has an equal context, and this sum.
    pub(super) fn compare_sums(&mut self, node: &NodeId, theirs: u64) {
        let (hash, own) = (self.keys.context_hash(), self.keys.fingerprint() as u64);
        let opinion = (hash, theirs);
        let known = self.self_check.opinions.insert(node.clone(), opinion);
        if theirs == own {
            return;
        }
        self.emit(Event::Diverged(node.clone()));
        if known != Some(opinion) {
            // Others are told this replica's sum, and so tell it theirs.
            let processes = self.peers.values_mut();
            for process in processes.filter_map(|peer| peer.process.as_mut()) {
                process.due.digest = true;
            }
        }
        let opinions = self.self_check.opinions.iter();
        let now: Vec<u64> = opinions
            .filter(|(node, (at, _))| *at == hash && self.is_up(node))
            .map(|(_, (_, sum))| *sum)
            .collect();
        let agree = |sum: u64| now.iter().filter(|other| **other == sum).count();
        if agree(own) == 0 && agree(theirs) >= 2 {
            self.be_damaged(Damage::Others);
        }
    }

    /// A peer has this context. Returns whether nothing is to be heard of it: because it says that this replica's time
    /// is over, or because its own is.
    ///
    /// Of two sides of a partition that sealed each other's processes all replicas could find that their time is over,
    /// and nothing would be left to catch up with. So only one side's is.
    pub(super) fn is_sealed_by(&mut self, node: &NodeId, context: &Context) -> bool {
        let own = self.config.replica;
        let mut seals = context.seals().iter();
        let seal = seals.find(|(last, _)| last.node() == own.node() && own <= *last);
        let sealed = seal.map(|(last, _)| last);
        self.self_check.sealed = self.self_check.sealed.max(sealed);
        let here = self.keys.context();
        if sealed.is_some() || here.contradicts(context) {
            let process = self.peers.get(node).and_then(|peer| peer.process.as_ref());
            let its_is = process.is_some_and(|process| here.is_sealed(process.replica));
            if (its_is || context.contradicts(here)) && here.prevails_over(context) {
                return true;
            }
            self.self_check.over = true;
            self.be_damaged(Damage::Sealed);
        }
        self.self_check.over
    }

    fn be_damaged(&mut self, damage: Damage) {
        if !std::mem::replace(&mut self.self_check.damaged, true) {
            tracing::error!(node = %self.config.node, ?damage, "this replica is damaged");
            self.emit(Event::Damaged(damage));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_CHUNK, Timing, UpdateError};
    use crdt_core::{Limits, OrSet, OrSetEdit};

    fn replica(keys: usize) -> Replica {
        let config = Config {
            cluster: "shop".parse().unwrap(),
            node: "a".parse().unwrap(),
            replica: ReplicaId::new(1, 1),
            nonce: 1,
            seed: 1,
            peers: Vec::new(),
            bootstrap: false,
            timing: Timing::default(),
            limits: Limits::default(),
            chunk: MAX_CHUNK,
            shared: crate::MIN_SHARED,
            part: crate::MAX_PART,
        };
        let mut replica = Replica::new(config, Time::ZERO);
        for key in 0..keys {
            let name = format!("key {key:05}");
            replica
                .update::<OrSet<u64>, _, UpdateError>(Time::ZERO, 1, name.as_bytes(), |set| {
                    set.insert(&7);
                    Ok(())
                })
                .unwrap();
        }
        replica
    }

    /// Drives it for as long as a scrub may take, from the time that one is due.
    fn scrubbed(replica: &mut Replica) -> (usize, Option<Damage>) {
        let mut now = replica.self_check.due;
        let end = now + Duration::from_secs(60);
        let (before, mut steps) = (replica.counts().scrubs, 0);
        while replica.counts().scrubs == before && now < end {
            replica.handle_timeout(now);
            now = replica.poll_timeout();
            steps += 1;
        }
        let mut events = std::iter::from_fn(|| replica.poll_event());
        let damage = events.find_map(|event| match event {
            Event::Damaged(damage) => Some(damage),
            _ => None,
        });
        (steps, damage)
    }

    #[test]
    fn a_sound_replica_is_scrubbed_in_steps_while_it_is_written() {
        let mut replica = replica(3 * STEP);
        let (steps, damage) = scrubbed(&mut replica);
        assert!((4..200).contains(&steps), "{steps}");
        assert_eq!(damage, None);
        assert!(!replica.is_damaged());
        assert_eq!(scrubbed(&mut replica).1, None);
    }

    #[test]
    fn a_large_value_is_scrubbed_in_steps_too() {
        let mut replica = replica(1);
        let insert = |replica: &mut Replica, element: u64| {
            let insert = |set: &mut OrSetEdit<'_, u64>| Ok(set.insert(&element));
            let result =
                replica.update::<OrSet<u64>, _, UpdateError>(Time::ZERO, 1, b"large", insert);
            assert!(result.unwrap());
        };
        (0..5 * STEP as u64).for_each(|element| insert(&mut replica, element));
        let (steps, damage) = scrubbed(&mut replica);
        assert!((6..200).contains(&steps), "{steps}");
        assert_eq!(damage, None);
    }

    #[test]
    fn a_wrong_sum_is_found() {
        let mut replica = replica(10);
        replica.keys.plant_wrong_sum();
        assert_eq!(scrubbed(&mut replica).1, Some(Damage::Sum));
        assert!(replica.is_damaged());
        let mut after = replica.reborn(ReplicaId::new(1, 2), 2, Time::ZERO);
        assert_eq!(scrubbed(&mut after).1, None);
    }

    #[test]
    fn a_barrier_of_a_replica_that_was_made_anew_is_none_of_the_new_one() {
        let mut replica = replica(1);
        let former = replica.begin_confirm(2).unwrap();
        let mut after = replica.reborn(ReplicaId::new(1, 2), 2, Time::ZERO);
        let new = after.begin_confirm(1).unwrap();
        assert_ne!(former, new);
        assert!(after.confirmed_by(former).is_empty());
        assert_eq!(after.confirmed_by(new).len(), 1);
    }

    #[test]
    fn an_event_that_the_index_has_lost_is_found() {
        let mut replica = replica(2 * STEP);
        let dot = crdt_core::Dot::new(ReplicaId::new(1, 1), STEP as u64 + 5);
        replica.keys.plant_lost_place(dot);
        assert_eq!(scrubbed(&mut replica).1, Some(Damage::Index));
    }
}
