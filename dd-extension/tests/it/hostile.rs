//! A peer that sends what it should not: it loses its connection, the state stays, the store goes
//! on. And a transport that takes no more for a while.

use std::time::Duration;

use bytes::Bytes;
use dd_extension::types::kernel::DotStore;
use dd_extension::types::{Crdt, Limits, OrSet, PnCounter};
use dd_extension::{Agreement, Key, Keys, Store, StoreConfig, Timing, UpdateError};
use dd_gossip::{
    Config, FRAME_VERSION, MAX_CHUNK, MAX_FRAME, Replica, Time, TransportEvent, carries_data,
};
use dd_testkit::Rng;

use crate::node::{Node, cluster_id, cluster_over, id, is_up, soon, state, until};
use crate::scripted::{Script, scripted};

const HITS: Key<PnCounter> = Key::new("hits");
const CART: Key<OrSet<String>> = Key::new("cart");

/// A store with one key and the peer `b` connected to it, which has not said a word.
async fn connected() -> (Script, Node) {
    let (script, transport) = scripted();
    let cluster = cluster_over(transport, "a", &["a", "b"]);
    let node = Node::start(cluster, StoreConfig::default()).await;
    node.store.update(&HITS, |hits| hits.add(1)).unwrap();
    script.connect();
    until(|| !script.sent().is_empty()).await;
    (script, node)
}

fn refused(store: &Store) -> u64 {
    store.status().unwrap().replica.counts.frames_refused
}

/// Sends a frame that must cost the connection, and returns the reason that was given.
async fn costs_the_connection(script: &Script, store: &Store, frame: Bytes) -> String {
    let (before, count) = (state(store), refused(store));
    script.frame(frame);
    until(|| refused(store) > count).await;
    let reasons = script.disconnects();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert_eq!(state(store), before);
    let last = store.status().unwrap().refusals.pop();
    assert_eq!(last, Some(("b".to_owned(), reasons[0].clone())), "named");
    until(|| !is_up(store, "b")).await;
    script.connect();
    reasons.into_iter().next().unwrap_or_default()
}

/// The peer as it should be: a replica that the test drives by hand.
struct Peer {
    replica: Replica,
    now: Time,
}

impl Peer {
    fn new() -> Self {
        Self::start(1, DotStore::new())
    }

    /// Another process of it, which begins with a state that was kept.
    fn start(incarnation: u64, state: DotStore) -> Self {
        let config = Config {
            cluster: cluster_id(),
            node: id("b"),
            replica: id("b").incarnation(incarnation, 0),
            nonce: incarnation,
            seed: incarnation,
            peers: vec![id("a")],
            bootstrap: false,
            timing: Timing::default(),
            limits: Limits::default(),
            chunk: MAX_CHUNK,
            shared: dd_gossip::MIN_SHARED,
            part: dd_gossip::MAX_PART,
        };
        let now = Time::ZERO;
        let mut replica = Replica::restore(config, state, now);
        replica.handle_connected(now, &id("a"));
        Self { replica, now }
    }

    fn update<T: Crdt>(&mut self, key: &[u8], update: impl FnOnce(&mut T::Edit<'_>)) {
        let update = |edit: &mut T::Edit<'_>| {
            update(edit);
            Ok::<_, UpdateError>(())
        };
        let now = self.now;
        self.replica.update::<T, _, _>(now, 0, key, update).unwrap();
    }

    fn next_frame(&mut self) -> Option<Bytes> {
        self.replica.poll_transmit(self.now, &id("a"))
    }

