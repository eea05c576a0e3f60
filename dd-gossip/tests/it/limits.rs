//! Each named limit, at it and one past it.

use std::time::Duration;

use bytes::Bytes;
use crdt_core::kernel::{DotStore, Entry, Unit, Value};
use crdt_core::{Context, Dot, Limits, LwwRegister, OrSet, PnCounter, ReplicaId, Seqs};
use dd_gossip::{
    Changed, Event, FrameError, MAX_CHUNK, MAX_EVENTS, MAX_FLUSH_EVENTS, MAX_FRAME, MAX_HELD,
    MAX_KEY, MAX_RECORDS, MAX_UNACKNOWLEDGED, MIN_CHUNK, Replica, Time, UpdateError,
    max_held_bytes, max_message,
};

use crate::support::craft::{self, ENDS_MESSAGE, EXCHANGE, FLUSH, Stranger};
use crate::support::net::Net;
use crate::support::{assert_sound, config, incarnation, node, replica_id, visible, write};

fn theirs(seq: u64) -> Dot {
    Dot::new(replica_id("a"), seq)
}

fn element(name: &[u8]) -> crdt_core::Path {
    craft::path(&[b"key", b"or_set<str>", name])
}

#[test]
fn keys_have_1_to_1024_bytes() {
    let mut net = Net::mesh(&["a", "b"]);
    let longest = "k".repeat(MAX_KEY);
    net.write::<PnCounter>("a", &longest, |count| count.add(1));
    net.settle();
    assert_eq!(net["b"].view::<PnCounter>(longest.as_bytes()).value(), 1);
    for key in [vec![], vec![b'k'; MAX_KEY + 1]] {
        let before = visible(&mut net["a"]);
        let now = net.now;
        let refused = net["a"].update::<PnCounter, _, UpdateError>(now, 0, &key, |count| {
            count.add(1);
            Ok(())
        });
        assert_eq!(refused, Err(UpdateError::Key(key.len())));
        let refused = net["a"].delete(now, &key);
        assert_eq!(refused, Err(UpdateError::Key(key.len())));
        assert_eq!(visible(&mut net["a"]), before);
    }
    assert!(net.delete("b", &longest));
    net.converge();
}

#[test]
fn no_frame_is_longer_than_the_chunk_allows() {
    // What goes beyond either end of the range counts as that end.
    for (chunk, expected) in [
        (0, MIN_CHUNK),
        (MIN_CHUNK, MIN_CHUNK),
        (1_000, 1_000),
        (MAX_CHUNK, MAX_CHUNK),
        (usize::MAX, MAX_CHUNK),
    ] {
        let mut configs = [config("a", &["b"]), config("b", &["a"])];
        configs[0].chunk = chunk;
        let mut net = Net::with(configs.to_vec());
        net.write::<LwwRegister<String>>("a", "value", |value| value.set(&"x".repeat(200_000)));
        for n in 0..200 {
            net.write::<PnCounter>("a", &format!("{n}"), |count| count.add(1));
        }
        net.connect_all();
        net.write::<LwwRegister<String>>("a", "value", |value| value.set(&"y".repeat(200_000)));
        net.settle();
        net.assert_equal();
        let frames = net.frames(0, "a", "b");
        assert!(frames.iter().all(|frame| frame.len() <= MAX_FRAME));
        let data = frames.iter().filter_map(|frame| craft::data_frame(frame));
        let longest = data.map(|data| data.chunk.len()).max();
        assert_eq!(longest, Some(expected));
    }
}

#[test]
fn a_context_that_fits_no_frame_is_stated_in_part() {
    let mut seen = Context::new();
    for n in 0..10_000 {
        let origin = ReplicaId::new(0, n + 1);
        seen.insert_range(origin, 1, n + 1);
        seen.insert(Dot::new(origin, n + 10));
    }
    let mut store = DotStore::new();
    store.take_over(&seen, &Default::default());
    let mut net = Net::default();
    for (name, other) in [("a", "b"), ("b", "a")] {
        net.put(Replica::restore(
            config(name, &[other]),
            store.clone(),
            Time::ZERO,
        ));
        net.write::<PnCounter>(name, "count", |count| count.add(1));
    }
    net.connect("a", "b");
    net.settle();
    net.assert_equal();
    let wants = net.sent.iter();
    let wants: Vec<_> = wants
        .filter(|sent| craft::kind(&sent.frame) == craft::WANT)
        .collect();
    assert!(!wants.is_empty());
    for want in wants {
        let len = want.frame.len();
        assert!((MAX_FRAME / 2..=MAX_FRAME).contains(&len), "{len}");
        // Whatever is left out, the sender's own events are not: their peer relies on it.
        let own = net[want.from.as_str()].replica_id().to_bytes();
        assert!(want.frame.windows(16).any(|bytes| bytes == own));
    }
    assert_eq!(net["a"].view::<PnCounter>(b"count").value(), 2);
}

