//! Exchanges and full comparisons: what they cost, and what is left of them when they are cut.

use std::time::Duration;

use bytes::Bytes;
use crdt_core::kernel::DotStore;
use crdt_core::{Context, Dot, LwwRegister, OrSet, PnCounter, ReplicaId, VersionVector};
use dd_gossip::{Config, Event, MAX_FRAME, Replica, Time, Timing};

use crate::support::craft::Stranger;
use crate::support::net::Net;
use crate::support::{assert_sound, config, craft, node, replica_id, visible, write};

fn insert(net: &mut Net, name: &str, key: &str, element: &str) {
    net.write::<OrSet<String>>(name, key, |set| {
        set.insert(element);
    });
}

/// Kinds and bytes of all frames while two equal replicas with so many keys have nothing to do.
fn idle_traffic(keys: usize) -> (Vec<u8>, usize) {
    let mut net = Net::mesh(&["a", "b"]);
    for n in 0..keys {
        insert(&mut net, "a", &format!("key-{n}"), "element");
    }
    net.run_millis(60_000);
    net.assert_equal();
    let since = net.sent.len();
    net.run_millis(600_000);
    let frames = net.sent[since..].iter().map(|sent| &sent.frame);
    let mut kinds: Vec<u8> = frames.clone().map(|frame| craft::kind(frame)).collect();
    let bytes = frames.map(|frame| frame.len()).sum();
    kinds.sort_unstable();
    (kinds, bytes)
}

#[test]
fn two_idle_replicas_compare_one_hash() {
    let (kinds, bytes) = idle_traffic(10);
    let digests = kinds.iter().filter(|kind| **kind == craft::DIGEST).count();
    let same = kinds.iter().filter(|kind| **kind == craft::SAME).count();
    assert_eq!(digests + same, kinds.len(), "nothing else is sent");
    assert_eq!(digests, same, "each is answered");
    // Each side asks every 8 s, give or take a quarter.
    assert!((120..=200).contains(&digests), "{digests}");
    assert!(
        bytes <= 64 * digests,
        "{bytes} bytes for {digests} comparisons"
    );
    assert_eq!(
        idle_traffic(1_000),
        (kinds, bytes),
        "more keys cost nothing"
    );
}

/// Bytes of data to a peer that lacks ten of so many keys.
fn catching_up(keys: usize) -> usize {
    let mut net = Net::mesh(&["a", "b"]);
    for n in 0..keys {
        insert(&mut net, "a", &format!("key-{n}"), "element");
    }
    net.run_millis(1_000);
    net.assert_equal();
    net.disconnect("a", "b");
    for n in 0..10 {
        insert(
            &mut net,
            "a",
            &format!("key-{n}"),
            "thirty-two bytes of new element.",
        );
    }
    let since = net.sent.len();
    net.connect("a", "b");
    net.settle();
    net.assert_equal();
    assert_eq!(craft::data_bytes(&net.frames(since, "b", "a")), 0);
    let frames = net.frames(since, "a", "b");
    frames.iter().map(|frame| frame.len()).sum()
}

#[test]
fn catching_up_costs_the_difference() {
    let (few, many) = (catching_up(20), catching_up(3_000));
    let optimal = 10 * ("key-0".len() + 32);
    assert!(
        many <= optimal * 5 / 4 + 1_024,
        "{many} bytes for {optimal}"
    );
    assert!(many <= few + 50, "{many} bytes where {few} would do");
}

#[test]
fn an_exchange_brings_each_side_only_what_it_lacks() {
    let mut net = Net::of(&["a", "b"]);
    insert(&mut net, "a", "big", &"a".repeat(40_000));
    insert(&mut net, "b", "big", &"b".repeat(30_000));
    net.connect_all();
    net.assert_equal();
    net.run_millis(60_000);
    for (from, to, size) in [("a", "b", 40_000), ("b", "a", 30_000)] {
        let bytes = craft::data_bytes(&net.frames(0, from, to));
        assert!((size..size + 500).contains(&bytes), "{bytes} from {from}");
    }
}

