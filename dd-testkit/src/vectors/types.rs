//! What operations do and how values read, for each type that cases are written in.

use crdt_core::{
    Crdt, DwFlag, EwFlag, GCounter, GSet, LwwMap, LwwRegister, MaxRegister, MinRegister,
    MvRegister, OrMap, OrSet, PnCounter, RemoveWinsSet, SetView,
};
use serde_json::Value;

use super::case::{Case, CaseError, Op};
use super::{Method, run_case};

/// A type of value that cases are written in. Elements, keys and payloads are strings.
pub trait VectorType: Crdt {
    /// Does an operation.
    ///
    /// # Errors
    ///
    /// [`CaseError`] if there is no such operation, or it takes other arguments. The edit may have
    /// been changed then: the update ought to be dropped with the case.
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError>;

    /// The value, as cases write it.
    ///
    /// # Errors
    ///
    /// [`CaseError`] if a payload can't be read.
    fn read(view: &Self::View<'_>) -> Result<Value, CaseError>;

    /// Whether the last argument of this operation is the clock's reading.
    fn reads_clock(_op: &str) -> bool {
        false
    }
}

/// Runs a case.
pub(super) type Runner = fn(&Case, u64) -> Result<Value, CaseError>;

macro_rules! named {
    ($($name:literal => $type:ty,)*) => {
        /// The names of all types.
        #[cfg(test)]
        pub(super) const NAMES: &[&str] = &[$($name),*];

        /// What runs cases of the type of this name, if it is supported.
        pub(super) fn runner<M: Method>(type_name: &str) -> Option<Runner> {
            match type_name {
                $($name => Some(run_case::<M, $type>),)*
                _ => None,
            }
        }
    };
}

named! {
    "g_counter" => GCounter,
    "pn_counter" => PnCounter,
    "g_set" => GSet<String>,
    "or_set" => OrSet<String>,
    "rw_set" => RemoveWinsSet<String>,
    "lww_register" => LwwRegister<String>,
    "max_register" => MaxRegister<i64>,
    "min_register" => MinRegister<i64>,
    "ew_flag" => EwFlag,
    "dw_flag" => DwFlag,
    "mv_register" => MvRegister<String>,
    "lww_map" => LwwMap<String, String>,
    "or_map<pn_counter>" => OrMap<String, PnCounter>,
    "or_map<or_set>" => OrMap<String, OrSet<String>>,
    "or_map<mv_register>" => OrMap<String, MvRegister<String>>,
    "or_map<or_map<pn_counter>>" => OrMap<String, OrMap<String, PnCounter>>,
}

impl VectorType for GCounter {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "inc" | "add" => edit.add(op.number()?),
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(json_number(view.value()))
    }
}

impl VectorType for PnCounter {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "add" => edit.add(op.number()?),
            "reset" => {
                let [] = op.args()?;
                edit.reset();
            }
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(json_number(view.value()))
    }
}

/// A number, or its digits if it is beyond what cases write.
fn json_number<N: TryInto<i64> + ToString + Copy>(n: N) -> Value {
    match n.try_into() {
        Ok(n) => Value::from(n),
        Err(_) => Value::from(n.to_string()),
    }
}

impl VectorType for GSet<String> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "insert" => edit.insert(op.text()?),
            "ensure" => edit.ensure(op.text()?),
            _ => return Err(op.unknown()),
        };
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(elements(view))
    }
}

impl VectorType for OrSet<String> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "insert" => edit.insert(op.text()?),
            "ensure" => edit.ensure(op.text()?),
            "remove" => edit.remove(op.text()?),
            "clear" => {
                let [] = op.args()?;
                edit.clear()
            }
            _ => return Err(op.unknown()),
        };
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(elements(view))
    }
}

fn elements(view: &SetView<'_, String>) -> Value {
    view.iter().collect()
}

impl VectorType for RemoveWinsSet<String> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "insert" => edit.insert(op.text()?),
            "remove" => edit.remove(op.text()?),
            _ => return Err(op.unknown()),
        };
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(view.iter().collect())
    }
}

impl VectorType for EwFlag {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        let [] = op.args()?;
        match op.name {
            "enable" => edit.enable(),
            "disable" => drop(edit.disable()),
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(Value::from(view.is_on()))
    }
}

impl VectorType for DwFlag {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        let [] = op.args()?;
        match op.name {
            "enable" => edit.enable(),
            "disable" => edit.disable(),
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(Value::from(view.is_on()))
    }
}

impl VectorType for MaxRegister<i64> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "set" | "raise" => edit.raise(&op.number::<i64>()?),
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(Value::from(view.get()))
    }
}

impl VectorType for MinRegister<i64> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "set" | "lower" => edit.lower(&op.number::<i64>()?),
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(Value::from(view.get()))
    }
}

impl VectorType for LwwRegister<String> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "set" => edit.set(op.text()?),
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        Ok(Value::from(view.get()?))
    }

    fn reads_clock(op: &str) -> bool {
        op == "set"
    }
}

impl VectorType for MvRegister<String> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "set" => edit.set(op.text()?),
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        let mut values = view.values()?;
        values.sort_unstable();
        Ok(Value::from(values))
    }
}

impl VectorType for LwwMap<String, String> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        match op.name {
            "put" => {
                let (key, value) = op.inner("set")?;
                edit.insert(key, value.text()?);
            }
            "remove" => drop(edit.remove(op.text()?)),
            _ => return Err(op.unknown()),
        }
        Ok(())
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        view.iter()
            .map(|(key, value)| Ok((key, Value::from(value?))))
            .collect()
    }

    fn reads_clock(op: &str) -> bool {
        op == "put"
    }
}

/// `remove(k)`, or an operation of the inner type behind a key. Where the inner type has a `remove`
/// or `set` of its own, it is called `remove_from` or `remove_inner`, and `put`.
impl<V: VectorType> VectorType for OrMap<String, V> {
    fn apply(edit: &mut Self::Edit<'_>, op: &Op<'_>) -> Result<(), CaseError> {
        let name = match op.name {
            "remove" => {
                edit.remove(op.text()?);
                return Ok(());
            }
            "remove_from" | "remove_inner" => "remove",
            "put" => "set",
            name => name,
        };
        let (key, inner) = op.inner(name)?;
        V::apply(&mut edit.entry(key), &inner)
    }

    fn read(view: &Self::View<'_>) -> Result<Value, CaseError> {
        view.iter()
            .map(|(key, value)| Ok((key, V::read(&value)?)))
            .collect()
    }
}