/// A replica, and a peer that agrees with it on having seen nothing.
fn scene() -> (Replica, Stranger) {
    let config = config("b", &["a", "c"]);
    let nonce = config.nonce;
    let mut b = Replica::new(config, Time::ZERO);
    let stranger = Stranger::meet("a", &mut b, nonce);
    stranger.agree_on(&mut b, &Context::new());
    stranger.hear(&mut b);
    (b, stranger)
}

#[test]
fn a_message_has_at_most_128_mib() {
    let (mut b, stranger) = scene();
    let chunk = vec![0; MAX_FRAME - 64];
    let most = max_message(&Limits::default());
    assert_eq!(most, 128 * 1024 * 1024);
    let whole = (most / chunk.len()) as u64;
    for number in 0..whole {
        let frame = stranger.data(1, number, EXCHANGE, &chunk);
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    }
    let rest = most % chunk.len();
    let frame = stranger.data(1, whole, EXCHANGE, &chunk[..rest]);
    assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    let frame = stranger.data(1, whole + 1, EXCHANGE, &[0]);
    let error = FrameError::Limit("bytes of a message");
    assert_eq!(stranger.say(&mut b, &frame), Err(error));
    assert!(b.state().context().is_empty());
}

/// The `n`-th flush of a peer that builds on an event of z, which only c has.
fn needing(stranger: &mut Stranger, n: u64) -> Vec<Bytes> {
    let z = Dot::new(replica_id("z"), 1);
    let mut news = craft::dots(&[theirs(n)]);
    let mut context = craft::dots(&[z]);
    context.insert_range(replica_id("a"), 1, n);
    if n == 1 {
        news.insert(z);
    }
    let unit = craft::add(&element(&n.to_be_bytes()), theirs(n));
    stranger.session(FLUSH, &[craft::flush(&news, &context, &unit)])
}

#[test]
fn at_most_256_flushes_are_held() {
    for extra in [0, 1] {
        let (mut b, mut stranger) = scene();
        let held = MAX_HELD as u64;
        for n in 1..=held + extra {
            for frame in needing(&mut stranger, n) {
                assert_eq!(stranger.say(&mut b, &frame), Ok(()));
            }
        }
        assert!(b.keys(b"", None, 1).is_empty(), "all wait");
        assert_eq!(b.counts().sessions_broken, extra);
        // What they wait for comes from somebody else.
        let mut other = Stranger::meet("c", &mut b, config("b", &[]).nonce);
        let z = Dot::new(replica_id("z"), 1);
        let unit = craft::unit(&craft::add(&element(b"z"), z));
        let end = craft::end(&Default::default(), &craft::dots(&[z]));
        for frame in other.session(EXCHANGE, &[unit, end]) {
            assert_eq!(other.say(&mut b, &frame), Ok(()));
        }
        let size = b.view::<OrSet<String>>(b"key").len();
        // One too many costs asking anew, for all of them.
        assert_eq!(size as u64, if extra == 0 { held + 1 } else { 1 });
        assert_sound(&mut b);
    }
}

