//! Scheduling without a clock: which schedules are due at a tick (MobKit contract, section 15.3).
//!
//! Nothing is kept here. The caller hands in the schedules, the tick, what the host knows of time zones, and for a dispatch
//! the [`Claims`] of those before.

mod bits;
mod claims;
mod error;
mod rule;
mod search;
mod zone;

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Error, Value};

pub use claims::Claims;
pub use error::ScheduleValidationError;
pub use zone::{OffsetsOnly, TimeZones};

use crate::wire::json::{Blank, Fields, FromJson, deserialize_by_json};
use rule::Interval;
use zone::Zone;

/// How many schedules are looked at in one call (MobKit contract, appendix A).
pub const MAX_SCHEDULES: usize = 256;

/// Something that is to happen again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleDefinition {
    /// Its name; blanks around it do not count.
    pub schedule_id: String,
    /// When: `*/N` with the unit `s`, `m`, `h` or `d`, which counts from midnight of 1970-01-01 on the zone's clock; or a cron
    /// expression of five fields (minute, hour, day of the month, month, day of the week from Sunday as 0 or 7).
    pub interval: String,
    /// On whose clock: `UTC`, `Z`, `+HH:MM`, `+HHMM`, either after `UTC` or `GMT`, or a name that the host knows.
    pub timezone: String,
    /// Whether it is looked at. True if absent.
    pub enabled: bool,
    /// By how much at most each occurrence is late. By how much it is follows from the id, and is always the same.
    pub jitter_ms: u64,
    /// Whether an occurrence is dispatched for as long as it is the latest, and only if it is later than the last that was.
    /// Of several that were missed the latest alone is dispatched.
    pub catch_up: bool,
}

impl Blank for ScheduleDefinition {
    fn blank() -> Self {
        Self {
            schedule_id: String::new(),
            interval: String::new(),
            timezone: String::new(),
            enabled: true,
            jitter_ms: 0,
            catch_up: false,
        }
    }
}

impl FromJson for ScheduleDefinition {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut this = Self::blank();
        let mut enabled = None;
        let mut fields = Fields::of(value)?;
        fields.only(&[
            "schedule_id",
            "interval",
            "timezone",
            "enabled",
            "jitter_ms",
            "catch_up",
        ])?;
        fields.put("schedule_id", false, &mut this.schedule_id);
        fields.put("interval", false, &mut this.interval);
        fields.put("timezone", false, &mut this.timezone);
        fields.put("enabled", true, &mut enabled);
        fields.put("jitter_ms", true, &mut this.jitter_ms);
        fields.put("catch_up", true, &mut this.catch_up);
        fields.end()?;
        this.enabled = enabled.unwrap_or(true);
        Ok(this)
    }
}

deserialize_by_json!(ScheduleDefinition);

/// A schedule that is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleTrigger {
    /// Which, without blanks around it.
    pub schedule_id: String,
    /// Its interval, as it was given.
    pub interval: String,
    /// Its time zone, as it was given.
    pub timezone: String,
    /// Since when.
    pub due_tick_ms: u64,
}

/// What is due at a tick, to the millisecond.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleEvaluation {
    /// The tick.
    pub tick_ms: u64,
    /// The schedules that are due, in the order of their ids.
    pub due_triggers: Vec<ScheduleTrigger>,
}

/// An occurrence that is to be dispatched now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleDispatch {
    /// `schedule_id:due_tick_ms`, which is claimed.
    pub claim_key: String,
    /// Which schedule, without blanks around its id.
    pub schedule_id: String,
    /// Its interval, as it was given.
    pub interval: String,
    /// Its time zone, as it was given.
    pub timezone: String,
    /// Since when it is due.
    pub due_tick_ms: u64,
    /// The tick.
    pub tick_ms: u64,
}

/// What is to be dispatched at a tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleDispatchReport {
    /// The tick.
    pub tick_ms: u64,
    /// How many schedules were due, with those that are claimed.
    pub due_count: usize,
    /// What is to be dispatched: what has been due for the longest is first, then in the order of the ids.
    pub dispatched: Vec<ScheduleDispatch>,
    /// The claims of what is due and has been dispatched.
    pub skipped_claims: Vec<String>,
}

