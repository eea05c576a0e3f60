//! The laws of replication, for every type, over random histories: a merge is a join, deltas and
//! whole states agree, and every replica reads at every step what the specification says.

use crdt_core::{
    Causal, DwFlag, EwFlag, GCounter, GSet, Joined, LwwMap, LwwRegister, MaxRegister, MinRegister,
    MvRegister, OrMap, OrSet, PnCounter, RemoveWinsSet,
};
use proptest::prelude::*;

use crate::support::subject::{Bits, Profile, Subject};
use crate::support::world::{Step, World, forgetful_histories, histories};
use crate::support::{copy, kernel_state, merged, property, replica};

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
        }
    )*};
}

laws! {
    g_counter: GCounter;
    pn_counter: PnCounter;
    g_set: GSet<String>;
    or_set: OrSet<String>;
    lww_register: LwwRegister<u8>;
    mv_register: MvRegister<u8>;
    lww_map: LwwMap<String, u8>;
    remove_wins_set: RemoveWinsSet<String>;
    ew_flag: EwFlag;
    dw_flag: DwFlag;
    max_register: MaxRegister<u8>;
    min_register: MinRegister<u8>;
    joined: Joined<Bits>;
    record: Profile;
    or_map_of_pn_counter: OrMap<String, PnCounter>;
    or_map_of_remove_wins_set: OrMap<String, RemoveWinsSet<String>>;
    or_map_of_max_register: OrMap<String, MaxRegister<u8>>;
    or_map_of_dw_flag: OrMap<String, DwFlag>;
    or_map_of_record: OrMap<String, Profile>;
    or_map_of_or_set: OrMap<String, OrSet<String>>;
    or_map_of_mv_register: OrMap<String, MvRegister<u8>>;
    or_map_of_or_map_of_pn_counter: OrMap<String, OrMap<String, PnCounter>>;
}

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
        whole.merge(other);
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
    whole.merge(&by_deltas);
    prop_assert_eq!(whole.encode(), before);
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
