//! `RuntimeHandle`: a runtime of the npm package.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::{FutureExt, StreamExt};
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;

use super::body::Body;
use super::convert::{self, Objects};
use super::error::Failure;
use super::hooks;
use super::methods;
use super::model::{self, Named};
use super::module;
use super::options::{BuildOptions, EdgeChoice, ModelChoice, StorageChoice};
use super::reader::{Items, Reader};
use super::tool::{JsTool, JsToolGate};
use crate::console::{FetchBody, FetchRequest, fetch};
use crate::mob::definition::MobDefinition;
use crate::runtime::{DefinitionEdges, EventFilter, SubscriptionStart, UnifiedRuntime};
use crate::shim::Host;
use crate::storage::{ClosedReason, MemoryStorage, Storage};
use crate::web::{
    BroadcastSignal, BrowserHost, IndexedDbConfig, IndexedDbStorage, JsStorage, WebFetch, WebLocks,
};
use crate::wire::{ErrorData, InteractionId};

/// A runtime and what its methods need beside it.
pub(super) struct Hosted {
    pub runtime: UnifiedRuntime,
    storage: Rc<dyn Storage>,
    host: Host,
    named: Named,
}

/// Builds a runtime from options as they cross.
pub(super) async fn build(options: &str, objects: &Array) -> Result<Hosted, Failure> {
    let options = convert::value::<BuildOptions>(options)?;
    let objects = Objects(objects);
    let host = BrowserHost::host();
    let definition = MobDefinition::from_value(&options.definition)?;
    let mut builder = UnifiedRuntime::builder()
        .host(host.clone())
        .if_locked(options.if_locked);

    builder = builder.webhooks(Rc::new(WebFetch::new(None)));
    let named = Named::default();
    for entry in options.models {
        named.set(&entry.name, true);
        builder = builder.model(entry.name, model::make(entry.model, &host, &objects)?);
    }
    if let Some(choice) = options.default_model {
        let default = model::make(choice, &host, &objects)?;
        for name in named.others(&definition) {
            builder = builder.model(name, default.clone());
        }
    }
    for parts in options.tools {
        builder = builder.tool(Rc::new(JsTool::new(parts, &objects)?));
    }
    for parts in options.modules {
        builder = builder.module(module::config(parts, &objects)?);
    }
    if let Some(place) = options.zone_offset {
        builder = builder.time_zones(Rc::new(module::JsZones(objects.function(place)?)));
    }
    if let Some(place) = options.tool_gate {
        builder = builder.tool_gate(Rc::new(JsToolGate::new(place, &objects)?));
    }
    if let Some(place) = options.on_error {
        builder = builder.on_error(hooks::error_hook(objects.function(place)?));
    }
    if let Some(place) = options.post_spawn_hook {
        builder = builder.post_spawn_hook(hooks::post_spawn_hook(objects.function(place)?));
    }
    if let Some(place) = options.post_reconcile_hook {
        let hook = hooks::post_reconcile_hook(objects.function(place)?);
        builder = builder.post_reconcile_hook(hook);
    }
    if let Some(place) = options.pre_spawn_hook {
        builder = builder.pre_spawn_hook(hooks::pre_spawn_hook(objects.function(place)?));
    }
    if let Some(place) = options.discovery {
        builder = builder.discovery(hooks::discovery(objects.function(place)?));
    }
    builder = match options.edge_discovery {
        None => builder,
        Some(EdgeChoice::Definition) => {
            builder.edge_discovery(Rc::new(DefinitionEdges::of(&definition)))
        }
        Some(EdgeChoice::Function(place)) => {
            builder.edge_discovery(hooks::edge_discovery(objects.function(place)?))
        }
    };
    if let Some(timeout) = options.drain_timeout {
        builder = builder.drain_timeout(Duration::from_millis(timeout));
    }
    if let Some(parts) = options.event_log {
        builder = builder.event_log(hooks::event_log(&parts, &objects)?);
    }
    if let Some(place) = options.console_log {
        builder = builder.tell_frames(hooks::tell_frames(objects.function(place)?));
    }
    if let Some(parts) = options.persistent_metadata {
        builder = builder.persistent_metadata(hooks::metadata(&parts, &objects)?);
    }
    if let Some(place) = options.on_mob_event {
        let told = objects.function(place)?;
        builder = builder.on_mob_event(move |event| hooks::tell_now(&told, event));
    }
    if let Some(start) = options.start {
        builder = builder.start(match start.as_str() {
            "latest" => SubscriptionStart::Latest,
            "earliest" => SubscriptionStart::Earliest,
            cursor => match cursor.parse() {
                Ok(cursor) => SubscriptionStart::After(cursor),
                Err(_) => return Err(Failure::params("start: it is no cursor")),
            },
        });
    }
    builder = builder
        .reopen(options.reopen)
        .runtime_options(options.runtime_options)
        .console_visibility(options.console_visibility)
        .console_config(options.console_config);
    if let Some(place) = options.wake {
        builder = builder.wake(hooks::wake(objects.function(place)?));
    }
    if let Some(sessions) = options.max_sessions {
        builder = builder.max_sessions(sessions);
    }

    // A database is not made for a mob that cannot be.
    builder = builder.definition(definition);
    builder.check()?;
    let storage: Rc<dyn Storage> = match options.storage {
        StorageChoice::Memory => Rc::new(MemoryStorage::new()),
        StorageChoice::Driver { driver } => Rc::new(JsStorage::new(objects.value(driver)?)),
        StorageChoice::IndexedDb { name } => {
            // One lock and one channel for each storage: who may write, and that there is more to read.
            let shared = format!("mobkit-web/{name}");
            builder = builder.lease(Rc::new(WebLocks::new(&shared)));
            let signal = BroadcastSignal::open(&shared).map_err(|error| {
                Failure::from(ErrorData::new("signal_unavailable", error.to_string()))
            })?;
            builder = builder.signal(Rc::new(signal));
            IndexedDbStorage::open(&host, &shared, IndexedDbConfig::default()).await?
        }
    };
    let built = builder.storage(storage.clone()).build();
    let built = built.boxed_local().await;
    let runtime = built.inspect_err(|_| storage.close())?;
    Ok(Hosted {
        runtime,
        storage,
        host,
        named,
    })
}

