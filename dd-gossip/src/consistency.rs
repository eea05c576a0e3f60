//! How many nodes a write has to be on, or a read has to have heard.

use std::num::NonZeroUsize;

/// How many nodes have to take part, this one included.
///
/// A read at one level has what a write at another has confirmed if the two numbers together are more
/// than there are nodes: two majorities, or all and one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consistency {
    /// This node alone.
    Local,
    /// So many nodes: [`Consistency::nodes`] makes it from a number.
    Nodes(NonZeroUsize),
    /// More than half of the nodes, and `plus` beyond that; at least `least`, as long as there are so
    /// many nodes. A majority of few nodes is small: with `least` 3 a cluster of three waits for all.
    Majority {
        /// Nodes beyond a majority.
        plus: usize,
        /// At least so many.
        least: usize,
    },
    /// Every node.
    All,
}

impl Consistency {
    /// A plain majority.
    pub const fn majority() -> Self {
        Self::Majority { plus: 0, least: 0 }
    }

    /// So many nodes, this one included; `None` for 0, since this one always takes part. To ask for more than there are
    /// is an error where it is used, and not here.
    ///
    /// ```
    /// use dd_gossip::Consistency;
    ///
    /// const TWO: Consistency = Consistency::nodes(2).unwrap();
    /// assert_eq!(TWO.needed(5), 2);
    /// assert_eq!(Consistency::nodes(0), None);
    /// ```
    pub const fn nodes(n: usize) -> Option<Self> {
        match NonZeroUsize::new(n) {
            Some(n) => Some(Self::Nodes(n)),
            None => None,
        }
    }

    /// How many of `nodes` it takes. More than there are if it asks for more.
    ///
    /// ```
    /// use dd_gossip::Consistency;
    ///
    /// assert_eq!(Consistency::majority().needed(5), 3);
    /// assert_eq!(Consistency::Majority { plus: 1, least: 0 }.needed(5), 4);
    /// assert_eq!(Consistency::Majority { plus: 0, least: 4 }.needed(5), 4);
    /// assert_eq!(Consistency::Majority { plus: 9, least: 9 }.needed(5), 5);
    /// ```
    pub fn needed(self, nodes: usize) -> usize {
        match self {
            Self::Local => 1,
            Self::Nodes(n) => n.get(),
            Self::Majority { plus, least } => {
                nodes.min((nodes / 2 + 1).saturating_add(plus).max(least))
            }
            Self::All => nodes,
        }
    }
}
