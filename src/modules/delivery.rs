//! Something that was routed and is delivered: what is trusted, what is a repetition, how often is too often (MobKit contract,
//! section 15.2).
//!
//! The attempts of a record are those that were made: a failure is one that happened, and is repeated after the route's pause. A
//! delivery is a row from the moment at which it is accepted, so that one that a crash interrupts goes on, under the same id.

use serde::Serialize;
use serde_json::Value;

use crate::mob::digest;
use crate::modules::routing::{DELIVERY, RoutingResolution, blank};
use crate::storage::{Key, Record};
use crate::wire::TimestampMs;
use crate::wire::json::{from_json, object, words};
use crate::wire::{ModuleError, ModuleErrorKind};

/// Records of deliveries that have ended; the oldest goes for a newer one.
pub const HISTORY: usize = 200;
/// Deliveries that are under way at most.
pub const MAX_OPEN: usize = 256;
/// How long a window of the rate is.
pub const RATE_WINDOW_MS: u64 = 60_000;

words! {
    /// How a delivery, or one attempt of it, stands.
    pub enum DeliveryStatus {
        /// It is under way.
        Sending = "sending",
        /// It failed, and is tried again.
        TransientFailure = "transient_failure",
        /// It is delivered.
        Sent = "sent",
        /// It failed for good.
        Failed = "failed",
    }
}

/// What is to be delivered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliverySendRequest {
    /// Where to, as it was answered.
    pub resolution: RoutingResolution,
    /// What.
    pub payload: Value,
    /// The same delivery, whenever it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

from_json!(DeliverySendRequest deserialize { resolution, payload, idempotency_key } deny);

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryAttempt {
    /// Which, from 1.
    pub attempt: u32,
    /// What came of it.
    pub status: DeliveryStatus,
    /// The pause after it, in milliseconds.
    pub backoff_ms: u64,
}

from_json!(DeliveryAttempt deserialize { attempt, status, backoff_ms });

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveryRecord {
    /// Its name.
    pub delivery_id: String,
    /// By which route.
    pub route_id: String,
    /// Whom it is for.
    pub recipient: String,
    /// Where it went.
    pub sink: String,
    /// The module that delivered.
    pub target_module: String,
    /// What.
    pub payload: Value,
    /// How it stands.
    pub status: DeliveryStatus,
    /// What was tried.
    pub attempts: Vec<DeliveryAttempt>,
    /// When it was tried first.
    pub first_attempt_ms: TimestampMs,
    /// When it was tried last.
    pub final_attempt_ms: TimestampMs,
    /// The same delivery, whenever it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// What carried it out: what the module says, else `mailbox`, `module` or `webhook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink_adapter: Option<String>,
    /// What the last attempt failed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

from_json!(DeliveryRecord deserialize { delivery_id, route_id, recipient, sink, target_module, payload = default, status, attempts, first_attempt_ms, final_attempt_ms, idempotency_key, sink_adapter, error });

/// A delivery, as it is stored.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeliveryRow {
    /// The number in its name.
    pub number: u64,
    pub resolution: RoutingResolution,
    pub record: DeliveryRecord,
    /// The attempts that were made before it was asked for anew.
    pub before: u32,
    /// The module itself failed, so that whoever asks anew tries anew.
    pub boundary: bool,
    /// The window that it counts in.
    pub window_ms: u64,
}

from_json!(DeliveryRow {
    number,
    resolution,
    record,
    before,
    boundary,
    window_ms
});

impl DeliveryRow {
    pub fn is_open(&self) -> bool {
        self.record.status == DeliveryStatus::Sending
    }
}

/// How many deliveries count for a window of the rate.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WindowRow {
    /// What is counted.
    pub scope: String,
    pub start_ms: u64,
    pub count: u32,
}

from_json!(WindowRow {
    scope,
    start_ms,
    count
});

impl Record for DeliveryRow {
    type Key = u64;
    fn key(&self) -> u64 {
        self.number
    }
    fn place(key: &u64, prefix: &Key) -> Key {
        prefix.number(*key)
    }
}

impl Record for WindowRow {
    type Key = String;
    fn key(&self) -> String {
        self.scope.clone()
    }
    fn place(key: &String, prefix: &Key) -> Key {
        prefix.part(key)
    }
}