/// The schedules that are due at `tick_ms`, to the millisecond.
///
/// # Errors
/// What is wrong with the first schedule that something is wrong with, be it enabled or not.
pub fn evaluate(
    schedules: &[ScheduleDefinition],
    tick_ms: u64,
    zones: &dyn TimeZones,
) -> Result<ScheduleEvaluation, ScheduleValidationError> {
    let due = due(schedules, tick_ms, zones)?;
    let mut due_triggers = Vec::new();
    for due in due {
        if due.at_ms == tick_ms {
            due_triggers.push(ScheduleTrigger {
                schedule_id: due.schedule_id.to_owned(),
                interval: due.definition.interval.clone(),
                timezone: due.definition.timezone.clone(),
                due_tick_ms: due.at_ms,
            });
        }
    }
    Ok(ScheduleEvaluation {
        tick_ms,
        due_triggers,
    })
}

/// Claims the latest occurrence of each schedule at `tick_ms`, and says which of them nobody had claimed.
///
/// A claim is kept for a day, and the last occurrence of a schedule for as long as it is among those that are handed in: a weekly one
/// is not told of again each day until the next.
///
/// # Errors
/// As [`evaluate`]; nothing is claimed then.
pub fn dispatch(
    schedules: &[ScheduleDefinition],
    tick_ms: u64,
    zones: &dyn TimeZones,
    claims: &mut Claims,
) -> Result<ScheduleDispatchReport, ScheduleValidationError> {
    let mut due = due(schedules, tick_ms, zones)?;
    let known: Vec<&str> = schedules
        .iter()
        .map(|schedule| schedule.schedule_id.trim())
        .collect();
    claims.prune(tick_ms, &known);
    due.retain(|due| !due.is_past(claims.last_due(due.schedule_id), tick_ms));
    let mut report = ScheduleDispatchReport {
        tick_ms,
        due_count: due.len(),
        dispatched: Vec::new(),
        skipped_claims: Vec::new(),
    };
    for due in due {
        let claim_key = format!("{}:{}", due.schedule_id, due.at_ms);
        if claims.claim(&claim_key, due.schedule_id, due.at_ms, tick_ms) {
            report.dispatched.push(due.dispatch(claim_key, tick_ms));
        } else {
            report.skipped_claims.push(claim_key);
        }
    }
    claims.prune(tick_ms, &known);
    Ok(report)
}

/// The latest occurrence of a schedule at or before a time, if there is one.
///
/// # Errors
/// What is wrong with it.
pub fn latest_occurrence(
    schedule: &ScheduleDefinition,
    at_ms: u64,
    zones: &dyn TimeZones,
) -> Result<Option<u64>, ScheduleValidationError> {
    let at = i64::try_from(at_ms).map_err(|_| ScheduleValidationError::InvalidTickMs(at_ms))?;
    Ok(latest(&look_at(schedule, zones, &[])?, at, zones))
}

/// The first occurrence of a schedule after a time, if there is one within twenty years.
///
/// It is the first instant at which the latest occurrence is another one, which is looked for in steps that double and then halve.
///
/// # Errors
/// What is wrong with it.
pub fn next_occurrence(
    schedule: &ScheduleDefinition,
    after_ms: u64,
    zones: &dyn TimeZones,
) -> Result<Option<u64>, ScheduleValidationError> {
    /// Any schedule that comes at all comes within it: the 29th of February is eight years away at most.
    const FAR_MS: i64 = 20 * 366 * 24 * 60 * 60 * 1000;
    let after =
        i64::try_from(after_ms).map_err(|_| ScheduleValidationError::InvalidTickMs(after_ms))?;
    let schedule = look_at(schedule, zones, &[])?;
    let comes_by = |tick: i64| latest(&schedule, tick, zones).is_some_and(|due| due > after_ms);
    let mut step = 1_000;
    while !comes_by(after.saturating_add(step)) {
        if step >= FAR_MS {
            return Ok(None);
        }
        step *= 2;
    }
    let (mut before, mut by) = (after.saturating_add(step / 2), after.saturating_add(step));
    if step == 1_000 {
        before = after;
    }
    while by - before > 1 {
        let middle = before + (by - before) / 2;
        if comes_by(middle) {
            by = middle;
        } else {
            before = middle;
        }
    }
    Ok(u64::try_from(by).ok())
}

/// A schedule that has been looked over.
struct Schedule<'a> {
    definition: &'a ScheduleDefinition,
    id: &'a str,
    interval: Interval,
    zone: Zone<'a>,
}

/// A schedule and its latest occurrence.
struct Due<'a> {
    at_ms: u64,
    schedule_id: &'a str,
    definition: &'a ScheduleDefinition,
}

