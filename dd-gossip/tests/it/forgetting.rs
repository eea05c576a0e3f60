//! Removal records: when they go, when they stay, and that nothing comes back for it.

use std::time::Duration;

use bytes::Bytes;
use crdt_core::{Dot, LwwRegister, OrSet, PnCounter};
use dd_gossip::{Config, MIN_CHUNK, Replica};

use crate::support::net::Net;
use crate::support::{config, craft, node, restarted};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn impatient(name: &str) -> Config {
    let mut config = config(name, &NAMES);
    config.timing.away = Duration::from_secs(60);
    config
}

fn insert(net: &mut Net, name: &str, key: &str, element: &str) {
    net.write::<OrSet<String>>(name, key, |set| {
        set.insert(element);
    });
}

fn records(net: &mut Net) -> Vec<usize> {
    NAMES.map(|name| net[name].status().records).to_vec()
}

#[test]
fn records_go_when_every_peer_has_the_removal() {
    let mut net = Net::mesh(&NAMES);
    insert(&mut net, "a", "key", "x");
    net.settle();
    net.delete("b", "key");
    net.settle();
    assert_eq!(records(&mut net), [1, 1, 1]);
    net.run_millis(60_000);
    assert_eq!(records(&mut net), [0, 0, 0]);
    for name in NAMES {
        let status = net[name].status();
        assert_eq!((status.keys, status.events_indexed), (0, 0));
        assert_eq!(status.counts.records_forgotten, 1);
        let floor = net[name].state().floor().clone();
        assert_eq!(
            floor.get(net["b"].replica_id()),
            1,
            "what was forgotten is remembered"
        );
    }
    net.assert_equal();
}

#[test]
fn it_is_known_whom_records_wait_for() {
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect_all();
    insert(&mut net, "a", "key", "x");
    net.write::<PnCounter>("c", "hits", |hits| hits.add(1));
    net.run_millis(10_000);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    net.delete("a", "key");
    net.delete("a", "hits");
    net.run_millis(10_000);
    let awaited = |net: &mut Net| {
        let now = net.now;
        net["a"].records_awaited(now)
    };
    let why = awaited(&mut net);
    assert!(why.by_peer.iter().eq([(&node("c"), &2)]), "{why:?}");
    assert_eq!(why.of_counters, 1, "c had counted");
    // Who is away for long is not waited for, but for what it had counted.
    net.run_millis(60_000);
    let why = awaited(&mut net);
    assert!(why.by_peer.is_empty(), "{why:?}");
    assert_eq!((why.of_counters, net["a"].status().records), (1, 1));
}

#[test]
fn records_stay_while_an_acknowledgement_is_missing() {
    let mut net = Net::mesh(&NAMES);
    insert(&mut net, "a", "key", "x");
    net.run_millis(10_000);
    net.hold_up("c", "a");
    net.hold_up("c", "b");
    net.delete("a", "key");
    net.run_millis(60_000);
    let forgot = records(&mut net);
    assert_eq!(forgot[..2], [1, 1], "c has it, and nobody knows");
    assert!(net["c"].keys(b"", None, 1).is_empty());
    net.release("c", "a");
    net.release("c", "b");
    net.run_millis(60_000);
    assert_eq!(records(&mut net), [0, 0, 0]);
}

#[test]
fn records_stay_while_a_peer_is_away_until_it_is_too_long() {
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect_all();
    insert(&mut net, "a", "key", "x");
    net.run_millis(10_000);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    net.delete("a", "key");
    net.run_millis(55_000);
    assert_eq!(records(&mut net), [1, 1, 0]);
    net.run_millis(20_000);
    assert_eq!(
        records(&mut net),
        [0, 0, 0],
        "also if nothing is written meanwhile"
    );
}

#[test]
fn who_comes_back_in_time_needs_no_full_comparison() {
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect_all();
    insert(&mut net, "a", "key", "x");
    net.run_millis(10_000);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    net.delete("a", "key");
    net.run_millis(50_000);
    net.connect("b", "c");
    net.converge();
    assert!(net["c"].keys(b"", None, 1).is_empty());
    assert_eq!(net["c"].counts().comparisons_received, 0);
}

