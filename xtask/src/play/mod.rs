//! `cargo xtask play`: three nodes as processes, and a prompt.

mod line;
mod prompt;
mod smoke;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::cluster::{Cluster, NODES, Settings};
use line::{Line, USAGE, parse};
use prompt::{Printer, Prompt};
use watch::Watch;

pub(crate) use smoke::{SMOKE, check, say};

/// Starts three nodes as processes and takes lines for them: write on any, cut wires, kill one, and
/// see what becomes of it. Lines can also come from a file or a pipe
#[derive(Debug, Args)]
pub(crate) struct Play {}

impl Play {
    pub(crate) fn run(&self) -> Result<()> {
        let (mut prompt, print) = Prompt::open()?;
        let watch = Arc::new(Watch::new(Arc::clone(&print)));
        let told = Arc::clone(&watch);
        let cluster = Cluster::start(Settings {
            status_pages: true,
            on_change: Arc::new(move |node, change| told.changed(node, change)),
            ..Settings::default()
        })?;
        let mut game = Game {
            cluster,
            watch,
            watched: Vec::new(),
            print,
            current: 0,
        };
        game.say(
            "Nodes a, b and c run and are connected. `help` lists what they do, `quit` ends them.",
        );
        let mut failed = 0;
        while let Some(text) = prompt.line(NODES[game.current])? {
            if prompt.is_plain() {
                game.say(&format!("> {}", text.trim()));
            }
            match parse(&text, game.current).and_then(|line| game.play(line)) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failed += 1;
                    game.say(&format!("error: {error:#}"));
                }
            }
        }
        let plain = prompt.is_plain();
        game.cluster.stop()?;
        if plain && failed > 0 {
            bail!("{failed} lines could not be done");
        }
        Ok(())
    }
}

struct Game {
    cluster: Cluster,
    watch: Arc<Watch>,
    /// Keys that are watched, also by nodes that are started later.
    watched: Vec<String>,
    print: Printer,
    /// The node that lines without one go to.
    current: usize,
}

impl Game {
    fn say(&self, line: &str) {
        (self.print)(line.to_owned());
    }

    /// Does what a line says. Returns whether to go on.
    fn play(&mut self, line: Option<Line>) -> Result<bool> {
        match line {
            None => {}
            Some(Line::Quit) => return Ok(false),
            Some(Line::Node(at, line)) => self.line(at, &line)?,
            Some(Line::Turn(at)) => self.current = at,
            Some(Line::Watch(key)) => self.watch(key)?,
            Some(Line::Cut(pairs)) => self.wires(&pairs, true),
            Some(Line::Heal(pairs)) => self.wires(&pairs, false),
            Some(Line::Kill(at)) => {
                self.cluster.kill(at)?;
                self.say(&format!("{} is dead; what only it had is lost.", NODES[at]));
            }
            Some(Line::Start(at)) => self.start(at)?,
            Some(Line::Leave(at)) => {
                self.cluster.leave(at)?;
                self.say(&format!(
                    "{} has left; `start` has it join again.",
                    NODES[at]
                ));
            }
            Some(Line::Wait) => self.wait()?,
            Some(Line::Lag) => self.lag()?,
            Some(Line::Status) => self.status()?,
            Some(Line::Help) => self.help()?,
        }
        Ok(true)
    }

    fn line(&mut self, at: usize, line: &str) -> Result<()> {
        self.watch.writes(line);
        let name = NODES[at];
        ensure!(
            self.cluster.is_alive(at),
            "node {name} is dead; `start {name}` starts it"
        );
        let answer = self.cluster.node(at)?.ask(line)?;
        self.say(&format!("{name}: {answer}"));
        Ok(())
    }

    fn watch(&mut self, key: String) -> Result<()> {
        ensure!(!self.watched.contains(&key), "{key} is watched already");
        for at in self.alive() {
            self.cluster.node(at)?.ask(&format!("watch {key}"))?;
        }
        self.say(&format!("Watching {key} on every node."));
        self.watched.push(key);
        Ok(())
    }

    fn wires(&mut self, pairs: &[(usize, usize)], cut: bool) {
        for (one, other) in pairs {
            self.cluster.set_cut(*one, *other, cut);
        }
        let sides = self.cluster.sides();
        let sides = sides.iter().map(|side| names(side));
        let sides = sides.collect::<Vec<_>>().join(" | ");
        let done = if cut { "Cut" } else { "Healed" };
        self.say(&format!("{done}. Who can reach whom: {sides}"));
    }

