//! Five nodes are split, and both sides write.

use anyhow::{Result, ensure};

use super::{Stage, confirm, expect, expect_refusal};

const MORE: [usize; 3] = [0, 1, 2];
const FEWER: [usize; 2] = [3, 4];
/// Of each side.
const WRITES: usize = 9;

pub(super) fn three_and_two(stage: &Stage) -> Result<String> {
    let mut cluster = stage.cluster(5)?;
    for element in ["old", "both"] {
        expect(&mut cluster, 0, &format!("insert set {element}"), "new")?;
    }
    cluster.await_equal(&[0, 1, 2, 3, 4])?;
    set_split(&mut cluster, true);
    // One side removes what the other inserts anew, and what it does not.
    for element in ["old", "both"] {
        expect(&mut cluster, 0, &format!("remove set {element}"), "done")?;
    }
    expect(&mut cluster, 3, "insert set both", "was there")?;
    for write in 0..WRITES {
        let more = MORE[write % MORE.len()];
        cluster
            .node(more)?
            .ask(&format!("insert set more-{write}"))?;
        cluster.node(more)?.ask("add hits 1")?;
        confirm(&mut cluster, more)?;
        let fewer = FEWER[write % FEWER.len()];
        cluster
            .node(fewer)?
            .ask(&format!("insert set fewer-{write}"))?;
        cluster.node(fewer)?.ask("add hits 100")?;
    }
    for at in FEWER {
        expect_refusal(&mut cluster, at, "confirm", &["3 of 5 nodes are needed"])?;
    }
    cluster.await_equal(&MORE)?;
    cluster.await_equal(&FEWER)?;
    let contexts = [cluster.status(0)?, cluster.status(3)?].map(|of| of["context"].clone());
    ensure!(contexts[0] != contexts[1], "the sides were not apart");

    set_split(&mut cluster, false);
    cluster.await_connected()?;
    cluster.await_equal(&[0, 1, 2, 3, 4])?;
    let written = |side: &str| -> Vec<String> {
        (0..WRITES).map(|write| format!("{side}-{write}")).collect()
    };
    let set = [vec!["both".to_owned()], written("fewer"), written("more")].concat();
    let hits = WRITES + 100 * WRITES;
    for at in cluster.all() {
        let elements = format!("or_set<str> {{{}}}", set.join(", "));
        expect(&mut cluster, at, "get set", &elements)?;
        expect(&mut cluster, at, "get hits", &format!("pn_counter {hits}"))?;
    }
    for at in FEWER {
        confirm(&mut cluster, at)?;
    }
    cluster.stop()?;
    Ok(format!(
        "the side of three confirmed its {WRITES} writes, the side of two could not; healed, all five have what \
         both wrote"
    ))
}

fn set_split(cluster: &mut crate::cluster::Cluster, split: bool) {
    for more in MORE {
        for fewer in FEWER {
            cluster.set_cut(more, fewer, split);
        }
    }
}
