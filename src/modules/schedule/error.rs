//! Why a list of schedules is refused, as data for every boundary.

use serde_json::Value;

use super::MAX_SCHEDULES;
use crate::wire::ErrorData;
use crate::wire::json::object;

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

impl ScheduleValidationError {
    /// The stable snake_case name of the kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyScheduleId => "empty_schedule_id",
            Self::DuplicateScheduleId(_) => "duplicate_schedule_id",
            Self::InvalidTickMs(_) => "invalid_tick_ms",
            Self::InvalidInterval { .. } => "invalid_interval",
            Self::InvalidTimezone { .. } => "invalid_timezone",
            Self::TooManySchedules(_) => "too_many_schedules",
        }
    }

    /// The error as every boundary shows it.
    pub fn data(&self) -> ErrorData {
        let data = match self {
            Self::EmptyScheduleId => Value::Null,
            Self::DuplicateScheduleId(schedule_id) => object!({ "schedule_id": schedule_id }),
            Self::InvalidTickMs(tick_ms) => object!({ "tick_ms": tick_ms }),
            Self::InvalidInterval {
                schedule_id,
                interval,
            } => object!({ "schedule_id": schedule_id, "interval": interval }),
            Self::InvalidTimezone {
                schedule_id,
                timezone,
            } => object!({ "schedule_id": schedule_id, "timezone": timezone }),
            Self::TooManySchedules(count) => object!({ "count": count, "limit": MAX_SCHEDULES }),
        };
        ErrorData::new(self.code(), self.to_string()).with_data(data)
    }
}
