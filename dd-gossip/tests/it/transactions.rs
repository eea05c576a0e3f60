//! Transactions: whole or not at all, at home and wherever they arrive, and what is kept for it.

use std::time::Duration;

use crdt_core::kernel::{EditError, Link, MAX_LINK_PATHS, Unit};
use crdt_core::{Context, Dot, LwwRegister, OrSet, PnCounter, Shape, VersionVector};
use dd_gossip::{
    Config, FrameError, MAX_KEY, MAX_LINKED, MAX_TRANSACTIONS, MIN_CHUNK, Replica, Time,
    Transaction, UpdateError,
};

use crate::support::craft::{self, COMPARISON, EXCHANGE, FLUSH, Stranger};
use crate::support::net::Net;
use crate::support::{WALL, assert_sound, config, hex, replica_id, visible};

type Set = OrSet<String>;
type Text = LwwRegister<String>;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn transact(
    replica: &mut Replica,
    now: Time,
    run: impl FnOnce(&mut Transaction<'_>),
) -> Result<(), UpdateError> {
    replica.transaction::<(), UpdateError>(now, WALL, |tx| {
        run(tx);
        Ok(())
    })
}

fn at(net: &mut Net, name: &str, run: impl FnOnce(&mut Transaction<'_>)) {
    let now = net.now;
    transact(&mut net[name], now, run).expect("within the limits");
}

fn text(replica: &Replica, key: &str) -> Option<String> {
    replica.view::<Text>(key.as_bytes()).get().expect("text")
}

fn set_all(tx: &mut Transaction<'_>, keys: &[&str], value: &str) {
    for key in keys {
        tx.edit::<Text>(key.as_bytes()).set(value);
    }
}

// -- at home ------------------------------------------------------------------------------------

#[test]
fn a_transaction_sees_its_own_writes_and_is_one() {
    let mut a = Replica::new(config("a", &[]), Time::ZERO);
    let moved = transact(&mut a, Time::ZERO, |tx| {
        tx.edit::<Set>(b"from").insert("x");
        tx.edit::<Set>(b"from").insert("y");
        assert!(tx.view::<Set>(b"from").contains("x"));
        assert!(tx.edit::<Set>(b"from").remove("x"));
        assert!(!tx.view::<Set>(b"from").contains("x"));
        assert!(tx.edit::<Set>(b"to").insert("x"));
        tx.edit::<PnCounter>(b"to").add(1);
        assert!(tx.delete(b"from"));
        assert!(!tx.delete(b"from"));
        assert!(tx.view::<Set>(b"from").is_empty());
        let shape = Shape::of::<Set>();
        assert!(tx.value(b"from", &shape).is_none() && tx.value(b"to", &shape).is_some());
        assert_eq!(tx.events(), 6);
    });
    assert_eq!(moved, Ok(()));
    assert!(a.view::<Set>(b"to").contains("x"));
    assert_eq!(a.keys(b"", None, 9).len(), 1);
    let status = a.status();
    assert_eq!((status.context.len(), status.transactions), (6, 1));
    assert_sound(&mut a);
}

#[test]
fn all_writes_of_a_transaction_have_one_timestamp() {
    let mut a = Replica::new(config("a", &[]), Time::ZERO);
    transact(&mut a, Time::ZERO, |tx| set_all(tx, &["k", "l"], "x")).unwrap();
    let of = |key: &[u8]| a.view::<Text>(key).timestamp();
    assert!(of(b"k").is_some());
    assert_eq!(of(b"k"), of(b"l"));
}

#[test]
fn what_fails_writes_nothing() {
    let mut a = Replica::new(config("a", &[]), Time::ZERO);
    transact(&mut a, Time::ZERO, |tx| set_all(tx, &["k", "l"], "x")).unwrap();
    let before = visible(&mut a);
    let given_up = a.transaction::<(), UpdateError>(Time::ZERO, WALL, |tx| {
        set_all(tx, &["k", "l"], "y");
        Err(UpdateError::Key(77))
    });
    assert_eq!(given_up, Err(UpdateError::Key(77)));
    for (key, len) in [("", 0), ("k".repeat(MAX_KEY + 1).as_str(), MAX_KEY + 1)] {
        let refused = transact(&mut a, Time::ZERO, |tx| set_all(tx, &["k", key, ""], "y"));
        assert_eq!(refused, Err(UpdateError::Key(len)));
        let refused = transact(&mut a, Time::ZERO, |tx| {
            set_all(tx, &["k"], "y");
            assert!(!tx.delete(key.as_bytes()));
        });
        assert_eq!(refused, Err(UpdateError::Key(len)));
        let refused = transact(&mut a, Time::ZERO, |tx| {
            assert_eq!(tx.view::<Text>(key.as_bytes()).get(), Ok(None));
            set_all(tx, &["k"], "y");
        });
        assert_eq!(refused, Err(UpdateError::Key(len)));
    }
    let refused = transact(&mut a, Time::ZERO, |tx| {
        assert!(tx.value(b"\0idle", &Shape::of::<Text>()).is_none());
    });
    assert_eq!(refused, Err(UpdateError::Reserved));
    let keys: Vec<String> = (0..=MAX_LINK_PATHS).map(|n| n.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let (count, max) = (keys.len(), MAX_LINK_PATHS);
    let refused = transact(&mut a, Time::ZERO, |tx| set_all(tx, &keys, "y"));
    let too_many = EditError::TooManyKeys { count, max };
    assert_eq!(refused, Err(UpdateError::Edit(too_many)));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        transact(&mut a, Time::ZERO, |tx| {
            set_all(tx, &["k", "l"], "y");
            panic!("as this test wants it");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(visible(&mut a), before);
    assert_eq!(transact(&mut a, Time::ZERO, |_| ()), Ok(()));
    assert_eq!(visible(&mut a), before, "nothing was written");
}

// -- elsewhere ----------------------------------------------------------------------------------

/// Nodes whose frames carry little.
fn narrow() -> Net {
    let narrow = |name: &&str| Config {
        chunk: MIN_CHUNK,
        ..config(name, &NAMES)
    };
    Net::with(NAMES.iter().map(narrow).collect())
}

/// Lets `c` catch up with `b` alone, the connection breaking after each frame in turn: at every
/// moment, what `is_whole` says of `c` must hold.
fn catch_up_in_parts(mut net: Net, is_whole: impl Fn(&Replica) -> bool) -> Net {
    for frames in 0..400 {
        net.connect("b", "c");
        for _ in 0..frames {
            if net.carry_one().is_none() {
                break;
            }
            assert!(is_whole(&net["c"]), "after {frames} frames");
        }
        let done = net["b"].state().context() == net["c"].state().context();
        if done {
            return net;
        }
        net.disconnect("b", "c");
        net.now = net.now + Duration::from_secs(10);
    }
    panic!("never done");
}

#[test]
fn no_part_is_seen_after_a_cut_at_any_frame() {
    let mut net = narrow();
    net.connect("a", "b");
    for n in 0..30 {
        at(&mut net, "a", |tx| set_all(tx, &["k", "l"], &n.to_string()));
        net.write::<Set>("a", "noise", |set| {
            set.insert(&n.to_string());
        });
        // Tied to those by no key, so that there are several parts.
        let keys = [format!("k{n}"), format!("l{n}")];
        at(&mut net, "a", |tx| {
            set_all(tx, &[&keys[0], &keys[1]], "x".repeat(50).as_str());
        });
    }
    net.run_millis(10_000);
    let net = catch_up_in_parts(net, |c| {
        (0..30).all(|n| text(c, &format!("k{n}")) == text(c, &format!("l{n}")))
            && text(c, "k") == text(c, "l")
    });
    assert_eq!(text(&net["c"], "l").as_deref(), Some("29"));
    assert_eq!(net["c"].counts().comparisons_received, 0);
    assert!(net["c"].counts().exchanges_cut > 0);
}

#[test]
fn what_replaced_a_part_goes_with_the_rest() {
    // The write at "k" is void before anybody gets it: what replaced it, there or above, has to be
    // seen with the one at "l".
    for above in [false, true] {
        let mut net = narrow();
        net.connect("a", "b");
        net.write::<Text>("a", "k", |text| text.set("old"));
        net.run_millis(3_000);
        net.connect("b", "c");
        net.run_millis(3_000);
        net.disconnect("b", "c");
        at(&mut net, "a", |tx| set_all(tx, &["k", "l"], "new"));
        for n in 0..20 {
            net.write::<Text>("a", &format!("m{n}"), |text| text.set(&"x".repeat(50)));
        }
        if above {
            net.delete("a", "k");
        } else {
            net.write::<Text>("a", "k", |text| text.set("newer"));
        }
        net.run_millis(10_000);
        assert_eq!(text(&net["c"], "k").as_deref(), Some("old"));
        catch_up_in_parts(net, |c| {
            text(c, "l").is_none() || text(c, "k").as_deref() != Some("old")
        });
    }
}

#[test]
fn a_later_total_of_a_counter_does_not_show_a_part() {
    let mut net = narrow();
    net.connect("a", "b");
    at(&mut net, "a", |tx| {
        tx.edit::<PnCounter>(b"count").add(1);
        set_all(tx, &["l"], "counted");
    });
    for n in 0..20 {
        net.write::<Text>("a", &format!("m{n}"), |text| text.set(&"x".repeat(50)));
    }
    net.write::<PnCounter>("a", "count", |count| count.add(1));
    net.run_millis(10_000);
    catch_up_in_parts(net, |c| {
        let count = c.view::<PnCounter>(b"count").value();
        (count == 0) == text(c, "l").is_none()
    });
}

#[test]
fn transactions_that_share_a_key_are_tied_to_each_other() {
    let mut net = narrow();
    net.connect("a", "b");
    let chain: Vec<String> = (0..12).map(|n| format!("k{n:02}")).collect();
    let mut links: Vec<[&str; 2]> = chain
        .windows(2)
        .map(|w| [w[0].as_str(), w[1].as_str()])
        .collect();
    // Out of order, so that it takes more than a look at neighbours.
    links.sort_by_key(|pair| pair[0].as_bytes()[2] % 4);
    for pair in links {
        at(&mut net, "a", |tx| set_all(tx, &pair, &"x".repeat(40)));
    }
    net.run_millis(10_000);
    catch_up_in_parts(net, |c| {
        let seen = chain.iter().filter(|key| text(c, key).is_some()).count();
        seen == 0 || seen == chain.len()
    });
}

#[test]
fn a_full_comparison_brings_transactions() {
    let impatient = |name: &str| {
        let mut config = config(name, &NAMES);
        config.timing.away = Duration::from_secs(60);
        config.chunk = MIN_CHUNK;
        config
    };
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect("a", "b");
    net.write::<Text>("a", "gone", |text| text.set("x"));
    net.delete("a", "gone");
    net.run_millis(70_000);
    assert_eq!(net["b"].status().records, 0, "c was not waited for");
    net.disconnect("a", "b");
    at(&mut net, "b", |tx| set_all(tx, &["k", "l"], "new"));
    net.connect("b", "c");
    net.run_millis(5_000);
    assert_eq!(net["c"].counts().comparisons_received, 1);
    assert_eq!(text(&net["c"], "l").as_deref(), Some("new"));
    let brought = net["c"].counts().transactions_forgotten;
    assert_eq!(brought, 1, "c waits for nobody, and had it");
}

// -- how long they are kept ---------------------------------------------------------------------

fn kept(net: &mut Net) -> Vec<usize> {
    NAMES.map(|name| net[name].status().transactions).to_vec()
}

#[test]
fn transactions_are_kept_until_every_peer_has_their_events() {
    let mut net = Net::mesh(&NAMES);
    net.run_millis(10_000);
    net.disconnect("a", "c");
    net.disconnect("b", "c");
    at(&mut net, "a", |tx| set_all(tx, &["k", "l"], "x"));
    // Superseded, they are kept all the same.
    net.write::<Text>("b", "other", |text| text.set("x"));
    net.write::<Text>("a", "k", |text| text.set("y"));
    net.run_millis(60_000);
    assert_eq!(kept(&mut net), [1, 1, 0]);
    net.connect("b", "c");
    net.run_millis(60_000);
    assert_eq!(net["c"].counts().comparisons_received, 0);
    net.connect("a", "c");
    net.run_millis(60_000);
    assert_eq!(kept(&mut net), [0, 0, 0]);
    for name in NAMES {
        assert_eq!(net[name].counts().transactions_forgotten, 1);
        let floor = net[name].state().floor().clone();
        assert!(floor.get(replica_id("a")) >= 2);
    }
    net.assert_equal();
}

#[test]
fn who_was_away_too_long_gets_a_full_comparison() {
    let impatient = |name: &str| {
        let mut config = config(name, &NAMES);
        config.timing.away = Duration::from_secs(60);
        config
    };
    let mut net = Net::with(NAMES.map(impatient).to_vec());
    net.connect("a", "b");
    at(&mut net, "a", |tx| set_all(tx, &["k", "l"], "x"));
    net.run_millis(40_000);
    assert_eq!(kept(&mut net), [1, 1, 0]);
    net.run_millis(40_000);
    assert_eq!(kept(&mut net), [0, 0, 0]);
    net.connect("b", "c");
    net.run_millis(5_000);
    assert_eq!(net["c"].counts().comparisons_received, 1);
    net.converge();
}

#[test]
fn too_many_transactions_wait_for_nobody() {
    let mut a = Replica::new(config("a", &["b"]), Time::ZERO);
    for n in 0..MAX_TRANSACTIONS {
        transact(&mut a, Time::ZERO, |tx| {
            tx.edit::<PnCounter>(b"k").add(n as i64);
            tx.edit::<PnCounter>(b"l").add(1);
        })
        .unwrap();
    }
    assert_eq!(a.status().transactions, MAX_TRANSACTIONS);
    transact(&mut a, Time::ZERO, |tx| set_all(tx, &["k", "l"], "x")).unwrap();
    assert_eq!(a.status().transactions, 0);
    let newest = 2 * (MAX_TRANSACTIONS as u64 + 1);
    assert_eq!(a.state().floor().get(replica_id("a")), newest);
}

// -- how large they may be ----------------------------------------------------------------------

#[test]
fn what_is_too_large_for_one_message_goes_by_a_full_comparison() {
    for (bytes, comparisons) in [(MAX_LINKED / 2 - 1024, 0), (MAX_LINKED / 2 + 1024, 1)] {
        let mut net = Net::of(&["a", "b"]);
        at(&mut net, "a", |tx| {
            set_all(tx, &["k", "l"], &"x".repeat(bytes))
        });
        net.write::<Text>("a", "m", |text| text.set("beside it"));
        net.connect("a", "b");
        let is_whole = |b: &Replica| text(b, "k").is_some() == text(b, "l").is_some();
        net.now = net.now + Duration::from_secs(1);
        while net["b"].state().context() != net["a"].state().context() {
            net.run_millis(100);
            while net.carry_one().is_some() {
                assert!(is_whole(&net["b"]));
            }
        }
        let counts = net["b"].counts();
        assert_eq!(counts.comparisons_received, comparisons);
        assert_eq!(text(&net["b"], "l").map(|text| text.len()), Some(bytes));
        net.assert_equal();
    }
}

// -- frames -------------------------------------------------------------------------------------

/// A replica that has made one event, and a peer that says whatever it is told to.
fn scene() -> (Replica, Stranger) {
    let config = config("b", &["a", "c"]);
    let nonce = config.nonce;
    let mut b = Replica::new(config, Time::ZERO);
    transact(&mut b, Time::ZERO, |tx| {
        tx.edit::<Set>(b"own").insert("own");
    })
    .expect("within the limits");
    let stranger = Stranger::meet("a", &mut b, nonce);
    let own = craft::dots(&[Dot::new(replica_id("b"), 1)]);
    stranger.agree_on(&mut b, &own);
    (b, stranger)
}

fn link(of: &str, (first, last): (u64, u64), paths: &[&[&[u8]]]) -> Unit {
    let paths = paths.iter().map(|names| craft::path(names));
    let link = Link {
        replica: replica_id(of),
        first,
        last,
        paths: paths.collect(),
    };
    Unit {
        links: vec![link],
        ..Unit::default()
    }
}

/// Says the same in an exchange, a flush and a comparison.
fn refused_everywhere(unit: &Unit, error: &FrameError) {
    for kind in [EXCHANGE, FLUSH, COMPARISON] {
        let (mut b, mut stranger) = scene();
        let context = b.state().context().clone();
        let messages = match kind {
            EXCHANGE => vec![
                craft::unit(unit),
                craft::end(&VersionVector::new(), &context),
            ],
            FLUSH => vec![craft::flush(&Context::new(), &context, unit)],
            _ => vec![
                craft::part(&context, unit),
                craft::end(&VersionVector::new(), &context),
            ],
        };
        let before = visible(&mut b);
        let frames = stranger.session(kind, &messages);
        let outcome = frames
            .iter()
            .try_for_each(|frame| stranger.say(&mut b, frame));
        assert_eq!(outcome.as_ref(), Err(error), "kind {kind}");
        assert_eq!(visible(&mut b), before);
    }
}

#[test]
fn links_that_can_not_be_true_are_refused() {
    let own = FrameError::Untrue("a transaction of this replica that it never made");
    refused_everywhere(&link("b", (1, 2), &[&[b"k"], &[b"l"]]), &own);
    refused_everywhere(&link("b", (8, 9), &[&[b"k"], &[b"l"]]), &own);
    let key = FrameError::Untrue("a path without a proper key");
    let long = [b'k'; MAX_KEY + 1];
    refused_everywhere(&link("a", (1, 2), &[&[b""], &[b"l"]]), &key);
    refused_everywhere(&link("a", (1, 2), &[&[b"j"], &[&long]]), &key);
    let shape = FrameError::Untrue("a path without a proper shape");
    refused_everywhere(&link("a", (1, 2), &[&[b"k", b"<"], &[b"l"]]), &shape);
}

#[test]
fn a_link_claims_no_event() {
    let (mut b, mut stranger) = scene();
    let before = b.state().context().clone();
    let unit = link("a", (1, 9), &[&[b"k"], &[b"l"]]);
    let end = craft::end(&VersionVector::new(), &before);
    for frame in stranger.session(EXCHANGE, &[craft::unit(&unit), end]) {
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    }
    assert_eq!(*b.state().context(), before);
    assert_eq!(b.status().transactions, 1);
    let later = Time::ZERO + Duration::from_secs(60);
    b.handle_timeout(later);
    assert_eq!(b.status().transactions, 1, "its events have not come");
    assert_sound(&mut b);
}

#[test]
fn more_links_than_a_sound_peer_has_are_refused() {
    let (mut b, mut stranger) = scene();
    let most = 4 * MAX_TRANSACTIONS as u64;
    let end = craft::end(&VersionVector::new(), b.state().context());
    let events: Vec<u64> = (1..=most).collect();
    let units = events.chunks(2048).map(|events| {
        let mut unit = Unit::default();
        for n in events {
            unit.extend(link("a", (2 * n, 2 * n + 1), &[&[b"k"], &[b"l"]]));
        }
        craft::unit(&unit)
    });
    let messages: Vec<Vec<u8>> = units.chain([end.clone()]).collect();
    for frame in stranger.session(EXCHANGE, &messages) {
        assert_eq!(stranger.say(&mut b, &frame), Ok(()));
    }
    assert_eq!(b.status().transactions as u64, most);
    let one = link("a", (2 * most + 2, 2 * most + 3), &[&[b"k"], &[b"l"]]);
    let frames = stranger.session(EXCHANGE, &[craft::unit(&one), end]);
    let refused = stranger.say(&mut b, &frames[0]);
    assert_eq!(refused, Err(FrameError::Limit("transactions")));
    assert_eq!(b.status().transactions as u64, most);
}

#[test]
fn golden_bytes_of_a_transaction() {
    let mut net = Net::of(&["a", "b"]);
    at(&mut net, "a", |tx| {
        tx.edit::<Set>(b"from").insert("x");
        tx.edit::<Set>(b"to").insert("y");
    });
    net.connect("a", "b");
    net.settle();
    let sent = net.frames(0, "a", "b");
    let unit = sent
        .iter()
        .filter_map(|frame| craft::data_frame(frame))
        .next();
    let chunk = unit.expect("a data frame").chunk;
    assert_eq!(
        hex(&chunk),
        "00010000000000000061000000000000000101010004010200030566726f6d0c6f725f7365743c7374723e0278000303746f0002790200030566726f6d0c6f725f7365743c7374723e027801000100000303746f00027901000200"
    );
}
