//! What is written while a peer is brought up to date does not wait for the end of that.

use std::time::Duration;

use crdt_core::{LwwRegister, OrSet, PnCounter};
use dd_gossip::{Config, Transaction, UpdateError};

use crate::support::assert_sound;
use crate::support::config;
use crate::support::craft::{self, ASIDE, ENDS_MESSAGE};
use crate::support::net::Net;

const MIB: usize = 1024 * 1024;
/// Bytes of data in a frame, as stores have it.
const CHUNK: usize = 8 * 1024;

/// Two that were equal and apart since; a has written much meanwhile, and has sent some of it by now.
fn catching_up() -> Net {
    catching_up_in(&["a", "b"])
}

/// As above, with others that are connected to a alone.
fn catching_up_in(names: &[&str]) -> Net {
    let with_chunk = |name: &&str| Config {
        chunk: CHUNK,
        ..config(name, names)
    };
    let mut net = Net::with(names.iter().map(with_chunk).collect());
    net.connect_all();
    net.run_millis(2_000);
    for other in &names[1..] {
        net.disconnect("b", other);
    }
    net.disconnect("a", "b");
    net.write::<OrSet<u64>>("a", "many", |set| {
        (0..20_000).for_each(|n| _ = set.insert(&n));
    });
    set_large(&mut net, "x");
    net.connect("a", "b");
    for _ in 0..10 {
        net.carry_one().expect("it is far from the end");
    }
    net.sent.clear();
    net
}

fn set_large(net: &mut Net, letter: &str) {
    net.write::<LwwRegister<String>>("a", "large", |large| large.set(&letter.repeat(MIB)));
}

/// Counts, a while after what was before.
fn count(net: &mut Net) {
    net.now = net.now + Duration::from_millis(1);
    net.write::<PnCounter>("a", "hits", |hits| hits.add(1));
}

/// Counts and does something else, as one.
fn count_and(net: &mut Net, other: impl FnOnce(&mut Transaction<'_>)) {
    net.now = net.now + Duration::from_millis(1);
    let now = net.now;
    let both = |tx: &mut Transaction<'_>| {
        tx.edit::<PnCounter>(b"hits").add(1);
        other(tx);
        Ok(())
    };
    let done = net["a"].transaction::<_, UpdateError>(now, 0, both);
    done.expect("within the limits");
}

fn counted(net: &Net) -> i128 {
    net["b"].view::<PnCounter>(b"hits").value()
}

fn large(net: &Net) -> Option<char> {
    let large = net["b"].view::<LwwRegister<String>>(b"large");
    large
        .get()
        .expect("a text")
        .and_then(|text| text.chars().next())
}

/// Carries frames until the counter has a value, and returns how many those were.
fn carry_until(net: &mut Net, value: i128) -> usize {
    let frames = (0..10_000).find(|_| {
        net.carry_one();
        counted(net) == value
    });
    frames.expect("it never comes") + 1
}

/// Frames in the middle of a message.
fn asides(net: &Net) -> usize {
    let data = net
        .sent
        .iter()
        .filter_map(|sent| craft::data_frame(&sent.frame));
    data.filter(|data| data.flags & ASIDE != 0).count()
}

#[test]
fn a_small_update_overtakes_what_is_old() {
    let mut net = catching_up();
    for n in 1..5 {
        count(&mut net);
        assert!(carry_until(&mut net, n) < 4, "the {n}-th");
    }
    assert_eq!(large(&net), None, "while the rest is on its way");
    let many = net["b"].view::<OrSet<u64>>(b"many").len();
    assert!((1..20_000).contains(&many), "{many}");
    net.settle();
    assert_eq!(large(&net), Some('x'));
    let renewed = net["a"].counts().exchanges_renewed;
    assert_eq!(renewed, 4);
    net.assert_equal();
    // Nothing of it was pushed again, and the exchange began once.
    assert_eq!(net["a"].counts().flushes_sent, 0);
    assert_eq!(net["a"].counts().exchanges_sent, 1);
    let known = net["b"].counts().events_known;
    assert_eq!(known, 0, "nothing came twice");
    assert_sound(&mut net["b"]);
}

#[test]
fn a_small_update_overtakes_a_large_value_that_is_under_way() {
    let mut net = catching_up();
    let is_amidst = |frame: &[u8]| {
        let data = craft::data_frame(frame);
        data.is_some_and(|data| data.flags & ENDS_MESSAGE == 0)
    };
    while !is_amidst(&net.carry_one().expect("the large value comes last").frame) {}
    count(&mut net);
    assert!(carry_until(&mut net, 1) < 4);
    assert_eq!((asides(&net), large(&net)), (1, None));
    // One that is too large for that waits for its end, and nothing else does, as soon as that one is here.
    let names: Vec<String> = (0..2000).map(|n| format!("element {n}")).collect();
    net.now = net.now + Duration::from_millis(1);
    net.write::<OrSet<String>>("a", "words", |set| {
        names.iter().for_each(|name| _ = set.insert(name.as_str()));
    });
    net.settle();
    net.assert_equal();
    assert_eq!(net["b"].view::<OrSet<String>>(b"words").len(), 2000);
    assert_eq!(large(&net), Some('x'));
}

