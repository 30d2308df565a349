//! Time zones: offsets that are written out, and names that the host knows.

/// What the host knows of time zones with a name, such as `Europe/Berlin`.
///
/// The zones of the IANA database keep two rules that the search for an occurrence rests on: an offset is less than a day,
/// and one that is left is not come back to within a day.
pub trait TimeZones {
    /// Whether there is a zone of this name.
    fn is_known(&self, zone: &str) -> bool;

    /// How many milliseconds the zone's clocks are ahead of UTC at an instant (milliseconds since 1970); none if the zone
    /// is not known, or the instant is beyond the host's calendar.
    fn offset_ms(&self, zone: &str, utc_ms: i64) -> Option<i64>;
}

/// A host that knows no zone by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct OffsetsOnly;

impl TimeZones for OffsetsOnly {
    fn is_known(&self, _: &str) -> bool {
        false
    }

    fn offset_ms(&self, _: &str, _: i64) -> Option<i64> {
        None
    }
}

/// The time zone of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone<'a> {
    /// Always so many milliseconds ahead of UTC.
    Fixed(i64),
    /// One that the host knows.
    Named(&'a str),
}

const DAY_MS: i64 = 86_400_000;

impl<'a> Zone<'a> {
    /// The zone that a text stands for, if any.
    pub fn parse(text: &'a str, zones: &dyn TimeZones) -> Option<Self> {
        let text = text.trim();
        let fixed = fixed_ms(text).map(Self::Fixed);
        // A host may take offsets for names, and others than the contract does.
        let named = || is_name(text) && zones.is_known(text);
        fixed.or_else(|| named().then_some(Self::Named(text)))
    }

    /// How far ahead of UTC the zone is at an instant.
    pub fn offset_ms(self, zones: &dyn TimeZones, utc_ms: i64) -> Option<i64> {
        match self {
            Self::Fixed(offset) => Some(offset),
            Self::Named(name) => zones
                .offset_ms(name, utc_ms)
                .filter(|offset| offset.abs() < DAY_MS),
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// The offset of `UTC`, `Z`, `+HH:MM`, `+HHMM` and of the last two after `UTC` or `GMT`.
fn fixed_ms(text: &str) -> Option<i64> {
    let prefixed = text.split_at_checked(3).filter(|(prefix, _)| {
        ["UTC", "GMT"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(prefix))
    });
    match prefixed {
        Some((_, "")) => Some(0),
        Some((_, offset)) => signed_ms(offset),
        None if text == "Z" => Some(0),
        None => signed_ms(text),
    }
}

fn signed_ms(text: &str) -> Option<i64> {
    let (sign, [h1, h2, m1, m2]) = match *text.as_bytes() {
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, [h1, h2, m1, m2]),
        _ => return None,
    };
    if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |tens: u8, ones: u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    let (hours, minutes) = (two(h1, h2), two(m1, m2));
    let ms = (hours * 60 + minutes) * 60_000;
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(ms),
        b'-' => Some(-ms),
        _ => None,
    }
}
