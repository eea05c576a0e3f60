//! Nodes of `chitchat` in one process, over its own UDP sockets on loopback: bytes and times, as a row of
//! `cargo xtask experiment chitchat`, which runs this.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use benches::spread;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport, UdpTransport};
use chitchat::{
    ChitchatConfig, ChitchatEnvelope, ChitchatHandle, ChitchatId, FailureDetectorConfig,
    ProtocolVersion, spawn_chitchat,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const INTERVAL: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(300);

fn main() -> Result<()> {
    let numbers = std::env::args().skip(1).map(|number| number.parse());
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
    let [version, nodes, keys, seconds, settle, changes] = numbers[..] else {
        bail!("run it by cargo xtask experiment chitchat");
    };
    let version = match version {
        0 => ProtocolVersion::V0,
        1 => ProtocolVersion::V1,
        _ => bail!("there is no version {version} of its protocol"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let [seconds, settle] = [seconds, settle].map(Duration::from_secs);
    let row = runtime.block_on(measure(version, nodes, keys, seconds, settle, changes))?;
    println!("{row}");
    Ok(())
}

async fn measure(
    version: ProtocolVersion,
    count: u64,
    keys: u64,
    seconds: Duration,
    settle: Duration,
    changes: u64,
) -> Result<Value> {
    let began = Instant::now();
    let nodes = Nodes::start(count, version).await?;
    let set_up = began.elapsed().as_secs_f64();
    let receivers = (count - 1) as f64;

    let (before, began) = (nodes.sent(), Instant::now());
    for at in 0..keys {
        nodes.set(at, at + keys).await;
    }
    nodes.equal().await?;
    let filled = began.elapsed().as_secs_f64();
    let fill = (nodes.sent() - before) as f64 / receivers / keys as f64;

    sleep(settle).await;
    let (before, began) = (nodes.sent(), Instant::now());
    sleep(seconds).await;
    let idle = (nodes.sent() - before) as f64 / began.elapsed().as_secs_f64();

    let (mut times, mut bytes) = (Vec::new(), Vec::new());
    for change in 0..changes {
        // Anywhere between two rounds.
        sleep(INTERVAL * (change * 7 % 10) as u32 / 10).await;
        let (before, began) = (nodes.sent(), Instant::now());
        nodes.set(change * 7919 % keys, change).await;
        nodes.equal().await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        sleep(settle).await;
        let beside = idle * began.elapsed().as_secs_f64();
        bytes.push(((nodes.sent() - before) as f64 - beside) / receivers);
    }
    // There are no frames of its own below UDP.
    Ok(json!([
        format!("chitchat {version:?}"),
        count,
        set_up,
        Value::Null,
        idle / count as f64,
        median(times),
        Value::Null,
        median(bytes),
        filled,
        Value::Null,
        fill,
    ]))
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

struct Nodes {
    handles: Vec<ChitchatHandle>,
    sent: Arc<AtomicU64>,
}

impl Nodes {
    /// Starts nodes that meet through the first, and waits until each takes all for alive.
    async fn start(count: u64, protocol_version: ProtocolVersion) -> Result<Self> {
        let sent = Arc::new(AtomicU64::new(0));
        let transport = Counting(sent.clone());
        let mut handles: Vec<ChitchatHandle> = Vec::new();
        for at in 0..count {
            // Free a moment ago: it has to know its own address before it listens.
            let listen_addr = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
            let seed = handles.first().map(|first| first.chitchat_id());
            let config = ChitchatConfig {
                chitchat_id: ChitchatId::new(format!("n{at}"), 1, listen_addr),
                cluster_id: "bench".to_owned(),
                gossip_interval: INTERVAL,
                listen_addr,
                seed_nodes: Vec::from_iter(seed.map(|id| id.gossip_advertise_addr.to_string())),
                failure_detector_config: FailureDetectorConfig::default(),
                marked_for_deletion_grace_period: Duration::from_secs(3600),
                catchup_callback: None,
                extra_liveness_predicate: None,
                protocol_version,
            };
            handles.push(spawn_chitchat(config, Vec::new(), &transport).await?);
        }
        let nodes = Self { handles, sent };
        let deadline = Instant::now() + PATIENCE;
        for node in &nodes.handles {
            while node
                .with_chitchat(|chitchat| chitchat.live_nodes().count() as u64)
                .await
                < count
            {
                if Instant::now() > deadline {
                    bail!("the nodes have not all met after {PATIENCE:?}");
                }
                sleep(LOOK).await;
            }
        }
        Ok(nodes)
    }

    /// Writes a key at the first node.
    async fn set(&self, key: u64, value: u64) {
        let (key, value) = (spread(key), spread(value));
        let (key, value) = (format!("value/{key:016x}"), format!("{value:016x}"));
        let first = &self.handles[0];
        first
            .with_chitchat(|chitchat| chitchat.self_node_state().set(&key, &value))
            .await;
    }

    /// Waits until all have what the first has written.
    async fn equal(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let first = self.handles[0].chitchat_id();
        let mut newest = None;
        for node in &self.handles {
            loop {
                let state = |chitchat: &mut chitchat::Chitchat| {
                    let state = chitchat.node_state(first);
                    state.map(|state| (state.max_version(), state.num_key_values()))
                };
                let state = node.with_chitchat(state).await;
                if state.is_some() && state == *newest.get_or_insert(state) {
                    break;
                }
                if Instant::now() > deadline {
                    bail!("the nodes are not equal after {PATIENCE:?}");
                }
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Bytes of all datagrams.
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Its UDP transport, with the bytes counted that are handed to the sockets.
struct Counting(Arc<AtomicU64>);

struct CountingSocket {
    socket: Box<dyn Socket>,
    sent: Arc<AtomicU64>,
}

#[async_trait]
impl Transport for Counting {
    async fn open(&self, address: SocketAddr) -> Result<Box<dyn Socket>> {
        let socket = UdpTransport.open(address).await?;
        let sent = self.0.clone();
        Ok(Box::new(CountingSocket { socket, sent }))
    }
}

#[async_trait]
impl Socket for CountingSocket {
    fn local_addr(&self) -> Result<SocketAddr> {
        self.socket.local_addr()
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> Result<SendOutcome> {
        let outcome = self.socket.send(to, envelope).await?;
        let sent = outcome.num_bytes_sent as u64;
        self.sent.fetch_add(sent, Ordering::Relaxed);
        Ok(outcome)
    }

    async fn recv(&mut self) -> Result<RecvOutcome> {
        self.socket.recv().await
    }
}