#[test]
fn at_most_256_mib_of_flushes_are_held() {
    let (mut b, stranger) = scene();
    // Units with a large payload each, of a flush that never ends.
    let payload = 60 * 1024 * 1024;
    let most = max_held_bytes(&Limits::default());
    let units = (most / payload) as u64;
    let mut number = 0;
    let mut bytes = 0;
    for seq in 1..=units + 1 {
        let value = Value::Bytes(vec![0; payload].into());
        let entry = Entry {
            dot: theirs(seq),
            value,
        };
        let path = craft::path(&[b"key", b"lww_register"]);
        let message = craft::unit(&Unit {
            adds: vec![(path, vec![entry])],
            ..Unit::default()
        });
        let chunks = message.chunks(MAX_FRAME - 64);
        let last = chunks.len() - 1;
        for (at, chunk) in chunks.enumerate() {
            bytes += chunk.len();
            let flags = if at == last {
                FLUSH | ENDS_MESSAGE
            } else {
                FLUSH
            };
            let frame = stranger.data(1, number, flags, chunk);
            assert_eq!(stranger.say(&mut b, &frame), Ok(()));
            number += 1;
            let broken = u64::from(bytes > most);
            assert_eq!(b.counts().sessions_broken, broken, "after {bytes} bytes");
            if broken > 0 {
                let kinds: Vec<u8> = stranger
                    .hear(&mut b)
                    .iter()
                    .map(|f| craft::kind(f))
                    .collect();
                assert_eq!(kinds, [craft::WANT], "it asks for an exchange instead");
                return;
            }
        }
    }
    panic!("more than the limit was held");
}

#[test]
fn at_most_64_flushes_are_unacknowledged() {
    let mut net = Net::mesh(&["a", "b"]);
    net.run_millis(5_000);
    let since = net.sent.len();
    net.hold_up("b", "a");
    let write = |net: &mut Net| {
        net.write::<PnCounter>("a", "count", |count| count.add(1));
        net.run_millis(2);
    };
    for _ in 0..MAX_UNACKNOWLEDGED {
        write(&mut net);
    }
    let limit = MAX_UNACKNOWLEDGED as u64;
    assert_eq!(net["a"].counts().flushes_sent, limit);
    for _ in 0..20 {
        write(&mut net);
    }
    assert_eq!(
        net["a"].counts().flushes_sent,
        limit,
        "the peer does not acknowledge"
    );
    assert_eq!(
        net["b"].view::<PnCounter>(b"count").value(),
        i128::from(limit)
    );
    net.release("b", "a");
    net.settle();
    assert_eq!(
        net["a"].counts().flushes_sent,
        limit + 1,
        "the rest goes as one"
    );
    net.assert_equal();
    assert_eq!(net.frames(since, "a", "b").len() as u64, limit + 1);
}

#[test]
fn at_most_4096_events_go_as_one_flush() {
    for extra in [0, 1] {
        let mut net = Net::mesh(&["a", "b"]);
        net.write::<OrSet<u64>>("a", "key", |set| {
            for n in 0..MAX_FLUSH_EVENTS + extra {
                set.insert(&n);
            }
        });
        net.settle();
        let counts = net["a"].counts();
        assert_eq!(
            (counts.flushes_sent, counts.exchanges_sent),
            (1 - extra, extra)
        );
        net.assert_equal();
        assert_eq!(
            net["b"].view::<OrSet<u64>>(b"key").len() as u64,
            MAX_FLUSH_EVENTS + extra
        );
    }
}

#[test]
fn events_that_nobody_asks_for_are_dropped_and_counted() {
    let mut b = Replica::new(config("b", &["a"]), Time::ZERO);
    let a = node("a");
    let come_and_go = |b: &mut Replica, n: u64| {
        b.handle_connected(Time::ZERO, &a);
        let hello = craft::hello(n, replica_id("a"), true);
        assert_eq!(b.handle_frame(Time::ZERO, &a, &hello), Ok(()));
        b.handle_disconnected(Time::ZERO, &a);
    };
    for n in 0..MAX_EVENTS as u64 / 2 {
        come_and_go(&mut b, n);
    }
    assert_eq!(b.counts().events_dropped, 0);
    come_and_go(&mut b, 1);
    assert_eq!(b.counts().events_dropped, 2);
    // Changes of keys are never lost.
    write::<PnCounter>(&mut b, Time::ZERO, "key", |count| count.add(1));
    assert!(matches!(b.poll_event(), Some(Event::Changed(_))));
    let kept = std::iter::from_fn(|| b.poll_event()).count();
    assert_eq!(kept, MAX_EVENTS);
    come_and_go(&mut b, 2);
    assert_eq!(b.counts().events_dropped, 2, "there is room again");
}

