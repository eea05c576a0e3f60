//! The specification as a program: what is live is a function of the events that were seen, and of
//! which of them had seen which when they were made. Quadratic, without contexts, records or runs.
//!
//! "Saw" is direct: in the context of the maker. For counters an add brings the earlier adds of its
//! run, and a removal takes away what the removals that it saw had taken away.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crdt_core::{Context, Dot, ReplicaId};

/// Where an event acts: keys and elements from the root down.
pub(crate) type Place = Vec<String>;

/// What an operation of a type wants to do to the tree.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// Write over everything seen at a place.
    Write(Place, u8),
    /// Write, unless something is there.
    Ensure(Place),
    /// Remove everything seen at a place and under it; no event if there is nothing.
    Remove(Place),
    /// Add to the counter at a place.
    Count(Place, i64),
    /// Write a value that replaces others unless one of them compares so with it; then it stands
    /// beside them and replaces those there with which it compares so.
    Push(Place, u8, Ordering),
    /// Write the union of these bits and those of everything seen at a place.
    Join(Place, u8),
}

impl Intent {
    /// Where it acts.
    pub(crate) fn place_mut(&mut self) -> &mut Place {
        match self {
            Self::Write(place, _)
            | Self::Ensure(place)
            | Self::Remove(place)
            | Self::Count(place, _)
            | Self::Push(place, ..)
            | Self::Join(place, _) => place,
        }
    }
}

/// An event, with the numbers of those that it saw.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) dot: Dot,
    pub(crate) place: Place,
    pub(crate) what: What,
    saw: BTreeSet<usize>,
    /// The adds that it takes away.
    cuts: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Write {
        value: u8,
        stamp: u64,
    },
    /// `first` is the number of the first add of the same run.
    Count {
        n: i64,
        first: usize,
    },
    Remove,
}

/// All events of a history, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Oracle {
    events: Vec<Event>,
}

impl Oracle {
    /// Takes note of what `maker` wants to do, whose context is `context`: the events of one
    /// update. Returns how many there are.
    pub(crate) fn perform(
        &mut self,
        maker: ReplicaId,
        context: &Context,
        clock: u64,
        intents: impl IntoIterator<Item = Intent>,
    ) -> u64 {
        let mut saw = self.seen(context);
        let mut made = 0;
        for intent in intents {
            for intent in self.basic(intent, &saw) {
                let dot = Dot::new(maker, context.max(maker) + made + 1);
                let Some(event) = self.event(intent, dot, &saw, clock) else {
                    continue;
                };
                saw.insert(self.events.len());
                self.events.push(event);
                made += 1;
            }
        }
        made
    }

    /// What an intent comes down to, each an event or none.
    fn basic(&self, intent: Intent, saw: &BTreeSet<usize>) -> Vec<Intent> {
        let live: Vec<&Event> = self
            .live_of(saw)
            .into_iter()
            .map(|at| &self.events[at])
            .collect();
        let written = |place: &Place| -> Vec<(Place, u8)> {
            let here = live.iter().filter(|event| event.place.starts_with(place));
            here.filter_map(|event| match event.what {
                What::Write { value, .. } => Some((event.place.clone(), value)),
                _ => None,
            })
            .collect()
        };
        match intent {
            Intent::Push(place, value, better) => {
                let all = written(&place);
                if !all.iter().any(|(_, other)| other.cmp(&value) == better) {
                    return vec![Intent::Write(place, value)];
                }
                let worse = all
                    .into_iter()
                    .filter(|(at, other)| at.len() > place.len() && value.cmp(other) == better);
                let worse: BTreeSet<Place> = worse.map(|(at, _)| at).collect();
                let mut beside = place;
                beside.push(value.to_string());
                let removals = worse.into_iter().map(Intent::Remove);
                removals.chain([Intent::Write(beside, value)]).collect()
            }
            Intent::Join(place, bits) => {
                let all = written(&place)
                    .into_iter()
                    .fold(bits, |all, (_, bits)| all | bits);
                vec![Intent::Write(place, all)]
            }
            basic => vec![basic],
        }
    }

    /// The events that are live for a replica with this context.
    pub(crate) fn live(&self, context: &Context) -> Vec<&Event> {
        let live = self.live_of(&self.seen(context));
        live.into_iter().map(|at| &self.events[at]).collect()
    }