/// A runtime of the npm package.
#[wasm_bindgen]
pub struct RuntimeHandle {
    hosted: Rc<Hosted>,
}

impl RuntimeHandle {
    pub(super) fn new(hosted: Rc<Hosted>) -> Self {
        Self { hosted }
    }
}

#[wasm_bindgen]
impl RuntimeHandle {
    /// `leader` or `follower`.
    #[wasm_bindgen(getter)]
    pub fn role(&self) -> String {
        self.hosted.runtime.role().as_str().to_owned()
    }

    /// Calls a method by name; arguments and answer are JSON text.
    pub fn call(&self, method: String, args: String) -> Promise {
        let hosted = self.hosted.clone();
        convert::promise(async move {
            let answer = methods::call(&hosted, &method, &args).await;
            Ok(answer.map_err(Failure::into_js)?.into())
        })
    }

    /// A reader that begins at the moment of the call: `events`, `interaction`, `mobEvents` or `timeline`. The arguments are JSON text.
    pub fn open(&self, kind: &str, args: &str) -> Result<Reader, JsValue> {
        let items = open(&self.hosted.runtime, kind, args).map_err(Failure::into_js)?;
        Ok(Reader::new(items))
    }

    /// Replaces, or takes away, the model of a name; without a name, the default model. Returns the names that it stands for.
    #[wasm_bindgen(js_name = setModel)]
    pub fn set_model(
        &self,
        name: Option<String>,
        model: Option<String>,
        objects: &Array,
    ) -> Result<Vec<String>, JsValue> {
        self.hosted
            .set_model(name, model, objects)
            .map_err(Failure::into_js)
    }

