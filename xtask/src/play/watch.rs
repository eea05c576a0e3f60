//! Changes of watched keys, as they come, with how long after the write that was.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::prompt::Printer;

pub(super) struct Watch {
    print: Printer,
    /// When a line for a key was given to a node last.
    writes: Mutex<BTreeMap<String, Instant>>,
}

impl Watch {
    pub(super) fn new(print: Printer) -> Self {
        let writes = Mutex::default();
        Self { print, writes }
    }

    /// A line is given to a node now: if it writes, its second word is the key.
    pub(super) fn writes(&self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        if matches!(verb, "get" | "watch" | "unwatch" | "keys" | "status") {
            return;
        }
        if let Some(key) = words.next() {
            let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
            writes.insert(key.to_owned(), Instant::now());
        }
    }

    /// A node says that a key changed.
    pub(super) fn changed(&self, node: &str, change: &str) {
        let now = Instant::now();
        let key = change.split_whitespace().next().unwrap_or_default();
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let after = writes.get(key).map_or_else(String::new, |at| {
            format!("   ({} after the write)", time(now.duration_since(*at)))
        });
        drop(writes);
        (self.print)(format!("     {node} sees {change}{after}"));
    }
}

pub(super) fn time(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 1000.0 {
        format!("{millis:.1} ms")
    } else {
        format!("{:.2} s", millis / 1000.0)
    }
}
