//! Every conversion between JavaScript's values and ours.

use futures::future::LocalBoxFuture;
use js_sys::{Array, Function, JSON, Object, Promise, Reflect, Uint8Array};
use serde::Serialize;
use serde_json::{Map, Value};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::error::Failure;
use crate::wire::json::{self, Fields, FromJson};

/// A promise of what a future yields. The future is boxed, so that what makes promises is compiled once.
pub(super) fn promise(future: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    let future: LocalBoxFuture<'static, _> = Box::pin(future);
    future_to_promise(future)
}

/// What came over as JSON text.
pub(super) fn value<T: FromJson>(text: &str) -> Result<T, Failure> {
    Ok(T::from_json(json::parse(text.as_bytes())?)?)
}

/// The fields of an object that came over as JSON text.
pub(super) fn fields(text: &str) -> Result<Fields, Failure> {
    Ok(Fields::of(value(text)?)?)
}

/// An object that came over as JSON text.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    match value(text)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Failure::params("params must be a JSON object")),
    }
}

/// What goes over as JSON text.
pub(super) fn text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("the types of the wire have string keys and no failing serialiser")
}

/// A JSON value as JavaScript has it.
pub(super) fn json_to_js(value: &Value) -> JsValue {
    JSON::parse(&text(value)).expect("what serde_json writes is JSON")
}

/// The functions and objects that cross beside a JSON text, which names them by their place.
pub(super) struct Objects<'a>(pub &'a Array);

impl Objects<'_> {
    /// Any value.
    pub fn value(&self, place: u32) -> Result<JsValue, Failure> {
        if place < self.0.length() {
            return Ok(self.0.get(place));
        }
        Err(Failure::params(format!("there is no object {place}")))
    }

    /// A function.
    pub fn function(&self, place: u32) -> Result<Function, Failure> {
        self.value(place)?
            .dyn_into()
            .map_err(|_| Failure::params(format!("object {place} is not a function")))
    }
}

/// `[[name, value], …]`.
pub(super) fn headers_from_js(pairs: &Array) -> Vec<(String, String)> {
    pairs
        .iter()
        .filter_map(|pair| {
            let pair: Array = pair.dyn_into().ok()?;
            Some((pair.get(0).as_string()?, pair.get(1).as_string()?))
        })
        .collect()
}

/// `{status, headers: [[name, value], …], body}`.
pub(super) fn response_to_js(status: u16, headers: &[(&str, String)], body: &JsValue) -> JsValue {
    let pairs: Array = headers
        .iter()
        .map(|(name, value)| Array::of2(&(*name).into(), &value.into()))
        .collect();
    let response = Object::new();
    for (name, value) in [
        ("status", &status.into()),
        ("headers", pairs.as_ref()),
        ("body", body),
    ] {
        Reflect::set(&response, &name.into(), value).expect("a fresh object takes new properties");
    }
    response.into()
}

/// Bytes of their own, outside of the wasm's memory.
pub(super) fn bytes_to_js(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}
