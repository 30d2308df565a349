//! A model written in JavaScript: an object with an async generator of deltas.

use futures::StreamExt;
use futures::stream::unfold;
use js_sys::{Function, JSON, Object, Reflect, Symbol};
use serde_json::Value;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::http::{AbortOnDrop, get, set, settle};
use super::js_error::dom_error;
use crate::agent::model::{
    LanguageModel, ModelDelta, ModelError, ModelInfo, ModelRequest, ModelStream,
};
use crate::agent::openai::failure;
use crate::wire::{StopReason, json};

/// A JS object as a [`LanguageModel`].
///
/// Its method `stream(request, { signal })` answers an (async) iterable of deltas, or a promise of one: pieces as
/// [`ModelDelta::from_json`] reads them. `request` is the JSON form of a [`ModelRequest`]. When the answer is no longer wanted
/// the signal is aborted and the iterator's `return` is called. An answer that ends without a `stop` delta is complete.
/// `provider` (default `js`) and `contextTokens` are read once.
pub struct JsModel {
    model: JsValue,
    info: ModelInfo,
}

impl JsModel {
    /// Wraps `model`. Nothing of it is called before it is asked; an object without `stream` fails then.
    pub fn new(model: JsValue) -> Self {
        // A value without properties is like one that has none of these.
        let provider = get(&model, "provider")
            .ok()
            .and_then(|provider| provider.as_string());
        let context = get(&model, "contextTokens")
            .ok()
            .and_then(|tokens| tokens.as_f64());
        let context_tokens = context
            .filter(|tokens| *tokens >= 1.0)
            .map(|tokens| tokens as u32);
        let info = ModelInfo {
            provider: provider.unwrap_or_else(|| "js".into()),
            is_demo: false,
            context_tokens,
        };
        Self { model, info }
    }
}

impl std::fmt::Debug for JsModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsModel")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl LanguageModel for JsModel {
    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        // JavaScript runs only when the stream is polled, so never under a borrow of the caller's.
        unfold(
            State::Asking(self.model.clone(), request),
            |state| async move {
                match state {
                    State::Asking(model, request) => match Answer::begin(&model, &request).await {
                        Ok(answer) => answer.next().await,
                        Err(error) => Some((Err(error), State::Ended)),
                    },
                    State::Reading(answer) => answer.next().await,
                    State::Ended => None,
                }
            },
        )
        .boxed_local()
    }
}

enum State {
    Asking(JsValue, ModelRequest),
    Reading(Answer),
    Ended,
}

/// An answer on its way. Dropped early it aborts.
struct Answer {
    iterator: JsValue,
    next: Function,
    abort: AbortOnDrop,
    has_calls: bool,
    has_stopped: bool,
}

impl Answer {
    async fn begin(model: &JsValue, request: &ModelRequest) -> Result<Self, ModelError> {
        let text =
            serde_json::to_string(request).expect("a request has string keys only, so it is JSON");
        Self::call(model, &text)
            .await
            .map_err(|thrown| threw(&thrown))
    }

    async fn call(model: &JsValue, request: &str) -> Result<Self, JsValue> {
        let stream = function(
            model,
            "stream",
            "a model has a method `stream(request, { signal })`",
        )?;
        let abort = AbortOnDrop::new()?;
        let options = Object::new();
        set(&options, "signal", &abort.signal())?;
        let iterable = settle(&stream.call2(model, &JSON::parse(request)?, &options)?).await?;
        let make = [Symbol::async_iterator(), Symbol::iterator()]
            .into_iter()
            .find_map(|symbol| {
                let make = Reflect::get(&iterable, &symbol).ok()?;
                make.dyn_into::<Function>().ok()
            });
        let make = make.ok_or_else(|| {
            js_sys::TypeError::new(
                "`stream` did not answer an async iterable; is it an async generator?",
            )
        })?;
        let iterator = make.call0(&iterable)?;
        let next = function(&iterator, "next", "an iterator has a method `next`")?;
        Ok(Self {
            iterator,
            next,
            abort,
            has_calls: false,
            has_stopped: false,
        })
    }

    async fn next(mut self) -> Option<(Result<ModelDelta, ModelError>, State)> {
        let piece = match self.advance().await {
            Ok(Some(value)) => read(&value),
            Ok(None) => {
                self.abort.disarm();
                if self.has_stopped {
                    return None;
                }
                let stop = if self.has_calls {
                    StopReason::ToolUse
                } else {
                    StopReason::EndTurn
                };
                return Some((Ok(ModelDelta::Stop(stop)), State::Ended));
            }
            Err(thrown) => {
                // A generator that threw has ended.
                self.abort.disarm();
                return Some((Err(threw(&thrown)), State::Ended));
            }
        };
        match piece {
            Ok(delta) => {
                self.has_calls |= matches!(delta, ModelDelta::ToolCall { .. });
                self.has_stopped |= matches!(delta, ModelDelta::Stop(_));
                Some((Ok(delta), State::Reading(self)))
            }
            Err(error) => Some((Err(error), State::Ended)),
        }
    }

    async fn advance(&self) -> Result<Option<JsValue>, JsValue> {
        let step = settle(&self.next.call0(&self.iterator)?).await?;
        if !step.is_object() {
            return Err(
                js_sys::TypeError::new("the iterator's `next` did not answer an object").into(),
            );
        }
        if get(&step, "done")?.is_truthy() {
            return Ok(None);
        }
        // The pieces of an iterable that is not async may be promises.
        settle(&get(&step, "value")?).await.map(Some)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.abort.is_armed() {
            return;
        }
        let iterator = self.iterator.clone();
        // After this drop, which aborts, and outside of whatever is being dropped: the model may run any code. Nobody is left
        // to hear of a failure.
        spawn_local(async move {
            if let Ok(end) = function(&iterator, "return", "")
                && let Ok(ended) = end.call0(&iterator)
            {
                drop(JsFuture::from(js_sys::Promise::resolve(&ended)).await);
            }
        });
    }
}

fn function(object: &JsValue, name: &str, otherwise: &str) -> Result<Function, JsValue> {
    let value = get(object, name).unwrap_or(JsValue::UNDEFINED);
    value
        .dyn_into()
        .map_err(|_| js_sys::TypeError::new(otherwise).into())
}

fn read(value: &JsValue) -> Result<ModelDelta, ModelError> {
    let not_json = |reason: String| ModelError::BadDelta {
        field: "delta".into(),
        reason,
    };
    // Through JSON text: it is what the engine does fastest, and it cannot run into cycles.
    let text = JSON::stringify(value).map_err(|thrown| not_json(dom_error(&thrown).message))?;
    // Of undefined and of functions there is no JSON; there is none of a null piece either.
    let value: Value = text
        .as_string()
        .map_or(Ok(Value::Null), |text| json::parse(text.as_bytes()))
        .map_err(|error| not_json(error.to_string()))?;
    ModelDelta::from_json(&value)
}

fn threw(thrown: &JsValue) -> ModelError {
    let error = dom_error(thrown);
    let property = |name: &str| {
        if thrown.is_object() {
            get(thrown, name).unwrap_or(JsValue::UNDEFINED)
        } else {
            JsValue::UNDEFINED
        }
    };
    let status = property("status")
        .as_f64()
        .filter(|status| (400.0..600.0).contains(status))
        .map(|status| status as u16);
    let retryable = match property("retryable").as_bool() {
        Some(retryable) => retryable,
        None => status
            .is_some_and(|status| failure::from_status(status, None, &error.message).retryable()),
    };
    ModelError::Js {
        name: error.name,
        message: error.message,
        retryable,
    }
}
