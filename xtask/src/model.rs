//! `cargo xtask model`: the models of the replication rules, whole and with each rule left out.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use clap::Args;
use dd_testkit::model::{Failure, Features, Forget, Options, Rule, campaign};
use dd_testkit::model::{comparison, majority, sealing, store_protocol};

use crate::seeds;

/// Seeds after which a small model is taken not to notice that a part of its rule is missing.
const SMALL: u64 = 1_000_000;

/// Runs the executable models of the replication rules; then leaves each rule out in turn and demands
/// that this is noticed.
#[derive(Debug, Args)]
pub(crate) struct Model {
    /// The seeds, as FROM..TO
    #[arg(long, default_value = "0..1000", value_parser = seeds::parse)]
    seeds: Range<u64>,
    /// Leave out this rule alone, and print the first run that shows it
    #[arg(long = "break", value_name = "RULE", value_parser = rule)]
    broken: Option<Rule>,
}

fn rule(name: &str) -> Result<Rule, String> {
    Rule::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        format!("the rules are {}", names.join(", "))
    })
}

impl Model {
    pub(crate) fn run(&self) -> Result<()> {
        if let Some(rule) = self.broken {
            let (_, failure) = Self::first_failure(rule)?;
            println!("{failure}");
            return Ok(());
        }
        for (what, features) in settings() {
            for forget in [Forget::Any, Forget::Stable] {
                let options = Options {
                    features,
                    forget,
                    ..Options::default()
                };
                let report = campaign(self.seeds.clone(), &options);
                println!(
                    "{what:<22} forgetting {forget:<8} {:>6} runs, {} failed; {} sessions cut, {} full comparisons",
                    report.runs,
                    report.failures.len(),
                    report.tally.cut,
                    report.tally.full_committed,
                    forget = format!("{forget:?}").to_lowercase(),
                );
                ensure!(report.failures.is_empty(), "{}", report.failures[0]);
            }
        }
        for rule in Rule::ALL {
            let (runs, failure) = Self::first_failure(rule)?;
            say(rule.name(), runs, &failure);
        }
        self.small_models()
    }

    /// After how many runs it is noticed that a rule is missing, in a setting that needs it.
    fn first_failure(rule: Rule) -> Result<(u64, Failure)> {
        let (options, seeds) = Options::that_need(rule);
        let report = campaign(seeds, &options);
        let failure = report.failures.into_iter().next();
        let failure = failure
            .with_context(|| format!("nothing notices that the rule {} is missing", rule.name()))?;
        Ok((report.runs, failure))
    }

    fn small_models(&self) -> Result<()> {
        let store = |broken| store_protocol::Options {
            forget_any: true,
            broken,
            stop: None,
        };
        self.small("the smallest form", |seed| {
            store_protocol::run(seed, &store(None)).map(|()| true)
        })?;
        for rule in store_protocol::Rule::ALL {
            noticed(rule, |seed| store_protocol::run(seed, &store(Some(rule))))?;
        }
        self.small("majorities", |seed| majority::run(seed, None))?;
        for part in [majority::Break::OneQuestion, majority::Break::Vote] {
            noticed(part, |seed| majority::run(seed, Some(part)))?;
        }
        self.small("sealing", |seed| sealing::run(seed, None))?;
        for part in [
            sealing::Break::OneRound,
            sealing::Break::AnyProcess,
            sealing::Break::Connected,
        ] {
            noticed(part, |seed| sealing::run(seed, Some(part)))?;
        }
        self.small("ranges", |seed| {
            comparison::run(seed, None).map(|equal| equal > 0)
        })?;
        for part in [
            comparison::Break::KeptByTheEnd,
            comparison::Break::KeptTheOne,
        ] {
            noticed(part, |seed| comparison::run(seed, Some(part)))?;
        }
        Ok(())
    }

    /// Runs a small model with all its rules.
    fn small(&self, what: &str, run: impl Fn(u64) -> Result<bool, Failure>) -> Result<()> {
        let (mut runs, mut came_to_it) = (0, 0);
        for seed in self.seeds.clone() {
            runs += 1;
            came_to_it += u64::from(run(seed)?);
        }
        println!("{what:<22} {runs} runs, 0 failed; {came_to_it} came to what they are about");
        Ok(())
    }
}

/// Demands that a small model notices that something is left out.
fn noticed<T>(part: impl std::fmt::Debug, run: impl Fn(u64) -> Result<T, Failure>) -> Result<()> {
    let failure = (0..SMALL).find_map(|seed| run(seed).err());
    let failure = failure.with_context(|| format!("nothing notices that {part:?} is left out"))?;
    say(
        &format!("{part:?}").to_lowercase(),
        failure.seed + 1,
        &failure,
    );
    Ok(())
}

fn say(name: &str, runs: u64, failure: &Failure) {
    println!(
        "without {name:<12} noticed after {runs:>6} runs, by seed {}",
        failure.seed
    );
}

fn settings() -> [(&'static str, Features); 6] {
    let faults = Features::default();
    [
        ("crashes, lost nodes", faults),
        (
            "with counters",
            Features {
                counters: true,
                ..faults
            },
        ),
        (
            "with lazy pieces",
            Features {
                lazy: true,
                ..faults
            },
        ),
        (
            "with renewed syncs",
            Features {
                renewed: true,
                ..faults
            },
        ),
        (
            "with drafts",
            Features {
                drafts: true,
                ..faults
            },
        ),
        (
            "with transactions",
            Features {
                transactions: true,
                ..faults
            },
        ),
    ]
}
