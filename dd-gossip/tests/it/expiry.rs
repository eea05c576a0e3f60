//! Values that end at a time, or when nobody writes them.

use std::time::Duration;

use crdt_core::{LwwRegister, OrSet, PnCounter};
use dd_gossip::{MAX_IDLE_FAMILIES, MIN_IDLE, Replica, Time, UpdateError};

use crate::support::net::Net;
use crate::support::{config, restarted, write};

const NAMES: [&str; 3] = ["a", "b", "c"];
const START: u64 = 1_700_000_000_000;
const SECOND: u64 = 1_000;

/// Replicas whose clocks are so far ahead, in milliseconds.
fn with_clocks(ahead: [i64; 3]) -> Net {
    let mut net = Net::mesh(&NAMES);
    for (name, ahead) in NAMES.into_iter().zip(ahead) {
        let now = net.now;
        let passed = now.since_start().as_millis() as u64;
        net[name].set_wall(now, (START + passed).saturating_add_signed(ahead));
    }
    net.run_millis(20 * SECOND);
    net
}

fn wall(net: &Net) -> u64 {
    START + net.now.since_start().as_millis() as u64
}

fn expire(net: &mut Net, name: &str, key: &str, deadline: Option<u64>) -> bool {
    let (now, wall) = (net.now, wall(net));
    net[name]
        .expire_at(now, wall, key.as_bytes(), deadline)
        .expect("a proper key")
}

fn hits(net: &mut Net, name: &str, n: i64) {
    let now = net.now;
    write::<PnCounter>(&mut net[name], now, "hits", |hits| hits.add(n));
}

fn has(net: &Net, name: &str, key: &str) -> bool {
    !net[name].keys(key.as_bytes(), None, 1).is_empty()
}

#[test]
fn what_has_a_deadline_is_hidden_and_then_gone_everywhere() {
    let mut net = with_clocks([0, 0, 0]);
    assert!(
        !expire(&mut net, "a", "hits", Some(START)),
        "there is nothing"
    );
    hits(&mut net, "a", 3);
    let at = wall(&net) + 60 * SECOND;
    assert!(expire(&mut net, "a", "hits", Some(at)));
    net.settle();
    let before = net["b"].context().clone();
    assert!(
        expire(&mut net, "b", "hits", Some(at)),
        "it says so already"
    );
    assert_eq!(*net["b"].context(), before);
    net.run_millis(50 * SECOND);
    for name in NAMES {
        assert_eq!(net[name].deadline(b"hits"), Some(at));
        assert!(!net[name].is_over(b"hits", at - 1) && net[name].is_over(b"hits", at));
        assert_eq!(
            net[name].shapes(b"hits").len(),
            1,
            "the deadline is no value"
        );
    }
    hits(&mut net, "b", 1);
    net.run_millis(20 * SECOND);
    for name in NAMES {
        assert!(!has(&net, name, "hits"), "{name}");
        assert_eq!(net[name].deadline(b"hits"), None);
    }
    // One deleted it, and what comes afterwards stays.
    let records: u64 = NAMES.map(|name| net[name].context().len()).iter().sum();
    assert_eq!(
        records,
        3 * 4,
        "an addition, a deadline, another addition, a delete"
    );
    hits(&mut net, "c", 7);
    net.run_millis(100 * SECOND);
    assert_eq!(net["a"].view::<PnCounter>(b"hits").value(), 7);
    net.assert_equal();
}

#[test]
fn a_deadline_can_be_moved_and_taken_back() {
    let mut net = with_clocks([0, 0, 0]);
    for key in ["moved", "taken back", "deleted"] {
        let now = net.now;
        write::<LwwRegister<String>>(&mut net["a"], now, key, |r| r.set("x"));
        let at = wall(&net) + 10 * SECOND;
        expire(&mut net, "a", key, Some(at));
    }
    net.settle();
    let later = wall(&net) + 100 * SECOND;
    expire(&mut net, "b", "moved", Some(later));
    expire(&mut net, "c", "taken back", None);
    let now = net.now;
    net["c"].delete(now, b"deleted").unwrap();
    write::<LwwRegister<String>>(&mut net["c"], now, "deleted", |r| r.set("new"));
    net.run_millis(60 * SECOND);
    assert!(has(&net, "a", "moved") && has(&net, "a", "taken back"));
    assert!(
        has(&net, "b", "deleted"),
        "a delete takes the deadline along"
    );
    net.run_millis(60 * SECOND);
    assert!(!has(&net, "a", "moved") && has(&net, "b", "taken back"));
    net.assert_equal();
}

