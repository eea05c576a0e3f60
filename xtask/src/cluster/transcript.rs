//! What nodes were told, answered and warned of, for whoever has to find out what went wrong.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that are kept.
const LINES: usize = 300;
/// A line is not taken down once more while it is among so many of the last ones: a question that is asked again
/// and again, with the same answer.
const ANEW: usize = 8;
/// Characters of a line that are kept.
const WIDTH: usize = 300;

/// The last lines of some nodes. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript(Arc<Mutex<VecDeque<String>>>);

impl Transcript {
    /// Adds what one node said, or was told.
    pub(super) fn add(&self, node: &str, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{node}{}", clipped(line));
        if lines.iter().rev().take(ANEW).any(|last| *last == line) {
            return;
        }
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// All that is kept, the oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }
}

/// The beginning of a text, if it is long.
pub(crate) fn clipped(text: &str) -> String {
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
