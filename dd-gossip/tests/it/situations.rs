//! Situations that were defects or hard cases in systems in production, at the level of the store.

use bytes::Bytes;
use crdt_core::kernel::{Cursor, NodeRef, Value};
use crdt_core::{Crdt, LwwRegister, OrMap, OrSet, PnCounter, Shape};
use dd_gossip::Replica;

use crate::support::net::Net;
use crate::support::{craft, incarnation, restarted};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn insert(net: &mut Net, name: &str, key: &str, element: &str) {
    net.write::<OrSet<String>>(name, key, |set| {
        set.insert(element);
    });
}

fn elements(net: &Net, name: &str, key: &str) -> Vec<String> {
    net[name]
        .view::<OrSet<String>>(key.as_bytes())
        .iter()
        .collect()
}

#[test]
fn s17_a_deleted_key_stays_deleted_when_an_older_frame_arrives() {
    let mut net = Net::of(&NAMES);
    net.connect("a", "b");
    insert(&mut net, "a", "key", "old");
    net.write::<LwwRegister<String>>("a", "key", |register| register.set("old"));
    net.write::<PnCounter>("b", "key", |count| count.add(7));
    net.run_millis(2_000);
    // b brings c up to date; its frames are slow.
    net.connect("b", "c");
    let mut under_way: Vec<Bytes> = Vec::new();
    while under_way.len() < 2 {
        for (from, to) in [("c", "b"), ("b", "c")] {
            let Some(frame) = net.poll(from, to) else {
                continue;
            };
            if from == "b" && craft::kind(&frame) == craft::DATA {
                under_way.push(frame);
            } else {
                net.deliver(from, to, &frame);
            }
        }
    }
    net.hold_up("b", "c");
    assert!(net.delete("a", "key"));
    net.settle();
    // c hears of everything from a, once it has given up on b.
    net.connect("a", "c");
    net.run_millis(20_000);
    assert!(
        net["c"]
            .state()
            .context()
            .contains(crdt_core::Dot::new(incarnation("a", 1), 3))
    );
    for frame in &under_way {
        net.deliver("b", "c", frame);
        assert!(net["c"].keys(b"", None, 1).is_empty(), "it came back");
    }
    net.release("b", "c");
    net.converge();
    for name in NAMES {
        assert!(net[name].keys(b"", None, 1).is_empty());
    }
    // Written again it is there, on all nodes, with nothing of its former value.
    insert(&mut net, "c", "key", "new");
    net.write::<PnCounter>("c", "key", |count| count.add(1));
    net.converge();
    for name in NAMES {
        assert_eq!(elements(&net, name, "key"), ["new"]);
        assert_eq!(net[name].view::<PnCounter>(b"key").value(), 1);
        assert_eq!(net[name].shapes(b"key").len(), 2);
    }
}

#[test]
fn s17_a_delete_overtakes_the_write_that_it_deletes() {
    let mut net = Net::mesh(&NAMES);
    net.run_millis(5_000);
    insert(&mut net, "a", "key", "old");
    let under_way = net.poll("a", "c").expect("a flush");
    net.settle();
    net.delete("b", "key");
    net.settle();
    net.deliver("a", "c", &under_way);
    net.settle();
    for name in NAMES {
        assert!(net[name].keys(b"", None, 1).is_empty(), "{name}");
    }
    net.converge();
}

#[test]
fn s18_keys_that_come_and_go_leave_nothing() {
    let mut net = Net::mesh(&NAMES);
    for round in 0..20 {
        for n in 0..100 {
            insert(&mut net, NAMES[n % 3], &format!("key-{n}-{round}"), "x");
        }
        net.run_millis(1_000);
        for n in 0..100 {
            assert!(net.delete(NAMES[(n + round) % 3], &format!("key-{n}-{round}")));
        }
        net.run_millis(2_000);
    }
    net.converge();
    for name in NAMES {
        let status = net[name].status();
        assert_eq!(
            (status.keys, status.events_indexed, status.records),
            (0, 0, 0),
            "{name}"
        );
        assert_eq!(status.fingerprint, 0, "that of nothing");
    }
}

#[test]
fn s20_a_node_whose_disk_was_lost_returns_under_its_name() {
    let mut net = Net::mesh(&NAMES);
    for n in 0..5 {
        insert(&mut net, "b", "written-before", &format!("{n}"));
        net.write::<PnCounter>("b", "count", |count| count.add(1));
    }
    net.run_millis(1_000);
    net.take("b");
    net.put(Replica::new(restarted("b", 2, &NAMES), net.now));
    // It writes at once, before it has caught up.
    insert(&mut net, "b", "written-after", "x");
    net.write::<PnCounter>("b", "count", |count| count.add(10));
    net.connect_all();
    net.converge();
    insert(&mut net, "b", "written-after", "y");
    net.converge();
    for name in NAMES {
        assert_eq!(
            elements(&net, name, "written-before"),
            ["0", "1", "2", "3", "4"]
        );
        assert_eq!(elements(&net, name, "written-after"), ["x", "y"]);
        assert_eq!(net[name].view::<PnCounter>(b"count").value(), 15);
    }
}

