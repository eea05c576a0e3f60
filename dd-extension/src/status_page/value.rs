//! A value of any shape as JSON, from its shape and its tree alone.
//!
//! | shape | JSON |
//! | --- | --- |
//! | sets | an array |
//! | maps, records | an object |
//! | counters, flags | a number, a boolean |
//! | registers | the payload, or null; an `mv_register` an array |
//! | anything else | `{"entries": n}` |
//!
//! Numbers beyond 2^53, which a browser would round, are texts. What a payload's type was is not known:
//! one that reads as a text is shown as one, others as `{"bytes": "…"}`.

use std::collections::BTreeSet;

use crdt_core::kernel::{NodeRef, ValueRef};
use crdt_core::{
    Crdt, DwFlag, Element, EwFlag, GCounter, MaxRegister, MinRegister, OrSet, PnCounter,
    RemoveWinsSet, Shape,
};
use serde_json::{Map, Value, json};

/// The greatest whole number up to which a browser tells all apart.
const EXACT: i128 = (1 << 53) - 1;
/// Bytes before a payload of a last-writer-wins write.
const STAMP: usize = 8;

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Elements, entries and payloads in all.
    pub(super) items: usize,
    /// Bytes of each text.
    pub(super) text: usize,
}

/// A value as JSON, and whether that is all of it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) value: Value,
    pub(super) is_whole: bool,
}

/// How large a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// What is live in it: elements, writes, shares of a counter.
    pub(super) entries: usize,
    /// Bytes of names and payloads.
    pub(super) bytes: usize,
    /// Whether that is all, or as far as was looked.
    pub(super) is_whole: bool,
}

/// Shows a value.
pub(super) fn show(shape: &Shape, node: NodeRef<'_>, limit: Limit) -> Shown {
    let mut show = Show {
        limit,
        items: 0,
        is_whole: true,
    };
    let value = show.value(shape.as_str(), node);
    Shown {
        value,
        is_whole: show.is_whole,
    }
}

/// Measures a value, up to `most` places.
pub(super) fn measure(node: NodeRef<'_>, most: usize) -> Size {
    let mut size = Size {
        entries: 0,
        bytes: 0,
        is_whole: true,
    };
    let mut left = most;
    add_size(node, &mut size, &mut left);
    size
}

fn add_size(node: NodeRef<'_>, size: &mut Size, left: &mut usize) {
    for entry in node.entries() {
        size.entries += 1;
        if let ValueRef::Bytes(bytes) = entry.value {
            size.bytes += bytes.len();
        }
    }
    for (name, child) in node.children() {
        if *left == 0 {
            size.is_whole = false;
            return;
        }
        *left -= 1;
        size.bytes += name.len();
        add_size(child, size, left);
    }
}

struct Show {
    limit: Limit,
    items: usize,
    is_whole: bool,
}

impl Show {
    /// Whether one more may be shown.
    fn admit(&mut self) -> bool {
        let is = self.items < self.limit.items;
        self.items += 1;
        self.is_whole &= is;
        is
    }

    fn value(&mut self, shape: &str, node: NodeRef<'_>) -> Value {
        let place = Some(node);
        match (name_of(shape), &arguments(shape)[..]) {
            ("g_counter", []) => number(GCounter::view(place).value()),
            ("pn_counter", []) => number(PnCounter::view(place).value()),
            ("ew_flag", []) => EwFlag::view(place).is_on().into(),
            ("dw_flag", []) => DwFlag::view(place).is_on().into(),
            ("or_set" | "g_set", [of]) => self.list(of, OrSet::<Vec<u8>>::view(place).iter()),
            ("remove_wins_set", [of]) => {
                self.list(of, RemoveWinsSet::<Vec<u8>>::view(place).iter())
            }
            ("max_register", [of]) => self.maybe(of, MaxRegister::<Vec<u8>>::view(place).get()),
            ("min_register", [of]) => self.maybe(of, MinRegister::<Vec<u8>>::view(place).get()),
            ("lww_register", []) => self.newest(node),
            ("mv_register" | "joined", _) => self.payloads(node),
            ("lww_map", [key]) => self.map(key, node, Self::newest),
            ("or_map", [key, of]) => self.map(key, node, |show, node| show.value(of, node)),
            ("record", [_]) => self.record(node),
            _ => {
                self.is_whole = false;
                json!({ "entries": node.entries().count() + node.children().len() })
            }
        }
    }

    fn list(&mut self, shape: &str, elements: impl Iterator<Item = Vec<u8>>) -> Value {
        let mut all = Vec::new();
        for bytes in elements {
            if !self.admit() {
                break;
            }
            all.push(self.element(shape, &bytes));
        }
        all.into()
    }

    fn maybe(&mut self, shape: &str, element: Option<Vec<u8>>) -> Value {
        element.map_or(Value::Null, |bytes| self.element(shape, &bytes))
    }

