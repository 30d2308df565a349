//! An incremental parser for server-sent events (HTML standard, section 9.2 "Server-sent events").
//!
//! Pure: bytes in, events out, however the bytes are cut. Two things differ from a browser's `EventSource`, because model
//! servers need it: [`finish`](SseParser::finish) hands out a last event that no blank line ended, and an event that grows
//! beyond a limit is an error instead of memory without bound.

/// The longest event that is accepted, in bytes of data; also the longest line.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// The event's type; `message` when the stream named none.
    pub event: String,
    /// The data lines, joined with line feeds.
    pub data: String,
    /// The last id the stream gave, in this event or before; empty when none.
    pub id: String,
}

/// An event or a line exceeded [`MAX_EVENT_BYTES`]. The parser is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is longer than {MAX_EVENT_BYTES} bytes")]
pub struct EventTooLong;

/// The parser's state between two pieces of the stream.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    /// A carriage return ended the last line; a line feed right after it belongs to the same line end.
    after_cr: bool,
    past_first_line: bool,
    event: String,
    data: String,
    has_data: bool,
    id: String,
}

impl SseParser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and returns the events that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, EventTooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + self.data.len() + part.len() > MAX_EVENT_BYTES {
                return Err(EventTooLong);
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { break };
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    /// The end of the stream: the event that was still open, if it has data.
    pub fn finish(mut self) -> Option<SseEvent> {
        if !self.line.is_empty() {
            // Not empty, so it only adds to the open event.
            self.end_line();
        }
        self.dispatch()
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let bytes = std::mem::take(&mut self.line);
        // Only whole lines are decoded, so a character that was cut in two is whole again here.
        let decoded = String::from_utf8_lossy(&bytes);
        let mut line = decoded.as_ref();
        if !std::mem::replace(&mut self.past_first_line, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            // Comments (an empty field name), `retry` and unknown fields say nothing to a reader who does not reconnect.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        if !std::mem::take(&mut self.has_data) {
            return None;
        }
        let event = if event.is_empty() {
            "message".to_owned()
        } else {
            event
        };
        Some(SseEvent {
            event,
            data,
            id: self.id.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = SseParser::new();
        let mut events = Vec::new();
        for piece in pieces {
            events.extend(parser.push(piece).unwrap());
        }
        events.extend(parser.finish());
        events
    }

    fn event(event: &str, data: &str, id: &str) -> SseEvent {
        SseEvent {
            event: event.into(),
            data: data.into(),
            id: id.into(),
        }
    }

    #[test]
    fn the_standards_cases() {
        let cases: &[(&str, Vec<SseEvent>)] = &[
            ("data: a\n\n", vec![event("message", "a", "")]),
            ("data:a\r\n\r\n", vec![event("message", "a", "")]),
            ("data:  a\r\r", vec![event("message", " a", "")]),
            ("data: a\ndata: b\n\n", vec![event("message", "a\nb", "")]),
            ("data\ndata\n\n", vec![event("message", "\n", "")]),
            ("data:\n\n", vec![event("message", "", "")]),
            (": hello\n\n:\n\n", vec![]),
            (
                "\u{feff}data: a\n\n\u{feff}data: b\n\n",
                vec![event("message", "a", "")],
            ),
            ("event: x\n\ndata: a\n\n", vec![event("message", "a", "")]),
            (
                "event: x\ndata: a\n\ndata: b\n\n",
                vec![event("x", "a", ""), event("message", "b", "")],
            ),
            (
                "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
                vec![
                    event("message", "a", "1"),
                    event("message", "b", "1"),
                    event("message", "c", ""),
                ],
            ),
            (
                "id: 1\nid: 2\0\ndata: a\n\n",
                vec![event("message", "a", "1")],
            ),
            (
                "retry: 10\nunknown: x\nDATA: no\ndata: a:b\n\n",
                vec![event("message", "a:b", "")],
            ),
            (
                "data: a\n\ndata: open",
                vec![event("message", "a", ""), event("message", "open", "")],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(&parse(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    const STREAM: &str = "\u{feff}: warming up\r\n\r\nid: 7\r\nevent: delta\r\ndata: {\"text\":\"grün 🦀\"}\r\n\r\ndata: ü\rdata: 漢字\r\r\
        : ping\n\ndata: last\ndata:\n\n\n\nevent: end\ndata: [DONE]";

    #[test]
    fn any_two_cuts_give_the_same_events() {
        let bytes = STREAM.as_bytes();
        let whole = parse(&[bytes]);
        assert_eq!(whole.len(), 4);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(parse(&pieces), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn single_bytes_with_empty_pieces_between_give_the_same_events() {
        let bytes = STREAM.as_bytes();
        let pieces: Vec<&[u8]> = bytes.chunks(1).flat_map(|byte| [byte, &[]]).collect();
        assert_eq!(parse(&pieces), parse(&[bytes]));
    }

    #[test]
    fn generated_streams_cut_at_random_give_the_same_events() {
        // A small generator of our own: what matters is that line ends, fields and multi-byte characters meet every cut.
        const PARTS: [&str; 14] = [
            "\r",
            "\n",
            "\r\n",
            "data",
            ":",
            " ",
            "data: é",
            "event: 🦀",
            "id: 3",
            ": c",
            "\u{feff}",
            "漢",
            "\n\n",
            "\r\n\r\n",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).unwrap()
        };
        for round in 0..2_000 {
            let text: String = (0..next(40)).map(|_| PARTS[next(PARTS.len())]).collect();
            let whole = parse(&[text.as_bytes()]);
            let mut pieces = Vec::new();
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(1 + next(rest.len().min(5)));
                pieces.push(piece);
                rest = later;
            }
            assert_eq!(parse(&pieces), whole, "round {round}: {text:?}");
        }
    }

    #[test]
    fn an_endless_line_is_an_error() {
        let mut parser = SseParser::new();
        let megabyte = vec![b'x'; 1024 * 1024];
        let result = (0..17).try_for_each(|_| {
            parser
                .push(&megabyte)
                .map(|events| assert!(events.is_empty()))
        });
        assert_eq!(result, Err(EventTooLong));
    }
}
