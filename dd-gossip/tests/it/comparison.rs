//! Full comparisons that ask where what is live differs: what they cost, and what is left when something else
//! comes in between.

use std::time::Duration;

use bytes::Bytes;
use crdt_core::{Context, LwwRegister, OrSet, VersionVector};
use dd_gossip::{Config, FrameError, Replica, Time, Timing};

use crate::support::craft::{self, Stranger};
use crate::support::net::Net;
use crate::support::{config, node, replica_id, visible, write};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Waits for nobody who is away for long, and states little without being asked.
fn impatient(name: &str) -> Config {
    let timing = Timing {
        away: Duration::from_secs(60),
        ..Timing::default()
    };
    Config {
        timing,
        chunk: 1024,
        ..config(name, &NAMES)
    }
}

fn put(net: &mut Net, name: &str, key: &str, value: &str) {
    net.write::<LwwRegister<String>>(name, key, |register| register.set(value));
}

/// Two replicas with so many keys, whose events have gaps everywhere; then one changes a few, and forgets
/// what it removed.
fn apart(keys: usize) -> Net {
    let mut net = Net::with(["a", "c"].map(impatient).to_vec());
    net.connect("a", "c");
    for n in 0..keys {
        put(&mut net, "a", &format!("key {n}"), "first");
        // What was written a while ago is replaced, some of it again and again.
        put(&mut net, "a", &format!("key {}", n * 7919 % keys), "later");
    }
    net.converge();
    net.disconnect("a", "c");
    put(&mut net, "a", "key 7", "changed");
    put(&mut net, "c", "key 8", "changed there");
    net.delete("a", "key 9");
    net.delete("a", "key 10");
    forget(&mut net, "key 11");
    net
}

/// The other one is away for long, and what was removed is forgotten with the next write.
fn forget(net: &mut Net, key: &str) {
    net.run_millis(120_000);
    put(net, "a", key, "late");
    net.run_millis(1_000);
    assert_eq!(net["a"].status().records, 0, "all is forgotten");
}

fn is_of_comparison(frame: &Bytes) -> bool {
    let data = craft::data_frame(frame);
    craft::kind(frame) == craft::DIFFERS
        || data.is_some_and(|data| data.flags & 3 == craft::COMPARISON)
}

/// Bytes of the comparison, and how many ranges were compared.
fn cost(keys: usize) -> (usize, u64) {
    let mut net = apart(keys);
    let since = net.sent.len();
    net.connect("a", "c");
    net.settle();
    assert_eq!(net["c"].counts().comparisons_received, 1);
    let sent = net.sent[since..].iter().map(|sent| &sent.frame);
    let bytes = sent
        .filter(|frame| is_of_comparison(frame))
        .map(Bytes::len)
        .sum();
    net.converge();
    assert!(net["c"].shapes(b"key 9").is_empty());
    let there = net["a"]
        .view::<LwwRegister<String>>(b"key 8")
        .get()
        .expect("a text");
    assert_eq!(there.as_deref(), Some("changed there"));
    let count = net["a"].status().keys;
    assert!((keys - 3..=keys).contains(&count), "{count}");
    (bytes, net["c"].counts().ranges_compared)
}

#[test]
fn a_full_comparison_costs_what_differs() {
    let (few, _) = cost(1_000);
    let (many, ranges) = cost(8_000);
    assert!((1..64).contains(&ranges), "{ranges}");
    assert!(many < 800, "{many} bytes for three changes in 8 000 keys");
    assert!(
        many < 2 * few,
        "{few} bytes with 1 000 keys, {many} with 8 000"
    );
}

/// Where two of a range are live at the peer alone its fingerprint says which, and the range need not be taken apart.
#[test]
fn two_that_were_removed_side_by_side_are_told_by_one_fingerprint() {
    let mut net = Net::with(["a", "c"].map(impatient).to_vec());
    net.connect("a", "c");
    for n in 0..1_000 {
        put(&mut net, "a", &format!("key {n}"), "once");
        // Leaves a gap, so that what is live takes as many numbers to be stated.
        put(&mut net, "a", "again", &format!("{n}"));
    }
    net.converge();
    net.disconnect("a", "c");
    net.delete("a", "key 9");
    net.delete("a", "key 10");
    forget(&mut net, "again");
    let since = net.sent.len();
    net.connect("a", "c");
    net.converge();
    assert_eq!(net["c"].counts().comparisons_received, 1);
    assert_eq!(net["c"].counts().ranges_compared, 3, "one for each event");
    let sent = net.sent[since..].iter().map(|sent| &sent.frame);
    let bytes: usize = sent.filter(|f| is_of_comparison(f)).map(|f| f.len()).sum();
    assert!(bytes < 250, "{bytes}");
    for key in ["key 9", "key 10"] {
        assert!(net["c"].shapes(key.as_bytes()).is_empty(), "{key}");
    }
    assert_eq!(net["c"].status().keys, 999);
}