#[test]
fn a_configured_peer_that_never_came_is_waited_for_too() {
    let mut net = Net::with(vec![impatient("a"), impatient("b")]);
    net.connect_all();
    insert(&mut net, "a", "key", "x");
    net.delete("a", "key");
    net.run_millis(50_000);
    assert_eq!(net["a"].status().records, 1);
    net.run_millis(30_000);
    assert_eq!(net["a"].status().records, 0);
}

#[test]
fn who_was_away_too_long_brings_nothing_back() {
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect_all();
    for n in 0..20 {
        insert(&mut net, "a", &format!("key-{n:02}"), "x");
    }
    net.write::<LwwRegister<u64>>("b", "register", |register| register.set(&1));
    net.run_millis(10_000);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    for n in 0..15 {
        net.delete("a", &format!("key-{n:02}"));
    }
    net.write::<LwwRegister<u64>>("a", "register", |register| register.set(&2));
    // Concurrent with the deletes: this it may keep, and the rest of the key not.
    insert(&mut net, "c", "key-00", "concurrent");
    insert(&mut net, "c", "new", "x");
    net.run_millis(100_000);
    assert_eq!(records(&mut net)[..2], [0, 0]);
    net.connect("b", "c");
    net.converge();
    assert_eq!(net["c"].counts().comparisons_received, 1);
    let keys = [
        "key-00", "key-15", "key-16", "key-17", "key-18", "key-19", "new", "register",
    ];
    for name in NAMES {
        let found = net[name].keys(b"", None, 99);
        assert!(
            found.iter().map(|key| &**key).eq(keys.map(str::as_bytes)),
            "{found:?}"
        );
        let left: Vec<String> = net[name].view::<OrSet<String>>(b"key-00").iter().collect();
        assert_eq!(left, ["concurrent"]);
        let register = net[name].view::<LwwRegister<u64>>(b"register").get();
        assert_eq!(register, Ok(Some(2)));
    }
}

#[test]
fn s19_who_was_away_while_keys_came_and_went_ends_empty() {
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect_all();
    net.run_millis(1_000);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    for round in 0..5 {
        for n in 0..400 {
            let key = format!("key-{}", n % 40);
            insert(&mut net, NAMES[n % 2], &key, &format!("element-{round}"));
            net.delete(NAMES[(n + 1) % 2], &key);
            net.delete(NAMES[n % 2], &key);
        }
        net.run_millis(30_000);
    }
    net.connect("a", "c");
    net.converge();
    for name in NAMES {
        let status = net[name].status();
        assert_eq!(
            (status.keys, status.records, status.events_indexed),
            (0, 0, 0),
            "{name}"
        );
        assert_eq!(
            status.context.origins(),
            2,
            "what was seen is one range per origin"
        );
        assert!(
            status
                .context
                .iter()
                .all(|(_, seqs)| seqs.ranges().count() == 1)
        );
    }
}

#[test]
fn a_newcomer_learns_of_what_was_forgotten() {
    let mut net = Net::with(vec![config("a", &["b"]), config("b", &["a"])]);
    net.connect_all();
    insert(&mut net, "a", "gone", "x");
    insert(&mut net, "a", "kept", "x");
    net.delete("a", "gone");
    net.run_millis(60_000);
    assert_eq!(net["a"].status().records, 0);
    net.put(Replica::new(config("c", &["a"]), net.now));
    net.connect("a", "c");
    net.converge();
    assert_eq!(net["c"].counts().comparisons_received, 1);
    assert_eq!(net["c"].state().floor(), net["a"].state().floor());
    assert_eq!(net["c"].keys(b"", None, 9).len(), 1);
}

#[test]
fn a_counter_s_removal_waits_for_who_counted_however_long_it_is_away() {
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect_all();
    net.write::<PnCounter>("c", "hits", |hits| hits.add(3));
    net.run_millis(10_000);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    net.write::<PnCounter>("c", "hits", |hits| hits.add(10));
    net.write::<PnCounter>("a", "hits", |hits| {
        assert!(hits.reset());
    });
    insert(&mut net, "a", "other", "x");
    net.delete("a", "other");
    net.run_millis(600_000);
    assert_eq!(records(&mut net)[..2], [1, 1], "that of the set is gone");
    net.connect("b", "c");
    net.connect("a", "c");
    net.converge();
    for name in NAMES {
        assert_eq!(net[name].view::<PnCounter>(b"hits").value(), 10, "{name}");
    }
    net.run_millis(60_000);
    assert_eq!(records(&mut net), [0, 0, 0], "now c counts on from the cut");
    net.write::<PnCounter>("c", "hits", |hits| hits.add(1));
    net.converge();
    assert_eq!(net["a"].view::<PnCounter>(b"hits").value(), 11);
}

