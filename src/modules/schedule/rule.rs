//! The grammar of intervals: a marker (`*/15m`) or a cron expression of five fields (MobKit contract, section 15.3).

use super::bits::Bits;
use crate::wire::calendar::days_in_month;

/// Milliseconds of a minute, which a cron expression counts in.
const MINUTE_MS: u64 = 60_000;

/// When something is to happen, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Interval {
    /// Every so many milliseconds of local time; never 0.
    Marker(u64),
    /// At the minutes that a cron expression names.
    Cron(CronRule),
}

impl Interval {
    /// The interval that a text stands for; none if it stands for none, or for one that never comes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        marker(text)
            .map(Self::Marker)
            .or_else(|| CronRule::parse(text).map(Self::Cron))
    }

    /// How far apart occurrences are at the least: jitter stays below it.
    pub fn base_ms(&self) -> u64 {
        match self {
            Self::Marker(every) => *every,
            Self::Cron(_) => MINUTE_MS,
        }
    }
}

/// The milliseconds of `*/N` with a unit.
fn marker(text: &str) -> Option<u64> {
    let text = text.strip_prefix("*/")?;
    let unit = text.chars().next_back()?;
    let unit_ms = match unit.to_ascii_lowercase() {
        's' => 1_000,
        'm' => MINUTE_MS,
        'h' => 60 * MINUTE_MS,
        'd' => 24 * 60 * MINUTE_MS,
        _ => return None,
    };
    let count: u64 = number(text.strip_suffix(unit)?)?;
    count.checked_mul(unit_ms).filter(|every| *every > 0)
}

/// A number of digits alone: the standard library's own reader takes a sign too.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A cron expression: for each field the values that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CronRule {
    pub minutes: Bits,
    pub hours: Bits,
    pub months: Bits,
    days: Bits,
    /// Sunday is 0.
    weekdays: Bits,
}

/// The values of a field.
struct Span {
    first: u32,
    last: u32,
}

impl CronRule {
    const MINUTES: Span = Span { first: 0, last: 59 };
    const HOURS: Span = Span { first: 0, last: 23 };
    const DAYS: Span = Span { first: 1, last: 31 };
    const MONTHS: Span = Span { first: 1, last: 12 };
    /// Sunday is 0 and 7.
    const WEEKDAYS: Span = Span { first: 0, last: 7 };
    const WEEK: Bits = Bits::between(0, 6);

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let mut next = |span: &Span| field(fields.next()?, span);
        let rule = Self {
            minutes: next(&Self::MINUTES)?,
            hours: next(&Self::HOURS)?,
            days: next(&Self::DAYS)?,
            months: next(&Self::MONTHS)?,
            weekdays: sunday_once(next(&Self::WEEKDAYS)?),
        };
        (fields.next().is_none() && rule.comes()).then_some(rule)
    }

    /// Whether any weekday will do. It is what the field names that counts, not how: `0-6` is as good as `*`.
    fn any_weekday(&self) -> bool {
        self.weekdays == Self::WEEK
    }

    fn any_day(&self) -> bool {
        self.days == Bits::between(Self::DAYS.first, Self::DAYS.last)
    }

    /// Whether there is a day that the rule names, in a leap year at the latest. A rule that names weekdays too has one in
    /// every month.
    fn comes(&self) -> bool {
        let longest = self.months.iter().map(|month| length_of(2000, month));
        let reach = Bits::between(1, longest.max().unwrap_or(0));
        !self.any_weekday() || !self.days.and(reach).is_empty()
    }

    /// The days of a month that the rule names, were the month among those that it names; `first` is the weekday of the
    /// month's first day. If both days and weekdays are named, a day that is either will do.
    pub fn days_of(&self, length: u32, first: u32) -> Bits {
        let named = match (self.any_day(), self.any_weekday()) {
            (true, true) | (false, true) => self.days,
            (true, false) => self.on_weekdays(first),
            (false, false) => self.days.or(self.on_weekdays(first)),
        };
        named.and(Bits::between(1, length))
    }

    fn on_weekdays(&self, first: u32) -> Bits {
        let mut days = Bits::NONE;
        for day in Self::DAYS.first..=Self::DAYS.last {
            if self.weekdays.has((first + day - 1) % 7) {
                days.add(day);
            }
        }
        days
    }
}

/// How many days a month has, in the numbers of a rule.
pub(super) fn length_of(year: i64, month: u32) -> u32 {
    days_in_month(year, month.into()) as u32
}

/// Sunday as 0 alone.
fn sunday_once(mut weekdays: Bits) -> Bits {
    if weekdays.has(7) {
        weekdays.add(0);
    }
    weekdays.and(CronRule::WEEK)
}

/// A field: parts between commas.
fn field(text: &str, span: &Span) -> Option<Bits> {
    let mut values = Bits::NONE;
    for part in text.split(',') {
        values = values.or(part_of_field(part, span)?);
    }
    Some(values)
}

/// `*`, `a` or `a-b`, with a step or without. After a single value the step does nothing, but must be one.
fn part_of_field(text: &str, span: &Span) -> Option<Bits> {
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, number::<u32>(step)?),
        None => (text, 1),
    };
    let value =
        |text: &str| number::<u32>(text).filter(|value| (span.first..=span.last).contains(value));
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (value(first)?, value(last)?),
        None if range == "*" => (span.first, span.last),
        None => (value(range)?, value(range)?),
    };
    if step == 0 || first > last {
        return None;
    }
    let mut values = Bits::NONE;
    (first..=last)
        .step_by(step as usize)
        .for_each(|value| values.add(value));
    Some(values)
}
