//! Quorum operations of a run, and what they promise: a read of a majority has every write that a
//! majority had confirmed before it began, as long as some process has that at every moment.
//!
//! Where members come and go, each process counts over those that it was told of, as many as it takes when it
//! begins. A write that was confirmed is then promised
//!
//! * as long as nobody's members change: to all who count over the members over which it was confirmed;
//! * after each change, to all who count by now, if for each of them those who lack it are no majority. So it is
//!   while members change one at a time, in everybody's eyes, and what was confirmed before has come to a majority
//!   of those who remain before another goes or a process ends. If it is not so the promise is withdrawn: nobody
//!   can tell by counting.
//!
//! A read is held against it if the members of its own process stayed as they were while it lasted.

use std::collections::BTreeSet;

use crdt_core::Context;
use dd_gossip::{Confirm, Refresh, Replica};

/// A barrier of one process.
struct Barrier<B> {
    node: usize,
    incarnation: u64,
    barrier: B,
    /// How many nodes it takes.
    needed: usize,
    /// Changes of members when it began: of any process for a write, of its own for a read.
    changes: u64,
}

/// A write that a majority confirmed.
struct Confirmed {
    events: Context,
    promise: Promise,
    /// Who confirmed it, and whether anybody's members had changed since it was written, until it was weighed.
    fresh: Option<(usize, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Whoever returns has it before it counts.
    Stands,
    /// Too many lack it for that, and too few to be a majority: it holds until a process ends.
    UntilNextEnd,
    /// No process had it at some moment, or members changed too fast.
    Withdrawn,
}

/// A process, and over whom it counts.
pub(super) struct View<'w> {
    pub(super) node: usize,
    pub(super) replica: &'w Replica,
    pub(super) members: &'w BTreeSet<usize>,
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
    pub(super) fn write(
        &mut self,
        node: usize,
        replica: &mut Replica,
        needed: usize,
        changes: (u64, u64),
    ) {
        let own = replica.replica_id();
        let events = replica.state().context().restrict([own]);
        if let Ok(barrier) = replica.begin_confirm(needed) {
            let incarnation = own.incarnation();
            let barrier = Barrier {
                node,
                incarnation,
                barrier,
                needed,
                changes: changes.0,
            };
            self.writes.push((barrier, events));
        }
    }

    pub(super) fn read(
        &mut self,
        node: usize,
        replica: &mut Replica,
        needed: usize,
        changes: (u64, u64),
    ) {
        if let Ok(barrier) = replica.begin_refresh() {
            let barrier = Barrier {
                node,
                incarnation: replica.replica_id().incarnation(),
                barrier,
                needed,
                changes: changes.1,
            };
            self.reads.push((barrier, self.confirmed.len()));
        }
    }

    /// Ends the barriers of a process that are reached, and checks its reads. `changes` of members: of any process,
    /// and of this one.
    pub(super) fn look(
        &mut self,
        node: usize,
        replica: &mut Replica,
        changes: (u64, u64),
    ) -> Result<Done, String> {
        let mut done = Done::default();
        let incarnation = replica.replica_id().incarnation();
        let (confirmed, reads) = (&mut self.confirmed, &mut self.reads);
        self.writes.retain(|(write, events)| {
            if write.node != node {
                return true;
            }
            let reached = write.incarnation == incarnation
                && replica.confirmed_by(write.barrier).len() >= write.needed;
            if reached {
                done.writes += 1;
                replica.end_confirm(write.barrier);
                confirmed.push(Confirmed {
                    events: events.clone(),
                    promise: Promise::Stands,
                    fresh: Some((node, write.changes == changes.0)),
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
                && replica.refreshed_by(read.barrier).len() >= read.needed;
            if reached {
                done.reads += 1;
                replica.end_refresh(read.barrier);
                let before = &confirmed[..*before];
                let checked = read.changes == changes.1;
                let promised = before
                    .iter()
                    .filter(|write| checked && write.promise != Promise::Withdrawn);
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

    /// A process has ended: what no other one has is lost. `views` where members come and go.
    pub(super) fn ended<'r>(
        &mut self,
        running: impl Iterator<Item = &'r Replica>,
        views: &[View<'_>],
    ) {
        let running: Vec<&Replica> = running.collect();
        for write in &mut self.confirmed {
            let has = |replica: &&Replica| replica.has_seen(&write.events);
            if !running.iter().any(has) {
                write.promise = Promise::Withdrawn;
            }
            if write.promise == Promise::UntilNextEnd {
                write.promise = weigh(&write.events, views, None);
            }
        }
    }

    /// Somebody counts over others than before. Returns how many promises that ended.
    pub(super) fn members_changed(&mut self, views: &[View<'_>]) -> u64 {
        let mut withdrawn = 0;
        for write in &mut self.confirmed {
            if write.promise != Promise::Withdrawn && write.fresh.is_none() {
                write.promise = weigh(&write.events, views, None);
                withdrawn += u64::from(write.promise == Promise::Withdrawn);
            }
        }
        withdrawn
    }

    /// Weighs what was confirmed just now. Where nobody's members have changed meanwhile, those who vote and lack
    /// it can't be a majority with one who may return.
    pub(super) fn weigh_new(&mut self, views: &[View<'_>]) -> Result<(), String> {
        for write in &mut self.confirmed {
            let Some((node, steady)) = write.fresh.take() else {
                continue;
            };
            let own = views.iter().find(|view| view.node == node);
            let own = own.filter(|_| steady).map(|view| view.members);
            if let Some(own) = own {
                let voters = views.iter().filter(|view| own.contains(&view.node));
                let lacking = voters
                    .filter(|view| view.replica.votes() && !view.replica.has_seen(&write.events));
                let (lacking, most) = (lacking.count(), own.len() - majority(own.len()));
                if lacking > most {
                    return Err(format!(
                        "{:?} is confirmed, and {lacking} of {own:?} vote without it",
                        write.events
                    ));
                }
            }
            write.promise = weigh(&write.events, views, own);
        }
        Ok(())
    }
}

pub(super) fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}

/// What can be promised of a write from now on. For those who count over `sure` it is known to stand.
fn weigh(events: &Context, views: &[View<'_>], sure: Option<&BTreeSet<usize>>) -> Promise {
    let find = |node: &usize| views.iter().find(|view| view.node == *node);
    let has = |view: &View<'_>| view.replica.has_seen(events);
    let mut promise = Promise::Stands;
    for members in views.iter().map(|view| view.members) {
        let running = members.iter().filter_map(find);
        let running_without = running.filter(|view| !has(view)).count();
        let with = members.iter().filter_map(find).filter(|view| has(view));
        let without = members.len() - with.count();
        let majority = majority(members.len());
        if sure == Some(members) || running_without <= members.len() - majority {
            continue;
        }
        if without >= majority {
            return Promise::Withdrawn;
        }
        promise = Promise::UntilNextEnd;
    }
    promise
}
