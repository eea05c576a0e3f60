//! Links: what a transaction over several keys leaves, how it is kept, sent and forgotten.

use crdt_core::codec::{Reader, Writer};
use crdt_core::kernel::{
    Comparison, DotStore, EditError, Link, MAX_LINK_PATHS, Transaction, Unit, UnitBuilder, Value,
};
use crdt_core::{Context, Dot, Limits, Name, Path, Timestamp};

use crate::support::catching_up::commit;
use crate::support::replica;

fn path(names: &[&str]) -> Path {
    names.iter().map(|name| Name::from(*name)).collect()
}

fn transact(
    store: &mut DotStore,
    origin: u64,
    update: impl FnOnce(&mut Transaction<'_>) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let (clock, limits) = (Timestamp::ZERO, Limits::default());
    store
        .transact(replica(origin), clock, limits, update)
        .map(drop)
}

/// Adds a dot at each of these paths, as one.
fn add_at(store: &mut DotStore, origin: u64, paths: &[&[&str]]) {
    let add = |tx: &mut Transaction<'_>| {
        tx.link_keys();
        paths
            .iter()
            .for_each(|names| tx.at(&path(names)).add(Value::Unit));
        Ok(())
    };
    transact(store, origin, add).expect("within the limits");
}

fn links(store: &DotStore) -> Vec<Link> {
    store.links().cloned().collect()
}

fn link(origin: u64, (first, last): (u64, u64), paths: &[&[&str]]) -> Link {
    Link {
        replica: replica(origin),
        first,
        last,
        paths: paths.iter().map(|names| path(names)).collect(),
    }
}

/// What a peer with this context lacks, with the links of that.
fn all_for(store: &DotStore, peer: &Context, paths: &[&[&str]]) -> Unit {
    let mut unit = UnitBuilder::new(store, peer);
    store.links_lacked_by(peer).for_each(|link| unit.link(link));
    paths.iter().for_each(|names| {
        unit.piece(&path(names));
    });
    unit.finish()
}

#[test]
fn a_transaction_at_several_places_leaves_a_link() {
    let mut store = DotStore::new();
    add_at(&mut store, 1, &[&["k", "x"], &["k", "x"]]);
    assert_eq!(links(&store), [], "one path is shown whole anyway");
    add_at(&mut store, 1, &[]);
    let mut one_key = DotStore::new();
    add_at(&mut one_key, 1, &[&["k", "x"], &["k", "y"]]);
    assert_eq!(
        links(&one_key),
        [link(1, (1, 2), &[&["k", "x"], &["k", "y"]])]
    );
    let anew = |tx: &mut Transaction<'_>| {
        tx.link_keys();
        assert!(tx.at(&path(&["k"])).remove());
        tx.at(&path(&["k", "x"])).add(Value::Unit);
        Ok(())
    };
    transact(&mut one_key, 1, anew).unwrap();
    assert_eq!(links(&one_key)[1], link(1, (3, 4), &[&["k"]]));
    add_at(&mut store, 1, &[&["l", "x"], &["k", "x"], &["k", "x"]]);
    let expected = link(1, (3, 5), &[&["k", "x"], &["l", "x"]]);
    assert_eq!(links(&store), std::slice::from_ref(&expected));
    // A removal above takes in what is under it.
    let remove = |tx: &mut Transaction<'_>| {
        tx.link_keys();
        tx.at(&path(&["k", "y"])).add(Value::Unit);
        assert!(tx.at(&path(&["k"])).remove());
        tx.at(&path(&["m"])).add(Value::Unit);
        assert_eq!(tx.events(), 3);
        Ok(())
    };
    transact(&mut store, 1, remove).unwrap();
    let second = link(1, (6, 8), &[&["k"], &["m"]]);
    assert_eq!(links(&store), [expected, second]);
}

#[test]
fn without_being_asked_for_or_without_success_there_is_no_link() {
    let mut store = DotStore::new();
    let add = |tx: &mut Transaction<'_>| {
        for key in ["k", "l"] {
            tx.at(&path(&[key])).add(Value::Unit);
        }
        Ok(())
    };
    transact(&mut store, 1, add).unwrap();
    let before = store.clone();
    let failed = transact(&mut store, 1, |tx| {
        tx.link_keys();
        add(tx)?;
        Err(EditError::Exhausted)
    });
    assert_eq!(failed, Err(EditError::Exhausted));
    assert_eq!(store, before);
    assert_eq!(links(&store), []);
}

#[test]
fn a_link_of_many_paths_names_what_is_above_them() {
    let many: Vec<String> = (0..MAX_LINK_PATHS).map(|n| n.to_string()).collect();
    let mut store = DotStore::new();
    let mut paths: Vec<Vec<&str>> = many.iter().map(|n| vec!["k", "set", n]).collect();
    paths.pop();
    paths.push(vec!["l", "set", "x"]);
    let all: Vec<&[&str]> = paths.iter().map(|path| &path[..]).collect();
    add_at(&mut store, 1, &all);
    assert_eq!(links(&store)[0].paths.len(), MAX_LINK_PATHS);
    paths.push(vec!["l", "set", "y"]);
    let all: Vec<&[&str]> = paths.iter().map(|path| &path[..]).collect();
    add_at(&mut store, 2, &all);
    let events = (1, MAX_LINK_PATHS as u64 + 1);
    let expected = link(2, events, &[&["k", "set"], &["l", "set"]]);
    assert_eq!(links(&store)[1], expected);
}

