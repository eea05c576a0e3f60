//! The mutants: what is left out, and where in the source.
//!
//! The names are those of the rules in `dd_testkit::model::Rule` where the rule is one of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// A rule left out.
#[derive(Debug)]
pub(super) struct Mutant {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// Who finds it.
    pub(super) found_by: FoundBy,
    pub(super) changes: &'static [Change],
}

/// What notices that a rule is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FoundBy {
    Simulator,
    /// What no run of the simulator can show, or hardly any: a test of a package, by its name.
    Test(&'static str, &'static str),
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulator => Ok(()),
            Self::Test(_, name) => write!(f, "; found by the test {name}"),
        }
    }
}

/// A place in the source, which must be there exactly once, and what stands there instead.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) file: &'static str,
    from: &'static str,
    to: &'static str,
}

impl Mutant {
    /// The changed files.
    pub(super) fn apply(&self, source: &Path) -> Result<BTreeMap<&'static str, String>> {
        let mut files: BTreeMap<&'static str, String> = BTreeMap::new();
        for change in self.changes {
            let text = match files.remove(change.file) {
                Some(text) => text,
                None => std::fs::read_to_string(source.join(change.file))
                    .with_context(|| format!("reading {}", change.file))?,
            };
            ensure!(
                text.matches(change.from).count() == 1,
                "the mutant {} does not fit {} any more: {:?} must be there once",
                self.name,
                change.file,
                change.from
            );
            files.insert(change.file, text.replace(change.from, change.to));
        }
        Ok(files)
    }
}

