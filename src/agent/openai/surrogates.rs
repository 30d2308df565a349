//! Text that was cut inside a UTF-16 surrogate pair.
//!
//! A server written in a language of UTF-16 strings may stream the two halves of one character as two pieces, each escaped
//! by itself (`"\ud83d"`, then `"\ude42"`). JSON allows it, no Rust string can hold it. Halves pass through the JSON parser as
//! characters of a private plane and are joined again over the pieces; one that stays alone becomes U+FFFD.

use std::borrow::Cow;

const HIGH: std::ops::Range<u32> = 0xF_0000..0xF_0400;
const LOW: std::ops::Range<u32> = 0xF_0400..0xF_0800;

/// The same JSON text, with every half that stands alone as a character of the private plane.
pub(super) fn escape_halves(json: &str) -> Cow<'_, str> {
    if !json.contains("\\ud") && !json.contains("\\uD") {
        return Cow::Borrowed(json);
    }
    let mut mended = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        // An escape is two bytes, or six with a code unit; a whole pair is twelve.
        let taken = match unit(escape) {
            Some(high @ 0xD800..0xDC00) => match escape.get(6..).and_then(unit) {
                Some(0xDC00..0xE000) => 12,
                _ => push_half(&mut mended, HIGH.start + high - 0xD800),
            },
            Some(low @ 0xDC00..0xE000) => push_half(&mut mended, LOW.start + low - 0xDC00),
            Some(_) => 6,
            None => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        if !matches!(unit(escape), Some(0xD800..0xE000)) || taken == 12 {
            mended.push_str(&escape[..taken]);
        }
        rest = &escape[taken..];
    }
    mended.push_str(rest);
    Cow::Owned(mended)
}

/// The code unit of an escape `\uXXXX` at the start of `text`.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

fn push_half(text: &mut String, mark: u32) -> usize {
    text.push(char::from_u32(mark).unwrap_or(char::REPLACEMENT_CHARACTER));
    6
}

/// Joins the halves of one text that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    high: Option<u32>,
}

impl Joiner {
    /// The piece as it is to be shown; a half at its end waits for the next piece.
    pub fn join(&mut self, piece: &str) -> String {
        let mut joined = String::with_capacity(piece.len());
        for character in piece.chars() {
            let code = u32::from(character);
            match (self.high.take(), code) {
                (Some(high), low) if LOW.contains(&low) => {
                    let pair = 0x1_0000 + ((high - HIGH.start) << 10) + (low - LOW.start);
                    joined.push(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
                    continue;
                }
                (Some(_), _) => joined.push(char::REPLACEMENT_CHARACTER),
                (None, _) => {}
            }
            if HIGH.contains(&code) {
                self.high = Some(code);
            } else if LOW.contains(&code) {
                joined.push(char::REPLACEMENT_CHARACTER);
            } else {
                joined.push(character);
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> String {
        let mut joiner = Joiner::default();
        pieces
            .iter()
            .map(|piece| {
                let json = escape_halves(piece);
                joiner.join(&serde_json::from_str::<String>(&json).unwrap())
            })
            .collect()
    }

    #[test]
    fn halves_meet_again() {
        let cases: [(&[&str], &str); 8] = [
            (&[r#""a\ud83d""#, r#""\ude42b""#], "a🙂b"),
            (&[r#""\ud83d\ude42""#], "🙂"),
            (&[r#""\uD83D""#, r#""x""#], "\u{fffd}x"),
            (&[r#""\ude42""#], "\u{fffd}"),
            (&[r#""\\ud83d""#], r"\ud83d"),
            (&[r#""\\\ud83d""#, r#""\ude42""#], r"\🙂"),
            (&[r#""\ud83d\u0041""#], "\u{fffd}A"),
            (&[r#""plain \n ü""#], "plain \n ü"),
        ];
        for (pieces, text) in cases {
            assert_eq!(read(pieces), text, "{pieces:?}");
        }
    }
}
