//! A node that reaches nobody waits for a majority.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Stage, confirm, expect, expect_refusal, refresh};

/// The node program waits for 3 s, and no program for more than this.
const SAID_BY: Duration = Duration::from_secs(30);

pub(super) fn says_so(stage: &Stage) -> Result<String> {
    let mut cluster = stage.cluster(3)?;
    cluster.set_cut_off(0, true);
    expect(&mut cluster, 0, "add hits 1", "1")?;
    let asked = Instant::now();
    let words = [
        "2 of 3 nodes are needed",
        "by the deadline there were 1 (a)",
        "what was written here stands",
    ];
    expect_refusal(&mut cluster, 0, "confirm", &words)?;
    let said = asked.elapsed();
    ensure!(said < SAID_BY, "it was said after {said:?}");
    // Neither does it read as if it had asked others.
    expect_refusal(&mut cluster, 0, "refresh", &words[..1])?;
    expect(&mut cluster, 0, "get hits", "pn_counter 1")?;
    expect(&mut cluster, 0, "add hits 1", "2")?;
    // The others are a majority without it.
    expect(&mut cluster, 1, "get hits", "nothing")?;
    expect(&mut cluster, 1, "add hits 10", "10")?;
    expect(&mut cluster, 1, "confirm", "confirmed")?;

    cluster.set_cut_off(0, false);
    confirm(&mut cluster, 0)?;
    for at in cluster.all() {
        refresh(&mut cluster, at)?;
        expect(&mut cluster, at, "get hits", "pn_counter 12")?;
    }
    cluster.stop()?;
    Ok(format!(
        "after {:.1} s a node that reached nobody said that it takes 2 of 3, and that its write stands; it did, \
         and all have it",
        said.as_secs_f64()
    ))
}
