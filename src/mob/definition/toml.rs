//! TOML text as a JSON value, without serde: the parser's own tree is enough, and all syntax errors come at once.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::decode::join_key;
use super::{DefinitionError, DefinitionIssue};

/// Parses a document.
pub(super) fn parse(text: &str) -> Result<Value, DefinitionError> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let issue = |error: &toml::de::Error| {
            let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
            DefinitionIssue::syntax(
                "TOML",
                &format_args!("line {line}, column {column}: {}", error.message()),
            )
        };
        return Err(DefinitionError::new(errors.iter().map(issue).collect()));
    }
    let mut issues = Vec::new();
    let value = table(document.get_ref(), "", &mut issues);
    if issues.is_empty() {
        Ok(value)
    } else {
        Err(DefinitionError::new(issues))
    }
}

/// Both counted from 1, the column in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

fn table(table: &DeTable<'_>, path: &str, issues: &mut Vec<DefinitionIssue>) -> Value {
    let mut fields = Map::new();
    for (key, entry) in table {
        let key = key.get_ref();
        fields.insert(key.to_string(), value(entry, &join_key(path, key), issues));
    }
    Value::Object(fields)
}

fn value(entry: &Spanned<DeValue<'_>>, path: &str, issues: &mut Vec<DefinitionIssue>) -> Value {
    match entry.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Number(number.into()),
            Err(_) => {
                issues.push(DefinitionIssue::new(
                    path,
                    format!("{} is not a 64-bit number", integer.as_str()),
                ));
                Value::Null
            }
        },
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Value::Number(number),
            None => {
                issues.push(DefinitionIssue::new(
                    path,
                    format!("{} is not a finite number", float.as_str()),
                ));
                Value::Null
            }
        },
        // JSON has no date; its text says the same.
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Array(items) => {
            let items = items.iter().enumerate();
            Value::Array(
                items
                    .map(|(at, item)| value(item, &format!("{path}[{at}]"), issues))
                    .collect(),
            )
        }
        DeValue::Table(inner) => table(inner, path, issues),
    }
}
