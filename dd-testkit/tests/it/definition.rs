//! The definition, against its own words taken literally, and by example.

use std::collections::{BTreeMap, BTreeSet};

use dd_testkit::Rng;
use dd_testkit::model::{EventDot, Expected, History, Kind, ModelPath, Share};

type Dots = BTreeSet<EventDot>;

/// The definition as it reads: sets of dots, and no shortcuts.
#[derive(Default)]
struct Literal {
    events: BTreeMap<EventDot, (ModelPath, Kind, Dots)>,
}

impl Literal {
    /// The increments of a run up to one of them.
    fn run_up_to(&self, dot: EventDot) -> Dots {
        let (path, kind, _) = &self.events[&dot];
        let Kind::Count { start: run, .. } = *kind else {
            return Dots::new();
        };
        let of_origin = self.events.range((dot.0, 0)..=dot);
        let of_run = of_origin.filter(|(_, event)| {
            event.0 == *path && matches!(event.1, Kind::Count { start, .. } if start == run)
        });
        of_run.map(|(dot, _)| *dot).collect()
    }

    /// What an event voids if it is at its path or below.
    fn covered(&self, dot: EventDot) -> Dots {
        let seen = &self.events[&dot].2;
        let mut covered: Dots = seen.iter().flat_map(|d| self.run_up_to(*d)).collect();
        covered.extend(seen);
        for other in seen.iter().filter(|d| self.events[d].1.removes()) {
            let path = &self.events[other].0;
            covered.extend(self.covered(*other).into_iter().filter(|d| {
                path.covers(&self.events[d].0) && matches!(self.events[d].1, Kind::Count { .. })
            }));
        }
        covered
    }

    fn is_void(&self, dot: EventDot, context: &Dots) -> bool {
        let path = &self.events[&dot].0;
        let removers = context.iter().filter(|d| self.events[d].1.removes());
        let mut above = removers.filter(|d| self.events[d].0.covers(path));
        above.any(|d| self.covered(*d).contains(&dot))
    }

    fn expected(&self, context: &Dots) -> Expected {
        let mut expected = Expected::default();
        for dot in context {
            let (path, kind, _) = &self.events[dot];
            match *kind {
                Kind::Add | Kind::Write if !self.is_void(*dot, context) => {
                    expected.live.entry(path.clone()).or_default().insert(*dot);
                }
                Kind::Count { start, .. } => {
                    let run = self.run_up_to(*dot);
                    let left: Vec<i128> = run
                        .iter()
                        .filter(|d| !self.is_void(**d, context))
                        .map(|d| match self.events[d].1 {
                            Kind::Count { n, .. } => n,
                            _ => 0,
                        })
                        .collect();
                    if !left.is_empty() {
                        let share = Share {
                            start,
                            newest: dot.1,
                            sum: left.iter().sum(),
                        };
                        expected
                            .runs
                            .entry(path.clone())
                            .or_default()
                            .insert(dot.0, share);
                    }
                }
                _ => {}
            }
        }
        expected
    }

    fn reflected(&self, dot: EventDot, context: &Dots) -> bool {
        let (path, kind, _) = &self.events[&dot];
        if context.contains(&dot) {
            return true;
        }
        if kind.removes() {
            let mut have: Dots = context.iter().flat_map(|d| self.run_up_to(*d)).collect();
            have.extend(context);
            let covered = self.covered(dot);
            let mut voided = covered
                .intersection(&have)
                .filter(|d| path.covers(&self.events[d].0) && self.events[d].1 != Kind::Remove);
            if !voided.all(|d| self.is_void(*d, context)) {
                return false;
            }
        }
        match kind {
            Kind::Remove => true,
            Kind::Add | Kind::Write => self.is_void(dot, context),
            Kind::Count { .. } => {
                self.is_void(dot, context)
                    || context.iter().any(|d| self.run_up_to(*d).contains(&dot))
            }
        }
    }
}

/// A path of up to three names: some are for counters, the others for the rest.
fn random_path(rng: &mut Rng, counter: bool) -> ModelPath {
    let last = if counter { "c" } else { "e" };
    match rng.below(3) {
        0 => ModelPath::new(["k", last]),
        1 => ModelPath::new(["k", "m", last]),
        _ => ModelPath::new(["l", last]),
    }
}

