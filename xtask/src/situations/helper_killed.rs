//! The node that brings a new one up to date is killed meanwhile.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Stage, expect, number, sent};
use crate::cluster::{Cluster, LOOK, NAMES, PATIENCE};

const KEYS: usize = 5000;
/// Of one more value.
const BYTES: usize = 3_000_000;
const ALL: u64 = KEYS as u64 + 1;
/// Bytes a second of the new node's wires: everything takes many seconds.
const SLOW: u32 = 500_000;
/// What a node has sent when it is helping: far more than membership takes, and far less than everything.
const HELPED: u64 = 200_000;

pub(super) fn while_it_helps(stage: &Stage) -> Result<String> {
    let mut cluster = Cluster::prepare(stage.settings(3))?;
    cluster.spawn(0)?;
    cluster.spawn(1)?;
    cluster.await_connected()?;
    let text = "0123456789".repeat(20);
    let blob = "0123456789".repeat(BYTES / 10);
    cluster
        .node(0)?
        .ask(&format!("repeat {KEYS} set key-{{i}} {text}"))?;
    cluster.node(1)?.ask(&format!("set value {blob}"))?;
    cluster.await_equal(&[0, 1])?;

    cluster.set_rate(2, Some(SLOW));
    let before = [sent(&mut cluster, &[0])?, sent(&mut cluster, &[1])?];
    cluster.spawn(2)?;
    let helper = helper(&mut cluster, before)?;
    let survivor = 1 - helper;
    cluster.kill(helper)?;
    let had = number(&mut cluster, 2, "keys")?;
    ensure!(
        had < ALL,
        "c had everything before {} was killed",
        NAMES[helper]
    );
    cluster.set_rate(2, None);
    expect(&mut cluster, 2, "ready", "ready")?;
    cluster.await_equal(&[survivor, 2])?;
    expect(
        &mut cluster,
        2,
        "get value",
        &format!("lww_register {blob}"),
    )?;
    let keys = number(&mut cluster, 2, "keys")?;
    ensure!(keys == ALL, "c has {keys} keys of {ALL}");
    let last = format!("get key-{}", KEYS - 1);
    expect(&mut cluster, 2, &last, &format!("lww_register {text}"))?;
    cluster.stop()?;
    Ok(format!(
        "{} was killed when c had {had} of {ALL} keys; c finished with {}",
        NAMES[helper], NAMES[survivor]
    ))
}

/// Waits until c has some of it, and says which of the others has sent more: much at any rate.
fn helper(cluster: &mut Cluster, before: [u64; 2]) -> Result<usize> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut by = [0; 2];
        for at in 0..2 {
            by[at] = sent(cluster, &[at])?.saturating_sub(before[at]);
        }
        let most = usize::from(by[1] > by[0]);
        if by[most] >= HELPED && number(cluster, 2, "keys")? > 0 {
            return Ok(most);
        }
        ensure!(
            Instant::now() < deadline,
            "nobody helps c: a and b have sent {by:?} bytes"
        );
        std::thread::sleep(LOOK);
    }
}
