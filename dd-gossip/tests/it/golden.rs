//! Golden bytes: frames of every kind as they were first sent. Whoever changes one makes a new
//! version of the wire format.

use std::time::Duration;

use crdt_core::{Context, LwwRegister, OrSet, PnCounter};
use dd_gossip::{Config, MIN_CHUNK, Replica, Time, Timing};

use crate::support::craft::{ASIDE, Stranger};
use crate::support::recording::{Recording, comparison, exchange_and_flush};
use crate::support::{assert_sound, config, craft, hex, incarnation, node, unhex, write};

/// What a replica sends to one that it exchanges with, then pushes a write to, then rests with.
const EXCHANGE: &[(&str, &str)] = &[
    (
        "hello",
        "0101190000000000017ae90000000000000061000000000000000100",
    ),
    (
        "digest",
        "010221ee8247b96e8167ea928e8ecac1dab7c94db913f4ab7e22c508c16257ee9602fd00",
    ),
    (
        "want",
        "01041eee8247b96e8167ea02002001000000000000006100000000000000010800",
    ),
    (
        "unit of an exchange",
        "0105b801ee8247b96e8167ea0100040001000000000000006100000000000000010400030666727569740c6f725f7365743c7374723e057065617200060100020000000205686974730b706e5f636f756e7465720004010004000100000404060300030666727569740c6f725f7365743c7374723e066170706c6501000700000205686974730b706e5f636f756e74657201000a0206070000000205706f72740d6c77775f7265676973746572010004090a0000000003e80005bb03",
    ),
    ("ack", "010609ee8247b96e8167ea01"),
    (
        "query",
        "010719ee8247b96e8167ea01cde012953c2243bc34d5a4047004c6e0",
    ),
    (
        "end of an exchange",
        "010520ee8247b96e8167ea01010c020001000000000000006100000000000000010800",
    ),
    (
        "flush",
        "01058d01ee8247b96e8167ea02000d030200000000000000610000000000000001000107010000000000000062000000000000000101007a2865450604d65f0001000000000000006100000000000000010200030666727569740c6f725f7365743c7374723e066170706c65001401000900000100030666727569740c6f725f7365743c7374723e05706c756d01000100",
    ),
    ("same", "010310ee8247b96e8167ea7a2865450604d65f"),
    (
        "digest",
        "010221ee8247b96e8167ea43e859b31a57fa757a2865450604d65ffbb6c9fba097850c00",
    ),
    ("same", "010310ee8247b96e8167ea7a2865450604d65f"),
    (
        "digest",
        "010221ee8247b96e8167ea43e859b31a57fa757a2865450604d65ffbb6c9fba097850c00",
    ),
    ("same", "010310ee8247b96e8167ea7a2865450604d65f"),
    (
        "digest",
        "010221ee8247b96e8167ea43e859b31a57fa757a2865450604d65ffbb6c9fba097850c00",
    ),
];

/// What a replica sends to one that is behind what it forgot.
const COMPARISON: &[(&str, &str)] = &[
    (
        "hello",
        "0101190000000000017aea0000000000000061000000000000000200",
    ),
    (
        "digest",
        "010221e11dda9de26e23f39a75407ab8523003c037b8beb4b39e4c66fbe84d04e3e91000",
    ),
    (
        "part of a comparison",
        "0105c101e11dda9de26e23f3010006010100000000000000610000000000000001010002000000000000006100000000000000010000000000000061000000000000000202000205686974730b706e5f636f756e746572010a0200090001040002000007070700010404060300030666727569740c6f725f7365743c7374723e0466696701010a00000205686974730b706e5f636f756e7465720101070206070000000205706f72740d6c77775f7265676973746572010104010a0000000003e80008bb03",
    ),
    (
        "end of a comparison",
        "010554e11dda9de26e23f301010e02020000000000000061000000000000000109000000000000006100000000000000020902000000000000006100000000000000010900000000000000006100000000000000020a00",
    ),
];

/// What a replica answers that is asked for its context: by one of equal context, and by another.
const ANSWERS: &[(&str, &str)] = &[
    ("answer", "01080bd3ac863dcd62cc81010000"),
    (
        "answer",
        "01081fd3ac863dcd62cc81ac02000101000000000000006200000000000000010100",
    ),
];

