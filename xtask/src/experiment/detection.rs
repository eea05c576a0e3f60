//! How soon a failed member is noticed, and how often one that works is suspected.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use dd_extension::{MemberState, SwimTiming};
use dd_testkit::members::Members;

use super::chart::Chart;
use super::report::{About, Cell, Column, Output, Report, cells, median, number};

const COLUMNS: [Column; 8] = [
    number("loss", "%", 0),
    number("first to notice, median", "s", 1),
    number("first to notice, most", "s", 1),
    number("all have noticed, median", "s", 1),
    number("all have noticed, most", "s", 1),
    number("false suspicions", "/node h", 2),
    number("taken for dead", "/node h", 2),
    number("SWIM packets", "B/s node", 0),
];

/// Kills one of many simulated nodes, at several rates of lost packets: when the others notice, and whom
/// they take for dead though they work
#[derive(Debug, Args)]
pub(crate) struct Detection {
    /// Nodes
    #[arg(long, default_value_t = 100)]
    nodes: usize,
    /// How many of them fail, one after the other
    #[arg(long, default_value_t = 10)]
    failures: usize,
    /// Minutes to watch nodes that all work
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Packets lost of a hundred; once for each run
    #[arg(long = "loss", default_values_t = [0, 10, 25, 50])]
    losses: Vec<usize>,
}

impl Detection {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        ensure!(
            self.nodes > self.failures + 1,
            "too few nodes for so many failures"
        );
        let mut report = output.begin(About {
            title: format!(
                "One of {} members fails: until the others notice",
                self.nodes
            ),
            counted:
                "Nodes in virtual time, connected each with each, default timing, delays of 1 to \
                 21 ms. Suspicions and deaths of nodes that work, by nodes and hours; bytes: \
                 SWIM's packets as they are handed to the transport."
                    .to_owned(),
            columns: &COLUMNS,
            chart: Chart::lines(
                &["loss"],
                &[
                    "first to notice, median",
                    "all have noticed, median",
                    "all have noticed, most",
                ],
            ),
        });
        for loss in &self.losses {
            report.row(self.measure(*loss)?)?;
        }
        Ok(report)
    }

    fn measure(&self, loss: usize) -> Result<Vec<Cell>> {
        let mut members = Members::new(self.nodes, SwimTiming::default(), 42);
        members.start(0, true);
        for at in 1..self.nodes {
            members.start(at, false);
            members.connect(at, 0);
        }
        members.pass(Duration::from_secs(1));
        members.connect_known();
        members.pass(Duration::from_secs(30));
        let all_up = |members: &Members, count: usize| {
            let up = |at: usize| {
                let states = members.members(at);
                states.iter().filter(|m| m.state.is_alive()).count() == count
            };
            (0..count).all(up)
        };
        ensure!(all_up(&members, self.nodes), "the nodes did not all meet");

        members.loss = loss;
        members.changes.clear();
        let sent = members.sent.1;
        let watched = Duration::from_secs(60 * self.minutes);
        members.pass(watched);
        let bytes = members.sent.1 - sent;
        let count = |state: MemberState| {
            let of = members.changes.iter().filter(|change| change.3 == state);
            // Of one suspicion or death all hear; it is one.
            let mut whom: Vec<_> = of.map(|change| (change.2.clone(), change.0)).collect();
            whom.sort();
            let apart = Duration::from_secs(3);
            whom.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0 && later.1.since(earlier.1) < apart;
                if same {
                    earlier.1 = later.1;
                }
                same
            });
            whom.len()
        };
        let hours = self.nodes as f64 * watched.as_secs_f64() / 3600.0;
        let suspected = count(MemberState::Suspect) as f64 / hours;
        let dead = count(MemberState::Down) as f64 / hours;

        let (mut first, mut last) = (Vec::new(), Vec::new());
        for failure in 0..self.failures {
            let victim = self.nodes - 1 - failure;
            members.changes.clear();
            let killed = members.now();
            members.kill(victim);
            let mut noticed = Vec::new();
            while noticed.len() < victim {
                members.pass(Duration::from_millis(100));
                let waited = members.now().since(killed);
                ensure!(
                    waited < Duration::from_secs(120),
                    "not noticed after two minutes"
                );
                let name = Members::name(victim);
                noticed = members
                    .changes
                    .iter()
                    .filter(|(_, by, of, state)| {
                        *of == name && *state == MemberState::Down && *by < victim
                    })
                    .map(|change| change.0.since(killed).as_secs_f64())
                    .collect();
            }
            noticed.sort_by(f64::total_cmp);
            first.extend(noticed.first().copied());
            last.extend(noticed.last().copied());
        }
        let most = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
        Ok(cells![
            loss,
            median(first.clone()),
            most(&first),
            median(last.clone()),
            most(&last),
            suspected,
            dead,
            bytes as f64 / watched.as_secs_f64() / self.nodes as f64,
        ])
    }
}
