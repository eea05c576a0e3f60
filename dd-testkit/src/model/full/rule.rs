//! The rules that can be left out.

/// A rule of the replication protocol. Leaving it out must make the model fail.
///
/// # Examples
///
/// ```
/// use dd_testkit::model::Rule;
///
/// assert_eq!(Rule::from_name("cutjoin"), Some(Rule::CutJoin));
/// assert!(Rule::ALL.iter().all(|rule| Rule::from_name(rule.name()) == Some(*rule)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// What one event removes and adds at a path travels together.
    /// Left out: records and dots of a path travel apart.
    Piece,
    /// A piece carries the records above its path that the receiver lacks.
    /// Left out: it carries those of its own path only.
    Above,
    /// A dot that arrives is held against the records at its path and above.
    /// Left out: it becomes live whatever removed it.
    Dead,
    /// The sender's context is taken over after the last piece.
    /// Left out: after every frame.
    Takeover,
    /// A lost frame forbids the takeover.
    /// Left out: the context is taken over all the same.
    Lost,
    /// A record is forgotten only when all that its maker had seen is in the context.
    /// Left out: at any time.
    W6,
    /// What was forgotten raises a floor; a peer below it gets a full comparison.
    /// Left out: there is no floor.
    Floor,
    /// A receiver joins the sender's floor to its own.
    /// Left out: it keeps its own.
    RelayFloor,
    /// A session states the sender's floor before its first piece, and the receiver joins it at once.
    /// Left out: only with the takeover.
    FloorFirst,
    /// A full comparison becomes visible in one commit.
    /// Left out: path by path as its frames arrive.
    Unit,
    /// A sender that makes pieces as it goes sends what changed meanwhile once more before the
    /// takeover.
    /// Left out: it does not.
    Dirty,
    /// A sender that makes pieces as it goes starts again if it forgot something that the receiver
    /// lacked at the start.
    /// Left out: it does not notice.
    Pin,
    /// A sync that goes on from what the sender has by now brings what changed meanwhile once more.
    /// Left out: only what it had not sent yet.
    News,
    /// It does so only if the sender has forgotten nothing that the receiver lacks.
    /// Left out: it does not look.
    Behind,
    /// Of a draft only what the sender of the rest has seen becomes visible.
    /// Left out: all of it.
    Draft,
    /// Whoever asks for the rest says which dots are in the draft.
    /// Left out: which ever were.
    DraftLive,
    /// Once the rest was asked for, nothing more is taken into a draft: it may replace what was stated.
    /// Left out: it is.
    DraftClosed,
    /// A run of which something was cut is not taken into a draft: the sender of the rest may not have seen the cut.
    /// Left out: it is.
    DraftCut,
    /// A draft is given up if something was forgotten here that is not in it.
    /// Left out: it is not looked.
    DraftBehind,
    /// A session ends when its receiver's process does.
    /// Left out: it goes on with the receiver's next process.
    Session,
    /// A record names what its maker had seen and no more.
    /// Left out: it is united with the records above and below that it replaces.
    Upward,
    /// A record says up to which total it removes a counter's runs.
    /// Left out: it removes the runs whose newest dot it names.
    Cuts,
    /// A record's cuts include those of the records at, above and under its path.
    /// Left out: only those of the runs that its maker had.
    CutJoin,
    /// A record with cuts waits for the owners of the runs before it is forgotten.
    /// Left out: it does not wait.
    Owner,
    /// A full comparison brings the cuts of the runs along.
    /// Left out: totals only.
    Base,
    /// The pieces of a transaction travel as one.
    /// Left out: each travels alone.
    Txn,
    /// A transaction is kept until its events have been seen.
    /// Left out: it is dropped as soon as one of them is superseded.
    TxnForget,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 27] = [
        Self::Piece,
        Self::Above,
        Self::Dead,
        Self::Takeover,
        Self::Lost,
        Self::W6,
        Self::Floor,
        Self::RelayFloor,
        Self::FloorFirst,
        Self::Unit,
        Self::Dirty,
        Self::Pin,
        Self::News,
        Self::Behind,
        Self::Draft,
        Self::DraftLive,
        Self::DraftClosed,
        Self::DraftCut,
        Self::DraftBehind,
        Self::Session,
        Self::Upward,
        Self::Cuts,
        Self::CutJoin,
        Self::Owner,
        Self::Base,
        Self::Txn,
        Self::TxnForget,
    ];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Piece => "piece",
            Self::Above => "above",
            Self::Dead => "dead",
            Self::Takeover => "takeover",
            Self::Lost => "lost",
            Self::W6 => "w6",
            Self::Floor => "floor",
            Self::RelayFloor => "relayfloor",
            Self::FloorFirst => "floorfirst",
            Self::Unit => "unit",
            Self::Dirty => "dirty",
            Self::Pin => "pin",
            Self::News => "news",
            Self::Behind => "behind",
            Self::Draft => "draft",
            Self::DraftLive => "draftlive",
            Self::DraftClosed => "draftclosed",
            Self::DraftCut => "draftcut",
            Self::DraftBehind => "draftbehind",
            Self::Session => "session",
            Self::Upward => "upward",
            Self::Cuts => "cuts",
            Self::CutJoin => "cutjoin",
            Self::Owner => "owner",
            Self::Base => "base",
            Self::Txn => "txn",
            Self::TxnForget => "txnforget",
        }
    }

    /// The rule of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

/// The rules in force: all of them but one at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    broken: Option<Rule>,
}

impl Rules {
    pub(super) fn all_but(broken: Option<Rule>) -> Self {
        Self { broken }
    }

    pub(super) fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }
}