    /// Answers a request of the fetch contract: `{status, headers, body}`, where the body is a `Uint8Array` or a [`Body`].
    pub fn fetch(
        &self,
        method: String,
        url: String,
        headers: &Array,
        body: Option<Vec<u8>>,
    ) -> Promise {
        let hosted = self.hosted.clone();
        let headers = convert::headers_from_js(headers);
        let request = FetchRequest {
            method,
            url,
            headers,
            body: body.unwrap_or_default(),
        };
        convert::promise(async move {
            let response = fetch(&hosted.runtime, request).await;
            let body = match response.body {
                FetchBody::Full(bytes) => convert::bytes_to_js(&bytes),
                FetchBody::Stream(chunks) => Body::new(chunks).into(),
            };
            Ok(convert::response_to_js(
                response.status,
                &response.headers,
                &body,
            ))
        })
    }

    /// Keeps bytes; answers their id.
    #[wasm_bindgen(js_name = putBlob)]
    pub fn put_blob(&self, media_type: &str, bytes: Vec<u8>) -> Promise {
        let kept = self.hosted.runtime.blobs().put_bytes(media_type, bytes);
        convert::promise(async move {
            let kept = kept.await.map_err(Failure::from);
            Ok(kept.map_err(Failure::into_js)?.blob_id.into())
        })
    }

    /// Resolves when the runtime cannot go on, with the reason: `retired` (another context took the mob over), `version_change`
    /// (another context deletes or upgrades the storage), `lost` (the storage ended unasked) or `closed` (it was shut down).
    pub fn ended(&self) -> Promise {
        let hosted = self.hosted.clone();
        convert::promise(async move { Ok(hosted.ended().await.into()) })
    }
}

impl Hosted {
    fn set_model(
        &self,
        name: Option<String>,
        model: Option<String>,
        objects: &Array,
    ) -> Result<Vec<String>, Failure> {
        let model = match model {
            None => None,
            Some(text) => {
                let choice = convert::value::<ModelChoice>(&text)?;
                Some(model::make(choice, &self.host, &Objects(objects))?)
            }
        };
        let names = match name {
            Some(name) => {
                self.named.set(&name, model.is_some());
                vec![name]
            }
            None => self.named.others(&self.runtime.definition()),
        };
        for name in &names {
            self.runtime.set_model(name, model.clone());
        }
        Ok(names)
    }

    async fn ended(&self) -> &'static str {
        let closed = self.storage.closed();
        let reason = match select(closed, Box::pin(self.runtime.retired())).await {
            Either::Left((reason, _)) => Some(reason),
            // A storage that ends retires the runtime too.
            Either::Right(((), closed)) => closed.now_or_never(),
        };
        match reason {
            None => "retired",
            Some(ClosedReason::VersionChange) => "version_change",
            Some(ClosedReason::Lost(_)) => "lost",
            Some(ClosedReason::Requested) => "closed",
        }
    }
}

fn open(runtime: &UnifiedRuntime, kind: &str, args: &str) -> Result<Items, Failure> {
    let mut fields = convert::fields(args)?;
    let identity = fields.take("identity")?;
    let interaction_id: Option<InteractionId> = fields.take("interaction_id")?;
    let after = fields.take("after")?;
    let events = match kind {
        "mobEvents" => {
            let events = runtime.mob_events(after)?;
            return Ok(events.map(|event| Ok(convert::text(&event?))).boxed_local());
        }
        "timeline" => {
            let query = fields.take("query")?;
            let told = runtime.timeline_texts(&query)?;
            return Ok(told.map(|text| Ok(text?.data)).boxed_local());
        }
        "events" => runtime.event_texts(&EventFilter {
            identity,
            interaction_id,
            after,
        })?,
        "interaction" => {
            let id =
                interaction_id.ok_or_else(|| Failure::params("`interaction_id` is missing"))?;
            runtime.interaction_texts(&id, after)?
        }
        unknown => return Err(Failure::params(format!("there is no stream {unknown}"))),
    };
    Ok(events.map(|text| Ok(text?)).boxed_local())
}
