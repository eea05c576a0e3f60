//! What is checked: after every step that each replica is what the oracle says, and at the end that all are equal
//! and at rest.

use std::time::Duration;

use crdt_core::Context;
use crdt_core::kernel::DotStore;
use dd_gossip::Replica;

use super::world::World;
use crate::oracle::Oracle;

/// Virtual time after which healed replicas must be equal.
const CONVERGENCE: Duration = Duration::from_secs(120);
/// By when what can be sealed is sealed.
const SEALING: Duration = Duration::from_secs(200);
/// How long they are then watched for needless traffic.
const QUIESCENCE: Duration = Duration::from_secs(30);
impl World {
    pub(super) fn check(&mut self, at: usize, after: &str) -> Result<(), String> {
        let Some(replica) = &mut self.nodes[at].replica else {
            return Ok(());
        };
        let state = replica.state();
        let counts = replica.counts();
        let forgotten = counts.records_forgotten + counts.transactions_forgotten;
        let node = &mut self.nodes[at];
        if *state.context() == node.checked && forgotten == node.forgotten {
            return Ok(());
        }
        node.forgotten = forgotten;
        if !node.checked.is_subset(state.context()) {
            return Err(format!("node {at}: the context shrank after {after}"));
        }
        node.checked = state.context().clone();
        self.tally.checks += 1;
        self.note_seals(at, state.context())?;
        let full = self.unsealed(state.context())?;
        let (actual, expected) = (Oracle::actual(state.root()), self.oracle.expected(&full));
        self.nodes[at].full = full;
        if actual != expected {
            return Err(format!(
                "at {:?} after {after} node {at} is not what it should be:\n{}",
                self.now,
                actual.difference(&expected)
            ));
        }
        let context = state.context();
        for dots in &self.transactions {
            let shows = dots.iter().any(|dot| self.oracle.shows(*dot, context));
            if shows && !dots.iter().all(|dot| self.oracle.reflects(*dot, context)) {
                return Err(format!(
                    "at {:?} after {after} node {at} shows a part of the transaction {dots:?}",
                    self.now
                ));
            }
        }
        Ok(())
    }

    /// A seal that is new in the whole run says that all that was seen here before is all that there is. No
    /// process that runs may have seen more, unless it is behind and will be told.
    pub(super) fn note_seals(&mut self, at: usize, context: &Context) -> Result<(), String> {
        for (last, digest) in context.seals().iter() {
            if self.sealed.contains_key(&(last, digest)) {
                continue;
            }
            self.tally.sealed += 1;
            let of_it = |full: &Context| -> Context {
                let covered = full.iter().map(|(origin, _)| origin);
                let covered = covered.filter(|o| o.node() == last.node() && *o <= last);
                full.restrict(covered.collect::<Vec<_>>())
            };
            let seen = of_it(&self.nodes[at].full);
            for (other, node) in self.nodes.iter().enumerate() {
                let members = self.members.as_ref();
                // One that was removed, or is new, is told that it is behind.
                let counts = members.is_none_or(|members| members.of(at).contains(&other));
                if counts && node.replica.is_some() && !of_it(&node.full).is_subset(&seen) {
                    return Err(format!(
                        "node {at} sealed {last} with {seen:?}, and node {other} has {:?}",
                        of_it(&node.full)
                    ));
                }
            }
            self.sealed.insert((last, digest), seen);
        }
        Ok(())
    }

    /// A context with what is sealed in it as it was seen before.
    pub(super) fn unsealed(&self, context: &Context) -> Result<Context, String> {
        let mut full: Context = Context::new();
        for (origin, seqs) in context.iter() {
            full.set(origin, seqs.clone());
        }
        for seal in context.seals().iter() {
            let sealed = self.sealed.get(&seal).ok_or("a seal that was not noted")?;
            full.union(sealed);
        }
        Ok(full)
    }

    /// Ends all faults, brings back who can come back, and demands convergence.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.network.stop_faults();
        self.set_clocks_right();
        self.end_those_who_left(true);
        for at in 0..self.nodes.len() {
            self.come_back(at)?;
        }
        self.begin_anew()?;
        self.pass(Duration::from_secs(1))?;
        for a in 0..self.nodes.len() {
            for b in 0..a {
                self.mend_connection(a, b);
            }
        }
        self.await_agreement()?;
        self.await_convergence()?;
        self.check_equal()?;
        // Until there is nothing left to seal.
        if self.members.is_some() {
            self.await_that("what those wrote who are gone", World::unsealed_incarnation)?;
            self.await_that("who owns what", World::misplaced_owned)?;
        } else {
            self.pass(SEALING)?;
        }
        self.await_ends()?;
        self.await_convergence()?;
        self.check_equal()?;
        self.check_quiet()?;
        for at in 0..self.nodes.len() {
            if let Some(replica) = self.nodes[at].replica.take() {
                self.count(&replica);
            }
        }
        Ok(())
    }

    fn await_convergence(&mut self) -> Result<(), String> {
        let deadline = self.now + CONVERGENCE;
        while !self.converged() {
            if self.now > deadline {
                return Err(self.not_converged());
            }
            self.pass(Duration::from_millis(500))?;
        }
        Ok(())
    }

    fn converged(&self) -> bool {
        let mut states = self.nodes.iter().filter_map(|node| node.replica.as_ref());
        let Some(first) = states.next().map(Replica::state) else {
            return true;
        };
        states.all(|replica| replica.state().context() == first.context())
    }

    fn not_converged(&mut self) -> String {
        let mut out = format!("contexts still differ {CONVERGENCE:?} after healing:");
        for node in &mut self.nodes {
            if let Some(replica) = &mut node.replica {
                let status = replica.status();
                out += &format!("\n  {}: {:?} {:?}", node.id, status.context, status.counts);
            }
        }
        out
    }

    fn check_equal(&mut self) -> Result<(), String> {
        let mut first: Option<(DotStore, u128)> = None;
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let Some(replica) = &mut node.replica else {
                continue;
            };
            let (state, kept) = (replica.state(), replica.status().fingerprint);
            if replica.recompute_fingerprint() != kept {
                return Err(format!(
                    "node {at}: the kept fingerprint is not the computed one"
                ));
            }
            match &first {
                Some((other, fingerprint)) => {
                    if other.root() != state.root() || *fingerprint != kept {
                        return Err(format!("node {at}: equal contexts, another state"));
                    }
                }
                None => first = Some((state, kept)),
            }
        }
        Ok(())
    }

    /// Once all are equal, nothing but hellos, digests and late acknowledgements is sent, unless an incarnation is
    /// sealed: then once more.
    fn check_quiet(&mut self) -> Result<(), String> {
        self.pass(Duration::from_secs(10))?;
        loop {
            let (before, sealed) = self.sessions_and_seals();
            self.pass(QUIESCENCE)?;
            let (after, sealed_after) = self.sessions_and_seals();
            if sealed_after > sealed {
                continue;
            }
            if after != before {
                return Err(format!(
                    "{} sessions were sent between equal replicas",
                    after - before
                ));
            }
            return Ok(());
        }
    }

    /// How many sessions were sent by all, and how many seals all have.
    fn sessions_and_seals(&mut self) -> (u64, usize) {
        let replicas = self.nodes.iter_mut();
        let replicas = replicas.filter_map(|node| node.replica.as_mut());
        replicas.fold((0, 0), |(sessions, seals), replica| {
            let status = replica.status();
            let c = status.counts;
            let sent = c.exchanges_sent + c.flushes_sent + c.comparisons_sent;
            let sealed = status.context.seals().iter().count();
            (sessions + sent, seals + sealed)
        })
    }
}
