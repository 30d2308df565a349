//! Hooks and discoveries as JavaScript functions that take JSON text and give text.

use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use js_sys::Function;
use serde_json::Value;

use super::callback::call;
use super::convert;
use crate::runtime::{
    Discovery, EdgeDiscovery, ErrorHook, PostReconcileHook, PostSpawnHook, PreSpawnContext,
    PreSpawnHook,
};
use crate::wire::json::{self, FromJson};
use crate::wire::{
    AgentDiscoverySpec, DesiredPeerEdge, EdgeMemberView, ErrorEvent, UnifiedRuntimeReconcileReport,
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
