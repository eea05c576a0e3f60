//! Flushes: when own writes are pushed, what they wait for, and in which order they become visible.

use std::time::Duration;

use bytes::Bytes;
use crdt_core::{LwwRegister, OrSet};
use dd_gossip::{Changed, Event, FRAME_VERSION, Replica, Time, TrafficByKind};

use crate::support::net::Net;
use crate::support::{config, craft, node, visible};

fn insert(net: &mut Net, name: &str, key: &str, element: &str) {
    net.write::<OrSet<String>>(name, key, |set| {
        set.insert(element);
    });
}

fn has(net: &Net, name: &str, key: &str) -> bool {
    !net[name].view::<OrSet<String>>(key.as_bytes()).is_empty()
}

fn flushes(net: &Net, since: usize, from: &str, to: &str) -> usize {
    let frames = net.frames(since, from, to);
    let data = frames.iter().filter_map(|frame| craft::data_frame(frame));
    data.filter(|data| data.flags & 3 == craft::FLUSH).count()
}

#[test]
fn the_first_write_goes_at_once_and_later_ones_are_collected() {
    let mut config_a = config("a", &["b"]);
    config_a.timing.flush = Duration::from_millis(20);
    let mut net = Net::with(vec![config_a, config("b", &["a"])]);
    net.connect_all();
    let since = net.sent.len();
    insert(&mut net, "a", "first", "x");
    net.settle();
    assert!(has(&net, "b", "first"), "no time has passed");
    assert_eq!(flushes(&net, since, "a", "b"), 1);
    for n in 0..10 {
        insert(&mut net, "a", &format!("more-{n}"), "x");
        net.run_millis(1);
    }
    assert_eq!(
        flushes(&net, since, "a", "b"),
        1,
        "the interval is not over"
    );
    net.run_millis(10);
    assert_eq!(flushes(&net, since, "a", "b"), 2, "ten writes, one flush");
    assert!((0..10).all(|n| has(&net, "b", &format!("more-{n}"))));
    // After a pause the next goes at once again.
    net.run_millis(100);
    insert(&mut net, "a", "later", "x");
    net.settle();
    assert!(has(&net, "b", "later"));
    assert_eq!(flushes(&net, since, "a", "b"), 3);
    assert_eq!(net["a"].counts().flushes_sent, 3);
    assert_eq!(net["b"].counts().flushes_received, 3);
}

#[test]
fn flush_now_does_not_wait_for_the_interval() {
    let mut config_a = config("a", &["b"]);
    config_a.timing.flush = Duration::from_secs(5);
    let mut net = Net::with(vec![config_a, config("b", &["a"])]);
    net.connect_all();
    insert(&mut net, "a", "first", "x");
    net.settle();
    insert(&mut net, "a", "second", "x");
    net.settle();
    assert!(!has(&net, "b", "second"));
    assert!(!net["a"].has_sent_all(&node("b")));
    let now = net.now;
    net["a"].flush_now(now);
    net.settle();
    assert!(has(&net, "b", "second"));
    assert!(net["a"].has_sent_all(&node("b")));
}

#[test]
fn a_write_crosses_each_link_of_a_mesh_once() {
    let mut net = Net::mesh(&["a", "b", "c", "d"]);
    net.run_millis(20_000);
    let since = net.sent.len();
    insert(&mut net, "a", "key", &"x".repeat(1_000));
    net.run_millis(20_000);
    net.assert_equal();
    for from in ["a", "b", "c", "d"] {
        for to in ["a", "b", "c", "d"].iter().filter(|to| **to != from) {
            let bytes = craft::data_bytes(&net.frames(since, from, to));
            let expected = if from == "a" { 1_000..1_200 } else { 0..1 };
            assert!(expected.contains(&bytes), "{bytes} from {from} to {to}");
        }
    }
}

#[test]
fn what_one_flush_carries_becomes_visible_at_once() {
    let mut config_a = config("a", &["b"]);
    config_a.chunk = 128;
    let mut net = Net::with(vec![config_a, config("b", &["a"])]);
    net.connect_all();
    for n in 0..20 {
        insert(&mut net, "a", &format!("key-{n}"), &"x".repeat(100));
    }
    let mut frames = 0;
    while net.carry_one().is_some() {
        frames += 1;
        let keys = net["b"].keys(b"", None, 100).len();
        assert!(keys == 0 || keys == 20, "{keys} keys are visible");
    }
    assert!(frames > 20);
    assert_eq!(net["b"].counts().flushes_received, 1);
    assert_eq!(net["b"].keys(b"", None, 100).len(), 20);
}