    fn seen(&self, context: &Context) -> BTreeSet<usize> {
        let all = self.events.iter().enumerate();
        all.filter(|(_, event)| context.contains(event.dot))
            .map(|(at, _)| at)
            .collect()
    }

    fn event(&self, intent: Intent, dot: Dot, saw: &BTreeSet<usize>, clock: u64) -> Option<Event> {
        let live = self.live_of(saw);
        let here = |place: &Place| -> Vec<usize> {
            let under = |at: &&usize| self.events[**at].place.starts_with(place);
            live.iter().filter(under).copied().collect()
        };
        let mut cuts = BTreeSet::new();
        let (place, what) = match intent {
            Intent::Ensure(place) if !here(&place).is_empty() => return None,
            Intent::Remove(place) if here(&place).is_empty() => return None,
            Intent::Write(place, value) => {
                let stamp = self.stamp(&here(&place), clock);
                (place, What::Write { value, stamp })
            }
            Intent::Ensure(place) => (
                place,
                What::Write {
                    value: 0,
                    stamp: clock,
                },
            ),
            Intent::Remove(place) => {
                cuts = self.cuts(&place, saw);
                (place, What::Remove)
            }
            Intent::Push(..) | Intent::Join(..) => unreachable!("not basic"),
            Intent::Count(place, n) => {
                let first = self.run_going_on(&here(&place), &place, dot.replica);
                let first = first.unwrap_or(self.events.len());
                (place, What::Count { n, first })
            }
        };
        Some(Event {
            dot,
            place,
            what,
            saw: saw.clone(),
            cuts,
        })
    }

    /// A timestamp is the clock's, or one more than the greatest that is replaced.
    fn stamp(&self, replaced: &[usize], clock: u64) -> u64 {
        let stamps = replaced
            .iter()
            .filter_map(|at| match self.events[*at].what {
                What::Write { stamp, .. } => Some(stamp + 1),
                _ => None,
            });
        stamps.max().unwrap_or(0).max(clock)
    }

    /// An add goes on with the run of the replica's adds before it, unless all of these are gone.
    fn run_going_on(&self, live: &[usize], place: &Place, maker: ReplicaId) -> Option<usize> {
        live.iter().rev().find_map(|at| {
            let event = &self.events[*at];
            match event.what {
                What::Count { first, .. }
                    if event.place == *place && event.dot.replica == maker =>
                {
                    Some(first)
                }
                _ => None,
            }
        })
    }

    /// The adds at or under a place that a removal there, which saw these events, takes away.
    fn cuts(&self, place: &Place, saw: &BTreeSet<usize>) -> BTreeSet<usize> {
        let by_others = saw.iter().flat_map(|at| &self.events[*at].cuts).copied();
        let mut cuts: BTreeSet<usize> = self.with_runs(saw).into_iter().chain(by_others).collect();
        cuts.retain(|at| {
            let event = &self.events[*at];
            matches!(event.what, What::Count { .. }) && event.place.starts_with(place)
        });
        cuts
    }

    /// With the earlier adds of each run.
    fn with_runs(&self, seen: &BTreeSet<usize>) -> BTreeSet<usize> {
        let run = |at: usize| match self.events[at].what {
            What::Count { first, .. } => Some(first),
            _ => None,
        };
        let mut all = seen.clone();
        for &newest in seen {
            if let Some(first) = run(newest) {
                all.extend((first..newest).filter(|at| run(*at) == Some(first)));
            }
        }
        all
    }

    fn live_of(&self, seen: &BTreeSet<usize>) -> Vec<usize> {
        self.with_runs(seen)
            .into_iter()
            .filter(|at| !matches!(self.events[*at].what, What::Remove))
            .filter(|at| !seen.iter().any(|by| self.kills(*by, *at)))
            .collect()
    }

    fn kills(&self, by: usize, at: usize) -> bool {
        let (killer, event) = (&self.events[by], &self.events[at]);
        match (killer.what, event.what) {
            (What::Remove, What::Count { .. }) => killer.cuts.contains(&at),
            (What::Remove, _) => event.place.starts_with(&killer.place) && killer.saw.contains(&at),
            (What::Write { .. }, What::Write { .. }) => {
                event.place.starts_with(&killer.place) && killer.saw.contains(&at)
            }
            _ => false,
        }
    }
}
