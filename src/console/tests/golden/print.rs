//! JSON for people: on one line what fits there.

use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: usize = 150;

/// A value on one line.
pub(in crate::console::tests) fn flat(value: &Value) -> String {
    let list = |open: &str, parts: Vec<String>, close: &str| match parts.is_empty() {
        true => [open, close].concat(),
        false => [open, " ", &parts.join(", "), " ", close].concat(),
    };
    match value {
        Value::Array(values) => {
            let parts: Vec<_> = values.iter().map(flat).collect();
            ["[", &parts.join(", "), "]"].concat()
        }
        Value::Object(fields) => {
            let field =
                |(key, value)| format!("{}: {}", Value::String(String::clone(key)), flat(value));
            list("{", fields.iter().map(field).collect(), "}")
        }
        other => other.to_string(),
    }
}

/// A value on as many lines as it takes.
pub(super) fn pretty(value: &Value) -> String {
    let mut text = String::new();
    push(&mut text, value, 0, 0);
    text.push('\n');
    text
}

fn push(text: &mut String, value: &Value, indent: usize, used: usize) {
    let line = flat(value);
    if used + line.len() <= WIDTH || !(value.is_array() || value.is_object()) {
        text.push_str(&line);
        return;
    }
    let inner = indent + 2;
    let (open, close, parts): (_, _, Vec<(String, &Value)>) = match value {
        Value::Object(fields) => {
            let part = |(key, value)| (format!("{}: ", Value::String(String::clone(key))), value);
            ('{', '}', fields.iter().map(part).collect())
        }
        _ => {
            let values = value.as_array().into_iter().flatten();
            (
                '[',
                ']',
                values.map(|value| (String::new(), value)).collect(),
            )
        }
    };
    text.push(open);
    for (at, (name, value)) in parts.iter().enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        let _ = write!(text, "{:inner$}{name}", "");
        push(text, value, inner, inner + name.len() + 1);
    }
    let _ = write!(text, "\n{:indent$}{close}", "");
}