#[test]
fn an_update_of_what_is_over_begins_anew() {
    let mut net = with_clocks([0, 0, 0]);
    hits(&mut net, "a", 3);
    let at = wall(&net) + SECOND;
    expire(&mut net, "a", "hits", Some(at));
    net.settle();
    let now = net.now;
    net["b"]
        .update::<PnCounter, _, UpdateError>(now, at, b"hits", |hits| {
            hits.add(5);
            Ok(())
        })
        .unwrap();
    net.run_millis(100 * SECOND);
    for name in NAMES {
        assert_eq!(net[name].view::<PnCounter>(b"hits").value(), 5, "{name}");
        assert_eq!(net[name].deadline(b"hits"), None);
    }
}

/// Cut off, so that nobody deletes what is over.
#[test]
fn a_transaction_sees_what_is_over_as_gone_and_begins_anew() {
    let mut net = with_clocks([0, 0, 0]);
    for key in ["hits", "deleted", "untouched"] {
        let now = net.now;
        write::<PnCounter>(&mut net["a"], now, key, |hits| hits.add(3));
        let at = wall(&net) + SECOND;
        expire(&mut net, "a", key, Some(at));
    }
    net.settle();
    net.disconnect("a", "b");
    net.disconnect("a", "c");
    net.run_millis(20 * SECOND);
    let (now, late) = (net.now, wall(&net));
    assert!(net["a"].is_over(b"hits", late) && has(&net, "a", "hits"));
    let seen = net["a"].transaction::<_, UpdateError>(now, late, |tx| {
        let seen = tx.view::<PnCounter>(b"hits").value();
        assert!(!tx.delete(b"deleted"), "there was nothing to be seen");
        tx.edit::<PnCounter>(b"hits").add(5);
        tx.edit::<PnCounter>(b"hits").add(1);
        tx.edit::<PnCounter>(b"new").add(1);
        let untouched = tx.view::<PnCounter>(b"untouched").value();
        Ok((seen, tx.view::<PnCounter>(b"hits").value(), untouched))
    });
    assert_eq!(seen, Ok((0, 6, 0)));
    assert_eq!(net["a"].deadline(b"hits"), None);
    assert!(!net["a"].is_over(b"hits", late));
    // Of one that fails nothing is left, not even the end of what is over.
    let failed = net["a"].transaction::<(), UpdateError>(now, late, |tx| {
        tx.edit::<PnCounter>(b"untouched").add(1);
        Err(UpdateError::Reserved)
    });
    assert_eq!(failed, Err(UpdateError::Reserved));
    assert_eq!(net["a"].view::<PnCounter>(b"untouched").value(), 3);
    net.connect("a", "b");
    net.connect("a", "c");
    net.run_millis(100 * SECOND);
    for name in NAMES {
        assert_eq!(net[name].view::<PnCounter>(b"hits").value(), 6, "{name}");
        assert!(
            !has(&net, name, "untouched") && !has(&net, name, "deleted"),
            "{name}"
        );
    }
    net.assert_equal();
}

