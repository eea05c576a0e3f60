//! A transport of one's own, and a driver of one's own.
//!
//! `tcp` implements [`Transport`] over plain TCP; it authenticates nobody. `Node` below drives a
//! [`Replica`] over it by hand, as the documentation of `Replica` says. Two nodes on this machine
//! change the same set while they are apart, then meet, and end with the same elements.
//!
//! Run it with `cargo run -p dd-gossip --example own_transport`. With `cargo test -p dd-gossip
//! --example own_transport` the transport goes through the conformance suite.

mod link;
mod state;
mod tcp;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::error::Error;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use crdt_core::{Crdt, Limits, OrSet};
use dd_gossip::{
    Config, Event, NodeId, Replica, SendError, Time, Timing, Transport, TransportEvent, UpdateError,
};
use tokio::time::{Instant, sleep_until, timeout};

use tcp::TcpTransport;

const KEY: &[u8] = b"fruit";
type Fruit = OrSet<String>;

/// A replica, its transport, its clock, and what waits between them.
struct Node {
    replica: Replica,
    transport: TcpTransport,
    address: SocketAddr,
    started: Instant,
    /// Connected peers, each with the frame that did not fit last.
    peers: BTreeMap<NodeId, Option<Bytes>>,
}

impl Node {
    fn new(name: &str, peer: &str) -> Result<Self, Box<dyn Error>> {
        let node: NodeId = name.parse()?;
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let (transport, address) = TcpTransport::bind(node.clone(), listen)?;
        // New at each start, and no other node's.
        let nonce = random();
        let config = Config {
            cluster: "example".parse()?,
            replica: node.incarnation(wall_millis(), random() as u16),
            node,
            nonce,
            seed: random(),
            peers: vec![peer.parse()?],
            bootstrap: false,
            timing: Timing::default(),
            limits: Limits::default(),
            chunk: dd_gossip::MAX_CHUNK,
            shared: dd_gossip::MIN_SHARED,
            part: dd_gossip::MAX_PART,
        };
        Ok(Self {
            replica: Replica::new(config, Time::ZERO),
            transport,
            address,
            started: Instant::now(),
            peers: BTreeMap::new(),
        })
    }

    fn now(&self) -> Time {
        Time::from_start(self.started.elapsed())
    }

    fn name(&self) -> &str {
        self.replica.node().as_str()
    }

    fn insert(&mut self, fruit: &str) -> Result<(), UpdateError> {
        println!("{} inserts {fruit}", self.name());
        self.change(|set| set.insert(fruit))
    }

    fn remove(&mut self, fruit: &str) -> Result<(), UpdateError> {
        println!("{} removes {fruit}", self.name());
        self.change(|set| set.remove(fruit))
    }

