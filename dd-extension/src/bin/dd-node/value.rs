//! Values as text, by the shape that they have.

use dd_extension::types::{Crdt, GCounter, GSet, LwwMap, LwwRegister, MvRegister, OrMap, OrSet};
use dd_extension::types::{PnCounter, Shape};
use dd_extension::{Key, Store, StoreError};

/// What the lines of this program write.
pub(crate) type Tags = OrSet<String>;
pub(crate) type Text = LwwRegister<String>;
pub(crate) type Texts = MvRegister<String>;
pub(crate) type Fields = LwwMap<String, String>;
pub(crate) type Counts = OrMap<String, PnCounter>;

/// Everything that stands under a key, one text for each shape.
pub(crate) fn describe(store: &Store, key: &str) -> Result<Vec<String>, StoreError> {
    let mut values = Vec::new();
    for shape in store.shapes(key)? {
        // Of a key whose deadline has passed nothing is shown, and it is still there for a while.
        if store.tree(key, &shape)?.is_some() {
            values.push(format!("{shape} {}", value(store, key, &shape)?));
        }
    }
    Ok(values)
}

fn value(store: &Store, key: &str, shape: &Shape) -> Result<String, StoreError> {
    fn is<T: Crdt>(shape: &Shape) -> bool {
        *shape == Shape::of::<T>()
    }
    let key = key.to_owned();
    Ok(match shape {
        s if is::<PnCounter>(s) => {
            store.read(&Key::<PnCounter>::of(key), |c| c.value().to_string())?
        }
        s if is::<GCounter>(s) => {
            store.read(&Key::<GCounter>::of(key), |c| c.value().to_string())?
        }
        s if is::<Tags>(s) => store.read(&Key::<Tags>::of(key), |set| list(set.iter()))?,
        s if is::<GSet<String>>(s) => {
            store.read(&Key::<GSet<String>>::of(key), |set| list(set.iter()))?
        }
        s if is::<Text>(s) => store.read(&Key::<Text>::of(key), |register| {
            let lost = match register.conflicts() {
                0 => String::new(),
                n => format!(" ({n} concurrent writes lost)"),
            };
            match register.get() {
                Ok(value) => format!("{}{lost}", value.unwrap_or_default()),
                Err(error) => format!("(not text: {error})"),
            }
        })?,
        s if is::<Texts>(s) => store.read(&Key::<Texts>::of(key), |register| {
            register.values().map_or_else(
                |error| format!("(not text: {error})"),
                |all| list(all.into_iter()),
            )
        })?,
        s if is::<Fields>(s) => store.read(&Key::<Fields>::of(key), |map| {
            list(map.iter().map(|(field, value)| match value {
                Ok(value) => format!("{field}={value}"),
                Err(error) => format!("{field}=(not text: {error})"),
            }))
        })?,
        s if is::<Counts>(s) => store.read(&Key::<Counts>::of(key), |map| {
            list(
                map.iter()
                    .map(|(field, count)| format!("{field}={}", count.value())),
            )
        })?,
        _ => "(of a type that this program does not know)".to_owned(),
    })
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
}