#[test]
fn a_transaction_writes_a_value_with_its_deadline() {
    let mut net = with_clocks([0, 0, 0]);
    hits(&mut net, "a", 3);
    net.settle();
    let (now, late) = (net.now, wall(&net));
    let at = late + SECOND;
    let set = net["a"].transaction::<_, UpdateError>(now, late, |tx| {
        assert!(!tx.expire_at(b"token", Some(at)), "there is nothing");
        tx.edit::<LwwRegister<u64>>(b"token").set(&7);
        assert!(tx.expire_at(b"token", Some(at)));
        assert!(tx.expire_at(b"hits", Some(at)) && tx.expire_at(b"hits", None));
        tx.edit::<PnCounter>(b"deleted").add(1);
        assert!(tx.delete(b"deleted") && !tx.expire_at(b"deleted", Some(at)));
        Ok(())
    });
    assert_eq!(set, Ok(()));
    let refused = net["a"].transaction::<_, UpdateError>(now, late, |tx| {
        assert!(!tx.expire_at(b"", Some(at)));
        Ok(())
    });
    assert_eq!(refused, Err(UpdateError::Key(0)));
    net.run_millis(SECOND / 2);
    for name in NAMES {
        assert_eq!(net[name].deadline(b"token"), Some(at), "{name}");
        assert_eq!(net[name].deadline(b"hits"), None, "{name}");
        assert!(has(&net, name, "token") && !has(&net, name, "deleted"));
    }
    net.run_millis(20 * SECOND);
    for name in NAMES {
        assert!(
            !has(&net, name, "token") && has(&net, name, "hits"),
            "{name}"
        );
    }
    net.assert_equal();
}

#[test]
fn one_clock_that_runs_ahead_takes_nothing_away() {
    let day = 24 * 3600 * 1000;
    let mut net = with_clocks([day, 0, 0]);
    hits(&mut net, "b", 3);
    let at = wall(&net) + 60 * SECOND;
    expire(&mut net, "b", "hits", Some(at));
    net.run_millis(40 * SECOND);
    assert!(NAMES.iter().all(|name| has(&net, name, "hits")));
    let skew = |net: &mut Net, at: &str, of: &str| {
        let peers = net[at].status().peers;
        let peer = peers.into_iter().find(|p| p.node.as_str() == of);
        peer.unwrap().skew.unwrap()
    };
    assert_eq!(skew(&mut net, "b", "a"), day);
    assert_eq!(skew(&mut net, "a", "b"), -day);
    net.run_millis(60 * SECOND);
    assert!(NAMES.iter().all(|name| !has(&net, name, "hits")));
}

/// What is known of the others' clocks does not move with the own one, when that is set.
#[test]
fn one_clock_that_is_set_ahead_takes_nothing_away() {
    let mut net = with_clocks([0, 0, 0]);
    hits(&mut net, "a", 3);
    let at = wall(&net) + 3_600 * SECOND;
    assert!(expire(&mut net, "a", "hits", Some(at)));
    net.settle();
    let (now, year) = (net.now, 365 * 24 * 3_600 * SECOND);
    let ahead = wall(&net) + year;
    net["a"].set_wall(now, ahead);
    net.run_millis(60 * SECOND);
    for name in NAMES {
        assert!(has(&net, name, "hits"), "{name}");
    }
}

#[test]
fn who_is_cut_off_deletes_nothing() {
    let mut net = with_clocks([0, 0, 0]);
    let now = net.now;
    net["a"]
        .expire_idle(now, START, b"hits", Some(Duration::from_secs(30)))
        .unwrap();
    hits(&mut net, "a", 3);
    let at = wall(&net) + 30 * SECOND;
    expire(&mut net, "a", "hits", Some(at));
    net.settle();
    net.disconnect("c", "a");
    net.disconnect("c", "b");
    net.run_millis(100 * SECOND);
    assert!(!has(&net, "a", "hits") && !has(&net, "b", "hits"));
    assert!(has(&net, "c", "hits"), "it can't know what the others know");
    net.connect_all();
    net.converge();
    assert!(!has(&net, "c", "hits"));
}

