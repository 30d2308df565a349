//! Modules that JavaScript starts, and what it knows of time zones.

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::LocalBoxFuture;
use js_sys::{Function, Promise, Reflect};
use serde_json::{Map, Value};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::callback::call;
use super::convert::{self, Objects};
use super::error::Failure;
use super::options::ModuleParts;
use super::tool::{AbortOnDrop, context_json};
use crate::agent::model::ToolDefinition;
use crate::modules::schedule::TimeZones;
use crate::modules::{CallContext, Module, ModuleConfig, ModuleFactory, TakeEvent};
use crate::storage::DomError;
use crate::web::js_error::dom_error;
use crate::wire::json::{self, Fields, FromJson};
use crate::wire::{ModuleError, ModuleErrorKind};

/// A module of these parts.
pub(super) fn config(parts: ModuleParts, objects: &Objects<'_>) -> Result<ModuleConfig, Failure> {
    let mut config = match parts.start {
        Some(place) => {
            let start = objects.function(place)?;
            ModuleConfig::new(parts.id, Rc::new(JsModuleFactory(start)))
        }
        None => ModuleConfig::built_in(&parts.id).ok_or_else(|| {
            Failure::params(format!(
                "module(): `{}` is none of the built-in modules, which are `router` and `delivery`",
                parts.id
            ))
        })?,
    };
    config.restart = parts.restart.unwrap_or_default();
    let limit = |limit: Option<u64>, default| limit.map_or(default, Duration::from_millis);
    config.start_timeout = limit(parts.start_timeout, config.start_timeout);
    config.call_timeout = limit(parts.call_timeout, config.call_timeout);
    Ok(config)
}

/// A function that takes a function for events and gives a promise of a driver.
struct JsModuleFactory(Function);

/// Takes the JSON of an event; gives why it is none.
type Emit = Closure<dyn Fn(String) -> Option<String>>;

impl ModuleFactory for JsModuleFactory {
    fn start(
        &self,
        events: TakeEvent,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Module>, ModuleError>> {
        let start = self.0.clone();
        async move {
            let emit: Emit = Closure::new(move |event: String| {
                let told = json::parse(event.as_bytes()).map_err(|error| error.to_string());
                let told = told.and_then(|event| events(event).map_err(ModuleError::into_message));
                told.err()
            });
            let begun = start.call1(&JsValue::UNDEFINED, emit.as_ref().unchecked_ref());
            let (give, given) = oneshot::channel();
            spawn_local(async move {
                let driver = settled(begun).await;
                // A start that took too long is given up here, and not in JavaScript: what it has made at last is ended.
                if let Err(Ok(driver)) = give.send(driver)
                    && let Ok(stop) = function(&driver, "stop")
                {
                    let _ = call(&stop, &[]).await;
                }
            });
            let lost = || DomError::new("Error", "the start was given up");
            let driver = given.await.unwrap_or_else(|_| Err(lost()));
            let driver = driver.map_err(failed)?;
            let module = JsModule {
                tools: function(&driver, "tools")?,
                call: function(&driver, "call")?,
                stop: function(&driver, "stop")?,
                ended: Reflect::get(&driver, &"ended".into()).unwrap_or_default(),
                _emit: emit,
            };
            let module: Rc<dyn Module> = Rc::new(module);
            Ok(module)
        }
        .boxed_local()
    }
}

async fn settled(begun: Result<JsValue, JsValue>) -> Result<JsValue, DomError> {
    let begun = begun.map_err(|thrown| dom_error(&thrown))?;
    let settled = JsFuture::from(Promise::resolve(&begun)).await;
    settled.map_err(|thrown| dom_error(&thrown))
}

fn function(driver: &JsValue, name: &str) -> Result<Function, ModuleError> {
    let found = Reflect::get(driver, &name.into()).ok();
    let found = found.and_then(|found| found.dyn_into().ok());
    found.ok_or_else(|| {
        let message = format!("the module's driver has no function `{name}`");
        ModuleError::new(ModuleErrorKind::ConnectionFailed, message)
    })
}

/// What JavaScript threw, by its name.
fn failed(thrown: DomError) -> ModuleError {
    let kind = match thrown.name.as_str() {
        "ConnectionFailed" => ModuleErrorKind::ConnectionFailed,
        "ToolListFailed" => ModuleErrorKind::ToolListFailed,
        "ToolNotFound" => ModuleErrorKind::ToolNotFound,
        "CloseFailed" => ModuleErrorKind::CloseFailed,
        "InvalidToolPayload" => ModuleErrorKind::InvalidToolPayload,
        "ModuleCrashed" => ModuleErrorKind::ModuleCrashed,
        _ => ModuleErrorKind::ToolCallFailed,
    };
    let message = match thrown.message.is_empty() {
        true => thrown.name,
        false => thrown.message,
    };
    ModuleError::new(kind, message)
}

/// A tool as a driver lists it.
struct Listed(ToolDefinition);

impl FromJson for Listed {
    fn from_json(value: Value) -> Result<Self, serde_json::Error> {
        let mut fields = Fields::of(value)?;
        let (mut name, mut description) = (String::new(), String::new());
        let mut input_schema = Value::Null;
        fields.put("name", false, &mut name);
        fields.put("description", true, &mut description);
        fields.put("inputSchema", false, &mut input_schema);
        fields.end()?;
        Ok(Self(ToolDefinition {
            name,
            description,
            input_schema,
        }))
    }
}

struct JsModule {
    tools: Function,
    call: Function,
    stop: Function,
    ended: JsValue,
    _emit: Emit,
}

/// What a function of the driver gave, as JSON.
fn parsed(
    answer: Result<Option<String>, DomError>,
    kind: ModuleErrorKind,
) -> Result<Value, ModuleError> {
    let text = answer.map_err(failed)?.unwrap_or_else(|| "null".to_owned());
    json::parse(text.as_bytes()).map_err(|error| ModuleError::new(kind, error.to_string()))
}

impl Module for JsModule {
    fn tools(&self) -> LocalBoxFuture<'static, Result<Vec<ToolDefinition>, ModuleError>> {
        let tools = self.tools.clone();
        async move {
            let listed = parsed(call(&tools, &[]).await, ModuleErrorKind::ToolListFailed)?;
            let listed = Vec::<Listed>::from_json(listed).map_err(|error| {
                ModuleError::new(ModuleErrorKind::ToolListFailed, error.to_string())
            })?;
            Ok(listed.into_iter().map(|Listed(tool)| tool).collect())
        }
        .boxed_local()
    }

