//! What is answered at which path.

use crdt_core::Shape;
use crdt_core::kernel::Node;
use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::query::{QueryError, parameter};
use super::report::report;
use super::value::{Limit, Size, measure, show};
use crate::{Store, StoreError};

const PAGE: &str = include_str!("page.html");

/// Keys of one page.
const KEYS: usize = 50;
/// What is shown of a value in a list of keys.
const GLANCE: Limit = Limit { items: 8, text: 80 };
/// What is shown of a value by itself.
const LOOK: Limit = Limit {
    items: 2000,
    text: 4096,
};
/// Places that are looked at for the size of a value.
const MEASURED: usize = 10_000;

/// What goes back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn problem(status: StatusCode, what: &str) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: format!("{what}\n").into(),
        }
    }

    fn json(value: &Value) -> Self {
        Self {
            status: StatusCode::OK,
            kind: "application/json",
            body: value.to_string().into(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the query can't be read: {0}")]
    Query(#[from] QueryError),
    #[error("the query lacks {0}=…")]
    Missing(&'static str),
    #[error("there is nothing here; try /")]
    Path,
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::Query(_) | Self::Missing(_) => StatusCode::BAD_REQUEST,
            Self::Path => StatusCode::NOT_FOUND,
            Self::Store(StoreError::Update(_)) => StatusCode::BAD_REQUEST,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

pub(super) fn answer(store: &Store, path: &str, query: &str) -> Answer {
    let answer = match path {
        "/" => {
            return Answer {
                status: StatusCode::OK,
                kind: "text/html; charset=utf-8",
                body: PAGE.into(),
            };
        }
        "/status.json" => status(store),
        "/keys.json" => keys(store, query),
        "/value.json" => value(store, query),
        _ => Err(Problem::Path),
    };
    answer.map_or_else(
        |problem| Answer::problem(problem.status(), &problem.to_string()),
        |value| Answer::json(&value),
    )
}

fn status(store: &Store) -> Result<Value, Problem> {
    Ok(report(&store.status()?))
}

fn keys(store: &Store, query: &str) -> Result<Value, Problem> {
    let prefix = parameter(query, "prefix")?.unwrap_or_default();
    let after = parameter(query, "after")?;
    let mut names = store.keys(&prefix, after.as_deref(), KEYS + 1)?;
    let is_last = names.len() <= KEYS;
    names.truncate(KEYS);
    let next = names.last().filter(|_| !is_last).cloned();
    let keys = names.iter().map(|key| values(store, key, GLANCE));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "keys": keys, "next": next }))
}

fn value(store: &Store, query: &str) -> Result<Value, Problem> {
    let key = parameter(query, "key")?.ok_or(Problem::Missing("key"))?;
    values(store, &key, LOOK)
}

/// All that stands under a key.
fn values(store: &Store, key: &str, limit: Limit) -> Result<Value, Problem> {
    let mut values = Vec::new();
    for shape in store.shapes(key)? {
        // It may have gone in the meantime.
        if let Some(tree) = store.tree(key, &shape)? {
            values.push(describe(&shape, &tree, limit));
        }
    }
    Ok(json!({ "key": key, "values": values }))
}

fn describe(shape: &Shape, tree: &Node, limit: Limit) -> Value {
    let shown = show(shape, tree.as_ref(), limit);
    let Size {
        entries,
        bytes,
        is_whole,
    } = measure(tree.as_ref(), MEASURED);
    json!({
        "shape": shape.as_str(),
        "value": shown.value,
        "whole": shown.is_whole,
        "entries": entries,
        "bytes": bytes,
        "size_is_least": !is_whole,
    })
}
