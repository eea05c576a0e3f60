//! What a line at the prompt means.

use anyhow::{Result, bail, ensure};

use crate::cluster::{NODES, node_named};

/// How lines look, and what they do.
pub(super) const USAGE: [(&str, &str); 13] = [
    (
        "a insert cart apple",
        "has node a do something; below is what nodes can do",
    ),
    ("a>", "lines without a node go to a from now on"),
    (
        "watch cart",
        "prints the changes of a key on every node, and how long after the write",
    ),
    (
        "cut c",
        "cuts node c off; `cut a c` cuts the wires of this pair alone",
    ),
    (
        "heal",
        "heals all wires; `heal c` those of c, `heal a c` those of the pair",
    ),
    ("kill b", "kills node b, with all that it holds"),
    (
        "start b",
        "starts it again, with nothing; it joins through a node that lives",
    ),
    ("leave b", "has node b leave the cluster for good, and end"),
    (
        "wait",
        "waits until all nodes that can reach each other are equal",
    ),
    (
        "lag",
        "shows how nodes see each other, and which lacks how much of which",
    ),
    ("status", "prints where the status page of each node is"),
    ("help", "prints this"),
    ("quit", "ends all nodes; so does the end of the input"),
];

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line for a node.
    Node(usize, String),
    /// Lines go to this node from now on.
    Turn(usize),
    Watch(String),
    /// The wires between these pairs.
    Cut(Vec<(usize, usize)>),
    Heal(Vec<(usize, usize)>),
    Kill(usize),
    Start(usize),
    Leave(usize),
    Wait,
    Lag,
    Status,
    Help,
    Quit,
}

/// What a line means while `current` is the node that lines go to; nothing for an empty one or a
/// comment.
pub(super) fn parse(line: &str, current: usize) -> Result<Option<Line>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if let Some((node, rest)) = to_a_node(line) {
        let rest = rest.trim();
        return if rest.is_empty() {
            Ok(Some(Line::Turn(node)))
        } else {
            for_node(node, rest).map(Some)
        };
    }
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let words: Vec<&str> = rest.split_whitespace().collect();
    Ok(Some(match (verb, &words[..]) {
        ("watch", [key]) => Line::Watch((*key).to_owned()),
        ("watch", _) => bail!("watch goes with one key: watch cart"),
        ("cut", words) => Line::Cut(pairs(words, "cut c, or cut a c")?),
        ("heal", []) => Line::Heal(all_pairs()),
        ("heal", words) => Line::Heal(pairs(words, "heal, heal c, or heal a c")?),
        ("kill", [node]) => Line::Kill(node_named(node)?),
        ("start" | "restart", [node]) => Line::Start(node_named(node)?),
        ("leave", [node]) => Line::Leave(node_named(node)?),
        ("kill" | "start" | "restart" | "leave", _) => bail!("{verb} goes with one node: {verb} b"),
        ("wait", []) => Line::Wait,
        ("lag", []) => Line::Lag,
        ("status", []) => Line::Status,
        ("help", []) => Line::Help,
        ("quit" | "exit", []) => Line::Quit,
        ("wait" | "lag" | "status" | "help" | "quit" | "exit", _) => {
            bail!("{verb} stands by itself")
        }
        _ => return for_node(current, line).map(Some),
    }))
}

/// A line that begins with a node: `a insert …`, `a> insert …` or `a>`.
fn to_a_node(line: &str) -> Option<(usize, &str)> {
    let (at, name) = NODES
        .iter()
        .enumerate()
        .find(|(_, name)| line.starts_with(**name))?;
    let rest = &line[name.len()..];
    let arrow = rest.trim_start().strip_prefix('>');
    let is_word = rest.is_empty() || rest.starts_with(char::is_whitespace);
    arrow.or(is_word.then_some(rest)).map(|rest| (at, rest))
}

fn for_node(node: usize, line: &str) -> Result<Line> {
    let name = NODES[node];
    match line.split_whitespace().next().unwrap_or_default() {
        "quit" => bail!("`kill {name}` ends that node, `quit` all"),
        "leave" => Ok(Line::Leave(node)),
        "ready" => bail!("`ready` would hold up the prompt; `wait` waits for all nodes"),
        "help" => Ok(Line::Help),
        _ => Ok(Line::Node(node, line.to_owned())),
    }
}

fn all_pairs() -> Vec<(usize, usize)> {
    vec![(0, 1), (0, 2), (1, 2)]
}

/// The pairs that one or two nodes stand for.
fn pairs(words: &[&str], usage: &str) -> Result<Vec<(usize, usize)>> {
    match words {
        [one] => {
            let one = node_named(one)?;
            let all = all_pairs().into_iter();
            Ok(all.filter(|(a, b)| *a == one || *b == one).collect())
        }
        [one, other] => {
            let (one, other) = (node_named(one)?, node_named(other)?);
            ensure!(one != other, "a node has no wire to itself: {usage}");
            Ok(vec![(one, other)])
        }
        _ => bail!("it looks like: {usage}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(line: &str) -> Line {
        parse(line, 1).unwrap().unwrap()
    }

    #[test]
    fn lines_are_understood() {
        let insert = || "insert cart apple".to_owned();
        assert_eq!(is("a insert cart apple"), Line::Node(0, insert()));
        assert_eq!(is("c> insert cart apple"), Line::Node(2, insert()));
        assert_eq!(is("c>insert cart apple"), Line::Node(2, insert()));
        assert_eq!(is("insert cart apple"), Line::Node(1, insert()));
        assert_eq!(is("add hits 3"), Line::Node(1, "add hits 3".to_owned()));
        assert_eq!(is("a>"), Line::Turn(0));
        assert_eq!(is("c"), Line::Turn(2));
        assert_eq!(is("cut c"), Line::Cut(vec![(0, 2), (1, 2)]));
        assert_eq!(is("cut c a"), Line::Cut(vec![(2, 0)]));
        assert_eq!(is("heal"), Line::Heal(all_pairs()));
        assert_eq!(is("heal b"), Line::Heal(vec![(0, 1), (1, 2)]));
        assert_eq!(is("kill b"), Line::Kill(1));
        assert_eq!(is("leave b"), Line::Leave(1));
        assert_eq!(is("c leave"), Line::Leave(2));
        assert_eq!(is("watch cart"), Line::Watch("cart".to_owned()));
        assert_eq!(is("a status"), Line::Node(0, "status".to_owned()));
        assert_eq!(is("status"), Line::Status);
        for nothing in ["", "  ", "# a comment"] {
            assert_eq!(parse(nothing, 0).unwrap(), None);
        }
    }

    #[test]
    fn mistakes_say_how_it_is_done() {
        let said = |line| format!("{:#}", parse(line, 0).unwrap_err());
        assert!(said("cut").contains("cut c, or cut a c"));
        assert!(said("cut d").contains("they are a, b and c"));
        assert!(said("cut a a").contains("no wire to itself"));
        assert!(said("kill").contains("kill b"));
        assert!(said("watch").contains("watch cart"));
        assert!(said("a quit").contains("kill a"));
        assert!(said("a ready").contains("wait"));
        assert!(said("lag now").contains("by itself"));
    }
}
