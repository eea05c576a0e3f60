//! The language of lines: what a line means, and what to say about one that means nothing.

use std::fmt;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Add(String, i64),
    Reset(String),
    Insert(String, String),
    Remove(String, String),
    Clear(String),
    Set(String, String),
    Assign(String, String),
    Put(String, String, String),
    Unput(String, String),
    Count(String, String, i64),
    Uncount(String, String),
    Delete(String),
    /// Ends a key after so many seconds, or not any more.
    Expire(String, Option<u32>),
    /// Others that write, as one.
    Together(Vec<Command>),
    Deadline(String),
    /// Ends keys that begin so when nobody wrote them for so many seconds, or not any more.
    ExpireIdle(String, Option<u32>),
    /// A key of this node: a prefix, and what stands behind the node's name.
    Own(String, String),
    Get(String),
    Watch(String),
    Unwatch(String),
    Keys(String),
    Status,
    Members,
    Leave,
    Renew,
    RemoveMember(String),
    Ready,
    Confirm,
    Refresh,
    Help,
    Quit,
    /// Another command, so many times, with `{i}` replaced by 0, 1, 2, …
    Repeat(u64, String),
}

impl Command {
    /// Whether it can stand beside others that take effect as one.
    fn is_write(&self) -> bool {
        match self {
            Self::Add(..)
            | Self::Reset(..)
            | Self::Insert(..)
            | Self::Remove(..)
            | Self::Clear(..)
            | Self::Set(..)
            | Self::Assign(..)
            | Self::Put(..)
            | Self::Unput(..)
            | Self::Count(..)
            | Self::Uncount(..)
            | Self::Delete(..)
            | Self::Expire(..) => true,
            Self::Together(..)
            | Self::Deadline(..)
            | Self::ExpireIdle(..)
            | Self::Own(..)
            | Self::Get(..)
            | Self::Watch(..)
            | Self::Unwatch(..)
            | Self::Keys(..)
            | Self::Status
            | Self::Members
            | Self::Leave
            | Self::Renew
            | Self::RemoveMember(..)
            | Self::Ready
            | Self::Confirm
            | Self::Refresh
            | Self::Help
            | Self::Quit
            | Self::Repeat(..) => false,
        }
    }
}

/// What stands between lines that take effect as one.
const BESIDE: &str = " ; ";
/// What stands for no end of a key.
const NEVER: &str = "never";

/// A line that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unclear {
    pub(crate) problem: String,
    pub(crate) usage: &'static str,
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; a line looks like: {}", self.problem, self.usage)
    }
}

/// Names, how a line looks, and what it does.
pub(crate) const USAGE: [(&str, &str, &str); 31] = [
    (
        "add",
        "add hits 3",
        "counts up or, with a negative number, down",
    ),
    ("reset", "reset hits", "takes away what was counted"),
    (
        "insert",
        "insert cart-42 apple",
        "puts an element into a set",
    ),
    (
        "remove",
        "remove cart-42 apple",
        "takes an element out of a set",
    ),
    ("clear", "clear cart-42", "empties a set"),
    (
        "set",
        "set motd hello world",
        "writes a register; the newest write wins",
    ),
    (
        "assign",
        "assign title Draft",
        "writes a register that keeps concurrent values",
    ),
    (
        "put",
        "put flags dark-mode on",
        "writes a field of a map; the newest write wins",
    ),
    (
        "unput",
        "unput flags dark-mode",
        "removes a field of such a map",
    ),
    (
        "count",
        "count views page-1 5",
        "counts in a map of counters",
    ),
    (
        "uncount",
        "uncount views page-1",
        "removes a counter from such a map",
    ),
    (
        "delete",
        "delete cart-42",
        "deletes a key with everything under it",
    ),
    (
        "together",
        "together add hits 1 ; reset old",
        "writes several keys as one, with ` ; ` between the lines",
    ),
    (
        "expire",
        "expire cart-42 60",
        "ends a key after so many seconds; with `never` it does not end",
    ),
    (
        "deadline",
        "deadline cart-42",
        "prints in how many seconds a key ends",
    ),
    (
        "expire-idle",
        "expire-idle cart- 60",
        "ends keys that begin so when nobody wrote them for so many seconds, or `never`",
    ),
    (
        "own",
        "own session/ web",
        "prints a key of this node, to be written here; it goes with the node",
    ),
    ("get", "get cart-42", "prints what stands under a key"),
    (
        "watch",
        "watch cart-42",
        "prints the changes of a key from now on",
    ),
    ("unwatch", "unwatch cart-42", "stops that"),
    (
        "keys",
        "keys cart-",
        "lists keys, all or those that begin so",
    ),
    ("status", "status", "prints how the node is doing"),
    (
        "members",
        "members",
        "prints who belongs to the cluster, where, and how each is",
    ),
    (
        "leave",
        "leave",
        "leaves the cluster for good, and stops the node",
    ),
    (
        "renew",
        "renew",
        "reads its certificate anew: connections are made with that from now on",
    ),
    (
        "remove-member",
        "remove-member b",
        "removes a member that will not come back",
    ),
    ("ready", "ready", "waits until the first catch-up is done"),
    (
        "confirm",
        "confirm",
        "waits until a majority of the nodes has what was written here",
    ),
    (
        "refresh",
        "refresh",
        "waits until what a majority of the nodes has is here",
    ),
    (
        "repeat",
        "repeat 1000 insert ids id-{i}",
        "does a line many times, {i} counting from 0",
    ),
    (
        "quit",
        "quit",
        "stops the node; so does the end of the input",
    ),
];