#[test]
fn s21_a_node_returns_from_an_old_image() {
    for forgotten in [false, true] {
        let mut net = Net::mesh(&NAMES);
        for key in ["deleted", "deleted-and-written-again", "kept"] {
            insert(&mut net, "a", key, "old");
        }
        net.write::<PnCounter>("c", "count", |count| count.add(5));
        net.run_millis(5_000);
        let image = net["c"].state();
        insert(&mut net, "c", "after-the-image", "x");
        net.settle();
        net.delete("a", "deleted");
        net.delete("b", "deleted-and-written-again");
        insert(&mut net, "b", "deleted-and-written-again", "new");
        net.write::<PnCounter>("b", "count", |count| {
            count.reset();
            count.add(1);
        });
        net.run_millis(if forgotten { 60_000 } else { 1 });
        assert_eq!(net["a"].status().records == 0, forgotten);
        net.take("c");
        net.put(Replica::restore(restarted("c", 2, &NAMES), image, net.now));
        assert_eq!(elements(&net, "c", "deleted"), ["old"]);
        insert(&mut net, "c", "kept", "from the image");
        net.connect_all();
        net.converge();
        assert_eq!(net["c"].counts().comparisons_received > 0, forgotten);
        for name in NAMES {
            assert!(
                elements(&net, name, "deleted").is_empty(),
                "back from the dead"
            );
            assert_eq!(elements(&net, name, "deleted-and-written-again"), ["new"]);
            assert_eq!(elements(&net, name, "kept"), ["from the image", "old"]);
            assert_eq!(elements(&net, name, "after-the-image"), ["x"]);
            assert_eq!(net[name].view::<PnCounter>(b"count").value(), 1);
        }
    }
}

/// A type that only some nodes know.
struct FromTheFuture;

impl Crdt for FromTheFuture {
    type View<'a> = Option<NodeRef<'a>>;
    type Edit<'a> = Cursor<'a>;

    fn shape(out: &mut String) {
        out.push_str("quantum_map<str,tensor<f32,4>>");
    }

