//! Identifiers and counters (MobKit contract, section 18.2).
//!
//! Identifiers are cheap to clone (a shared string). Names that people choose (mob, profile, member) are validated when
//! they are made, deserialisation included; identifiers that the runtime makes itself are opaque.

use std::borrow::Borrow;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::{Error, Value};

use super::json::{self, Blank, FromJson, ToValue, deserialize_by_json, from_json};

/// The longest name of a mob, a profile or a member, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 128;
/// The longest name as a part of a storage key, where most bytes beyond letters and digits take three: a key has room for
/// three names.
pub(crate) const MAX_NAME_KEY_BYTES: usize = 300;

/// A name that cannot be a mob, profile or member name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid name {input:?}: {reason}")]
pub struct InvalidIdentity {
    /// What was given.
    pub input: String,
    /// Which rule it breaks.
    pub reason: &'static str,
}

fn check_name(input: &str) -> Result<(), InvalidIdentity> {
    let reason = if input.is_empty() {
        "a name must not be empty"
    } else if input.len() > MAX_NAME_BYTES {
        "a name must not be longer than 128 bytes"
    } else if key_bytes(input) > MAX_NAME_KEY_BYTES {
        "a name must not be longer than 300 bytes in a key, where all but A-Z a-z 0-9 - _ . ~ : @ + , = take three"
    } else if input.chars().any(char::is_control) {
        "a name must not contain control characters"
    } else if input.chars().any(char::is_whitespace) {
        "a name must not contain white space"
    } else if input.contains('/') {
        "a name must not contain '/'"
    } else {
        return Ok(());
    };
    Err(InvalidIdentity {
        input: input.to_owned(),
        reason,
    })
}

/// How long a name is as a part of a storage key.
fn key_bytes(name: &str) -> usize {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:@+,=".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { 1 } else { 3 })
        .sum()
}

impl SessionId {
    /// Whether it has the form of a UUID, which all sessions have.
    pub fn is_uuid(&self) -> bool {
        self.as_str().len() == 36
            && self.as_str().bytes().enumerate().all(|(at, byte)| {
                if matches!(at, 8 | 13 | 18 | 23) {
                    byte == b'-'
                } else {
                    byte.is_ascii_hexdigit()
                }
            })
    }
}

macro_rules! string_common {
    ($name:ident) => {
        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl ToValue for $name {
            fn to_value(&self) -> Value {
                self.as_str().to_value()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Rc<str>);

        string_common!($name);

        impl Blank for $name {
            fn blank() -> Self {
                Self(Rc::default())
            }
        }

        impl FromJson for $name {
            fn from_json(value: Value) -> Result<Self, Error> {
                Rc::from_json(value).map(Self)
            }
        }

        deserialize_by_json!($name);

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.into())
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self(value.into())
            }
        }
    };
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// At most 128 bytes (300 as a part of a storage key), not empty, without white space, control characters or `/`.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Rc<str>);

        string_common!($name);

        impl $name {
            /// Checks the rules and makes the name.
            ///
            /// # Errors
            /// [`InvalidIdentity`] with what was given and the rule it breaks.
            pub fn new(value: impl AsRef<str>) -> Result<Self, InvalidIdentity> {
                let value = value.as_ref();
                check_name(value)?;
                Ok(Self(value.into()))
            }
        }

        impl FromStr for $name {
            type Err = InvalidIdentity;
            fn from_str(value: &str) -> Result<Self, InvalidIdentity> {
                Self::new(value)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidIdentity;
            fn try_from(value: &str) -> Result<Self, InvalidIdentity> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdentity;
            fn try_from(value: String) -> Result<Self, InvalidIdentity> {
                Self::new(value)
            }
        }

        impl Blank for $name {
            fn blank() -> Self {
                Self(Rc::default())
            }
        }

        impl FromJson for $name {
            fn from_json(value: Value) -> Result<Self, Error> {
                let name = Rc::from_json(value)?;
                check_name(&name).map_err(|error| json::wrong(&error))?;
                Ok(Self(name))
            }
        }

        deserialize_by_json!($name);
    };
}