impl Due<'_> {
    /// Whether the occurrence has been, and is not asked for again. One that is due this very millisecond is left to the
    /// claims, which tell of it, unless the schedule catches up.
    fn is_past(&self, last: Option<u64>, tick_ms: u64) -> bool {
        last.is_some_and(|last| last >= self.at_ms)
            && (self.definition.catch_up || self.at_ms != tick_ms)
    }

    fn dispatch(&self, claim_key: String, tick_ms: u64) -> ScheduleDispatch {
        ScheduleDispatch {
            claim_key,
            schedule_id: self.schedule_id.to_owned(),
            interval: self.definition.interval.clone(),
            timezone: self.definition.timezone.clone(),
            due_tick_ms: self.at_ms,
            tick_ms,
        }
    }
}

/// The latest occurrence of each enabled schedule, the oldest first, then in the order of the ids. The contract goes on to
/// interval and time zone; but no two ids are the same.
fn due<'a>(
    schedules: &'a [ScheduleDefinition],
    tick_ms: u64,
    zones: &dyn TimeZones,
) -> Result<Vec<Due<'a>>, ScheduleValidationError> {
    let tick =
        i64::try_from(tick_ms).map_err(|_| ScheduleValidationError::InvalidTickMs(tick_ms))?;
    let mut due: Vec<Due<'a>> = Vec::new();
    for schedule in look_over(schedules, zones)? {
        if !schedule.definition.enabled {
            continue;
        }
        let Some(at_ms) = latest(&schedule, tick, zones) else {
            continue;
        };
        let schedule_id = schedule.id;
        let place = due.partition_point(|it| (it.at_ms, it.schedule_id) < (at_ms, schedule_id));
        due.insert(
            place,
            Due {
                at_ms,
                schedule_id,
                definition: schedule.definition,
            },
        );
    }
    Ok(due)
}

/// The schedules, if nothing is wrong with any of them.
fn look_over<'a>(
    schedules: &'a [ScheduleDefinition],
    zones: &dyn TimeZones,
) -> Result<Vec<Schedule<'a>>, ScheduleValidationError> {
    if schedules.len() > MAX_SCHEDULES {
        return Err(ScheduleValidationError::TooManySchedules(schedules.len()));
    }
    let mut known: Vec<Schedule<'a>> = Vec::new();
    for definition in schedules {
        let schedule = look_at(definition, zones, &known)?;
        known.push(schedule);
    }
    Ok(known)
}

fn look_at<'a>(
    definition: &'a ScheduleDefinition,
    zones: &dyn TimeZones,
    known: &[Schedule<'_>],
) -> Result<Schedule<'a>, ScheduleValidationError> {
    let id = definition.schedule_id.trim();
    if id.is_empty() {
        return Err(ScheduleValidationError::EmptyScheduleId);
    }
    if known.iter().any(|other| other.id == id) {
        return Err(ScheduleValidationError::DuplicateScheduleId(id.to_owned()));
    }
    let interval = Interval::parse(&definition.interval).ok_or_else(|| {
        ScheduleValidationError::InvalidInterval {
            schedule_id: id.to_owned(),
            interval: definition.interval.clone(),
        }
    })?;
    let zone = Zone::parse(&definition.timezone, zones).ok_or_else(|| {
        ScheduleValidationError::InvalidTimezone {
            schedule_id: id.to_owned(),
            timezone: definition.timezone.clone(),
        }
    })?;
    Ok(Schedule {
        definition,
        id,
        interval,
        zone,
    })
}

/// The latest occurrence of a schedule at or before `tick`, which its jitter delays.
fn latest(schedule: &Schedule<'_>, tick: i64, zones: &dyn TimeZones) -> Option<u64> {
    let jitter = jitter_ms(
        schedule.id,
        schedule.definition.jitter_ms,
        schedule.interval.base_ms(),
    );
    let tick = u64::try_from(tick).ok()?.checked_sub(jitter)?;
    let tick = i64::try_from(tick).ok()?;
    let due = search::latest(&schedule.interval, schedule.zone, zones, tick)?;
    u64::try_from(due).ok()?.checked_add(jitter)
}

/// By how much the occurrences of a schedule are late: at most `most`, and less than they are apart.
fn jitter_ms(schedule_id: &str, most: u64, base_ms: u64) -> u64 {
    // FNV-1a, but for a digit that the contract's seed lacks.
    let hash = schedule_id
        .bytes()
        .fold(1_469_598_103_934_665_603, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
        });
    hash % (most.min(base_ms - 1) + 1)
}
