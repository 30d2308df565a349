//! A request's address: path and query string (URL standard, `application/x-www-form-urlencoded`).

use litemap::LiteMap;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The path, as it came.
    pub path: String,
    /// The query's fields, decoded.
    pub query: LiteMap<String, String>,
}

impl Address {
    /// Takes an address apart: absolute, or a path alone. The fragment is left out.
    ///
    /// # Errors
    /// What is wrong with the query, for people.
    pub fn parse(url: &str) -> Result<Self, String> {
        let url = url.split('#').next().unwrap_or_default();
        let local = match url.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => match rest.find(['/', '?']) {
                Some(at) => &rest[at..],
                None => "/",
            },
            _ => url,
        };
        let (path, query) = local.split_once('?').unwrap_or((local, ""));
        let path = if path.is_empty() { "/" } else { path };
        let mut fields = LiteMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name =
                decode(name).ok_or_else(|| format!("{name:?} is not a percent-encoded name"))?;
            let value = decode(value)
                .ok_or_else(|| format!("{name}: {value:?} is not a percent-encoded value"))?;
            if fields.insert(name.clone(), value).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            query: fields,
        })
    }
}

/// Adds a value as a form encodes it.
pub(super) fn encode(to: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'*' | b'-' | b'.' | b'_' => {
                to.push(char::from(byte));
            }
            b' ' => to.push('+'),
            _ => {
                to.push('%');
                to.push(char::from(HEX[usize::from(byte >> 4)]));
                to.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

/// Decodes a part of a path, where a plus sign is itself.
pub(super) fn decode_path(part: &str) -> Option<String> {
    decode(&part.replace('+', "%2B"))
}

/// Decodes `%41` and `+`; none when an escape is cut or the bytes are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_and_fields() {
        type Case = (
            &'static str,
            &'static str,
            &'static [(&'static str, &'static str)],
        );
        let cases: &[Case] = &[
            ("/healthz", "/healthz", &[]),
            ("https://mob.local/healthz", "/healthz", &[]),
            ("https://mob.local", "/", &[]),
            ("https://mob.local?a=1", "/", &[("a", "1")]),
            ("", "/", &[]),
            (
                "/a?b=c&d=e%20f+g&&h",
                "/a",
                &[("b", "c"), ("d", "e f g"), ("h", "")],
            ),
            ("/a?u=%C3%A9#x?y", "/a", &[("u", "é")]),
            ("/a?next=https://x/y", "/a", &[("next", "https://x/y")]),
            ("/a?e==", "/a", &[("e", "=")]),
        ];
        for (url, path, query) in cases {
            let got = Address::parse(url).unwrap();
            let query: LiteMap<String, String> = query
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            assert_eq!((got.path.as_str(), got.query), (*path, query), "{url}");
        }
        for bad in [
            "/a?b=%",
            "/a?b=%4",
            "/a?b=%zz",
            "/a?b=%+1",
            "/a?b=%ff",
            "/a?%=1",
            "/a?b=1&b=2",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
