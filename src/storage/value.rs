//! Values: a format version and JSON, so that plain JavaScript can read the database.
//!
//! `JSON.parse(new TextDecoder().decode(value.subarray(1)))` reads any row.

use serde::Serialize;
use serde_json::Value;

use super::error::StorageError;
use super::key::Key;
use crate::wire::json::{self, FromJson};

/// The first byte of every value: the format of the bytes after it. `1` is UTF-8 JSON.
pub const FORMAT_JSON: u8 = 1;

/// The bytes of a value.
///
/// # Panics
/// If the type cannot be written as JSON at all (a map whose keys are no strings, a `Serialize`
/// that fails). Rows are types of this library, which can.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = vec![FORMAT_JSON];
    serde_json::to_writer(&mut bytes, value).expect("rows are types that JSON can hold");
    bytes
}

/// The value that the bytes of a row hold.
///
/// # Errors
/// [`StorageError::Corrupt`] with the key and what is wrong.
pub fn decode<T: FromJson>(key: &Key, bytes: &[u8]) -> Result<T, StorageError> {
    T::from_json(parse(key, bytes)?).map_err(|error| corrupt(key, &error))
}

/// The JSON value that the bytes of a row hold.
///
/// # Errors
/// As [`decode`].
pub fn parse(key: &Key, bytes: &[u8]) -> Result<Value, StorageError> {
    json::parse_own(self::json(key, bytes)?).map_err(|error| corrupt(key, &error))
}

/// The JSON text inside a value, without the format byte.
///
/// # Errors
/// [`StorageError::Corrupt`] if the bytes are empty or of another format.
pub fn json<'a>(key: &Key, bytes: &'a [u8]) -> Result<&'a [u8], StorageError> {
    match bytes.split_first() {
        Some((&FORMAT_JSON, json)) => Ok(json),
        Some((format, _)) => Err(corrupt(key, &format_args!("unknown format {format}"))),
        None => Err(corrupt(key, &"it is empty")),
    }
}

/// The error for a row that is not what it should be.
pub(crate) fn corrupt(key: &Key, reason: &dyn std::fmt::Display) -> StorageError {
    StorageError::Corrupt {
        key: key.to_string(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back() {
        let key = Key::root().part("k");
        let bytes = encode(&("ä", 7));
        assert_eq!(bytes[0], FORMAT_JSON);
        assert_eq!(&bytes[1..], "[\"ä\",7]".as_bytes());
        assert_eq!(
            decode::<(String, u8)>(&key, &bytes),
            Ok(("ä".to_owned(), 7))
        );
    }

    #[test]
    fn what_cannot_be_read_names_the_row() {
        let key = Key::root().part("k");
        for bytes in [&b""[..], b"\x02{}", b"\x01{", b"\x01\"text\""] {
            let error = decode::<u8>(&key, bytes).unwrap_err();
            assert!(matches!(error, StorageError::Corrupt { key, .. } if key == "k"));
        }
    }
}
