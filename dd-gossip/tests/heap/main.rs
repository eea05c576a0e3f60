//! That a replica gives back what it took: the memory of keys that were deleted and forgotten.
//!
//! In a program of its own, with one test: an allocator that counts is the whole program's.

use std::alloc::System;
use std::time::Duration;

use crdt_core::{Limits, OrSet, ReplicaId};
use dd_gossip::{ClusterId, Config, MAX_CHUNK, NodeId, Replica, Time, Timing, UpdateError};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NAMES: [&str; 3] = ["a", "b", "c"];
const WALL: u64 = 1_000;
const KEYS: usize = 20_000;
/// Writes before what they make is carried.
const AT_ONCE: usize = 64;

struct Three {
    now: Time,
    replicas: Vec<Replica>,
}

impl Three {
    fn connected() -> Self {
        let now = Time::ZERO;
        let replicas = NAMES.iter().map(|name| Replica::new(config(name), now));
        let mut three = Self {
            now,
            replicas: replicas.collect(),
        };
        for replica in &mut three.replicas {
            let own = replica.node().clone();
            for other in NAMES.map(node).iter().filter(|other| **other != own) {
                replica.handle_connected(now, other);
            }
        }
        three.settle();
        three
    }

    /// Carries frames until nobody has any.
    fn settle(&mut self) {
        let mut carried = true;
        while std::mem::take(&mut carried) {
            for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
                let (sender, receiver) = (node(NAMES[from]), node(NAMES[to]));
                while let Some(frame) = self.replicas[from].poll_transmit(self.now, &receiver) {
                    let handled = self.replicas[to].handle_frame(self.now, &sender, &frame);
                    assert_eq!(handled, Ok(()));
                    carried = true;
                }
            }
        }
        for replica in &mut self.replicas {
            while replica.poll_event().is_some() {}
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.replicas.iter().map(Replica::poll_timeout).min()
            && next <= end
        {
            self.now = self.now.max(next);
            for replica in &mut self.replicas {
                replica.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = end;
    }

    /// So many keys come to be, and are deleted everywhere when all are there.
    fn churn(&mut self, name: &str, keys: usize) -> usize {
        let name = |n: usize| format!("key-{name}-{n}");
        for n in 0..keys {
            let written = self.replicas[0].update::<OrSet<String>, _, UpdateError>(
                self.now,
                WALL,
                name(n).as_bytes(),
                |set| {
                    set.insert("element");
                    Ok(())
                },
            );
            assert_eq!(written, Ok(()));
            self.carry_after(n);
        }
        self.run(Duration::from_secs(1));
        let full = live();
        for n in 0..keys {
            assert_eq!(
                self.replicas[0].delete(self.now, name(n).as_bytes()),
                Ok(true)
            );
            self.carry_after(n);
        }
        self.run(Duration::from_secs(60));
        for replica in &mut self.replicas {
            let status = replica.status();
            assert_eq!(
                (status.keys, status.records, status.events_indexed),
                (0, 0, 0)
            );
        }
        full
    }

    fn carry_after(&mut self, n: usize) {
        if n % AT_ONCE == AT_ONCE - 1 {
            self.run(Duration::from_millis(2));
        }
    }
}

fn node(name: &str) -> NodeId {
    name.parse().expect("a name")
}

fn config(name: &str) -> Config {
    let number = u64::from(name.as_bytes()[0]);
    let cluster: ClusterId = "test".parse().expect("a name");
    Config {
        cluster,
        node: node(name),
        replica: ReplicaId::new(number, 1),
        nonce: number,
        seed: number,
        peers: NAMES.iter().map(|peer| node(peer)).collect(),
        bootstrap: false,
        timing: Timing::default(),
        limits: Limits::default(),
        chunk: MAX_CHUNK,
        shared: dd_gossip::MIN_SHARED,
        part: dd_gossip::MAX_PART,
    }
}

/// Bytes that are allocated and not freed.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

#[test]
fn what_keys_took_is_given_back_when_they_are_forgotten() {
    let mut three = Three::connected();
    three.churn("warm", 1_000);
    let empty = live();
    for round in 0..3 {
        let full = three.churn(&format!("{round}"), KEYS);
        let after = live();
        println!("round {round}: {empty} bytes when empty, {full} when full, {after} after");
        assert!(full > 10 * empty, "it was measured what was there");
        assert!(
            after * 100 <= empty * 105,
            "round {round}: {after} bytes are left of {full}, and {empty} were taken before"
        );
    }
}
