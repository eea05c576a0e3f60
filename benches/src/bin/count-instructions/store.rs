//! Operations of a store's replica.

use std::hint::black_box;

use benches::spread;
use crdt_core::{LwwRegister, OrSet, PnCounter};
use dd_gossip::{ClusterId, Config, MAX_CHUNK, NodeId, Replica, Time, Timing, UpdateError};

use crate::counted;

/// Keys, or elements of its one set.
const SIZE: u64 = 20_000;
/// Operations that are counted together.
const BATCH: u64 = 1_000;
const SET: &[u8] = b"set";

/// What is measured of time stands still.
const NOW: Time = Time::ZERO;

fn replica(at: u64) -> Replica {
    let node = |at: u64| -> NodeId { format!("n{at}").parse().expect("a name") };
    Replica::new(
        Config {
            cluster: "bench".parse::<ClusterId>().expect("a name"),
            node: node(at),
            replica: crdt_core::ReplicaId::new(at + 1, 1),
            nonce: at + 1,
            seed: at + 1,
            peers: vec![node(0), node(1)],
            bootstrap: false,
            timing: Timing::default(),
            limits: crdt_core::Limits::default(),
            chunk: MAX_CHUNK,
            shared: dd_gossip::MIN_SHARED,
            part: dd_gossip::MAX_PART,
        },
        NOW,
    )
}

fn key(n: u64) -> [u8; 16] {
    let mut key = *b"counter/        ";
    key[8..].copy_from_slice(&spread(n).to_be_bytes());
    key
}

fn add(replica: &mut Replica, n: u64) {
    let added = replica.update::<PnCounter, _, UpdateError>(NOW, 0, &key(n), |counter| {
        counter.add(1);
        Ok(())
    });
    added.expect("a counter has no limits");
}

fn set(replica: &mut Replica, n: u64) {
    let set = replica.update::<LwwRegister<u64>, _, UpdateError>(NOW, n, &key(n), |register| {
        register.set(&n);
        Ok(())
    });
    set.expect("a number is short");
}

fn insert(replica: &mut Replica, n: u64) {
    let inserted =
        replica.update::<OrSet<u64>, _, UpdateError>(NOW, 0, SET, |set| Ok(set.insert(&spread(n))));
    inserted.expect("a number is short");
}

fn counters() -> Replica {
    let mut replica = replica(0);
    (0..SIZE).for_each(|n| add(&mut replica, n));
    replica
}

/// Some of what there is, in no order, each once.
fn some() -> impl Iterator<Item = u64> {
    (0..BATCH).map(|n| n * 7919 % SIZE)
}

fn count_each(
    mut replica: Replica,
    numbers: impl Iterator<Item = u64>,
    one: fn(&mut Replica, u64),
) -> usize {
    let numbers: Vec<u64> = numbers.collect();
    counted(&mut || numbers.iter().for_each(|n| one(&mut replica, *n)));
    numbers.len()
}

pub(crate) fn add_new() -> usize {
    count_each(counters(), SIZE..SIZE + BATCH, add)
}

pub(crate) fn add_again() -> usize {
    count_each(counters(), some(), add)
}

pub(crate) fn value() -> usize {
    count_each(counters(), some(), |replica, n| {
        black_box(replica.view::<PnCounter>(&key(n)).value());
    })
}

pub(crate) fn delete() -> usize {
    count_each(counters(), some(), |replica, n| {
        black_box(replica.delete(NOW, &key(n)).expect("a short key"));
    })
}

pub(crate) fn overwrite() -> usize {
    let mut replica = replica(0);
    (0..SIZE).for_each(|n| set(&mut replica, n));
    count_each(replica, some(), set)
}

fn elements() -> Replica {
    let mut replica = replica(0);
    (0..SIZE).for_each(|n| insert(&mut replica, n));
    replica
}

pub(crate) fn insert_new() -> usize {
    count_each(elements(), SIZE..SIZE + BATCH, insert)
}

pub(crate) fn contains() -> usize {
    count_each(elements(), some(), |replica, n| {
        black_box(replica.view::<OrSet<u64>>(SET).contains(&spread(n)));
    })
}

/// What the receiver of frames does, for each event that it did not have.
pub(crate) fn merge_new() -> usize {
    merge(SIZE..SIZE + BATCH, add)
}

pub(crate) fn merge_changed() -> usize {
    merge(some(), add)
}

pub(crate) fn merge_deleted() -> usize {
    merge(some(), |replica, n| {
        replica.delete(NOW, &key(n)).expect("a short key");
    })
}

fn merge(numbers: impl Iterator<Item = u64>, one: fn(&mut Replica, u64)) -> usize {
    let mut pair = [counters(), replica(1)];
    meet(&mut pair, false);
    let numbers: Vec<u64> = numbers.collect();
    numbers.iter().for_each(|n| one(&mut pair[0], *n));
    meet(&mut pair, true);
    numbers.len()
}

/// Connects both until the second has what the first has, and parts them. Counts the work of the second on frames.
fn meet(pair: &mut [Replica; 2], counts: bool) {
    let nodes = [pair[0].node().clone(), pair[1].node().clone()];
    let mut now = NOW;
    for at in 0..2 {
        pair[at].handle_connected(now, &nodes[1 - at]);
    }
    while pair[0].status().context_hash != pair[1].status().context_hash {
        now = now + std::time::Duration::from_millis(50);
        for replica in pair
            .iter_mut()
            .filter(|replica| replica.poll_timeout() <= now)
        {
            replica.handle_timeout(now);
        }
        loop {
            let frames = [0, 1].map(|at: usize| pair[at].poll_transmit(now, &nodes[1 - at]));
            let any = frames.iter().any(Option::is_some);
            for (at, frame) in frames.into_iter().enumerate() {
                let Some(frame) = frame else { continue };
                let to = &mut pair[1 - at];
                let mut handle = || to.handle_frame(now, &nodes[at], &frame).expect("a frame");
                if counts && at == 0 {
                    counted(&mut handle);
                } else {
                    handle();
                }
                while to.poll_event().is_some() {}
            }
            if !any {
                break;
            }
        }
    }
    for at in 0..2 {
        pair[at].handle_disconnected(now, &nodes[1 - at]);
    }
}