fn usage_of(name: &str) -> &'static str {
    USAGE
        .iter()
        .find(|(known, _, _)| *known == name)
        .map_or("help", |(_, usage, _)| usage)
}

/// What a line means; `None` for an empty one or a comment.
pub(crate) fn parse(line: &str) -> Result<Option<Command>, Unclear> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let mut words = Words {
        name,
        rest: rest.trim(),
        usage: usage_of(name),
    };
    let command = match name {
        "add" => Command::Add(words.key()?, words.number()?),
        "reset" => Command::Reset(words.key()?),
        "insert" => Command::Insert(words.key()?, words.text("an element")?),
        "remove" => Command::Remove(words.key()?, words.text("an element")?),
        "clear" => Command::Clear(words.key()?),
        "set" => Command::Set(words.key()?, words.text("a value")?),
        "assign" => Command::Assign(words.key()?, words.text("a value")?),
        "put" => Command::Put(words.key()?, words.word("a field")?, words.text("a value")?),
        "unput" => Command::Unput(words.key()?, words.word("a field")?),
        "count" => Command::Count(words.key()?, words.word("a field")?, words.number()?),
        "uncount" => Command::Uncount(words.key()?, words.word("a field")?),
        "delete" => Command::Delete(words.key()?),
        "together" => Command::Together(words.lines()?),
        "expire" => Command::Expire(words.key()?, words.seconds()?),
        "deadline" => Command::Deadline(words.key()?),
        "expire-idle" => Command::ExpireIdle(words.word("a prefix")?, words.seconds()?),
        "own" => Command::Own(words.word("a prefix")?, words.word("a name")?),
        "get" => Command::Get(words.key()?),
        "watch" => Command::Watch(words.key()?),
        "unwatch" => Command::Unwatch(words.key()?),
        "keys" => Command::Keys(words.word("").unwrap_or_default()),
        "status" => Command::Status,
        "members" => Command::Members,
        "leave" => Command::Leave,
        "renew" => Command::Renew,
        "remove-member" => Command::RemoveMember(words.word("a node")?),
        "ready" => Command::Ready,
        "confirm" => Command::Confirm,
        "refresh" => Command::Refresh,
        "help" => Command::Help,
        "quit" => Command::Quit,
        "repeat" => {
            let times = words.word("a number")?;
            let times = times
                .parse()
                .map_err(|_| words.problem(&format!("{times:?} is no number")))?;
            Command::Repeat(times, words.text("a line")?)
        }
        _ => {
            let problem = format!("{name:?} is no command (try help)");
            return Err(Unclear {
                problem,
                usage: "insert cart-42 apple",
            });
        }
    };
    words.end()?;
    Ok(Some(command))
}

struct Words<'l> {
    name: &'l str,
    rest: &'l str,
    usage: &'static str,
}

