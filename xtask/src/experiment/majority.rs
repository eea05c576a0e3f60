//! What a write costs that a majority of three has confirmed.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use dd_extension::types::PnCounter;
use dd_extension::{Consistency, Keys, NodeId, QuicConfig, Store, Transport, TransportEvent};
use dd_transport_quic::QuicTransport;
use tokio::sync::{mpsc, oneshot};

use super::chart::Chart;
use super::report::{About, Column, Output, Report, cells, number, processors, text};
use super::threads::{self, Node};
use super::times::Times;

const COUNTERS: Keys<PnCounter> = Keys::with_prefix("counter/");
/// Keys that are written in turn.
const KEYS: usize = 1000;
/// Bytes of the frame that goes to and fro.
const PING: usize = 64;

const COLUMNS: [Column; 7] = [
    text("", 26),
    number("p50", "us", 0),
    number("p99", "us", 0),
    number("a second", "", 0),
    number("write and peer", "B", 0),
    number("p50 by first of two", "", 1),
    number("p99 by first of two", "", 1),
];

/// Writes that wait for a majority of three nodes, one at a time and many in flight, beside the round trip
/// of the transport alone.
#[derive(Debug, Args)]
pub(crate) struct Majority {
    /// Writes one at a time, and as many frames to and fro
    #[arg(long, default_value_t = 5_000)]
    writes: usize,
    /// Writes that wait at the same time, in the second part; ten times as many are made there
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
}

impl Majority {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: "A write that a majority of three has confirmed".to_owned(),
            counted: format!(
                "Three nodes of this process over QUIC on loopback, each with a runtime and a \
                 thread of its own ({} processors). A write: one counter of {KEYS} raised, and \
                 confirmed by a majority. Bytes: frames that all three handed to the transport, \
                 acknowledgements too, by writes and by the two peers. Round trip: a frame of \
                 {PING} bytes between transports without a store, on as many threads, asked for \
                 by one task of another one that has the transport: to one peer and back; to two \
                 peers, until the first has answered, which is what the transport does for a \
                 write.",
                processors()
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["p50", "p99"]).log(),
        });
        let both = round_trips(2, self.writes)?;
        let mut row = |what: &str, times: &Times, bytes: Option<f64>| {
            let [p50, p99] = [50.0, 99.0].map(|percent| times.micros(percent));
            let [by50, by99] = [p50 / both.micros(50.0), p99 / both.micros(99.0)];
            report.row(cells![
                what,
                p50,
                p99,
                times.per_second(),
                bytes,
                by50,
                by99
            ])
        };
        row("round trip", &round_trips(1, self.writes)?, None)?;
        row("round trip, first of two", &both, None)?;
        let nodes = threads::start(3)?;
        let (one, bytes) = measure(&nodes, self.writes, 1)?;
        row("one at a time", &one, Some(bytes))?;
        let (many, bytes) = measure(&nodes, self.writes * 10, self.in_flight)?;
        row(&format!("{} in flight", self.in_flight), &many, Some(bytes))?;
        nodes.into_iter().try_for_each(Node::stop)?;
        Ok(report)
    }
}

/// A frame to so many peers and the first answer, as a task sees it that asks the task which has the
/// transport: what a write that waits for one of them can't be faster than.
fn round_trips(peers: usize, count: usize) -> Result<Times> {
    let addresses = threads::addresses(peers + 1)?;
    let bind = |at: usize| -> Result<QuicTransport> {
        let config = QuicConfig::new(addresses[at]);
        Ok(QuicTransport::bind(threads::identity(at)?, config)?)
    };
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build()
    };
    let mut names: Vec<NodeId> = Vec::new();
    for at in 1..=peers {
        names.push(threads::name(at).parse()?);
        let echo = runtime()?;
        let guard = echo.enter();
        let other = bind(at)?;
        drop(guard);
        std::thread::spawn(move || echo.block_on(answer(other)));
    }
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut own = bind(0)?;
        for (peer, address) in names.iter().zip(&addresses[1..]) {
            own.connect(peer, &address.to_string())?;
        }
        let mut connected = 0;
        while connected < peers {
            match poll_fn(|cx| own.poll_event(cx)).await {
                TransportEvent::Connected { .. } => connected += 1,
                TransportEvent::Refused { whom, reason } => bail!("{whom}: {reason}"),
                _ => {}
            }
        }
        let (ask, asked) = mpsc::unbounded_channel();
        let driver = tokio::spawn(drive(own, names, asked));
        let asking = tokio::spawn(async move {
            let mut times = Vec::new();
            let began = Instant::now();
            for _ in 0..count {
                let sent = Instant::now();
                let (done, answered) = oneshot::channel();
                ask.send(done)?;
                answered.await?;
                times.push(sent.elapsed());
            }
            anyhow::Ok(Times::of(times, began.elapsed()))
        });
        let times = asking.await?;
        driver.await??;
        times
    })
}

