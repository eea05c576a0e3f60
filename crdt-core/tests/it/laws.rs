//! The laws of replication, for every type, over random histories: a merge is a join, deltas and
//! whole states agree, deltas are minimal and come apart, and every replica reads at every step what the specification says.

use std::collections::BTreeSet;

use crdt_core::kernel::{Record, Unit};
use crdt_core::{
    Causal, Context, Delta, Dot, DwFlag, EwFlag, GCounter, GSet, Joined, LwwMap, LwwRegister,
    MaxRegister, MinRegister, MvRegister, OrMap, OrSet, Path, PnCounter, RemoveWinsSet,
};
use proptest::prelude::*;

use crate::support::subject::{Bits, Profile, Subject, for_all_types};
use crate::support::world::{Step, World, forgetful_histories, histories};
use crate::support::{DeltaParts, copy, kernel_state, merged, property, replica};

/// Histories of 3 and 4 replicas each.
const CASES: u32 = 96;
const STEPS: usize = 40;

macro_rules! laws {
    ($($name:ident: $type:ty;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn reads_what_the_specification_says() {
                property(CASES, (3..5u64, histories::<$type>(STEPS)), |(n, history)| {
                    World::<$type>::after(n, &history).map(drop)
                });
            }

            #[test]
            fn reads_what_the_specification_says_with_records_forgotten() {
                property(CASES, (3..5u64, forgetful_histories::<$type>(STEPS)), |(n, history)| {
                    World::<$type>::after(n, &history).map(drop)
                });
            }

            #[test]
            fn merge_is_a_join() {
                property(CASES, histories::<$type>(STEPS), check_join::<$type>);
            }

            #[test]
            fn deltas_and_whole_states_agree() {
                let orders = (histories::<$type>(STEPS), any::<u64>());
                property(CASES, orders, check_deltas::<$type>);
            }

            #[test]
            fn deltas_are_minimal() {
                property(CASES, histories::<$type>(STEPS), check_minimal::<$type>);
            }

            #[test]
            fn decompose_and_join_is_the_identity() {
                let orders = (forgetful_histories::<$type>(STEPS), any::<u64>());
                property(CASES, orders, check_decomposed::<$type>);
            }
        }
    )*};
}

for_all_types!(laws);

/// Both hold the same: what they read, what they have seen, what is live in them.
fn same<T: Subject>(a: &Causal<T>, b: &Causal<T>) -> Result<(), TestCaseError> {
    prop_assert_eq!(T::read(a.view()), T::read(b.view()));
    prop_assert_eq!(kernel_state(a), kernel_state(b));
    Ok(())
}

fn check_join<T: Subject>(history: Vec<Step<T::Op>>) -> Result<(), TestCaseError> {
    let world = World::<T>::after(3, &history)?;
    let [a, b, c] = &world.replicas[..] else {
        return Err(TestCaseError::fail("three replicas"));
    };
    let ab = merged(a, b);
    same(&ab, &merged(b, a))?;
    same(&merged(&ab, c), &merged(a, &merged(b, c)))?;
    same(&merged(a, &copy(a)), a)?;
    same(&merged(&ab, b), &ab)?;
    let mut joined = a.context().clone();
    joined.union(b.context());
    prop_assert_eq!(ab.context(), &joined);
    world.check(&ab)
}

fn check_deltas<T: Subject>(
    (history, order): (Vec<Step<T::Op>>, u64),
) -> Result<(), TestCaseError> {
    let world = World::<T>::after(3, &history)?;
    let mut whole = copy(&world.replicas[0]);
    for other in &world.replicas {
        whole.merge(other).expect("an id of its own");
    }
    let mut by_deltas = Causal::<T>::new(replica(99));
    for _ in 0..2 {
        for at in shuffled(world.deltas.len(), order) {
            // Behind: the delta builds on what has not come yet.
            let _ = by_deltas.apply(&world.deltas[at]);
            world.check(&by_deltas)?;
        }
    }
    same(&by_deltas, &whole)?;
    // Replays change nothing, to what has everything least of all.
    let before = whole.encode();
    for delta in &world.deltas {
        prop_assert!(whole.apply(delta).is_ok());
    }
    whole.merge(&by_deltas).expect("an id of its own");
    prop_assert_eq!(whole.encode(), before);
    Ok(())
}

/// Each delta of a history says what its update, or its receiver, needs it to say and no more.
fn check_minimal<T: Subject>(history: Vec<Step<T::Op>>) -> Result<(), TestCaseError> {
    let mut world = World::<T>::new(3);
    for step in &history {
        let before: Vec<Causal<T>> = world.replicas.iter().map(copy).collect();
        let made = world.deltas.len();
        let changed = world.step(step)?;
        if let Some(delta) = world.deltas.get(made) {
            let (before, after) = (&before[changed], &world.replicas[changed]);
            let known = matches!(step, Step::Update { .. });
            check_is_minimal(delta, before, after, known)?;
        }
    }
    Ok(())
}