/// Removals of counters are kept for c, which counted and is away; b has them. What comes behind them in a full
/// comparison must not be missing, however many they are.
#[test]
fn a_full_comparison_goes_on_behind_removals_that_the_peer_has() {
    let small = |name| Config {
        chunk: MIN_CHUNK,
        ..impatient(name)
    };
    let mut net = Net::with(NAMES.map(small).to_vec());
    net.connect_all();
    let counters: Vec<String> = (0..20).map(|n| format!("hits {n}")).collect();
    for counter in &counters {
        net.write::<PnCounter>("c", counter, |hits| hits.add(1));
    }
    net.run_millis(10_000);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    for counter in &counters {
        net.write::<PnCounter>("a", counter, |hits| {
            hits.reset();
        });
    }
    net.run_millis(10_000);
    net.disconnect("a", "b");
    insert(&mut net, "a", "gone", "x");
    net.delete("a", "gone");
    net.run_millis(600_000);
    insert(&mut net, "a", "stays", "x");
    net.run_millis(1_000);
    assert_eq!(records(&mut net)[..2], [20, 20], "that of the set is gone");
    net.connect("a", "b");
    net.settle();
    net.connect("a", "c");
    net.converge();
    assert!(net["a"].counts().comparisons_sent > 0);
    assert!(net["b"].view::<OrSet<String>>(b"stays").contains("x"));
}

/// c knows the run and not that a part of it was removed, of which no record is left.
#[test]
fn a_full_comparison_brings_the_cuts_of_runs_that_the_peer_knows() {
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect_all();
    net.write::<PnCounter>("a", "hits", |hits| hits.add(2));
    net.run_millis(10_000);
    net.disconnect("b", "a");
    net.disconnect("b", "c");
    net.write::<PnCounter>("a", "hits", |hits| hits.add(3));
    net.write::<PnCounter>("b", "hits", |hits| {
        assert!(hits.reset());
    });
    net.run_millis(10_000);
    assert_eq!(net["c"].view::<PnCounter>(b"hits").value(), 5);
    net.disconnect("a", "c");
    net.connect("a", "b");
    net.run_millis(600_000);
    assert_eq!(records(&mut net)[..2], [0, 0]);
    net.connect("a", "c");
    net.connect("b", "c");
    net.converge();
    let compared = net["a"].counts().comparisons_sent + net["b"].counts().comparisons_sent;
    assert!(compared > 0);
    assert_eq!(net["c"].view::<PnCounter>(b"hits").value(), 3);
}

/// Whoever got the piece first could pass it on before it hears of the floor under which it was made.
#[test]
fn the_floor_comes_before_the_first_piece() {
    let mut net = Net::mesh(&NAMES);
    insert(&mut net, "a", "key", "x");
    net.settle();
    net.delete("b", "key");
    net.settle();
    let image = net["c"].state();
    assert!(image.floor().is_empty());
    net.run_millis(60_000);
    let floor = net["a"].state().floor().clone();
    assert!(!floor.is_empty());
    net.take("c");
    insert(&mut net, "a", "other", "y");
    let again = restarted("c", 2, &NAMES);
    net.put(Replica::restore(again, image, net.now));
    net.connect("a", "c");
    while !net["c"].view::<OrSet<String>>(b"other").contains("y") {
        assert!(net.carry_one().is_some(), "it is not sent");
    }
    assert_eq!(*net["c"].state().floor(), floor);
    assert_eq!(net["a"].counts().comparisons_sent, 0);
}

#[test]
fn own_counts_need_no_waiting() {
    let mut net = Net::mesh(&["a", "b"]);
    net.write::<PnCounter>("a", "hits", |hits| hits.add(3));
    net.run_millis(10_000);
    net.write::<PnCounter>("a", "hits", |hits| {
        assert!(hits.reset());
    });
    net.settle();
    net.run_millis(300);
    assert_eq!(net["a"].status().records, 0, "b has acknowledged");
}