/// What a replica answers that is asked what it has seen of two incarnations, one of them its own.
const SEALS: &[(&str, &str)] = &[
    (
        "seal-answer",
        "010b14d3ac863dcd62cc810702011e924b9d737700d700",
    ),
    (
        "digest",
        "010226d3ac863dcd62cc813db49f82dfabe33997ad5fa64e5181b30000000000000000fbd095ffbc31",
    ),
];

/// What a replica sends that is asked for the second of two shares, and what one that gives none.
const SHARE: &[(&str, &str)] = &[
    (
        "unit of an exchange",
        "010543d3ac863dcd62cc8101000400010000000000000062000000000000000100010002077365636f6e640d6c77775f726567697374657201000401090000000003e8000107",
    ),
    ("end of a share", "01050dd3ac863dcd62cc8101010c0601"),
    ("end of a share", "01050dd3ac863dcd62cc8101000c0600"),
];

/// What a replica sends that cuts each piece, and that writes while it sends.
const PARTS: &[(&str, &str)] = &[
    (
        "part of a unit",
        "01053dd3ac863dcd62cc81010004070100000000000000620000000000000001000100030666727569740c6f725f7365743c7374723e066170706c6501000200",
    ),
    (
        "unit aside",
        "010539d3ac863dcd62cc810101100001000000000000006200000000000000010001000205686974730b706e5f636f756e7465720100060203020000",
    ),
    (
        "unit of an exchange",
        "01053cd3ac863dcd62cc81010204000100000000000000620000000000000001000100030666727569740c6f725f7365743c7374723e057065617201000400",
    ),
    (
        "end of an exchange",
        "010520d3ac863dcd62cc8101030c020001000000000000006200000000000000010300",
    ),
];

/// What is asked and answered in a full comparison.
const RANGES: &[(&str, &str)] = &[
    (
        "ranges of a comparison",
        "01054b756112d79b3c7fc40100060501000000000000006100000000000000017d000202000000000000006100000000000000014583880598c6a74ac479a8598d04ae8b4c9706343ad7ffc7592f",
    ),
    ("differs", "010c0c6d448acdecb2d7e301010202"),
];

/// A frame by name: its kind, for data that of the message too.
fn name(frame: &[u8]) -> &'static str {
    let message = craft::data_frame(frame).map(|data| (data.flags & (3 | ASIDE), data.chunk[0]));
    match (craft::kind(frame), message) {
        (craft::HELLO, _) => "hello",
        (craft::DIGEST, _) => "digest",
        (craft::SAME, _) => "same",
        (craft::WANT, _) => "want",
        (craft::ACK, _) => "ack",
        (craft::QUERY, _) => "query",
        (craft::ANSWER, _) => "answer",
        (craft::SEAL_ASK, _) => "seal-ask",
        (craft::SEAL_ANSWER, _) => "seal-answer",
        (craft::DIFFERS, _) => "differs",
        (_, Some((craft::COMPARISON, 5))) => "ranges of a comparison",
        (_, Some((craft::EXCHANGE, 0))) => "unit of an exchange",
        (_, Some((craft::EXCHANGE, 2))) => "end of an exchange",
        (_, Some((craft::EXCHANGE, 6))) => "end of a share",
        (_, Some((craft::EXCHANGE, 7))) => "part of a unit",
        (_, Some((ASIDE, 0))) => "unit aside",
        (_, Some((craft::FLUSH, 3))) => "flush",
        (_, Some((craft::COMPARISON, 1))) => "part of a comparison",
        (_, Some((craft::COMPARISON, 2))) => "end of a comparison",
        _ => "something else",
    }
}

