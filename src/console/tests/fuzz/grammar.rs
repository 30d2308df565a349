//! Requests by grammar: mostly right, wrong in one place now and then, so that they come further than the first check.

use std::cell::RefCell;
use std::fmt::Write as _;

use super::super::{FetchRequest, json};
use super::words::*;
use crate::sim::SimRandom;

/// What earlier answers told, so that later requests can name it. The newest of each.
#[derive(Default)]
pub(super) struct Learned {
    pub members: RefCell<Vec<String>>,
    pub interactions: RefCell<Vec<String>>,
    pub sessions: RefCell<Vec<String>>,
    pub ids: RefCell<Vec<String>>,
    /// As JSON.
    pub resolutions: RefCell<Vec<String>>,
    pub pending: RefCell<Vec<String>>,
    pub events: RefCell<Vec<String>>,
}

impl Learned {
    pub fn learn(list: &RefCell<Vec<String>>, text: &str) {
        let mut list = list.borrow_mut();
        if list.len() == 16 {
            list.remove(0);
        }
        list.push(text.to_owned());
    }
}

/// Makes requests out of random numbers and what was learned.
pub(super) struct Grammar<'a> {
    pub random: &'a SimRandom,
    pub learned: &'a Learned,
}

impl Grammar<'_> {
    pub fn pick<'b, T: ?Sized>(&self, list: &[&'b T]) -> &'b T {
        list[self.random.below(list.len() as u64) as usize]
    }

    pub fn one_in(&self, cases: u64) -> bool {
        self.random.chance(1, cases)
    }

    /// Something learned, else a text.
    pub fn known(&self, list: &RefCell<Vec<String>>) -> String {
        let list = list.borrow();
        match list.len() as u64 {
            0 => self.text(),
            _ if self.one_in(16) => self.text(),
            len => list[self.random.below(len) as usize].clone(),
        }
    }

    /// A text, rarely a huge one.
    pub fn text(&self) -> String {
        match self.random.below(24_000) {
            0 => "x".repeat(1 << 20),
            1..12 => "é\u{0}/%".repeat(self.random.below(4_096) as usize),
            12..600 => {
                "n".repeat(*self.pick(&[&64, &127, &128, &129, &299, &300, &301, &1_024, &1_025]))
            }
            600..3_000 => (0..self.random.below(12))
                .filter_map(|_| char::from_u32(self.random.below(0x11_0000) as u32))
                .collect(),
            3_000..8_000 => [self.pick(TEXTS), self.pick(TEXTS)].concat(),
            _ => self.pick(TEXTS).to_owned(),
        }
    }

    /// A text as JSON: now and then with what JSON does not allow, such as half of a surrogate pair.
    fn quote(&self, to: &mut String, text: &str) {
        to.push('"');
        for char in text.chars() {
            match char {
                '"' | '\\' => to.extend(['\\', char]),
                '\0'..' ' if !self.one_in(200) => {
                    let _ = write!(to, "\\u{:04x}", char as u32);
                }
                '/' if self.one_in(4) => to.push_str("\\/"),
                char if text.len() < 400 && self.one_in(100) => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        let _ = write!(to, "\\u{unit:04X}");
                    }
                }
                char => to.push(char),
            }
        }
        if self.one_in(400) {
            to.push_str(self.pick(&["\\ud800", "\\udc00\\ud800", "\\x", "\\", "\\u12"]));
        }
        to.push('"');
    }

    /// Any JSON at all.
    pub fn anything(&self, to: &mut String, depth: u32) {
        match self.random.below(if depth > 4 { 6 } else { 9 }) {
            0 => to.push_str(self.pick(&["null", "true", "false", "{}", "[]", "\"\""])),
            1 | 2 => to.push_str(self.pick(NUMBERS)),
            3..=5 => self.quote(to, &self.text()),
            6 => self.list(to, '[', ']', |to| self.anything(to, depth + 1)),
            7 => self.list(to, '{', '}', |to| {
                self.quote(to, &self.text());
                to.push(':');
                self.anything(to, depth + 1);
            }),
            _ => {
                // Around the bound of 127, which an envelope takes two of, and far beyond it.
                let levels = match self.random.below(40) {
                    0 => 20_000,
                    1..10 => 110 + self.random.below(20) as usize,
                    _ => 8,
                };
                let (open, close) =
                    *self.pick(&[&("[", "]"), &("{\"a\":", "}"), &("[{\"\":", "}]")]);
                to.push_str(&open.repeat(levels));
                to.push('1');
                to.push_str(&close.repeat(levels));
            }
        }
    }

    fn list(&self, to: &mut String, open: char, close: char, mut item: impl FnMut(&mut String)) {
        to.push(open);
        let most = if self.one_in(3_000) { 5_000 } else { 4 };
        for at in 0..self.random.below(most) {
            if at > 0 {
                to.push(',');
            }
            item(to);
        }
        to.push(close);
    }

    pub fn member(&self) -> String {
        match self.random.below(10) {
            0 => self.text(),
            1 | 2 => self.pick(MEMBERS).to_owned(),
            _ => self.known(&self.learned.members),
        }
    }

    fn right(&self, to: &mut String, kind: Kind) {
        match kind {
            Member => self.quote(to, &self.member()),
            Newcomer => match self.one_in(12) {
                true => self.quote(to, &self.text()),
                false => self.quote(to, self.pick(MEMBERS)),
            },
            Profile => self.quote(to, self.pick(PROFILES)),
            Content if self.one_in(5) => self.list(to, '[', ']', |to| {
                match self.one_in(3) {
                    true => to.push_str(r#"{"type":"image","media_type":"image/png","data":"#),
                    false => to.push_str(r#"{"type":"text","text":"#),
                }
                self.quote(to, self.pick(CONTENTS));
                to.push('}');
            }),
            Content if self.one_in(3) => self.quote(to, &self.text()),
            Content => self.quote(to, self.pick(CONTENTS)),
            Labels => self.list(to, '{', '}', |to| {
                self.quote(to, &self.text());
                to.push(':');
                self.quote(to, &self.text());
            }),
            Key => match self.one_in(6) {
                true => self.quote(to, &self.text()),
                false => self.quote(to, self.pick(KEYS)),
            },
            Text => self.quote(to, &self.text()),
            Number => to.push_str(self.pick(&["0", "1", "7", "20", "20", "256", "1000", "200000"])),
            Time => to.push_str(self.pick(&[
                "0",
                "1735689600000",
                "1735689700000",
                "18446744073709551615",
            ])),
            Cursor => {
                to.push_str(self.pick(&["0", "1", "\"3\"", "10", "\"18446744073709551615\""]))
            }
            Place => self.quote(to, &self.cursor("console:")),
            Interaction => self.quote(to, &self.known(&self.learned.interactions)),
            Session => match self.one_in(4) {
                true => self.quote(to, &self.known(&self.learned.sessions)),
                false => to.push_str("null"),
            },
            Specs => self.list(to, '[', ']', |to| self.parameters(to, SPEC)),
            Handling => to.push_str(self.pick(&["\"queue\"", "\"steer\"", "null"])),
            Direction => to.push_str(self.pick(&["\"since\"", "\"recent\"", "null"])),
            Types => self.list(to, '[', ']', |to| self.quote(to, self.pick(TYPES))),
            Texts => self.list(to, '[', ']', |to| self.quote(to, &self.text())),
            Anything => self.anything(to, 1),
            Options => {
                to.push_str("{\"role\":");
                self.quote(to, self.pick(PROFILES));
                to.push('}');
            }
            Context => {
                to.push_str("{\"last_messages\":");
                to.push_str(self.pick(&["0", "3", "200000"]));
                to.push('}');
            }
            ModuleName => self.quote_one(to, MODULES),
            ToolName => self.quote_one(to, TOOLS),
            // Mostly all, for the others end some again and again.
            ModuleNames if !self.one_in(4) => to.push_str(&json!(MODULES[..5]).to_string()),
            ModuleNames => self.list(to, '[', ']', |to| self.quote_one(to, MODULES)),
            Recipient if self.one_in(3) => self.quote_one(to, MODULES),
            Recipient if self.one_in(4) => {
                self.quote_one(to, &["a@b.example", "+43123", "https://example.test/", "*"]);
            }
            Recipient => self.quote(to, &self.member()),
            Channel => self.quote_one(to, CHANNELS),
            Sink => self.quote_one(to, SINKS),
            RouteKey => self.quote_one(to, ROUTE_KEYS),
            Resolution => {
                let known = self.learned.resolutions.borrow();
                match known.len() as u64 {
                    0 => self.parameters(to, ROUTE),
                    len => to.push_str(&known[self.random.below(len) as usize]),
                }
            }
            Tier => to.push_str(self.pick(&["\"r0\"", "\"r1\"", "\"r2\"", "\"r3\"", "\"r3\""])),
            Decision => self.quote_one(to, &["approve", "reject", "escalate"]),
            Pending => {
                let newest = self.learned.pending.borrow().last().cloned();
                match newest.filter(|_| self.one_in(2)) {
                    Some(newest) => self.quote(to, &newest),
                    None => self.quote(to, &self.known(&self.learned.pending)),
                }
            }
            Interval => self.quote_one(to, INTERVALS),
            Zone => self.quote_one(to, ZONES),
            Schedule => self.parameters(to, SCHEDULE),
            Schedules => self.list(to, '[', ']', |to| self.parameters(to, SCHEDULE)),
            Tick => to.push_str(self.pick(&[
                "0",
                "1735689600000",
                "1735689900000",
                "1735693200000",
                "1709164800000",
                "9223372036854775807",
            ])),
            Action => match self.random.below(3) {
                0 => {
                    to.push_str(r#"{"kind":"message","member_id":"#);
                    self.quote(to, &self.member());
                    to.push_str(r#","message":"#);
                    self.quote(to, self.pick(CONTENTS));
                    to.push('}');
                }
                1 => {
                    to.push_str(r#"{"kind":"delivery","payload":"#);
                    self.anything(to, 3);
                    to.push_str(r#","recipient":"#);
                    self.right(to, Recipient);
                    to.push('}');
                }
                _ => {
                    to.push_str(r#"{"kind":"tool","module_id":"#);
                    self.quote_one(to, MODULES);
                    to.push_str(r#","tool":"#);
                    self.quote_one(to, TOOLS);
                    to.push('}');
                }
            },
            Scope => self.quote_one(to, &["mob", "agent", "interaction"]),
            EventId => self.quote(to, &self.known(&self.learned.events)),
            Store => self.quote_one(to, STORES),
            Flag => to.push_str(self.pick(&["true", "false", "null"])),
            Small => to.push_str(self.pick(&["0", "1", "2", "10", "11", "200"])),
            BlobId => self.quote(to, self.pick(BLOB_IDS)),
            MediaType => self.quote(to, self.pick(&["image/gif", "image/png", "text/html", ""])),
            Base64 => self.quote(
                to,
                self.pick(&["R0lGODlhIQ==", "R0lGODdh", "iVBORw0KGgo=", "R0", ""]),
            ),
        }
    }

    /// One of these texts, seldom another.
    fn quote_one(&self, to: &mut String, list: &[&str]) {
        match self.one_in(16) {
            true => self.quote(to, &self.text()),
            false => self.quote(to, self.pick(list)),
        }
    }

    /// A place in a log as ids and cursors write it.
    fn cursor(&self, prefix: &str) -> String {
        match self.random.below(12) {
            0 => self.text(),
            1..5 => self.known(&self.learned.ids),
            _ => [prefix, self.pick(NUMBERS)].concat(),
        }
    }

    fn parameters(&self, to: &mut String, known: Parameters) {
        to.push('{');
        let mut first = true;
        let mut field = |to: &mut String, name: &str, kind: Kind| {
            if !std::mem::take(&mut first) {
                to.push(',');
            }
            self.quote(to, name);
            to.push(':');
            match self.one_in(25) {
                true => self.anything(to, 2),
                false => self.right(to, kind),
            }
        };
        for (at, &(name, kind)) in known.1.iter().enumerate() {
            let left_out = if at < known.0 {
                self.one_in(40)
            } else {
                !self.one_in(4)
            };
            if !left_out {
                field(to, name, kind);
            }
            if self.one_in(150) {
                field(to, name, kind);
            }
        }
        if self.one_in(60) {
            field(to, &self.text(), Anything);
        }
        to.push('}');
    }

    /// One JSON-RPC request.
    pub fn call(&self, to: &mut String) {
        let all = METHODS.iter().map(|(weight, ..)| weight).sum();
        let mut at = self.random.below(all);
        let method = METHODS.iter().find(|(weight, ..)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let &(_, name, parameters) = method.expect("a number below the sum");
        to.push_str(match self.random.below(100) {
            0 => "{\"jsonrpc\":2.0",
            1 => "{\"jsonrpc\":\"1.0\"",
            2 => "{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\"",
            _ => "{\"jsonrpc\":\"2.0\"",
        });
        match self.random.below(20) {
            0 | 1 => {}
            2 => {
                to.push_str(",\"id\":");
                self.anything(to, 4);
            }
            3..7 => {
                to.push_str(",\"id\":");
                self.quote(to, &self.text());
            }
            7..10 => {
                to.push_str(",\"id\":");
                to.push_str(self.pick(NUMBERS));
            }
            10 => to.push_str(",\"id\":null"),
            _ => {
                let _ = write!(to, ",\"id\":{}", self.random.below(100));
            }
        }
        to.push_str(",\"method\":");
        match self.random.below(60) {
            0 => self.anything(to, 4),
            1 => self.quote(to, &[name, self.pick(TEXTS)].concat()),
            2 => self.quote(to, &[self.pick(MODULES), "/", self.pick(TOOLS)].concat()),
            _ => self.quote(to, name),
        }
        match self.random.below(40) {
            0 => {}
            1 => {
                to.push_str(",\"params\":");
                self.anything(to, 2);
            }
            _ => {
                to.push_str(",\"params\":");
                self.parameters(to, parameters);
            }
        }
        to.push('}');
    }

    fn rpc_body(&self) -> Vec<u8> {
        let mut body = String::new();
        match self.random.below(60) {
            0 => self.anything(&mut body, 0),
            1..5 => {
                let count = match self.random.below(60) {
                    0 => *self.pick(&[&0, &255, &256, &257]),
                    _ => self.random.below(6),
                };
                body.push('[');
                // The same many times fills what has a bound.
                let again = (count > 200 && self.one_in(2)).then(|| {
                    let mut call = String::new();
                    self.call(&mut call);
                    call
                });
                for at in 0..count {
                    if at > 0 {
                        body.push(',');
                    }
                    if let Some(call) = &again {
                        body.push_str(call);
                        continue;
                    }
                    match self.one_in(12) {
                        true => self.anything(&mut body, 2),
                        false => self.call(&mut body),
                    }
                }
                body.push(']');
            }
            _ => self.call(&mut body),
        }
        body.into_bytes()
    }

    /// A part of an address: as it should be written, or not.
    fn escaped(&self, text: &str) -> String {
        let mut escaped = String::new();
        match self.one_in(5) {
            true => escaped.push_str(text),
            false => super::super::address::encode(&mut escaped, text),
        }
        escaped
    }

    fn query(&self, url: &mut String, known: Parameters) {
        let mut before = '?';
        for (name, kind) in known.1 {
            if !self.one_in(if *name == "limit" { 1 } else { 4 }) {
                continue;
            }
            url.push(std::mem::replace(&mut before, '&'));
            url.push_str(name);
            url.push('=');
            let value = match kind {
                Member => self.member(),
                Number | Time | Cursor => self.pick(NUMBERS).to_owned(),
                Place => self.cursor("console:"),
                Direction => self.pick(&["since", "recent", "up"]).to_owned(),
                Types => [self.pick(TYPES), ",", self.pick(TYPES)].concat(),
                _ => self.text(),
            };
            url.push_str(&self.escaped(&value));
        }
        if self.one_in(30) {
            url.push(before);
            url.push_str(&self.escaped(&self.text()));
        }
        if self.one_in(60) {
            url.push('#');
            url.push_str(&self.text());
        }
    }

    /// Any request of the console's routes.
    pub fn request(&self) -> FetchRequest {
        let mut request = FetchRequest {
            method: "GET".to_owned(),
            ..FetchRequest::default()
        };
        let mut prefix = "console:";
        match self.random.below(100) {
            0..70 => {
                request.method = "POST".to_owned();
                request.url = "/console/rpc".to_owned();
                request.body = self.rpc_body();
            }
            70..76 => {
                request.method = "POST".to_owned();
                request.url = "/console/send".to_owned();
                let mut body = String::new();
                self.parameters(&mut body, SEND);
                request.body = body.into_bytes();
            }
            76..79 => {
                (request.url, prefix) = ("/mobkit/mob_events/stream".to_owned(), "mob-evt-");
                self.query(&mut request.url, EVENTS);
            }
            79..82 => {
                (request.url, prefix) = ("/mob/events".to_owned(), "mob:");
                self.query(&mut request.url, EVENTS);
            }
            82..85 => {
                request.url = format!("/agents/{}/events", self.escaped(&self.member()));
                prefix = "lead:";
            }
            85..89 => {
                request.url = "/console/timeline".to_owned();
                self.query(&mut request.url, TIMELINE);
            }
            89..92 => {
                request.url = "/console/timeline/stream".to_owned();
                self.query(&mut request.url, TIMELINE);
            }
            92..95 => {
                request.url = format!("/console/identity/{}/stream", self.escaped(&self.member()));
                self.query(&mut request.url, TIMELINE);
            }
            95 => request.url = "/console/identities".to_owned(),
            96 => {
                request.url = match self.random.below(5) {
                    0 => "/healthz".to_owned(),
                    1 => "/console/experience".to_owned(),
                    2 => "/console/modules".to_owned(),
                    3 => ["/console/modules/", &self.escaped(self.pick(MODULES))].concat(),
                    _ => ["/blobs/", &self.escaped(self.pick(BLOB_IDS))].concat(),
                };
            }
            97 => request.url = ["https://", self.pick(TEXTS), "/", &self.text()].concat(),
            98 => request.url = ["/", &self.text(), "/events?", &self.text()].concat(),
            _ => request.url = self.text(),
        }
        if self.one_in(40) {
            request.method = match self.one_in(2) {
                true => self.text(),
                false => self
                    .pick(&["get", "pOsT", "PUT", "HEAD", "OPTIONS"])
                    .to_owned(),
            };
        }
        if self.one_in(5) {
            let name = self.pick(&["last-event-id", "Last-Event-ID", "LAST-EVENT-ID"]);
            request = request.header(name, &self.cursor(prefix));
        }
        if self.one_in(20) {
            request = request.header(&self.text(), &self.text());
        }
        request
    }
}