#[test]
fn a_flush_that_is_cut_shows_nothing() {
    let mut config_a = config("a", &["b"]);
    config_a.chunk = 128;
    let mut net = Net::with(vec![config_a, config("b", &["a"])]);
    net.connect_all();
    let before = visible(&mut net["b"]);
    for n in 0..20 {
        insert(&mut net, "a", &format!("key-{n}"), &"x".repeat(100));
    }
    for _ in 0..15 {
        net.carry_one().expect("frames are left");
    }
    net.disconnect("a", "b");
    assert_eq!(visible(&mut net["b"]), before);
    net.connect("a", "b");
    net.settle();
    net.assert_equal();
}

/// c has written, and its flush to b is under way; a has got it, and has written something that
/// builds on it.
fn overtaken() -> (Net, Vec<Bytes>) {
    let mut net = Net::mesh(&["a", "b", "c"]);
    net.run_millis(5_000);
    insert(&mut net, "c", "question", "x");
    let under_way: Vec<Bytes> = std::iter::from_fn(|| net.poll("c", "b")).collect();
    assert_eq!(under_way.len(), 1);
    net.settle();
    assert!(has(&net, "a", "question"));
    insert(&mut net, "a", "answer", "x");
    net.settle();
    assert!(has(&net, "c", "answer"));
    assert!(!has(&net, "b", "answer"), "it waits for what it builds on");
    (net, under_way)
}

#[test]
fn a_flush_waits_for_what_it_builds_on() {
    let (mut net, under_way) = overtaken();
    net.run_millis(100);
    assert!(!has(&net, "b", "answer"));
    let since = net.sent.len();
    net.deliver("c", "b", &under_way[0]);
    assert!(has(&net, "b", "question") && has(&net, "b", "answer"));
    net.settle();
    assert_eq!(net["b"].counts().sessions_broken, 0);
    assert_eq!(
        craft::data_bytes(&net.frames(since, "a", "b")),
        0,
        "nothing was sent twice"
    );
    net.assert_equal();
}

#[test]
fn a_flush_that_has_waited_too_long_is_asked_for() {
    let (mut net, _) = overtaken();
    let hold = net["b"].poll_timeout().since(net.now);
    assert!(
        hold <= Duration::from_millis(250),
        "the driver is told when: {hold:?}"
    );
    net.run_millis(240);
    assert!(!has(&net, "b", "answer"));
    net.run_millis(20);
    assert_eq!(net["b"].counts().sessions_broken, 1);
    assert!(has(&net, "b", "question") && has(&net, "b", "answer"));
    net.converge();
}

#[test]
fn two_flushes_that_wait_for_each_other_are_asked_for() {
    let mut net = Net::mesh(&["a", "b", "c"]);
    net.run_millis(5_000);
    net.hold_up("c", "b");
    insert(&mut net, "c", "question", "x");
    net.settle();
    insert(&mut net, "a", "answer", "x");
    net.settle();
    // c's flush is made only now, and its context has a's event by now.
    net.release("c", "b");
    net.run_millis(300);
    assert!(has(&net, "b", "question") && has(&net, "b", "answer"));
    net.converge();
}

#[test]
fn held_flushes_take_effect_in_their_order() {
    let (mut net, under_way) = overtaken();
    for n in 0..5 {
        net.run_millis(2);
        net.write::<LwwRegister<u64>>("a", "answers", |register| register.set(&n));
        net.settle();
    }
    assert!(net["b"].keys(b"", None, 9).is_empty());
    net.deliver("c", "b", &under_way[0]);
    assert_eq!(
        net["b"].view::<LwwRegister<u64>>(b"answers").get(),
        Ok(Some(4))
    );
    assert_eq!(net["b"].counts().flushes_received, 7, "c's, and a's six");
    net.settle();
    net.assert_equal();
}

