//! Golden values with placeholders: what an answer is held against, and what is put into a request.
//!
//! `"{{name}}"` stands for any value; the first one that it meets is kept under the name, must be there wherever the name occurs
//! again, and is put into later requests. `{{*}}` stands for any one value, `{{uuid}}`, `{{ms}}` (a time or a duration in whole milliseconds) and
//! `{{cursor}}` (a number, or digits) for one of that kind, and `{{uuid:name}}` for one of a kind that is kept. A placeholder may be a part of
//! a text. Everything else is compared exactly; of an object's keys the order says nothing. `www/edge/support/golden.ts` does the same.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::print::flat;

const KINDS: [&str; 4] = ["*", "uuid", "ms", "cursor"];
/// Milliseconds that somebody has said, and no clock.
const SAID_MS: [&str; 6] = [
    "interval_ms",
    "backoff_ms",
    "jitter_ms",
    "tick_ms",
    "due_tick_ms",
    "timeout_ms",
];

/// A piece of a golden text.
enum Piece<'a> {
    Literal(&'a str),
    Placeholder {
        kind: &'a str,
        name: Option<&'a str>,
    },
}

fn pieces(mut text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while let Some((before, rest)) = text.split_once("{{") {
        let (inner, after) = rest
            .split_once("}}")
            .unwrap_or_else(|| panic!("no end of a placeholder in {text:?}"));
        if !before.is_empty() {
            pieces.push(Piece::Literal(before));
        }
        let (kind, name) = match inner.split_once(':') {
            Some((kind, name)) => (kind, Some(name)),
            None if KINDS.contains(&inner) => (inner, None),
            None => ("*", Some(inner)),
        };
        assert!(KINDS.contains(&kind), "no such kind of value: {inner:?}");
        pieces.push(Piece::Placeholder { kind, name });
        text = after;
    }
    if !text.is_empty() {
        pieces.push(Piece::Literal(text));
    }
    pieces
}