#[test]
fn a_transaction_over_too_many_keys_is_refused() {
    let many: Vec<String> = (0..=MAX_LINK_PATHS).map(|n| n.to_string()).collect();
    let mut store = DotStore::new();
    let mut add = |keys: &[String]| {
        transact(&mut store, 1, |tx| {
            tx.link_keys();
            keys.iter()
                .for_each(|key| tx.at(&path(&[key, "x"])).add(Value::Unit));
            Ok(())
        })
    };
    let (count, max) = (MAX_LINK_PATHS + 1, MAX_LINK_PATHS);
    assert_eq!(add(&many), Err(EditError::TooManyKeys { count, max }));
    assert_eq!(add(&many[1..]), Ok(()));
    assert_eq!(store.context().max(replica(1)), max as u64);
    assert_eq!(links(&store)[0].paths.len(), max);
}

#[test]
fn a_link_says_nothing_about_what_was_seen() {
    let (mut a, mut b) = (DotStore::new(), DotStore::new());
    add_at(&mut a, 1, &[&["k"], &["l"]]);
    let half = all_for(&a, &Context::new(), &[&["k"]]);
    assert_eq!(half.links.len(), 1);
    b.apply(&half, &mut Vec::new());
    assert!(b.context().contains(Dot::new(replica(1), 1)));
    assert!(!b.context().contains(Dot::new(replica(1), 2)));
    assert_eq!(b.forget_links(|_| true), 0, "an event is missing");
    assert_eq!(links(&b), links(&a));
    // With the rest of it it may go; then it is not taken in again.
    b.apply(&all_for(&a, b.context(), &[&["l"]]), &mut Vec::new());
    assert_eq!(b.forget_links(|_| false), 0);
    assert_eq!(b.forget_links(|_| true), 1);
    assert_eq!(b.floor().get(replica(1)), 2);
    assert!(b.is_behind_floor(&half.dots().collect()));
    b.apply(&half, &mut Vec::new());
    assert_eq!(links(&b), []);
    let mut comparison = Comparison::default();
    a.compare(&Context::new())
        .for_each(|part| comparison.stage(part));
    commit(&mut b, &comparison, &a, &mut Vec::new());
    assert_eq!(links(&b), []);
}

#[test]
fn a_comparison_and_a_join_bring_links() {
    let mut a = DotStore::new();
    add_at(&mut a, 1, &[&["k"], &["l"]]);
    let mut b = DotStore::new();
    let mut comparison = Comparison::default();
    a.compare(b.context())
        .for_each(|part| comparison.stage(part));
    commit(&mut b, &comparison, &a, &mut Vec::new());
    assert_eq!(b, a);
    let mut c = DotStore::new();
    c.join(&a);
    assert_eq!(c, a);
}

#[test]
fn links_are_found_by_what_a_peer_lacks() {
    let mut store = DotStore::new();
    for _ in 0..3 {
        add_at(&mut store, 1, &[&["k"], &["l"]]);
    }
    add_at(&mut store, 2, &[&["k"], &["l"]]);
    let lacked = |peer: &[(u64, u64, u64)]| -> Vec<(u64, u64)> {
        let mut context = Context::new();
        for (origin, first, last) in peer {
            context.insert_range(replica(*origin), *first, *last);
        }
        let links = store.links_lacked_by(&context);
        links.map(|l| (l.replica.node(), l.last)).collect()
    };
    let all = [(1, 2), (1, 4), (1, 6), (2, 2)].map(|(n, last)| (replica(n).node(), last));
    assert_eq!(lacked(&[]), all);
    assert_eq!(lacked(&[(1, 1, 2)]), all[1..]);
    assert_eq!(lacked(&[(1, 1, 3)]), all[1..]);
    assert_eq!(
        lacked(&[(1, 1, 1), (1, 3, 4), (1, 6, 6), (2, 1, 1)]),
        [all[0], all[2], all[3]]
    );
    assert_eq!(lacked(&[(1, 1, 6), (2, 2, 9)]), [all[3]]);
    assert_eq!(lacked(&[(1, 1, 6), (2, 1, 2)]), []);
    let link = link(1, (3, 5), &[&["k"], &["l"]]);
    let of = |ranges: &[(u64, u64)]| {
        let mut context = Context::new();
        for (first, last) in ranges {
            context.insert_range(replica(1), *first, *last);
        }
        context
    };
    assert!(link.is_in(&of(&[(3, 5)])) && !link.is_in(&of(&[(1, 4)])));
    assert!(link.is_news(&of(&[(5, 9)]), &of(&[(1, 4)])));
    assert!(!link.is_news(&of(&[(1, 2), (6, 9)]), &of(&[])));
    assert!(!link.is_news(&of(&[(3, 3)]), &of(&[(3, 3)])));
}

#[test]
fn a_store_that_is_kept_has_its_links() {
    let mut store = DotStore::new();
    add_at(&mut store, 1, &[&["k", "x"], &["l", "x"]]);
    let mut w = Writer::new();
    store.encode_whole(&mut w);
    let bytes = w.finish();
    let mut r = Reader::new(&bytes);
    let (context, floor) = (store.context().clone(), store.floor().clone());
    let loaded = DotStore::decode_whole(&mut r, &Limits::default(), context, floor);
    assert_eq!(loaded, Ok(store));
}

#[test]
fn golden_bytes_of_a_link() {
    let mut store = DotStore::new();
    add_at(&mut store, 1, &[&["k", "x"], &["l", "x"], &["l", "y"]]);
    let mut w = Writer::new();
    let unit = all_for(
        &store,
        &Context::new(),
        &[&["k", "x"], &["l", "x"], &["l", "y"]],
    );
    unit.encode(&mut w);
    let hex: String = w.finish().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "01000000000000000100000000000000010101000602030002026b02780002026c0001010279030002026b0278010003000002026c00010002000101027901000200"
    );
}
