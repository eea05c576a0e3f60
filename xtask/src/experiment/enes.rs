//! What replicas send in the experiments of Enes et al.

use anyhow::{Result, anyhow};
use clap::Args;
use dd_testkit::enes::{self, Topology, Workload};

use super::chart::Chart;
use super::report::{About, Column, Output, Report, cells, number, text};

const COLUMNS: [Column; 8] = [
    text("", 24),
    number("elements", "", 0),
    number("metadata", "8 B", 0),
    number("frames", "kB", 1),
    number("BP+RR elements", "", 0),
    number("BP+RR metadata", "8 B", 0),
    number("ratio of both", "", 2),
    number("least elements", "", 0),
];

/// The experiments of Enes et al. (ICDE 2019) in virtual time: elements and metadata that each node sends, beside the
/// protocol that was best there.
#[derive(Debug, Args)]
pub(crate) struct Enes {
    /// Only those whose name contains this
    #[arg(default_value = "")]
    only: String,
}

impl Enes {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: "Elements that each node sends in the experiments of Enes et al.".to_owned(),
            counted: format!(
                "Each node makes one event a second for {} s, in virtual time. For each node: \
                 elements sent, and everything else in numbers of 8 bytes. BP+RR: the paper's \
                 best, counted by its rules in the same run, two numbers for each message. Every \
                 element has to arrive at every other node once: the least.",
                enes::EVENTS
            ),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["least elements", "elements", "BP+RR elements"]).log(),
        });
        let mut cases = vec![
            (
                "set, mesh of 15".to_owned(),
                Topology::mesh(),
                Workload::GSet,
            ),
            (
                "set, tree of 15".to_owned(),
                Topology::tree(),
                Workload::GSet,
            ),
        ];
        for percent in [10, 30, 60, 100] {
            let name = format!("map {percent} %, mesh of 15");
            cases.push((name, Topology::mesh(), Workload::GMap(percent)));
        }
        for nodes in [16, 32, 64] {
            let name = format!("set, mesh of {nodes}");
            cases.push((name, Topology::chords(nodes), Workload::GSet));
        }
        for zipf in [0.5, 1.0, 1.25, 1.5] {
            let name = format!("retwis {zipf}, mesh of 50");
            cases.push((name, Topology::chords(50), Workload::Retwis(zipf)));
        }
        for (name, topology, workload) in cases {
            if !name.contains(&self.only) {
                continue;
            }
            let theirs = enes::bp_rr(&topology, workload);
            let ours = enes::replicas(&topology, workload).map_err(|what| anyhow!(what))?;
            report.row(cells![
                name,
                ours.elements,
                ours.metadata,
                ours.bytes / 1e3,
                theirs.elements,
                theirs.metadata,
                (ours.elements + ours.metadata) / (theirs.elements + theirs.metadata),
                enes::least(&topology, workload),
            ])?;
        }
        Ok(report)
    }
}