    /// Takes what the store sent, and lets a moment pass.
    async fn listen(&mut self, script: &Script) {
        for frame in script.sent() {
            self.replica
                .handle_frame(self.now, &id("a"), &frame)
                .unwrap();
        }
        self.now = self.now + Duration::from_millis(1);
        self.replica.handle_timeout(self.now);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Talks with the store until both have seen the same.
    async fn talk(&mut self, script: &Script, store: &Store) {
        soon(async {
            while state(store).0 != self.replica.status().context_hash {
                self.listen(script).await;
                while let Some(frame) = self.next_frame() {
                    script.frame(frame);
                }
            }
        })
        .await;
        assert_eq!(script.disconnects(), [""; 0]);
    }

    /// Talks with the store until it has data to send, and keeps that back.
    async fn data(&mut self, script: &Script) -> Bytes {
        soon(async {
            loop {
                while let Some(frame) = self.next_frame() {
                    if carries_data(&frame) {
                        return frame;
                    }
                    script.frame(frame);
                }
                self.listen(script).await;
            }
        })
        .await
    }
}

#[tokio::test(start_paused = true)]
async fn each_bad_frame_costs_the_connection_with_a_reason() {
    let (script, node) = connected().await;
    let version = FRAME_VERSION;
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("empty", vec![], "damaged"),
        (
            "another version",
            vec![version + 1, 1, 0],
            "frame version 2",
        ),
        ("cut in the length", vec![version, 1, 0xff], "damaged"),
        // A length of 2^63 and nothing behind it: it must not be believed.
        (
            "huge length",
            [&[version, 5][..], &[0xff; 8], &[0x7f]].concat(),
            "damaged",
        ),
        ("more than its length", vec![version, 1, 0, 7], "damaged"),
        ("too long", vec![version; MAX_FRAME + 1], "at most 65536"),
    ];
    for (what, frame, why) in cases {
        let reason = costs_the_connection(&script, &node.store, frame.into()).await;
        assert!(reason.contains(why), "{what}: {reason}");
    }
    assert_eq!(refused(&node.store), 6);
    // With a peer that behaves the store goes on as if nothing had been.
    let mut peer = Peer::new();
    peer.talk(&script, &node.store).await;
    assert_eq!(peer.replica.view::<PnCounter>(b"hits").value(), 1);
}