checked_name! {
    /// Which mob.
    MobId
}
checked_name! {
    /// Which profile of the definition; also the *role* of the members made from it.
    ProfileName
}
checked_name! {
    /// Which member of the mob. Stays the same over respawns, which raise the [`Generation`].
    AgentIdentity
}
opaque_id! {
    /// Which session (transcript) of a member.
    SessionId
}
opaque_id! {
    /// Which interaction: a message from outside and all the work that it sets off.
    InteractionId
}
opaque_id! {
    /// Which work item in a member's mailbox.
    WorkId
}
opaque_id! {
    /// Which tool call of an assistant message, as the model named it.
    ToolCallId
}
opaque_id! {
    /// Which run of a flow.
    RunId
}
opaque_id! {
    /// Which flow of the definition.
    FlowId
}
opaque_id! {
    /// Which step of a flow.
    StepId
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        number_common!($name);

        impl ToValue for $name {
            fn to_value(&self) -> Value {
                Value::from(self.0)
            }
        }

        impl Blank for $name {
            fn blank() -> Self {
                Self::default()
            }
        }

        impl FromJson for $name {
            fn from_json(value: Value) -> Result<Self, Error> {
                u64::from_json(value).map(Self)
            }
        }

        deserialize_by_json!($name);
    };
}

macro_rules! number_common {
    ($name:ident) => {
        impl $name {
            /// From the plain number.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The plain number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> u64 {
                value.0
            }
        }
    };
}

number! {
    /// How often a member was respawned; the first is 0.
    Generation
}
number! {
    /// Whose work is current: a token is never issued twice, and work that carries an older one is refused.
    FenceToken
}
number! {
    /// Wall-clock time in milliseconds since the Unix epoch.
    TimestampMs
}

impl Generation {
    /// The generation after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for FenceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fence:{}", self.0)
    }
}

impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in a log: entries are numbered from 1, and 0 is before the first.
///
/// In JSON a number, and beyond 2^53-1, where JavaScript's numbers are not exact any more, a string of decimal digits. Both are
/// accepted on the way in, whatever the size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(u64);

number_common!(Cursor);

/// The last number that JavaScript has exactly, and none beside it.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 <= MAX_SAFE_INTEGER {
            serializer.serialize_u64(self.0)
        } else {
            serializer.serialize_str(&self.to_string())
        }
    }
}

impl ToValue for Cursor {
    fn to_value(&self) -> Value {
        if self.0 <= MAX_SAFE_INTEGER {
            Value::from(self.0)
        } else {
            Value::String(self.to_string())
        }
    }
}

impl Cursor {
    /// Before the first entry.
    pub const START: Self = Self(0);

    /// The place after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The place before this one; nothing is before [`START`](Self::START).
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = InvalidIdentity;

    /// Decimal digits alone: no sign, no space.
    fn from_str(value: &str) -> Result<Self, InvalidIdentity> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        value
            .parse()
            .ok()
            .filter(|_| digits)
            .map(Self)
            .ok_or_else(|| InvalidIdentity {
                input: value.to_owned(),
                reason: "a cursor is a decimal number from 0 to 2^64-1",
            })
    }
}

impl Blank for Cursor {
    fn blank() -> Self {
        Self::default()
    }
}

impl FromJson for Cursor {
    fn from_json(value: Value) -> Result<Self, Error> {
        match &value {
            Value::Number(number) => number.as_u64().map(Self),
            Value::String(digits) => digits.parse().ok(),
            _ => None,
        }
        .ok_or_else(|| json::expected("a cursor: a whole number or its decimal digits", &value))
    }
}

deserialize_by_json!(Cursor);

/// One incarnation of a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AgentRuntimeId {
    /// Which member.
    pub identity: AgentIdentity,
    /// Its how-many-eth incarnation.
    pub generation: Generation,
}

from_json!(AgentRuntimeId deserialize { identity, generation });

impl fmt::Display for AgentRuntimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.identity, self.generation)
    }
}
