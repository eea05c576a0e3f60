//! What keys and elements have allocated.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use super::chart::Chart;
use super::report::{About, Cell, Column, Output, Report, cells, number, text};
use crate::cargo::cargo;

const COLUMNS: [Column; 4] = [
    text("", 44),
    number("each", "B", 1),
    number("its name", "B", 0),
    number("over its name", "B", 1),
];

/// Bytes that a store has allocated for each counter, register and element: fresh, after many changes, and after
/// all were deleted.
#[derive(Debug, Args)]
pub(crate) struct Memory {
    /// Keys, and elements
    #[arg(long, default_value_t = 1_000_000)]
    items: usize,
}

impl Memory {
    pub(crate) fn run<'a>(&self, output: &'a Output) -> Result<Report<'a>> {
        let mut report = output.begin(About {
            title: format!("Memory of {} keys or elements of each kind", self.items),
            counted:
                "What is allocated in a process and not freed, as asked of the allocator, with \
                      all that the store keeps for it: index, fingerprints, shapes. One writer, no \
                      peers. Its name: of the key or element as it is stored."
                    .to_owned(),
            columns: &COLUMNS,
            chart: Chart::bars(&[""], &["over its name"]),
        });
        for (what, each, name) in heap(self.items)? {
            let over = each - f64::from(name);
            let name = (name > 0).then_some(name);
            report.row(cells![
                what,
                each,
                name,
                name.map_or(Cell::None, |_| over.into())
            ])?;
        }
        Ok(report)
    }
}

/// What each kind of item has allocated, in bytes each, and how long its name is: counted by a program of its own.
pub(super) fn heap(items: usize) -> Result<Vec<(String, f64, u32)>> {
    let output = cargo()
        .args(["run", "--release", "--quiet", "--package", "xtask"])
        .args(["--bin", "items-heap", "--", &items.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo")?;
    ensure!(
        output.status.success(),
        "the program that counts has failed"
    );
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).context("what it counted")?;
    let row = |row: &Value| {
        let (what, each) = (row[0].as_str()?, row[1].as_f64()?);
        let name = u32::try_from(row[2].as_u64()?).ok()?;
        Some((what.to_owned(), each, name))
    };
    let rows: Option<Vec<_>> = rows.iter().map(row).collect();
    rows.context("it printed no rows")
}