    fn view(node: Option<NodeRef<'_>>) -> Option<NodeRef<'_>> {
        node
    }

    fn edit(cursor: Cursor<'_>) -> Cursor<'_> {
        cursor
    }
}

#[test]
fn s29_an_old_node_relays_stores_and_returns_what_it_does_not_know() {
    let mut net = Net::of(&NAMES);
    // b between the two is the old one: nothing on it knows the type.
    net.connect("a", "b");
    net.connect("b", "c");
    net.write::<FromTheFuture>("a", "key", |cursor| {
        cursor.child("first".into()).add(Value::Unit);
        let payload = Value::Bytes(b"opaque"[..].into());
        let mut deep = cursor.child("second".into());
        deep.child("deeper".into()).write(payload);
        deep.child("counted".into()).count(42);
        cursor.child("removed".into()).add(Value::Unit);
    });
    net.converge();
    net.write::<FromTheFuture>("c", "key", |cursor| {
        assert!(cursor.child("removed".into()).remove());
    });
    net.converge();
    let shape = Shape::of::<FromTheFuture>();
    assert_eq!(
        net["b"].shapes(b"key"),
        std::slice::from_ref(&shape),
        "it can be listed"
    );
    let value = net["a"].value(b"key", &shape).expect("a value").to_node();
    assert_eq!(value.children().len(), 2);
    assert_eq!(net["c"].value(b"key", &shape), Some(value.as_ref()));
    // The old node is restarted from what it kept; both new ones are lost.
    let image = net.take("b").state();
    net.put(Replica::restore(restarted("b", 2, &NAMES), image, net.now));
    for name in ["a", "c"] {
        net.take(name);
        net.put(Replica::new(restarted(name, 2, &NAMES), net.now));
    }
    net.connect_all();
    net.converge();
    assert_eq!(
        net["c"].value(b"key", &shape),
        Some(value.as_ref()),
        "unharmed"
    );
}

#[test]
fn two_types_under_one_key_are_kept_apart_and_deleted_together() {
    let mut net = Net::of(&["a", "b"]);
    insert(&mut net, "a", "key", "element");
    net.write::<PnCounter>("b", "key", |count| count.add(3));
    net.write::<OrSet<u64>>("b", "key", |set| {
        set.insert(&5);
    });
    net.connect_all();
    net.converge();
    for name in ["a", "b"] {
        let shapes = net[name].shapes(b"key");
        let found: Vec<&str> = shapes.iter().map(Shape::as_str).collect();
        assert_eq!(found, ["or_set<str>", "or_set<u64>", "pn_counter"]);
        assert_eq!(elements(&net, name, "key"), ["element"]);
        assert_eq!(net[name].view::<PnCounter>(b"key").value(), 3);
        assert_eq!(
            net[name]
                .view::<OrSet<u64>>(b"key")
                .iter()
                .collect::<Vec<_>>(),
            [5]
        );
        assert_eq!(net[name].keys(b"", None, 9).len(), 1, "it is one key");
    }
    // What is written to one of them meanwhile survives the delete, and the others do not.
    net.disconnect("a", "b");
    assert!(net.delete("a", "key"));
    assert!(!net.delete("a", "key"), "there is nothing left");
    net.write::<PnCounter>("b", "key", |count| count.add(4));
    net.connect_all();
    net.converge();
    for name in ["a", "b"] {
        assert_eq!(net[name].shapes(b"key"), [Shape::of::<PnCounter>()]);
        assert_eq!(net[name].view::<PnCounter>(b"key").value(), 4);
    }
}

#[test]
fn keys_are_listed_in_order_by_prefix_and_page() {
    let mut net = Net::mesh(&["a", "b"]);
    for key in ["b/2", "a/1", "b/1", "b", "b/3", "c"] {
        insert(&mut net, "a", key, "x");
    }
    net.settle();
    let list = |prefix: &str, after: Option<&str>, limit| {
        let keys = net["b"].keys(prefix.as_bytes(), after.map(str::as_bytes), limit);
        let text = |key: &crdt_core::Name| String::from_utf8_lossy(key).into_owned();
        keys.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 99), ["a/1", "b", "b/1", "b/2", "b/3", "c"]);
    assert_eq!(list("b/", None, 2), ["b/1", "b/2"]);
    assert_eq!(list("b/", Some("b/2"), 2), ["b/3"]);
    assert_eq!(list("b/", Some("a"), 9), ["b/1", "b/2", "b/3"]);
    assert_eq!(list("b/", Some("c"), 9), Vec::<String>::new());
}

#[test]
fn a_restart_is_another_incarnation() {
    let mut net = Net::mesh(&NAMES);
    net.write::<PnCounter>("a", "count", |count| count.add(1));
    insert(&mut net, "a", "key", "before");
    net.run_millis(1_000);
    // Frames of the former process are still under way when the new one greets.
    net.hold_up("a", "b");
    insert(&mut net, "a", "key", "last words");
    let last_words = net.poll("a", "b").expect("a flush");
    let state = net.take("a").state();
    net.release("a", "b");
    net.put(Replica::restore(restarted("a", 2, &NAMES), state, net.now));
    net.connect("a", "b");
    for _ in 0..4 {
        net.carry_one();
    }
    let before = net["b"].counts();
    net.deliver("a", "b", &last_words);
    assert_eq!(net["b"].counts().flushes_received, before.flushes_received);
    net.write::<PnCounter>("a", "count", |count| count.add(10));
    insert(&mut net, "a", "key", "after");
    net.connect_all();
    net.converge();
    for name in NAMES {
        assert_eq!(net[name].view::<PnCounter>(b"count").value(), 11);
        assert_eq!(
            elements(&net, name, "key"),
            ["after", "before", "last words"]
        );
    }
    let context = net["c"].status().context;
    assert!(
        context.is_sealed(incarnation("a", 1)),
        "it is gone, and all is settled"
    );
    assert_eq!(context.max(incarnation("a", 2)), 2);
    let peers = net["c"].status().peers;
    let a = peers
        .iter()
        .find(|peer| peer.node.as_str() == "a")
        .expect("a peer");
    assert_eq!(a.replica, Some(incarnation("a", 2)));
}

#[test]
fn a_failed_update_writes_nothing() {
    let mut net = Net::mesh(&["a", "b"]);
    insert(&mut net, "a", "key", "x");
    net.settle();
    let before = crate::support::visible(&mut net["a"]);
    let since = net.sent.len();
    let now = net.now;
    #[derive(Debug, PartialEq)]
    enum Mine {
        No,
        Theirs,
    }
    impl From<dd_gossip::UpdateError> for Mine {
        fn from(_: dd_gossip::UpdateError) -> Self {
            Mine::Theirs
        }
    }
    let result = net["a"].update::<OrMap<String, OrSet<u64>>, (), _>(now, 0, b"key", |map| {
        map.entry("field").insert(&1);
        Err(Mine::No)
    });
    assert_eq!(result, Err(Mine::No));
    let long = "x".repeat(64 * 1024 + 1);
    let result = net["a"].update::<OrSet<String>, (), _>(now, 0, b"key", |set| {
        set.insert("y");
        set.insert(&long);
        Ok(())
    });
    assert_eq!(result, Err(Mine::Theirs));
    assert_eq!(crate::support::visible(&mut net["a"]), before);
    net.run_millis(50);
    assert_eq!(craft::data_bytes(&net.frames(since, "a", "b")), 0);
}