impl Words<'_> {
    fn problem(&self, what: &str) -> Unclear {
        Unclear {
            problem: format!("{}: {what}", self.name),
            usage: self.usage,
        }
    }

    fn word(&mut self, what: &str) -> Result<String, Unclear> {
        let (word, rest) = self
            .rest
            .split_once(char::is_whitespace)
            .unwrap_or((self.rest, ""));
        if word.is_empty() {
            return Err(self.problem(&format!("{what} is missing")));
        }
        self.rest = rest.trim();
        Ok(word.to_owned())
    }

    fn key(&mut self) -> Result<String, Unclear> {
        self.word("a key")
    }

    fn number(&mut self) -> Result<i64, Unclear> {
        let word = self.word("a number")?;
        word.parse()
            .map_err(|_| self.problem(&format!("{word:?} is no whole number of 64 bits")))
    }

    fn seconds(&mut self) -> Result<Option<u32>, Unclear> {
        let word = self.word("a number of seconds")?;
        if word == NEVER {
            return Ok(None);
        }
        word.parse().map(Some).map_err(|_| {
            self.problem(&format!(
                "{word:?} is neither a number of seconds, up to {}, nor {NEVER:?}",
                u32::MAX
            ))
        })
    }

    /// Lines that write, two at least.
    fn lines(&mut self) -> Result<Vec<Command>, Unclear> {
        let text = self.text("a line that writes")?;
        let mut commands = Vec::new();
        for line in text.split(BESIDE) {
            if line.split_whitespace().next() == Some(self.name) {
                return Err(self.problem("it does not stand in itself"));
            }
            let Some(command) = parse(line)? else {
                return Err(self.problem(&format!("between two {BESIDE:?} stands no line")));
            };
            if !command.is_write() {
                return Err(self.problem(&format!("{:?} writes no key", line.trim())));
            }
            commands.push(command);
        }
        if commands.len() < 2 {
            let what = format!("takes two lines and more, with {BESIDE:?} between them");
            return Err(self.problem(&what));
        }
        Ok(commands)
    }

    /// Everything that is left.
    fn text(&mut self, what: &str) -> Result<String, Unclear> {
        if self.rest.is_empty() {
            return Err(self.problem(&format!("{what} is missing")));
        }
        Ok(std::mem::take(&mut self.rest).to_owned())
    }

    fn end(self) -> Result<(), Unclear> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.problem(&format!("{:?} is too much", self.rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usage_is_a_line_that_is_understood() {
        for (name, usage, _) in USAGE {
            assert!(matches!(parse(usage), Ok(Some(_))), "{usage}");
            assert!(usage.starts_with(name));
        }
    }

    #[test]
    fn errors_say_how_the_line_should_look() {
        let said = |line: &str| parse(line).unwrap_err().to_string();
        assert_eq!(
            said("add hits"),
            "add: a number is missing; a line looks like: add hits 3"
        );
        assert_eq!(
            said("add hits three"),
            "add: \"three\" is no whole number of 64 bits; a line looks like: add hits 3"
        );
        assert_eq!(
            said("reset hits now"),
            "reset: \"now\" is too much; a line looks like: reset hits"
        );
        assert!(said("insret cart x").contains("is no command (try help)"));
        assert!(said("expire cart soon").contains("up to 4294967295, nor \"never\""));
        assert!(said("expire cart -1").contains("expire cart-42 60"));
        assert!(said("expire-idle cart-").contains("a number of seconds is missing"));
        assert!(said("own session/").contains("a name is missing"));
        assert!(said("together").contains("a line that writes is missing"));
        assert!(said("together add hits 1").contains("two lines and more, with \" ; \""));
        assert!(said("together add hits 1 ; get hits").contains("\"get hits\" writes no key"));
        assert!(said("together add hits 1 ; ; add hits 2").contains("is no command"));
        assert!(said(&"together ".repeat(100_000)).contains("does not stand in itself"));
        assert!(said("together add hits 1 ; # none").contains("stands no line"));
        assert_eq!(
            said("together add hits 1; add hits 2"),
            "add: \"1;\" is no whole number of 64 bits; a line looks like: add hits 3"
        );
        assert_eq!(parse("  # a comment"), Ok(None));
        let words = Command::Set("motd".into(), "hello  world".into());
        assert_eq!(parse("set motd hello  world"), Ok(Some(words)));
        let both = vec![
            Command::Set("motd".into(), "a;b".into()),
            Command::Expire("motd".into(), None),
        ];
        let both = Command::Together(both);
        assert_eq!(
            parse("together set motd a;b ;  expire motd never"),
            Ok(Some(both))
        );
    }
}
