//! `cargo xtask sim`: the simulator over many seeds.

use std::ops::Range;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use dd_testkit::sim::{self, Failure, Options, Tally};
use serde_json::{Map, json};

use crate::seeds;

/// Failures that are printed and end a campaign.
const STOP: usize = 5;

/// Runs the simulator: seeded networks, crashes and clocks, every replica held against the oracle
/// after every step.
#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// The seeds, as FROM..TO; one seed to repeat a failure: 17..18
    #[arg(long, default_value = "0..1000", value_parser = seeds::parse)]
    seeds: Range<u64>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Sim {
    pub(crate) fn run(&self) -> Result<()> {
        let began = Instant::now();
        let outcomes = seeds::run(self.seeds.clone(), STOP, |seed| {
            sim::run(seed, Options::default())
        });
        let (mut tally, mut failures) = (Tally::default(), Vec::new());
        for (_, outcome) in outcomes {
            match outcome {
                Ok(one) => tally.add(&one),
                Err(failure) => {
                    tally.runs += 1;
                    failures.push(failure);
                }
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        if self.json {
            println!("{}", as_json(&tally, &failures, seconds));
        } else {
            print(&tally, &failures, seconds);
        }
        match failures.first() {
            None => Ok(()),
            Some(first) => bail!(
                "{} of {} runs failed; repeat the first with: cargo xtask sim --seeds {}..{}",
                failures.len(),
                tally.runs,
                first.seed,
                first.seed + 1
            ),
        }
    }
}

fn as_json(tally: &Tally, failures: &[Failure], seconds: f64) -> serde_json::Value {
    let counts: Map<String, _> = tally
        .fields()
        .iter()
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    let failures: Vec<_> = failures
        .iter()
        .map(|failure| json!({ "seed": failure.seed, "what": failure.what }))
        .collect();
    let trace = format!("{:016x}", tally.trace);
    json!({ "seconds": seconds, "counts": counts, "trace": trace, "failures": failures })
}

fn print(tally: &Tally, failures: &[Failure], seconds: f64) {
    for failure in failures {
        println!("{failure}\n");
    }
    for (name, count) in tally.fields() {
        println!("{:<26} {count:>12}", name.replace('_', " "));
    }
    println!("{:<26} {:>12}", "trace", format!("{:016x}", tally.trace));
    println!("{} failures, {seconds:.1} s", failures.len());
}
