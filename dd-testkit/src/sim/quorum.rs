//! Quorum operations of a run, and what they promise: a read of a majority has every write that a
//! majority had confirmed before it began, as long as some process has that at every moment.

use crdt_core::Context;
use dd_gossip::{Confirm, Refresh, Replica};

/// A barrier of one process.
struct Barrier<B> {
    node: usize,
    incarnation: u64,
    barrier: B,
}

/// A write that a majority confirmed.
struct Confirmed {
    events: Context,
    /// There was a moment when no process had it.
    lost: bool,
}

/// What is under way, and what was confirmed.
#[derive(Default)]
pub(super) struct Quorum {
    writes: Vec<(Barrier<Confirm>, Context)>,
    /// Each with how many writes were confirmed when it began.
    reads: Vec<(Barrier<Refresh>, usize)>,
    confirmed: Vec<Confirmed>,
}

/// What came of looking at a process.
#[derive(Default)]
pub(super) struct Done {
    pub(super) writes: u64,
    pub(super) reads: u64,
}

impl Quorum {
    pub(super) fn write(&mut self, node: usize, replica: &mut Replica, majority: usize) {
        let own = replica.replica_id();
        let events = replica.state().context().restrict([own]);
        if let Ok(barrier) = replica.begin_confirm(majority) {
            let incarnation = own.incarnation();
            let barrier = Barrier {
                node,
                incarnation,
                barrier,
            };
            self.writes.push((barrier, events));
        }
    }

    pub(super) fn read(&mut self, node: usize, replica: &mut Replica) {
        if let Ok(barrier) = replica.begin_refresh() {
            let barrier = Barrier {
                node,
                incarnation: replica.replica_id().incarnation(),
                barrier,
            };
            self.reads.push((barrier, self.confirmed.len()));
        }
    }

    /// Ends the barriers of a process that are reached, and checks its reads.
    pub(super) fn look(
        &mut self,
        node: usize,
        replica: &mut Replica,
        majority: usize,
    ) -> Result<Done, String> {
        let mut done = Done::default();
        let incarnation = replica.replica_id().incarnation();
        let (confirmed, reads) = (&mut self.confirmed, &mut self.reads);
        self.writes.retain(|(write, events)| {
            if write.node != node {
                return true;
            }
            let reached = write.incarnation == incarnation
                && replica.confirmed_by(write.barrier).len() >= majority;
            if reached {
                done.writes += 1;
                replica.end_confirm(write.barrier);
                confirmed.push(Confirmed {
                    events: events.clone(),
                    lost: false,
                });
            }
            !reached && write.incarnation == incarnation
        });
        let mut missed = None;
        reads.retain(|(read, before)| {
            if read.node != node {
                return true;
            }
            let reached = read.incarnation == incarnation
                && replica.refreshed_by(read.barrier).len() >= majority;
            if reached {
                done.reads += 1;
                replica.end_refresh(read.barrier);
                let promised = confirmed[..*before].iter().filter(|write| !write.lost);
                let mut lacking = promised.filter(|write| !replica.has_seen(&write.events));
                missed = missed
                    .take()
                    .or(lacking.next().map(|write| write.events.clone()));
            }
            !reached && read.incarnation == incarnation
        });
        match missed {
            Some(events) => Err(format!(
                "node {node} read from a majority and misses {events:?}, which a majority had confirmed"
            )),
            None => Ok(done),
        }
    }

    /// A process has ended: what no other one has is lost.
    pub(super) fn ended<'r>(&mut self, running: impl Iterator<Item = &'r Replica>) {
        let running: Vec<&Replica> = running.collect();
        for write in &mut self.confirmed {
            write.lost |= !running
                .iter()
                .any(|replica| replica.has_seen(&write.events));
        }
    }
}
