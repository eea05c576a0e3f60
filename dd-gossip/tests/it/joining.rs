//! An empty replica that joins several full ones: who sends what, and how much of it twice.

use std::time::Duration;

use bytes::Bytes;
use crdt_core::{LwwRegister, OrSet, PnCounter};
use dd_gossip::{Config, MAX_SOURCES, Replica, SHARES, Timing, UpdateError};

use crate::support::craft;
use crate::support::net::Net;
use crate::support::{WALL, config, restarted};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const FULL: [&str; 3] = ["a", "b", "c"];

fn set(net: &mut Net, name: &str, key: usize, value: usize) {
    let value = format!("{value:032}");
    net.write::<LwwRegister<String>>(name, &format!("key-{key:05}"), |r| r.set(&value));
}

fn small_frames(name: &str, away: Duration) -> Config {
    let timing = Timing {
        away,
        ..Timing::default()
    };
    Config {
        chunk: 1024,
        shared: 1_000,
        timing,
        ..config(name, &NAMES)
    }
}

/// Three that have the same: keys of which every second event is dead, sets, counters, removals and a transaction.
/// The fourth is a member that is away.
fn full(keys: usize, away: Duration) -> Net {
    let mut net = Net::with(FULL.map(|name| small_frames(name, away)).to_vec());
    net.connect_all();
    for n in 0..keys {
        let name = FULL[n % 3];
        set(&mut net, name, n, n);
        set(&mut net, name, n % 3, n);
        if n % 64 == 0 {
            net.write::<OrSet<String>>(name, &format!("set-{}", n % 5), |set| {
                set.insert(&format!("element {n}"));
            });
            net.write::<PnCounter>(name, "count", |count| count.add(1));
            net.settle();
        }
        if n % 100 == 99 {
            net.delete(name, &format!("key-{n:05}"));
        }
    }
    let now = net.now;
    let done = net["a"].transaction::<_, UpdateError>(now, WALL, |tx| {
        for key in 0..40 {
            let key = format!("key-{:05}", key * 101 + 7);
            let mut register = tx.edit::<LwwRegister<String>>(key.as_bytes());
            register.set("of a transaction");
        }
        Ok(())
    });
    assert!(done.is_ok());
    net.settle();
    net.run_millis(3_000);
    net.assert_equal();
    net
}

const FOR_EVER: Duration = Duration::from_secs(1 << 30);
const KEYS: usize = 1_500;
/// So many that what half of them leaves in a context does not fit one statement.
const MANY: usize = 4_000;

fn join(net: &mut Net, with: &[&str]) -> usize {
    net.put(Replica::new(small_frames("d", FOR_EVER), net.now));
    let since = net.sent.len();
    for name in with {
        net.connect(name, "d");
    }
    since
}

fn is_here(net: &mut Net) -> bool {
    let theirs = net["a"].status().context_hash;
    net["d"].is_caught_up() && net["d"].status().context_hash == theirs
}

/// Frames and bytes of data from one to who joins.
fn data(net: &Net, since: usize, from: &str) -> (usize, usize) {
    let frames = net.frames(since, from, "d");
    let frames: Vec<_> = frames
        .into_iter()
        .filter(|f| craft::kind(f) == craft::DATA)
        .collect();
    (frames.len(), frames.iter().map(|frame| frame.len()).sum())
}

fn all_data(net: &Net, since: usize) -> (usize, usize) {
    let each = FULL.map(|name| data(net, since, name));
    let sum = each.into_iter().reduce(|a, b| (a.0 + b.0, a.1 + b.1));
    sum.expect("there are some")
}

/// What one sends who is the only one.
fn alone(keys: usize) -> (usize, usize) {
    let mut net = full(keys, FOR_EVER);
    let since = join(&mut net, &["a"]);
    net.settle();
    assert!(is_here(&mut net));
    data(&net, since, "a")
}

