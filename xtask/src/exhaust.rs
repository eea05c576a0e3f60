//! `cargo xtask exhaust`: everything that a few replicas can come to with a few events.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use dd_testkit::exhaust::{Bounds, CALLS, exhaust};
use indicatif::{ProgressBar, ProgressStyle};

/// Tries every order in which two or three replicas can make a few events, exchange frames, lose connections,
/// crash and forget, and holds every state against the oracle.
#[derive(Debug, Args)]
pub(crate) struct Exhaust {
    /// Nodes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    replicas: u8,
    /// Local calls that make events, of all nodes together
    #[arg(long, default_value_t = 2)]
    events: usize,
    /// The kinds of calls that are made; with fewer kinds there can be more events
    #[arg(long, value_delimiter = ',', default_values_t = CALLS.map(str::to_owned), value_parser = CALLS)]
    calls: Vec<String>,
    /// Connections that break
    #[arg(long, default_value_t = 1)]
    cuts: usize,
    /// Processes that crash, and return empty or as they were
    #[arg(long, default_value_t = 1)]
    crashes: usize,
    /// How often time passes, so that what all have is forgotten
    #[arg(long, default_value_t = 1)]
    waits: usize,
    /// Frames that may be on their way in each direction; with 0 a frame arrives when it is made
    #[arg(long, default_value_t = 0)]
    in_flight: usize,
    /// Different states after which it is given up
    #[arg(long, default_value_t = 20_000_000)]
    states: u64,
}

impl Exhaust {
    pub(crate) fn run(&self) -> Result<()> {
        let bounds = Bounds {
            replicas: usize::from(self.replicas),
            events: self.events,
            calls: CALLS.map(|call| self.calls.iter().any(|chosen| chosen == call)),
            cuts: self.cuts,
            crashes: self.crashes,
            waits: self.waits,
            in_flight: self.in_flight,
            states: self.states,
        };
        let began = Instant::now();
        let progress = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {pos} states, {elapsed}");
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let outcome = exhaust(bounds, |states| progress.set_position(states));
        progress.finish_and_clear();
        let covered = match outcome {
            Ok(covered) => covered,
            Err(fault) => bail!("a fault:\n{fault}"),
        };
        println!(
            "{} replicas, up to {} events ({}), {} cuts, {} crashes and {} times that time passes, {} frames on their way:",
            self.replicas,
            self.events,
            self.calls.join(", "),
            self.cuts,
            self.crashes,
            self.waits,
            self.in_flight
        );
        println!("{:<28} {:>12}", "different states", covered.states);
        println!("{:<28} {:>12}", "steps between them", covered.steps);
        println!("{:<28} {:>12}", "at rest, and then equal", covered.at_rest);
        println!("{:<28} {:>12}", "longest way, in steps", covered.depth);
        println!("{:<28} {:>12.1}", "seconds", began.elapsed().as_secs_f64());
        if covered.complete {
            println!("No fault, and that was all that there is within these bounds.");
        } else {
            println!("No fault so far; it was given up at the greatest number of states.");
        }
        Ok(())
    }
}
