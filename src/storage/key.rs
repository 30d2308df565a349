//! Keys: how rows are named and how they sort.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Bound;
use std::rc::Rc;

use super::error::StorageError;
use super::range::KeyRange;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// The name of a row: printable ASCII (`0x20..=0x7e`), at most [`MAX_KEY_BYTES`] long.
///
/// Hosts disagree about how strings sort (IndexedDB compares UTF-16 units, Durable Objects UTF-8
/// bytes); in printable ASCII all orders are one. A key is built of parts joined by `/`:
///
/// ```
/// use mobkit_web::storage::Key;
/// let key = Key::root().part("mob").part("a/b").number(255);
/// assert_eq!(key.as_str(), "mob/a%2fb/00000000000000ff");
/// ```
///
/// Two things follow: all rows below a key lie next to each other ([`Key::prefix_range`]), and
/// numbered rows sort by their number. Text parts sort by their bytes as long as they are letters
/// and digits and none is the beginning of another.
///
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Rc<str>);

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        #[cfg(test)]
        COMPARISONS.with(|count| count.set(count.get() + 1));
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
thread_local! {
    /// How often keys were held against each other: what a walk over rows costs, whoever's rows they are.
    pub(super) static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Key {
    /// The empty key, from which keys are built. It names no row itself.
    pub fn root() -> Key {
        Key(Rc::from(""))
    }

    /// Takes a finished key, for instance one read from a host.
    ///
    /// # Errors
    /// [`StorageError::InvalidKey`] if it is empty, longer than [`MAX_KEY_BYTES`] or holds
    /// anything but printable ASCII.
    pub fn parse(text: &str) -> Result<Key, StorageError> {
        let key = Key(Rc::from(text));
        key.validate()?;
        Ok(key)
    }

    /// This key with one more part. Letters, digits and `-_.~:@+,=` stay; every other byte is
    /// written as `%` and two hex digits, and an empty part as a lone `%`.
    ///
    /// The length is checked when the key is used in a commit, so that keys can be built in one
    /// expression.
    #[must_use]
    pub fn part(&self, part: &str) -> Key {
        let mut text = String::with_capacity(self.0.len() + part.len() + 1);
        self.open_part(&mut text);
        if part.is_empty() {
            text.push('%');
        }
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~:@+,=".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push('%');
                push_hex(&mut text, u64::from(byte), 2);
            }
        }
        Key(Rc::from(text))
    }

    /// This key with a number as one more part: 16 lower-case hex digits, so that keys sort as
    /// their numbers do.
    #[must_use]
    pub fn number(&self, number: u64) -> Key {
        let mut text = String::with_capacity(self.0.len() + 17);
        self.open_part(&mut text);
        push_hex(&mut text, number, 16);
        Key(Rc::from(text))
    }

    /// The last part as a number, if [`Key::number`] wrote it.
    pub fn last_number(&self) -> Option<u64> {
        let last = self.0.rsplit('/').next()?;
        if last.len() != 16 {
            return None;
        }
        u64::from_str_radix(last, 16).ok()
    }

    /// The last part, unescaped; `None` if it is not what [`Key::part`] writes.
    pub fn last_part(&self) -> Option<String> {
        let last = self.0.rsplit('/').next()?;
        if last == "%" {
            return Some(String::new());
        }
        let mut bytes = Vec::with_capacity(last.len());
        let mut rest = last.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).ok()
    }

    /// All rows below this key, the key itself not among them. Below the root lies everything.
    pub fn prefix_range(&self) -> KeyRange {
        if self.0.is_empty() {
            return KeyRange::all();
        }
        // `0` is the character after `/`, so it is the first that no row below can reach.
        KeyRange::new(
            Bound::Included(Key(Rc::from(format!("{}/", self.0)))),
            Bound::Excluded(Key(Rc::from(format!("{}0", self.0)))),
        )
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a row may have this name.
    ///
    /// # Errors
    /// [`StorageError::InvalidKey`], as for [`Key::parse`].
    pub fn validate(&self) -> Result<(), StorageError> {
        let reason = if self.0.is_empty() {
            "is empty"
        } else if self.0.len() > MAX_KEY_BYTES {
            "is longer than 1024 bytes"
        } else if !self.0.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
            "holds a character that is not printable ASCII"
        } else {
            return Ok(());
        };
        Err(StorageError::InvalidKey {
            key: self.0.to_string(),
            reason: reason.to_owned(),
        })
    }

    fn open_part(&self, text: &mut String) {
        if !self.0.is_empty() {
            text.push_str(&self.0);
            text.push('/');
        }
    }
}

fn push_hex(text: &mut String, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) & 0xf;
        text.push(char::from(b"0123456789abcdef"[digit as usize]));
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_escaped_and_come_back() {
        for (part, written) in [
            ("lead", "lead"),
            ("a/b", "a%2fb"),
            ("", "%"),
            ("100%", "100%25"),
            ("ä", "%c3%a4"),
            ("a b", "a%20b"),
        ] {
            let key = Key::root().part("m").part(part);
            assert_eq!(key.as_str(), format!("m/{written}"));
            assert_eq!(key.last_part().as_deref(), Some(part));
            assert!(key.validate().is_ok());
        }
    }

    #[test]
    fn numbers_sort_by_value() {
        let numbers = [0, 1, 9, 10, 255, 256, u64::MAX];
        let keys: Vec<Key> = numbers.iter().map(|n| Key::root().number(*n)).collect();
        assert!(keys.is_sorted());
        for (key, number) in keys.iter().zip(numbers) {
            assert_eq!(key.last_number(), Some(number));
        }
    }

    #[test]
    fn what_is_no_key() {
        for text in ["", "tab\t", "ä", &"x".repeat(1025)] {
            assert!(matches!(
                Key::parse(text),
                Err(StorageError::InvalidKey { .. })
            ));
        }
        assert!(Key::parse(&"x".repeat(1024)).is_ok());
        assert!(Key::root().part(&"ä".repeat(200)).validate().is_err());
    }

    #[test]
    fn a_prefix_holds_what_lies_below_and_nothing_else() {
        let range = Key::root().part("mob").part("a").prefix_range();
        for (text, inside) in [
            ("mob/a/x", true),
            ("mob/a/~", true),
            ("mob/a", false),
            ("mob/ab", false),
            ("mob/a-b/x", false),
            ("mob/a0", false),
        ] {
            let key = Key::parse(text).unwrap();
            assert_eq!(range.contains(&key), inside, "{text}");
        }
    }
}
