//! The latest occurrence at or before an instant (MobKit contract, section 15.3 and row 28 of section 24.3).
//!
//! By definition it is found by trying one minute after the other, back to ten years ago. Here the calendar is asked
//! first, field by field: month, day, hour, minute. Only about the day that it answers with is the zone asked for its
//! offsets, so that a rule that comes every four years costs about what one costs that comes every minute.

use super::rule::{CronRule, Interval, length_of};
use super::zone::{TimeZones, Zone};
use crate::wire::calendar::{civil_from_days, days_from_civil};

const MINUTE_MS: i64 = 60_000;
/// Minutes of a day.
const DAY: i64 = 1_440;
/// How many minutes back an occurrence is looked for: about ten years.
pub(super) const LOOKBACK: i64 = 5_270_400;
/// How often an offset is corrected by that of the occurrence which it led to.
const SETTLE: usize = 4;

/// The latest occurrence at or before `tick_ms`, both in milliseconds since 1970.
pub(super) fn latest(
    interval: &Interval,
    zone: Zone<'_>,
    zones: &dyn TimeZones,
    tick_ms: i64,
) -> Option<i64> {
    match interval {
        Interval::Marker(every) => latest_multiple(*every, zone, zones, tick_ms),
        Interval::Cron(rule) => Search::new(rule, zone, zones).run(tick_ms),
    }
}

/// The latest multiple of `every` milliseconds on the zone's own clock. Where the clock was set since, the offset of the
/// multiple counts, not that of the tick.
fn latest_multiple(every: u64, zone: Zone<'_>, zones: &dyn TimeZones, tick_ms: i64) -> Option<i64> {
    let multiple = |offset: i64| {
        let local = u64::try_from(tick_ms.checked_add(offset)?).ok()?;
        let local = i64::try_from(local - local % every).ok()?;
        local.checked_sub(offset).filter(|due| *due >= 0)
    };
    let mut offset = zone.offset_ms(zones, tick_ms)?;
    for _ in 0..SETTLE {
        let due = multiple(offset)?;
        let there = zone.offset_ms(zones, due)?;
        if there == offset {
            return Some(due);
        }
        offset = there;
    }
    multiple(offset)
}

/// A search for the latest occurrence of a cron expression. Times are whole minutes since 1970, of UTC or of the zone's
/// clock.
pub(super) struct Search<'a> {
    rule: &'a CronRule,
    zone: Zone<'a>,
    zones: &'a dyn TimeZones,
    /// Months looked at, and offsets asked for: what a search costs.
    pub steps: u32,
}

impl<'a> Search<'a> {
    pub fn new(rule: &'a CronRule, zone: Zone<'a>, zones: &'a dyn TimeZones) -> Self {
        Self {
            rule,
            zone,
            zones,
            steps: 0,
        }
    }

    /// The latest occurrence at or before `tick_ms`, if there is one since 1970 and within the lookback.
    pub fn run(&mut self, tick_ms: i64) -> Option<i64> {
        let tick = tick_ms.div_euclid(MINUTE_MS);
        let floor = (tick - LOOKBACK).max(0);
        let due = match self.zone {
            Zone::Fixed(offset) => self.latest_at(tick, offset / MINUTE_MS, floor),
            Zone::Named(_) => self.latest_named(tick, floor),
        };
        due.filter(|due| *due >= floor).map(|due| due * MINUTE_MS)
    }

    /// Goes back from `tick` through stretches of one offset. A stretch is known to be one if it is no longer than a day
    /// and has the same offset at both ends.
    fn latest_named(&mut self, tick: i64, floor: i64) -> Option<i64> {
        let mut at = tick;
        loop {
            at = self.skip(at, floor)?;
            let offset = self.offset(at)?;
            let due = self
                .latest_at(at, offset, floor)
                .filter(|due| *due >= floor);
            let back = due.unwrap_or(floor).max(at - DAY);
            let there = self.offset(back);
            let since = if there == Some(offset) {
                back
            } else {
                self.start(back, at, offset)
            };
            if due.is_some_and(|due| due >= since) {
                return due;
            }
            at = since - 1;
        }
    }

