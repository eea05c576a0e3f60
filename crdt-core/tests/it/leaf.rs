//! Leaves that hold dots of every kind: no type makes such, and the kernel does not ask.

use crdt_core::kernel::{Cursor, NodeRef, Value};
use crdt_core::{Causal, Crdt, Delta};
use proptest::prelude::*;

use crate::support::catching_up::caught_up;
use crate::support::{copy, empty, kernel_state, merged, property, replica, store_of, update};

/// Anything at one place.
struct Anything;

impl Crdt for Anything {
    type View<'a> = Option<NodeRef<'a>>;
    type Edit<'a> = Cursor<'a>;

    fn shape(out: &mut String) {
        out.push_str("anything");
    }

    fn view(node: Option<NodeRef<'_>>) -> Self::View<'_> {
        node
    }

    fn edit(cursor: Cursor<'_>) -> Self::Edit<'_> {
        cursor
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add,
    Write(u8),
    Count(i8),
    Remove,
    /// One of the deltas so far, by number.
    Deliver(u8),
}

fn steps() -> impl Strategy<Value = Vec<(u8, Step)>> {
    let step = prop_oneof![
        3 => Just(Step::Add),
        1 => any::<u8>().prop_map(Step::Write),
        4 => any::<i8>().prop_map(Step::Count),
        1 => Just(Step::Remove),
        4 => any::<u8>().prop_map(Step::Deliver),
    ];
    prop::collection::vec((0..3u8, step), 1..30)
}

type Replicas = Vec<Causal<Anything>>;

fn after(steps: &[(u8, Step)]) -> Replicas {
    let mut replicas: Replicas = (1..4).map(empty).collect();
    let mut deltas: Vec<Delta<Anything>> = Vec::new();
    for (at, step) in steps {
        let at = usize::from(*at);
        match *step {
            Step::Deliver(n) if !deltas.is_empty() => {
                let delta = &deltas[usize::from(n) % deltas.len()];
                replicas[at].apply(delta).expect("nothing was forgotten");
            }
            Step::Deliver(_) => {}
            _ => {
                let done = update(&mut replicas[at], |place| match *step {
                    Step::Add => place.add(Value::Unit),
                    Step::Write(n) => place.write(Value::Bytes([n].as_slice().into())),
                    Step::Count(n) => place.count(n.into()),
                    _ => drop(place.remove()),
                });
                deltas.push(done.delta);
            }
        }
    }
    replicas
}

/// The state is a function of the context, by whatever way that has come about.
#[test]
fn dots_of_every_kind_join_alike_on_every_way() {
    property(512, steps(), |steps| {
        let replicas = after(&steps);
        for a in &replicas {
            for b in &replicas {
                let joined = merged(a, b);
                prop_assert_eq!(kernel_state(&joined), kernel_state(&merged(b, a)));
                let compared = caught_up(&store_of(b), &store_of(a));
                let whole = store_of(&joined);
                prop_assert_eq!(compared.root(), whole.root());
                let mut by_delta = copy(a);
                let delta = b.delta_since(a.context()).expect("nothing was forgotten");
                by_delta.apply(&delta).expect("made for it");
                prop_assert_eq!(kernel_state(&by_delta), kernel_state(&joined));
            }
        }
        Ok(())
    });
}

/// The counts of a replica are one run, whatever else of it stands between them.
#[test]
fn a_run_meets_its_own_past_between_other_dots() {
    let mut maker = empty::<Anything>(1);
    let first = update(&mut maker, |place| place.count(1)).delta;
    let added = update(&mut maker, |place| place.add(Value::Unit)).delta;
    let second = update(&mut maker, |place| place.count(2)).delta;
    let (mut early, mut late) = (empty(2), empty(3));
    early.apply(&first).expect("nothing was forgotten");
    late.apply(&added).expect("nothing was forgotten");
    late.apply(&second).expect("nothing was forgotten");
    for both in [merged(&early, &late), merged(&late, &early)] {
        assert_eq!(kernel_state(&both), kernel_state(&maker));
    }
}

/// The last of several siblings that are written together may have places under it.
#[test]
fn an_element_with_places_under_it_is_read_as_it_was_written() {
    let mut whole = empty::<Anything>(1);
    update(&mut whole, |place| {
        for n in 0..4u8 {
            place.child([n][..].into()).add(Value::Unit);
        }
        let mut last = place.child([3u8][..].into());
        last.child("below".into()).add(Value::Unit);
    });
    let loaded = Causal::<Anything>::load(&whole.encode(), replica(2)).expect("just written");
    assert_eq!(loaded.view(), whole.view());
    let children = loaded.view().map(|place| place.children().len());
    assert_eq!(children, Some(4));
    assert_eq!(loaded.encode(), whole.encode());
}
