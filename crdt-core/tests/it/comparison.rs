//! Full comparisons, which replicas of a store catch up by, against the join of the two stores.

use crdt_core::kernel::{ComparisonPart, DotStore, ValueRef};
use crdt_core::{Causal, Dot, OrMap, OrSet, PnCounter};
use proptest::prelude::*;

use crate::support::catching_up::{caught_up, commit, complete, staged};
use crate::support::subject::Subject;
use crate::support::world::{Step, World, forgetful_histories};
use crate::support::{empty, property, replica, store_of, update};

type Counts = OrMap<String, PnCounter>;
type Sets = OrMap<String, OrSet<String>>;

fn check<T: Subject>(history: Vec<Step<T::Op>>) -> Result<(), TestCaseError> {
    let world = World::<T>::after(4, &history)?;
    let stores: Vec<DotStore> = world.replicas.iter().map(store_of).collect();
    for from in &stores {
        for to in &stores {
            let mut joined = to.clone();
            joined.join(from);
            let caught_up = caught_up(from, to);
            prop_assert_eq!(caught_up.root(), joined.root());
            prop_assert_eq!(caught_up.context(), joined.context());
            prop_assert_eq!(caught_up.floor(), joined.floor());
            check_minimal(from, to)?;
        }
    }
    Ok(())
}

/// What the receiver has is named, and what it lacks brought, nothing twice. Runs with a cut come
/// along in any case: the receiver may not know of the cut.
fn check_minimal(from: &DotStore, to: &DotStore) -> Result<(), TestCaseError> {
    let mut expected = Vec::new();
    from.root().visit(&mut Vec::new(), &mut |path, entry| {
        let cut = matches!(entry.value, ValueRef::Run(run) if run.cut_seq > 0);
        let known = to.context().contains(entry.dot);
        let mut part = ComparisonPart::default();
        if known {
            part.kept.insert(entry.dot);
        }
        if !known || cut {
            part.unit.adds.push((path.into(), vec![entry.to_entry()]));
        }
        expected.push(part);
    });
    for (path, record) in from.records() {
        if !to.context().contains(record.dot) {
            let mut part = ComparisonPart::default();
            part.unit.records.push((path.clone(), record.clone()));
            expected.push(part);
        }
    }
    let parts: Vec<ComparisonPart> = from.compare(to.context()).collect();
    prop_assert_eq!(&parts, &expected);
    let units = parts.into_iter().map(|part| part.unit);
    let units: Vec<_> = units.filter(|unit| !unit.is_empty()).collect();
    let comparison = staged(from, to);
    prop_assert_eq!(comparison.units(), units);
    Ok(())
}

#[test]
fn a_comparison_of_counters_comes_to_the_same_as_the_join() {
    property(128, forgetful_histories::<Counts>(40), check::<Counts>);
}

#[test]
fn a_comparison_of_sets_comes_to_the_same_as_the_join() {
    property(128, forgetful_histories::<Sets>(40), check::<Sets>);
}

/// What a comparison is for: the removal was forgotten, so nothing but the sender's context tells of it.
#[test]
fn who_is_behind_what_was_forgotten_catches_up() {
    let mut a: Causal<Sets> = empty(1);
    update(&mut a, |m| {
        m.entry("k").insert("gone");
        m.entry("k").insert("kept");
    });
    let mut b = a.fork(replica(2)).expect("an id of its own");
    update(&mut b, |m| m.entry("k").insert("new"));
    update(&mut a, |m| m.entry("k").remove("gone"));
    assert_eq!(a.forget([a.context().clone()].iter()), 1);
    let (a, b) = (store_of(&a), store_of(&b));
    assert!(a.is_behind_floor(b.context()));
    let b = caught_up(&a, &b);
    let mut names = Vec::new();
    b.root().visit(&mut Vec::new(), &mut |path, _| {
        names.extend(path.last().cloned());
    });
    let expected = [b"kept".as_slice(), b"new"];
    assert!(
        names.iter().map(|name| name.as_bytes()).eq(expected),
        "{names:?}"
    );
    assert_eq!(b.floor(), a.floor());
    assert!(!a.is_behind_floor(b.context()));
}

/// The receiver has counted on a run that the sender has cut, and the sender's record of it is gone.
#[test]
fn a_cut_reaches_a_run_that_was_counted_on() {
    let mut a: Causal<PnCounter> = empty(1);
    let mut b: Causal<PnCounter> = empty(2);
    update(&mut b, |n| n.add(5));
    a.merge(&b).expect("an id of its own");
    update(&mut a, |n| n.reset());
    update(&mut b, |n| n.add(1));
    let on_the_way = b.fork(replica(3)).expect("an id of its own");
    a.merge(&on_the_way).expect("an id of its own");
    assert_eq!(a.forget([on_the_way.context()]), 0, "it lacks the removal");
    update(&mut b, |n| n.add(10));
    let a = store_of(&a);
    for (to, counted) in [(&on_the_way, 1), (&b, 11)] {
        let to = caught_up(&a, &store_of(to));
        let run = to.root().as_ref().run(replica(2));
        assert_eq!(run.map(|(_, run)| run.amount()), Some(counted));
    }
}

/// The whole run is gone at the sender, and so is its record of the removal.
#[test]
fn a_removed_counter_goes_where_its_removal_was_forgotten() {
    let mut a: Causal<PnCounter> = empty(1);
    let mut b: Causal<PnCounter> = empty(2);
    update(&mut b, |n| n.add(5));
    a.merge(&b).expect("an id of its own");
    update(&mut a, |n| n.add(1));
    update(&mut a, |n| n.reset());
    update(&mut a, |n| n.add(2));
    assert_eq!(a.forget([]), 1, "as if there was nobody else");
    let (a, b) = (store_of(&a), store_of(&b));
    assert!(a.is_behind_floor(b.context()));
    let b = caught_up(&a, &b);
    assert_eq!(b.root(), a.root());
}

/// The sender brings what the receiver lacked when it stated its context, and has by now.
#[test]
fn what_arrived_while_a_comparison_was_under_way_stays() {
    let mut a: Causal<Sets> = empty(1);
    let mut b: Causal<Sets> = empty(2);
    update(&mut a, |m| m.entry("k").insert("early"));
    b.merge(&a).expect("an id of its own");
    let stated = store_of(&b);
    let late = update(&mut a, |m| m.entry("k").insert("late")).delta;
    let a = store_of(&a);
    let comparison = staged(&a, &stated);
    b.apply(&late).expect("nothing was forgotten");
    let (mut b, mut effects) = (store_of(&b), Vec::new());
    commit(&mut b, &comparison, &a, &mut effects);
    assert_eq!(b, a);
    assert_eq!(effects, []);
}

/// The process that counted is sealed as one that got no further, and the values are of one who had heard more of it.
#[test]
fn values_are_completed_to_what_the_sender_has_where_it_has_an_earlier_run() {
    let mut a: Causal<Counts> = empty(1);
    update(&mut a, |m| m.entry("k").add(1));
    let mut sender = store_of(&a);
    update(&mut a, |m| m.remove("k"));
    update(&mut a, |m| m.entry("k").add(5));
    let mut values = store_of(&a).values();
    let live = Dot::new(replica(1), 3);
    values.reduce_to_values([live].into_iter().collect());
    sender.seal(replica(1), sender.context().digest_up_to(replica(1)));
    let comparison = staged(&sender, &values);
    assert!(comparison.kept().is_empty());
    let mut effects = Vec::new();
    complete(&mut values, &comparison, &sender, &mut effects);
    assert_eq!(values, sender);
    assert_eq!(effects.len(), 2);
}
