//! Records: several CRDTs under one name, each field by itself.

use alloc::string::String;

use super::Crdt;
use super::joined::is_word;
use crate::kernel::{Cursor, NodeRef};
use crate::name::Name;

/// Makes a type of several CRDTs, each of which is changed and merged by itself.
///
/// After the type's name come the name that it has in shapes, which must never change once data is
/// stored, and the names for the types that read and change it. Fields may be added and left out in
/// later versions, and put in another order: a node keeps and passes on fields that it does not know.
/// A field whose type changes is another field. No field can be called `view`: that is how an edit
/// reads what the update did so far.
///
/// # Concurrent cases
///
/// | begin | A | B | then | not |
/// | --- | --- | --- | --- | --- |
/// | | sets one field | sets another | both | one of them |
/// | | sets a field | sets the same | as the field's type says | |
/// | under a key | the key is removed | sets a field | that field; all others are empty | nothing |
///
/// # Costs
///
/// Those of its fields. A field's name and shape are in the path of all that stands in it, on the wire
/// once for all of one field; a record by key takes some 400 bytes of memory beside its fields.
///
/// # Example
///
/// ```
/// use crdt_core::{Causal, LwwRegister, OrSet, PnCounter, ReplicaId, record};
///
/// record! {
///     /// What is kept of a user.
///     pub struct Profile: "profile", ProfileView, ProfileEdit {
///         /// The name to show.
///         name: LwwRegister<String>,
///         /// Free words.
///         tags: OrSet<String>,
///         visits: PnCounter,
///     }
/// }
///
/// let mut a = Causal::<Profile>::new(ReplicaId::new(1, 1));
/// let mut b = Causal::<Profile>::new(ReplicaId::new(2, 1));
/// a.update(|p| { p.name().set("Ann"); p.visits().add(1) })?;
/// b.update(|p| { p.tags().insert("new"); p.visits().add(1) })?;
/// a.merge(&b)?;
/// assert_eq!(a.view().name().get()?.as_deref(), Some("Ann"));
/// assert!(a.view().tags().contains("new"));
/// assert_eq!(a.view().visits().value(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! record {
    (
        $(#[$about:meta])*
        $vis:vis struct $type:ident: $shape:literal, $view:ident, $edit:ident {
            $($(#[$about_field:meta])* $field:ident: $crdt:ty),* $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        $vis struct $type(());

        #[doc = concat!("Reads a `", stringify!($type), "`.")]
        #[derive(Clone, Copy)]
        $vis struct $view<'a>($crate::RecordView<'a>);

        #[doc = concat!("Changes a `", stringify!($type), "`.")]
        $vis struct $edit<'a>($crate::RecordEdit<'a>);

        impl $crate::Crdt for $type {
            type View<'a> = $view<'a>;
            type Edit<'a> = $edit<'a>;

            fn shape(out: &mut $crate::ShapeText) {
                const { $crate::RecordView::check_name($shape) };
                $crate::RecordView::shape($shape, out);
            }

            fn view(node: ::core::option::Option<$crate::kernel::NodeRef<'_>>) -> $view<'_> {
                $view($crate::RecordView::new(node))
            }

            fn edit(cursor: $crate::kernel::Cursor<'_>) -> $edit<'_> {
                $edit($crate::RecordEdit::new(cursor))
            }
        }

        #[allow(dead_code, reason = "not every field is read by everyone")]
        impl<'a> $view<'a> {
            $(
                $(#[$about_field])*
                $vis fn $field(&self) -> <$crdt as $crate::Crdt>::View<'a> {
                    self.0.field::<$crdt>(stringify!($field))
                }
            )*
        }

        #[allow(dead_code, reason = "not every field is changed by everyone")]
        impl $edit<'_> {
            /// The record, with what this update did so far.
            $vis fn view(&self) -> $view<'_> {
                $view(self.0.view())
            }

            $(
                $(#[$about_field])*
                $vis fn $field(&mut self) -> <$crdt as $crate::Crdt>::Edit<'_> {
                    self.0.field::<$crdt>(stringify!($field))
                }
            )*
        }

        impl<'a> ::core::fmt::Debug for $view<'a>
        where
            $(<$crdt as $crate::Crdt>::View<'a>: ::core::fmt::Debug,)*
        {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($field), &self.$field()))*
                    .finish()
            }
        }

        impl ::core::fmt::Debug for $edit<'_>
        where
            $(for<'v> <$crdt as $crate::Crdt>::View<'v>: ::core::fmt::Debug,)*
        {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Debug::fmt(&self.view(), f)
            }
        }

        /// The same values in all fields.
        impl<'a> ::core::cmp::PartialEq for $view<'a>
        where
            $(<$crdt as $crate::Crdt>::View<'a>: ::core::cmp::PartialEq,)*
        {
            fn eq(&self, other: &Self) -> bool {
                true $(&& self.$field() == other.$field())*
            }
        }

        /// A struct of the fields.
        impl<'a> $crate::__serde::Serialize for $view<'a>
        where
            $(<$crdt as $crate::Crdt>::View<'a>: $crate::__serde::Serialize,)*
        {
            fn serialize<S: $crate::__serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                use $crate::__serde::ser::SerializeStruct as _;
                const FIELDS: usize = <[&str]>::len(&[$(stringify!($field)),*]);
                let mut fields = serializer.serialize_struct(stringify!($type), FIELDS)?;
                $(fields.serialize_field(stringify!($field), &self.$field())?;)*
                fields.end()
            }
        }
    };
}

/// What [`record!`](crate::record) reads with.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a>(Option<NodeRef<'a>>);

/// What [`record!`](crate::record) changes with.
#[derive(Debug)]
pub struct RecordEdit<'a>(Cursor<'a>);

impl<'a> RecordView<'a> {
    /// Fails to compile if the name can't stand in a shape.
    ///
    /// # Panics
    ///
    /// If it is not 1 to 64 of `a-z`, `0-9` and `_`; in a constant that is a compile error.
    pub const fn check_name(name: &str) {
        assert!(
            is_word(name.as_bytes()),
            "a record's name in shapes must be 1 to 64 of a-z, 0-9 and _"
        );
    }

    /// Appends the shape of a record.
    pub fn shape(name: &str, out: &mut String) {
        out.push_str("record<");
        out.push_str(name);
        out.push('>');
    }

    /// A view of the record at a place.
    pub fn new(node: Option<NodeRef<'a>>) -> Self {
        Self(node)
    }

    /// One field.
    pub fn field<T: Crdt>(&self, name: &str) -> T::View<'a> {
        let field = field_name::<T>(name);
        T::view(
            self.0
                .and_then(|node| node.children().get(field.as_bytes())),
        )
    }
}

impl<'a> RecordEdit<'a> {
    /// An edit of the record at a place.
    pub fn new(cursor: Cursor<'a>) -> Self {
        Self(cursor)
    }

    /// The record, with what this update did so far.
    pub fn view(&self) -> RecordView<'_> {
        RecordView(self.0.node())
    }

    /// One field.
    pub fn field<T: Crdt>(&mut self, name: &str) -> T::Edit<'_> {
        T::edit(self.0.child(field_name::<T>(name)))
    }
}

/// A field's type is part of its path: with another type it is another field, and never misread.
fn field_name<T: Crdt>(name: &str) -> Name {
    let mut text = String::from(name);
    text.push(':');
    T::shape(&mut text);
    Name::new(text.as_bytes())
}
