//! Requests by mutation: those of the golden files, changed in a few places.

use serde_json::Value;

use super::super::{FetchRequest, golden, json};
use super::grammar::Grammar;

/// What JSON and addresses are made of.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\",
    "\\u",
    "\\ud83d",
    "null",
    "1e9",
    "-",
    ".",
    "0",
    "\u{0}",
    "\n",
    "\r\n",
    "\u{feff}",
    "%",
    "%00",
    "%2F",
    "+",
    "&",
    "=",
    "?",
    "#",
    "/",
    "..",
    "mobkit/",
    "\"id\":",
    "\"params\":{}",
    "é",
    "😀",
];

/// The requests of the golden files.
pub(super) fn corpus() -> Vec<FetchRequest> {
    let steps = golden::steps();
    steps
        .iter()
        .map(|(_, step)| golden::request_of(&step["request"]))
        .collect()
}

impl Grammar<'_> {
    /// A golden request with a few changes; seldom with none.
    pub fn mutant(&self, corpus: &[FetchRequest]) -> FetchRequest {
        let mut request = self.sample(corpus);
        for _ in 0..self.random.below(4) {
            match self.random.below(16) {
                0 => request.method = self.text_mutant(&request.method),
                1 | 2 => request.url = self.text_mutant(&request.url),
                3 => {
                    let id = request.find_header("last-event-id").map(str::to_owned);
                    let id = self.text_mutant(&id.unwrap_or_else(|| self.known(&self.learned.ids)));
                    request.headers.insert(0, ("Last-Event-ID".to_owned(), id));
                }
                4..8 => request.body = self.with_other_value(request.body),
                8 => {
                    let other = self.sample(corpus);
                    let (from, to) = (self.place(&request.body), self.place(&other.body));
                    request.body.truncate(from);
                    request.body.extend_from_slice(&other.body[to..]);
                }
                9 => {
                    let other = self.sample(corpus);
                    (request.method, request.url) = (other.method, other.url);
                }
                _ => self.change_bytes(&mut request.body),
            }
        }
        request
    }

    /// A golden request; a placeholder in it becomes something that there is.
    fn sample(&self, corpus: &[FetchRequest]) -> FetchRequest {
        let mut request = corpus[self.random.below(corpus.len() as u64) as usize].clone();
        if let Ok(mut body) = String::from_utf8(request.body.clone()) {
            while let Some((before, rest)) = body.split_once("{{") {
                let Some((_, after)) = rest.split_once("}}") else {
                    break;
                };
                let known = self.known(&self.learned.interactions).replace("{{", "");
                let known = json::text(&Value::String(known));
                body = [before, known.trim_matches('"'), after].concat();
            }
            request.body = body.into_bytes();
        }
        request
    }

    fn place(&self, bytes: &[u8]) -> usize {
        self.random.below(bytes.len() as u64 + 1) as usize
    }

    /// One small change.
    fn change_bytes(&self, bytes: &mut Vec<u8>) {
        let at = self.place(bytes);
        let end = (at + 1 + self.random.below(8) as usize).min(bytes.len());
        match self.random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.random.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.insert(at, self.random.below(256) as u8),
            4 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => drop(bytes.splice(at..at, self.pick(PIECES).bytes())),
        }
    }

    /// The same for what must be text.
    fn text_mutant(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.change_bytes(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The JSON with another value at some place of it; as it was when it is none.
    fn with_other_value(&self, body: Vec<u8>) -> Vec<u8> {
        const HOLE: &str = "a place for another value";
        let Ok(mut value) = json::parse(&body) else {
            return body;
        };
        let mut place = &mut value;
        while !self.one_in(4) {
            let len = match &*place {
                Value::Array(list) => list.len(),
                Value::Object(fields) => fields.len(),
                _ => 0,
            };
            if len == 0 {
                break;
            }
            let at = self.random.below(len as u64) as usize;
            let inner = match place {
                Value::Array(list) => list.get_mut(at),
                Value::Object(fields) => fields.values_mut().nth(at),
                _ => None,
            };
            // What is left out here was counted above.
            let Some(inner) = inner else { return body };
            place = inner;
        }
        *place = Value::from(HOLE);
        let mut other = String::new();
        self.anything(&mut other, 1);
        let text = json::text(&value);
        text.replacen(&json::text(&Value::from(HOLE)), &other, 1)
            .into_bytes()
    }
}
