//! Which events a replica has made, found in its state: for what it does by itself, and for calls whose outcome is
//! simplest to see there. And replicas that are made anew.

use std::collections::BTreeMap;

use crdt_core::kernel::{DotStore, ValueRef};
use crdt_core::{Context, Dot, Path, ReplicaId, Seqs};

use super::world::World;
use crate::oracle::{Event, Kind};

impl World {
    /// Tells the oracle of the events that a replica made since it was in a state, all of them after whatever it
    /// was handed in between. Returns where they stand.
    ///
    /// One that stands nowhere was replaced by a later one of them, before anybody could see it.
    pub(super) fn record_made(
        &mut self,
        at: usize,
        before: &DotStore,
    ) -> Result<Vec<(Path, Kind)>, String> {
        let Some(replica) = &self.nodes[at].replica else {
            return Ok(Vec::new());
        };
        let (id, state) = (replica.replica_id(), replica.state());
        let known = before.context().max(id);
        if state.context().max(id) <= known {
            return Ok(Vec::new());
        }
        let is_new = |dot: Dot| dot.replica == id && dot.seq > known;
        let mut made: BTreeMap<u64, (Path, Kind)> = BTreeMap::new();
        for (path, record) in state.records().filter(|(_, record)| is_new(record.dot)) {
            made.insert(record.dot.seq, (path.clone(), Kind::Remove));
        }
        state.root().visit(&mut Vec::new(), &mut |path, entry| {
            if !is_new(entry.dot) {
                return;
            }
            let kind = match entry.value {
                ValueRef::Run(run) => {
                    let former = before.root().get(path).and_then(|place| place.run(id));
                    let former = former.filter(|(_, former)| former.start == run.start);
                    let former = former.map_or(0, |(_, former)| former.amount());
                    Kind::Count {
                        n: run.amount() - former,
                        start: run.start,
                    }
                }
                ValueRef::Unit | ValueRef::Bytes(_) => Kind::Write,
            };
            made.insert(entry.dot.seq, (path.into(), kind));
        });
        self.note_seals(at, state.context())?;
        let full = self.unsealed(state.context())?;
        for (seq, (path, kind)) in &made {
            let mut seen = full.clone();
            seen.set(id, Seqs::up_to(seq - 1));
            let (path, kind) = (path.clone(), *kind);
            self.oracle
                .record(Dot::new(id, *seq), Event { path, kind, seen });
        }
        Ok(made.into_values().collect())
    }

    /// A replica that has found itself damaged is made anew as soon as there is a peer to catch up with.
    pub(super) fn repair(&mut self, at: usize, damaged: bool) -> Result<(), String> {
        let now = self.now;
        let others = (0..self.nodes.len()).filter(|other| *other != at);
        let connected = others
            .filter(|other| self.network.link(at, *other).connection != 0)
            .count();
        self.nodes[at].damaged |= damaged;
        if !self.nodes[at].damaged || connected == 0 {
            return Ok(());
        }
        let Some(replica) = self.nodes[at].replica.take() else {
            return Ok(());
        };
        self.count(&replica);
        self.tally.made_anew += 1;
        let nonce = self.rng.next_u64();
        let comes_and_goes = self.members.is_some();
        let node = &mut self.nodes[at];
        node.incarnation += 1;
        let id = match comes_and_goes {
            true => node.id.incarnation(node.incarnation, 0),
            false => ReplicaId::new(at as u64 + 1, node.incarnation),
        };
        node.replica = Some(replica.reborn(id, nonce, now));
        (node.checked, node.full) = (Context::new(), Context::new());
        (node.timer, node.forgotten, node.damaged) = (None, 0, false);
        self.process_ended();
        // It begins with what its process owns.
        self.tally.owned_put_right += self.record_made(at, &DotStore::new())?.len() as u64;
        self.tell_again(at)?;
        self.pump(at, "it was made anew")
    }
}