    fn call(
        &self,
        tool: &str,
        args: Value,
        context: CallContext,
    ) -> LocalBoxFuture<'static, Result<Value, ModuleError>> {
        let (function, tool) = (self.call.clone(), tool.to_owned());
        async move {
            let mut abort = AbortOnDrop::new();
            let context = convert::text(&call_json(&context));
            let args = [
                tool.into(),
                convert::text(&args).into(),
                context.into(),
                abort.signal(),
            ];
            let answer = call(&function, &args).await;
            abort.done();
            parsed(answer, ModuleErrorKind::InvalidToolPayload)
        }
        .boxed_local()
    }

    fn stop(&self) -> LocalBoxFuture<'static, Result<(), ModuleError>> {
        let stop = self.stop.clone();
        async move {
            let stopped = call(&stop, &[]).await;
            stopped.map(|_| ()).map_err(|thrown| {
                ModuleError::new(ModuleErrorKind::CloseFailed, failed(thrown).into_message())
            })
        }
        .boxed_local()
    }

    fn ended(&self) -> LocalBoxFuture<'static, String> {
        let ended = self.ended.clone();
        async move {
            if !ended.is_object() {
                return futures::future::pending().await;
            }
            let reason = settled(Ok(ended)).await;
            let reason = reason.map(|reason| reason.as_string());
            match reason {
                Ok(reason) => reason.unwrap_or_else(|| "it has ended".to_owned()),
                Err(error) => error.message,
            }
        }
        .boxed_local()
    }
}

fn call_json(context: &CallContext) -> Value {
    let mut fields = match &context.caller {
        Some(caller) => context_json(caller),
        None => Value::Object(Map::new()),
    };
    if let Some(id) = &context.delivery_id {
        fields["deliveryId"] = id.as_str().into();
    }
    fields
}

/// A function that takes the name of a zone and an instant and gives milliseconds, or undefined for one that it does not know.
pub(super) struct JsZones(pub Function);

impl TimeZones for JsZones {
    fn is_known(&self, zone: &str) -> bool {
        self.offset_ms(zone, 0).is_some()
    }

    fn offset_ms(&self, zone: &str, utc_ms: i64) -> Option<i64> {
        let at = JsValue::from(utc_ms as f64);
        let offset = self.0.call2(&JsValue::UNDEFINED, &zone.into(), &at).ok()?;
        Some(offset.as_f64()? as i64)
    }
}
