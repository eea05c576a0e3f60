//! Conformance cases: short histories of a value, with what each replica reads at the end, run
//! against every way in which values replicate.
//!
//! One case a line, as JSON:
//!
//! ```json
//! {"id": "removed", "type": "or_map<pn_counter>", "replicas": ["A", "B"],
//!  "steps": [{"at": "A", "do": "add", "args": ["k", 3]}, {"merge": "A", "into": "B"}],
//!  "expect": {"A": {"k": 3}, "B": {"k": 3}}}
//! ```
//!
//! (on one line). `merge A into B`: B receives all that A has. Sets are sorted lists, a register that
//! holds nothing is null, maps are objects without absent keys. `set` of an `lww_register` and `put`
//! of an `lww_map` end with the clock's reading.
//!
//! A [`Method`] is a way to replicate: [`WholeStates`], [`DeltasOnly`] and [`ThroughTheStore`]. What the operations
//! do and how values read is written once per type, in [`VectorType`], against its `Edit` and `View`;
//! a method brings only the replicas and what goes between them.

mod case;
mod deltas;
mod store;
mod types;
mod whole;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};

use serde_json::{Value, json};

use case::{Case, Step};

pub use case::{CaseError, Op};
pub use deltas::DeltasOnly;
pub use store::ThroughTheStore;
pub use types::VectorType;
pub use whole::WholeStates;

/// The replicas of one case under way, numbered from 0.
pub trait Level {
    /// Does an operation at a replica.
    ///
    /// # Errors
    ///
    /// [`CaseError`] if there is no such operation, or it is refused.
    fn apply(&mut self, replica: usize, op: &Op<'_>) -> Result<(), CaseError>;

    /// Lets `into` have all that `from` has.
    ///
    /// # Errors
    ///
    /// [`CaseError`] if it is refused.
    fn merge(&mut self, from: usize, into: usize) -> Result<(), CaseError>;

    /// The value that a replica reads.
    ///
    /// # Errors
    ///
    /// [`CaseError`] if it can't be read.
    fn read(&self, replica: usize) -> Result<Value, CaseError>;
}

/// A way to replicate.
pub trait Method {
    /// Its name in reports.
    const NAME: &'static str;

    /// Replicas of an empty value. Whatever is left to chance depends on the seed alone.
    fn begin<T: VectorType>(replicas: usize, seed: u64) -> Box<dyn Level>;
}

/// What came of a file of cases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How many cases passed, by type and method.
    pub passed: BTreeMap<(String, &'static str), usize>,
    /// Cases that gave something else.
    pub failed: Vec<Failure>,
    /// Cases that were not run.
    pub skipped: Vec<Skipped>,
}

/// A case that gave something else than it should.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The case.
    pub id: String,
    /// The method with which it was run.
    pub level: &'static str,
    /// What each replica read, or `{"error": …}`.
    pub got: Value,
    /// What each should have read.
    pub expected: Value,
}

/// A case that was not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The case.
    pub id: String,
    /// Its type.
    pub type_name: String,
    /// Why.
    pub reason: String,
}

/// A file of cases that can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The reader failed.
    #[error("reading cases: {0}")]
    Io(#[from] io::Error),
    /// A line is no case.
    #[error("line {line} is no case: {error}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// Runs a file of cases with whole states, with deltas only, and through the store.
///
/// # Errors
///
/// [`FileError`] if it can't be read.
pub fn run_file(reader: impl BufRead) -> Result<Report, FileError> {
    let cases = read_cases(reader)?;
    let mut report = Report::default();
    report.run::<WholeStates>(&cases);
    report.run::<DeltasOnly>(&cases);
    report.run::<ThroughTheStore>(&cases);
    Ok(report)
}

/// Runs a file of cases with one method.
///
/// # Errors
///
/// [`FileError`] if it can't be read.
pub fn run_file_with<M: Method>(reader: impl BufRead) -> Result<Report, FileError> {
    let mut report = Report::default();
    report.run::<M>(&read_cases(reader)?);
    Ok(report)
}

fn read_cases(reader: impl BufRead) -> Result<Vec<Case>, FileError> {
    let mut cases = Vec::new();
    for (at, line) in reader.lines().enumerate() {
        let line = line?;
        if !line.trim().is_empty() {
            let case = serde_json::from_str(&line);
            cases.push(case.map_err(|error| FileError::Line {
                line: at + 1,
                error,
            })?);
        }
    }
    Ok(cases)
}

impl Report {
    /// Whether nothing failed and something passed. Cases that were skipped don't count.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && !self.passed.is_empty()
    }

    fn run<M: Method>(&mut self, cases: &[Case]) {
        for (seed, case) in cases.iter().enumerate() {
            let Some(runner) = types::runner::<M>(&case.type_name) else {
                self.skip(case);
                continue;
            };
            let expected = Value::Object(case.expect.clone());
            let got = runner(case, seed as u64)
                .unwrap_or_else(|error| json!({ "error": error.to_string() }));
            if got == expected {
                let key = (case.type_name.clone(), M::NAME);
                *self.passed.entry(key).or_default() += 1;
            } else {
                self.failed.push(Failure {
                    id: case.id.clone(),
                    level: M::NAME,
                    got,
                    expected,
                });
            }
        }
    }

    fn skip(&mut self, case: &Case) {
        let skipped = Skipped {
            id: case.id.clone(),
            type_name: case.type_name.clone(),
            reason: format!("the type {} is not supported", case.type_name),
        };
        if !self.skipped.contains(&skipped) {
            self.skipped.push(skipped);
        }
    }
}