#[test]
fn nobody_sees_an_effect_without_its_cause() {
    // A chain over keys: each replica adds a link when it sees the one before.
    let names = ["a", "b", "c"];
    for held in [None, Some(("a", "b")), Some(("b", "c")), Some(("c", "a"))] {
        let mut net = Net::mesh(&names);
        net.run_millis(5_000);
        if let Some((from, to)) = held {
            net.hold_up(from, to);
        }
        insert(&mut net, "a", "link-00", "x");
        for link in 1..30 {
            let name = names[link % 3];
            let (cause, effect) = (format!("link-{:02}", link - 1), format!("link-{link:02}"));
            while !has(&net, name, &cause) {
                if net.carry_one().is_none() {
                    net.run_millis(1);
                }
                for seen in names {
                    let keys = net[seen].keys(b"link-", None, 99);
                    let expected = (0..keys.len()).map(|n| format!("link-{n:02}"));
                    let found = keys.iter().map(|key| String::from_utf8_lossy(key));
                    assert!(found.eq(expected), "{seen} sees {keys:?}");
                }
            }
            insert(&mut net, name, &effect, "x");
        }
        if let Some((from, to)) = held {
            net.release(from, to);
        }
        net.converge();
        assert_eq!(net["a"].keys(b"link-", None, 99).len(), 30);
    }
}

#[test]
fn in_a_line_events_are_relayed() {
    let mut net = Net::of(&["a", "b", "c"]);
    net.connect("a", "b");
    net.connect("b", "c");
    net.run_millis(60_000);
    for (from, to) in [("a", "c"), ("c", "a")] {
        insert(&mut net, from, from, "x");
        net.settle();
        assert!(has(&net, "b", from));
        assert!(!has(&net, to, from), "they are not connected");
        // A hop takes the time of `relay`, however long comparisons have found nothing.
        net.run_millis(510);
        assert!(has(&net, to, from), "from {from} to {to}");
    }
    net.converge();
}

const MANY: [&str; 16] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p",
];

#[test]
fn in_a_large_mesh_a_change_is_asked_about_by_few() {
    let mut net = Net::mesh(&MANY);
    net.run_millis(60_000);
    let since = net.sent.len();
    insert(&mut net, "a", "key", "x");
    // Until long after `relay`, and before the next comparisons.
    net.run_millis(700);
    let frames = net.sent[since..].iter().map(|sent| &sent.frame);
    let digests = frames.filter(|frame| craft::kind(frame) == craft::DIGEST);
    let digests = digests.count();
    // Each of 15 asks 4, and the next comparisons may begin; without a limit it would be 105.
    assert!((1..=15 * 4 + 16).contains(&digests), "{digests}");
    net.assert_equal();
}

#[test]
fn what_comes_through_one_node_spreads_among_many() {
    let mut net = Net::of(&MANY);
    // Two groups, connected within, that have only "a" in common.
    for group in [&MANY[..8], &[&MANY[..1], &MANY[8..]].concat()] {
        for (at, one) in group.iter().enumerate() {
            group[at + 1..]
                .iter()
                .for_each(|other| net.connect(one, other));
        }
    }
    net.run_millis(60_000);
    for n in 0..20 {
        let key = n.to_string();
        insert(&mut net, MANY[1 + n % 7], &key, "x");
        net.run_millis(10_000);
        for name in MANY {
            assert!(has(&net, name, &key), "{name} lacks {key}");
        }
    }
}

#[test]
fn what_arrived_is_not_sent_back() {
    let mut net = Net::of(&["a", "b", "c"]);
    net.connect("a", "b");
    net.connect("b", "c");
    net.run_millis(10_000);
    let since = net.sent.len();
    insert(&mut net, "a", "key", &"x".repeat(1_000));
    net.run_millis(20_000);
    net.assert_equal();
    assert_eq!(craft::data_bytes(&net.frames(since, "b", "a")), 0);
    assert_eq!(craft::data_bytes(&net.frames(since, "c", "b")), 0);
    let bytes = craft::data_bytes(&net.frames(since, "b", "c"));
    assert!((1_000..1_200).contains(&bytes), "{bytes}");
}

