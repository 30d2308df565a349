//! The pieces of a JSON text, without decoding them.
//!
//! For texts that were JSON when they were written: what is broken inside a piece is found when the piece is decoded.

/// A text that is not what it should be; says where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The byte at which it went wrong.
    pub at: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it is no JSON at byte {}", self.at)
    }
}

/// The elements of an array.
pub(crate) fn elements(text: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut found = Vec::new();
    let mut walk = Walk { text, at: 0 };
    walk.list(b'[', b']', |walk| {
        found.push(walk.value()?);
        Ok(())
    })?;
    Ok(found)
}

/// The values of the object's fields that have these names; names are compared as they are written.
pub(crate) fn fields<'a, const N: usize>(
    text: &'a [u8],
    names: [&str; N],
) -> Result<[Option<&'a [u8]>; N], Malformed> {
    let mut found = [None; N];
    let mut walk = Walk { text, at: 0 };
    walk.list(b'{', b'}', |walk| {
        let name = walk.value()?;
        walk.expect(b':')?;
        let value = walk.value()?;
        let name = name.get(1..name.len() - 1);
        let place = names
            .iter()
            .position(|known| Some(known.as_bytes()) == name);
        if let Some(place) = place {
            found[place] = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn wrong<T>(&self) -> Result<T, Malformed> {
        Err(Malformed { at: self.at })
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Malformed> {
        if self.peek() != Some(wanted) {
            return self.wrong();
        }
        self.at += 1;
        Ok(())
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(open)?;
        if self.peek() == Some(close) {
            self.at += 1;
        } else {
            loop {
                item(self)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == close => {
                        self.at += 1;
                        break;
                    }
                    _ => return self.wrong(),
                }
            }
        }
        match self.peek() {
            None => Ok(()),
            Some(_) => self.wrong(),
        }
    }

    /// Steps over one value and answers its text.
    fn value(&mut self) -> Result<&'a [u8], Malformed> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'{' | b'[') => self.nested()?,
            Some(b'"') => self.string()?,
            _ => {
                let ends = |byte: &u8| {
                    matches!(
                        byte,
                        b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\n' | b'\r'
                    )
                };
                while self.text.get(self.at).is_some_and(|byte| !ends(byte)) {
                    self.at += 1;
                }
            }
        }
        if self.at == start {
            return self.wrong();
        }
        Ok(&self.text[start..self.at])
    }

    fn nested(&mut self) -> Result<(), Malformed> {
        let mut depth = 0usize;
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
        self.wrong()
    }

    fn string(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at) {
            self.at += match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => 2,
                _ => 1,
            };
        }
        self.wrong()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pieces: Vec<&[u8]>) -> Vec<&str> {
        let text = |piece| std::str::from_utf8(piece).unwrap();
        pieces.into_iter().map(text).collect()
    }

    #[test]
    fn the_elements_of_an_array_are_found() {
        let cases: &[(&str, &[&str])] = &[
            ("[]", &[]),
            (" [ ] ", &[]),
            ("[1,2]", &["1", "2"]),
            (" [ 1 , -2.5e3 ] ", &["1", "-2.5e3"]),
            (
                r#"["a,b","]","\"]","\\"]"#,
                &[r#""a,b""#, r#""]""#, r#""\"]""#, r#""\\""#],
            ),
            (
                r#"[[1,[2]],{"a":[3,"}"]}]"#,
                &["[1,[2]]", r#"{"a":[3,"}"]}"#],
            ),
            ("[null,true]", &["null", "true"]),
            ("[\"\u{e9}\"]", &["\"\u{e9}\""]),
        ];
        for (text, wanted) in cases {
            assert_eq!(texts(elements(text.as_bytes()).unwrap()), *wanted, "{text}");
        }
    }

    #[test]
    fn fields_are_found_by_name_in_any_order() {
        let text = br#"{ "b" : {"a":1}, "a": [2] ,"c":"x"}"#;
        let [a, b, none] = fields(text, ["a", "b", "d"]).unwrap();
        assert_eq!(a, Some(&b"[2]"[..]));
        assert_eq!(b, Some(&br#"{"a":1}"#[..]));
        assert_eq!(none, None);
        assert_eq!(fields(b"{}", ["a"]).unwrap(), [None]);
    }

    #[test]
    fn what_is_no_json_is_an_error_and_no_panic() {
        let whole = br#"[{"a":[1,"x\"y"]},null,"\\"]"#;
        for cut in 0..whole.len() {
            assert!(elements(&whole[..cut]).is_err(), "cut at {cut}");
        }
        for text in [
            "", "{}", "1", "[1", "[1,]", "[,1]", "[1 2]", "[1]]", "[\"", "[\"\\", "[:]", "[}]",
        ] {
            assert!(elements(text.as_bytes()).is_err(), "{text}");
        }
        for text in [
            "",
            "[]",
            "{1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{:1}",
            "{\"a\" 1}",
        ] {
            assert!(fields(text.as_bytes(), ["a"]).is_err(), "{text}");
        }
    }
}