#[test]
fn a_large_value_is_cut_over_frames() {
    let mut net = Net::mesh(&["a", "b"]);
    let value: String = (0..400_000).map(|n| format!("{n:08}")).collect();
    net.write::<LwwRegister<String>>("a", "large", |large| large.set(&value));
    let since = net.sent.len();
    net.settle();
    let frames = net.frames(since, "a", "b");
    assert!(frames.iter().all(|frame| frame.len() <= MAX_FRAME));
    assert_eq!(frames.len(), value.len().div_ceil(MAX_FRAME - 64));
    let found = net["b"].view::<LwwRegister<String>>(b"large").get();
    assert!(found == Ok(Some(value.clone())), "the value is whole");
    // To a node that joins it goes by an exchange.
    net.put(Replica::new(config("c", &["a", "b"]), net.now));
    net.connect("b", "c");
    net.settle();
    let found = net["c"].view::<LwwRegister<String>>(b"large").get();
    assert!(found == Ok(Some(value)), "the value is whole");
    net.assert_equal();
}

fn small_frames(name: &str, peers: &[&str]) -> Config {
    Config {
        chunk: 256,
        ..config(name, peers)
    }
}

/// Two that differ in more than one frame holds, both ways.
fn apart() -> Net {
    let names = ["a", "b"];
    let mut net = Net::with(names.map(|name| small_frames(name, &names)).to_vec());
    for n in 0..15 {
        let key = format!("key-{n}");
        insert(&mut net, "a", &key, &"x".repeat(20 * n));
        insert(&mut net, "a", &key, "gone");
        net.write::<OrSet<String>>("a", &key, |set| {
            set.remove("gone");
        });
        net.write::<PnCounter>("a", "count", |count| count.add(1));
        net.write::<LwwRegister<String>>("b", &key, |register| register.set(&"y".repeat(100)));
    }
    net.delete("a", "key-3");
    net.delete("b", "key-4");
    net
}

#[test]
fn an_exchange_that_is_cut_at_any_frame_is_resumed() {
    let mut whole = apart();
    whole.connect("a", "b");
    whole.settle();
    whole.assert_equal();
    let (all, state) = (whole.sent.len(), whole["a"].state());
    let bytes_whole = craft::data_bytes(&whole.frames(0, "a", "b"));
    assert!(all > 40, "{all} frames");
    let mut cut = 0;
    for after in 1..all {
        let mut net = apart();
        net.connect("a", "b");
        for _ in 0..after {
            net.carry_one().expect("frames are left");
        }
        net.disconnect("a", "b");
        assert_sound(&mut net["a"]);
        assert_sound(&mut net["b"]);
        cut += net["a"].counts().exchanges_cut + net["b"].counts().exchanges_cut;
        net.connect("a", "b");
        net.settle();
        net.assert_equal();
        assert_eq!(net["a"].state().root(), state.root(), "cut after {after}");
        // What had come is not sent again: at most one unit, which is about a frame, and the end.
        let bytes = craft::data_bytes(&net.frames(0, "a", "b"));
        assert!(
            bytes < bytes_whole + 1_200,
            "{bytes} bytes, {bytes_whole} in one go"
        );
    }
    assert!(cut > 20, "{cut} of {all} were cut midway");
}