#[test]
fn each_member_sends_a_share_and_nothing_comes_twice() {
    let mut net = full(MANY, FOR_EVER);
    let since = join(&mut net, &FULL);
    net.settle();
    assert!(is_here(&mut net));
    net.assert_equal();
    let status = net["d"].status();
    let (received, known) = (status.counts.events_received, status.counts.events_known);
    assert!(received > MANY as u64, "{received}");
    assert!(known * 20 < received, "{known} of {received} twice");
    for peer in &status.peers {
        let share = peer.brought * 100 / received;
        assert!(share >= 20, "{share} % from {:?}", peer.node);
    }
    assert_eq!(status.counts.exchanges_received, 1, "at the end");
    assert!(status.counts.shares_received >= u64::from(SHARES) - MAX_SOURCES as u64);
    let (bytes, most) = (all_data(&net, since).1, alone(MANY).1 * 11 / 10);
    assert!(bytes <= most, "{bytes}, at most {most}");
    // Flushes follow, of all.
    let since = net.sent.len();
    for name in FULL {
        set(&mut net, name, 5, 5);
        net.settle();
    }
    net.assert_equal();
    let asked = |name| {
        net.frames(since, "d", name)
            .iter()
            .any(|f| craft::kind(f) == craft::WANT)
    };
    assert!(!FULL.into_iter().any(asked));
}

#[test]
fn of_who_fails_in_the_middle_the_others_send_the_rest() {
    let (_, most) = alone(KEYS);
    for frames in [10, 60, 140] {
        let mut net = full(KEYS, FOR_EVER);
        let since = join(&mut net, &FULL);
        while data(&net, since, "b").0 < frames / 3 {
            assert!(net.carry_one().is_some());
        }
        net.disconnect("b", "d");
        net.settle();
        assert!(is_here(&mut net), "{frames}");
        let bytes = all_data(&net, since).1;
        assert!(bytes <= most * 23 / 20, "{bytes} for {most} after {frames}");
    }
}

#[test]
fn one_that_is_slow_or_silent_holds_up_nothing() {
    let (frames, bytes) = alone(KEYS);
    for every in [20, usize::MAX] {
        let mut net = full(KEYS, FOR_EVER);
        let since = join(&mut net, &FULL);
        while net["d"].status().peers.iter().any(|peer| !peer.up) {
            assert!(net.carry_one().is_some());
        }
        net.hold_up("b", "d");
        let mut carried = 0;
        while !is_here(&mut net) {
            assert!(net.carry_one().is_some());
            carried += 1;
            if carried % every == 0 {
                let frame = net.poll("b", "d");
                frame
                    .into_iter()
                    .for_each(|frame| net.deliver("b", "d", &frame));
            }
        }
        for name in ["a", "c"] {
            let sent = data(&net, since, name).0;
            assert!(
                sent * 100 <= frames * 65,
                "{sent} frames of {frames} from {name}"
            );
        }
        let all = all_data(&net, since).1;
        assert!(all <= bytes * 11 / 10, "{all} for {bytes}");
        // Nothing more comes of what it was asked for.
        net.release("b", "d");
        let sent = data(&net, since, "b").0;
        net.settle();
        assert_eq!(data(&net, since, "b").0, sent);
        net.run_millis(10_000);
        net.assert_equal();
    }
}

/// Shares are for a draft then, and one of them sends the rest.
#[test]
fn where_removals_were_forgotten_each_member_sends_a_share_too() {
    let mut net = full(MANY, Duration::ZERO);
    assert!(
        FULL.iter()
            .all(|name| net[name].counts().records_forgotten > 0)
    );
    let since = join(&mut net, &FULL);
    while !is_here(&mut net) {
        assert!(net.carry_one().is_some());
        let keys = net["d"].keys(b"", None, 1);
        assert!(
            keys.is_empty() || net["d"].is_caught_up(),
            "it shows {keys:?}"
        );
    }
    let counts = net["d"].counts();
    assert!(counts.shares_received >= u64::from(SHARES) - MAX_SOURCES as u64);
    assert_eq!(
        (counts.comparisons_received, counts.exchanges_received),
        (1, 0)
    );
    let all = all_data(&net, since).1;
    for name in FULL {
        let share = data(&net, since, name).1 * 100 / all;
        assert!(share >= 20, "{share} % from {name}");
    }
    let most = alone(MANY).1 * 11 / 10;
    assert!(all <= most, "{all}, at most {most}");
    net.run_millis(10_000);
    net.assert_equal();
    let sent = FULL.map(|name| net[name].counts().comparisons_sent);
    assert_eq!(sent.iter().sum::<u64>(), 1, "{sent:?}");
}

