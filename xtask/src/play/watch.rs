//! Changes of watched keys, as they come, with how long after the write that was.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::prompt::Printer;

/// What a node can do with a key, or with what looks like one, that is no write.
const READS: [&str; 8] = [
    "get",
    "watch",
    "unwatch",
    "keys",
    "status",
    "deadline",
    "expire-idle",
    "own",
];

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

    /// A line is given to a node now.
    pub(super) fn writes(&self, line: &str) {
        let now = Instant::now();
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        writes.extend(written(line).map(|key| (key.to_owned(), now)));
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

/// The keys that a line for a node writes: the second word, of each one of several that take effect as one.
fn written(line: &str) -> impl Iterator<Item = &str> {
    let lines = line.trim().strip_prefix("together ").unwrap_or(line);
    lines.split(" ; ").filter_map(|line| {
        let mut words = line.split_whitespace();
        let verb = words.next()?;
        words.next().filter(|_| !READS.contains(&verb))
    })
}

pub(super) fn time(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 1000.0 {
        format!("{millis:.1} ms")
    } else {
        format!("{:.2} s", millis / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn the_keys_that_a_line_writes_are_known() {
        let keys = |line| written(line).collect::<Vec<_>>();
        assert_eq!(keys("insert cart apple"), ["cart"]);
        assert_eq!(keys("together add hits 1 ; set motd hi"), ["hits", "motd"]);
        assert_eq!(keys("expire cart 60"), ["cart"]);
        for line in [
            "get cart",
            "deadline cart",
            "own session/ web",
            "members",
            "",
        ] {
            assert!(keys(line).is_empty(), "{line}");
        }
    }
}
