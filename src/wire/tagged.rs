//! Decoding of tagged objects field by field.
//!
//! What serde derives for an enum with a tag inside collects the fields in a form of its own and decodes them with a second
//! decoder: for the wire's large enums that was a third of a megabyte of machine code. Here the object becomes a JSON
//! value, and each field is taken out of it by a call.

use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Map, Value};

/// Takes the tag out of an object.
pub(crate) fn take_tag(
    fields: &mut Map<String, Value>,
    tag: &'static str,
) -> Result<String, Error> {
    match fields.remove(tag) {
        Some(Value::String(name)) => Ok(name),
        Some(_) => Err(Error::custom(format_args!("`{tag}` must be a string"))),
        None => Err(Error::missing_field(tag)),
    }
}

/// Takes a field out of an object and decodes it.
#[inline(never)]
pub(crate) fn take<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &'static str,
) -> Result<T, Error> {
    match fields.remove(name) {
        Some(value) => decode(value, name),
        None => Err(Error::missing_field(name)),
    }
}

/// Takes a field out of an object and decodes it; an absent one has its default.
#[inline(never)]
pub(crate) fn take_or_default<T: DeserializeOwned + Default>(
    fields: &mut Map<String, Value>,
    name: &'static str,
) -> Result<T, Error> {
    match fields.remove(name) {
        Some(value) => decode(value, name),
        None => Ok(T::default()),
    }
}

fn decode<T: DeserializeOwned>(value: Value, name: &'static str) -> Result<T, Error> {
    T::deserialize(value).map_err(|error| Error::custom(format_args!("`{name}`: {error}")))
}

/// The error for a tag that is none of those expected.
pub(crate) fn unknown(tag: &str, expected: &'static [&'static str]) -> Error {
    Error::unknown_variant(tag, expected)
}

/// One field of a variant, by its attributes: `#[serde(default, …)]` says that it may be absent.
macro_rules! take_field {
    ($fields:ident $field:ident) => {
        $crate::wire::tagged::take(&mut $fields, stringify!($field))?
    };
    ($fields:ident $field:ident #[doc = $doc:literal] $($rest:tt)*) => {
        $crate::wire::tagged::take_field!($fields $field $($rest)*)
    };
    ($fields:ident $field:ident #[serde(default $($more:tt)*)] $($rest:tt)*) => {
        $crate::wire::tagged::take_or_default(&mut $fields, stringify!($field))?
    };
}
pub(crate) use take_field;
