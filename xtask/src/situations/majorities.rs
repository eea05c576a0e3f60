//! Writes that a majority has are seen by every read of a majority, whoever is killed or was away.

use anyhow::{Result, ensure};

use super::{Stage, confirm, expect, expect_refusal, refresh};
use crate::cluster::{Cluster, NAMES};

/// Of a value that takes a while over a slow wire: who says that others have it before they do is found out.
const BYTES: usize = 300_000;
/// Bytes a second of a slow wire.
const SLOW: u32 = 500_000;

pub(super) fn reads_see_writes(stage: &Stage) -> Result<String> {
    let mut cluster = stage.cluster(5)?;
    let reads = missed_by_one(&mut cluster)? + killed_with_its_writer(&mut cluster)?;
    cluster.stop()?;
    Ok(format!(
        "{reads} majority reads on all nodes saw each write that a majority had confirmed, after its writer and \
         another node were killed, and on a node that had been cut off"
    ))
}

/// A node that was away during the write reads it, or says that it can't.
fn missed_by_one(cluster: &mut Cluster) -> Result<usize> {
    cluster.set_cut_off(4, true);
    expect(cluster, 0, "add hits 1", "1")?;
    confirm(cluster, 0)?;
    expect_refusal(cluster, 4, "refresh", &["3 of 5 nodes are needed"])?;
    cluster.set_cut_off(4, false);
    for at in cluster.all() {
        refresh(cluster, at)?;
        expect(cluster, at, "get hits", "pn_counter 1")?;
    }
    cluster.await_connected()?;
    Ok(cluster.all().len())
}

/// Writers are killed as soon as their writes are confirmed, each with another node.
fn killed_with_its_writer(cluster: &mut Cluster) -> Result<usize> {
    let mut reads = 0;
    for writer in 1..4 {
        let value = format!("{writer}-{}", "x".repeat(BYTES));
        let also = (writer + 1) % NAMES.len();
        cluster.set_rate(writer, Some(SLOW));
        expect(cluster, writer, &format!("set motd {value}"), "written")?;
        confirm(cluster, writer)?;
        cluster.kill(writer)?;
        cluster.kill(also)?;
        for at in cluster.alive() {
            reads += read(cluster, at, &value)?;
        }
        cluster.set_rate(writer, None);
        // They return with nothing, and read it too.
        for at in [writer, also] {
            cluster.spawn(at)?;
            reads += read(cluster, at, &value)?;
        }
        cluster.await_connected()?;
    }
    Ok(reads)
}

fn read(cluster: &mut Cluster, at: usize, value: &str) -> Result<usize> {
    refresh(cluster, at)?;
    let read = cluster.node(at)?.ask("get motd")?;
    let read = read.trim_start_matches("lww_register ");
    ensure!(
        read == value,
        "{} reads {:.10} where {:.10} was confirmed",
        NAMES[at],
        read,
        value
    );
    Ok(1)
}
