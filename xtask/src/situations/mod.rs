//! `cargo xtask situations`: what went wrong in systems in production, with node processes over QUIC.

mod helper_killed;
mod keys_come_and_go;
mod large_values;
mod majorities;
mod returns_with_nothing;
mod split;
mod two_authorities;
mod unreachable_quorum;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::cluster::{self, Cluster, LOOK, NAMES, PATIENCE, Settings, Transcript, clipped};

/// Plays situations that were defects or hard cases in production, each on processes of its own, and checks what
/// comes of it.
#[derive(Debug, Args)]
pub(crate) struct Situations {
    /// Those that have this in their names, a number for example; all if none is named
    names: Vec<String>,
    /// List them
    #[arg(long)]
    list: bool,
}

/// One of them: its name, which begins with its number, and what plays it. That returns what it showed.
type Situation = (&'static str, fn(&Stage) -> Result<String>);

const ALL: [Situation; 9] = [
    (
        "18-keys-come-and-go",
        keys_come_and_go::while_all_are_connected,
    ),
    (
        "19-keys-come-and-go-while-one-node-is-cut-off",
        keys_come_and_go::while_one_node_is_cut_off,
    ),
    (
        "20-a-killed-node-returns-with-nothing",
        returns_with_nothing::again_and_again,
    ),
    (
        "22-large-values-hold-up-no-small-ones",
        large_values::hold_up_no_small_ones,
    ),
    (
        "23-the-node-that-helps-a-new-one-is-killed",
        helper_killed::while_it_helps,
    ),
    (
        "26-majority-reads-see-majority-writes",
        majorities::reads_see_writes,
    ),
    ("27-five-split-and-heal", split::three_and_two),
    (
        "28-a-quorum-that-cannot-be-reached",
        unreachable_quorum::says_so,
    ),
    (
        "30-two-authorities-refuse-each-other",
        two_authorities::refuse_each_other,
    ),
];

impl Situations {
    pub(crate) fn run(&self) -> Result<()> {
        let chosen = self.chosen()?;
        if self.list {
            chosen.iter().for_each(|(name, _)| println!("{name}"));
            return Ok(());
        }
        let program = cluster::build()?;
        let mut failed = Vec::new();
        for (name, play) in chosen {
            let stage = Stage {
                program: program.clone(),
                transcript: Transcript::default(),
            };
            let began = Instant::now();
            let result = play(&stage);
            let took = began.elapsed().as_secs_f64();
            match result {
                Ok(shown) => println!("  \u{2713} {name} ({took:.1} s): {shown}"),
                Err(error) => {
                    println!("  \u{2717} {name} ({took:.1} s): {error:#}");
                    println!("    The nodes said last:");
                    for line in stage.transcript.lines() {
                        println!("      {line}");
                    }
                    failed.push(name);
                }
            }
        }
        ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
        Ok(())
    }

    fn chosen(&self) -> Result<Vec<Situation>> {
        for name in &self.names {
            if !ALL.iter().any(|(known, _)| known.contains(name.as_str())) {
                let all: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
                bail!("{name:?} is no situation; they are\n  {}", all.join("\n  "));
            }
        }
        let is_chosen = |name: &str| self.names.iter().any(|part| name.contains(part.as_str()));
        let chosen = ALL.iter().copied();
        Ok(chosen
            .filter(|(name, _)| self.names.is_empty() || is_chosen(name))
            .collect())
    }
}

/// Where one is played.
struct Stage {
    program: PathBuf,
    transcript: Transcript,
}

impl Stage {
    fn settings(&self, nodes: usize) -> Settings {
        Settings {
            nodes,
            program: Some(self.program.clone()),
            transcript: self.transcript.clone(),
            ..Settings::default()
        }
    }

    /// So many nodes that are connected.
    fn cluster(&self, nodes: usize) -> Result<Cluster> {
        let mut cluster = Cluster::prepare(self.settings(nodes))?;
        cluster.spawn_all()?;
        Ok(cluster)
    }
}

/// Gives a node a line and demands this answer.
fn expect(cluster: &mut Cluster, at: usize, line: &str, answer: &str) -> Result<()> {
    let said = cluster.node(at)?.ask(line)?;
    ensure!(
        said == answer,
        "{}> {} should have said {}, and said {}",
        NAMES[at],
        clipped(line),
        clipped(answer),
        clipped(&said)
    );
    Ok(())
}

/// Gives a node a line that it has to refuse, and demands that it says all of this.
fn expect_refusal(cluster: &mut Cluster, at: usize, line: &str, words: &[&str]) -> Result<()> {
    let said = cluster.node(at)?.try_ask(line)?;
    let is_so = said
        .as_ref()
        .is_err_and(|error| words.iter().all(|word| error.contains(word)));
    ensure!(
        is_so,
        "{}> {line} should have been refused with {words:?}, and was answered {said:?}",
        NAMES[at]
    );
    Ok(())
}

/// The number of one name in a node's status.
fn number(cluster: &mut Cluster, at: usize, name: &str) -> Result<u64> {
    let status = cluster.status(at)?;
    let value = status.get(name);
    let value = value.with_context(|| format!("a status without {name}"))?;
    value
        .parse()
        .with_context(|| format!("{name}={value} in a status"))
}

/// Bytes that nodes have sent, all together.
fn sent(cluster: &mut Cluster, nodes: &[usize]) -> Result<u64> {
    let each = nodes.iter().map(|at| number(cluster, *at, "sent"));
    each.sum()
}

/// Waits until nodes have sent so many bytes since they had sent `before`.
fn await_sent(cluster: &mut Cluster, nodes: &[usize], before: u64, bytes: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sent = sent(cluster, nodes)?.saturating_sub(before);
        if sent >= bytes {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "after {PATIENCE:?} only {sent} bytes of {bytes} were sent"
        );
        std::thread::sleep(LOOK);
    }
}

/// Puts everything that a majority has on a node, however often it has to ask.
fn refresh(cluster: &mut Cluster, at: usize) -> Result<()> {
    cluster.ask_until(at, "refresh", |answer| answer == Ok("refreshed"))?;
    Ok(())
}

/// Waits until a majority has what a node wrote, however often it has to ask.
fn confirm(cluster: &mut Cluster, at: usize) -> Result<()> {
    cluster.ask_until(at, "confirm", |answer| answer == Ok("confirmed"))?;
    Ok(())
}