/// Sends back what comes.
async fn answer(mut transport: QuicTransport) {
    loop {
        let event = poll_fn(|cx| transport.poll_event(cx)).await;
        if let TransportEvent::Frame { peer, frame } = event
            && transport.send(&peer, frame).is_err()
        {
            return;
        }
    }
}

/// For each question sends a frame to all peers; the first answer to it is its answer.
async fn drive(
    mut transport: QuicTransport,
    peers: Vec<NodeId>,
    mut asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
) -> Result<()> {
    let mut waiting: Option<oneshot::Sender<()>> = None;
    let mut round = 0u64;
    loop {
        let event = tokio::select! {
            biased;
            event = poll_fn(|cx| transport.poll_event(cx)) => event,
            question = asked.recv() => {
                let Some(question) = question else { return Ok(()) };
                waiting = Some(question);
                round += 1;
                let mut frame = vec![0; PING];
                frame[..8].copy_from_slice(&round.to_be_bytes());
                for peer in &peers {
                    transport.send(peer, frame.clone().into())?;
                }
                continue;
            }
        };
        match event {
            TransportEvent::Frame { frame, .. } if frame.starts_with(&round.to_be_bytes()) => {
                // Whoever asked is gone, or this is the second answer.
                let _ = waiting.take().map(|waiting| waiting.send(()));
            }
            TransportEvent::Disconnected { reason, .. } => bail!("{reason}"),
            _ => {}
        }
    }
}

fn measure(nodes: &[Node], writes: usize, in_flight: usize) -> Result<(Times, f64)> {
    let [writer, ..] = nodes else {
        bail!("no nodes")
    };
    write(writer, writes / 10, in_flight)?; // warm
    std::thread::sleep(Duration::from_millis(100));
    let before = bytes(nodes)?;
    let times = write(writer, writes, in_flight)?;
    // The last acknowledgement.
    std::thread::sleep(Duration::from_millis(100));
    let bytes = bytes(nodes)? - before;
    Ok((
        times,
        bytes as f64 / writes as f64 / (nodes.len() - 1) as f64,
    ))
}

fn bytes(nodes: &[Node]) -> Result<u64> {
    let sent = |node: &Node| Ok(node.store.status()?.transport.bytes_sent);
    nodes.iter().map(sent).sum()
}

fn write(node: &Node, writes: usize, in_flight: usize) -> Result<Times> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (store, next) = (node.store.clone(), Arc::clone(&next));
            node.runtime.spawn(write_in_turn(store, next, writes))
        })
        .collect();
    let mut all = Vec::new();
    let waiting = tokio::runtime::Builder::new_current_thread().build()?;
    for task in tasks {
        all.extend(waiting.block_on(task).context("a writer panicked")??);
    }
    Ok(Times::of(all, began.elapsed()))
}

async fn write_in_turn(
    store: Store,
    next: Arc<AtomicUsize>,
    writes: usize,
) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= writes {
            return Ok(times);
        }
        let began = Instant::now();
        let key = COUNTERS.key((at % KEYS).to_string());
        store.update(&key, |counter| counter.add(1))?;
        store.confirmed(Consistency::majority()).await?;
        times.push(began.elapsed());
    }
}