fn assert_golden(recording: &Recording, golden: &[(&'static str, &str)]) {
    let frames = recording.frames.iter().map(|(_, frame)| frame);
    let found: Vec<_> = frames.map(|frame| (name(frame), hex(frame))).collect();
    assert_eq!(found, owned(golden));
}

fn owned(golden: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let golden = golden.iter();
    golden
        .map(|(name, bytes)| (*name, (*bytes).to_owned()))
        .collect()
}

#[test]
fn bytes_of_an_exchange_and_a_flush() {
    assert_golden(&exchange_and_flush(), EXCHANGE);
}

#[test]
fn bytes_of_a_full_comparison() {
    assert_golden(&comparison(), COMPARISON);
}

/// A question about what lives of some keys, of which every third was written again, and the answer of one who lacks
/// that two of those were deleted.
#[test]
fn bytes_of_ranges() {
    let small = |name, peer| Config {
        chunk: MIN_CHUNK,
        timing: Timing {
            away: Duration::ZERO,
            ..Timing::default()
        },
        ..config(name, &[peer])
    };
    let mut a = Replica::new(small("a", "c"), Time::ZERO);
    let set = |a: &mut Replica, key: u64| {
        write::<LwwRegister<u64>>(a, Time::ZERO, &format!("{key}"), |r| r.set(&key));
    };
    (0..90).for_each(|key| set(&mut a, key));
    (0..90).step_by(3).for_each(|key| set(&mut a, key));
    write::<OrSet<u64>>(&mut a, Time::ZERO, "set", |set| {
        for n in 0..3 {
            set.insert(&n);
        }
    });
    let mut c = Replica::new(small("c", "a"), Time::ZERO);
    let connect = |a: &mut Replica, c: &mut Replica, now| {
        a.handle_connected(now, &node("c"));
        c.handle_connected(now, &node("a"));
    };
    let carry = |a: &mut Replica, c: &mut Replica, now| {
        let mut frames = Vec::new();
        loop {
            let to_c = a.poll_transmit(now, &node("c"));
            let to_a = to_c
                .is_none()
                .then(|| c.poll_transmit(now, &node("a")))
                .flatten();
            let Some(frame) = to_c.clone().or(to_a) else {
                return frames;
            };
            let handed = match to_c {
                Some(_) => c.handle_frame(now, &node("a"), &frame),
                None => a.handle_frame(now, &node("c"), &frame),
            };
            assert_eq!(handed, Ok(()));
            frames.push(frame);
        }
    };
    connect(&mut a, &mut c, Time::ZERO);
    carry(&mut a, &mut c, Time::ZERO);
    a.handle_disconnected(Time::ZERO, &node("c"));
    c.handle_disconnected(Time::ZERO, &node("a"));
    // What differs in one event or two is told by the fingerprint, and in three is not.
    for key in ["set", "87"] {
        a.delete(Time::ZERO, key.as_bytes()).expect("a key");
    }
    let later = Time::ZERO + Duration::from_secs(1);
    a.handle_timeout(later);
    assert_eq!(a.status().records, 0);
    connect(&mut a, &mut c, later);
    let frames = carry(&mut a, &mut c, later);
    assert!(c.shapes(b"87").is_empty());
    let found = frames.iter().map(|f| (name(f), hex(f)));
    let found: Vec<_> = found
        .filter(|(name, _)| ["differs", "ranges of a comparison"].contains(name))
        .collect();
    assert_eq!(found, owned(RANGES));
}

#[test]
fn bytes_of_shares() {
    let mut heard = Vec::new();
    for shared in [2, 3] {
        let config = Config {
            shared,
            ..config("b", &[])
        };
        let nonce = config.nonce;
        let mut b = Replica::new(config, Time::ZERO);
        for key in ["first", "second"] {
            write::<LwwRegister<u64>>(&mut b, Time::ZERO, key, |r| r.set(&7));
        }
        let stranger = Stranger::meet("a", &mut b, nonce);
        let ask = stranger.ask(&[2, 1, 2], &Context::new());
        assert_eq!(stranger.say(&mut b, &ask), Ok(()));
        let frames = stranger.hear(&mut b);
        let data = frames.iter().filter(|f| craft::kind(f) == craft::DATA);
        heard.extend(data.map(|f| (name(f), hex(f))));
    }
    assert_eq!(heard, owned(SHARE));
}

#[test]
fn bytes_of_parts_and_what_goes_between_them() {
    let config = Config {
        part: 1,
        ..config("b", &[])
    };
    let nonce = config.nonce;
    let mut b = Replica::new(config, Time::ZERO);
    write::<OrSet<String>>(&mut b, Time::ZERO, "fruit", |set| {
        set.insert("apple");
        set.insert("pear");
    });
    let stranger = Stranger::meet("a", &mut b, nonce);
    let ask = stranger.want(true, &Context::new());
    assert_eq!(stranger.say(&mut b, &ask), Ok(()));
    let mut heard = Vec::new();
    while let Some(frame) = b.poll_transmit(Time::ZERO, &stranger.node) {
        if craft::kind(&frame) != craft::DATA {
            continue;
        }
        if heard.is_empty() {
            write::<PnCounter>(&mut b, Time::ZERO, "hits", |hits| hits.add(1));
        }
        heard.push((name(&frame), hex(&frame)));
    }
    assert_eq!(heard, owned(PARTS));
}

#[test]
fn bytes_of_answers() {
    let config = config("b", &["a"]);
    let nonce = config.nonce;
    let mut b = Replica::new(config, Time::ZERO);
    let stranger = Stranger::meet("a", &mut b, nonce);
    let mut answers = Vec::new();
    for number in [1, 300] {
        let question = stranger.question(number, &Context::new());
        assert_eq!(stranger.say(&mut b, &question), Ok(()));
        answers.extend(stranger.hear(&mut b).iter().map(|f| (name(f), hex(f))));
        write::<OrSet<String>>(&mut b, Time::ZERO, "set", |set| {
            set.insert("x");
        });
    }
    assert_eq!(answers, owned(ANSWERS));
}

#[test]
fn bytes_of_what_is_sealed_and_of_a_stated_clock() {
    let config = config("b", &["a"]);
    let (nonce, wait) = (config.nonce, config.timing.seal * 2);
    let mut b = Replica::new(config, Time::ZERO);
    let stranger = Stranger::meet("a", &mut b, nonce);
    let gone = incarnation("c", 1);
    b.set_wall(Time::ZERO, 1_700_000_000_123);
    let question = stranger.seal_question(7, &[gone, incarnation("b", 1)]);
    assert_eq!(stranger.say(&mut b, &question), Ok(()));
    b.handle_timeout(Time::ZERO + wait);
    let heard = stranger.hear(&mut b);
    let found: Vec<_> = heard.iter().map(|f| (name(f), hex(f))).collect();
    assert_eq!(found, owned(SEALS));
}

#[test]
fn every_kind_of_frame_is_among_them() {
    let all = EXCHANGE
        .iter()
        .chain(COMPARISON)
        .chain(RANGES)
        .chain(ANSWERS)
        .chain(SEALS);
    let mut names: Vec<&str> = all.map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let expected = [
        "ack",
        "answer",
        "differs",
        "digest",
        "end of a comparison",
        "end of an exchange",
        "flush",
        "hello",
        "part of a comparison",
        "query",
        "ranges of a comparison",
        "same",
        "seal-answer",
        "unit of an exchange",
        "want",
    ];
    assert_eq!(names, expected);
}

#[test]
fn golden_frames_of_an_exchange_and_a_flush_are_understood() {
    let recording = exchange_and_flush();
    let mut b = recording.receiver();
    for (at, (name, bytes)) in EXCHANGE.iter().enumerate() {
        let result = recording.hand(&mut b, at, &unhex(bytes));
        assert_eq!(result, Ok(()), "{name}");
    }
    assert_eq!(b.counts().exchanges_received, 1);
    assert_eq!(b.counts().flushes_received, 1);
    let fruit: Vec<String> = b.view::<OrSet<String>>(b"fruit").iter().collect();
    assert_eq!(fruit, ["plum"]);
    assert_eq!(b.view::<PnCounter>(b"hits").value(), -4);
    assert_eq!(b.view::<LwwRegister<u64>>(b"port").get(), Ok(Some(443)));
    assert_sound(&mut b);
}

#[test]
fn golden_frames_of_a_full_comparison_are_understood() {
    let recording = comparison();
    let mut c = recording.receiver();
    for (at, (name, bytes)) in COMPARISON.iter().enumerate() {
        let result = recording.hand(&mut c, at, &unhex(bytes));
        assert_eq!(result, Ok(()), "{name}");
    }
    assert_eq!(c.counts().comparisons_received, 1);
    let fruit: Vec<String> = c.view::<OrSet<String>>(b"fruit").iter().collect();
    assert_eq!(fruit, ["fig"]);
    assert_sound(&mut c);
}