    /// The last instant from `at` back that can be an occurrence whatever the offset; none if there is none from `floor` on.
    /// The zone's clock is less than a day ahead or behind, so nothing can be where the calendar has nothing for a day around.
    fn skip(&mut self, at: i64, floor: i64) -> Option<i64> {
        let last = self.latest_local(at + DAY, floor - DAY)?;
        Some(at.min(last + DAY)).filter(|at| *at >= floor)
    }

    /// The first minute after `before`, which has another offset, from which on the offset is `offset` until `after`.
    fn start(&mut self, mut before: i64, mut after: i64, offset: i64) -> i64 {
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if self.offset(middle) == Some(offset) {
                after = middle;
            } else {
                before = middle;
            }
        }
        after
    }

    /// The zone's offset in minutes. There is none in the times when clocks showed the sun's time, to the second: then no
    /// minute of theirs began with one of UTC, and neither did one before.
    fn offset(&mut self, utc: i64) -> Option<i64> {
        self.steps += 1;
        let offset = self.zone.offset_ms(self.zones, utc * MINUTE_MS)?;
        (offset % MINUTE_MS == 0).then_some(offset / MINUTE_MS)
    }

    /// The latest occurrence, were the offset always this one.
    fn latest_at(&mut self, utc: i64, offset: i64, floor: i64) -> Option<i64> {
        let local = self.latest_local(utc + offset, floor + offset)?;
        Some(local - offset)
    }

    /// The latest minute that the rule names, of those up to `at`. It may be somewhat before `floor`, where the search
    /// ends.
    fn latest_local(&mut self, at: i64, floor: i64) -> Option<i64> {
        let (day, minute) = (at.div_euclid(DAY), at.rem_euclid(DAY) as u32);
        let (year, month, day_of_month) = civil_from_days(day);
        let (month, day_of_month) = (month as u32, day_of_month as u32);
        if self.rule.months.has(month)
            && self.days(year, month).has(day_of_month)
            && let Some(minute) = self.rule.latest_of_day(minute)
        {
            return Some(day * DAY + i64::from(minute));
        }
        let day = self.latest_day(year, month, day_of_month, floor.div_euclid(DAY))?;
        let minute = self.rule.latest_of_day(DAY as u32 - 1)?;
        Some(day * DAY + i64::from(minute))
    }

    /// The latest day that the rule names, before that of the date; none if a month ends before the day `floor`.
    fn latest_day(&mut self, mut year: i64, mut month: u32, day: u32, floor: i64) -> Option<i64> {
        let mut limit = day;
        loop {
            self.steps += 1;
            let first = days_from_civil(year, month.into(), 1);
            if first + 31 < floor {
                return None;
            }
            if self.rule.months.has(month)
                && let Some(day) = self.days(year, month).greatest_below(limit)
            {
                return Some(first + i64::from(day) - 1);
            }
            limit = 32;
            month = match self.rule.months.greatest_below(month) {
                Some(month) => month,
                None => {
                    year -= 1;
                    self.rule.months.greatest()?
                }
            };
        }
    }

    fn days(&self, year: i64, month: u32) -> super::bits::Bits {
        // 1970 began on a Thursday.
        let first = (days_from_civil(year, month.into(), 1) + 4).rem_euclid(7);
        self.rule.days_of(length_of(year, month), first as u32)
    }
}

impl CronRule {
    /// The latest minute of a day that the rule names, of those up to `minute`.
    fn latest_of_day(&self, minute: u32) -> Option<u32> {
        let (hour, minute) = (minute / 60, minute % 60);
        let this_hour = self.minutes.greatest_below(minute + 1);
        match this_hour {
            Some(minute) if self.hours.has(hour) => Some(hour * 60 + minute),
            _ => Some(self.hours.greatest_below(hour)? * 60 + self.minutes.greatest()?),
        }
    }
}
