//! From JSON values to the types that are stored and sent, field by field.
//!
//! What serde derives for decoding is compiled anew for each type, several kilobytes of machine code each, and for an enum
//! with a tag inside twice; together that was a fifth of the module. Here a text becomes one [`Value`], and a type takes its
//! fields out of that, one call each. Every type below also has serde's `Deserialize`, by the same route, for whoever
//! decodes with serde; a module that does not pays nothing for it.

use std::fmt::Display;
use std::rc::Rc;

use litemap::LiteMap;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Error, Map, Value};

/// A type that decodes itself from a JSON value.
pub trait FromJson: Sized {
    /// The value as this type.
    ///
    /// # Errors
    /// Says what was expected and what was there instead; a field's error begins with its name.
    fn from_json(value: Value) -> Result<Self, Error>;

    /// What a field of this type is when it is not there; `None` if it must be.
    fn absent() -> Option<Self> {
        None
    }
}

/// The JSON value of a text from outside: one that is nested more than 127 deep is an error, so that nobody can exhaust
/// the stack.
pub(crate) fn parse(text: &[u8]) -> Result<Value, Error> {
    read(text, true)
}

/// The JSON value of a text that this library wrote. What was taken in stands a few levels deeper in a row or an event, and
/// must come back out: so there is no bound here.
pub(crate) fn parse_own(text: &[u8]) -> Result<Value, Error> {
    read(text, false)
}

/// Decodes text that this library wrote.
pub(crate) fn decode_own<T: FromJson>(text: &[u8]) -> Result<T, Error> {
    T::from_json(parse_own(text)?)
}

#[inline(never)]
fn read(text: &[u8], bounded: bool) -> Result<Value, Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    if !bounded {
        reader.disable_recursion_limit();
    }
    let value = Value::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// The text of a value. As its `Display`, which would be a second and a third encoder.
#[inline(never)]
pub(crate) fn text(value: &Value) -> String {
    serde_json::to_string(value).expect("a JSON value has string keys and no failing serialiser")
}

/// The JSON of a type of the wire.
pub(crate) fn text_of<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("the types of the wire have string keys and no failing serialiser")
}

/// A type that makes itself a JSON value without a serialiser: for the fields of [`object!`].
pub(crate) trait ToValue {
    /// This as a JSON value.
    fn to_value(&self) -> Value;
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value {
        Value::String(self.to_owned())
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value {
        self.as_str().to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
}

impl<T: ToValue> ToValue for Vec<T> {
    fn to_value(&self) -> Value {
        Value::Array(self.iter().map(T::to_value).collect())
    }
}

macro_rules! plain_values {
    ($($type:ty)*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value {
                Value::from(self.clone())
            }
        }
    )*};
}
plain_values!(bool u32 u64 usize i64 Value Map<String, Value>);

/// An object of these fields, as `json!` makes it, for a fraction of the code: the fields are put in by one function.
macro_rules! object {
    ({ $($name:literal: $value:expr),* $(,)? }) => {
        $crate::wire::json::object_of(&mut [
            $(($name, $crate::wire::json::ToValue::to_value(&$value))),*
        ])
    };
}
pub(crate) use object;

/// An object of the fields, which are taken.
#[inline(never)]
pub(crate) fn object_of(fields: &mut [(&str, Value)]) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        object.insert((*name).to_owned(), value.take());
    }
    Value::Object(object)
}

/// The JSON value of anything that can be written as JSON, by way of its text: so that a type has one encoder. Null for what
/// JSON cannot hold.
pub(crate) fn value_of<T: serde::Serialize + ?Sized>(value: &T) -> Value {
    read_again(serde_json::to_vec(value).unwrap_or_default())
}

#[inline(never)]
fn read_again(text: Vec<u8>) -> Value {
    parse_own(&text).unwrap_or(Value::Null)
}

/// Writes a map as an object; the map's own way makes a list of an empty one.
pub(crate) fn map<T: serde::Serialize, S: serde::Serializer>(
    map: &LiteMap<String, T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter())
}

impl ToValue for LiteMap<String, String> {
    fn to_value(&self) -> Value {
        let mut fields = Map::new();
        for (name, value) in self.iter() {
            fields.insert(name.clone(), Value::String(value.clone()));
        }
        Value::Object(fields)
    }
}

