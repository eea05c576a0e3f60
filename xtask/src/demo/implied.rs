//! What the file implies: the value of every key from the operations alone and from who had seen
//! what, by the definitions of the types. Knows nothing of replicas.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

/// How many events of each process were seen.
type Seen = BTreeMap<usize, u64>;

#[derive(Clone, Debug)]
struct Event {
    process: usize,
    number: u64,
    seen: Seen,
    key: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Add(i64),
    Insert(String),
    Set(String),
    Assign(String),
    Put(String, String),
    Count(String, i64),
    /// Removes under a shape, all or one element.
    Remove(&'static str, Option<String>),
    Delete,
}

const COUNTER: &str = "pn_counter";
const SET: &str = "or_set<str>";
const TEXT: &str = "lww_register";
const TEXTS: &str = "mv_register";
const FIELDS: &str = "lww_map<str>";
const COUNTS: &str = "or_map<str,pn_counter>";

impl What {
    /// The shape and, in sets and maps, the element that it is about.
    fn place(&self) -> (&'static str, Option<&str>) {
        match self {
            What::Add(_) => (COUNTER, None),
            What::Insert(e) => (SET, Some(e)),
            What::Set(_) => (TEXT, None),
            What::Assign(_) => (TEXTS, None),
            What::Put(field, _) => (FIELDS, Some(field)),
            What::Count(field, _) => (COUNTS, Some(field)),
            What::Remove(shape, e) => (shape, e.as_deref()),
            What::Delete => ("", None),
        }
    }

    /// Whether it takes away, or replaces, what it saw of `other`.
    fn removes(&self, other: &What) -> bool {
        match self {
            What::Delete => true,
            What::Remove(shape, element) => {
                let (other_shape, other_element) = other.place();
                *shape == other_shape && (element.is_none() || element.as_deref() == other_element)
            }
            What::Set(_) | What::Assign(_) | What::Put(..) => self.place() == other.place(),
            What::Add(_) | What::Insert(_) | What::Count(..) => false,
        }
    }
}

/// All operations so far, in the order of the file, and what each process has seen.
#[derive(Debug, Default)]
pub(crate) struct Implied {
    events: Vec<Event>,
    known: BTreeMap<usize, Seen>,
}

impl Implied {
    /// A process runs a line.
    pub(crate) fn line(&mut self, process: usize, line: &str) -> Result<()> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if verb == "repeat" {
            let (times, line) = rest
                .trim()
                .split_once(' ')
                .context("repeat 10 add hits 1")?;
            for i in 0..times.parse::<u64>()? {
                self.line(process, &line.trim().replace("{i}", &i.to_string()))?;
            }
            return Ok(());
        }
        if verb == "together" {
            let mut lines = rest.split(" ; ");
            return lines.try_for_each(|line| self.line(process, line.trim()));
        }
        let (key, rest) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let rest = rest.trim();
        let (field, value) = rest.split_once(' ').unwrap_or((rest, ""));
        let (field, value) = (field.to_owned(), value.trim());
        let what = match verb {
            "add" => What::Add(rest.parse()?),
            "insert" => What::Insert(rest.to_owned()),
            "set" => What::Set(rest.to_owned()),
            "assign" => What::Assign(rest.to_owned()),
            "put" => What::Put(field, value.to_owned()),
            "count" => What::Count(field, value.parse()?),
            "reset" => What::Remove(COUNTER, None),
            "clear" => What::Remove(SET, None),
            "remove" => What::Remove(SET, Some(rest.to_owned())),
            "unput" => What::Remove(FIELDS, Some(rest.to_owned())),
            "uncount" => What::Remove(COUNTS, Some(rest.to_owned())),
            "delete" => What::Delete,
            "get" | "keys" | "status" | "watch" | "unwatch" | "ready" => return Ok(()),
            "expire" | "expire-idle" | "own" => bail!(
                "{verb:?} can't stand in a file of operations: what becomes of it depends on when"
            ),
            other => bail!("{other:?} can't stand in a file of operations"),
        };
        let known = self.known.entry(process).or_default();
        let seen = known.clone();
        let number = known.get(&process).copied().unwrap_or(0) + 1;
        known.insert(process, number);
        self.events.push(Event {
            process,
            number,
            seen,
            key: key.to_owned(),
            what,
        });
        Ok(())
    }

    /// Processes have exchanged everything.
    pub(crate) fn exchanged(&mut self, processes: &[usize]) {
        let mut all = Seen::new();
        for process in processes {
            for (of, n) in self.known.entry(*process).or_default().iter() {
                let most = all.entry(*of).or_default();
                *most = (*most).max(*n);
            }
        }
        for process in processes {
            self.known.insert(*process, all.clone());
        }
    }