#[tokio::test(start_paused = true)]
async fn random_bytes_change_nothing() {
    let (script, node) = connected().await;
    let before = state(&node.store);
    let mut rng = Rng::new(7);
    for round in 0..300 {
        let mut frame: Vec<u8> = (0..1 + rng.below(200))
            .map(|_| rng.next_u64() as u8)
            .collect();
        // Half of them look like frames at their beginning.
        if round % 2 == 0 {
            frame.splice(..frame.len().min(2), [FRAME_VERSION, rng.below(8) as u8]);
        } else if frame[0] == FRAME_VERSION {
            frame[0] = 0;
        }
        let count = refused(&node.store);
        script.frame(frame.clone());
        let received = |store: &Store| {
            let counts = store.status().unwrap().replica.counts;
            counts.frames_received + counts.frames_refused
        };
        let total = received(&node.store);
        until(|| received(&node.store) > total).await;
        // What looks like a frame of a later version is passed over, all else is refused.
        let is_refused = refused(&node.store) > count;
        assert!(is_refused || frame[0] == FRAME_VERSION, "{frame:?}");
        assert_eq!(script.disconnects().len(), usize::from(is_refused));
        if is_refused {
            until(|| !is_up(&node.store, "b")).await;
            script.connect();
        }
        assert_eq!(state(&node.store), before);
    }
    assert_eq!(node.store.update(&HITS, |hits| hits.value()), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_real_frame_that_is_cut_off_anywhere_is_refused() {
    let (script, node) = connected().await;
    let mut peer = Peer::new();
    peer.talk(&script, &node.store).await;
    peer.update::<OrSet<String>>(b"cart", |cart| {
        cart.insert("apple");
    });
    let frame = peer.data(&script).await;
    for cut in 0..frame.len() {
        costs_the_connection(&script, &node.store, frame.slice(..cut)).await;
    }
    assert!(!node.store.get(&CART).unwrap().exists());
    // Whole, it belongs to a connection that is gone. A new process of the peer brings it.
    script.frame(frame);
    let mut again = Peer::start(2, peer.replica.state());
    again.talk(&script, &node.store).await;
    let has = node.store.read(&CART, |cart| cart.contains("apple"));
    assert_eq!(has, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_no_text_is_kept_and_passed_over() {
    // Another program may write such keys; this API can't name them.
    let (script, node) = connected().await;
    let mut peer = Peer::new();
    for key in [&b"k/1"[..], b"k/\xff", b"k/\xff\xff", b"k/2"] {
        peer.update::<PnCounter>(key, |n| n.add(1));
    }
    peer.talk(&script, &node.store).await;
    assert_eq!(node.store.status().unwrap().replica.keys, 5);
    // Pages go on behind them, and come to an end.
    let page = |after| node.store.keys("k/", after, 1).unwrap();
    assert_eq!(page(None), ["k/1"]);
    assert_eq!(page(Some("k/1")), ["k/2"]);
    assert_eq!(page(Some("k/2")), [""; 0]);
    let family = Keys::<PnCounter>::with_prefix("k/");
    let mut all = node.store.subscribe_all(&family).unwrap();
    for name in ["k/1", "k/2"] {
        assert_eq!(soon(all.next()).await.unwrap().0.as_str(), name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_more_gets_the_rest_later() {
    let (script, node) = connected().await;
    let mut peer = Peer::new();
    peer.talk(&script, &node.store).await;
    script.set_full(true);
    node.store.update(&HITS, |hits| hits.add(1)).unwrap();
    // Far longer than any timer of the store.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(script.sent().is_empty());
    script.set_full(false);
    script.event(TransportEvent::Writable { peer: id("b") });
    until(|| {
        for frame in script.sent() {
            peer.replica
                .handle_frame(peer.now, &id("a"), &frame)
                .unwrap();
        }
        peer.replica.view::<PnCounter>(b"hits").value() == 2
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn refusals_are_kept_up_to_a_limit() {
    let (script, node) = connected().await;
    for n in 0..20 {
        script.event(TransportEvent::Refused {
            whom: format!("stranger {n}"),
            reason: "it has no certificate".to_owned(),
        });
    }
    let refusals = || node.store.status().unwrap().refusals;
    let is_last = |(whom, _): &(String, String)| whom == "stranger 19";
    until(|| refusals().last().is_some_and(is_last)).await;
    assert_eq!(refusals().len(), 16);
    assert_eq!(refusals()[0].0, "stranger 4");
}

#[tokio::test(start_paused = true)]
async fn that_a_peer_diverged_is_remembered() {
    let (script, node) = connected().await;
    let agreement = || node.store.status().unwrap().agreement();
    assert_eq!(agreement(), Agreement::Behind, "nobody was met yet");
    let mut peer = Peer::new();
    peer.talk(&script, &node.store).await;
    // Before the end of a digest, a byte of a clock that is not set, stands the fingerprint.
    let digest = soon(async {
        loop {
            match peer.next_frame() {
                Some(frame) if frame.get(1) == Some(&2) => return frame,
                Some(frame) => script.frame(frame),
                None => peer.listen(&script).await,
            }
        }
    })
    .await;
    script.frame(digest.clone());
    until(|| agreement() == Agreement::Equal).await;
    let mut bytes = digest.to_vec();
    let fingerprint = bytes.len() - 2;
    bytes[fingerprint] ^= 1;
    script.frame(bytes);
    until(|| agreement() == Agreement::Diverged).await;
    let first = node.store.status().unwrap().diverged;
    assert!(first.keys().eq([&id("b")]));
    // It stays, also when the peer is well again.
    script.frame(digest);
    script.connect();
    until(|| !is_up(&node.store, "b")).await;
    assert_eq!(agreement(), Agreement::Diverged);
    assert_eq!(node.store.status().unwrap().diverged, first);
}
