//! What an experiment has measured: rows of cells under columns with units, shown as a table, as JSON, as CSV
//! and as a picture.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::chart::{self, Chart};

/// Columns of text on a terminal.
const LINE: usize = 110;
/// Longest line in the head of a column of numbers.
const HEAD: usize = 11;

/// Where results go.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Prints one JSON object and no table
    #[arg(long, global = true)]
    json: bool,
    /// Where the CSV file and the picture are put
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "target/experiments"
    )]
    out: PathBuf,
}

/// What stands in a column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// As wide as its texts are.
    Text(usize),
    /// With so many digits after the point.
    Number(usize),
}

/// A column of texts that are at most so wide.
pub(super) const fn text(name: &'static str, width: usize) -> Column {
    let (unit, shape) = ("", Shape::Text(width));
    Column { name, unit, shape }
}

/// A column of numbers, shown with so many digits after the point.
pub(super) const fn number(name: &'static str, unit: &'static str, digits: usize) -> Column {
    let shape = Shape::Number(digits);
    Column { name, unit, shape }
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// Not measured, or without a meaning here.
    None,
    Text(String),
    Count(u64),
    Real(f64),
}

/// A row of what can become cells.
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$($crate::experiment::report::Cell::from($cell)),*] };
}
pub(super) use cells;

macro_rules! cell_from {
    ($($from:ty: $value:ident => $cell:expr),* $(,)?) => {
        $(impl From<$from> for Cell {
            fn from($value: $from) -> Self {
                $cell
            }
        })*
    };
}
cell_from!(
    &str: text => Cell::Text(text.to_owned()),
    String: text => Cell::Text(text),
    u32: count => Cell::Count(count.into()),
    u64: count => Cell::Count(count),
    usize: count => Cell::Count(count as u64),
    f64: real => Cell::Real(real),
);

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::None, Into::into)
    }
}

impl Cell {
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Cell::Count(count) => Some(*count as f64),
            Cell::Real(real) => Some(*real),
            Cell::None | Cell::Text(_) => None,
        }
    }

    /// As precise as it was measured.
    pub(super) fn plain(&self) -> String {
        match self {
            Cell::None => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Real(real) => real.to_string(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Cell::None => Value::Null,
            Cell::Text(text) => json!(text),
            Cell::Count(count) => json!(count),
            Cell::Real(real) => json!(real),
        }
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::String(text) => Cell::Text(text.clone()),
            Value::Number(number) => match number.as_u64() {
                Some(count) => Cell::Count(count),
                None => number.as_f64().map_or(Cell::None, Cell::Real),
            },
            _ => Cell::None,
        }
    }
}

/// What an experiment says of itself before it begins.
#[derive(Debug)]
pub(super) struct About {
    pub(super) title: String,
    /// What is counted, and at which layer.
    pub(super) counted: String,
    pub(super) columns: &'static [Column],
    pub(super) chart: Chart,
}

/// What was measured so far.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) about: About,
    pub(super) rows: Vec<Vec<Cell>>,
    note: String,
    output: &'a Output,
}

impl Output {
    /// Begins a report, and prints the head of its table.
    pub(super) fn begin(&self, about: About) -> Report<'_> {
        let report = Report {
            about,
            rows: Vec::new(),
            note: String::new(),
            output: self,
        };
        if !self.json {
            report.print_head();
        }
        report
    }
}

