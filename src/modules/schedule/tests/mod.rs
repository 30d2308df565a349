mod dispatch;
mod grammar;
mod occurrences;
mod properties;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{ScheduleDefinition, TimeZones};
use crate::sim::BundledZones;

/// A host that knows no zone.
struct NoZones;

impl TimeZones for NoZones {
    fn is_known(&self, _: &str) -> bool {
        false
    }

    fn offset_ms(&self, _: &str, _: i64) -> Option<i64> {
        None
    }
}

fn schedule(schedule_id: &str, interval: &str, timezone: &str) -> ScheduleDefinition {
    ScheduleDefinition {
        schedule_id: schedule_id.to_owned(),
        interval: interval.to_owned(),
        timezone: timezone.to_owned(),
        enabled: true,
        jitter_ms: 0,
        catch_up: false,
    }
}

/// The milliseconds of an instant in UTC, such as `2024-02-29T12:00`.
fn ms(utc: &str) -> u64 {
    let at: DateTime = utc.parse().unwrap();
    let at = TimeZone::UTC.to_timestamp(at).unwrap();
    at.as_millisecond().try_into().unwrap()
}

/// An instant as it is written in the tables.
fn utc(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap();
    at.to_string().trim_end_matches('Z').to_owned()
}

/// The latest occurrence at or before an instant, and what finding it cost.
fn latest(interval: &str, zone: &str, at: &str) -> (Option<String>, u32) {
    use super::rule::Interval;
    use super::search::{Search, latest};
    use super::zone::Zone;

    let zones = BundledZones::new();
    let at = i64::try_from(ms(at)).unwrap();
    let zone = Zone::parse(zone, &zones).unwrap();
    let interval = Interval::parse(interval).unwrap();
    let (due, steps) = match &interval {
        Interval::Marker(_) => (latest(&interval, zone, &zones, at), 0),
        Interval::Cron(rule) => {
            let mut search = Search::new(rule, zone, &zones);
            (search.run(at), search.steps)
        }
    };
    (due.map(utc), steps)
}
