//! `cargo xtask model`: the models of the replication rules, whole and with each rule left out.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use clap::Args;
use dd_testkit::model::{Features, Forget, Options, Rule, campaign};

use crate::seeds;

/// Runs the executable model of the replication rules; then leaves each rule out in turn and demands
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
            let (_, what) = Self::first_failure(rule)?;
            println!("{what}");
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
            let (runs, _) = Self::first_failure(rule)?;
            println!("without {:<12} noticed after {runs} runs", rule.name());
        }
        Ok(())
    }

    /// After how many runs it is noticed that a rule is missing, in a setting that needs it.
    fn first_failure(rule: Rule) -> Result<(u64, String)> {
        let (options, seeds) = Options::that_need(rule);
        let report = campaign(seeds, &options);
        let what = report.failures.first().map(ToString::to_string);
        let what = what
            .with_context(|| format!("nothing notices that the rule {} is missing", rule.name()))?;
        Ok((report.runs, what))
    }
}

fn settings() -> [(&'static str, Features); 4] {
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
            "with transactions",
            Features {
                transactions: true,
                ..faults
            },
        ),
    ]
}
