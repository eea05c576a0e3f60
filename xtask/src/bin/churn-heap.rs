//! Keys that are created and deleted on three stores over QUIC: what is allocated and not freed, counted exactly.
//!
//! Run by `cargo xtask experiment churn --heap`. A program of its own, because counting slows down every
//! allocation.

use std::alloc::System;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dd_extension::types::OrSet;
use dd_extension::{Cluster, ClusterConfig, DistributedData, Identity, Keys, Store, StoreConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::task::yield_now;
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NODES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(300);
const SETS: Keys<OrSet<String>> = Keys::with_prefix("key-");

fn main() -> Result<()> {
    let numbers = std::env::args().skip(1).map(|number| number.parse());
    let numbers: Vec<usize> = numbers.collect::<Result<_, _>>()?;
    let [keys, at_once, rounds] = numbers[..] else {
        bail!("run it by cargo xtask experiment churn --heap");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(churn(keys, at_once.max(1), rounds))
}

async fn churn(keys: usize, at_once: usize, rounds: usize) -> Result<()> {
    let data = [const { DistributedData::new() }; NODES];
    let mut stores: Vec<Store> = Vec::new();
    let mut first = None;
    for (at, data) in data.iter().enumerate() {
        let identity = Identity::dev(&"bench".parse()?, &format!("n{at}").parse()?, "loopback")?;
        let config = ClusterConfig::new(([127, 0, 0, 1], 0).into()).identity(identity);
        let cluster = match &first {
            None => Cluster::bootstrap(config).await?,
            Some(seed) => Cluster::join(config.seed(seed)).await?,
        };
        let address = cluster.local_addr().context("it listens nowhere")?;
        first.get_or_insert(address.to_string());
        stores.push(data.start(&cluster, StoreConfig::default()).await?);
    }
    until("connected", &stores, |store| {
        let peers = store.status()?.replica.peers;
        Ok(peers.len() == NODES - 1 && peers.iter().all(|peer| peer.up))
    })
    .await?;
    let writer = &stores[0];
    // What a program takes at its first work stays with it.
    create_and_delete(writer, "warm", 1000).await?;
    forgotten(&stores).await?;
    let empty = live();
    row("empty", empty, empty)?;
    for round in 1..=rounds {
        let (mut left, mut most) = (keys, 0);
        while left > 0 {
            let count = left.min(at_once);
            most = most.max(create_and_delete(writer, &format!("{round}-{left}"), count).await?);
            left -= count;
        }
        row(&format!("the most, round {round}"), most, empty)?;
        forgotten(&stores).await?;
        row(&format!("forgotten, round {round}"), live(), empty)?;
    }
    for data in &data {
        data.stop().await?;
    }
    Ok(())
}

/// Returns what was allocated when all of them were there.
async fn create_and_delete(store: &Store, name: &str, count: usize) -> Result<usize> {
    for n in 0..count {
        store.update(&SETS.key(format!("{name}-{n}")), |set| {
            set.insert("element")
        })?;
        give_way(n).await;
    }
    let most = live();
    for n in 0..count {
        store.delete(&SETS.key(format!("{name}-{n}")))?;
        give_way(n).await;
    }
    Ok(most)
}

/// Others get a turn: pushes, and what peers send.
async fn give_way(n: usize) {
    if n % 64 == 63 {
        yield_now().await;
    }
}

/// Until nothing is left of the keys, and no removal is remembered.
async fn forgotten(stores: &[Store]) -> Result<()> {
    let seen = stores[0].status()?.replica.context;
    until("empty", stores, |store| {
        let replica = store.status()?.replica;
        Ok(replica.context == seen && replica.keys == 0 && replica.records == 0)
    })
    .await?;
    // What peers said last, and buffers.
    sleep(Duration::from_secs(2)).await;
    Ok(())
}

async fn until(what: &str, stores: &[Store], is: impl Fn(&Store) -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for store in stores {
        while !is(store)? {
            ensure!(Instant::now() < deadline, "not {what} after {PATIENCE:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// Bytes that are allocated and not freed.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// A row for the report, as JSON.
fn row(what: &str, live: usize, empty: usize) -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status").context("this needs Linux")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.split_whitespace().next());
    let resident: f64 = resident.context("no VmRSS")?.parse()?;
    let (live, empty) = (live as f64, empty as f64);
    println!(
        "{}",
        serde_json::json!([
            what,
            live / f64::from(1 << 20),
            resident / 1024.0,
            live / empty * 100.0
        ])
    );
    Ok(())
}