/// `Deserialize` for a type that decodes itself.
pub(crate) fn deserialize<'de, T: FromJson, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::from_json(Value::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// An error that says what was expected.
#[inline(never)]
pub(crate) fn expected(what: &str, found: &Value) -> Error {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("the string {text:?}"),
        scalar => text(scalar),
    };
    Error::custom(format_args!("expected {what}, found {found}"))
}

/// An error with text of its own.
#[inline(never)]
pub(crate) fn wrong(message: &dyn Display) -> Error {
    Error::custom(message)
}

#[inline(never)]
fn within(name: &str, error: Error) -> Error {
    Error::custom(format_args!("`{name}`: {error}"))
}

/// The error for a name that is none of those expected.
#[inline(never)]
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> Error {
    let known = known.join("`, `");
    Error::custom(format_args!(
        "unknown {kind} `{name}`, expected one of `{known}`"
    ))
}

/// What stands in a field as long as it is not decoded yet, of a type that need not have a default.
pub(crate) trait Blank {
    /// Any value, the cheaper the better: nobody gets to see it.
    fn blank() -> Self;
}

macro_rules! blank_by_default {
    ($($type:ty)*) => {$(
        impl Blank for $type {
            fn blank() -> Self {
                Self::default()
            }
        }
    )*};
}
blank_by_default!(bool u8 u32 u64 usize f64 String Rc<str> Value);

impl<T> Blank for Option<T> {
    fn blank() -> Self {
        None
    }
}

impl<T> Blank for Vec<T> {
    fn blank() -> Self {
        Vec::new()
    }
}

impl<T> Blank for LiteMap<String, T> {
    fn blank() -> Self {
        LiteMap::new()
    }
}

/// The fields of an object, taken out one by one.
#[derive(Debug)]
pub(crate) struct Fields {
    left: Map<String, Value>,
    /// What was wrong first, of those that were put into their places.
    wrong: Option<Error>,
}

impl Fields {
    /// The fields of a value that must be an object.
    #[inline(never)]
    pub fn of(value: Value) -> Result<Fields, Error> {
        match value {
            Value::Object(left) => Ok(Fields { left, wrong: None }),
            other => Err(expected("an object", &other)),
        }
    }

    /// Takes a text that must be there, such as the tag that says which variant the object is.
    pub fn tag(&mut self, name: &'static str) -> Result<String, Error> {
        self.take(name)
    }

    /// Takes a field and decodes it.
    #[inline(never)]
    pub fn take<T: FromJson>(&mut self, name: &'static str) -> Result<T, Error> {
        match self.left.remove(name) {
            Some(value) => T::from_json(value).map_err(|error| within(name, error)),
            None => T::absent().ok_or_else(|| Error::missing_field(name)),
        }
    }

    /// Takes a field into its place, as [`put`](Self::put) does, under the one of its names that is there. Two at once are an error.
    pub fn put_named<T: FromJson>(&mut self, names: &[&'static str], place: &mut T) {
        let mut there = names.iter().filter(|name| self.left.contains_key(**name));
        let name = there.next().or(names.first()).copied().unwrap_or_default();
        if there.next().is_some() && self.wrong.is_none() {
            self.wrong = Some(wrong(&format_args!("duplicate field `{name}`")));
        }
        self.put(name, false, place);
    }

    /// Takes a field and decodes it; an absent one has its default.
    #[inline(never)]
    pub fn take_or_default<T: FromJson + Default>(
        &mut self,
        name: &'static str,
    ) -> Result<T, Error> {
        match self.left.remove(name) {
            Some(value) => T::from_json(value).map_err(|error| within(name, error)),
            None => Ok(T::default()),
        }
    }

    /// Takes a field and decodes it into its place; an absent one that may be leaves it as it is. What is wrong is said at the
    /// [`end`](Self::end): a struct that is filled so needs one way out, and not one behind each field, with a list of what
    /// has been decoded up to there.
    #[inline(never)]
    pub fn put<T: FromJson>(&mut self, name: &'static str, may_be_absent: bool, place: &mut T) {
        let Some(value) = self.next(name, may_be_absent || T::absent().is_some()) else {
            return;
        };
        match T::from_json(value) {
            Ok(value) => *place = value,
            Err(error) => self.wrong = Some(within(name, error)),
        }
    }

    #[inline(never)]
    fn next(&mut self, name: &'static str, may_be_absent: bool) -> Option<Value> {
        if self.wrong.is_some() {
            return None;
        }
        let value = self.left.remove(name);
        if value.is_none() && !may_be_absent {
            self.wrong = Some(Error::missing_field(name));
        }
        value
    }

    /// Whether all was well that was [`put`](Self::put).
    #[inline(never)]
    pub fn end(self) -> Result<(), Error> {
        self.wrong.map_or(Ok(()), Err)
    }

    /// What was not taken.
    pub fn rest(self) -> Map<String, Value> {
        self.left
    }

    /// Refuses fields of other names.
    #[inline(never)]
    pub fn only(&self, known: &[&str]) -> Result<(), Error> {
        match self
            .left
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(unknown("field", name, known)),
        }
    }
}