words! {
    /// What the rate of deliveries is counted for.
    #[derive(Default)]
    pub enum RateScope {
        /// A recipient and a sink, however they were routed.
        #[default]
        Recipient = "recipient",
        /// Each route that was resolved, as the contract has it: whoever resolves anew begins anew.
        Route = "route",
    }
}

impl RateScope {
    /// What a delivery counts for.
    pub(crate) fn of(self, resolution: &RoutingResolution) -> String {
        let RoutingResolution {
            route_id,
            recipient,
            sink,
            ..
        } = resolution;
        // Of one length, however long a recipient is.
        match self {
            Self::Recipient => digest(&[recipient, sink]),
            Self::Route => digest(&[route_id, recipient, sink]),
        }
    }
}

/// Whether a request asks for the delivery that a record is of.
///
/// # Errors
/// [`ModuleErrorKind`]: `IdempotencyPayloadMismatch`, `ForgedResolution`.
pub(crate) fn repeats(
    row: &DeliveryRow,
    request: &DeliverySendRequest,
) -> Result<bool, ModuleError> {
    let same = row.record.route_id == request.resolution.route_id
        && row.record.idempotency_key.is_some()
        && row.record.idempotency_key == request.idempotency_key;
    if !same {
        return Ok(false);
    }
    if row.record.payload != request.payload {
        return Err(ModuleError::new(
            ModuleErrorKind::IdempotencyPayloadMismatch,
            "idempotency_key replay payload does not match original request",
        )
        .with(object!({ "idempotency_key": request.idempotency_key })));
    }
    if row.resolution != request.resolution {
        return Err(forged(&request.resolution));
    }
    Ok(true)
}

/// Whether something may go where a resolution says, of which `remembered` is what was answered under its name.
///
/// # Errors
/// [`ModuleErrorKind`]: `InvalidRouteId`, `UnknownRouteId`, `ForgedResolution`, `InvalidRouteTarget`, `InvalidRecipient`,
/// `InvalidSink`.
pub fn check_trusted(
    resolution: &RoutingResolution,
    remembered: Option<&RoutingResolution>,
) -> Result<(), ModuleError> {
    if resolution.route_id.trim().is_empty() {
        return Err(blank(ModuleErrorKind::InvalidRouteId, "route_id"));
    }
    let Some(remembered) = remembered else {
        return Err(ModuleError::new(
            ModuleErrorKind::UnknownRouteId,
            format!("unknown route_id '{}'", resolution.route_id),
        )
        .with(object!({ "route_id": resolution.route_id })));
    };
    if remembered != resolution {
        return Err(forged(resolution));
    }
    if resolution.target_module != DELIVERY {
        return Err(ModuleError::new(
            ModuleErrorKind::InvalidRouteTarget,
            format!(
                "target_module must be '{DELIVERY}', got '{}'",
                resolution.target_module
            ),
        )
        .with(object!({ "target_module": resolution.target_module })));
    }
    if resolution.recipient.trim().is_empty() {
        return Err(blank(ModuleErrorKind::InvalidRecipient, "recipient"));
    }
    if resolution.sink.trim().is_empty() {
        return Err(blank(ModuleErrorKind::InvalidSink, "sink"));
    }
    Ok(())
}

fn forged(resolution: &RoutingResolution) -> ModuleError {
    ModuleError::new(
        ModuleErrorKind::ForgedResolution,
        "resolution does not match the trusted route for route_id",
    )
    .with(object!({ "route_id": resolution.route_id }))
}

/// The window of the rate that a time lies in; a clock that goes back stays in the newest.
pub fn window_start(now_ms: u64, newest_ms: u64) -> u64 {
    (now_ms - now_ms % RATE_WINDOW_MS).max(newest_ms)
}

/// Whether one more may be delivered, after `count` in the window.
///
/// # Errors
/// [`ModuleErrorKind::RateLimited`].
pub fn check_rate(
    resolution: &RoutingResolution,
    window_start_ms: u64,
    count: u32,
) -> Result<(), ModuleError> {
    let limit = resolution.rate_limit_per_minute;
    if count < limit {
        return Ok(());
    }
    let sink = &resolution.sink;
    Err(ModuleError::new(
        ModuleErrorKind::RateLimited,
        format!(
            "rate limit exceeded for sink '{sink}' at window {window_start_ms} (limit={limit})"
        ),
    )
    .with(object!({ "sink": sink, "window_start_ms": window_start_ms, "limit": limit })))
}
