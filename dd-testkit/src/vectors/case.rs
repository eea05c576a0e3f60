//! One case, as it stands in a file.

use crdt_core::{ApplyError, EditError, LoadError, PayloadError, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::VectorType;

/// A history, and what each replica reads at its end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) replicas: Vec<String>,
    pub(super) steps: Vec<Step>,
    pub(super) expect: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Step {
    Op {
        at: String,
        #[serde(rename = "do")]
        name: String,
        args: Vec<Value>,
    },
    Merge {
        #[serde(rename = "merge")]
        from: String,
        into: String,
    },
}

impl Case {
    /// The number of a replica.
    pub(super) fn replica(&self, name: &str) -> Result<usize, CaseError> {
        let at = self.replicas.iter().position(|replica| replica == name);
        at.ok_or_else(|| CaseError::Replica(name.to_owned()))
    }
}

/// An operation of a type.
#[derive(Clone, Copy, Debug)]
pub struct Op<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its arguments, without the clock's reading.
    pub args: &'a [Value],
    /// The clock's reading, the beginning of time where the case has none.
    pub clock: Timestamp,
}

impl<'a> Op<'a> {
    pub(super) fn new<T: VectorType>(name: &'a str, args: &'a [Value]) -> Result<Self, CaseError> {
        let (clock, args) = match args.split_last() {
            Some((last, args)) if T::reads_clock(name) => (number(last)?, args),
            _ if T::reads_clock(name) => return Err(CaseError::Arguments),
            _ => (0, args),
        };
        let clock = Timestamp::from_bits(clock);
        Ok(Self { name, args, clock })
    }

    /// There is no such operation.
    pub(super) fn unknown(&self) -> CaseError {
        CaseError::Op(self.name.to_owned())
    }

    /// The first argument, and the operation without it, under another name.
    pub(super) fn inner(&self, name: &'a str) -> Result<(&'a str, Self), CaseError> {
        let (key, args) = self.args.split_first().ok_or(CaseError::Arguments)?;
        let key = key.as_str().ok_or(CaseError::Arguments)?;
        Ok((
            key,
            Self {
                name,
                args,
                ..*self
            },
        ))
    }

    /// All arguments.
    pub(super) fn args<const N: usize>(&self) -> Result<&'a [Value; N], CaseError> {
        self.args.try_into().map_err(|_| CaseError::Arguments)
    }

    /// The only argument, as text.
    pub(super) fn text(&self) -> Result<&'a str, CaseError> {
        let [text] = self.args()?;
        text.as_str().ok_or(CaseError::Arguments)
    }

    /// The only argument, as a number.
    pub(super) fn number<N: TryFrom<i64>>(&self) -> Result<N, CaseError> {
        let [n] = self.args()?;
        number(n)
    }
}

fn number<N: TryFrom<i64>>(value: &Value) -> Result<N, CaseError> {
    let n = value.as_i64().and_then(|n| N::try_from(n).ok());
    n.ok_or(CaseError::Arguments)
}

/// Why a case can't be run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// The case names a replica that it does not list.
    #[error("there is no replica {0}")]
    Replica(String),
    /// The type has no such operation.
    #[error("there is no operation {0}")]
    Op(String),
    /// The operation takes other arguments.
    #[error("wrong arguments")]
    Arguments,
    /// An update was refused.
    #[error("an update was refused: {0}")]
    Edit(#[from] EditError),
    /// A delta was refused.
    #[error("a delta was refused: {0}")]
    Apply(#[from] ApplyError),
    /// Bytes were refused.
    #[error("what was sent was refused: {0}")]
    Load(#[from] LoadError),
    /// A payload can't be read.
    #[error("a payload can't be read: {0}")]
    Payload(#[from] PayloadError),
    /// Anything else, of a method of its own.
    #[error("{0}")]
    Other(String),
}
