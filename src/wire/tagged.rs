//! Decoding of `type`-tagged objects that keeps what it does not know.
//!
//! A derived decoder fails on an unknown tag, or forgets what it held. Here the tag is looked at first: known tags go to
//! the derived decoder (whose errors stay exact), unknown ones keep their fields as they came.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// An enum, tagged `type`, that has a place for unknown tags.
pub(super) trait Tagged: Sized {
    /// Whether the derived decoder has a variant for the tag.
    fn knows(tag: &str) -> bool;

    /// The derived decoder.
    fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// The place for an unknown tag; the fields include the tag.
    fn unknown(fields: Map<String, Value>) -> Self;
}

/// Decodes a tagged object, known or not.
pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Tagged>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(TaggedVisitor(PhantomData))
}

struct TaggedVisitor<T>(PhantomData<T>);

impl<'de, T: Tagged> Visitor<'de> for TaggedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a `type`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut fields = Map::new();
        if let Some(key) = map.next_key::<String>()? {
            if key == "type" {
                let tag: String = map.next_value()?;
                if T::knows(&tag) {
                    // The common case, because everything of ours writes the tag first: nothing is copied.
                    return T::known(MapAccessDeserializer::new(TagFirst {
                        tag: Some(tag),
                        rest: map,
                    }));
                }
                fields.insert(key, Value::String(tag));
            } else {
                fields.insert(key, map.next_value()?);
            }
        }
        while let Some((key, value)) = map.next_entry()? {
            fields.insert(key, value);
        }
        match fields.get("type") {
            Some(Value::String(tag)) if T::knows(tag) => {
                T::known(Value::Object(fields)).map_err(A::Error::custom)
            }
            Some(Value::String(_)) => Ok(T::unknown(fields)),
            Some(_) => Err(A::Error::custom("`type` must be a string")),
            None => Err(A::Error::missing_field("type")),
        }
    }
}

/// A map whose first entry, the tag, was already read.
struct TagFirst<A> {
    tag: Option<String>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for TagFirst<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        if self.tag.is_some() {
            return seed.deserialize("type".into_deserializer()).map(Some);
        }
        self.rest.next_key_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.tag.take() {
            Some(tag) => seed.deserialize(tag.into_deserializer()),
            None => self.rest.next_value_seed(seed),
        }
    }
}
