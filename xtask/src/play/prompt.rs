//! Where lines come from and where text goes: a terminal with history, or plain text.

use std::io::{IsTerminal, Lines, StdinLock, stdin};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};

/// Prints a line, also while one is being edited.
pub(super) type Printer = Arc<dyn Fn(String) + Send + Sync>;

pub(super) enum Prompt {
    Terminal(Box<DefaultEditor>),
    Plain(Lines<StdinLock<'static>>),
}

impl Prompt {
    pub(super) fn open() -> Result<(Self, Printer)> {
        if !stdin().is_terminal() {
            let lines = Self::Plain(stdin().lines());
            return Ok((lines, Arc::new(|line| println!("{line}"))));
        }
        let mut editor = DefaultEditor::new().context("opening the terminal")?;
        let printer = editor
            .create_external_printer()
            .context("opening the terminal")?;
        let printer = Mutex::new(printer);
        let print = move |line: String| {
            let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
            // A terminal that is gone ends the prompt as well.
            let _ = printer.print(format!("{line}\n"));
        };
        Ok((Self::Terminal(Box::new(editor)), Arc::new(print)))
    }

    /// Whether nobody is there to try a line again.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// The next line, if there is one.
    pub(super) fn line(&mut self, node: &str) -> Result<Option<String>> {
        match self {
            Self::Plain(lines) => lines.next().transpose().context("reading a line"),
            Self::Terminal(editor) => match editor.readline(&format!("{node}> ")) {
                Ok(line) => {
                    // A line that is not remembered is no reason to stop.
                    let _ = editor.add_history_entry(line.as_str());
                    Ok(Some(line))
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
                Err(error) => Err(error).context("reading a line"),
            },
        }
    }
}
