//! Stores that catch up by a full comparison, whose effects are followed.

use std::collections::{BTreeMap, BTreeSet};

use crdt_core::kernel::{Comparison, DotStore, Effect, Entry};
use crdt_core::{Context, Dot, Path};

/// What `from` says to a peer that is `to`, staged.
pub(crate) fn staged(from: &DotStore, to: &DotStore) -> Comparison {
    let mut comparison = Comparison::default();
    let parts = from.compare(to.context());
    parts.for_each(|part| comparison.stage(part));
    comparison
}

/// The live dots of a store that a sender has seen and of which it did not say that they live.
fn unnamed(of: &DotStore, comparison: &Comparison, seen: &Context) -> Vec<(Path, Dot)> {
    let mut out = Vec::new();
    of.root().visit(&mut Vec::new(), &mut |path, entry| {
        if seen.contains(entry.dot) && !comparison.kept().contains(entry.dot) {
            out.push((path.into(), entry.dot));
        }
    });
    out
}

/// Commits what `from` says.
pub(crate) fn commit(
    to: &mut DotStore,
    comparison: &Comparison,
    from: &DotStore,
    effects: &mut Vec<Effect>,
) {
    let unnamed = unnamed(to, comparison, from.context());
    to.commit(comparison, from.context(), from.floor(), unnamed, effects);
}

/// Completes values to what `from` has.
pub(crate) fn complete(
    values: &mut DotStore,
    comparison: &Comparison,
    from: &DotStore,
    effects: &mut Vec<Effect>,
) {
    let unnamed = unnamed(values, comparison, from.context());
    values.complete(comparison, from.context(), from.floor(), unnamed, effects);
}

/// `to` after a full comparison with `from`, whose effects say what changed.
pub(crate) fn caught_up(from: &DotStore, to: &DotStore) -> DotStore {
    let (mut out, mut effects) = (to.clone(), Vec::new());
    let comparison = staged(from, to);
    commit(&mut out, &comparison, from, &mut effects);
    let mut followed = Followed::of(to);
    followed.follow(&effects);
    assert_eq!(followed, Followed::of(&out));
    out
}

/// What is live, and which records there are: what effects tell of.
#[derive(Debug, PartialEq)]
struct Followed {
    live: BTreeMap<(Path, Dot), Entry>,
    records: BTreeSet<(Path, Dot)>,
}

impl Followed {
    fn of(store: &DotStore) -> Self {
        let mut live = BTreeMap::new();
        store.root().visit(&mut Vec::new(), &mut |path, entry| {
            live.insert((path.into(), entry.dot), entry.to_entry());
        });
        let records = store.records().map(|(path, r)| (path.clone(), r.dot));
        Self {
            live,
            records: records.collect(),
        }
    }

    /// Follows effects, each of which has to tell of a change.
    fn follow(&mut self, effects: &[Effect]) {
        for effect in effects {
            let is_change = match effect {
                Effect::Born { at, entry } => {
                    let place = (at.clone(), entry.dot);
                    self.live.insert(place, entry.clone()).is_none()
                }
                Effect::Filled(filling) => filling
                    .births()
                    .all(|(at, entry)| self.live.insert((at, entry.dot), entry).is_none()),
                Effect::Died { at, entry } => {
                    self.live.remove(&(at.clone(), entry.dot)).as_ref() == Some(entry)
                }
                Effect::Recorded { path, dot } => self.records.insert((path.clone(), *dot)),
                Effect::Dropped { path, record } => {
                    self.records.remove(&(path.clone(), record.dot))
                }
            };
            assert!(is_change, "{effect:?}");
        }
    }
}
