//! The types by themselves.

use benches::{set, spread};
use crdt_core::{Causal, PnCounter, ReplicaId};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SIZE: u64 = 10_000;

fn sets(c: &mut Criterion) {
    let mut group = c.benchmark_group("or_set_10k");
    let full = set(1, 0, SIZE).expect("numbers are short");
    let half = set(2, SIZE / 2, SIZE / 2 * 3).expect("numbers are short");
    let fork = || full.fork(ReplicaId::new(9, 1)).expect("an id of its own");
    group.bench_function("contains", |b| {
        let mut at = 0;
        b.iter(|| {
            at += 1;
            full.view().contains(&spread(at % SIZE))
        });
    });
    group.bench_function("insert_one_with_delta", |b| {
        let (mut set, mut at) = (fork(), SIZE);
        b.iter(|| {
            at += 1;
            set.update(|edit| edit.insert(&spread(at)))
                .expect("numbers are short")
                .delta
        });
    });
    group.throughput(Throughput::Elements(2 * SIZE));
    group.bench_function("merge_half_overlap", |b| {
        b.iter_batched(
            fork,
            |mut set| set.merge(&half).expect("an id of its own"),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("merge_identical", |b| {
        let twin = fork();
        b.iter_batched_ref(
            fork,
            |set| set.merge(&twin).expect("an id of its own"),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("encode", |b| b.iter(|| full.encode()));
    group.finish();
}

fn counters(c: &mut Criterion) {
    c.bench_function("pn_counter_add", |b| {
        let mut counter = Causal::<PnCounter>::new(ReplicaId::new(1, 1));
        b.iter(|| {
            counter
                .update(|edit| edit.add(1))
                .expect("a counter has no limits")
                .delta
        });
    });
}

criterion_group!(benches, sets, counters);
criterion_main!(benches);
