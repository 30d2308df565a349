//! What is wrong with a definition.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::wire::ErrorData;
use crate::wire::json::{self, object, value_of};

/// One thing that is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DefinitionIssue {
    /// Where, e.g. `profiles.reviewer.tools[1]`; empty for the text as a whole.
    pub path: String,
    /// The value that stands there, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What is wrong with it.
    pub message: String,
}

impl DefinitionIssue {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            value: None,
            message: message.into(),
        }
    }

    pub(super) fn with_value(mut self, value: impl Into<Value>) -> Self {
        self.value = Some(value.into());
        self
    }

    pub(super) fn syntax(language: &str, error: &dyn fmt::Display) -> Self {
        Self::new("", format!("not valid {language}: {error}"))
    }
}

impl fmt::Display for DefinitionIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}", self.path)?;
            if let Some(value) = &self.value {
                write!(f, " = {}", shown(value))?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// A value, short enough for a line.
pub(super) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = json::text(value);
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

/// A definition that cannot be used, with all that is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct DefinitionError {
    issues: Vec<DefinitionIssue>,
}

impl DefinitionError {
    pub(super) fn new(issues: Vec<DefinitionIssue>) -> Self {
        Self { issues }
    }

    /// What is wrong; at least one thing.
    pub fn issues(&self) -> &[DefinitionIssue] {
        &self.issues
    }

    /// The error as data: code `invalid_definition`, `data.issues` as `[{path, value?, message}]`.
    pub fn data(&self) -> ErrorData {
        ErrorData::new("invalid_definition", self.to_string())
            .with_data(object!({ "issues": value_of(&self.issues) }))
    }
}

impl From<DefinitionIssue> for DefinitionError {
    fn from(issue: DefinitionIssue) -> Self {
        Self::new(vec![issue])
    }
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.issues.as_slice() {
            [issue] => write!(f, "definition error: {issue}"),
            issues => {
                write!(f, "definition error: {} things are wrong:", issues.len())?;
                issues.iter().try_for_each(|issue| write!(f, "\n  {issue}"))
            }
        }
    }
}

impl std::error::Error for DefinitionError {}