/// A delta takes a replica from `before` to `after`. That of an update may say again what `before`
/// had, if it is `known` records at or above what is new, and what their events wrote, for receivers
/// that don't have them.
fn check_is_minimal<T: Subject>(
    delta: &Delta<T>,
    before: &Causal<T>,
    after: &Causal<T>,
    known: bool,
) -> Result<(), TestCaseError> {
    let parts = DeltaParts::of(delta);
    let new = after.context().difference(before.context());
    prop_assert_eq!(&parts.brings, &new);
    prop_assert_eq!(delta.is_empty(), new.is_empty());
    if new.is_empty() {
        prop_assert!(parts.unit.is_empty(), "{:?}", parts);
    }
    if known {
        prop_assert!(parts.needs.is_empty());
    } else {
        prop_assert_eq!(&parts.needs, before.context());
    }

    let applied = |parts: &DeltaParts, to: &Causal<T>| {
        let mut to = copy(to);
        to.apply(&parts.to_delta()).expect("has what it needs");
        kernel_state(&to)
    };
    prop_assert_eq!(&applied(&parts, before), &kernel_state(after));

    let unit = &parts.unit;
    let news: Vec<&Path> = {
        let adds = unit.adds.iter();
        let adds = adds.filter(|(_, entries)| entries.iter().any(|e| new.contains(e.dot)));
        let records = unit.records.iter().filter(|(_, r)| new.contains(r.dot));
        let adds = adds.map(|(path, _)| path);
        adds.chain(records.map(|(path, _)| path)).collect()
    };
    for (path, record) in &unit.records {
        let needed = known && news.iter().any(|new| new.starts_with(path));
        prop_assert!(new.contains(record.dot) || needed, "{:?}", record);
    }
    let live_after: BTreeSet<Dot> = kernel_state(after)
        .live
        .iter()
        .flat_map(|(_, entries)| entries.iter().map(|entry| entry.dot))
        .collect();
    for (place, (path, entries)) in unit.adds.iter().enumerate() {
        for (at, entry) in entries.iter().enumerate() {
            let is_new = new.contains(entry.dot);
            let has_record = |(p, r): &(Path, Record)| p == path && r.dot == entry.dot;
            let needed = known && unit.records.iter().any(has_record);
            prop_assert!(is_new || needed, "{:?}", entry);
            if !live_after.contains(&entry.dot) {
                // The receiver has a removal that its context does not tell of: it saw this.
                prop_assert!(!known, "{:?}", entry);
                continue;
            }
            let receiver = if is_new {
                before
            } else {
                &Causal::new(replica(99))
            };
            let mut less = parts.clone();
            less.unit.adds[place].1.remove(at);
            if entries.len() == 1 {
                less.unit.adds.remove(place);
            }
            prop_assert_ne!(applied(&less, receiver), applied(&parts, receiver));
        }
    }
    Ok(())
}

/// The pieces of each delta, in a random order and twice, are the delta: to the bytes, to a replica
/// that has nothing and to one in the middle of the history.
fn check_decomposed<T: Subject>(
    (history, order): (Vec<Step<T::Op>>, u64),
) -> Result<(), TestCaseError> {
    let (first, rest) = history.split_at(history.len() / 2);
    let mut world = World::<T>::after(3, first)?;
    let mut receivers: Vec<Causal<T>> = world.replicas.iter().map(copy).collect();
    receivers.push(Causal::new(replica(99)));
    world.go_on(rest)?;
    for (n, delta) in world.deltas.iter().enumerate() {
        let pieces = delta.decompose();
        check_is_join(delta, &pieces)?;
        let order = shuffled(pieces.len() * 2, order.wrapping_add(n as u64));
        for receiver in [&receivers[n % 3], &receivers[3]] {
            let mut at_once = copy(receiver);
            let mut in_pieces = copy(receiver);
            let mut waiting: Vec<&Delta<T>> =
                order.iter().map(|at| &pieces[at % pieces.len()]).collect();
            if at_once.apply(delta).is_err() {
                let refused = |piece: &&Delta<T>| in_pieces.apply(piece).is_err();
                prop_assert!(waiting.iter().all(refused));
                continue;
            }
            while !waiting.is_empty() {
                let before = waiting.len();
                let mut wrong = Ok(());
                waiting.retain(|piece| {
                    let refused = in_pieces.apply(piece).is_err();
                    if !refused && wrong.is_ok() {
                        wrong = world.check(&in_pieces);
                    }
                    refused
                });
                wrong?;
                prop_assert!(waiting.len() < before, "no piece can be applied");
            }
            same(&in_pieces, &at_once)?;
        }
    }
    Ok(())
}

/// All pieces together say what the delta says; none says nothing, or can be decomposed further.
fn check_is_join<T: Subject>(delta: &Delta<T>, pieces: &[Delta<T>]) -> Result<(), TestCaseError> {
    let whole = DeltaParts::of(delta);
    let mut joined = DeltaParts {
        needs: whole.needs.clone(),
        brings: Context::new(),
        floor: whole.floor.clone(),
        unit: Unit::default(),
    };
    for piece in pieces {
        prop_assert!(!piece.is_empty());
        let again: Vec<_> = piece.decompose().iter().map(Delta::encode).collect();
        prop_assert_eq!(again, [piece.encode()]);
        let parts = DeltaParts::of(piece);
        joined.brings.union(&parts.brings);
        joined.unit.extend(parts.unit);
    }
    joined.unit.normalize();
    joined.unit.records.dedup();
    prop_assert_eq!(joined, whole);
    Ok(())
}

/// The numbers below `n` in an order that depends on the seed.
fn shuffled(n: usize, mut seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for at in (1..n).rev() {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        order.swap(at, (seed >> 33) as usize % (at + 1));
    }
    order
}
