//! Reading a method's parameters, with the fixed texts of what is wrong with them.

use serde_json::{Map, Value};

use super::failure::Failure;
use crate::wire::json::FromJson;
use crate::wire::{AgentIdentity, ContentInput, HandlingMode, Labels};

/// Parameters, taken out one by one; null is the same as left out.
pub(super) struct Params {
    fields: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Params {
    pub fn new(fields: Map<String, Value>) -> Self {
        Self {
            fields,
            known: Vec::new(),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Checks that nothing is left over: a misspelt parameter would do nothing.
    pub fn finish(self) -> Result<(), Failure> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(name) if self.known.is_empty() => Err(Failure::params(format_args!(
                "unknown parameter '{name}'; the method takes none"
            ))),
            Some(name) => {
                let known = self.known.join(", ");
                Err(Failure::params(format_args!(
                    "unknown parameter '{name}'; the method takes: {known}"
                )))
            }
        }
    }

    pub fn string(&mut self, name: &'static str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
            Some(_) => Err(Failure::params(format_args!(
                "{name} must be a non-empty string"
            ))),
        }
    }

    pub fn required_string(&mut self, name: &'static str) -> Result<String, Failure> {
        self.string(name)?
            .ok_or_else(|| Failure::params(format_args!("{name} must be a non-empty string")))
    }

    pub fn identity(&mut self, name: &'static str) -> Result<AgentIdentity, Failure> {
        let text = self.required_string(name)?;
        AgentIdentity::new(text).map_err(|error| Failure::params(format_args!("{name}: {error}")))
    }

    /// A member's name, and nothing else.
    pub fn only_identity(mut self, name: &'static str) -> Result<AgentIdentity, Failure> {
        let identity = self.identity(name)?;
        self.finish()?;
        Ok(identity)
    }

    /// `labels`; none, when they are left out.
    pub fn labels(&mut self) -> Result<Labels, Failure> {
        let labels: Option<Labels> = self
            .value("labels")
            .map_err(|_| Failure::params("labels must be a map of string to string"))?;
        Ok(labels.unwrap_or_default())
    }

    /// A whole number within bounds.
    pub fn number(&mut self, name: &'static str, most: usize) -> Result<Option<usize>, Failure> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| *number <= most);
        let wrong = || {
            Failure::params(format_args!(
                "{name} must be an integer between 0 and {most}"
            ))
        };
        number.map(Some).ok_or_else(wrong)
    }

    /// How many: a whole number from 1.
    pub fn count(
        &mut self,
        name: &'static str,
        most: usize,
        default: usize,
    ) -> Result<usize, Failure> {
        let said = self.value::<Option<Value>>(name)?;
        let number = said.as_ref().map_or(Some(default as u64), Value::as_u64);
        let number = number.and_then(|number| usize::try_from(number).ok());
        number
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| {
                Failure::params(format_args!(
                    "{name} must be an integer between 1 and {most}"
                ))
            })
    }

    /// Whether a parameter is there.
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// An object's fields; none, when it is left out.
    pub fn object(&mut self, name: &'static str) -> Result<Params, Failure> {
        match self.take(name) {
            None => Ok(Params::new(Map::new())),
            Some(Value::Object(fields)) => Ok(Params::new(fields)),
            Some(_) => Err(Failure::params(format_args!(
                "{name} must be a JSON object"
            ))),
        }
    }

    pub fn handling_mode(&mut self) -> Result<HandlingMode, Failure> {
        match self.take("handling_mode") {
            None => Ok(HandlingMode::default()),
            Some(Value::String(mode)) if mode == "queue" => Ok(HandlingMode::Queue),
            Some(Value::String(mode)) if mode == "steer" => Ok(HandlingMode::Steer),
            Some(_) => Err(Failure::params(
                "handling_mode must be one of: queue, steer",
            )),
        }
    }

    /// `content`, else `message`; a malformed `content` is an error even if there is a `message`.
    pub fn content(&mut self) -> Result<ContentInput, Failure> {
        let (content, message) = (self.take("content"), self.take("message"));
        let Some(value) = content.or(message) else {
            return Err(Failure::params(
                "content must be a string or an array of content blocks",
            ));
        };
        let content: ContentInput = FromJson::from_json(value).map_err(|_| {
            Failure::params("content must be a string or an array of content blocks")
        })?;
        if content.is_blank() {
            return Err(Failure::params("content must not be blank"));
        }
        Ok(content)
    }

    /// A value of a type of the wire.
    pub fn value<T: FromJson>(&mut self, name: &'static str) -> Result<T, Failure> {
        let value = self.take(name).unwrap_or(Value::Null);
        T::from_json(value).map_err(|error| Failure::params(format_args!("{name}: {error}")))
    }

    /// All parameters at once, for a type of the wire that knows its own fields.
    pub fn all<T: FromJson>(self) -> Result<T, Failure> {
        T::from_json(Value::Object(self.fields)).map_err(Failure::params)
    }
}
