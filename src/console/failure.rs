//! What a method fails with, and the contract's codes for it (MobKit contract, section 20.2).

use serde_json::{Map, Value};

use crate::wire::json::object;
use crate::wire::{ErrorData, ModuleErrorKind};

/// Not JSON.
pub(super) const PARSE_ERROR: i64 = -32700;
/// Not a request.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// No such method.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters that the method cannot work with.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// The operation failed.
pub(super) const OPERATION_FAILED: i64 = -32000;
/// Nobody, or nothing, of this name.
pub(super) const UNKNOWN_IDENTITY: i64 = -32001;
/// The member takes no messages from outside.
pub(super) const NOT_ADDRESSABLE: i64 = -32002;
/// Another context leads, or the member was made anew.
pub(super) const LEASE_LOST: i64 = -32004;
/// The key was used for something else.
pub(super) const IDEMPOTENCY_CONFLICT: i64 = -32009;
/// A cursor beyond the end.
pub(super) const STALE_CURSOR: i64 = -32010;

/// A failed method. A pointer, so that what may fail answers in a few words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure(Box<Told>);

/// The error as every boundary shows it, with the contract's number.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    code: i64,
    error: ErrorData,
}

impl Failure {
    /// A failure with a stable snake_case name.
    pub fn new(code: i64, name: &str, message: impl Into<String>) -> Self {
        let error = ErrorData::new(name, message);
        Self(Box::new(Told { code, error }))
    }

    /// Parameters that the method cannot work with.
    #[inline(never)]
    pub fn params(message: impl std::fmt::Display) -> Self {
        Self::new(INVALID_PARAMS, "invalid_params", message.to_string())
    }

    /// The same with another of the contract's numbers, and in other words.
    pub fn told(mut self, code: i64, message: String) -> Self {
        self.0.code = code;
        self.0.error.message = message;
        self
    }

    /// No such method.
    pub fn method_not_found(method: &str) -> Self {
        Self::new(
            METHOD_NOT_FOUND,
            "method_not_found",
            format!("Method not found: {method}"),
        )
    }

    /// The same with the number for what the module runtime refuses or fails at.
    pub fn of_module(mut self, kind: ModuleErrorKind) -> Self {
        self.0.code = match kind {
            ModuleErrorKind::ModuleNotLoaded => METHOD_NOT_FOUND,
            kind if kind.is_boundary() => OPERATION_FAILED,
            _ => INVALID_PARAMS,
        };
        self
    }

    /// The HTTP status of the console's routes (MobKit contract, section 12.5).
    pub fn status(&self) -> u16 {
        match self.0.code {
            INVALID_PARAMS | INVALID_REQUEST => 400,
            UNKNOWN_IDENTITY => 404,
            NOT_ADDRESSABLE | LEASE_LOST | IDEMPOTENCY_CONFLICT | STALE_CURSOR => 409,
            _ if self.0.error.code == "admission_backlog_full" => 429,
            _ => 500,
        }
    }

    /// The error without the contract's number.
    pub fn into_error(self) -> ErrorData {
        self.0.error
    }

    /// As `error` of the envelope: the name is `data.code` and, but for the contract's other words, `data.kind`, which tells apart what shares a number; parameters get the contract's prefix.
    pub fn to_json(&self) -> Value {
        let ErrorData {
            code: name,
            message,
            data: details,
        } = &self.0.error;
        let mut data = Map::new();
        data.insert("code".to_owned(), Value::String(name.clone()));
        if details.get("kind").is_none() {
            data.insert("kind".to_owned(), Value::String(name.clone()));
        }
        match details {
            Value::Null => {}
            Value::Object(fields) => {
                for (key, value) in fields {
                    data.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            other => {
                data.insert("data".to_owned(), other.clone());
            }
        }
        if name == "stale_event_cursor" {
            data.insert("error".to_owned(), "event_query_stale".into());
        }
        let prefix = match self.0.code {
            INVALID_PARAMS => "Invalid params: ",
            _ => "",
        };
        object!({ "code": self.0.code, "message": format!("{prefix}{message}"), "data": data })
    }
}

/// The contract's number for one of the runtime's error names.
fn code_of(name: &str) -> i64 {
    match name {
        "invalid_input" | "invalid_params" | "profile_not_found" => INVALID_PARAMS,
        "member_not_found" | "interaction_not_found" | "blob_not_found" => UNKNOWN_IDENTITY,
        "not_addressable" => NOT_ADDRESSABLE,
        "not_leader" | "stale_fence_token" | "member_retired" => LEASE_LOST,
        "idempotency_conflict" => IDEMPOTENCY_CONFLICT,
        "stale_event_cursor" | "replay_unavailable" => STALE_CURSOR,
        _ => OPERATION_FAILED,
    }
}

impl From<ErrorData> for Failure {
    fn from(error: ErrorData) -> Self {
        let code = code_of(&error.code);
        Self(Box::new(Told { code, error }))
    }
}
