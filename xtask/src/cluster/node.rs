//! A node process: lines in, answers out.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::{Settings, Transcript, clipped};

/// How often nodes probe each other, in milliseconds: five times as often as by default, so that it is soon
/// said that one is down.
const PROBE: &str = "200";

/// Is told the name of a node and what it says of a key that is watched.
pub(crate) type OnChange = Arc<dyn Fn(&'static str, &str) + Send + Sync>;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a node is, and where it finds others.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: SocketAddr,
    /// Without any it begins the cluster.
    pub(crate) seeds: Vec<SocketAddr>,
}

/// A process that runs, or ran. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Node {
    name: &'static str,
    child: Child,
    lines: ChildStdin,
    answers: Receiver<String>,
    transcript: Transcript,
    /// Its status page, if it serves one.
    pub(crate) page: Option<String>,
}

impl Node {
    /// Starts a node with the certificates in `certs`.
    pub(crate) fn start(
        program: &Path,
        name: &'static str,
        certs: &Path,
        place: &Place,
        settings: &Settings,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("--ca").arg(certs.join("ca.pem"));
        command.arg("--cert").arg(certs.join(format!("{name}.pem")));
        command.arg("--key").arg(certs.join(format!("{name}.key")));
        command.arg("--listen").arg(place.listen.to_string());
        command.arg("--advertise").arg(place.advertise.to_string());
        command.args(["--probe", PROBE]);
        if place.seeds.is_empty() {
            command.arg("--bootstrap");
        }
        for seed in &place.seeds {
            command.arg("--seed").arg(seed.to_string());
        }
        if settings.status_pages {
            command.arg("--status").arg("127.0.0.1:0");
        }
        // What a node warns of (a peer that was killed, a wire that was cut) is what is done to it here.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let lines = child
            .stdin
            .take()
            .context("the node has no standard input")?;
        let output = child
            .stdout
            .take()
            .context("the node has no standard output")?;
        let warnings = child
            .stderr
            .take()
            .context("the node has no standard error")?;
        let warned = settings.transcript.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(warnings).lines().map_while(Result::ok) {
                warned.add(name, &format!(": {line}"));
            }
        });
        let (answer, answers) = channel();
        let on_change = Arc::clone(&settings.on_change);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(change) = line.strip_prefix("change ") {
                    on_change(name, change);
                } else if answer.send(line).is_err() {
                    break;
                }
            }
        });
        let mut node = Self {
            name,
            child,
            lines,
            answers,
            transcript: settings.transcript.clone(),
            page: None,
        };
        let said = node.line()?;
        ensure!(said.starts_with("ok "), "node {name} said {said:?}");
        if settings.status_pages {
            let said = node.line()?;
            let page = said.strip_prefix("page ").map(str::to_owned);
            node.page = Some(page.with_context(|| format!("node {name} said {said:?}"))?);
        }
        Ok(node)
    }

    /// Gives the node a line and waits for its answer. What it refuses is an error.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String> {
        let answer = self.try_ask(line)?;
        answer.map_err(|error| anyhow!("{}> {}: {error}", self.name, clipped(line)))
    }

    /// Gives the node a line and waits for its answer, or for what it says of a line that it refuses.
    pub(crate) fn try_ask(&mut self, line: &str) -> Result<Result<String, String>> {
        // It is asked all the time, and answers otherwise each time.
        let is_noted = line != "status";
        if is_noted {
            self.transcript.add(self.name, &format!("> {line}"));
        }
        writeln!(self.lines, "{line}").with_context(|| format!("node {} is gone", self.name))?;
        let said = self.line()?;
        if is_noted {
            self.transcript.add(self.name, &format!(": {said}"));
        }
        Ok(match said.strip_prefix("ok ") {
            Some(answer) => Ok(answer.to_owned()),
            None => Err(said.strip_prefix("error ").unwrap_or(&said).to_owned()),
        })
    }

    /// What it knows to do, line by line.
    pub(crate) fn help(&mut self) -> Result<Vec<String>> {
        writeln!(self.lines, "help").with_context(|| format!("node {} is gone", self.name))?;
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.starts_with("ok ") {
                return Ok(lines);
            }
            lines.push(line);
        }
    }

    fn line(&mut self) -> Result<String> {
        self.answers
            .recv_timeout(PATIENCE)
            .with_context(|| format!("node {} does not answer", self.name))
    }

    /// The status as names and values.
    pub(crate) fn status(&mut self) -> Result<BTreeMap<String, String>> {
        let status = self.ask("status")?;
        let pairs = status
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        Ok(pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// Kills it without a word.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("killing a node")?;
        self.child.wait().context("waiting for a killed node")?;
        Ok(())
    }

    /// Ends it by a line that has it end. Returns whether it ended well.
    pub(crate) fn end_by(&mut self, line: &str) -> Result<bool> {
        self.ask(line)?;
        Ok(self
            .child
            .wait()
            .context("waiting for a node to end")?
            .success())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails if it has ended, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