#[test]
fn what_nobody_writes_ends_and_what_somebody_does_lasts() {
    let mut net = with_clocks([0, 0, 0]);
    let insert = |net: &mut Net, name: &str, key: &str, what: &str| {
        let now = net.now;
        write::<OrSet<String>>(&mut net[name], now, key, |set| {
            set.insert(what);
        });
    };
    insert(&mut net, "a", "cart/old", "apple");
    let now = net.now;
    net["a"]
        .expire_idle(now, START, b"cart/", Some(Duration::from_secs(60)))
        .unwrap();
    net["a"]
        .expire_idle(now, START, b"cart/vip/", Some(Duration::from_secs(600)))
        .unwrap();
    insert(&mut net, "a", "cart/ann", "apple");
    insert(&mut net, "b", "cart/bob", "apple");
    insert(&mut net, "b", "cart/vip/eve", "apple");
    insert(&mut net, "b", "other", "apple");
    for _ in 0..10 {
        net.run_millis(20 * SECOND);
        // The same element once more: a write.
        insert(&mut net, "c", "cart/bob", "apple");
    }
    for name in NAMES {
        let keys = net[name].keys(b"", None, 10);
        let keys: Vec<_> = keys
            .iter()
            .map(|k| String::from_utf8(k.to_vec()).unwrap())
            .collect();
        assert_eq!(keys, ["cart/bob", "cart/vip/eve", "other"], "{name}");
    }
    // It is kept in the store, and counts for a node that comes later.
    net.put(Replica::new(restarted("c", 2, &NAMES), net.now));
    net.connect_all();
    net.run_millis(100 * SECOND);
    assert!(!has(&net, "c", "cart/bob") && has(&net, "c", "cart/vip/eve"));
    let now = net.now;
    net["c"]
        .expire_idle(now, START, b"cart/vip/", None)
        .unwrap();
    net["c"].expire_idle(now, START, b"cart/", None).unwrap();
    net.run_millis(2_000 * SECOND);
    assert!(has(&net, "a", "cart/vip/eve"));
    net.assert_equal();
}

#[test]
fn families_that_end_have_limits() {
    let mut alone = Replica::new(config("a", &[]), Time::ZERO);
    let mut idle =
        |prefix: &[u8]| alone.expire_idle(Time::ZERO, START, prefix, Some(Duration::from_secs(1)));
    for n in 0..MAX_IDLE_FAMILIES {
        idle(format!("family {n}/").as_bytes()).unwrap();
    }
    assert_eq!(idle(b"one more"), Err(UpdateError::Family(8)));
    assert_eq!(idle(b"family 3/"), Ok(()));
    assert_eq!(idle(b""), Err(UpdateError::Family(0)));
    assert_eq!(idle(b"\0owned"), Err(UpdateError::Family(6)));
    assert_eq!(idle(&[b'x'; 256]), Err(UpdateError::Family(256)));
    let mut lasts = |lasts| {
        let before = alone.context().clone();
        let done = alone.expire_idle(Time::ZERO, START, b"family 3/", Some(lasts));
        (done, *alone.context() != before)
    };
    for short in [Duration::ZERO, MIN_IDLE - Duration::from_nanos(1)] {
        assert_eq!(lasts(short), (Err(UpdateError::Idle(short)), false));
    }
    // It is kept in milliseconds, and the same once more makes no event.
    let odd = MIN_IDLE + Duration::from_nanos(1);
    assert_eq!(lasts(odd), (Ok(()), true));
    assert_eq!(lasts(odd), (Ok(()), false));
    let refused = alone.expire_at(Time::ZERO, START, b"", Some(1));
    assert_eq!(refused, Err(UpdateError::Key(0)));
}

#[test]
fn an_owned_key_ends_as_any_other_and_its_owner_does_not_write_it_again() {
    let mut net = with_clocks([0, 0, 0]);
    let now = net.now;
    net["c"].own(now, b"session/").unwrap();
    net["c"]
        .expire_idle(now, START, b"session/c/idle", Some(Duration::from_secs(30)))
        .unwrap();
    for key in ["session/c/ann", "session/c/idle"] {
        net.write::<PnCounter>("c", key, |hits| hits.add(1));
    }
    let at = wall(&net) + 20 * SECOND;
    assert!(expire(&mut net, "c", "session/c/ann", Some(at)));
    net.run_millis(60 * SECOND);
    let before = net["a"].context().len();
    for key in ["session/c/ann", "session/c/idle"] {
        assert!(NAMES.iter().all(|name| !has(&net, name, key)), "{key}");
    }
    net.run_millis(100 * SECOND);
    assert_eq!(net["a"].context().len(), before, "nobody goes on writing");
    net.assert_equal();
}