impl FromJson for Value {
    fn from_json(value: Value) -> Result<Value, Error> {
        Ok(value)
    }
}

impl FromJson for String {
    fn from_json(value: Value) -> Result<String, Error> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(expected("a string", &other)),
        }
    }
}

impl FromJson for Rc<str> {
    fn from_json(value: Value) -> Result<Rc<str>, Error> {
        String::from_json(value).map(Rc::from)
    }
}

impl FromJson for bool {
    fn from_json(value: Value) -> Result<bool, Error> {
        value
            .as_bool()
            .ok_or_else(|| expected("true or false", &value))
    }
}

impl FromJson for f64 {
    fn from_json(value: Value) -> Result<f64, Error> {
        value.as_f64().ok_or_else(|| expected("a number", &value))
    }
}

/// A whole number up to `most`.
#[inline(never)]
fn whole(value: &Value, most: u64) -> Result<u64, Error> {
    value
        .as_u64()
        .filter(|number| *number <= most)
        .ok_or_else(|| expected(&format!("a whole number from 0 to {most}"), value))
}

macro_rules! whole_numbers {
    ($($type:ty)*) => {$(
        impl FromJson for $type {
            fn from_json(value: Value) -> Result<$type, Error> {
                whole(&value, <$type>::MAX as u64).map(|number| number as $type)
            }
        }
    )*};
}
whole_numbers!(u8 u32 u64);

impl FromJson for usize {
    /// The same everywhere, however many bits it has.
    fn from_json(value: Value) -> Result<usize, Error> {
        whole(&value, u32::MAX.into()).map(|number| number as usize)
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(value: Value) -> Result<Option<T>, Error> {
        match value {
            Value::Null => Ok(None),
            value => T::from_json(value).map(Some),
        }
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }
}

/// Hands on the elements of a value that must be an array, one by one.
#[inline(never)]
fn each(value: Value, take: &mut dyn FnMut(Value) -> Result<(), Error>) -> Result<(), Error> {
    elements(value)?.into_iter().try_for_each(take)
}

/// The elements of a value that must be an array.
#[inline(never)]
fn elements(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(elements) => Ok(elements),
        other => Err(expected("an array", &other)),
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: Value) -> Result<Vec<T>, Error> {
        let mut list = Vec::new();
        each(value, &mut |element| {
            list.push(T::from_json(element)?);
            Ok(())
        })?;
        Ok(list)
    }
}

impl<T: FromJson> FromJson for LiteMap<String, T> {
    fn from_json(value: Value) -> Result<LiteMap<String, T>, Error> {
        let mut map = LiteMap::new();
        for (name, value) in Fields::of(value)?.left {
            let value = T::from_json(value).map_err(|error| within(&name, error))?;
            map.insert(name, value);
        }
        Ok(map)
    }
}

impl<A: FromJson, B: FromJson> FromJson for (A, B) {
    fn from_json(value: Value) -> Result<(A, B), Error> {
        match <[Value; 2]>::try_from(elements(value)?) {
            Ok([a, b]) => Ok((A::from_json(a)?, B::from_json(b)?)),
            Err(other) => Err(expected("an array of two", &Value::Array(other))),
        }
    }
}

