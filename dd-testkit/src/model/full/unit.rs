//! What a sync sends: pieces, one per path, and the units into which transactions join them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::node::Node;
use super::rule::Rule;
use super::state::{Record, Run, State, Transaction, Transactions};
use crate::Rng;
use crate::model::{Dots, ModelPath};

/// What a receiver lacks at one path, and the records above it.
#[derive(Clone, Debug)]
struct Piece {
    path: ModelPath,
    live: Dots,
    runs: BTreeMap<u64, Run>,
    records: Vec<(ModelPath, Rc<Record>)>,
}

/// Pieces that take effect together, and the transactions that they belong to.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pieces: Vec<Piece>,
    transactions: Transactions,
}

impl Unit {
    /// One unit of several.
    pub(super) fn merged(units: Vec<Self>) -> Self {
        units.into_iter().fold(Self::default(), |mut all, unit| {
            all.pieces.extend(unit.pieces);
            all.transactions.extend(unit.transactions);
            all
        })
    }

    /// The events that the receiver has seen once it has applied the unit.
    pub(super) fn dots(&self) -> Dots {
        let mut dots = Dots::new();
        for piece in &self.pieces {
            dots.extend(&piece.live);
            dots.extend(piece.runs.iter().map(|(origin, run)| (*origin, run.newest)));
            dots.extend(piece.records.iter().map(|(_, record)| record.event));
        }
        dots
    }

    /// What is live, and runs, by path.
    pub(super) fn values(&self) -> impl Iterator<Item = (&ModelPath, &Dots, &BTreeMap<u64, Run>)> {
        let pieces = self.pieces.iter();
        pieces.map(|piece| (&piece.path, &piece.live, &piece.runs))
    }

    pub(super) fn is_at_path(&self, path: &ModelPath) -> bool {
        self.pieces.iter().any(|piece| piece.path == *path)
    }

    /// Whether the unit has a piece at a path of the transaction, or a record at or above one.
    fn concerns(&self, transaction: &Transaction) -> bool {
        self.pieces.iter().any(|piece| {
            transaction.paths.iter().any(|path| {
                piece.path == *path || piece.records.iter().any(|(above, _)| above.covers(path))
            })
        })
    }

    fn is_at(&self, transaction: &Transaction) -> bool {
        self.pieces
            .iter()
            .any(|piece| transaction.paths.contains(&piece.path))
    }
}

impl State {
    /// What a receiver with this context lacks at some paths, in any order.
    pub(super) fn units<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a ModelPath>,
        context: &Dots,
        rng: &mut Rng,
    ) -> Vec<Unit> {
        let pieces = paths
            .into_iter()
            .filter_map(|path| self.piece(path, context));
        let pieces: Vec<Piece> = match self.rules.keep(Rule::Piece) {
            true => pieces.collect(),
            false => pieces.flat_map(Piece::parted).collect(),
        };
        let units = pieces.into_iter().map(|piece| Unit {
            pieces: vec![piece],
            ..Unit::default()
        });
        let lacking = self.transactions_lacking(context);
        let mut units: Vec<Unit> = units.collect();
        if self.rules.keep(Rule::Txn) {
            units = lacking
                .values()
                .fold(units, |units, transaction| link(units, transaction));
        }
        for unit in &mut units {
            let of_unit = lacking
                .iter()
                .filter(|(_, transaction)| unit.is_at(transaction));
            unit.transactions = of_unit.map(|(id, t)| (*id, Rc::clone(t))).collect();
        }
        rng.shuffle(&mut units);
        units
    }

    fn piece(&self, path: &ModelPath, context: &Dots) -> Option<Piece> {
        let live = self.live.get(path).into_iter().flatten();
        let live: Dots = live.filter(|dot| !context.contains(dot)).copied().collect();
        let runs = self.runs.get(path).into_iter().flatten();
        let runs = runs.filter(|(origin, run)| !context.contains(&(**origin, run.newest)));
        let runs: BTreeMap<u64, Run> = runs.map(|(origin, run)| (*origin, *run)).collect();
        let at_path = self.records_lacking(path, context);
        if live.is_empty() && runs.is_empty() && at_path.is_empty() {
            return None;
        }
        let mut records = Vec::new();
        if self.rules.keep(Rule::Above) {
            let above = (1..path.names().len()).rev().map(|len| path.truncated(len));
            records.extend(above.flat_map(|above| self.records_lacking(&above, context)));
        }
        records.extend(at_path);
        Some(Piece {
            path: path.clone(),
            live,
            runs,
            records,
        })
    }

    fn records_lacking(&self, path: &ModelPath, context: &Dots) -> Vec<(ModelPath, Rc<Record>)> {
        let records = self.records_at(path.names());
        let lacking = records.filter(|record| !context.contains(&record.event));
        lacking
            .map(|record| (path.clone(), Rc::clone(record)))
            .collect()
    }
}

impl Piece {
    /// The dots and the records apart from each other, which breaks a rule.
    fn parted(self) -> Vec<Self> {
        let dots = Self {
            records: Vec::new(),
            ..self.clone()
        };
        let records = Self {
            live: Dots::new(),
            runs: BTreeMap::new(),
            ..self
        };
        let parts = [dots, records].into_iter();
        parts
            .filter(|p| !(p.live.is_empty() && p.runs.is_empty() && p.records.is_empty()))
            .collect()
    }
}

impl Node {
    /// Takes a unit: removals first, and the dots are seen only once all of it is there.
    pub(super) fn apply(&mut self, unit: &Unit) {
        self.state.keep_transactions(&unit.transactions);
        for (path, record) in unit.pieces.iter().flat_map(|piece| &piece.records) {
            self.state.remove(path, record);
            self.state.keep_record(path, record);
            self.touched.push(path.clone());
        }
        for piece in &unit.pieces {
            self.apply_dots(piece);
        }
        self.state.context.extend(unit.dots());
    }

    fn apply_dots(&mut self, piece: &Piece) {
        let state = &mut self.state;
        let live = piece.live.iter().copied();
        let live: BTreeSet<_> = live
            .filter(|dot| !state.context.contains(dot) && !state.is_void(&piece.path, *dot))
            .collect();
        state
            .live
            .entry(piece.path.clone())
            .or_default()
            .extend(live);
        for (origin, run) in &piece.runs {
            if !state.context.contains(&(*origin, run.newest)) {
                state.take_run(&piece.path, *origin, *run);
            }
        }
        self.touched.push(piece.path.clone());
    }
}

/// Joins the units that a transaction concerns into one.
fn link(units: Vec<Unit>, transaction: &Transaction) -> Vec<Unit> {
    let (linked, mut units): (Vec<_>, Vec<_>) = units
        .into_iter()
        .partition(|unit| unit.concerns(transaction));
    if !linked.is_empty() {
        units.push(Unit::merged(linked));
    }
    units
}