#[test]
fn what_who_joins_writes_meanwhile_and_what_becomes_of_it_stays() {
    for every in [3, 25] {
        let mut net = full(KEYS, Duration::ZERO);
        join(&mut net, &FULL);
        let (mut carried, mut written) = (0, 0);
        while !is_here(&mut net) && net.carry_one().is_some() {
            carried += 1;
            if net["d"].is_caught_up() || carried % every > 0 {
                continue;
            }
            written += 1;
            net.write::<LwwRegister<String>>("d", &format!("own-{written}"), |register| {
                register.set("of d");
            });
            net.write::<PnCounter>("d", "count", |count| count.add(1_000));
            net.write::<OrSet<String>>("d", "set-0", |set| {
                set.insert(&format!("d {written}"));
                set.remove(&format!("d {}", written - 1));
            });
            match written % 3 {
                0 => drop(net.delete("d", &format!("own-{}", written - 1))),
                1 => drop(net.delete("a", &format!("own-{}", written / 2))),
                _ => set(&mut net, FULL[written % 2], written * 10, 99_999),
            }
        }
        assert!(written > 10, "{written}");
        net.run_millis(10_000);
        net.assert_equal();
        assert!(net["d"].counts().shares_received > 0);
        assert_eq!(
            net["a"].view::<PnCounter>(b"count").value() / 1_000,
            written as i128
        );
        let has = |element: usize| {
            let set = net["a"].view::<OrSet<String>>(b"set-0");
            set.contains(&format!("d {element}"))
        };
        assert!(has(written) && !has(written - 1));
    }
}

#[test]
fn of_who_fails_meanwhile_others_send_what_is_for_a_draft() {
    // In shares, and in the rest, of which some were stated.
    for frames in [1, 40, 100, 150, 160, 170, 180] {
        let mut net = full(KEYS, Duration::ZERO);
        let since = join(&mut net, &FULL);
        while all_data(&net, since).0 < frames && net.carry_one().is_some() {}
        let rest = |net: &Net, name: &str| {
            net.frames(since, "d", name)
                .iter()
                .any(|f| craft::kind(f) == craft::WANT && craft::asks(f) == craft::REST)
        };
        let asked = FULL.into_iter().find(|name| rest(&net, name));
        net.disconnect(asked.unwrap_or("b"), "d");
        net.settle();
        assert!(net["d"].is_caught_up(), "without a wait");
        net.run_millis(10_000);
        net.assert_equal();
        assert_eq!(net["d"].counts().comparisons_received, 1, "{frames}");
        let most = alone(KEYS).1 * 5 / 4;
        let all = all_data(&net, since).1;
        assert!(all <= most, "{all}, at most {most}, after {frames}");
    }
}

/// What is derived of keys follows: a deadline that d set, and that somebody who got it lifted, is none any more.
#[test]
fn a_deadline_that_was_lifted_while_a_draft_was_filled_ends_nothing() {
    let mut net = full(KEYS, Duration::ZERO);
    join(&mut net, &["a"]);
    while net["d"].counts().shares_received < 2 {
        assert!(net.carry_one().is_some());
    }
    let (now, key) = (net.now, b"session");
    net.write::<LwwRegister<String>>("d", "session", |r| r.set("first"));
    let set = net["d"].expire_at(now, WALL, key, Some(WALL + 1_000));
    assert_eq!(set, Ok(true));
    while net["a"].deadline(key).is_none() {
        assert!(net.carry_one().is_some());
    }
    assert!(!net["d"].is_caught_up());
    assert!(net.delete("a", "session"));
    net.write::<PnCounter>("a", "session", |count| count.add(41));
    net.settle();
    net.run_millis(3_000);
    net.assert_equal();
    assert_eq!(net["d"].deadline(key), None);
    assert!(!net["d"].is_over(key, WALL + 2_000));
    for _ in 0..10 {
        let wall = WALL + 1_000_000 + net.now.since_start().as_millis() as u64;
        for name in ["a", "d"] {
            let now = net.now;
            net[name].set_wall(now, wall);
        }
        net.run_millis(1_000);
    }
    assert_eq!(net["d"].view::<PnCounter>(key).value(), 41);
}