/// One field by the attributes of its declaration: `#[serde(default, …)]` says that it may be absent.
macro_rules! take_field {
    ($fields:ident $field:ident) => {
        $fields.take(stringify!($field))?
    };
    ($fields:ident $field:ident #[doc = $doc:literal] $($rest:tt)*) => {
        $crate::wire::json::take_field!($fields $field $($rest)*)
    };
    ($fields:ident $field:ident #[serde(default $($more:tt)*)] $($rest:tt)*) => {
        $fields.take_or_default(stringify!($field))?
    };
}
pub(crate) use take_field;

/// Decoding for a struct. `= default` after a field's name: it may be absent and has its default then. `deny`: any other field
/// is an error, told before all others. Without `deserialize` serde's trait is left out, for types that only this crate sees.
macro_rules! from_json {
    ($type:ident deserialize { $($fields:tt)* } $($deny:ident)?) => {
        $crate::wire::json::from_json!($type { $($fields)* } $($deny)?);
        $crate::wire::json::deserialize_by_json!($type);
    };
    ($type:ident { $($field:ident $(= $optional:ident)?),* $(,)? } $($deny:ident)?) => {
        impl $crate::wire::json::Blank for $type {
            fn blank() -> Self {
                Self {
                    $($field: $crate::wire::json::from_json!(@blank $($optional)?),)*
                }
            }
        }

        impl $crate::wire::json::FromJson for $type {
            fn from_json(value: serde_json::Value) -> Result<Self, serde_json::Error> {
                let mut fields = $crate::wire::json::Fields::of(value)?;
                $crate::wire::json::from_json!(@only fields [$(stringify!($field)),*] $($deny)?);
                let mut this = <Self as $crate::wire::json::Blank>::blank();
                $(fields.put(
                    stringify!($field),
                    $crate::wire::json::from_json!(@may_be_absent $($optional)?),
                    &mut this.$field,
                );)*
                fields.end()?;
                Ok(this)
            }
        }
    };
    (@blank) => {
        $crate::wire::json::Blank::blank()
    };
    (@blank default) => {
        Default::default()
    };
    (@may_be_absent) => {
        false
    };
    (@may_be_absent default) => {
        true
    };
    (@only $fields:ident [$($known:expr),*]) => {};
    (@only $fields:ident [$($known:expr),*] deny) => {
        $fields.only(&[$($known),*])?;
    };
}
pub(crate) use from_json;

/// serde's `Deserialize` for a type that decodes itself.
macro_rules! deserialize_by_json {
    ($type:ident) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::wire::json::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use deserialize_by_json;

/// An enum whose values are words, each with the word that stands for it in JSON.
macro_rules! words {
    (
        $(#[$attr:meta])*
        $vis:vis enum $type:ident {
            $($(#[$variant_attr:meta])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $type {
            $($(#[$variant_attr])* $variant,)*
        }

        impl $type {
            const WORDS: &[&str] = &[$($word),*];
            const ALL: &[$type] = &[$($type::$variant),*];

            /// The word that stands for it in JSON.
            $vis fn as_str(self) -> &'static str {
                Self::WORDS[self as usize]
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl $crate::wire::json::ToValue for $type {
            fn to_value(&self) -> serde_json::Value {
                self.as_str().to_value()
            }
        }

        impl $crate::wire::json::Blank for $type {
            fn blank() -> Self {
                Self::ALL[0]
            }
        }

        impl $crate::wire::json::FromJson for $type {
            fn from_json(value: serde_json::Value) -> Result<Self, serde_json::Error> {
                $crate::wire::json::word(&value, Self::WORDS).map(|at| Self::ALL[at])
            }
        }

        $crate::wire::json::deserialize_by_json!($type);
    };
}
pub(crate) use words;

/// Which of the words a value is.
#[inline(never)]
pub(crate) fn word(value: &Value, words: &[&str]) -> Result<usize, Error> {
    let Value::String(text) = value else {
        return Err(expected("a string", value));
    };
    let at = words.iter().position(|word| word == text);
    at.ok_or_else(|| unknown("variant", text, words))
}
