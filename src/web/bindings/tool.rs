//! Tools and the tool gate as JavaScript functions.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use js_sys::Function;
use serde_json::Value;
use wasm_bindgen::JsValue;
use web_sys::AbortController;

use super::callback::call;
use super::convert::{self, Objects};
use super::error::Failure;
use super::options::{Place, ToolParts};
use crate::agent::model::ToolDefinition;
use crate::agent::tool::{
    Tool, ToolContext, ToolDecision, ToolError, ToolGate, ToolOutput, ToolRequest,
};
use crate::wire::json::{self, object};

/// A tool whose function takes the arguments and the context as JSON text and an abort signal.
pub(super) struct JsTool {
    definition: ToolDefinition,
    execute: Function,
}

impl JsTool {
    /// The tool of these parts.
    pub fn new(parts: ToolParts, objects: &Objects<'_>) -> Result<Self, Failure> {
        let ToolParts {
            name,
            description,
            input_schema,
            execute,
        } = parts;
        Ok(Self {
            definition: ToolDefinition {
                name,
                description,
                input_schema,
            },
            execute: objects.function(execute)?,
        })
    }
}

impl Tool for JsTool {
    fn definition(&self) -> ToolDefinition {
        self.definition.clone()
    }

    fn call(
        &self,
        args: Value,
        context: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        let execute = self.execute.clone();
        async move {
            let mut abort = AbortOnDrop::new();
            let args = convert::text(&args).into();
            let answer = call(
                &execute,
                &[
                    args,
                    convert::text(&context_json(&context)).into(),
                    abort.signal(),
                ],
            )
            .await;
            abort.done();
            match answer {
                Ok(text) => Ok(ToolOutput::text(text.unwrap_or_default())),
                Err(thrown) if thrown.message.is_empty() => Err(ToolError::new(thrown.name)),
                Err(thrown) => Err(ToolError::new(thrown.message)),
            }
        }
        .boxed_local()
    }
}

pub(super) fn context_json(context: &ToolContext) -> Value {
    object!({ "identity": context.identity, "interactionId": context.interaction_id, "callId": context.call_id })
}

/// A gate whose function takes the request as JSON text and answers `{approve, reason?}` as JSON text.
pub(super) struct JsToolGate(Function);

impl JsToolGate {
    /// The gate of this function.
    pub fn new(place: Place, objects: &Objects<'_>) -> Result<Self, Failure> {
        objects.function(place).map(Self)
    }
}

impl ToolGate for JsToolGate {
    fn decide(&self, request: ToolRequest) -> LocalBoxFuture<'static, ToolDecision> {
        let gate = self.0.clone();
        async move {
            let mut text = context_json(&request.context);
            text["name"] = request.call.name.into();
            text["args"] = request.call.args;
            let deny = |reason| ToolDecision::Deny { reason };
            // What cannot be decided is denied.
            match call(&gate, &[convert::text(&text).into()]).await {
                Err(thrown) => deny(format!("the tool gate failed: {}", thrown.message)),
                Ok(answer) => {
                    let decision = answer.and_then(|text| json::parse(text.as_bytes()).ok());
                    let decision = decision.unwrap_or_default();
                    match (decision["approve"].as_bool(), decision["reason"].as_str()) {
                        (Some(true), _) => ToolDecision::Approve,
                        (Some(false), reason) => deny(reason.unwrap_or_default().to_owned()),
                        (None, _) => deny("the tool gate gave no decision".to_owned()),
                    }
                }
            }
        }
        .boxed_local()
    }
}

/// Aborts its signal when it is dropped before it is done.
pub(super) struct AbortOnDrop(Option<AbortController>);

impl AbortOnDrop {
    pub fn new() -> Self {
        // Every host that runs WebAssembly modules of today has it; one without gets no signal.
        Self(AbortController::new().ok())
    }

    pub fn signal(&self) -> JsValue {
        self.0
            .as_ref()
            .map_or(JsValue::UNDEFINED, |controller| controller.signal().into())
    }

    pub fn done(&mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}