/// c had a's keys and was away; a has changed and removed some, and forgotten the removals.
fn behind() -> Net {
    let mut a = small_frames("a", &["b", "c"]);
    a.timing.away = Duration::from_secs(10);
    let mut net = Net::with(vec![
        a,
        small_frames("b", &["a"]),
        small_frames("c", &["a"]),
    ]);
    net.connect("a", "b");
    net.connect("a", "c");
    for n in 0..12 {
        insert(&mut net, "a", &format!("key-{n}"), "element");
    }
    net.write::<PnCounter>("a", "count", |count| count.add(5));
    net.run_millis(1_000);
    net.disconnect("a", "c");
    insert(&mut net, "c", "own", "of c");
    for n in 0..12 {
        let key = format!("key-{n}");
        match n % 3 {
            0 => drop(net.delete("a", &key)),
            1 => insert(&mut net, "a", &key, &"z".repeat(300)),
            _ => {}
        }
    }
    net.write::<PnCounter>("a", "count", |count| {
        count.reset();
        count.add(2);
    });
    net.run_millis(30_000);
    assert_eq!(net["a"].status().records, 0, "all was forgotten");
    net
}

#[test]
fn a_full_comparison_that_is_cut_at_any_frame_shows_nothing() {
    let mut net = behind();
    let since = net.sent.len();
    net.connect("a", "c");
    net.settle();
    assert_eq!(net["a"].counts().comparisons_sent, 1);
    assert_eq!(net["c"].counts().comparisons_received, 1);
    let frames = net.frames(since, "a", "c");
    let is_comparison = |frame: &&Bytes| {
        craft::data_frame(frame).is_some_and(|data| data.flags & 3 == craft::COMPARISON)
    };
    let all = frames.iter().filter(is_comparison).count();
    assert!(all > 8, "{all} frames of the comparison");
    net.converge();
    let state = net["a"].state();

    for after in 1..all {
        let mut net = behind();
        let before = visible(&mut net["c"]);
        net.connect("a", "c");
        net.hold_up("c", "b");
        let mut seen = 0;
        while seen < after {
            let sent = net.carry_one().expect("frames are left");
            let comparison = sent.to == node("c") && is_comparison(&&sent.frame);
            seen += usize::from(comparison);
            assert_eq!(visible(&mut net["c"]), before, "visible before the commit");
        }
        net.disconnect("a", "c");
        assert_eq!(net["c"].counts().comparisons_cut, 1);
        assert_eq!(visible(&mut net["c"]), before, "something was left behind");
        net.connect("a", "c");
        net.settle();
        assert_eq!(net["c"].counts().comparisons_received, 1);
        net.converge();
        assert_eq!(net["a"].state().root(), state.root());
    }
}

#[test]
fn a_comparison_keeps_what_only_the_receiver_has() {
    let mut net = behind();
    net.connect("a", "c");
    net.converge();
    for name in ["a", "b", "c"] {
        assert!(net[name].view::<OrSet<String>>(b"own").contains("of c"));
        assert!(
            net[name].keys(b"key-0", None, 1).is_empty(),
            "it was deleted"
        );
        assert_eq!(net[name].view::<PnCounter>(b"count").value(), 2);
    }
}

#[test]
fn a_question_that_is_lost_is_asked_again() {
    let mut net = Net::of(&["a", "b"]);
    insert(&mut net, "a", "key", "element");
    net.connect("a", "b");
    // b's want is made and lost.
    let lost = loop {
        let mut frames = Vec::new();
        while let Some(frame) = net.poll("b", "a") {
            frames.push(frame);
        }
        if let Some(want) = frames
            .iter()
            .find(|frame| craft::kind(frame) == craft::WANT)
        {
            break want.clone();
        }
        for frame in frames {
            net.deliver("b", "a", &frame);
        }
        let frame = net.poll("a", "b").expect("a greets and states its hash");
        net.deliver("a", "b", &frame);
    };
    assert_eq!(craft::kind(&lost), craft::WANT);
    net.settle();
    assert!(net["b"].keys(b"", None, 9).is_empty());
    net.run(Timing::default().retry * 2);
    net.assert_equal();
    assert_eq!(net["b"].keys(b"", None, 9).len(), 1);
}