#[test]
fn changes_are_told_once_per_unit() {
    let mut net = Net::mesh(&["a", "b"]);
    while net["b"].poll_event().is_some() {}
    for n in 0..3 {
        insert(&mut net, "a", "key", &format!("element-{n}"));
    }
    insert(&mut net, "a", "other", "x");
    net.settle();
    let expected = [("key".into(), 1), ("other".into(), 1)];
    let changed = Event::Changed(Changed::Keys(expected.into_iter().collect()));
    assert_eq!(net["b"].poll_event(), Some(changed));
    assert_eq!(net["b"].poll_event(), None);
    // At the writer each update counts.
    let expected = [("key".into(), 3), ("other".into(), 1)];
    let told = std::iter::from_fn(|| net["a"].poll_event()).find_map(|event| match event {
        Event::Changed(changed) => Some(changed),
        _ => None,
    });
    assert_eq!(told, Some(Changed::Keys(expected.into_iter().collect())));
}

#[test]
fn status_tells_how_far_a_peer_is_behind() {
    let mut net = Net::mesh(&["a", "b"]);
    let behind = |net: &mut Net| {
        let peers = net["a"].status().peers;
        let peer = peers.into_iter().find(|peer| peer.node == node("b"));
        peer.and_then(|peer| peer.behind)
    };
    net.hold_up("a", "b");
    insert(&mut net, "a", "key", "x");
    insert(&mut net, "a", "key", "y");
    net.settle();
    assert_eq!(behind(&mut net), Some(2));
    net.release("a", "b");
    net.settle();
    assert_eq!(behind(&mut net), Some(0), "it has acknowledged");
    net.disconnect("a", "b");
    assert_eq!(behind(&mut net), None);
    let nobody = Replica::new(config("z", &[]), net.now);
    assert!(nobody.has_sent_all(&node("b")), "nothing can be handed out");
}

#[test]
fn status_remembers_what_a_peer_lacked_when_it_was_last_heard() {
    let mut net = Net::mesh(&["a", "b"]);
    insert(&mut net, "a", "key", "x");
    net.run_millis(10_000);
    let lacks = |net: &mut Net| {
        let peer = net["a"].status().peers.remove(0);
        (peer.behind, peer.unconfirmed, peer.ahead)
    };
    assert_eq!(lacks(&mut net), (Some(0), 0, 0));
    net.disconnect("a", "b");
    assert_eq!(lacks(&mut net), (None, 0, 0));
    insert(&mut net, "a", "key", "y");
    insert(&mut net, "b", "key", "z");
    assert_eq!(lacks(&mut net), (None, 1, 0));
    // What it says before it can send anything.
    net.connect("a", "b");
    net.run_millis(10_000);
    assert_eq!(lacks(&mut net), (Some(0), 0, 0));
}

#[test]
fn frames_are_counted_by_kind() {
    let mut net = Net::of(&["a", "b"]);
    insert(&mut net, "a", "key", "x");
    net.connect_all();
    net.run_millis(10_000);
    insert(&mut net, "a", "key", "y");
    net.run_millis(10_000);
    let (a, b) = (net["a"].counts(), net["b"].counts());
    for counts in [a, b] {
        let sum = |all: TrafficByKind| {
            let kinds = all.kinds().into_iter();
            kinds.fold((0, 0), |sum, (_, of)| (sum.0 + of.frames, sum.1 + of.bytes))
        };
        assert_eq!(sum(counts.sent), (counts.frames_sent, counts.bytes_sent));
        let received = (counts.frames_received, counts.bytes_received);
        assert_eq!(sum(counts.received), received);
    }
    // Nothing was lost here, so each got what the other sent.
    assert_eq!((a.sent, b.sent), (b.received, a.received));
    for (kind, of) in a.sent.kinds() {
        let is_used = matches!(kind, "hello" | "digest" | "exchange" | "flush");
        assert!(!is_used || of.frames > 0, "{kind}");
    }
    assert!(b.sent.ack.frames > 0 && b.sent.flush.frames == 0);
    // A frame that is refused is none of any kind.
    let frame = Bytes::from_static(&[FRAME_VERSION, 2, 1, 0]);
    assert!(
        net["b"]
            .handle_frame(Time::ZERO, &node("a"), &frame)
            .is_err()
    );
    assert_eq!(net["b"].counts().received, b.received);
}
