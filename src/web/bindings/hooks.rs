//! Hooks and discoveries as JavaScript functions that take JSON text and give text.

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use js_sys::Function;
use serde_json::Value;
use wasm_bindgen::JsValue;

use super::callback::call;
use super::convert::{self, Objects};
use super::error::Failure;
use super::options::{EventLogParts, MetadataParts};
use crate::runtime::{
    Discovery, EdgeDiscovery, ErrorHook, EventLogConfig, EventLogStore, PersistentMetadataStore,
    PostReconcileHook, PostSpawnHook, PreSpawnContext, PreSpawnHook,
};
use crate::shim::Wake;
use crate::wire::json::{self, FromJson};
use crate::wire::{
    AgentDiscoverySpec, Cursor, DesiredPeerEdge, EdgeMemberView, ErrorEvent, MobId,
    MobStructuralEventEnvelope, PersistedEvent, UnifiedRuntimeReconcileReport,
};

/// Tells a function, which the package has made such that it reports what the user's throws and throws nothing itself.
fn tell(function: &Function, text: String) -> LocalBoxFuture<'static, ()> {
    let function = function.clone();
    async move {
        let _ = call(&function, &[text.into()]).await;
    }
    .boxed_local()
}

/// Asks a function; an error is what it threw.
fn ask(function: &Function, text: String) -> LocalBoxFuture<'static, Result<Value, String>> {
    let function = function.clone();
    async move {
        let answer = call(&function, &[text.into()]).await;
        let answer = answer.map_err(|thrown| thrown.message)?;
        let answer = answer.unwrap_or_else(|| "null".to_owned());
        json::parse(answer.as_bytes()).map_err(|error| error.to_string())
    }
    .boxed_local()
}

/// Takes the time, or undefined, and whether somebody is at work.
pub(super) fn wake(function: Function) -> Rc<dyn Wake> {
    struct JsWake(Function);
    impl Wake for JsWake {
        fn arm(&self, at: Option<u64>, works: bool) {
            let at = at.map_or(JsValue::UNDEFINED, |at| JsValue::from(at as f64));
            // The package's function reports what the host's throws.
            let _ = self.0.call2(&JsValue::UNDEFINED, &at, &works.into());
        }
    }
    Rc::new(JsWake(function))
}

/// Takes an error event.
pub(super) fn error_hook(function: Function) -> ErrorHook {
    Rc::new(move |event: ErrorEvent| tell(&function, convert::text(&event)))
}

/// Takes the identities.
pub(super) fn post_spawn_hook(function: Function) -> PostSpawnHook {
    Rc::new(move |identities: Vec<String>| tell(&function, convert::text(&identities)))
}

/// Takes the report.
pub(super) fn post_reconcile_hook(function: Function) -> PostReconcileHook {
    Rc::new(move |report: UnifiedRuntimeReconcileReport| tell(&function, convert::text(&report)))
}

/// Gives a value for the discovery.
pub(super) fn pre_spawn_hook(function: Function) -> PreSpawnHook {
    Box::new(move || ask(&function, "null".to_owned()))
}

/// Takes the pre-spawn hook's value, gives the members.
pub(super) fn discovery(function: Function) -> Rc<dyn Discovery> {
    Rc::new(move |context: PreSpawnContext| {
        let found = ask(&function, convert::text(&context));
        async move {
            Vec::<AgentDiscoverySpec>::from_json(found.await?).map_err(|error| error.to_string())
        }
        .boxed_local()
    })
}

/// Takes the members, gives the edges.
pub(super) fn edge_discovery(function: Function) -> Rc<dyn EdgeDiscovery> {
    Rc::new(move |members: Vec<EdgeMemberView>| {
        let found = ask(&function, convert::text(&members));
        async move {
            Vec::<DesiredPeerEdge>::from_json(found.await?).map_err(|error| error.to_string())
        }
        .boxed_local()
    })
}

/// Tells a function at once; it reports what it throws.
pub(super) fn tell_now(function: &Function, event: &MobStructuralEventEnvelope) {
    let _ = function.call1(&JsValue::UNDEFINED, &convert::text(event).into());
}

/// A store whose function takes JSON text.
struct JsEventLog(Function);

/// Gives a function what it is to keep.
fn taken(function: &Function, text: String) -> LocalBoxFuture<'static, Result<(), String>> {
    let taken = ask(function, text);
    taken.map(|taken| taken.map(|_| ())).boxed_local()
}

/// Who is told of the timeline's frames.
pub(super) fn tell_frames(
    function: Function,
) -> impl Fn(String) -> LocalBoxFuture<'static, Result<(), String>> {
    move |text| taken(&function, text)
}

impl EventLogStore for JsEventLog {
    fn append_batch(
        &self,
        events: Vec<PersistedEvent>,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        self.append_text(convert::text(&events))
    }

    fn append_text(&self, events: String) -> LocalBoxFuture<'static, Result<(), String>> {
        taken(&self.0, events)
    }
}

/// A store for agent events.
pub(super) fn event_log(
    parts: &EventLogParts,
    objects: &Objects<'_>,
) -> Result<EventLogConfig, Failure> {
    let store = JsEventLog(objects.function(parts.append)?);
    let mut config = EventLogConfig::new(Rc::new(store));
    if let Some(events) = parts.batch_size {
        config.batch_size = events;
    }
    if let Some(interval) = parts.flush_interval {
        config.flush_interval = Duration::from_millis(interval);
    }
    Ok(config)
}

/// A store whose functions take and give JSON text.
struct JsMetadata {
    get: Function,
    set: Function,
}

impl PersistentMetadataStore for JsMetadata {
    fn get_subscription_cursor(
        &self,
        mob_id: &MobId,
    ) -> LocalBoxFuture<'static, Result<Option<Cursor>, String>> {
        let known = ask(&self.get, convert::text(mob_id));
        known
            .map(|known| FromJson::from_json(known?).map_err(|error| error.to_string()))
            .boxed_local()
    }

    fn set_subscription_cursor(
        &self,
        mob_id: &MobId,
        cursor: Cursor,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let set = ask(&self.set, convert::text(&(mob_id, cursor)));
        set.map(|set| set.map(|_| ())).boxed_local()
    }
}

/// A store for the cursor of the structural subscription.
pub(super) fn metadata(
    parts: &MetadataParts,
    objects: &Objects<'_>,
) -> Result<Rc<dyn PersistentMetadataStore>, Failure> {
    Ok(Rc::new(JsMetadata {
        get: objects.function(parts.get)?,
        set: objects.function(parts.set)?,
    }))
}
