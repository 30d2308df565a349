//! What changed from one definition to another, by path.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::MobDefinition;
use super::decode::join_key;
use super::issue::shown;

/// How something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It is another.
    Changed,
}

/// One difference between two definitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DefinitionChange {
    /// Where, e.g. `profiles.reviewer.model`; members go by their identity: `members.lead.profile`.
    pub path: String,
    /// How.
    pub kind: ChangeKind,
    /// What was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

impl fmt::Display for DefinitionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Value>| value.as_ref().map(shown).unwrap_or_default();
        match self.kind {
            ChangeKind::Added => write!(f, "{} added: {}", self.path, text(&self.new)),
            ChangeKind::Removed => write!(f, "{} removed (was {})", self.path, text(&self.old)),
            ChangeKind::Changed => write!(
                f,
                "{}: {} → {}",
                self.path,
                text(&self.old),
                text(&self.new)
            ),
        }
    }
}

/// What changed, ordered by path. A profile, skill or member that came or went is one change; within one that stayed,
/// every field is.
pub fn diff(old: &MobDefinition, new: &MobDefinition) -> Vec<DefinitionChange> {
    let mut changes = Vec::new();
    walk("", &by_identity(old), &by_identity(new), &mut changes);
    changes
}

/// The definition as JSON with its members keyed by identity, so that one more at the front does not change all others.
fn by_identity(definition: &MobDefinition) -> Value {
    let mut json = definition.to_json();
    if let Some(Value::Array(members)) = json.get_mut("members").map(Value::take) {
        let mut keyed = Map::new();
        for mut member in members {
            if let Some(Value::String(identity)) = member
                .as_object_mut()
                .and_then(|fields| fields.remove("identity"))
            {
                keyed.insert(identity, member);
            }
        }
        json["members"] = Value::Object(keyed);
    }
    json
}

fn walk(path: &str, old: &Value, new: &Value, changes: &mut Vec<DefinitionChange>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(old), Value::Object(new)) => {
            let mut all = old.clone();
            all.extend(new.clone());
            for key in all.keys() {
                let path = join_key(path, key);
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => walk(&path, old, new, changes),
                    // A whole section that came or went is told entry by entry.
                    (Some(section @ Value::Object(_)), None) if is_section(&path) => {
                        walk(&path, section, &Value::Object(Map::new()), changes);
                    }
                    (None, Some(section @ Value::Object(_))) if is_section(&path) => {
                        walk(&path, &Value::Object(Map::new()), section, changes);
                    }
                    (old, new) => changes.push(DefinitionChange {
                        kind: if old.is_none() {
                            ChangeKind::Added
                        } else {
                            ChangeKind::Removed
                        },
                        path,
                        old: old.cloned(),
                        new: new.cloned(),
                    }),
                }
            }
        }
        (old, new) => changes.push(DefinitionChange {
            path: path.to_owned(),
            kind: ChangeKind::Changed,
            old: Some(old.clone()),
            new: Some(new.clone()),
        }),
    }
}

fn is_section(path: &str) -> bool {
    matches!(
        path,
        "limits" | "members" | "profiles" | "skills" | "wiring"
    )
}
