//! Decoding of tagged objects by way of a JSON value.
//!
//! What serde derives for an enum with a tag inside collects the fields in a form of its own and decodes them with a second
//! decoder: for the wire's large enums that is a third of a megabyte of machine code. Here the object becomes a
//! JSON value, the tag goes outside (`{"type": "x", "n": 1}` becomes `{"x": {"n": 1}}`), and what serde derives for that, the
//! untagged form, decodes it. Its errors are as exact.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::{Error, Map, Value};

/// The fields of an object, with the tag taken out and put around them.
pub(crate) fn outside(mut fields: Map<String, Value>, tag: &'static str) -> Result<Value, Error> {
    match fields.remove(tag) {
        Some(Value::String(name)) => {
            let mut tagged = Map::new();
            tagged.insert(name, Value::Object(fields));
            Ok(Value::Object(tagged))
        }
        Some(_) => Err(Error::custom(format_args!("`{tag}` must be a string"))),
        None => Err(Error::missing_field(tag)),
    }
}

/// Decodes an object whose tag is inside; `decode` decodes the form with the tag outside.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    tag: &'static str,
    decode: fn(Value) -> Result<T, Error>,
) -> Result<T, D::Error> {
    let fields = Map::deserialize(deserializer)?;
    outside(fields, tag)
        .and_then(decode)
        .map_err(D::Error::custom)
}

/// Takes a field out of an object and decodes it; an absent one is null.
pub(crate) fn take<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &str,
) -> Result<T, Error> {
    T::deserialize(fields.remove(name).unwrap_or_default())
        .map_err(|error| Error::custom(format_args!("`{name}`: {error}")))
}