#[test]
fn a_replica_says_when_it_has_caught_up() {
    let mut net = Net::of(&["a", "b"]);
    insert(&mut net, "a", "key", "element");
    assert!(!net["b"].is_caught_up());
    net.connect("a", "b");
    while net["b"].counts().exchanges_received == 0 {
        assert!(
            !net["b"].is_caught_up(),
            "not before the exchange is complete"
        );
        net.carry_one().expect("frames are left");
    }
    assert!(net["b"].is_caught_up());
    let events: Vec<Event> = std::iter::from_fn(|| net["b"].poll_event()).collect();
    assert!(events.contains(&Event::PeerUp(node("a"))));
    assert!(events.contains(&Event::CaughtUp));
    // Who has no peers has nothing to catch up with.
    assert!(Replica::new(config("z", &[]), net.now).is_caught_up());
}

#[test]
fn equal_contexts_with_another_state_are_reported() {
    // The same event, with another outcome: what a fault in memory would do.
    let dot = Dot::new(replica_id("z"), 1);
    let path = craft::path(&[b"key", b"or_set<str>", b"element"]);
    let (mut store, mut faulty) = (DotStore::new(), DotStore::new());
    store.apply(&craft::add(&path, dot), &mut Vec::new());
    faulty.take_over(&craft::dots(&[dot]), &Default::default());
    let mut net = Net::default();
    let now = net.now;
    net.put(Replica::restore(config("a", &["b"]), store, now));
    net.put(Replica::restore(config("b", &["a"]), faulty, now));
    net.connect("a", "b");
    net.settle();
    let events: Vec<Event> = std::iter::from_fn(|| net["b"].poll_event()).collect();
    assert!(events.contains(&Event::Diverged(node("a"))), "{events:?}");
}

/// Whoever was told of a context is told what is new since, until an answer stays out.
#[test]
fn a_context_is_stated_once() {
    let own = config("b", &["a"]);
    let (nonce, retry) = (own.nonce, own.timing.retry);
    let mut b = Replica::new(own, Time::ZERO);
    let mut stranger = Stranger::meet("a", &mut b, nonce);
    let mut many = Context::new();
    for node in 1..=50 {
        many.insert_range(ReplicaId::new(node, 1), 1, node);
    }
    let end = craft::end(&VersionVector::new(), &many);
    for frame in stranger.session(craft::EXCHANGE, &[end]) {
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    }
    stranger.hear(&mut b);
    let stated = |b: &mut Replica, seen: &Context| {
        assert_eq!(stranger.say(b, &stranger.digest(seen, 0)), Ok(()));
        let heard = stranger.hear(b);
        let wants = heard
            .iter()
            .filter(|frame| craft::kind(frame) == craft::WANT);
        wants.map(Bytes::len).sum::<usize>()
    };
    let first = stated(&mut b, &Context::new());
    assert!(first > 50 * 18, "{first}");
    write::<OrSet<String>>(&mut b, Time::ZERO, "k", |set| {
        set.insert("x");
    });
    let news = stated(&mut b, &Context::new());
    assert!(news < 60, "{news}");
    b.handle_timeout(Time::ZERO + retry);
    let again = stated(&mut b, &Context::new());
    assert!(again > first, "{again}");
}

/// Not by each: what is on its way from one is not asked for again.
#[test]
fn who_lacks_everything_is_sent_it_once_though_two_have_it() {
    let mut net = Net::of(&["a", "b", "c"]);
    net.connect("a", "b");
    for n in 0..100 {
        net.write::<OrSet<u64>>("a", &format!("key {n}"), |set| {
            set.insert(&n);
        });
    }
    net.run_millis(20_000);
    // The digests of both arrive before it has said anything to either.
    for other in ["a", "b"] {
        net.hold_up(other, "c");
        net.connect(other, "c");
    }
    net.settle();
    for other in ["a", "b"] {
        net.hold_up("c", other);
        net.release(other, "c");
    }
    net.settle();
    for other in ["a", "b"] {
        net.release("c", other);
    }
    net.converge();
    let counts = net["c"].counts();
    assert_eq!(counts.events_received, 100, "{counts:?}");
    assert_eq!(counts.exchanges_received, 1);
}
