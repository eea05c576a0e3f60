//! What counters and members of a set have allocated in a store, counted exactly: two numbers, in bytes each.
//!
//! Run by `cargo xtask experiment redis`. A program of its own, because counting slows down every allocation.

use std::alloc::System;
use std::time::Duration;

use anyhow::{Context, Result};
use dd_extension::types::{OrSet, PnCounter};
use dd_extension::{Cluster, ClusterConfig, DistributedData, Identity, Key, Keys, StoreConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNTERS: Keys<PnCounter> = Keys::with_prefix("counter:");
const SET: Key<OrSet<String>> = Key::new("set");

fn main() -> Result<()> {
    let count = std::env::args().nth(1);
    let count = count.context("run it by cargo xtask experiment redis")?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(fill(count.parse()?))
}

async fn fill(count: usize) -> Result<()> {
    let identity = Identity::dev(&"bench".parse()?, &"n0".parse()?, "loopback")?;
    let config = ClusterConfig::new(([127, 0, 0, 1], 0).into()).identity(identity);
    let cluster = Cluster::bootstrap(config).await?;
    let data = DistributedData::new();
    let store = data.start(&cluster, StoreConfig::default()).await?;
    // What a store takes at its first work stays with it.
    store.update(&COUNTERS.key("warm"), |counter| counter.add(1))?;
    store.update(&SET, |set| set.insert("warm"))?;
    let each = async |region: Region<'_, System>| {
        // What waits to be sent or to be forgotten is not kept.
        sleep(Duration::from_secs(2)).await;
        let change = region.change();
        (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / count as f64
    };
    let region = Region::new(ALLOCATOR);
    for at in 0..count {
        store.update(&COUNTERS.key(format!("{at:012}")), |counter| counter.add(1))?;
    }
    let counter = each(region).await;
    let region = Region::new(ALLOCATOR);
    for at in 0..count {
        let element = format!("element:{at:012}");
        store.update(&SET, |set| set.insert(element.as_str()))?;
    }
    println!("[{counter}, {}]", each(region).await);
    Ok(data.stop().await?)
}