/// Events with contexts that are not transitively closed, as cut syncs leave them. A replica has
/// seen its own events and begins a run only when all of the last one is void.
fn random_history(rng: &mut Rng) -> (History, Literal) {
    let (mut history, mut literal) = (History::default(), Literal::default());
    let mut contexts = [const { Dots::new() }; 3];
    for _ in 0..rng.range(1, 25) {
        let (at, from) = (rng.below(3), rng.below(3));
        let heard = contexts[from].iter().copied().filter(|_| rng.chance(60));
        let heard: Dots = heard.collect();
        contexts[at].extend(heard);
        let origin = at as u64;
        let own = contexts[at].range((origin, 0)..=(origin, u64::MAX));
        let dot = (origin, 1 + own.count() as u64);
        let (path, kind) = match rng.below(8) {
            0 => (random_path(rng, false), Kind::Write),
            1 => (random_path(rng, false), Kind::Add),
            2 => (random_path(rng, true), Kind::Remove),
            3 => (ModelPath::new([["k", "l"][rng.below(2)]]), Kind::Remove),
            4 => (ModelPath::new(["k", "m"]), Kind::Write),
            _ => {
                let path = random_path(rng, true);
                let shown = history.expected(&contexts[at]).runs;
                let run = shown.get(&path).and_then(|runs| runs.get(&origin));
                let start = run.map_or(dot.1, |run| run.start);
                (
                    path,
                    Kind::Count {
                        n: rng.range(0, 20) as i128 - 8,
                        start,
                    },
                )
            }
        };
        history.record(dot, path.clone(), kind, &contexts[at]);
        literal
            .events
            .insert(dot, (path, kind, contexts[at].clone()));
        contexts[at].insert(dot);
    }
    (history, literal)
}

#[test]
fn it_says_what_its_words_say() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let (history, literal) = random_history(&mut rng);
        for _ in 0..10 {
            let share = rng.range(20, 100);
            let context: Dots = history.dots().filter(|_| rng.chance(share)).collect();
            assert_eq!(
                history.expected(&context),
                literal.expected(&context),
                "seed {seed}"
            );
            for dot in history.dots() {
                let (got, wanted) = (
                    history.reflected(dot, &context),
                    literal.reflected(dot, &context),
                );
                assert_eq!(got, wanted, "seed {seed}: {dot:?} in {context:?}");
            }
        }
    }
}

#[test]
fn an_increment_that_a_removal_had_not_seen_survives_it() {
    let path = ModelPath::new(["k", "c"]);
    let mut history = History::default();
    history.record(
        (0, 1),
        path.clone(),
        Kind::Count { n: 5, start: 1 },
        &Dots::new(),
    );
    history.record(
        (1, 1),
        ModelPath::new(["k"]),
        Kind::Remove,
        &Dots::from([(0, 1)]),
    );
    history.record(
        (0, 2),
        path.clone(),
        Kind::Count { n: 2, start: 1 },
        &Dots::from([(0, 1)]),
    );

    let shown = history.expected(&Dots::from([(0, 1), (0, 2), (1, 1)]));
    assert_eq!(
        shown.runs[&path][&0],
        Share {
            start: 1,
            newest: 2,
            sum: 2
        }
    );
    let nothing = history.expected(&Dots::from([(0, 1), (1, 1)]));
    assert_eq!(nothing, Expected::default());
}

#[test]
fn an_increment_stays_void_after_a_removal_that_saw_another_removal() {
    let path = ModelPath::new(["c"]);
    let mut history = History::default();
    history.record(
        (0, 1),
        path.clone(),
        Kind::Count { n: 5, start: 1 },
        &Dots::new(),
    );
    history.record((1, 1), path.clone(), Kind::Remove, &Dots::from([(0, 1)]));
    history.record((2, 1), path.clone(), Kind::Remove, &Dots::from([(1, 1)]));

    assert_eq!(
        history.expected(&Dots::from([(0, 1), (2, 1)])),
        Expected::default()
    );
}

/// Contexts need not be closed: what a seen event had seen is not seen by that alone.
#[test]
fn a_write_is_removed_only_by_what_had_seen_it_directly() {
    let (key, element) = (ModelPath::new(["k"]), ModelPath::new(["k", "e"]));
    let mut history = History::default();
    history.record((0, 1), element.clone(), Kind::Add, &Dots::new());
    history.record((1, 1), element.clone(), Kind::Remove, &Dots::from([(0, 1)]));
    history.record((2, 1), key, Kind::Remove, &Dots::from([(1, 1)]));

    let shown = history.expected(&Dots::from([(0, 1), (2, 1)]));
    assert_eq!(shown.live[&element], Dots::from([(0, 1)]));
}

#[test]
fn half_a_transaction_is_not_reflected() {
    let [a, b] = ["a", "b"].map(|name| ModelPath::new([name]));
    let mut history = History::default();
    history.record((0, 1), a.clone(), Kind::Write, &Dots::new());
    history.record((0, 2), b, Kind::Write, &Dots::from([(0, 1)]));
    history.record((1, 1), a, Kind::Write, &Dots::from([(0, 1)]));

    assert!(!history.reflected((0, 1), &Dots::from([(0, 2)])));
    assert!(history.reflected((0, 1), &Dots::from([(0, 2), (1, 1)])));
}

#[test]
#[should_panic(expected = "recorded twice")]
fn a_dot_names_one_event() {
    let mut history = History::default();
    history.record((0, 1), ModelPath::new(["a"]), Kind::Add, &Dots::new());
    history.record((0, 1), ModelPath::new(["b"]), Kind::Add, &Dots::new());
}
