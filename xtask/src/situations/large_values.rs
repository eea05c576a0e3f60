//! A set of many elements and a large value go over slow wires, to nodes that are there and to one that joins, while
//! a small key is written: it does not wait for them.

use anyhow::{Result, ensure};

use super::{Stage, await_sent, expect, sent};
use crate::cluster::{Cluster, NAMES};

const ELEMENTS: usize = 20_000;
const BYTES: usize = 10_000_000;
/// Bytes a second of a slow wire: the large value takes ten seconds.
const SLOW: u32 = 1_000_000;
/// What was sent when the large value is on its way.
const BEGUN: u64 = 1_000_000;
/// Of the small key.
const WRITES: usize = 10;

pub(super) fn hold_up_no_small_ones(stage: &Stage) -> Result<String> {
    let mut cluster = stage.cluster(3)?;
    let blob = "0123456789".repeat(BYTES / 10);
    // From a to the others.
    let before = sent(&mut cluster, &[0])?;
    cluster.set_rate(0, Some(SLOW));
    cluster
        .node(0)?
        .ask(&format!("repeat {ELEMENTS} insert ids id-{{i}}"))?;
    cluster.node(0)?.ask(&format!("set blob {blob}"))?;
    await_sent(&mut cluster, &[0], before, BEGUN)?;
    write_small(&mut cluster, 1, 2, 2, 0)?;
    cluster.set_rate(0, None);
    check(&mut cluster, &blob, WRITES)?;
    // From the others to c, which joins with nothing.
    cluster.kill(2)?;
    cluster.set_rate(2, Some(SLOW));
    let before = sent(&mut cluster, &[0, 1])?;
    cluster.spawn(2)?;
    await_sent(&mut cluster, &[0, 1], before, BEGUN)?;
    write_small(&mut cluster, 0, 1, 2, WRITES)?;
    cluster.set_rate(2, None);
    cluster.await_connected()?;
    check(&mut cluster, &blob, 2 * WRITES)?;
    cluster.stop()?;
    Ok(format!(
        "a set of {ELEMENTS} and a value of {BYTES} bytes arrived on all and on a node that joined; before them \
         arrived each of {} writes of a small key",
        2 * WRITES
    ))
}

/// One node writes the small key and another sees each write, while a third still lacks the large value.
fn write_small(
    cluster: &mut Cluster,
    writer: usize,
    reader: usize,
    lacks: usize,
    before: usize,
) -> Result<()> {
    for count in before + 1..=before + WRITES {
        expect(cluster, writer, "add small 1", &count.to_string())?;
        let seen = format!("pn_counter {count}");
        cluster.ask_until(reader, "get small", |answer| answer == Ok(&seen))?;
        let blob = cluster.node(lacks)?.ask("get blob")?;
        ensure!(
            blob == "nothing",
            "{} had the large value before {} saw write {count} of the small key",
            NAMES[lacks],
            NAMES[reader]
        );
    }
    Ok(())
}

/// Waits until all nodes are equal, and looks at everything on each.
fn check(cluster: &mut Cluster, blob: &str, small: usize) -> Result<()> {
    let all = cluster.all();
    cluster.await_equal(&all)?;
    for at in all {
        expect(cluster, at, "get blob", &format!("lww_register {blob}"))?;
        expect(cluster, at, "get small", &format!("pn_counter {small}"))?;
        let ids = cluster.node(at)?.ask("get ids")?;
        let ids = ids.trim_start_matches("or_set<str> {");
        let count = ids.trim_end_matches('}').split(", ").count();
        ensure!(
            count == ELEMENTS,
            "{} has {count} elements of {ELEMENTS}",
            NAMES[at]
        );
    }
    Ok(())
}
