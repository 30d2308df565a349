//! Why a list of schedules is refused.

use serde_json::Value;

use super::MAX_SCHEDULES;
use crate::wire::json::object;
use crate::wire::{ModuleError, ModuleErrorKind};

/// Why schedules are not looked at (MobKit contract, section 15.3). One of them is enough to refuse them all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleValidationError {
    /// A schedule's id is empty or blank.
    #[error("schedule_id must not be empty")]
    EmptyScheduleId,
    /// Two schedules have one id; blanks around it do not count.
    #[error("duplicate schedule_id '{0}' is not allowed")]
    DuplicateScheduleId(String),
    /// The tick is later than any time can be.
    #[error("tick_ms {0} is greater than {max}", max = i64::MAX)]
    InvalidTickMs(u64),
    /// The interval is neither a marker nor a cron expression, or one that never comes.
    #[error("schedule '{schedule_id}' has the invalid interval '{interval}'")]
    InvalidInterval {
        /// Whose.
        schedule_id: String,
        /// As it was given.
        interval: String,
    },
    /// The time zone is neither an offset nor a name that the host knows.
    #[error("schedule '{schedule_id}' has the invalid timezone '{timezone}'")]
    InvalidTimezone {
        /// Whose.
        schedule_id: String,
        /// As it was given.
        timezone: String,
    },
    /// More schedules than are looked at in one call.
    #[error("{0} schedules are more than {MAX_SCHEDULES}")]
    TooManySchedules(usize),
}

impl From<ScheduleValidationError> for ModuleError {
    fn from(error: ScheduleValidationError) -> Self {
        use ScheduleValidationError as E;
        let message = error.to_string();
        let (kind, data) = match error {
            E::EmptyScheduleId => (ModuleErrorKind::EmptyScheduleId, Value::Null),
            E::DuplicateScheduleId(schedule_id) => (
                ModuleErrorKind::DuplicateScheduleId,
                object!({ "schedule_id": schedule_id }),
            ),
            E::InvalidTickMs(tick_ms) => (
                ModuleErrorKind::InvalidTickMs,
                object!({ "tick_ms": tick_ms }),
            ),
            E::InvalidInterval {
                schedule_id,
                interval,
            } => (
                ModuleErrorKind::InvalidInterval,
                object!({ "schedule_id": schedule_id, "interval": interval }),
            ),
            E::InvalidTimezone {
                schedule_id,
                timezone,
            } => (
                ModuleErrorKind::InvalidTimezone,
                object!({ "schedule_id": schedule_id, "timezone": timezone }),
            ),
            E::TooManySchedules(count) => (
                ModuleErrorKind::TooManySchedules,
                object!({ "count": count, "limit": MAX_SCHEDULES }),
            ),
        };
        Self::new(kind, message).with(data)
    }
}