/// Runs a case of type `T`; what each replica reads at the end.
fn run_case<M: Method, T: VectorType>(case: &Case, seed: u64) -> Result<Value, CaseError> {
    let mut level = M::begin::<T>(case.replicas.len(), seed);
    for step in &case.steps {
        match step {
            Step::Op { at, name, args } => {
                let op = Op::new::<T>(name, args)?;
                level.apply(case.replica(at)?, &op)?;
            }
            Step::Merge { from, into } => {
                level.merge(case.replica(from)?, case.replica(into)?)?;
            }
        }
    }
    case.replicas
        .iter()
        .enumerate()
        .map(|(at, name)| Ok((name.clone(), level.read(at)?)))
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((type_name, level), passed) in &self.passed {
            writeln!(f, "{type_name}, {level}: {passed} passed")?;
        }
        for failure in &self.failed {
            let Failure {
                id,
                level,
                got,
                expected,
            } = failure;
            writeln!(f, "{id}, {level}: FAILED: got {got}, expected {expected}")?;
        }
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for skipped in &self.skipped {
            *reasons.entry(&skipped.reason).or_default() += 1;
        }
        for (reason, count) in reasons {
            writeln!(f, "{count} skipped: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = include_str!("../../tests/data/vectors.jsonl");

    fn report(lines: &str) -> Report {
        run_file(lines.as_bytes()).expect("cases")
    }

    #[test]
    fn every_supported_type_passes_with_every_method() {
        let report = report(CASES);
        assert!(report.is_good(), "{report}");
        assert_eq!(report.passed.len(), 3 * types::NAMES.len(), "{report}");
        assert_eq!(report.skipped, []);
    }

    #[test]
    fn a_wrong_expectation_fails_with_every_method() {
        for (nth, line) in CASES.lines().enumerate() {
            let mut case: Value = serde_json::from_str(line).expect("a case");
            case["expect"]["A"] = json!("something else");
            let report = report(&case.to_string());
            assert!(report.passed.is_empty(), "case {nth}");
            let levels: Vec<_> = report.failed.iter().map(|f| f.level).collect();
            assert_eq!(
                levels,
                [WholeStates::NAME, DeltasOnly::NAME, ThroughTheStore::NAME]
            );
            assert!(!report.is_good());
        }
    }

    #[test]
    fn an_unknown_type_is_skipped_and_never_passed() {
        let report = report(
            r#"{"id":"x","type":"or_map<nothing>","replicas":["A"],"steps":[],"expect":{"A":{}}}"#,
        );
        assert!(report.passed.is_empty() && report.failed.is_empty() && !report.is_good());
        assert_eq!(report.skipped.len(), 1);
        assert_eq!(
            report.to_string(),
            "1 skipped: the type or_map<nothing> is not supported\n"
        );
    }

    #[test]
    fn what_a_type_can_not_do_fails() {
        let case = |type_name: &str, step: &str| {
            format!(
                r#"{{"id":"x","type":"{type_name}","replicas":["A"],"steps":[{step}],"expect":{{"A":0}}}}"#
            )
        };
        for (type_name, step) in [
            ("g_counter", r#"{"at":"A","do":"reset","args":[]}"#),
            ("g_counter", r#"{"at":"A","do":"inc","args":[-1]}"#),
            ("pn_counter", r#"{"at":"A","do":"add","args":["1"]}"#),
            ("pn_counter", r#"{"at":"A","do":"add","args":[1,2]}"#),
            ("pn_counter", r#"{"at":"A","do":"add","args":[]}"#),
            ("pn_counter", r#"{"at":"B","do":"add","args":[1]}"#),
            ("pn_counter", r#"{"merge":"B","into":"A"}"#),
            ("lww_register", r#"{"at":"A","do":"set","args":["a"]}"#),
            ("or_map<pn_counter>", r#"{"at":"A","do":"add","args":[]}"#),
        ] {
            let report = report(&case(type_name, step));
            assert!(report.passed.is_empty(), "{type_name} {step}");
            assert_eq!(report.failed.len(), 3, "{type_name} {step}");
            assert!(report.failed.iter().all(|f| f.got["error"].is_string()));
        }
    }

    #[test]
    fn a_line_that_is_no_case_is_an_error() {
        for line in [
            "[]",
            "{}",
            r#"{"id":"x","type":"g_counter","replicas":[],"steps":[{}],"expect":{}}"#,
        ] {
            let lines = format!("\n{line}\n");
            let error = run_file(lines.as_bytes()).expect_err("no case");
            assert!(matches!(error, FileError::Line { line: 2, .. }), "{error}");
        }
    }
}