    fn start(&mut self, at: usize) -> Result<()> {
        ensure!(!self.cluster.is_alive(at), "{} runs already", NODES[at]);
        self.cluster.spawn(at)?;
        for key in &self.watched {
            self.cluster.node(at)?.ask(&format!("watch {key}"))?;
        }
        self.say(&format!("{} runs again, with nothing so far.", NODES[at]));
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let began = Instant::now();
        for side in self.cluster.sides() {
            self.cluster.await_equal(&side)?;
            let took = watch::time(began.elapsed());
            self.say(&format!("{} equal, after {took}", are(&side)));
        }
        Ok(())
    }

    /// Who lacks what, as each node sees the others.
    fn lag(&mut self) -> Result<()> {
        self.say(&format!(
            "{:<5} {:>8}  {:<10}  {}",
            "node", "events", "context", "the others, as it knows them"
        ));
        let mut contexts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, name) in NODES.iter().enumerate() {
            if !self.cluster.is_alive(at) {
                self.say(&format!("{name:<5} dead"));
                continue;
            }
            let status = self.cluster.status(at)?;
            let peers = status.get("peers").map_or("", String::as_str).split(',');
            let peers: Vec<String> = peers.map(peer).collect();
            let context = status.get("context").map_or("", String::as_str);
            let events = status.get("events").map_or("", String::as_str);
            let short = context.get(..10).unwrap_or(context);
            let peers = peers.join("; ");
            self.say(&format!("{name:<5} {events:>8}  {short:<10}  {peers}"));
            contexts.entry(context.to_owned()).or_default().push(at);
        }
        let mut same: Vec<Vec<usize>> = contexts.into_values().collect();
        same.sort();
        let same: Vec<String> = same.iter().map(|side| names(side)).collect();
        self.say(&match &same[..] {
            [all] => format!("Equal: {all}"),
            _ => format!("Not equal: {}", same.join(" | ")),
        });
        Ok(())
    }

    fn status(&mut self) -> Result<()> {
        for at in self.alive() {
            let page = self.cluster.node(at)?.page.clone().unwrap_or_default();
            self.say(&format!("{}: {page}", NODES[at]));
        }
        Ok(())
    }

    fn help(&mut self) -> Result<()> {
        for (usage, what) in USAGE {
            self.say(&format!("     {usage:<32} {what}"));
        }
        self.say("What nodes can do:");
        if let Some(at) = self.alive().first() {
            for line in self.cluster.node(*at)?.help()? {
                self.say(&line);
            }
        }
        Ok(())
    }

    fn alive(&self) -> Vec<usize> {
        let all = 0..NODES.len();
        all.filter(|at| self.cluster.is_alive(*at)).collect()
    }
}

fn names(nodes: &[usize]) -> String {
    let names: Vec<&str> = nodes.iter().map(|at| NODES[*at]).collect();
    names.join(" ")
}

fn are(side: &[usize]) -> String {
    let verb = if side.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names(side))
}

/// One of the others as a node's status says it: `b:up:equal`, `b:up:behind-3`, `b:down:away-behind-3`,
/// `b:left`.
fn peer(said: &str) -> String {
    let (name, said) = said.split_once(':').unwrap_or((said, ""));
    let (state, has) = said.split_once(':').unwrap_or((said, ""));
    let lacks = |n: &str| match n.strip_prefix("behind-") {
        Some(n) => format!(", lacks {n}"),
        None => String::new(),
    };
    match has.strip_prefix("away") {
        Some(has) => {
            let lacks = lacks(has.trim_start_matches('-'));
            let heard = if lacks.is_empty() {
                ""
            } else {
                " as last heard"
            };
            let reached = if state == "up" { ", not connected" } else { "" };
            format!("{name} {state}{reached}{lacks}{heard}")
        }
        None if has == "equal" => format!("{name} {state}, has all"),
        None => format!("{name} {state}{}", lacks(has)),
    }
}

#[cfg(test)]
mod tests {
    use super::peer;

    #[test]
    fn what_a_node_knows_of_others_is_said_in_words() {
        let words = [
            ("b:up:equal", "b up, has all"),
            ("b:up:behind-3", "b up, lacks 3"),
            ("b:up:away", "b up, not connected"),
            ("b:down:away", "b down"),
            ("b:down:away-behind-3", "b down, lacks 3 as last heard"),
            ("b:left", "b left"),
        ];
        for (said, text) in words {
            assert_eq!(peer(said), text);
        }
    }
}