#[test]
fn an_answer_that_is_lost_costs_a_new_comparison() {
    let mut net = apart(1_000);
    net.connect("a", "c");
    net.hold_up("c", "a");
    let mut lost = 0;
    for _ in 0..20 {
        net.settle();
        while let Some(frame) = net.poll("c", "a") {
            if craft::kind(&frame) == craft::DIFFERS {
                lost += 1;
            } else {
                net.deliver("c", "a", &frame);
            }
        }
    }
    assert_eq!(lost, 1);
    net.release("c", "a");
    let before = net["a"].counts().sessions_broken;
    net.converge();
    assert_eq!(net["a"].counts().sessions_broken, before + 1);
    assert_eq!(net["c"].counts().comparisons_received, 1);
    assert!(net["c"].shapes(b"key 9").is_empty());
}

/// What is lacking goes while the answer is awaited, but not so much that the next question would wait behind it.
#[test]
fn little_is_sent_ahead_of_an_answer() {
    let mut net = apart(1_000);
    for n in 0..40 {
        put(&mut net, "a", &format!("large {n}"), &"x".repeat(50_000));
    }
    net.connect("a", "c");
    net.hold_up("c", "a");
    let since = net.sent.len();
    let mut asked = false;
    for _ in 0..20 {
        net.settle();
        while !asked && let Some(frame) = net.poll("c", "a") {
            // The answer has to wait; what comes before it must not.
            asked = craft::kind(&frame) == craft::DIFFERS;
            if !asked {
                net.deliver("c", "a", &frame);
                net.settle();
            }
        }
    }
    assert!(asked);
    let sent = craft::data_bytes(&net.frames(since, "a", "c"));
    assert!((250_000..400_000).contains(&sent), "{sent}");
    net.release("c", "a");
    net.converge();
    assert_eq!(net["c"].status().keys, net["a"].status().keys);
}

#[test]
fn a_comparison_that_is_not_gone_on_with_is_given_up() {
    let own = config("a", &["c"]);
    let (nonce, retry) = (own.nonce, own.timing.retry);
    let mut a = Replica::new(own, Time::ZERO);
    let mut stranger = Stranger::meet("c", &mut a, nonce);
    let end = craft::end(&VersionVector::new(), &Context::new());
    let frames = stranger.session(
        craft::COMPARISON,
        &[craft::ranges(&Context::new(), &[(5, 9)]), end],
    );
    assert_eq!(stranger.say(&mut a, &frames[0]), Ok(()));
    a.handle_timeout(Time::ZERO + retry * 4);
    assert_eq!(a.counts().comparisons_cut, 0);
    a.handle_timeout(Time::ZERO + retry * 5);
    assert_eq!(a.counts().comparisons_cut, 1);
}

/// What comes from a third while ranges are compared was in no range when it was: it lives only if the sender
/// brings it.
#[test]
fn what_comes_in_between_and_was_removed_does_not_stay() {
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect_all();
    for n in 0..500 {
        put(&mut net, "a", &format!("key {n}"), "first");
        put(&mut net, "a", &format!("key {}", n / 2), "later");
        put(&mut net, "b", &format!("of b {n}"), "first");
        put(&mut net, "b", &format!("of b {}", n / 3), "later");
    }
    net.converge();
    net.disconnect("a", "c");
    net.hold_up("b", "c");
    net.write::<OrSet<String>>("b", "gone", |set| {
        set.insert("x");
    });
    net.run_millis(1_000);
    net.disconnect("a", "b");
    net.delete("a", "gone");
    net.run_millis(120_000);
    put(&mut net, "a", "key 11", "late");
    net.run_millis(1_000);
    assert_eq!(net["a"].status().records, 0);
    assert!(net["c"].keys(b"gone", None, 1).is_empty());

    net.connect("a", "c");
    while net["c"].counts().ranges_compared == 0 {
        net.carry_one().expect("a question");
    }
    while !net["c"].view::<OrSet<String>>(b"gone").contains("x") {
        let frame = net.poll("b", "c").expect("what was held up");
        net.deliver("b", "c", &frame);
    }
    assert_eq!(net["c"].counts().comparisons_received, 0);
    net.settle();
    assert_eq!(net["c"].counts().comparisons_received, 1);
    assert!(net["c"].keys(b"gone", None, 1).is_empty());
    net.release("b", "c");
    net.connect("a", "b");
    net.converge();
}