/// An acknowledgement says that the removal has arrived, not what its sender had counted before:
/// that can still be on its way, without the cut, from somebody who got it earlier.
#[test]
fn an_acknowledgement_is_not_enough_to_forget_a_cut() {
    let mut net = Net::mesh(&NAMES);
    net.write::<PnCounter>("c", "hits", |hits| hits.add(3));
    net.run_millis(20_000);
    // c counts on. That reaches b, and b offers it to a; c's own frames to a are held up.
    net.hold_up("c", "a");
    net.write::<PnCounter>("c", "hits", |hits| hits.add(1));
    net.settle();
    net.hold_up("b", "a");
    let mut under_way: Vec<Bytes> = Vec::new();
    while under_way.is_empty() {
        net.run_millis(100);
        while let Some(frame) = net.poll("b", "a") {
            if craft::kind(&frame) == craft::DATA {
                under_way.push(frame);
            } else {
                net.deliver("b", "a", &frame);
            }
        }
    }
    // a resets what it has seen; b and c have that at once, and acknowledge.
    net.write::<PnCounter>("a", "hits", |hits| {
        assert!(hits.reset());
    });
    net.settle();
    for from in ["b", "c"] {
        let ack = net.poll(from, "a").expect("an acknowledgement");
        assert_eq!(craft::kind(&ack), craft::ACK);
        net.deliver(from, "a", &ack);
    }
    net.run_millis(400);
    for frame in &under_way {
        net.deliver("b", "a", frame);
    }
    assert_eq!(
        net["a"].view::<PnCounter>(b"hits").value(),
        1,
        "the three were reset"
    );
    net.release("b", "a");
    net.release("c", "a");
    net.converge();
    assert_eq!(net["a"].view::<PnCounter>(b"hits").value(), 1);
    net.run_millis(60_000);
    assert_eq!(records(&mut net), [0, 0, 0]);
}

#[test]
fn a_restart_does_not_hold_records_back() {
    let mut net = Net::mesh(&NAMES);
    insert(&mut net, "a", "key", "x");
    net.run_millis(10_000);
    let state = net.take("c").state();
    net.delete("a", "key");
    net.run_millis(10_000);
    let again = restarted("c", 2, &NAMES);
    net.put(Replica::restore(again, state, net.now));
    net.connect("a", "c");
    net.connect("b", "c");
    net.converge();
    assert_eq!(records(&mut net), [0, 0, 0]);
    assert!(net["c"].keys(b"", None, 1).is_empty());
}

/// A removal names only what was there, or on record, at its maker. What its maker had forgotten
/// must therefore reach whoever gets the removal, by whatever way. Found by the simulator.
#[test]
fn who_has_a_removal_knows_what_its_maker_had_forgotten() {
    // Small frames, so that each piece is one of its own.
    let small = |name| Config {
        chunk: MIN_CHUNK,
        ..impatient(name)
    };
    let mut net = Net::with(NAMES.map(small).to_vec());
    net.connect_all();
    insert(&mut net, "a", "key", "x");
    net.run_millis(10_000);
    // c is away for b, and hears nothing of a. b inserts x again, over what a had, and forgets that
    // it did, as it no longer waits for c; a does.
    net.disconnect("b", "c");
    net.hold_up("a", "c");
    insert(&mut net, "b", "key", "x");
    net.run_millis(70_000);
    assert_eq!(
        (net["a"].status().records, net["b"].status().records),
        (1, 0)
    );
    // b deletes the key, and has not seen what a inserts.
    net.hold_up("a", "b");
    insert(&mut net, "a", "key", "y");
    assert!(net.delete("b", "key"));
    net.settle();
    let delete = Dot::new(net["b"].replica_id(), 2);
    let mut shown = false;
    for _ in 0..400 {
        net.release("a", "c");
        while net.carry_one().is_some() {
            let has_delete = net["c"].state().context().contains(delete);
            let set = net["c"].view::<OrSet<String>>(b"key");
            assert!(!(has_delete && set.contains("x")), "x is back");
            shown |= has_delete && set.contains("y");
        }
        net.hold_up("a", "c");
        net.run_millis(50);
    }
    assert!(shown, "c has caught up");
    net.release("a", "b");
    net.release("a", "c");
    net.converge();
}
