//! The store's replica: local updates and what another replica makes of them.

use crdt_core::{Limits, OrSet, PnCounter};
use criterion::{Criterion, criterion_group, criterion_main};
use dd_gossip::{ClusterId, Config, MAX_CHUNK, NodeId, Replica, Time, Timing, UpdateError};

const KEYS: u64 = 100_000;

fn replica(name: &str) -> Replica {
    let node: NodeId = name.parse().expect("a name");
    let config = Config {
        cluster: "bench".parse::<ClusterId>().expect("a name"),
        replica: node.incarnation(1, 1),
        node,
        nonce: 1,
        seed: 1,
        peers: Vec::new(),
        bootstrap: false,
        timing: Timing::default(),
        limits: Limits::default(),
        chunk: MAX_CHUNK,
        shared: dd_gossip::MIN_SHARED,
        part: dd_gossip::MAX_PART,
    };
    Replica::new(config, Time::ZERO)
}

fn count(replica: &mut Replica, key: u64) {
    let key = key.to_be_bytes();
    let counted = replica.update::<PnCounter, _, UpdateError>(Time::ZERO, 0, &key, |counter| {
        counter.add(1);
        Ok(())
    });
    counted.expect("a counter has no limits");
}

fn updates(c: &mut Criterion) {
    let mut store = replica("a");
    (0..KEYS).for_each(|key| count(&mut store, key));
    c.bench_function("update_hot_counter", |b| b.iter(|| count(&mut store, 7)));
    c.bench_function("update_random_counter_of_100k", |b| {
        let mut at = 0;
        b.iter(|| {
            at += 1;
            count(&mut store, benches::spread(at) % KEYS);
        });
    });
    c.bench_function("insert_into_set", |b| {
        let mut at = 0;
        b.iter(|| {
            at += 1;
            store
                .update::<OrSet<u64>, _, UpdateError>(Time::ZERO, 0, b"set", |set| {
                    Ok(set.insert(&benches::spread(at)))
                })
                .expect("numbers are short")
        });
    });
    c.bench_function("read_random_counter_of_100k", |b| {
        let mut at = 0;
        b.iter(|| {
            at += 1;
            let key = (benches::spread(at) % KEYS).to_be_bytes();
            store.view::<PnCounter>(&key).value()
        });
    });
}

criterion_group!(benches, updates);
criterion_main!(benches);
