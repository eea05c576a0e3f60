//! The concurrent cases in the documentation of each type, as a user would write them down.

use std::fmt::Debug;

use crdt_core::{
    Causal, Crdt, DwFlag, EwFlag, GCounter, GSet, Joined, LwwMap, LwwRegister, MaxRegister,
    MinRegister, MvRegister, OrMap, OrSet, PnCounter, RemoveWinsSet, Timestamp,
};

use crate::support::subject::{Bits, Profile};
use crate::support::{empty, replica};

/// A minute past ten.
fn at(minute: u64) -> Timestamp {
    Timestamp::from_millis(minute * 60_000)
}

/// A value that began as `begin` says, after A and B did theirs at a minute past ten each, and synced.
fn at_minutes<T: Crdt, X: Debug, Y: Debug, Z: Debug>(
    begin: impl FnOnce(&mut T::Edit<'_>) -> X,
    (minute_a, a): (u64, impl FnOnce(&mut T::Edit<'_>) -> Y),
    (minute_b, b): (u64, impl FnOnce(&mut T::Edit<'_>) -> Z),
) -> Causal<T>
where
    for<'v> T::View<'v>: Debug,
{
    let mut at_a = empty::<T>(1);
    at_a.update_at(at(50), begin).expect("within the limits");
    let mut at_b = at_a.fork(replica(2)).expect("an id of its own");
    at_a.update_at(at(minute_a), a).expect("within the limits");
    at_b.update_at(at(minute_b), b).expect("within the limits");
    let before = at_a.fork(replica(3)).expect("an id of its own");
    at_a.merge(&at_b).expect("an id of its own");
    at_b.merge(&before).expect("an id of its own");
    assert_eq!(format!("{:?}", at_a.view()), format!("{:?}", at_b.view()));
    at_a
}

/// As [`at_minutes`], where no clock matters.
fn then<T: Crdt, X: Debug, Y: Debug, Z: Debug>(
    begin: impl FnOnce(&mut T::Edit<'_>) -> X,
    a: impl FnOnce(&mut T::Edit<'_>) -> Y,
    b: impl FnOnce(&mut T::Edit<'_>) -> Z,
) -> Causal<T>
where
    for<'v> T::View<'v>: Debug,
{
    at_minutes(begin, (60, a), (60, b))
}

/// Shows a value as its case states it.
macro_rules! case {
    ($type:ty: $begin:expr, $a:expr, $b:expr => $then:literal) => {
        let done = then::<$type, _, _, _>($begin, $a, $b);
        assert_eq!(format!("{:?}", done.view()), $then);
    };
}

#[test]
fn counters() {
    case!(GCounter: |c| c.add(5), |c| c.add(3), |c| c.add(4) => "12");
    case!(OrMap<u8, GCounter>: |m| m.entry(&1).add(5), |m| m.remove(&1), |m| m.entry(&1).add(3)
        => "{1: 3}");
    case!(PnCounter: |c| c.add(5), |c| c.add(3), |c| c.add(-4) => "4");
    case!(PnCounter: |c| c.add(5), |c| c.reset(), |c| c.add(3) => "3");
    case!(PnCounter: |c| c.add(5), |c| c.reset(), |c| c.reset() => "0");
    case!(PnCounter: |c| c.add(5), |c| { c.reset(); c.add(1) }, |c| { c.reset(); c.add(1) } => "2");
    case!(OrMap<u8, PnCounter>: |m| m.entry(&1).add(5), |m| m.remove(&1), |m| m.entry(&1).add(10)
        => "{1: 10}");
}

#[test]
fn grow_only_sets() {
    case!(GSet<char>: |s| s.insert(&'x'), |s| s.insert(&'y'), |s| s.insert(&'z')
        => "{'x', 'y', 'z'}");
    type Map = OrMap<u8, GSet<char>>;
    case!(Map: |m| m.entry(&1).insert(&'x'), |m| m.remove(&1), |m| m.entry(&1).insert(&'y')
        => "{1: {'y'}}");
    case!(Map: |m| m.entry(&1).insert(&'x'), |m| m.remove(&1), |m| m.entry(&1).insert(&'x')
        => "{1: {'x'}}");
    case!(Map: |m| m.entry(&1).insert(&'x'), |m| m.remove(&1), |m| m.entry(&1).ensure(&'x')
        => "{}");
}

#[test]
fn add_wins_sets() {
    type Set = OrSet<char>;
    case!(Set: |s| s.insert(&'x'), |s| s.remove(&'x'), |s| s.insert(&'x') => "{'x'}");
    case!(Set: |s| s.insert(&'x'), |s| s.remove(&'x'), |s| s.ensure(&'x') => "{}");
    case!(Set: |s| s.insert(&'x'), |s| s.clear(), |s| s.insert(&'y') => "{'y'}");
    case!(Set: |s| s.insert(&'x'), |s| (s.remove(&'x'), s.insert(&'x')), |s| s.remove(&'x')
        => "{'x'}");
    case!(Set: |_| (), |s| (s.insert(&'x'), s.remove(&'x')), |s| s.insert(&'x') => "{'x'}");
}

#[test]
fn remove_wins_sets() {
    type Set = RemoveWinsSet<char>;
    case!(Set: |s| s.insert(&'x'), |s| s.remove(&'x'), |s| s.insert(&'x') => "{}");
    case!(Set: |_| (), |s| s.remove(&'x'), |s| s.insert(&'x') => "{}");
    case!(Set: |s| s.insert(&'x'), |s| (s.remove(&'x'), s.insert(&'x')), |s| s.insert(&'x')
        => "{'x'}");
    case!(Set: |s| s.insert(&'x'), |s| (s.remove(&'x'), s.insert(&'x')), |s| s.remove(&'x')
        => "{}");
    type Map = OrMap<u8, Set>;
    case!(Map: |m| m.entry(&1).insert(&'x'), |m| m.remove(&1), |m| m.entry(&1).insert(&'x')
        => "{1: {'x'}}");
}

#[test]
fn flags() {
    case!(EwFlag: |f| f.enable(), |f| f.disable(), |f| f.enable() => "true");
    case!(EwFlag: |_| (), |f| f.disable(), |f| f.enable() => "true");
    case!(EwFlag: |f| f.enable(), |f| f.disable(), |f| f.disable() => "false");
    case!(OrMap<u8, EwFlag>: |m| m.entry(&1).enable(), |m| m.remove(&1), |m| m.entry(&1).enable()
        => "{1: true}");
    case!(DwFlag: |f| f.enable(), |f| f.disable(), |f| f.enable() => "false");
    case!(DwFlag: |_| (), |f| f.disable(), |f| f.enable() => "false");
    case!(DwFlag: |f| f.enable(), |f| { f.disable(); f.enable() }, |f| f.enable() => "true");
    case!(OrMap<u8, DwFlag>: |m| m.entry(&1).enable(), |m| m.remove(&1), |m| m.entry(&1).enable()
        => "{1: true}");
}

#[test]
fn last_writer_wins_registers() {
    type Register = LwwRegister<char>;
    let done = at_minutes::<Register, _, _, _>(
        |r| r.set(&'a'),
        (60, |r: &mut crdt_core::LwwRegisterEdit<'_, char>| {
            r.set(&'b')
        }),
        (61, |r: &mut crdt_core::LwwRegisterEdit<'_, char>| {
            r.set(&'c')
        }),
    );
    assert_eq!(done.view().get(), Ok(Some('c')));
    assert_eq!(done.view().losers(), Ok(vec!['b']));
    // An hour slow.
    let mut slow = empty::<Register>(1);
    slow.update_at(at(60), |r| r.set(&'a')).expect("written");
    slow.update_at(at(0), |r| r.set(&'b')).expect("written");
    assert_eq!(slow.view().get(), Ok(Some('b')));
    case!(Register: |r| r.set(&'a'), |r| r.set(&'b'), |r| r.set(&'c') => "Ok(Some('c'))");
    let removed = at_minutes::<OrMap<u8, Register>, _, _, _>(
        |m| m.entry(&1).set(&'a'),
        (61, |m: &mut crdt_core::OrMapEdit<'_, u8, Register>| {
            m.remove(&1)
        }),
        (60, |m: &mut crdt_core::OrMapEdit<'_, u8, Register>| {
            m.entry(&1).set(&'b')
        }),
    );
    assert_eq!(format!("{:?}", removed.view()), "{1: Ok(Some('b'))}");
}

#[test]
fn multi_value_registers() {
    type Register = MvRegister<char>;
    case!(Register: |r| r.set(&'a'), |r| r.set(&'b'), |r| r.set(&'c') => "Ok(['b', 'c'])");
    case!(Register: |r| r.set(&'a'), |r| r.set(&'b'), |r| r.set(&'b') => "Ok(['b'])");
    case!(Register: |r| r.set(&'a'), |r| { r.set(&'b'); r.set(&'c') }, |r| r.set(&'d')
        => "Ok(['c', 'd'])");
    case!(OrMap<u8, Register>: |m| m.entry(&1).set(&'a'), |m| m.remove(&1), |m| m.entry(&1).set(&'b')
        => "{1: Ok(['b'])}");
}

#[test]
fn greatest_and_least() {
    case!(MaxRegister<u8>: |r| r.raise(&5), |r| r.raise(&7), |r| r.raise(&6) => "Some(7)");
    case!(MaxRegister<u8>: |r| r.raise(&5), |r| r.raise(&3), |_| () => "Some(5)");
    case!(MinRegister<u8>: |r| r.lower(&5), |r| r.lower(&4), |r| r.lower(&6) => "Some(4)");
    type Map = OrMap<u8, MaxRegister<u8>>;
    case!(Map: |m| m.entry(&1).raise(&5), |m| m.remove(&1), |m| m.entry(&1).raise(&4)
        => "{1: Some(4)}");
    case!(Map: |m| m.entry(&1).raise(&5), |m| m.remove(&1), |m| m.entry(&1).ensure(&4) => "{}");
}

#[test]
fn joined() {
    type Value = Joined<Bits>;
    case!(Value: |j| j.update(|b| b.0 |= 1), |j| j.update(|b| b.0 |= 2), |j| j.update(|b| b.0 |= 4)
        => "Ok(Bits(7))");
    type Map = OrMap<u8, Value>;
    case!(Map:
        |m| m.entry(&1).update(|b| b.0 |= 1),
        |m| m.remove(&1),
        |m| m.entry(&1).update(|b| b.0 |= 2)
        => "{1: Ok(Bits(3))}");
}

#[test]
fn maps() {
    type Sets = OrMap<char, OrSet<char>>;
    let begin = |m: &mut crdt_core::OrMapEdit<'_, char, OrSet<char>>| m.entry(&'k').insert(&'x');
    case!(Sets: begin, |m| m.remove(&'k'), |m| m.entry(&'k').insert(&'y') => "{'k': {'y'}}");
    case!(Sets: begin, |m| m.entry(&'k').remove(&'x'), |m| m.entry(&'k').insert(&'y')
        => "{'k': {'y'}}");
    case!(Sets: begin, |m| m.entry(&'k').remove(&'x'), |_| () => "{}");
    type Counters = OrMap<char, PnCounter>;
    case!(Counters: |m| m.entry(&'k').add(3), |m| m.clear(), |m| m.entry(&'l').add(1)
        => "{'l': 1}");
    case!(Counters: |_| (), |m| m.entry(&'k').add(1), |m| m.entry(&'k').add(2) => "{'k': 3}");
    case!(Counters: |_| (), |m| m.entry(&'k').add(5), |m| m.entry(&'k').add(-5) => "{'k': 0}");
}

#[test]
fn last_writer_wins_maps() {
    type Map = LwwMap<char, u8>;
    type Edit<'a> = crdt_core::LwwMapEdit<'a, char, u8>;
    let begin = |m: &mut Edit<'_>| m.insert(&'k', &1);
    let b = |m: &mut Edit<'_>| m.insert(&'k', &2);
    let done =
        at_minutes::<Map, _, _, _>(begin, (60, b), (61, |m: &mut Edit<'_>| m.insert(&'k', &3)));
    assert_eq!(done.view().get(&'k'), Ok(Some(3)));
    assert_eq!(done.view().register(&'k').losers(), Ok(vec![2]));
    let done = at_minutes::<Map, _, _, _>(begin, (61, |m: &mut Edit<'_>| m.remove(&'k')), (60, b));
    assert_eq!(done.view().get(&'k'), Ok(Some(2)));
    case!(Map: begin, |m| m.insert(&'k', &2), |m| m.insert(&'l', &3)
        => "{'k': Ok(2), 'l': Ok(3)}");
    case!(Map: begin, |m| m.clear(), |m| m.insert(&'l', &3) => "{'l': Ok(3)}");
}

#[test]
fn records() {
    case!(Profile: |_| (), |p| p.name().set(&1), |p| p.visits().add(1)
        => "Profile { name: Ok(Some(1)), tags: {}, visits: 1 }");
    type Map = OrMap<u8, Profile>;
    case!(Map: |m| m.entry(&1).name().set(&1), |m| m.remove(&1), |m| m.entry(&1).visits().add(1)
        => "{1: Profile { name: Ok(None), tags: {}, visits: 1 }}");
}
