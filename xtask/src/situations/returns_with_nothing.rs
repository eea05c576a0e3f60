//! A node is killed and returns under its name with nothing, again and again.

use anyhow::{Result, ensure};

use super::{Stage, confirm, expect};

/// Processes that node b is, one after the other.
const LIVES: usize = 5;

pub(super) fn again_and_again(stage: &Stage) -> Result<String> {
    let mut cluster = stage.cluster(3)?;
    for life in 0..LIVES {
        if life > 0 {
            cluster.spawn(1)?;
        }
        // The first things that it does: whatever it knows by then of what its former process wrote.
        for line in [
            "add hits 10".to_owned(),
            format!("insert names life-{life}"),
            format!("set motd life {life}"),
            format!("count views life-{life} 7"),
        ] {
            cluster.node(1)?.ask(&line)?;
        }
        confirm(&mut cluster, 1)?;
        cluster.kill(1)?;
        // What it wrote can be removed without it, and stays away when it is back.
        cluster.await_equal(&[0, 2])?;
        expect(
            &mut cluster,
            0,
            &format!("remove names life-{life}"),
            "done",
        )?;
        expect(&mut cluster, 2, &format!("insert names kept-{life}"), "new")?;
        cluster.node(2)?.ask("add hits 1")?;
        cluster.await_equal(&[0, 2])?;
    }
    cluster.spawn(1)?;
    cluster.await_connected()?;
    cluster.await_equal(&[0, 1, 2])?;
    let each = |item: &dyn Fn(usize) -> String| {
        let all: Vec<String> = (0..LIVES).map(item).collect();
        all.join(", ")
    };
    let names = each(&|life| format!("kept-{life}"));
    let views = each(&|life| format!("life-{life}=7"));
    for at in cluster.all() {
        for (line, answer) in [
            ("get hits", format!("pn_counter {}", 11 * LIVES)),
            ("get names", format!("or_set<str> {{{names}}}")),
            ("get views", format!("or_map<str,pn_counter> {{{views}}}")),
        ] {
            expect(&mut cluster, at, line, &answer)?;
        }
        // Whether it had seen the former one by then or not.
        let motd = cluster.node(at)?.ask("get motd")?;
        let newest = format!("lww_register life {}", LIVES - 1);
        ensure!(
            motd.starts_with(&newest),
            "the newest write of the register was ignored: {motd}"
        );
    }
    cluster.stop()?;
    Ok(format!(
        "b was killed {LIVES} times; all have what each of its processes wrote, and what was removed stayed away"
    ))
}
