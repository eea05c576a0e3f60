//! Same inputs, times and seed: same frames, one by one.

use std::time::Duration;

use crdt_core::{LwwRegister, OrMap, OrSet, PnCounter};
use dd_gossip::Replica;

use crate::support::net::{Net, Sent};
use crate::support::{Rng, config, restarted};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Writes, cuts, restarts and time, chosen by `choices`.
fn run(choices: u64, seed: u64) -> (Vec<Sent>, Vec<u128>) {
    let configs = NAMES.map(|name| {
        let mut config = config(name, &NAMES);
        config.seed = config.seed.wrapping_mul(seed);
        config.chunk = 512;
        config.timing.away = Duration::from_secs(20);
        config
    });
    let mut net = Net::with(configs.to_vec());
    net.connect_all();
    let mut rng = Rng(choices);
    let mut incarnations = 1;
    for _ in 0..300 {
        let (a, b) = (NAMES[rng.below(4)], NAMES[rng.below(4)]);
        let key = format!("key-{}", rng.below(6));
        match rng.below(12) {
            0..=2 => net.write::<OrSet<u64>>(a, &key, |set| {
                set.insert(&rng.next());
            }),
            3 => net.write::<OrMap<String, OrSet<u64>>>(a, &key, |map| {
                map.entry("field").insert(&1);
            }),
            4 => net.write::<PnCounter>(a, &key, |count| count.add(7)),
            5 => net.write::<LwwRegister<String>>(a, &key, |value| value.set(&"x".repeat(900))),
            6 => drop(net.delete(a, &key)),
            7 if a != b => net.disconnect(a, b),
            8 | 9 if a != b => net.connect(a, b),
            10 if rng.below(8) == 0 => {
                incarnations += 1;
                let state = net.take(a).state();
                let config = restarted(a, incarnations, &NAMES);
                net.put(Replica::restore(config, state, net.now));
            }
            _ => net.run_millis(rng.below(4_000) as u64),
        }
        if rng.below(2) == 0 {
            net.carry_one();
        } else {
            net.settle();
        }
    }
    net.connect_all();
    net.converge();
    let fingerprints = NAMES.map(|name| net[name].status().fingerprint).to_vec();
    (net.sent, fingerprints)
}

#[test]
fn two_runs_of_the_same_inputs_send_the_same_frames() {
    for choices in 0..5 {
        let (first, second) = (run(choices, 1), run(choices, 1));
        assert!(first.0.len() > 500, "{} frames", first.0.len());
        for (at, (one, other)) in first.0.iter().zip(&second.0).enumerate() {
            assert_eq!(one, other, "frame {at} of run {choices}");
        }
        assert_eq!(first, second);
    }
}

#[test]
fn another_seed_spreads_the_timers_differently() {
    let (first, second) = (run(1, 1), run(1, 3));
    let times = |run: &[Sent]| run.iter().map(|sent| sent.at).collect::<Vec<_>>();
    assert_ne!(times(&first.0), times(&second.0));
    assert_eq!(first.1, second.1, "and comes to the same state");
}
