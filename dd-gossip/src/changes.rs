//! Which keys changed, until somebody asks.

use std::collections::BTreeMap;

use crdt_core::Name;

/// Changes that are noted until they are asked for, at most; beyond it, if more than half are of different keys, "all"
/// have changed.
const MAX_CHANGED: usize = 65_536;

/// Keys that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// These, each with the number of changes (updates, or units that came in).
    Keys(BTreeMap<Name, u64>),
    /// So many that they were not kept apart.
    All,
}

/// Notes changes as they come, which is all that a write waits for, and puts them together when asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// In the order in which they came, a key more than once perhaps.
    keys: Vec<(Name, u64)>,
    all: bool,
}

impl Changes {
    /// All have changed.
    pub(crate) fn all() -> Self {
        Self {
            keys: Vec::new(),
            all: true,
        }
    }

    /// Counts one change of a key.
    pub(crate) fn note(&mut self, key: Name) {
        if self.all {
            return;
        }
        match self.keys.last_mut() {
            Some((last, count)) if *last == key => *count += 1,
            _ => self.keys.push((key, 1)),
        }
        if self.keys.len() > MAX_CHANGED {
            self.put_together();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.all && self.keys.is_empty()
    }

    /// The keys that were noted, some more than once perhaps; none if all have changed.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Name> {
        self.keys.iter().map(|(key, _)| key)
    }

    pub(crate) fn take(&mut self) -> Changed {
        if std::mem::take(&mut self.all) {
            return Changed::All;
        }
        let mut keys = BTreeMap::new();
        for (key, count) in self.keys.drain(..) {
            *keys.entry(key).or_default() += count;
        }
        self.keys.shrink_to(64);
        Changed::Keys(keys)
    }

    /// Counts the changes of each key together, to have room again; where that gives back less than half, all have changed.
    fn put_together(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup_by(|(key, count), (before, sum)| {
            let same = key == before;
            *sum += if same { *count } else { 0 };
            same
        });
        if self.keys.len() > MAX_CHANGED / 2 {
            self.all = true;
            self.keys = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Name {
        Name::new(format!("key {n}").as_bytes())
    }

    #[test]
    fn changes_are_counted_for_each_key_however_they_come() {
        let mut changes = Changes::default();
        assert!(changes.is_empty());
        // Far more than are kept, of few keys.
        for n in 0..4 * MAX_CHANGED {
            changes.note(key(n % 3));
            assert!(changes.keys.len() <= MAX_CHANGED);
        }
        changes.note(key(9));
        changes.note(key(9));
        assert!(changes.keys().any(|noted| *noted == key(9)));
        let Changed::Keys(keys) = changes.take() else {
            panic!("there are four");
        };
        let all: u64 = keys.values().sum();
        assert_eq!((keys.len(), all), (4, 4 * MAX_CHANGED as u64 + 2));
        assert_eq!(keys[&key(9)], 2);
        assert!(changes.is_empty());
    }

    #[test]
    fn of_too_many_all_are_said_to_have_changed_until_that_was_asked() {
        let mut changes = Changes::default();
        (0..=MAX_CHANGED).for_each(|n| changes.note(key(n)));
        changes.note(key(0));
        assert!(!changes.is_empty() && changes.keys.capacity() == 0);
        assert_eq!(changes.keys().count(), 0);
        assert_eq!(changes.take(), Changed::All);
        assert!(changes.is_empty());
        (0..MAX_CHANGED).for_each(|n| changes.note(key(n)));
        assert!(matches!(changes.take(), Changed::Keys(keys) if keys.len() == MAX_CHANGED));
        assert!(changes.keys.capacity() <= 64);
    }
}
