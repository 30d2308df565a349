//! HTTP over `fetch`, in a page, in a worker and on an edge runtime.

use futures::future::LocalBoxFuture;
use futures::stream::{LocalBoxStream, empty, unfold};
use futures::{FutureExt, StreamExt};
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, AbortSignal, ReadableStreamDefaultReader};

use super::js_error::dom_error;
use crate::agent::http::{HttpClient, HttpError, HttpRequest, HttpResponse};
use crate::agent::reachability::{PageContext, network_hint};

/// An [`HttpClient`] over the global `fetch`, or over a function of the same shape that the page gives: a proxy, a test.
#[derive(Clone, Debug, Default)]
pub struct WebFetch {
    custom: Option<Function>,
}

impl WebFetch {
    /// A client over `custom`, called with the address and the options (`method`, `headers`, `body`, `signal`) and expected to
    /// answer a `Response` or a promise of one; over the global `fetch` when there is none.
    pub fn new(custom: Option<Function>) -> Self {
        Self { custom }
    }
}

impl HttpClient for WebFetch {
    fn send(
        &self,
        request: HttpRequest,
    ) -> LocalBoxFuture<'static, Result<HttpResponse, HttpError>> {
        send(self.custom.clone(), request).boxed_local()
    }
}

async fn send(custom: Option<Function>, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let fail = |thrown: JsValue| failure(&thrown, &request.url);
    let abort = AbortOnDrop::new().map_err(fail)?;
    let options = options(&request, &abort.signal()).map_err(fail)?;
    let url = JsValue::from_str(&request.url);
    let global = js_sys::global();
    let answer = match custom {
        Some(custom) => custom.call2(&JsValue::UNDEFINED, &url, &options),
        None => Reflect::get(&global, &"fetch".into())
            .and_then(|fetch| fetch.dyn_into::<Function>())
            .and_then(|fetch| fetch.call2(&global, &url, &options)),
    };
    let response = settle(&answer.map_err(fail)?).await.map_err(fail)?;
    read_response(&response, abort, &request.url).map_err(fail)
}

/// What `fetch` is told besides the address.
fn options(request: &HttpRequest, signal: &AbortSignal) -> Result<Object, JsValue> {
    let pair = |(name, value): &(String, String)| Array::of2(&name.into(), &value.into());
    let headers: Array = request.headers.iter().map(pair).collect();
    let options = Object::new();
    set(&options, "method", &request.method.as_str().into())?;
    set(&options, "headers", &headers)?;
    set(&options, "signal", signal)?;
    if !request.body.is_empty() {
        set(&options, "body", &Uint8Array::from(request.body.as_slice()))?;
    }
    Ok(options)
}

fn read_response(
    response: &JsValue,
    abort: AbortOnDrop,
    url: &str,
) -> Result<HttpResponse, JsValue> {
    // A value without properties has no status either.
    let status = get(response, "status")
        .ok()
        .and_then(|status| status.as_f64());
    let Some(status) = status else {
        return Err(
            js_sys::TypeError::new("fetch did not answer a Response: it has no status").into(),
        );
    };
    // `fetch` gives statuses from 0 to 599.
    let status = status as u16;
    let mut headers = Vec::new();
    // Header fields are iterable as pairs, whether they are a `Headers` object, a `Map` or an array.
    for field in js_sys::try_iter(&get(response, "headers")?)?
        .into_iter()
        .flatten()
    {
        let field: Array = field?.dyn_into()?;
        if let (Some(name), Some(value)) = (field.get(0).as_string(), field.get(1).as_string()) {
            headers.push((name, value));
        }
    }
    let body = get(response, "body")?;
    let body = if body.is_null() || body.is_undefined() {
        empty().boxed_local()
    } else {
        let reader: ReadableStreamDefaultReader = body
            .unchecked_into::<web_sys::ReadableStream>()
            .get_reader()
            .unchecked_into();
        read_body(Body {
            reader,
            abort,
            url: url.to_owned(),
        })
    };
    Ok(HttpResponse {
        status,
        headers,
        body,
    })
}

/// A body that is being read. Dropped early it tells the server, and whoever made the stream, to stop.
struct Body {
    reader: ReadableStreamDefaultReader,
    abort: AbortOnDrop,
    url: String,
}

fn read_body(body: Body) -> LocalBoxStream<'static, Result<Vec<u8>, HttpError>> {
    unfold(Some(body), |body| async move {
        let mut body = body?;
        match next_piece(&body.reader).await {
            Ok(Some(piece)) => Some((Ok(piece), Some(body))),
            Ok(None) => {
                body.abort.disarm();
                None
            }
            Err(thrown) => {
                body.abort.disarm();
                Some((Err(failure(&thrown, &body.url)), None))
            }
        }
    })
    .boxed_local()
}

async fn next_piece(reader: &ReadableStreamDefaultReader) -> Result<Option<Vec<u8>>, JsValue> {
    let read = settle(&reader.read()).await?;
    if get(&read, "done")?.is_truthy() {
        return Ok(None);
    }
    let piece = get(&read, "value")?;
    match piece.dyn_ref::<Uint8Array>() {
        Some(bytes) => Ok(Some(bytes.to_vec())),
        None => Err(
            js_sys::TypeError::new("the response's body gave something that is not bytes").into(),
        ),
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.abort.is_armed() {
            // A custom `fetch` need not heed the signal; its stream is told as well. Nobody is left to hear of a failure.
            let cancelled = self.reader.cancel();
            spawn_local(async move { drop(JsFuture::from(cancelled).await) });
        }
    }
}

/// An abort controller that fires when it is dropped before the end.
pub(super) struct AbortOnDrop(Option<AbortController>, AbortSignal);

impl AbortOnDrop {
    pub(super) fn new() -> Result<Self, JsValue> {
        let controller = AbortController::new()?;
        let signal = controller.signal();
        Ok(Self(Some(controller), signal))
    }

    pub(super) fn signal(&self) -> AbortSignal {
        self.1.clone()
    }

    /// The end was reached: there is nothing left to abort.
    pub(super) fn disarm(&mut self) {
        self.0 = None;
    }

    pub(super) fn is_armed(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(controller) = self.0.take() {
            controller.abort();
        }
    }
}

/// Awaits whatever can be awaited; anything else is its own value.
pub(super) async fn settle(value: &JsValue) -> Result<JsValue, JsValue> {
    JsFuture::from(Promise::resolve(value)).await
}

pub(super) fn get(object: &JsValue, name: &str) -> Result<JsValue, JsValue> {
    Reflect::get(object, &name.into())
}

pub(super) fn set(object: &Object, name: &str, value: &JsValue) -> Result<(), JsValue> {
    Reflect::set(object, &name.into(), value).map(drop)
}

fn failure(thrown: &JsValue, url: &str) -> HttpError {
    let error = dom_error(thrown);
    // `fetch` hides every network failure behind a TypeError; other errors say themselves what happened.
    let hint = (error.name == "TypeError")
        .then(page)
        .flatten()
        .and_then(|page| network_hint(&page, url));
    HttpError {
        name: error.name,
        message: error.message,
        hint,
    }
}

/// Where this runs; nothing outside of a browser.
fn page() -> Option<PageContext> {
    let global = js_sys::global();
    let origin = get(&global, "location")
        .ok()
        .filter(JsValue::is_object)
        .and_then(|location| get(&location, "origin").ok())?;
    let is_secure_context = get(&global, "isSecureContext")
        .ok()
        .is_some_and(|secure| secure.is_truthy());
    Some(PageContext {
        origin: origin.as_string()?,
        is_secure_context,
    })
}
