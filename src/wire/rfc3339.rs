//! Timestamps as RFC 3339 text in UTC (`2026-01-02T03:04:05.678Z`), for the ledger (MobKit contract, section 18.5).
//!
//! Used as `#[serde(with = "super::rfc3339")]` on a [`TimestampMs`].

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

use super::TimestampMs;
use super::calendar::{civil_from_days, days_from_civil, days_in_month};

const MS_PER_DAY: i64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
const LAST_MS: i64 = 253_402_300_799_999;

pub(super) fn serialize<S: Serializer>(
    timestamp: &TimestampMs,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*timestamp))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<TimestampMs, D::Error> {
    timestamp(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// As [`parse`], with an error that shows the text.
pub(super) fn timestamp(text: &str) -> Result<TimestampMs, serde_json::Error> {
    parse(text).ok_or_else(|| {
        serde_json::Error::custom(format_args!("{text:?} is not an RFC 3339 timestamp"))
    })
}

/// Writes with milliseconds; an instant after the year 9999 is written as its last one.
pub(super) fn format(timestamp: TimestampMs) -> String {
    let ms = i64::try_from(timestamp.get()).map_or(LAST_MS, |ms| ms.min(LAST_MS));
    let (days, in_day) = (ms / MS_PER_DAY, ms % MS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Reads any RFC 3339 timestamp with any offset; instants before 1970 become 0, finer fractions are cut, a leap second
/// counts as the second after.
pub(super) fn parse(text: &str) -> Option<TimestampMs> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let digits = |from: usize, to: usize| -> Option<i64> {
        let part = &bytes[from..to];
        part.iter().all(u8::is_ascii_digit).then(|| {
            part.iter()
                .fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'))
        })
    };
    let punctuation = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if punctuation.iter().any(|&(at, want)| bytes[at] != want)
        || !matches!(bytes[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut rest = &bytes[19..];
    let mut milli = 0;
    if rest[0] == b'.' {
        let fraction = rest[1..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if fraction == 0 {
            return None;
        }
        for at in 0..3 {
            milli = milli * 10
                + if at < fraction {
                    i64::from(rest[1 + at] - b'0')
                } else {
                    0
                };
        }
        rest = &rest[1 + fraction..];
    }
    let offset_minutes = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) =>
        {
            let hours = i64::from(h1 - b'0') * 10 + i64::from(h2 - b'0');
            let minutes = i64::from(m1 - b'0') * 10 + i64::from(m2 - b'0');
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let days = days_from_civil(year, month, day);
    let minutes = (days * 24 + hour) * 60 + minute - offset_minutes;
    let ms = (minutes * 60 + second) * 1000 + milli;
    Some(TimestampMs::new(u64::try_from(ms).unwrap_or(0)))
}