impl Report<'_> {
    /// Adds a row, and prints it.
    pub(super) fn row(&mut self, cells: Vec<Cell>) -> Result<()> {
        let columns = self.about.columns.len();
        ensure!(cells.len() == columns, "{cells:?} for {columns} columns");
        if !self.output.json {
            print_line(self.about.columns.iter().zip(&cells).map(|(column, cell)| {
                let shown = match (cell, &column.shape) {
                    (Cell::Real(real), Shape::Number(digits)) => format!("{real:.digits$}"),
                    _ => cell.plain(),
                };
                (column, shown)
            }));
            std::io::stdout().flush()?;
        }
        self.rows.push(cells);
        Ok(())
    }

    /// Adds the rows that another program prints, each a JSON array on a line.
    pub(super) fn rows_of(&mut self, command: &mut Command) -> Result<()> {
        let shown = format!("{command:?}");
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {shown}"))?;
        let stdout = child.stdout.take().context("it has no output")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let Ok(Value::Array(cells)) = serde_json::from_str(&line) else {
                bail!("{shown} printed what is no row: {line}");
            };
            self.row(cells.iter().map(Cell::of).collect())?;
        }
        let status = child.wait()?;
        ensure!(status.success(), "{shown} failed: {status}");
        Ok(())
    }

    /// Says something about the rows.
    pub(super) fn note(&mut self, note: &str) {
        self.note = note.to_owned();
    }

    fn print_head(&self) {
        for line in [&self.about.title, &self.about.counted] {
            println!("{}", wrap(line, LINE).join("\n"));
        }
        println!();
        let names: Vec<_> = self.about.columns.iter().map(Column::head).collect();
        let lines = names.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..lines {
            let line = |names: &Vec<String>| {
                // The last lines stand next to the numbers.
                let from = lines - names.len();
                let line = at.checked_sub(from).and_then(|at| names.get(at));
                line.cloned().unwrap_or_default()
            };
            print_line(self.about.columns.iter().zip(names.iter().map(line)));
        }
    }

    /// Writes the files, and prints what is not printed yet.
    pub(super) fn finish(&self, name: &str) -> Result<()> {
        let folder = &self.output.out;
        let write = |extension: &str, text: String| -> Result<()> {
            let path = folder.join(name).with_extension(extension);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            eprintln!("Written: {}", path.display());
            Ok(())
        };
        if self.output.json {
            println!("{}", self.json(name));
        } else if !self.note.is_empty() {
            println!("\n{}\n", wrap(&self.note, LINE).join("\n"));
        } else {
            println!();
        }
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        write("csv", self.csv())?;
        write("svg", chart::draw(self)?)
    }

    fn json(&self, name: &str) -> Value {
        let column = |column: &Column| json!({"name": column.name, "unit": column.unit});
        let row = |row: &Vec<Cell>| row.iter().map(Cell::json).collect::<Value>();
        json!({
            "experiment": name,
            "title": self.about.title,
            "counted": self.about.counted,
            "note": self.note,
            "processors": processors(),
            "columns": self.about.columns.iter().map(column).collect::<Value>(),
            "rows": self.rows.iter().map(row).collect::<Value>(),
        })
    }

    fn csv(&self) -> String {
        let line = |fields: Vec<String>| {
            let quoted = fields.iter().map(|field| {
                let special = field.contains([',', '"', '\n']);
                match special {
                    true => format!("\"{}\"", field.replace('"', "\"\"")),
                    false => field.clone(),
                }
            });
            quoted.collect::<Vec<_>>().join(",") + "\n"
        };
        let head = self.about.columns.iter().map(Column::title).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(Cell::plain));
        line(head) + &rows.map(|row| line(row.collect())).collect::<String>()
    }
}

impl Column {
    /// Its name with its unit.
    pub(super) fn title(&self) -> String {
        match self.unit {
            "" => self.name.to_owned(),
            unit => format!("{} ({unit})", self.name),
        }
    }

    fn head(&self) -> Vec<String> {
        match self.shape {
            Shape::Text(width) => wrap(self.name, width.max(HEAD)),
            Shape::Number(_) => {
                let mut lines = wrap(self.name, HEAD);
                lines.push(self.unit.to_owned());
                lines
            }
        }
    }
}

fn print_line<'a>(cells: impl Iterator<Item = (&'a Column, String)>) {
    let shown = cells.map(|(column, cell)| match column.shape {
        Shape::Text(width) => format!("{cell:<width$}"),
        Shape::Number(_) => format!("{cell:>HEAD$}"),
    });
    let line = shown.collect::<Vec<_>>().join(" ");
    println!("{}", line.trim_end());
}

/// Lines of whole words that are at most so wide, if the words are.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// How many threads can run at a time.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The one in the middle.
pub(super) fn median<T: Copy + Default + PartialOrd>(mut of: Vec<T>) -> T {
    of.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    of.get(of.len() / 2).copied().unwrap_or_default()
}
