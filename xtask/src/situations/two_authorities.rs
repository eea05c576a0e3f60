//! Two clusters of one name, with an authority each, are told of each other.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use dd_testkit::free_address;
use tempfile::TempDir;

use super::Stage;
use crate::cluster::{LOOK, Node, PATIENCE, Place, clipped, make_certificates};

/// What each side has to say of the other.
const WHY: &str = "give both the same authority";

pub(super) fn refuse_each_other(stage: &Stage) -> Result<String> {
    let (one, two) = (certificates(&["a", "b"])?, certificates(&["c", "d", "e"])?);
    let start = |name, certs: &TempDir, seeds: &[SocketAddr]| {
        let listen = free_address().context("finding a free port")?;
        let place = Place {
            listen,
            advertise: listen,
            seeds: seeds.to_vec(),
        };
        let settings = stage.settings(0);
        let node = Node::start(&stage.program, name, certs.path(), &place, &settings)?;
        Ok::<_, anyhow::Error>((node, listen))
    };
    let (a, at_a) = start("a", &one, &[])?;
    let (c, at_c) = start("c", &two, &[])?;
    let (b, _) = start("b", &one, &[at_a, at_c])?;
    let (d, _) = start("d", &two, &[at_c, at_a])?;
    // This one is told of the other cluster alone, and gives up.
    let joined = start("e", &two, &[at_a]);
    ensure!(joined.is_err(), "e joined a cluster of another authority");
    let mut nodes = [("a", a), ("b", b), ("c", c), ("d", d)];
    for (at, line) in [(0, "set motd one"), (2, "set motd two")] {
        nodes[at].1.ask(line)?;
    }
    for (at, other, value) in [(1, "b", "one"), (3, "d", "two")] {
        nodes[at].1.ask("ready")?;
        await_answer(&mut nodes[at].1, "get motd", |said| {
            said == format!("lww_register {value}")
        })
        .with_context(|| format!("at {other}"))?;
    }
    await_refusals(stage, &["a", "b", "c", "d", "e"])?;
    for (name, node) in &mut nodes {
        let members = node.ask("members")?;
        let (own, others) = match *name {
            "a" | "b" => (["a ", "b "], ["c ", "d "]),
            _ => (["c ", "d "], ["a ", "b "]),
        };
        let has = |member: &str| {
            let list = members.split_once(": ").map_or("", |(_, list)| list);
            list.split("; ").any(|entry| entry.starts_with(member))
        };
        ensure!(
            own.iter().all(|member| has(member)) && !others.iter().any(|member| has(member)),
            "{name} has other members than its own: {members}"
        );
        ensure!(node.end_by("quit")?, "{name} did not end well");
    }
    Ok(format!(
        "nodes of two authorities refused each other, told each in its warnings to {WHY}, and have members and \
         values of their own"
    ))
}

fn certificates(names: &[&str]) -> Result<TempDir> {
    let certs = tempfile::tempdir().context("making a folder for certificates")?;
    make_certificates(certs.path(), names)?;
    Ok(certs)
}

fn await_answer(node: &mut Node, line: &str, is_so: impl Fn(&str) -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = node.ask(line)?;
        if is_so(&said) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{line}: after {PATIENCE:?} still {}",
            clipped(&said)
        );
        std::thread::sleep(LOOK);
    }
}

/// Waits until each of these has said why it refuses others, or was refused.
fn await_refusals(stage: &Stage, names: &[&str]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines = stage.transcript.lines();
        let has_said = |name: &&&str| {
            let begin = format!("{name}: ");
            lines
                .iter()
                .any(|line| line.starts_with(&begin) && line.contains(WHY))
        };
        let silent: Vec<_> = names.iter().filter(|name| !has_said(name)).collect();
        if silent.is_empty() {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "after {PATIENCE:?} {silent:?} have not said why they refuse others"
        );
        std::thread::sleep(LOOK);
    }
}