/// Two that join know of each other that they have the same, which is nothing.
#[test]
fn two_that_join_together_are_not_taken_for_caught_up() {
    let names = ["a", "b", "c", "d", "e"];
    let joiner = |name: &str| Config {
        peers: names.map(|name| name.parse().unwrap()).to_vec(),
        ..small_frames(name, FOR_EVER)
    };
    for met in [1, 60, 140] {
        let mut net = full(KEYS, Duration::ZERO);
        let since = net.sent.len();
        for name in ["d", "e"] {
            net.put(Replica::new(joiner(name), net.now));
        }
        FULL.iter().for_each(|name| net.connect(name, "d"));
        while all_data(&net, since).0 < met {
            assert!(net.carry_one().is_some());
        }
        assert!(!net["d"].is_caught_up());
        net.connect("d", "e");
        while !net["d"].is_caught_up() {
            assert!(net.carry_one().is_some());
        }
        assert!(is_here(&mut net), "{met}");
        assert!(net["d"].counts().shares_received > 20);
        let most = alone(KEYS).1 * 11 / 10;
        assert!(all_data(&net, since).1 <= most);
        net.run_millis(10_000);
        net.assert_equal();
    }
}

/// So many values with gaps between them that they are told in several parts.
#[test]
fn who_fails_while_it_is_told_of_the_draft_is_noticed() {
    let mut net = Net::with(
        ["a", "b"]
            .map(|name| small_frames(name, Duration::ZERO))
            .to_vec(),
    );
    net.connect_all();
    for n in 0..36_000 {
        set(&mut net, "a", n, n);
        set(&mut net, "a", 0, n);
    }
    assert!(net.delete("a", "key-00001"));
    net.settle();
    net.run_millis(3_000);
    net.assert_equal();
    assert!(net["b"].counts().records_forgotten > 0);
    let since = join(&mut net, &["a", "b"]);
    let told = |net: &Net, asks: u8| {
        ["a", "b"].into_iter().find(|name| {
            let frames = net.frames(since, "d", name);
            let wants = |f: &Bytes| craft::kind(f) == craft::WANT && craft::asks(f) == asks;
            frames.iter().any(wants)
        })
    };
    let first = loop {
        assert!(net.carry_one().is_some());
        if let Some(first) = told(&net, craft::PART_OF_DRAFT) {
            break first;
        }
    };
    assert_eq!(told(&net, craft::REST), None);
    net.disconnect(first, "d");
    net.settle();
    assert!(net["d"].is_caught_up(), "without a wait");
    net.run_millis(10_000);
    net.assert_equal();
}

#[test]
fn few_events_are_sent_by_one() {
    let mut net = full(300, FOR_EVER);
    let since = join(&mut net, &FULL);
    net.settle();
    assert!(is_here(&mut net));
    let status = net["d"].status();
    assert_eq!(
        (status.counts.exchanges_received, status.counts.events_known),
        (1, 0)
    );
    assert_eq!(status.counts.shares_received, 0);
    let sent = FULL.map(|name| data(&net, since, name).0);
    let one = sent.iter().filter(|sent| **sent > 1).count();
    assert_eq!(one, 1, "{sent:?}: the others say that they give none");
}

#[test]
fn who_was_caught_up_asks_one() {
    let mut net = full(300, FOR_EVER);
    join(&mut net, &["a"]);
    net.settle();
    assert!(is_here(&mut net));
    net.disconnect("a", "d");
    for n in 0..KEYS {
        set(&mut net, "a", n, n);
        if n % 64 == 0 {
            net.settle();
        }
    }
    net.settle();
    for name in FULL {
        net.connect(name, "d");
    }
    net.settle();
    assert!(is_here(&mut net));
    let counts = net["d"].counts();
    assert_eq!((counts.shares_received, counts.events_known), (0, 0));
}

/// A process that begins with a state that was kept is not sent that again, whatever gaps it has.
#[test]
fn what_was_kept_is_not_sent_again() {
    let mut net = full(KEYS, FOR_EVER);
    let since = join(&mut net, &["a"]);
    let frames = alone(KEYS).0;
    while data(&net, since, "a").0 * 2 < frames {
        assert!(net.carry_one().is_some());
    }
    let half = net.take("d");
    assert!(!half.is_caught_up());
    let kept = half.state();
    let config = Config {
        chunk: 1024,
        ..restarted("d", 2, &NAMES)
    };
    net.put(Replica::restore(config, kept, net.now));
    for name in FULL {
        net.connect(name, "d");
    }
    net.settle();
    assert!(is_here(&mut net));
    let counts = net["d"].counts();
    assert!(
        counts.events_known * 10 < counts.events_received,
        "{counts:?}"
    );
}