/// A replica whose peer is on paper, and needs a full comparison.
fn asked() -> (Replica, Stranger) {
    let config = Config {
        peers: vec![node("z")],
        ..impatient("a")
    };
    let nonce = config.nonce;
    let mut a = Replica::new(config, Time::ZERO);
    for n in 0..400 {
        for key in [n, n / 2] {
            write::<LwwRegister<u64>>(&mut a, Time::ZERO, &format!("key {key}"), |r| r.set(&1));
        }
    }
    let seen = a.status().context.clone();
    write::<OrSet<u64>>(&mut a, Time::ZERO, "gone", |set| {
        set.insert(&1);
    });
    a.delete(Time::ZERO, b"gone").expect("a key");
    let later = Time::ZERO + Duration::from_secs(120);
    write::<LwwRegister<u64>>(&mut a, later, "key 11", |r| r.set(&2));
    // Some at a time.
    for n in 0..20 {
        a.handle_timeout(later + Duration::from_millis(1_000 + n));
    }
    assert_eq!(a.status().records, 0);
    let stranger = Stranger::meet("c", &mut a, nonce);
    assert_eq!(stranger.say(&mut a, &stranger.want(true, &seen)), Ok(()));
    let heard = stranger.hear(&mut a);
    let questions = heard.iter().filter(|frame| is_of_comparison(frame));
    assert_eq!(questions.count(), 2, "a question, and what is lacking");
    (a, stranger)
}

#[test]
fn an_answer_that_can_not_be_is_refused() {
    let untrue = Err(FrameError::Untrue("an answer to what was not asked"));
    for (number, bits, expected) in [
        (1, 3, Ok(())),
        (1, 2, untrue.clone()),
        (2, 16, untrue),
        (0, 3, Ok(())),
    ] {
        let (mut a, stranger) = asked();
        let result = stranger.say(&mut a, &stranger.differs(1, number, &vec![true; bits]));
        assert_eq!(result, expected, "number {number}, {bits} bits");
    }
    let (mut a, stranger) = asked();
    let other = stranger.say(&mut a, &stranger.differs(9, 1, &[true]));
    assert_eq!(other, Ok(()), "of a session that is over");
    let most = vec![false; 4097];
    let result = stranger.say(&mut a, &stranger.differs(1, 1, &most));
    assert_eq!(result, Err(FrameError::Limit("ranges of a question")));
}

#[test]
fn a_question_that_can_not_be_is_refused_and_changes_nothing() {
    let own = config("a", &["c"]);
    let nonce = own.nonce;
    let mut a = Replica::new(own, Time::ZERO);
    write::<OrSet<u64>>(&mut a, Time::ZERO, "k", |set| {
        set.insert(&1);
    });
    let mut stranger = Stranger::meet("c", &mut a, nonce);
    let before = visible(&mut a);
    let mut made_up = Context::new();
    made_up.insert_range(replica_id("a"), 1, 5);
    let frames = stranger.session(
        craft::COMPARISON,
        &[
            craft::ranges(&made_up, &[]),
            craft::end(&VersionVector::new(), &made_up),
        ],
    );
    let untrue = Err(FrameError::Untrue(
        "events of this replica that it never made",
    ));
    assert_eq!(stranger.say(&mut a, &frames[0]), untrue);
    assert_eq!(visible(&mut a), before);

    // Two ends: it would be told that what it has is dead by another context than it had answered for.
    let mut a = Replica::new(config("a", &["c"]), Time::ZERO);
    let mut stranger = Stranger::meet("c", &mut a, nonce);
    let mut other = Context::new();
    other.insert_range(replica_id("b"), 1, 5);
    let frames = stranger.session(
        craft::COMPARISON,
        &[
            craft::ranges(&Context::new(), &[]),
            craft::end(&VersionVector::new(), &other),
        ],
    );
    assert_eq!(stranger.say(&mut a, &frames[0]), Ok(()));
    let untrue = Err(FrameError::Untrue("a comparison with two ends"));
    assert_eq!(stranger.say(&mut a, &frames[1]), untrue);
    assert!(a.status().context.is_empty());

    // Ranges that run backwards.
    let ascending = craft::ranges(&Context::new(), &[(5, 9), (9, 12), (15, 16)]);
    let backwards = craft::ranges(&Context::new(), &[(9, 12), (5, 9)]);
    for (question, fits) in [(ascending, true), (backwards, false)] {
        let mut a = Replica::new(config("a", &["c"]), Time::ZERO);
        let mut stranger = Stranger::meet("c", &mut a, nonce);
        let last = craft::end(&VersionVector::new(), &Context::new());
        let frames = stranger.session(craft::COMPARISON, &[question, last]);
        assert_eq!(stranger.say(&mut a, &frames[0]).is_ok(), fits);
    }
}
