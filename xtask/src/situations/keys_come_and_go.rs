//! Many keys are created and deleted in turn: nothing is left of them, on any node.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Stage, expect, number};
use crate::cluster::{Cluster, LOOK};

/// Longest wait until every node has forgotten every removal.
const FORGOTTEN: Duration = Duration::from_secs(120);
/// Keys that are there at one time.
const BATCH: usize = 5000;
/// How often so many are created and deleted.
const ROUNDS: usize = 20;
/// The same while one node is away, which is less: the others remember each removal for it.
const ROUNDS_APART: usize = 4;

pub(super) fn while_all_are_connected(stage: &Stage) -> Result<String> {
    let mut cluster = stage.cluster(3)?;
    for round in 0..ROUNDS {
        come_and_go(&mut cluster, round % 3, &format!("r{round}"))?;
    }
    await_nothing(&mut cluster)?;
    cluster.stop()?;
    let keys = BATCH * ROUNDS;
    Ok(format!(
        "{keys} keys came and went, and three nodes have 0 keys and 0 records"
    ))
}

pub(super) fn while_one_node_is_cut_off(stage: &Stage) -> Result<String> {
    let mut cluster = stage.cluster(3)?;
    // They are deleted while c is away: it must not bring them back.
    ask(
        &mut cluster,
        2,
        &format!("repeat {BATCH} insert before-{{i}} e"),
    )?;
    cluster.await_equal(&[0, 1, 2])?;
    cluster.set_cut_off(2, true);
    ask(
        &mut cluster,
        0,
        &format!("repeat {BATCH} delete before-{{i}}"),
    )?;
    for round in 0..ROUNDS_APART {
        come_and_go(&mut cluster, round % 2, &format!("r{round}"))?;
        come_and_go(&mut cluster, 2, &format!("apart{round}"))?;
    }
    cluster.await_equal(&[0, 1])?;
    for at in [0, 1] {
        expect(&mut cluster, at, "keys", "0 keys: ")?;
        let records = number(&mut cluster, at, "records")?;
        ensure!(records > 0, "removals were forgotten without c");
    }
    let keys = number(&mut cluster, 2, "keys")?;
    ensure!(keys == BATCH as u64, "c, cut off, has {keys} keys");
    cluster.set_cut_off(2, false);
    await_nothing(&mut cluster)?;
    cluster.stop()?;
    let gone = BATCH * (2 * ROUNDS_APART + 1);
    Ok(format!(
        "{gone} keys came and went on both sides of a cut; after it three nodes have 0 keys and 0 records"
    ))
}

/// Creates many keys and deletes them.
fn come_and_go(cluster: &mut Cluster, at: usize, name: &str) -> Result<()> {
    ask(
        cluster,
        at,
        &format!("repeat {BATCH} insert key-{name}-{{i}} e"),
    )?;
    ask(
        cluster,
        at,
        &format!("repeat {BATCH} delete key-{name}-{{i}}"),
    )
}

fn ask(cluster: &mut Cluster, at: usize, line: &str) -> Result<()> {
    expect(cluster, at, line, &format!("{BATCH} times"))
}

/// Waits until all nodes are equal and empty, and remember no removal.
fn await_nothing(cluster: &mut Cluster) -> Result<()> {
    let deadline = Instant::now() + FORGOTTEN;
    cluster.await_connected()?;
    loop {
        cluster.await_equal(&[0, 1, 2])?;
        let mut left = Vec::new();
        for at in cluster.all() {
            left.push((
                number(cluster, at, "keys")?,
                number(cluster, at, "records")?,
            ));
        }
        if left.iter().all(|left| *left == (0, 0)) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "after {FORGOTTEN:?} keys and records are left: {left:?}"
        );
        std::thread::sleep(LOOK);
    }
}
