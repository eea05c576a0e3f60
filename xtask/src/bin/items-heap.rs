//! What keys and elements of each kind have allocated in a store, counted exactly: a JSON array of rows, each what
//! it is, bytes each, and bytes of its name.
//!
//! Run by `cargo xtask experiment memory` and `redis`. A program of its own, because counting slows down every
//! allocation.

use std::alloc::System;
use std::time::Duration;

use anyhow::{Context, Result};
use dd_extension::types::{LwwRegister, OrSet, PnCounter};
use dd_extension::{
    Cluster, ClusterConfig, DistributedData, Identity, Key, Keys, Store, StoreConfig,
};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNTERS: Keys<PnCounter> = Keys::with_prefix("counter:");
const REGISTERS: Keys<LwwRegister<String>> = Keys::with_prefix("register");
const TEXTS: Key<OrSet<String>> = Key::new("texts");
const NUMBERS: Key<OrSet<u64>> = Key::new("numbers");
const SETS: Keys<OrSet<u64>> = Keys::with_prefix("small/");
/// Elements of a small set.
const SMALL: usize = 10;
/// How often each counter is changed again, on average.
const CHANGES: usize = 5;

fn main() -> Result<()> {
    let count = std::env::args().nth(1);
    let count = count.context("run it by cargo xtask experiment memory")?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let rows = runtime
        .enable_all()
        .build()?
        .block_on(count_all(count.parse()?))?;
    println!("{}", Value::Array(rows));
    Ok(())
}

async fn count_all(count: usize) -> Result<Vec<Value>> {
    let identity = Identity::dev(&"bench".parse()?, &"n0".parse()?, "loopback")?;
    let config = ClusterConfig::new(([127, 0, 0, 1], 0).into()).identity(identity);
    let cluster = Cluster::bootstrap(config).await?;
    let data = DistributedData::new();
    let store = data.start(&cluster, StoreConfig::default()).await?;
    // What a store takes at its first work stays with it.
    store.update(&COUNTERS.key("warm"), |counter| counter.add(1))?;
    store.update(&TEXTS, |set| set.insert("warm"))?;
    let mut rows = Vec::new();
    let mut row = async |what: &str, name: usize, items: usize, region: &Region<'_, System>| {
        // What waits to be sent or to be forgotten is not kept.
        sleep(Duration::from_secs(2)).await;
        let change = region.change();
        let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
        rows.push(json!([what, bytes / items as f64, name]));
    };
    let whole = Region::new(ALLOCATOR);
    let region = Region::new(ALLOCATOR);
    (0..count).try_for_each(|at| add(&store, at))?;
    row("a counter", 20, count, &region).await;
    for n in 0..CHANGES * count {
        add(&store, spread(n) as usize % count)?;
        give_way(n).await;
    }
    row("a counter, changed again in no order", 20, count, &region).await;
    let region = Region::new(ALLOCATOR);
    for at in 0..count {
        let element = format!("element:{at:012}");
        store.update(&TEXTS, |set| set.insert(element.as_str()))?;
        give_way(at).await;
    }
    row("a text in one set", 20, count, &region).await;
    let region = Region::new(ALLOCATOR);
    for at in 0..count {
        store.update(&NUMBERS, |set| set.insert(&spread(at)))?;
        give_way(at).await;
    }
    row("a number in one set", 8, count, &region).await;
    let region = Region::new(ALLOCATOR);
    for at in 0..count / SMALL {
        for n in 0..SMALL {
            store.update(&small(at), |set| set.insert(&spread(n)))?;
        }
        give_way(at).await;
    }
    row("a number in a set of ten, keys of 16 B", 8, count, &region).await;
    let region = Region::new(ALLOCATOR);
    for at in 0..count {
        let value = format!("{at:016}");
        store.update(&register(at), |register| register.set(&value))?;
        give_way(at).await;
    }
    row("a register with a text of 16 B", 20, count, &region).await;
    for at in 0..count {
        store.delete(&counter(at))?;
        store.delete(&register(at))?;
        if at % SMALL == 0 {
            store.delete(&small(at / SMALL))?;
        }
        give_way(at).await;
    }
    store.delete(&TEXTS)?;
    store.delete(&NUMBERS)?;
    sleep(Duration::from_secs(2)).await;
    row(
        "what is left of each after all were deleted",
        0,
        5 * count,
        &whole,
    )
    .await;
    data.stop().await?;
    Ok(rows)
}

/// The store's own work goes on in the same thread.
async fn give_way(n: usize) {
    if n.is_multiple_of(1024) {
        sleep(Duration::from_millis(2)).await;
    }
}

fn add(store: &Store, at: usize) -> Result<()> {
    Ok(store.update(&counter(at), |counter| counter.add(1))?)
}

fn counter(at: usize) -> Key<PnCounter> {
    COUNTERS.key(format!("{at:012}"))
}

fn register(at: usize) -> Key<LwwRegister<String>> {
    REGISTERS.key(format!("{at:012}"))
}

fn small(at: usize) -> Key<OrSet<u64>> {
    SETS.key(format!("{at:010}"))
}

/// Numbers that come in no order.
fn spread(n: usize) -> u64 {
    (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
