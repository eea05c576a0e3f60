//! Every history of a few steps: three replicas, all interleavings of operations, merges and
//! deliveries, each checked after every step against the specification, and then for convergence.
//!
//! `EXHAUSTIVE_STEPS` says how many steps. Histories that differ in the names of the replicas alone
//! are all gone through: names decide between equal timestamps. Each replica has a clock of its own
//! that stands, two the same and one slow, so writes meet with equal timestamps and against the order
//! of the clocks. A step that changes nothing is checked and not gone on from: what could follow
//! follows a shorter history as well.

use crdt_core::{
    Causal, DwFlag, EwFlag, GCounter, GSet, Joined, LwwMap, LwwRegister, MaxRegister, MinRegister,
    MvRegister, OrMap, OrSet, PnCounter, RemoveWinsSet,
};
use proptest::prelude::*;

use crate::support::subject::{Bits, Profile, Subject, for_all_types};
use crate::support::world::World;
use crate::support::{copy, from_env, kernel_state, replica};

const REPLICAS: usize = 3;
const STEPS: u64 = 3;
/// What the clock of each replica shows.
const CLOCKS: [u64; REPLICAS] = [5, 5, 1];

macro_rules! exhaustive {
    ($($name:ident: $type:ty;)*) => {$(
        #[test]
        fn $name() {
            let steps = from_env("EXHAUSTIVE_STEPS").unwrap_or(STEPS);
            let histories = Search::<$type>::run(steps);
            println!("{}: {histories} histories of up to {steps} steps", stringify!($name));
        }
    )*};
}

for_all_types!(exhaustive);

#[derive(Clone, Copy, Debug)]
enum Move<O> {
    Update { at: usize, op: O },
    Merge { from: usize, into: usize },
    Deliver { delta: usize, into: usize },
}

struct Search<T: Subject> {
    alphabet: Vec<T::Op>,
    /// The moves up to where the search stands.
    history: Vec<Move<T::Op>>,
    histories: u64,
}

impl<T: Subject> Search<T> {
    /// Goes through all histories of up to so many steps; returns how many there were.
    fn run(steps: u64) -> u64 {
        let mut search = Self {
            alphabet: T::alphabet(),
            history: Vec::new(),
            histories: 0,
        };
        search.go_on(&World::new(REPLICAS as u64), steps);
        search.histories
    }

    fn go_on(&mut self, world: &World<T>, steps: u64) {
        if steps == 0 {
            return;
        }
        for step in self.moves(world) {
            let mut next = self.again();
            self.history.push(step.clone());
            self.histories += 1;
            let changed = take(&mut next, &step)
                .and_then(|at| {
                    let before = world.replicas[at].encode();
                    let changed = next.replicas[at].encode() != before;
                    check(&next, at, changed).map(|()| changed)
                })
                .unwrap_or_else(|error| panic!("{error}\nafter {:#?}", self.history));
            if changed {
                self.go_on(&next, steps - 1);
            }
            self.history.pop();
        }
    }

    /// The world where the search stands, once more: replicas can't be copied with their ids.
    fn again(&self) -> World<T> {
        let mut world = World::new(REPLICAS as u64);
        for step in &self.history {
            take(&mut world, step).expect("a step that was checked");
        }
        world
    }

    fn moves(&self, world: &World<T>) -> Vec<Move<T::Op>> {
        let mut moves = Vec::new();
        for into in 0..REPLICAS {
            let ops = self.alphabet.iter().cloned();
            moves.extend(ops.map(|op| Move::Update { at: into, op }));
            let others = (0..REPLICAS).filter(|from| *from != into);
            moves.extend(others.map(|from| Move::Merge { from, into }));
            let deltas = 0..world.deltas.len();
            moves.extend(deltas.map(|delta| Move::Deliver { delta, into }));
        }
        moves
    }
}

/// Does a step; returns which replica may have changed.
fn take<T: Subject>(world: &mut World<T>, step: &Move<T::Op>) -> Result<usize, TestCaseError> {
    match step {
        Move::Update { at, op } => {
            world.update(*at, std::slice::from_ref(op), CLOCKS[*at])?;
            Ok(*at)
        }
        Move::Merge { from, into } => {
            world.merge(*from, *into);
            Ok(*into)
        }
        Move::Deliver { delta, into } => {
            world.deliver(*delta, *into);
            Ok(*into)
        }
    }
}

/// Checks the replica that a step is about, and where everybody ends up from here.
fn check<T: Subject>(world: &World<T>, at: usize, changed: bool) -> Result<(), TestCaseError> {
    world.check(&world.replicas[at])?;
    if !changed {
        return Ok(());
    }
    let all = everything(&world.replicas[0], world.replicas[1..].iter());
    world.check(&all)?;
    let state = kernel_state(&all);
    let other_way = everything(&world.replicas[2], world.replicas[..2].iter().rev());
    prop_assert_eq!(&kernel_state(&other_way), &state);
    // Deltas alone, the newest first; and the same in pieces.
    let mut by_deltas = Causal::<T>::new(replica(99));
    let mut by_pieces = Causal::<T>::new(replica(98));
    for delta in world.deltas.iter().rev() {
        prop_assert!(by_deltas.apply(delta).is_ok());
        for piece in delta.decompose() {
            prop_assert!(by_pieces.apply(&piece).is_ok());
        }
    }
    prop_assert_eq!(&kernel_state(&by_deltas), &state);
    prop_assert_eq!(&kernel_state(&by_pieces), &state);
    Ok(())
}

fn everything<'a, T: Subject>(
    of: &Causal<T>,
    others: impl Iterator<Item = &'a Causal<T>>,
) -> Causal<T> {
    let mut all = copy(of);
    others.for_each(|other| all.merge(other).expect("an id that never writes"));
    all
}