    fn change(
        &mut self,
        change: impl FnOnce(&mut <Fruit as Crdt>::Edit<'_>) -> bool,
    ) -> Result<(), UpdateError> {
        let now = self.now();
        self.replica
            .update::<Fruit, _, UpdateError>(now, wall_millis(), KEY, |set| Ok(change(set)))?;
        Ok(())
    }

    fn fruit(&self) -> Vec<String> {
        let view = self.replica.view::<Fruit>(KEY);
        view.iter().collect()
    }

    /// Does what is due, and sends what there is to send: steps 1 to 3 of the contract.
    fn turn(&mut self) {
        let now = self.now();
        if self.replica.poll_timeout() <= now {
            self.replica.handle_timeout(now);
        }
        let ready = self.peers.iter().filter(|(_, waiting)| waiting.is_none());
        let ready: Vec<NodeId> = ready.map(|(peer, _)| peer.clone()).collect();
        for peer in ready {
            // Frames are made on demand: a peer that takes no more isn't asked for.
            while let Some(frame) = self.replica.poll_transmit(now, &peer) {
                if !self.send(&peer, frame) {
                    break;
                }
            }
        }
        while let Some(event) = self.replica.poll_event() {
            let name = self.name();
            match event {
                Event::Changed(_) => println!("{name} now has {:?}", self.fruit()),
                Event::PeerUp(peer) => println!("{name} can talk to {peer}"),
                Event::CaughtUp => println!("{name} has caught up"),
                other => println!("{name}: {other:?}"),
            }
        }
    }

    /// Whether the peer takes more.
    fn send(&mut self, peer: &NodeId, frame: Bytes) -> bool {
        let sent = self.transport.send(peer, frame.clone());
        if sent == Err(SendError::Full) {
            self.peers.insert(peer.clone(), Some(frame));
        }
        sent.is_ok()
    }

    /// Waits until there is something to do: step 4. Cancelling it loses nothing.
    async fn wait(&mut self) -> Option<TransportEvent> {
        let due = self.started + self.replica.poll_timeout().since_start();
        tokio::select! {
            event = poll_fn(|cx| self.transport.poll_event(cx)) => Some(event),
            () = sleep_until(due) => None,
        }
    }

    /// Hands in what happened on the transport.
    fn handle(&mut self, event: TransportEvent) {
        let now = self.now();
        match event {
            TransportEvent::Connected { peer } => {
                println!("{} is connected with {peer}", self.name());
                self.replica.handle_connected(now, &peer);
                self.peers.insert(peer, None);
            }
            TransportEvent::Frame { peer, frame } => {
                if let Err(error) = self.replica.handle_frame(now, &peer, &frame) {
                    self.transport.disconnect(&peer, &error.to_string());
                }
            }
            TransportEvent::Writable { peer } => {
                if let Some(frame) = self.peers.get_mut(&peer).and_then(Option::take) {
                    self.send(&peer, frame);
                }
            }
            TransportEvent::Disconnected { peer, reason } => {
                println!("{} has lost {peer}: {reason}", self.name());
                self.replica.handle_disconnected(now, &peer);
                self.peers.remove(&peer);
            }
            other => println!("{}: {other:?}", self.name()),
        }
    }
}

/// A random number, from what seeds the hash maps of the standard library.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Drives both nodes until they have seen the same events.
async fn converge(ann: &mut Node, bob: &mut Node) {
    loop {
        ann.turn();
        bob.turn();
        let (at_ann, at_bob) = (ann.replica.status(), bob.replica.status());
        if at_ann.context == at_bob.context {
            return;
        }
        tokio::select! {
            event = ann.wait() => event.into_iter().for_each(|event| ann.handle(event)),
            event = bob.wait() => event.into_iter().for_each(|event| bob.handle(event)),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut ann, mut bob) = (Node::new("ann", "bob")?, Node::new("bob", "ann")?);
    let limit = Duration::from_secs(10);

    ann.insert("apple")?;
    let address = bob.address.to_string();
    ann.transport.connect(bob.replica.node(), &address)?;
    timeout(limit, converge(&mut ann, &mut bob)).await?;
    println!("both have {:?}\n", bob.fruit());

    // Nothing is carried between these, so they are concurrent.
    ann.remove("apple")?;
    ann.insert("cherry")?;
    bob.insert("apple")?;
    bob.insert("banana")?;
    timeout(limit, converge(&mut ann, &mut bob)).await?;
    println!("ann has {:?}, bob has {:?}", ann.fruit(), bob.fruit());
    println!("the apple that bob inserted again survives its concurrent removal\n");
    if ann.fruit() != bob.fruit()
        || ann.replica.status().fingerprint != bob.replica.status().fingerprint
    {
        return Err("they have seen the same events and differ".into());
    }

    ann.transport.close();
    bob.transport.close();
    timeout(limit, poll_fn(|cx| ann.transport.poll_closed(cx))).await?;
    timeout(limit, poll_fn(|cx| bob.transport.poll_closed(cx))).await?;
    let stats = ann.transport.stats();
    println!(
        "ann sent {} frames with {} bytes, bob {} with {}",
        stats.frames_sent,
        stats.bytes_sent,
        bob.transport.stats().frames_sent,
        bob.transport.stats().bytes_sent
    );
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
