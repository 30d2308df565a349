//! Errors on their way to JavaScript.

use js_sys::{Error, Reflect};
use wasm_bindgen::prelude::*;

use super::convert;
use crate::agent::model::ModelError;
use crate::mob::MobError;
use crate::mob::definition::DefinitionError;
use crate::runtime::UnifiedRuntimeBuilderError;
use crate::storage::StorageError;
use crate::wire::ErrorData;

/// Any error of the rooms below, as data. A pointer, so that what may fail answers in a few words.
pub(super) struct Failure(Box<ErrorData>);

impl Failure {
    /// Arguments that are not what the method takes.
    pub fn params(message: impl Into<String>) -> Self {
        ErrorData::new("invalid_params", message).into()
    }

    /// An `Error` with `name`, `code`, `message` and `data`.
    pub fn into_js(self) -> JsValue {
        let ErrorData {
            code,
            message,
            data,
        } = *self.0;
        let error = Error::new(&message);
        error.set_name("MobkitError");
        let set = |name: &str, value: &JsValue| {
            Reflect::set(&error, &name.into(), value)
                .expect("a fresh Error object takes new properties");
        };
        set("code", &code.into());
        set("data", &convert::json_to_js(&data));
        error.into()
    }
}

impl From<ErrorData> for Failure {
    fn from(data: ErrorData) -> Self {
        Self(Box::new(data))
    }
}

impl From<MobError> for Failure {
    fn from(error: MobError) -> Self {
        error.data().into()
    }
}

impl From<UnifiedRuntimeBuilderError> for Failure {
    fn from(error: UnifiedRuntimeBuilderError) -> Self {
        error.data().into()
    }
}

impl From<DefinitionError> for Failure {
    fn from(error: DefinitionError) -> Self {
        error.data().into()
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let data = ErrorData::new(error.code(), error.to_string());
        data.with_data(error.dom_json()).into()
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        ErrorData::new(error.code(), error.to_string()).into()
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::params(format!("invalid params: {error}"))
    }
}