/// Where a UUID in a text ends that begins it.
fn uuid_at(text: &str) -> Option<usize> {
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let head = text.as_bytes().get(..36)?;
    head.iter()
        .enumerate()
        .all(|(at, byte)| match dash(at) {
            true => *byte == b'-',
            false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
        .then_some(36)
}

/// How much of a text a placeholder of this kind stands for, where `next` is what comes after it.
fn span(kind: &str, text: &str, next: Option<&str>) -> Option<usize> {
    match kind {
        "uuid" => uuid_at(text),
        "*" => next.map_or(Some(text.len()), |next| text.find(next)),
        _ => Some(
            text.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len()),
        )
        .filter(|n| *n > 0),
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match (kind, value) {
        ("*", _) => true,
        ("uuid", Value::String(text)) => text.len() == 36 && uuid_at(text).is_some(),
        ("cursor", Value::String(text)) => span(kind, text, None) == Some(text.len()),
        ("ms" | "cursor", Value::Number(number)) => number.is_u64(),
        _ => false,
    }
}

/// A value as a part of a text.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| flat(value), str::to_owned)
}

/// What the placeholders of a scenario stand for.
#[derive(Default)]
pub(super) struct Captures {
    values: BTreeMap<String, Value>,
    /// The scenario as text: names that are given there are not given again by `generalise`.
    scenario: String,
}

impl Captures {
    /// None yet of this scenario.
    pub fn of(scenario: &Value) -> Self {
        Self {
            scenario: flat(scenario),
            ..Self::default()
        }
    }

    /// Keeps a value under a name; false, when it is not the one that is kept there.
    fn bind(&mut self, name: Option<&str>, value: Value) -> bool {
        let Some(name) = name else { return true };
        let known = self.values.entry(name.to_owned());
        as_text(known.or_insert_with(|| value.clone())) == as_text(&value)
    }

    /// Everything in which an answer differs from the golden one.
    pub fn differences(&mut self, at: &str, want: &Value, got: &Value, found: &mut Vec<String>) {
        match (want, got) {
            (Value::Object(wanted), Value::Object(given)) => {
                for (key, want) in wanted {
                    let at = format!("{at}.{key}");
                    match given.get(key) {
                        Some(got) => self.differences(&at, want, got, found),
                        None => found.push(format!("{at}: missing; wanted {}", flat(want))),
                    }
                }
                for (key, got) in given {
                    if !wanted.contains_key(key) {
                        found.push(format!("{at}.{key}: not wanted; got {}", flat(got)));
                    }
                }
            }
            (Value::Array(wanted), Value::Array(given)) => {
                for (index, (want, got)) in wanted.iter().zip(given).enumerate() {
                    self.differences(&format!("{at}[{index}]"), want, got, found);
                }
                if wanted.len() != given.len() {
                    let (wanted, given) = (wanted.len(), given.len());
                    let got = flat(got);
                    found.push(format!("{at}: wanted {wanted} entries, got {given}: {got}"));
                }
            }
            (Value::String(template), got) if template.contains("{{") => {
                if !self.stands_for(template, got) {
                    let known = self.described(template);
                    found.push(format!("{at}: wanted {template}{known}, got {}", flat(got)));
                }
            }
            (want, got) if want == got => {}
            (want, got) => found.push(format!("{at}: wanted {}, got {}", flat(want), flat(got))),
        }
    }

    fn described(&self, template: &str) -> String {
        match self.filled(template) {
            Ok(value) => format!(" = {}", flat(&value)),
            Err(_) => String::new(),
        }
    }

    fn stands_for(&mut self, template: &str, got: &Value) -> bool {
        let pieces = pieces(template);
        if let [Piece::Placeholder { kind, name }] = pieces[..] {
            return is_of(kind, got) && self.bind(name, got.clone());
        }
        let Some(mut text) = got.as_str() else {
            return false;
        };
        for (index, piece) in pieces.iter().enumerate() {
            let taken = match piece {
                Piece::Literal(literal) => text.starts_with(literal).then_some(literal.len()),
                Piece::Placeholder { kind, name } => {
                    let next = match pieces.get(index + 1) {
                        Some(Piece::Literal(next)) => Some(*next),
                        _ => None,
                    };
                    let known = name.and_then(|name| self.values.get(name)).map(as_text);
                    let taken = match known {
                        Some(known) => text.starts_with(&known).then_some(known.len()),
                        None => span(kind, text, next),
                    };
                    taken.filter(|taken| self.bind(*name, text[..*taken].into()))
                }
            };
            let Some(taken) = taken else { return false };
            text = &text[taken..];
        }
        text.is_empty()
    }

    /// A request with what was kept put into it.
    pub fn fill(&self, request: &Value) -> Result<Value, String> {
        match request {
            Value::String(template) if template.contains("{{") => self.filled(template),
            Value::Array(list) => list.iter().map(|one| self.fill(one)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(k, v)| Ok((k.clone(), self.fill(v)?)));
                Ok(Value::Object(fields.collect::<Result<_, String>>()?))
            }
            other => Ok(other.clone()),
        }
    }

    fn filled(&self, template: &str) -> Result<Value, String> {
        let pieces = pieces(template);
        let known = |name: &Option<&str>| {
            let name = name.ok_or_else(|| format!("{template}: has no name"))?;
            let value = self.values.get(name);
            value.ok_or_else(|| format!("{template}: nothing is known of {name}"))
        };
        if let [Piece::Placeholder { name, .. }] = &pieces[..] {
            return known(name).cloned();
        }
        let mut text = String::new();
        for piece in &pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Placeholder { name, .. } => text.push_str(&as_text(known(name)?)),
            }
        }
        Ok(text.into())
    }

    /// Makes a golden answer of one that was given: UUIDs become placeholders named after the field where each is met first, times are any
    /// time. Whatever else differs from run to run has to be replaced by hand.
    pub fn generalise(&mut self, key: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(k, v)| (k.clone(), self.generalise(k, v)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
            Value::Array(list) => list.iter().map(|one| self.generalise(key, one)).collect(),
            Value::Number(_) if key.ends_with("_ms") && !SAID_MS.contains(&key) => "{{ms}}".into(),
            Value::String(text) => self.generalise_text(key, text).into(),
            other => other.clone(),
        }
    }

    fn generalise_text(&mut self, key: &str, text: &str) -> String {
        let mut made = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let taken = uuid_at(rest).unwrap_or(first.len_utf8());
            let (head, tail) = rest.split_at(taken);
            match taken == 36 {
                true => made.push_str(&self.placeholder(key, head)),
                false => made.push_str(head),
            }
            rest = tail;
        }
        made
    }

    fn placeholder(&mut self, key: &str, uuid: &str) -> String {
        if let Some((name, _)) = self.values.iter().find(|(_, known)| *known == uuid) {
            return format!("{{{{{name}}}}}");
        }
        let field = key.strip_suffix("_id").unwrap_or("uuid");
        let field = field.rsplit('_').next().unwrap_or(field);
        let is_free = |name: &String| {
            let given = format!(":{name}}}}}");
            !self.values.contains_key(name) && !self.scenario.contains(&given)
        };
        let mut names = (1..).map(|number| format!("{field}_{number}"));
        let name = names.find(is_free).unwrap_or_default();
        self.values.insert(name.clone(), uuid.into());
        format!("{{{{uuid:{name}}}}}")
    }
}

#[test]
fn placeholders_stand_for_what_they_say() {
    let file: Value = serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/cases/placeholders.json"
    )))
    .unwrap();
    let mut captures = Captures::default();
    for case in file["cases"].as_array().unwrap() {
        let mut found = Vec::new();
        captures.differences("$", &case["want"], &case["got"], &mut found);
        let places = found.iter().map(|one| one.split(": ").next());
        let places: Value = places.collect::<Option<Vec<_>>>().unwrap().into();
        assert_eq!(places, case["differs"], "{case}: {found:?}");
    }
    assert_eq!(
        captures.fill(&file["request"]).as_ref(),
        Ok(&file["filled"])
    );
    assert!(captures.fill(&"{{never}}".into()).is_err());
}

#[test]
fn an_answer_becomes_a_golden_one() {
    use serde_json::json;
    let ids = [
        "0b5f2a52-3f0a-4c1e-9d86-0123456789ab",
        "1b5f2a52-3f0a-4c1e-9d86-0123456789ab",
    ];
    let answer = json!({ "interaction_id": ids[0], "text": format!("of {} and {}", ids[1], ids[0]), "at_ms": 3 });
    let golden = json!({
        "interaction_id": "{{uuid:interaction_1}}", "text": "of {{uuid:uuid_1}} and {{interaction_1}}", "at_ms": "{{ms}}"
    });
    let mut captures = Captures::default();
    assert_eq!(captures.generalise("", &answer), golden);
    let mut found = Vec::new();
    captures.differences("$", &golden, &answer, &mut found);
    assert_eq!(found, Vec::<String>::new());
}
