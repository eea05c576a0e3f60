//! Runs the simulator over a range of seeds and prints as JSON how many runs failed:
//!
//!     cargo run --release -p dd-testkit --example simulate -- 0..1000 20
//!
//! The second number ends it after so many failures.

use std::process::ExitCode;

use dd_testkit::sim::{Options, campaign};
use serde_json::json;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seeds = args.first().and_then(|seeds| {
        let (from, to) = seeds.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    let stop = args.get(1).map_or(Ok(1), |stop| stop.parse());
    let (Some(seeds), Ok(stop)) = (seeds, stop) else {
        eprintln!("seeds and a number of failures, for instance: 0..1000 20");
        return ExitCode::FAILURE;
    };
    let (tally, failures) = campaign(seeds, Options::default(), stop);
    let first = failures.first().map(ToString::to_string);
    println!(
        "{}",
        json!({ "runs": tally.runs, "failed": failures.len(), "first": first })
    );
    ExitCode::SUCCESS
}
