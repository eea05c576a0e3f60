//! Values that no single message holds.

use crdt_core::kernel::{Entry, Unit, Value};
use crdt_core::{Dot, Limits, MvRegister, OrSet};
use dd_gossip::{Config, FrameError, MAX_FRAME, Replica, Time, max_message, max_staged_bytes};

use crate::support::craft::{self, ENDS_MESSAGE, ENDS_SESSION, EXCHANGE, FLUSH, Stranger};
use crate::support::net::Net;
use crate::support::{assert_sound, config, replica_id};

const MIB: usize = 1024 * 1024;

/// The sizes of the messages that a node was sent.
fn messages_to(net: &Net, to: &str) -> Vec<usize> {
    let (mut sizes, mut open) = (Vec::new(), 0);
    let sent = net.sent.iter().filter(|sent| sent.to.as_str() == to);
    for data in sent.filter_map(|sent| craft::data_frame(&sent.frame)) {
        open += data.chunk.len();
        if data.flags & ENDS_MESSAGE != 0 {
            sizes.push(std::mem::take(&mut open));
        }
    }
    sizes
}

#[test]
fn concurrent_writes_larger_than_a_message_come_as_one() {
    let names = ["a", "b", "c", "d"];
    let mut net = Net::of(&names);
    for (at, name) in names[..3].iter().enumerate() {
        net.write::<MvRegister<String>>(name, "large", |register| {
            register.set(&at.to_string().repeat(5 * MIB));
        });
    }
    for (a, b) in [("a", "b"), ("b", "c"), ("a", "c")] {
        net.connect(a, b);
    }
    net.settle();
    let since = net.sent.len();
    net.connect("c", "d");
    let mut seen = Vec::new();
    while net.carry_one().is_some() {
        let register = net["d"].view::<MvRegister<String>>(b"large");
        let now = (register.is_empty(), register.conflicts());
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, [(true, 0), (false, 2)], "all of it or nothing");
    net.sent.drain(..since);
    let large: Vec<usize> = messages_to(&net, "d");
    let large: Vec<usize> = large.into_iter().filter(|size| *size > MIB).collect();
    assert_eq!(large.len(), 3, "{large:?}");
    assert!(large.iter().all(|size| *size < 6 * MIB), "{large:?}");
    assert_sound(&mut net["d"]);
}

#[test]
fn a_payload_may_be_as_large_as_the_nodes_are_told() {
    let limits = Limits {
        payload: 150 * MIB,
        ..Limits::default()
    };
    let names = ["a", "b"];
    let config = |name| Config {
        limits,
        ..config(name, &names)
    };
    let mut net = Net::with(names.map(config).into());
    net.connect_all();
    net.write::<MvRegister<String>>("a", "large", |register| {
        register.set(&"7".repeat(140 * MIB));
    });
    net.settle();
    let values = net["b"].view::<MvRegister<String>>(b"large").values();
    let sizes: Vec<usize> = values.unwrap().iter().map(String::len).collect();
    assert_eq!(sizes, [140 * MIB]);
}

/// A node with so small a payload that limits are reached soon, and a peer that agrees with it on nothing.
fn scene() -> (Replica, Stranger, Limits) {
    let limits = Limits {
        payload: MIB,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..config("b", &["a"])
    };
    let nonce = config.nonce;
    let mut b = Replica::new(config, Time::ZERO);
    let stranger = Stranger::meet("a", &mut b, nonce);
    stranger.agree_on(&mut b, &Default::default());
    stranger.hear(&mut b);
    (b, stranger, limits)
}

fn payload(seq: u64) -> Unit {
    let dot = Dot::new(replica_id("a"), seq);
    let value = Value::Bytes(vec![0; MIB].into());
    let path = craft::path(&[b"key", b"mv_register"]);
    Unit {
        adds: vec![(path, vec![Entry { dot, value }])],
        ..Unit::default()
    }
}

#[test]
fn a_unit_in_parts_is_bounded() {
    let (mut b, stranger, limits) = scene();
    assert_eq!(max_message(&limits), 65 * MIB);
    let most = max_staged_bytes(&limits);
    assert_eq!(most, 32 * 9 * MIB);
    let (mut number, mut bytes) = (0, 0);
    for seq in 1.. {
        let message = craft::staged(&payload(seq));
        let chunks = message.chunks(MAX_FRAME - 64);
        let last = chunks.len() - 1;
        for (at, chunk) in chunks.enumerate() {
            bytes += chunk.len();
            let ends = if at == last { ENDS_MESSAGE } else { 0 };
            let frame = stranger.data(1, number, EXCHANGE | ends, chunk);
            number += 1;
            let said = stranger.say(&mut b, &frame);
            if bytes > most {
                assert_eq!(said, Err(FrameError::Limit("bytes of a unit")));
                assert!(b.state().context().is_empty());
                return;
            }
            assert_eq!(said, Ok(()), "after {bytes} bytes");
        }
    }
}

#[test]
fn parts_without_the_rest_of_their_unit_are_nothing() {
    for kind in [EXCHANGE, FLUSH] {
        let (mut b, stranger, _) = scene();
        let first = craft::staged(&craft::add(&path_of("x"), Dot::new(replica_id("a"), 1)));
        let frame = stranger.data(1, 0, kind | ENDS_MESSAGE, &first);
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
        assert!(b.state().context().is_empty());
        // A part is no end, whatever its flags say.
        let frame = stranger.data(1, 1, kind | ENDS_SESSION, &first);
        let error = FrameError::Untrue("a message that does not belong into its session");
        assert_eq!(stranger.say(&mut b, &frame), Err(error));
        assert!(b.state().context().is_empty());
        // Nor is a unit whose last part never came.
        let (mut b, stranger, _) = scene();
        let end = craft::end(
            &Default::default(),
            &craft::dots(&[Dot::new(replica_id("a"), 1)]),
        );
        let begin = stranger.data(1, 0, EXCHANGE | ENDS_MESSAGE, &first);
        assert_eq!(stranger.say(&mut b, &begin), Ok(()));
        let end = stranger.data(1, 1, EXCHANGE | ENDS_SESSION, &end);
        let error = FrameError::Untrue("a unit without its last part");
        assert_eq!(stranger.say(&mut b, &end), Err(error));
        assert!(b.state().context().is_empty());
        // Nor does it wait for the next session.
        let (mut b, mut stranger, _) = scene();
        assert_eq!(
            stranger.say(&mut b, &frame_of(&stranger, kind, &first)),
            Ok(())
        );
        let _ = stranger.session(kind, &[first]);
        let second = craft::add(&path_of("y"), Dot::new(replica_id("a"), 2));
        for frame in stranger.session(EXCHANGE, &[craft::unit(&second)]) {
            let _ = stranger.say(&mut b, &frame);
        }
        let set = b.view::<OrSet<String>>(b"key");
        assert!(!set.contains("x"));
    }
}

fn frame_of(stranger: &Stranger, kind: u8, message: &[u8]) -> bytes::Bytes {
    stranger.data(1, 0, kind | ENDS_MESSAGE, message)
}

fn path_of(element: &str) -> crdt_core::Path {
    craft::path(&[b"key", b"or_set<str>", element.as_bytes()])
}
