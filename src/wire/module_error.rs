//! What the module runtime refuses or fails at, as data for every boundary (MobKit contract, sections 14.4 and 15).

use std::ops::Deref;

use serde_json::Value;

use super::ErrorData;
use super::json::words;

words! {
    /// The kind of a [`ModuleError`]: what to branch on.
    #[non_exhaustive]
    pub enum ModuleErrorKind {
        /// No module of this name was given to the builder.
        ModuleNotConfigured = "module_not_configured",
        /// The module is not running.
        ModuleNotLoaded = "module_not_loaded",
        /// Routing needs the module `router`.
        RouterModuleNotLoaded = "router_module_not_loaded",
        /// Routing and delivery need the module `delivery`.
        DeliveryModuleNotLoaded = "delivery_module_not_loaded",
        /// The module did not start or answer in time.
        Timeout = "module_timeout",
        /// The module cannot be reached, or did not start.
        ConnectionFailed = "module_connection_failed",
        /// The module did not say which tools it has.
        ToolListFailed = "tool_list_failed",
        /// The module has no such tool.
        ToolNotFound = "tool_not_found",
        /// The tool failed.
        ToolCallFailed = "tool_call_failed",
        /// The module ended while it was called.
        ModuleCrashed = "module_crashed",
        /// The module could not be ended.
        CloseFailed = "module_close_failed",
        /// The tool answered what cannot be JSON.
        InvalidToolPayload = "invalid_tool_payload",
        /// The tool of one of the runtime's own modules answered a text that is no JSON.
        InvalidJsonResponse = "invalid_json_response",
        /// A module's event is not what an event is.
        InvalidEvent = "invalid_module_event",
        /// The module `router` failed.
        RoutingBoundary = "routing_boundary",
        /// The module `delivery` failed, or whatever the delivery was for, each time that it was tried.
        DeliveryBoundary = "delivery_boundary",
        /// A recipient is blank.
        InvalidRecipient = "invalid_recipient",
        /// A channel is blank.
        InvalidChannel = "invalid_channel",
        /// More retries than there may be.
        RetryMaxExceedsCap = "retry_max_exceeds_cap",
        /// A longer pause than there may be.
        BackoffExceedsCap = "backoff_exceeds_cap",
        /// A rate of none.
        InvalidRateLimitPerMinute = "invalid_rate_limit_per_minute",
        /// A route without a key.
        EmptyRouteKey = "empty_route_key",
        /// A route to nobody.
        EmptyRecipient = "empty_recipient",
        /// A route without a sink.
        EmptySink = "empty_sink",
        /// A route without a module.
        EmptyTargetModule = "empty_target_module",
        /// No route has this key.
        RouteNotFound = "route_not_found",
        /// More routes than there may be.
        TooManyRoutes = "too_many_routes",
        /// Something is delivered by the module `delivery` alone.
        InvalidRouteTarget = "invalid_route_target",
        /// The route's id is blank.
        InvalidRouteId = "invalid_route_id",
        /// No route of this id was resolved, or it is forgotten.
        UnknownRouteId = "unknown_route_id",
        /// The resolution is not the one that was given.
        ForgedResolution = "forged_resolution",
        /// The sink is blank.
        InvalidSink = "invalid_sink",
        /// The idempotency key is blank.
        InvalidIdempotencyKey = "invalid_idempotency_key",
        /// The idempotency key was used for another payload.
        IdempotencyPayloadMismatch = "idempotency_payload_mismatch",
        /// More deliveries within a minute than there may be.
        RateLimited = "rate_limited",
        /// Who acts may not approve it.
        SelfApprovalForbidden = "self_approval_forbidden",
        /// Somebody else is to decide.
        ApproverMismatch = "approver_mismatch",
        /// Nothing of this id waits for a decision.
        UnknownPendingId = "unknown_pending_id",
        /// The entity is blank.
        EntityRequired = "entity_required",
        /// The topic is blank.
        TopicRequired = "topic_required",
        /// There is no such store.
        UnsupportedStore = "unsupported_store",
        /// Without a conflict there must be a fact.
        FactRequired = "fact_required",
        /// There is no such conflict.
        ConflictNotFound = "conflict_not_found",
        /// A schedule's id is blank.
        EmptyScheduleId = "empty_schedule_id",
        /// Two schedules have one id.
        DuplicateScheduleId = "duplicate_schedule_id",
        /// A tick that no time can be.
        InvalidTickMs = "invalid_tick_ms",
        /// Neither a marker nor a cron expression, or one that never comes.
        InvalidInterval = "invalid_interval",
        /// Neither an offset nor a name that the host knows.
        InvalidTimezone = "invalid_timezone",
        /// More schedules than there may be.
        TooManySchedules = "too_many_schedules",
        /// No schedule has this id.
        ScheduleNotFound = "schedule_not_found",
        /// The checkpoint is blank.
        EmptyCheckpoint = "empty_checkpoint",
        /// The checkpoint is not among the events that are kept.
        UnknownCheckpoint = "unknown_checkpoint",
        /// A subscription to a member must name it.
        MissingAgentId = "missing_agent_id",
        /// The member's name is blank.
        InvalidAgentId = "invalid_agent_id",
    }
}

impl ModuleErrorKind {
    /// Whether it is a module that failed, and not the request.
    pub(crate) fn is_boundary(self) -> bool {
        (Self::Timeout as u8..=Self::DeliveryBoundary as u8).contains(&(self as u8))
    }
}

/// Why the module runtime did not do what it was asked. A pointer, so that it goes through the hands of many futures in one word.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.message)]
pub struct ModuleError(Box<ModuleErrorParts>);

/// What a [`ModuleError`] is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleErrorParts {
    /// What to branch on.
    pub kind: ModuleErrorKind,
    /// What happened, for people.
    pub message: String,
    /// Particulars, such as the name and the value of what is wrong.
    pub data: Value,
}

impl Deref for ModuleError {
    type Target = ModuleErrorParts;

    fn deref(&self) -> &ModuleErrorParts {
        &self.0
    }
}

impl ModuleError {
    /// An error without particulars.
    #[inline(never)]
    pub(crate) fn new(kind: ModuleErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(ModuleErrorParts {
            kind,
            message: message.into(),
            data: Value::Null,
        }))
    }

    /// The same with particulars.
    #[must_use]
    #[inline(never)]
    pub(crate) fn with(mut self, data: Value) -> Self {
        self.0.data = data;
        self
    }

    /// What happened, for people.
    #[inline(never)]
    pub(crate) fn into_message(self) -> String {
        self.0.message
    }

    /// The error as every boundary shows it.
    pub fn data(&self) -> ErrorData {
        ErrorData::new(self.kind.as_str(), self.message.clone()).with_data(self.data.clone())
    }
}
