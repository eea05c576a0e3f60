//! `cargo xtask`: everything about the project that is more than a test.

mod bench;
mod cargo;
mod certs;
mod ci;
mod cluster;
mod conformance;
mod demo;
mod exhaust;
mod experiment;
mod laws;
mod model;
mod mutants;
mod no_std;
mod play;
mod sabotage;
mod seeds;
mod sim;
mod situations;
mod status_page;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// As the node program has it, so that experiments in this process measure the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Project commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Play(play::Play),
    StatusPage(status_page::StatusPage),
    Sim(sim::Sim),
    Situations(situations::Situations),
    Exhaust(exhaust::Exhaust),
    Sabotage(sabotage::Sabotage),
    Model(model::Model),
    Conformance(conformance::Conformance),
    Laws(laws::Laws),
    Mutants(mutants::Mutants),
    Certs(certs::Certs),
    Experiment(experiment::Experiment),
    #[command(subcommand)]
    Bench(bench::Bench),
    NoStd(no_std::NoStd),
    Ci(ci::Ci),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Play(play) => play.run(),
        Command::StatusPage(page) => page.run(),
        Command::Sim(sim) => sim.run(),
        Command::Situations(situations) => situations.run(),
        Command::Exhaust(exhaust) => exhaust.run(),
        Command::Sabotage(sabotage) => sabotage.run(),
        Command::Model(model) => model.run(),
        Command::Conformance(conformance) => conformance.run(),
        Command::Laws(laws) => laws.run(),
        Command::Mutants(mutants) => mutants.run(),
        Command::Certs(certs) => certs.run(),
        Command::Experiment(experiment) => experiment.run(),
        Command::Bench(bench) => bench.run(),
        Command::NoStd(no_std) => no_std.run(),
        Command::Ci(ci) => ci.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