#[test]
fn so_does_what_others_write() {
    let mut net = catching_up_in(&["a", "b", "c"]);
    net.now = net.now + Duration::from_millis(1);
    net.write::<PnCounter>("c", "hits", |hits| hits.add(1));
    // c has to catch up with a as well.
    let frames = carry_until(&mut net, 1);
    assert_eq!(large(&net), None, "after {frames} frames");
    net.settle();
    net.assert_equal();
}

#[test]
fn what_is_under_way_may_be_overwritten_and_deleted() {
    for deleted in [false, true] {
        let mut net = catching_up();
        for round in 0..600 {
            if round == 300 && deleted {
                net.delete("a", "large");
                net.delete("a", "many");
            } else if round % 100 == 50 {
                set_large(&mut net, "y");
                count(&mut net);
            }
            net.now = net.now + Duration::from_millis(1);
            net.carry_one();
        }
        net.settle();
        net.assert_equal();
        assert_eq!(large(&net), Some('y'));
        let many = net["b"].view::<OrSet<u64>>(b"many").len();
        assert_eq!(many, if deleted { 0 } else { 20_000 });
        assert!(net["a"].counts().exchanges_renewed > 0);
        assert_sound(&mut net["b"]);
    }
}

#[test]
fn what_is_new_leaves_half_of_the_frames_to_what_is_old() {
    let mut net = catching_up();
    let mut frames = 0;
    while large(&net).is_none() {
        frames += 1;
        assert!(frames < 3_000, "it is starved");
        count(&mut net);
        net.carry_one();
    }
    net.settle();
    net.assert_equal();
}

#[test]
fn an_exchange_ends_though_something_is_written_between_all_frames() {
    let mut net = catching_up();
    let (mut frames, mut late) = (0, 0);
    while net["a"].counts().exchanges_sent == 0 {
        frames += 1;
        late += usize::from(large(&net).is_some());
        assert!(
            frames < 3_000 && late < 6,
            "{late} after the last of what is old"
        );
        count(&mut net);
        count(&mut net);
        net.carry_one();
    }
    assert_eq!(large(&net), Some('x'));
    assert!(net["a"].counts().exchanges_renewed > 100);
    let flushes = net["a"].counts().flushes_sent;
    for _ in 0..20 {
        net.carry_one();
    }
    assert!(net["a"].counts().flushes_sent > flushes, "as before");
    net.settle();
    net.assert_equal();
}

#[test]
fn the_longer_an_exchange_takes_the_less_often_it_is_renewed() {
    let mut net = catching_up();
    // After 1024 s there has to be one in between.
    count(&mut net);
    net.carry_one();
    net.now = net.now + Duration::from_secs(1024);
    count(&mut net);
    net.carry_one();
    let before = net["a"].counts().exchanges_renewed;
    for _ in 0..100 {
        net.now = net.now + Duration::from_millis(8);
        count(&mut net);
        net.carry_one();
    }
    assert_eq!(net["a"].counts().exchanges_renewed, before);
    net.now = net.now + Duration::from_secs(1);
    count(&mut net);
    assert!(carry_until(&mut net, 103) < 4);
    assert_eq!(net["a"].counts().exchanges_renewed, before + 1);
    assert_eq!(large(&net), None);
}

#[test]
fn where_transactions_tie_much_together_what_is_new_waits() {
    let mut net = catching_up();
    count_and(&mut net, |tx| {
        let mut words = tx.edit::<OrSet<u64>>(b"words");
        (0..2_000).for_each(|n| _ = words.insert(&n));
    });
    for n in 0..50 {
        count(&mut net);
        net.carry_one();
        assert_eq!(counted(&net), 0, "{n}");
    }
    assert_eq!(net["a"].counts().exchanges_renewed, 0);
    net.settle();
    assert_eq!(counted(&net), 51);
    net.assert_equal();
}

#[test]
fn transactions_among_what_is_new_come_whole() {
    let mut net = catching_up();
    count_and(&mut net, |tx| {
        tx.edit::<LwwRegister<String>>(b"large")
            .set(&"z".repeat(MIB));
    });
    while counted(&net) == 0 {
        assert_eq!(large(&net), None);
        net.carry_one().expect("it has not come yet");
    }
    assert_eq!(large(&net), Some('z'), "both at once");
    net.settle();
    net.assert_equal();
}