    /// The keys that hold anything, with their values as a node prints them.
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        let mut by_key: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &self.events {
            by_key.entry(&event.key).or_default().push(event);
        }
        let values = by_key
            .into_iter()
            .map(|(key, events)| (key.to_owned(), value(&events)));
        values.filter(|(_, value)| !value.is_empty()).collect()
    }
}

fn value(events: &[&Event]) -> String {
    let saw = |later: &Event, e: &Event| later.seen.get(&e.process).is_some_and(|n| *n >= e.number);
    let removers: Vec<_> = events
        .iter()
        .filter(|e| !matches!(e.what, What::Add(_) | What::Insert(_) | What::Count(..)))
        .collect();
    let is_live = |e: &&&Event| {
        let removal = matches!(e.what, What::Remove(..) | What::Delete);
        !removal
            && !removers
                .iter()
                .any(|r| r.what.removes(&e.what) && saw(r, e))
    };
    let mut shapes: BTreeMap<&str, Vec<&What>> = BTreeMap::new();
    for event in events.iter().filter(is_live) {
        shapes
            .entry(event.what.place().0)
            .or_default()
            .push(&event.what);
    }
    let texts = shapes
        .iter()
        .map(|(shape, live)| format!("{shape} {}", show(live)));
    texts.collect::<Vec<_>>().join(" | ")
}

/// One shape's value. The last of concurrent writes in the file is the newest.
fn show(live: &[&What]) -> String {
    let list = |items: Vec<String>| format!("{{{}}}", items.join(", "));
    match live {
        [What::Add(_), ..] => {
            let sum: i64 = live
                .iter()
                .map(|w| if let What::Add(n) = w { *n } else { 0 })
                .sum();
            sum.to_string()
        }
        [What::Set(_), ..] => {
            let last = live
                .iter()
                .rev()
                .find_map(|w| if let What::Set(v) = w { Some(v) } else { None });
            let lost = live.len() - 1;
            let lost = if lost > 0 {
                format!(" ({lost} concurrent writes lost)")
            } else {
                String::new()
            };
            format!("{}{lost}", last.map_or("", |v| v))
        }
        _ => {
            let mut items: BTreeMap<String, Option<String>> = BTreeMap::new();
            let mut sums: BTreeMap<String, i64> = BTreeMap::new();
            for what in live {
                match what {
                    What::Insert(e) | What::Assign(e) => drop(items.insert(e.clone(), None)),
                    What::Put(field, v) => drop(items.insert(field.clone(), Some(v.clone()))),
                    What::Count(field, n) => *sums.entry(field.clone()).or_default() += n,
                    _ => {}
                }
            }
            items.extend(
                sums.into_iter()
                    .map(|(field, sum)| (field, Some(sum.to_string()))),
            );
            let ordered: BTreeSet<_> = items.into_iter().collect();
            let text = |(name, v): (String, Option<String>)| match v {
                Some(v) => format!("{name}={v}"),
                None => name,
            };
            list(ordered.into_iter().map(text).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_cases_come_out_by_the_definitions() {
        let mut implied = Implied::default();
        implied.line(0, "add n 5").unwrap();
        implied.line(0, "insert s x").unwrap();
        implied.exchanged(&[0, 1]);
        implied.line(0, "reset n").unwrap();
        implied.line(1, "add n 3").unwrap();
        implied.line(0, "remove s x").unwrap();
        implied.line(1, "insert s x").unwrap();
        implied.line(0, "set r one").unwrap();
        implied.line(1, "set r two").unwrap();
        implied.exchanged(&[0, 1]);
        let values = implied.values();
        assert_eq!(values["n"], "pn_counter 3");
        assert_eq!(values["s"], "or_set<str> {x}");
        assert_eq!(values["r"], "lww_register two (1 concurrent writes lost)");
    }

    #[test]
    fn several_lines_as_one_are_those_lines() {
        let mut implied = Implied::default();
        implied.line(0, "insert ready job").unwrap();
        implied
            .line(0, "together remove ready job ; insert taken job")
            .unwrap();
        let values = implied.values();
        assert_eq!(values.get("ready"), None);
        assert_eq!(values["taken"], "or_set<str> {job}");
        let error = implied.line(0, "expire taken 5").unwrap_err();
        assert!(error.to_string().contains("depends on when"), "{error}");
    }
}