#[test]
fn too_many_changed_keys_are_all_keys() {
    let mut b = Replica::new(config("b", &[]), Time::ZERO);
    let change = |b: &mut Replica, n: u32| {
        write::<PnCounter>(b, Time::ZERO, &n.to_string(), |count| count.add(1));
    };
    for n in 0..65_536 {
        change(&mut b, n);
    }
    match b.poll_event() {
        Some(Event::Changed(Changed::Keys(keys))) => assert_eq!(keys.len(), 65_536),
        other => panic!("{other:?}"),
    }
    for n in 0..65_537 {
        change(&mut b, n);
    }
    assert_eq!(b.poll_event(), Some(Event::Changed(Changed::All)));
    assert_eq!(b.poll_event(), None);
}

/// Within this time what may be forgotten is.
const FORGET: Time = Time::from_start(Duration::from_millis(250));

/// A store in which so many elements were removed, each with a record that is still kept.
fn with_records(count: usize) -> DotStore {
    let mut store = DotStore::new();
    let mut unit = Unit::default();
    for n in 1..=count as u64 {
        let removal = craft::removal(&element(&n.to_be_bytes()), theirs(n), Context::new());
        unit.extend(removal);
    }
    store.apply(&unit, &mut Vec::new());
    store
}

#[test]
fn records_beyond_the_limit_are_forgotten_whoever_is_away() {
    // c is away, and a has acknowledged nothing; both would be waited for.
    let store = with_records(MAX_RECORDS);
    let context = store.context().clone();
    let config = config("b", &["a", "c"]);
    let nonce = config.nonce;
    let mut b = Replica::restore(config, store, Time::ZERO);
    let stranger = Stranger::meet_as("a", incarnation("a", 2), &mut b, nonce);
    stranger.agree_on(&mut b, &context);
    stranger.hear(&mut b);
    let key = "key-of-its-own";
    write::<OrSet<String>>(&mut b, Time::ZERO, key, |set| {
        set.insert("x");
    });
    b.handle_timeout(FORGET);
    assert_eq!(b.state().records().count(), MAX_RECORDS);
    assert_eq!(b.delete(Time::ZERO, key.as_bytes()), Ok(true));
    let mut now = FORGET + FORGET.since_start();
    b.handle_timeout(now);
    // What is removed from now on is not on its way to the others yet, and is kept.
    write::<OrSet<String>>(&mut b, now, "zz", |set| {
        set.insert("x");
    });
    assert_eq!(b.delete(now, b"zz"), Ok(true));
    now = now + Duration::from_millis(1);
    while b.state().record_count() > 1 {
        let before = b.state().record_count();
        b.handle_timeout(now);
        let gone = before - b.state().record_count();
        assert!((1..=1024).contains(&gone), "{gone} at one time");
        now = now + Duration::from_millis(1);
    }
    assert_eq!(b.counts().records_forgotten, MAX_RECORDS as u64 + 1);
    // a is behind what was forgotten, so its flush is none.
    let heard = stranger.hear(&mut b);
    let data = heard.iter().find_map(|frame| craft::data_frame(frame));
    let kind = data.expect("own events are due").flags & 3;
    assert_eq!(kind, craft::COMPARISON);
}

#[test]
fn records_are_forgotten_some_at_a_time_and_what_was_heard_meanwhile_counts() {
    let store = with_records(3_000);
    let all = store.context().clone();
    let config = config("b", &["a"]);
    let nonce = config.nonce;
    let mut b = Replica::restore(config, store, Time::ZERO);
    let stranger = Stranger::meet_as("a", incarnation("a", 2), &mut b, nonce);
    // Of the first it is not known yet that all have it.
    let mut others = all.clone();
    others.set(theirs(1).replica, Seqs::default());
    (2..=3_000).for_each(|n| others.insert(theirs(n)));
    assert_eq!(stranger.say(&mut b, &stranger.want(false, &others)), Ok(()));
    let mut steps = 0;
    let mut now = FORGET;
    while b.state().record_count() > 1 {
        let before = b.state().record_count();
        b.handle_timeout(now);
        let gone = before - b.state().record_count();
        assert!((1..=128).contains(&gone), "{gone} at one time");
        (now, steps) = (now + Duration::from_millis(1), steps + 1);
        if steps == 2 {
            assert_eq!(stranger.say(&mut b, &stranger.want(false, &all)), Ok(()));
        }
    }
    assert!(steps > 20);
    b.handle_timeout(now + FORGET.since_start());
    assert_eq!(b.state().record_count(), 0, "though nothing has come since");
}