const STORE: &str = "crdt-core/src/kernel/store.rs";
const UNIT: &str = "crdt-core/src/kernel/unit.rs";
const LINK: &str = "crdt-core/src/kernel/link.rs";
const COMPARISON: &str = "crdt-core/src/kernel/comparison.rs";
const INCOMING: &str = "dd-gossip/src/incoming.rs";
const LINKED: &str = "dd-gossip/src/linked.rs";
const SESSION: &str = "dd-gossip/src/session.rs";
const PEER: &str = "dd-gossip/src/peer.rs";
const FRAME: &str = "dd-gossip/src/frame.rs";
const PROTOCOL: &str = "dd-gossip/src/replica/protocol.rs";
const QUORUM: &str = "dd-gossip/src/replica/quorum.rs";
const EXPIRY: &str = "dd-gossip/src/replica/expiry.rs";
const TRANSACTION: &str = "dd-gossip/src/replica/transaction.rs";
const INDEX: &str = "dd-gossip/src/index.rs";
const WALK: &str = "dd-gossip/src/walk.rs";
const DRAFT: &str = "dd-gossip/src/draft.rs";
const KEY_SPACE: &str = "dd-gossip/src/key_space.rs";
const FORGETTING: &str = "dd-gossip/src/replica/forgetting.rs";
const SHARING: &str = "dd-gossip/src/replica/sharing.rs";
const SEALING: &str = "dd-gossip/src/replica/sealing.rs";
const SELF_CHECK: &str = "dd-gossip/src/replica/self_check.rs";
const MEMBERS: &str = "dd-gossip/src/replica/members.rs";
const OWNED: &str = "dd-gossip/src/replica/owned.rs";
const SWIM: &str = "dd-gossip/src/membership/swim.rs";
const ROSTER: &str = "dd-gossip/src/membership/roster.rs";
const CONTEXT: &str = "crdt-core/src/context.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "piece",
        what: "records and dots of a path travel together",
        found_by: FoundBy::Simulator,
        changes: &[
            Change {
                file: WALK,
                from: "builder.piece(path);",
                to: "let _ = builder.piece_of(path, dot);",
            },
            Change {
                file: UNIT,
                from: "    /// The unit, in canonical order.",
                to: "    /// One event of a path.
    pub fn piece_of(&mut self, path: &Path, dot: Dot) -> bool {
        let own: Vec<Record> = self.lacking(path).filter(|r| r.dot == dot).collect();
        let place = self.store.root().get(path);
        let adds: Vec<Entry> = place.and_then(|p| p.entry(dot)).map(|e| e.to_entry()).into_iter().collect();
        own.into_iter().for_each(|record| { self.record(path, record); });
        if !adds.is_empty() {
            self.add(path.clone(), adds);
        }
        true
    }

    /// The unit, in canonical order.",
            },
            Change {
                file: WALK,
                from: "} else if first_lacking(builder.store(), path, seen) == Some(dot) {",
                to: "} else { let _ = (first_lacking, seen);",
            },
        ],
    },
    Mutant {
        name: "above",
        what: "a piece carries the records above its path",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: UNIT,
            from: "for depth in 0..path.len() {",
            to: "for depth in path.len()..path.len() {",
        }],
    },
    Mutant {
        name: "dead",
        what: "a dot that arrives is held against the records at and above its path",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "} else if !self.records.any_above(path, |r| r.seen.contains(entry.dot)) {",
            to: "} else {",
        }],
    },
    Mutant {
        name: "takeover",
        what: "the sender's context is taken over after the last piece, not before",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: SESSION,
            from: "SessionKind::Exchange => self.next_old_or_new(sizes),",
            to: "SessionKind::Exchange => (self.number == 0)
                .then(|| self.next_old_or_new(sizes))
                .flatten(),",
        }],
    },
    Mutant {
        name: "share",
        what: "who was given a share of what there is does not take over the sender's context",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: SESSION,
            from: "if let Some(given) = self.share {",
            to: "if let Some(given) = self.share.filter(|given| !given) {",
        }],
    },
    Mutant {
        name: "parts",
        what: "a piece that goes in several messages takes effect as one",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: INCOMING,
            from: "                open.staged.extend(part);\n                Ok(Step::Wait)",
            to: "                Ok(Step::Apply(part))",
        }],
    },
    Mutant {
        name: "news",
        what: "an exchange that goes on from a later view brings what changed",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: WALK,
            from: "self.news = Some(News { before, next });",
            to: "let _ = News { before, next };",
        }],
    },
    Mutant {
        name: "behind",
        what: "it does so only if nothing was forgotten that the peer lacks",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: SESSION,
            from: "self.is_last = later.is_behind_floor(&self.against)",
            to: "self.is_last = false",
        }],
    },
    Mutant {
        name: "endless",
        what: "an exchange goes on from later views only while there is something old to be sent",
        found_by: FoundBy::Test(
            "dd-gossip",
            "renewing::an_exchange_ends_though_something_is_written_between_all_frames",
        ),
        changes: &[Change {
            file: SESSION,
            from: "self.is_last |= unit.is_none();",
            to: "",
        }],
    },
    Mutant {
        name: "overtake",
        what: "what goes aside does not count on what is still under way",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: SESSION,
            from: "            if self.kind == SessionKind::Exchange && !unit.links.is_empty() {
                // So that what is tied together is not sent again from a later view.
                self.under_way = unit.events();",
            to: "            if self.kind == SessionKind::Exchange && !unit.links.is_empty() {
                self.against.extend_sorted(&unit.events());",
        }],
    },
    Mutant {
        name: "nomore",
        what: "of whom the rest is not asked is told to send no more",
        found_by: FoundBy::Test("dd-gossip", "joining::one_that_is_slow_or_silent_holds_up_nothing"),
        changes: &[Change {
            file: SHARING,
            from: "process.due.no_more = true;",
            to: "process.due.no_more = false;",
        }],
    },
    Mutant {
        name: "lost",
        what: "a lost frame forbids the takeover",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: INCOMING,
            from: "if data.number > open.next || (data.kind, data.for_draft) != (open.kind, open.for_draft) {",
            to: "open.next = open.next.max(data.number);
        if data.kind != open.kind {",
        }],
    },
    Mutant {
        name: "w6",
        what: "a record is forgotten only when all that its maker had seen is known",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "record.seen.is_subset(&self.context) && stable(&self.context, path, record);",
            to: "stable(&self.context, path, record);",
        }],
    },
    Mutant {
        name: "draft",
        what: "of a draft only what the sender of the rest has seen becomes visible",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: KEY_SPACE,
            from: "self.discard(gone);
        self.frozen.store.reduce_to_values(seen);",
            to: "let _: (Vec<(Path, Dot)>, Context) = (gone, seen);",
        }],
    },
    Mutant {
        name: "draftlive",
        what: "whoever asks for the rest says which values are in its draft, and not which ever were",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: DRAFT,
            from: "self.keys.reduce_to_values();",
            to: "",
        }],
    },
    Mutant {
        name: "draftclosed",
        what: "once the rest was asked for, nothing more is taken into a draft",
        found_by: FoundBy::Test("dd-gossip", "draft::tests::once_it_is_closed_nothing_more_is_taken"),
        changes: &[Change {
            file: DRAFT,
            from: "if !self.closed {
            let unit = unit.into_values();",
            to: "{
            let unit = unit.into_values();",
        }],
    },
    Mutant {
        name: "draftcut",
        what: "a run of which something was cut is not in a draft",
        found_by: FoundBy::Test("dd-gossip", "draft::tests::a_run_of_which_something_was_cut_is_not_in_it"),
        changes: &[Change {
            file: KEY_SPACE,
            from: "self.discard(cut);",
            to: "let _: Vec<(Path, Dot)> = cut;",
        }],
    },
    Mutant {
        name: "draftbehind",
        what: "a draft is given up if something was forgotten here that is not in it",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: KEY_SPACE,
            from: "if here.store.is_behind_floor(&against) {",
            to: "if false {",
        }],
    },
    Mutant {
        name: "draftshown",
        what: "a share for whoever lacks what was forgotten is put into a draft",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: SESSION,
            from: "for_draft: given && frozen.store.is_behind_floor(&against),",
            to: "",
        }],
    },
    Mutant {
        name: "draftrecords",
        what: "the rest brings the records of events whose values are in the draft",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: WALK,
            from: "records: Some(Range::ALL.first()),",
            to: "",
        }],
    },
    Mutant {
        name: "draftlinks",
        what: "the rest brings the transactions of whose events the values are in the draft",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: COMPARISON,
            from: "links.for_each(|link| self.links.insert(link.clone()));",
            to: "drop(links);",
        }],
    },
    Mutant {
        name: "floor",
        what: "what was forgotten raises a floor",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "self.floor.raise(dot.replica, dot.seq);",
            to: "",
        }],
    },
    Mutant {
        name: "relayfloor",
        what: "a receiver joins the sender's floor to its own",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "self.floor.join(floor);",
            to: "let _ = floor;",
        }],
    },
    Mutant {
        name: "floorfirst",
        what: "a session states the sender's floor before its first piece",
        found_by: FoundBy::Test("dd-gossip", "forgetting::the_floor_comes_before_the_first_piece"),
        changes: &[
            Change {
                file: SESSION,
                from: "is_sync && !self.begun && !self.floor().is_empty()",
                to: "false",
            },
            Change {
                file: SESSION,
                from: "let risen = frozen.store.floor().beyond(floor);",
                to: "let _ = floor;
        let risen = VersionVector::new();",
            },
        ],
    },
    Mutant {
        name: "unit",
        what: "a full comparison becomes visible in one commit",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: INCOMING,
            from: "open.comparison.stage(part);
                Ok(Step::Wait)",
            to: "let unit = part.unit.clone();
                open.comparison.stage(part);
                Ok(Step::Apply(unit))",
        }],
    },
    Mutant {
        name: "session",
        what: "what is known of a peer's process dies with it",
        found_by: FoundBy::Simulator,
        changes: &[
            Change {
                file: PEER,
                from: "            ..Self::new(self.node.clone(), self.member, now)",
                to: "            process: self.process.take(),
            ..Self::new(self.node.clone(), self.member, now)",
            },
            Change {
                file: PROTOCOL,
                from: ".is_some_and(|process| process.nonce == nonce)",
                to: ".is_some_and(|process| process.nonce != nonce + 1)",
            },
            Change {
                file: PROTOCOL,
                from: "let bound = |bind: u64| bind == process.bind_in;",
                to: "let bound = |_: u64| true;",
            },
        ],
    },
    Mutant {
        name: "upward",
        what: "a record names what its maker had seen and no more",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "let goes = |r: &Record| r.is_covered_by(&record.seen, &record.cuts);",
            to: "let mut record = record;
        for (_, below) in self.records.under(path) {
            record.seen.union(&below.seen);
        }
        let goes = |r: &Record| r.is_covered_by(&record.seen, &record.cuts);",
        }],
    },
    Mutant {
        name: "absorb",
        what: "a record absorbs another only if it says all that the other says",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "let goes = |r: &Record| r.is_covered_by(&record.seen, &record.cuts);",
            to: "let goes = |_: &Record| true;",
        }],
    },
    Mutant {
        name: "cuts",
        what: "a removal cuts the runs of counters instead of killing their newest dots",
        found_by: FoundBy::Simulator,
        changes: &[
            Change {
                file: STORE,
                from: "if !is_run && record.seen.contains(entry.dot) {",
                to: "let _ = is_run;
                if record.seen.contains(entry.dot) {",
            },
            Change {
                file: STORE,
                from: "                if let ValueRef::Run(run) = entry.value {
                    let replica = entry.dot.replica;",
                to: "                if let (ValueRef::Run(run), false) = (entry.value, true) {
                    let replica = entry.dot.replica;",
            },
        ],
    },
    Mutant {
        name: "cutjoin",
        what: "a record's cuts include those of the records at, above and under it",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "cuts.extend(here.map(|(key, cut)| (key.clone(), *cut)));",
            to: "drop(here);",
        }],
    },
    Mutant {
        name: "owner",
        what: "a record with cuts waits for the owners of the runs",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: FORGETTING,
            from: "awaited.lacking(record).next().is_none() && awaited.is_settled(mine, record)",
            to: "let _ = mine; awaited.lacking(record).next().is_none()",
        }],
    },
    Mutant {
        name: "base",
        what: "a full comparison brings the cuts of runs that are known",
        found_by: FoundBy::Test("dd-gossip", "forgetting::a_full_comparison_brings_the_cuts_of_runs_that_the_peer_knows"),
        changes: &[Change {
            file: WALK,
            from: "let is_cut = cuts.map",
            to: "let is_cut = false && cuts.map",
        }],
    },
    Mutant {
        name: "txn",
        what: "what a transaction ties together is one unit",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: LINKED,
            from: "path.starts_with(above).then_some(*part)",
            to: "(path.starts_with(above) && *part == usize::MAX).then_some(*part)",
        }],
    },
    Mutant {
        name: "txnchain",
        what: "transactions that share a path are tied to each other",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: LINKED,
            from: "self.0[a.max(b)] = a.min(b);",
            to: "let _ = (a, b);",
        }],
    },
    Mutant {
        name: "txnabove",
        what: "a transaction is tied to the records above its paths",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: LINKED,
            from: "let depth = (0..path.len()).find(lacks).unwrap_or(path.len());",
            to: "let _ = lacks;
    let depth = path.len();",
        }],
    },
    Mutant {
        name: "txnlink",
        what: "links travel with the pieces, for whoever passes these on",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: UNIT,
            from: "self.unit.links.push(link.clone());",
            to: "",
        }],
    },
    Mutant {
        name: "txnforget",
        what: "a transaction is kept until every replica has its events",
        found_by: FoundBy::Simulator,
        changes: &[
            Change {
                file: FORGETTING,
                from: "let everywhere = |link: &Link| awaited.all_have(|known| link.is_in(known));",
                to: "let everywhere = |_: &Link| awaited.known.len() < usize::MAX;",
            },
            Change {
                file: STORE,
                from: "self.floor.raise(end.replica, end.seq);",
                to: "",
            },
        ],
    },
    Mutant {
        name: "txnfloor",
        what: "what was forgotten of a transaction raises the floor",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "self.floor.raise(end.replica, end.seq);",
            to: "",
        }],
    },
    Mutant {
        name: "txncompare",
        what: "a full comparison brings the transactions",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: SESSION,
            from: "(SessionKind::Comparison, Walk::as_one(links.collect()))",
            to: "drop(links);
                (SessionKind::Comparison, Walk::as_one(Default::default()))",
        }],
    },
    Mutant {
        name: "txnflush",
        what: "a flush brings its transactions before its events",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: SESSION,
            from: "let walk = Walk::as_one(links.cloned().collect());",
            to: "drop(links);
        let walk = Walk::as_one(Default::default());",
        }],
    },
    Mutant {
        name: "builds-on",
        what: "a flush waits for what it builds on",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: INCOMING,
            from: "needs.set(sender, Default::default());",
            to: "needs = Context::new();
                let _ = sender;",
        }],
    },
    Mutant {
        name: "void",
        what: "a void event is not claimed because a later one came",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: STORE,
            from: "self.context.extend_sorted(events);",
            to: "events.iter().for_each(|dot| self.context.insert_range(dot.replica, 1, dot.seq));",
        }],
    },
    Mutant {
        name: "kept",
        what: "a full comparison kills what the sender knew and no longer has",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: COMPARISON,
            from: "!brought.contains(*dot) && !joined",
            to: "false && !brought.contains(*dot) && !joined",
        }],
    },
    Mutant {
        name: "laterrun",
        what: "a run of a draft gives way to an earlier one of a source that has sealed its process",
        found_by: FoundBy::Test("crdt-core", "comparison::values_are_completed_to_what_the_sender_has_where_it_has_an_earlier_run"),
        changes: &[Change {
            file: COMPARISON,
            from: "newest.is_some_and(|newest| *newest > dot.seq)",
            to: "newest.is_some()",
        }],
    },
    Mutant {
        name: "onekey",
        what: "a transaction at one key is one as well",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: LINK,
            from: "Ok(several.then_some(Self {",
            to: "Ok((several && keys > 1).then_some(Self {",
        }],
    },
    Mutant {
        name: "oldvalue",
        what: "a transaction goes on from nothing where a deadline has passed",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: TRANSACTION,
            from: "deadline.is_some_and(|at| at <= wall)",
            to: "deadline.is_some_and(|at| at <= wall) && key.is_empty()",
        }],
    },
    Mutant {
        name: "births",
        what: "a dot that dies in the step in which it was born is put into the index first",
        found_by: FoundBy::Test("dd-gossip", "index::tests::births_that_are_put_in_later_are_as_those_that_are_put_in_at_once"),
        changes: &[Change {
            file: INDEX,
            from: "least.is_some_and(|least| least.seq <= dot.seq)",
            to: "least.is_some_and(|least| least.seq < dot.seq)",
        }],
    },
    Mutant {
        name: "endsearly",
        what: "a value ends when the clocks of a majority have passed its deadline",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: EXPIRY,
            from: "count * 2 > self.nodes()",
            to: "count > 0 && self.nodes() > 0",
        }],
    },
    Mutant {
        name: "keptlate",
        what: "what came while ranges were compared lives only if the sender brings it",
        found_by: FoundBy::Test("dd-gossip", "comparison::what_comes_in_between_and_was_removed_does_not_stay"),
        changes: &[Change {
            file: INCOMING,
            from: "range.keep(index, here, &mut kept)",
            to: "range.keep(index, &compared.context, &mut kept)",
        }],
    },
    Mutant {
        name: "kepttheone",
        what: "of a range that differs in an event or two which are live here alone, those are dead",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: INCOMING,
            from: "range.keep_without([one].into_iter().chain(two), index, here, &mut kept)",
            to: "{ let _ = (one, two); range.keep(index, here, &mut kept) }",
        }],
    },
    Mutant {
        name: "keptasecond",
        what: "of two which are live here alone, both are dead",
        found_by: FoundBy::Test(
            "dd-gossip",
            "comparison::two_that_were_removed_side_by_side_are_told_by_one_fingerprint",
        ),
        changes: &[Change {
            file: INCOMING,
            from: "[one].into_iter().chain(two)",
            to: "[one].into_iter().chain(two.filter(|_| false))",
        }],
    },
    Mutant {
        name: "vote",
        what: "a process that may have lost what its node acknowledged has no vote until it has caught up",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: QUORUM,
            from: "if all == others || voters > others / 2 {",
            to: "if all + voters + others < usize::MAX {",
        }],
    },
    Mutant {
        name: "statement",
        what: "a read waits until what others stated after it was asked is here",
        found_by: FoundBy::Simulator,
        changes: &[Change {
            file: QUORUM,
            from: "self.has_seen(&of.context).then_some((node, of.votes))",
            to: "Some((node, of.votes))",
        }],
    },
    Mutant {
        name: "sealround",
        what: "all are asked twice before anything is sealed",
        found_by: FoundBy::Test("dd-gossip", "sealing::what_comes_between_the_two_questions_keeps_it_from_being_sealed"),
        changes: &[Change { file: SEALING, from: "if !question.second && !question.asked.is_empty() {", to: "if question.second && question.asked.is_empty() {", }],
    },
    Mutant {
        name: "sealruns",
        what: "whoever is connected to a process says nothing of it, so that it is not sealed",
        found_by: FoundBy::Test("dd-gossip", "sealing::whoever_is_connected_to_a_process_says_nothing_of_it"),
        changes: &[Change { file: SEALING, from: "if newest.is_some_and(|newest| newest <= last) {", to: "if newest.is_some_and(|newest| newest > newest) {", }],
    },
    Mutant {
        name: "sealview",
        what: "nothing is sealed on one's own view of what was seen",
        found_by: FoundBy::Simulator,
        changes: &[Change { file: SEALING, from: "let all = answers(at).all(|answer| answer == Some(*digest));", to: "let all = answers(at).count() > 0;", }],
    },
    Mutant {
        name: "sealaway",
        what: "a member that is away keeps everything from being sealed",
        found_by: FoundBy::Test("dd-gossip", "sealing::a_process_that_runs_or_a_member_that_is_away_keeps_all_from_being_sealed"),
        changes: &[Change { file: SEALING, from: ".filter(|p| p.member || p.process.is_some());", to: ".filter(|p| p.process.is_some());", }, Change { file: SEALING, from: "let members = self.others().all(|node| question.asked.contains_key(node));", to: "let members = true;", }],
    },
    Mutant {
        name: "sealsame",
        what: "what is sealed is what was seen when the question was asked",
        found_by: FoundBy::Test("dd-gossip", "sealing::what_the_asker_gets_after_the_question_is_not_sealed"),
        changes: &[Change { file: SEALING, from: "let same = context.digest_up_to(*last) == *digest && !context.is_sealed(*last);", to: "let same = !context.is_sealed(*last);", }],
    },
    Mutant {
        name: "sealadopt",
        what: "a seal is taken over only by who has seen what was sealed",
        found_by: FoundBy::Test("crdt-core", "seals::a_seal_is_taken_over_where_the_same_was_seen"),
        changes: &[Change { file: CONTEXT, from: "if !self.is_sealed(last) && self.digest_up_to(last) == digest {", to: "if !self.is_sealed(last) {", }],
    },
    Mutant {
        name: "sealbehind",
        what: "who has seen nothing of what was sealed gets a full comparison",
        found_by: FoundBy::Test("dd-gossip", "sealing::who_has_seen_nothing_of_what_was_sealed_goes_through_a_full_comparison"),
        changes: &[Change { file: STORE, from: "self.context.seals().iter().any(lacks) || self.is_below_floor(peer)", to: "let _ = lacks;
        self.is_below_floor(peer)", }],
    },
    Mutant {
        name: "sealmore",
        what: "who has seen something else than what was sealed is made anew",
        found_by: FoundBy::Test("dd-gossip", "sealing::who_holds_more_than_was_sealed_is_made_anew"),
        changes: &[Change { file: SELF_CHECK, from: "if sealed.is_some() || here.contradicts(context) {", to: "if sealed.is_some() {", }],
    },
    Mutant {
        name: "sealcuts",
        what: "the record of a counter does not wait for processes that are sealed",
        found_by: FoundBy::Test("dd-gossip", "sealing::restarts_leave_one_seal_for_a_node"),
        changes: &[Change { file: FORGETTING, from: "|| mine.is_sealed(replica)", to: "", }],
    },
    Mutant {
        name: "everyone",
        what: "a removal is remembered until all members have it",
        found_by: FoundBy::Test("dd-gossip", "forgetting::records_stay_while_an_acknowledgement_is_missing"),
        changes: &[Change { file: FORGETTING, from: "awaited.lacking(record).next().is_none() && awaited.is_settled(mine, record)", to: "awaited.is_settled(mine, record)", }],
    },
    Mutant {
        name: "again",
        what: "processes that acknowledged a write are asked once more",
        found_by: FoundBy::Test("dd-gossip", "quorum::acknowledgements_of_processes_that_did_not_run_at_once_do_not_add_up"),
        changes: &[Change { file: QUORUM, from: "needed => needed - 1,", to: "_ => usize::MAX,", }, Change { file: QUORUM, from: "if needed <= 2 {", to: "if needed > 0 {", }],
    },
    Mutant {
        name: "covers",
        what: "an answer counts for who asked before it, and for nobody later",
        found_by: FoundBy::Test("dd-gossip", "quorum::an_answer_does_not_count_for_reads_that_began_after_the_question"),
        changes: &[Change { file: QUORUM, from: "self.quorum.refreshes.range_mut(..=Refresh(covers))", to: "self.quorum.refreshes.range_mut(..=Refresh(covers.max(u64::MAX)))", }],
    },
    Mutant {
        name: "voters",
        what: "a process votes when it has what a majority of the others had",
        found_by: FoundBy::Test("dd-gossip", "quorum::s26_a_read_of_a_majority_has_what_a_majority_confirmed_before_one_restarted"),
        changes: &[Change { file: QUORUM, from: "if all == others || voters > others / 2 {", to: "if all == others || voters > 0 {", }],
    },
    Mutant {
        name: "connected",
        what: "a majority is one of all members, not of those that are connected",
        found_by: FoundBy::Test("dd-extension", "members::a_node_that_is_down_counts_in_majorities_until_it_is_removed"),
        changes: &[Change { file: MEMBERS, from: "let members = self.peers.values().filter(|peer| peer.member);", to: "let members = self.peers.values().filter(|peer| peer.member && peer.connected);", }],
    },
    Mutant {
        name: "restore",
        what: "the owner writes its keys again that others deleted",
        found_by: FoundBy::Test("dd-extension", "owned::a_node_that_was_only_cut_off_has_its_keys_again"),
        changes: &[Change { file: OWNED, from: "if stands.as_ref() != wanted {", to: "if !is_reserved(&key) && stands.is_some() && stands.as_ref() != wanted {", }],
    },
    Mutant {
        name: "former",
        what: "what a former process of the owner left goes",
        found_by: FoundBy::Test("dd-extension", "owned::a_process_begins_without_what_a_former_one_of_its_node_owned"),
        changes: &[Change { file: OWNED, from: "if stands.as_ref() != wanted {", to: "if !is_reserved(&key) && wanted.is_some() && stands.as_ref() != wanted {", }],
    },
    Mutant {
        name: "living",
        what: "only what dead nodes owned is deleted",
        found_by: FoundBy::Test("dd-extension", "owned::what_a_node_owned_goes_when_it_fails_and_nothing_else_does"),
        changes: &[Change { file: OWNED, from: "let dead = members.iter().filter(|member| !member.state.is_alive());", to: "let dead = members.iter().filter(|member| member.state.is_member() || !member.state.is_alive());", }],
    },
    Mutant {
        name: "roster",
        what: "who is down stays a member, and is told of",
        found_by: FoundBy::Test("dd-gossip", "membership::a_node_that_fails_is_down_and_stays_a_member_until_it_returns"),
        changes: &[Change { file: SWIM, from: "(None, Some(foca::State::Down) | None) => MemberState::Down,", to: "(None, Some(foca::State::Down) | None) => MemberState::Removed,", }],
    },
    Mutant {
        name: "reborn",
        what: "whoever was removed and runs begins a new life",
        found_by: FoundBy::Test("dd-gossip", "membership::whoever_is_removed_hears_of_it_though_every_packet_is_lost"),
        changes: &[Change { file: SWIM, from: "if self.left || !outlived {", to: "if self.left || outlived || entry.gone.is_some() {", }],
    },
    Mutant {
        name: "laterlife",
        what: "of two lives the later one wins, whatever became of the earlier",
        found_by: FoundBy::Test("dd-gossip", "membership::roster::tests::the_order_in_which_entries_come_does_not_matter"),
        changes: &[Change { file: ROSTER, from: "(self.generation, self.gone, &self.address)", to: "(self.generation.min(1), self.gone, &self.address)", }],
    },
    Mutant {
        name: "bothsides",
        what: "of two sides that sealed each other one is made anew",
        found_by: FoundBy::Test("dd-gossip", "sealing::of_two_sides_that_sealed_each_other_one_stays"),
        changes: &[Change { file: SELF_CHECK, from: "&& here.prevails_over(context)", to: "&& here.prevails_over(context) && context.prevails_over(here)", }],
    },
    Mutant {
        name: "newcomers",
        what: "nodes that look for a cluster and meet each other have joined none",
        found_by: FoundBy::Test("dd-gossip", "membership::newcomers_that_meet_have_joined_nothing"),
        changes: &[Change { file: SWIM, from: "self.handle_roster(now, from, told, false)", to: "self.handle_roster(now, from, told, true)", }],
    },
    Mutant {
        name: "latehello",
        what: "a hello from before a replica was made anew counts",
        found_by: FoundBy::Test("dd-gossip", "sealing::a_hello_from_before_a_replica_was_made_anew_may_come_late"),
        changes: &[Change { file: PROTOCOL, from: "process.nonce != nonce && replica < process.replica", to: "process.nonce != nonce && replica < process.replica && false", }],
    },
    Mutant {
        name: "orphans",
        what: "what dead nodes owned is deleted",
        found_by: FoundBy::Simulator,
        changes: &[Change { file: OWNED, from: "        let more = keys.len() >= BATCH;", to: "        keys.clear();
        let more = keys.len() >= BATCH;", }],
    },
    Mutant {
        name: "joiner",
        what: "majorities are counted over the members as they are by now",
        found_by: FoundBy::Simulator,
        changes: &[Change { file: MEMBERS, from: "            peer.member = members.contains(&peer.node);", to: "            peer.member |= members.contains(&peer.node);", }],
    },
    Mutant {
        name: "tellall",
        what: "who joins is told of those who are down, too",
        found_by: FoundBy::Simulator,
        changes: &[Change { file: SWIM, from: ".filter(|(node, ..)| due.contains(node))", to: ".filter(|(node, _, state)| due.contains(node) && *state != MemberState::Down)", }],
    },
    Mutant {
        name: "lonely",
        what: "who takes all others for down calls those that it is connected with",
        found_by: FoundBy::Test("dd-gossip", "membership::nodes_that_took_each_other_for_down_find_each_other_over_the_connections_that_they_have"),
        changes: &[Change { file: SWIM, from: "let lonely = !self.left && self.foca.num_members() == 0;", to: "let lonely = false;", }],
    },
    Mutant {
        name: "ownanew",
        what: "a replica that is made anew begins with what its process owns",
        found_by: FoundBy::Test("dd-gossip", "owned::what_is_written_to_an_own_key_before_a_replica_made_anew_has_caught_up_is_not_all_of_it"),
        changes: &[Change { file: OWNED, from: "        for key in former.mine.keys() {
            self.put_right(now, key);
        }", to: "", }],
    },
    Mutant {
        name: "unknownkind",
        what: "frames of unknown kinds are passed over",
        found_by: FoundBy::Simulator,
        changes: &[Change { file: FRAME, from: "other => return Ok(Frame::Unknown(other)),", to: "_ => return Err(DecodeError::Invalid(\"kind of a frame\").into()),", }],
    },
    Mutant {
        name: "sealnonce",
        what: "a seal's answer counts for the process that was asked",
        found_by: FoundBy::Test("dd-gossip", "untrue::answers_about_seals_that_fit_no_question"),
        changes: &[Change { file: SEALING, from: "if question.asked.get(node) == Some(&nonce) {", to: "if question.asked.contains_key(node) && nonce > 0 {", }],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_mutant_fits_the_source_and_changes_it() {
        let root = super::super::root();
        for mutant in MUTANTS {
            for (file, text) in mutant.apply(&root).unwrap() {
                assert_ne!(text, std::fs::read_to_string(root.join(file)).unwrap());
            }
        }
        let names: BTreeSet<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
    }
}