    fn map(
        &mut self,
        key: &str,
        node: NodeRef<'_>,
        value: impl Fn(&mut Self, NodeRef<'_>) -> Value,
    ) -> Value {
        let mut all = Map::new();
        for (name, child) in node.children() {
            if !self.admit() {
                break;
            }
            let key = match self.element(key, name) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            all.insert(key, value(self, child));
        }
        all.into()
    }

    /// Fields are called `name:shape`. Two of one name, which had another type at some time, are shown
    /// by all of that.
    fn record(&mut self, node: NodeRef<'_>) -> Value {
        let mut all = Map::new();
        for (field, child) in node.children() {
            if !self.admit() {
                break;
            }
            let whole = self.text(&String::from_utf8_lossy(field));
            let parts = std::str::from_utf8(field)
                .ok()
                .and_then(|f| f.split_once(':'));
            let parts =
                parts.and_then(|(name, shape)| Some((name, Shape::parse(shape.as_bytes())?)));
            let (name, value) = match parts {
                Some((name, shape)) => (self.text(name), self.value(shape.as_str(), child)),
                None => (whole.clone(), self.bytes(field)),
            };
            let is_free = !all.contains_key(&name);
            all.insert(if is_free { name } else { whole }, value);
        }
        all.into()
    }

    /// The payload of the newest write.
    fn newest(&mut self, node: NodeRef<'_>) -> Value {
        let writes = node.entries().filter_map(|entry| match entry.value {
            ValueRef::Bytes(bytes) => {
                let (stamp, payload) = bytes.split_first_chunk::<STAMP>()?;
                Some((*stamp, entry.dot, payload))
            }
            _ => None,
        });
        let newest = writes.max_by_key(|(stamp, dot, _)| (*stamp, *dot));
        newest.map_or(Value::Null, |(_, _, payload)| self.payload(payload))
    }

    fn payloads(&mut self, node: NodeRef<'_>) -> Value {
        let different: BTreeSet<&[u8]> = node
            .entries()
            .filter_map(|entry| match entry.value {
                ValueRef::Bytes(bytes) => Some(&**bytes),
                _ => None,
            })
            .collect();
        let mut all = Vec::new();
        for payload in different {
            if !self.admit() {
                break;
            }
            all.push(self.payload(payload));
        }
        all.into()
    }

    fn payload(&mut self, bytes: &[u8]) -> Value {
        match as_text(bytes) {
            Some(text) => self.text(text).into(),
            None => self.bytes(bytes),
        }
    }

    fn element(&mut self, shape: &str, bytes: &[u8]) -> Value {
        let whole = match shape {
            "str" => std::str::from_utf8(bytes).ok().map(|t| self.text(t).into()),
            "bytes" => None,
            _ => {
                let mut rest = bytes;
                let value = self.part(shape, &mut rest);
                value.filter(|_| rest.is_empty())
            }
        };
        whole.unwrap_or_else(|| self.bytes(bytes))
    }

    /// A part of an element, taken from the front of `bytes`.
    fn part(&mut self, shape: &str, bytes: &mut &[u8]) -> Option<Value> {
        macro_rules! integer {
            ($($type:ident)*) => {
                match shape {
                    $(stringify!($type) => return $type::decode_part(bytes).map(number),)*
                    _ => {}
                }
            };
        }
        integer!(u8 u16 u32 u64 i8 i16 i32 i64 i128);
        Some(match (name_of(shape), &arguments(shape)[..]) {
            ("u128", []) => number(u128::decode_part(bytes)?),
            ("bool", []) => bool::decode_part(bytes)?.into(),
            ("char", []) => char::decode_part(bytes)?.to_string().into(),
            ("str", []) => self.text(&String::decode_part(bytes)?).into(),
            ("bytes", []) => {
                let part = Vec::<u8>::decode_part(bytes)?;
                self.bytes(&part)
            }
            ("tuple", parts) => {
                let all = parts.iter().map(|part| self.part(part, bytes));
                all.collect::<Option<Vec<_>>>()?.into()
            }
            (name, []) => {
                let length = name.strip_prefix("bytes")?.parse().ok()?;
                let (part, rest) = bytes.split_at_checked(length)?;
                *bytes = rest;
                self.bytes(part)
            }
            _ => return None,
        })
    }

    fn text(&mut self, text: &str) -> String {
        if text.len() <= self.limit.text {
            return text.to_owned();
        }
        self.is_whole = false;
        let cut = text.floor_char_boundary(self.limit.text);
        format!("{}\u{2026}", &text[..cut])
    }

    fn bytes(&mut self, bytes: &[u8]) -> Value {
        let shown = bytes.get(..self.limit.text / 2).unwrap_or(bytes);
        let cut = shown.len() < bytes.len();
        self.is_whole &= !cut;
        let mut hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.push_str(if cut { "\u{2026}" } else { "" });
        json!({ "bytes": hex })
    }
}

/// Whether bytes are the postcard of a text: its length and it, with nothing that is not for reading.
/// The empty text is not told from a zero, so it is no text.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let mut length = 0usize;
    for (at, byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let text = std::str::from_utf8(bytes.get(at + 1..)?).ok()?;
            let is_readable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
            let is_text = text.len() == length && length > 0 && text.chars().all(is_readable);
            return is_text.then_some(text);
        }
    }
    None
}

fn number<N: TryInto<i128> + ToString + Copy>(n: N) -> Value {
    let exact = n
        .try_into()
        .ok()
        .filter(|n: &i128| (-EXACT..=EXACT).contains(n));
    match exact.and_then(|n| i64::try_from(n).ok()) {
        Some(n) => n.into(),
        None => n.to_string().into(),
    }
}

fn name_of(shape: &str) -> &str {
    shape.split('<').next().unwrap_or_default()
}

/// The shapes between the brackets of a shape.
fn arguments(shape: &str) -> Vec<&str> {
    let inner = shape.split_once('<').and_then(|(_, s)| s.strip_suffix('>'));
    let Some(inner) = inner else {
        return Vec::new();
    };
    let (mut all, mut depth, mut from) = (Vec::new(), 0usize, 0);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                all.push(&inner[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    all.push(&inner[from..]);
    all
}

#[cfg(test)]
mod tests;
