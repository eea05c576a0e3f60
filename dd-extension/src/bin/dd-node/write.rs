//! What lines write, one by one or several as one.

use std::time::{Duration, SystemTime};

use dd_extension::types::{Crdt, PnCounter};
use dd_extension::{Key, Store, StoreError, Transaction, TryUpdateError};

use crate::command::Command;
use crate::value::{Counts, Fields, Tags, Text, Texts};

/// Where a line writes: to the store, or in a transaction of it.
trait Writes {
    fn edit<T: Crdt, R>(
        &mut self,
        key: &str,
        edit: impl FnOnce(&mut T::Edit<'_>) -> R,
    ) -> Result<R, StoreError>;

    fn delete(&mut self, key: &str) -> Result<bool, StoreError>;

    fn expire(&mut self, key: &str, at: Option<SystemTime>) -> Result<bool, StoreError>;
}

impl Writes for &Store {
    fn edit<T: Crdt, R>(
        &mut self,
        key: &str,
        edit: impl FnOnce(&mut T::Edit<'_>) -> R,
    ) -> Result<R, StoreError> {
        self.update(&Key::<T>::of(key), edit)
    }

    fn delete(&mut self, key: &str) -> Result<bool, StoreError> {
        Store::delete(self, &Key::<Tags>::of(key))
    }

    fn expire(&mut self, key: &str, at: Option<SystemTime>) -> Result<bool, StoreError> {
        self.expire_at(&Key::<Tags>::of(key), at)
    }
}

impl Writes for Transaction<'_> {
    fn edit<T: Crdt, R>(
        &mut self,
        key: &str,
        edit: impl FnOnce(&mut T::Edit<'_>) -> R,
    ) -> Result<R, StoreError> {
        Ok(edit(&mut Transaction::edit(self, &Key::<T>::of(key))))
    }

    fn delete(&mut self, key: &str) -> Result<bool, StoreError> {
        Ok(Transaction::delete(self, &Key::<Tags>::of(key)))
    }

    fn expire(&mut self, key: &str, at: Option<SystemTime>) -> Result<bool, StoreError> {
        Ok(self.expire_at(&Key::<Tags>::of(key), at))
    }
}

/// Does what one line says; returns what to answer.
pub(crate) fn write(mut store: &Store, command: &Command) -> Result<String, StoreError> {
    write_to(&mut store, command)
}

/// Does what several lines say as one; returns what each answers.
pub(crate) fn write_together(store: &Store, commands: &[Command]) -> Result<String, StoreError> {
    let answers = store.transaction(|tx| {
        let each = commands.iter().map(|command| write_to(tx, command));
        each.collect::<Result<Vec<_>, _>>()
    });
    match answers {
        Ok(answers) => Ok(answers.join("; ")),
        Err(TryUpdateError::Store(error) | TryUpdateError::Closure(error)) => Err(error),
    }
}

fn write_to(to: &mut impl Writes, command: &Command) -> Result<String, StoreError> {
    let there = |was: bool| if was { "done" } else { "there was nothing" }.to_owned();
    let fresh = |was: bool| if was { "new" } else { "was there" }.to_owned();
    let written = |()| "written".to_owned();
    match command {
        Command::Add(key, n) => to.edit::<PnCounter, _>(key, |c| {
            c.add(*n);
            c.value().to_string()
        }),
        Command::Reset(key) => to.edit::<PnCounter, _>(key, |c| c.reset()).map(there),
        Command::Insert(key, e) => to.edit::<Tags, _>(key, |s| s.insert(e.as_str())).map(fresh),
        Command::Remove(key, e) => to.edit::<Tags, _>(key, |s| s.remove(e.as_str())).map(there),
        Command::Clear(key) => to.edit::<Tags, _>(key, |s| s.clear()).map(there),
        Command::Set(key, v) => to.edit::<Text, _>(key, |r| r.set(v)).map(written),
        Command::Assign(key, v) => to.edit::<Texts, _>(key, |r| r.set(v)).map(written),
        Command::Put(key, field, v) => to
            .edit::<Fields, _>(key, |m| m.insert(field.as_str(), v))
            .map(written),
        Command::Unput(key, field) => to
            .edit::<Fields, _>(key, |m| m.remove(field.as_str()))
            .map(there),
        Command::Count(key, field, n) => to.edit::<Counts, _>(key, |m| {
            let mut count = m.entry(field.as_str());
            count.add(*n);
            count.value().to_string()
        }),
        Command::Uncount(key, field) => to
            .edit::<Counts, _>(key, |m| m.remove(field.as_str()))
            .map(there),
        Command::Delete(key) => to.delete(key).map(there),
        Command::Expire(key, seconds) => {
            let after = |seconds: u32| SystemTime::now() + Duration::from_secs(seconds.into());
            let was = to.expire(key, seconds.map(after))?;
            Ok(match seconds {
                _ if !was => there(was),
                Some(seconds) => format!("ends in {seconds} s"),
                None => "does not end".to_owned(),
            })
        }
        other => Ok(format!("{other:?} changes nothing")),
    }
}
