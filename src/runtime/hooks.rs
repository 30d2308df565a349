//! What the application plugs into a runtime: hooks and discoveries (MobKit contract, sections 2.2 and 6.1).
//!
//! They are awaited by the call that caused them, never by the writer, and hold no borrow: they may call back into the runtime.

use std::rc::Rc;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use serde_json::Value;

use crate::mob::definition::MobDefinition;
use crate::shim::Host;
use crate::wire::{
    AgentDiscoverySpec, DesiredPeerEdge, EdgeMemberView, ErrorEvent, UnifiedRuntimeReconcileReport,
};

/// Told of failures that have no caller; runs detached and never holds the runtime up.
pub type ErrorHook = Rc<dyn Fn(ErrorEvent) -> LocalBoxFuture<'static, ()>>;
/// Told the names of members after they were spawned: once per `spawn`, once per complete `spawn_many`.
pub type PostSpawnHook = Rc<dyn Fn(Vec<String>) -> LocalBoxFuture<'static, ()>>;
/// Told of each reconciliation, before a partial failure is answered.
pub type PostReconcileHook =
    Rc<dyn Fn(UnifiedRuntimeReconcileReport) -> LocalBoxFuture<'static, ()>>;
/// Asked once by `build`, before the discovery, which is given its value. An error ends the build.
pub type PreSpawnHook =
    Box<dyn FnOnce() -> LocalBoxFuture<'static, Result<PreSpawnContext, String>>>;
/// What the pre-spawn hook answered; null without one.
pub type PreSpawnContext = Value;

/// Who ought to be in the mob.
pub trait Discovery {
    /// The members that ought to be there. An error says why that cannot be said now; nothing is changed then.
    fn discover(
        &self,
        context: PreSpawnContext,
    ) -> LocalBoxFuture<'static, Result<Vec<AgentDiscoverySpec>, String>>;
}

impl<F> Discovery for F
where
    F: Fn(PreSpawnContext) -> LocalBoxFuture<'static, Result<Vec<AgentDiscoverySpec>, String>>,
{
    fn discover(
        &self,
        context: PreSpawnContext,
    ) -> LocalBoxFuture<'static, Result<Vec<AgentDiscoverySpec>, String>> {
        self(context)
    }
}

/// Who ought to be wired to whom.
pub trait EdgeDiscovery {
    /// The edges that ought to be among these members. An error says why that cannot be said now; nothing is changed then.
    fn discover_edges(
        &self,
        members: Vec<EdgeMemberView>,
    ) -> LocalBoxFuture<'static, Result<Vec<DesiredPeerEdge>, String>>;
}

impl<F> EdgeDiscovery for F
where
    F: Fn(Vec<EdgeMemberView>) -> LocalBoxFuture<'static, Result<Vec<DesiredPeerEdge>, String>>,
{
    fn discover_edges(
        &self,
        members: Vec<EdgeMemberView>,
    ) -> LocalBoxFuture<'static, Result<Vec<DesiredPeerEdge>, String>> {
        self(members)
    }
}

/// The wiring rules of a definition as an edge discovery: those whom they wire when they join ought to be wired at any time. So a
/// reconciliation mends what was unwired meanwhile, and wires those whom an edited definition wires now.
pub struct DefinitionEdges(MobDefinition);

impl DefinitionEdges {
    /// The rules of this definition.
    pub fn of(definition: &MobDefinition) -> Self {
        Self(definition.clone())
    }
}

impl EdgeDiscovery for DefinitionEdges {
    fn discover_edges(
        &self,
        members: Vec<EdgeMemberView>,
    ) -> LocalBoxFuture<'static, Result<Vec<DesiredPeerEdge>, String>> {
        let mut edges = Vec::new();
        for (at, a) in members.iter().enumerate() {
            for b in &members[at + 1..] {
                if !self.0.wires(&a.role, &b.role) {
                    continue;
                }
                match DesiredPeerEdge::new(a.agent_identity.as_str(), b.agent_identity.as_str()) {
                    Ok(edge) => edges.push(edge),
                    Err(error) => return ready(Err(error.to_string())).boxed_local(),
                }
            }
        }
        ready(Ok(edges)).boxed_local()
    }
}

/// What a runtime keeps of what was plugged into it.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub post_spawn: Option<PostSpawnHook>,
    pub post_reconcile: Option<PostReconcileHook>,
    pub discovery: Option<Rc<dyn Discovery>>,
    pub edge_discovery: Option<Rc<dyn EdgeDiscovery>>,
}

/// Where failures without a caller go.
#[derive(Clone)]
pub(crate) struct Errors {
    pub hook: Option<ErrorHook>,
    pub host: Host,
}

impl Errors {
    /// Tells the hook, detached.
    pub fn fire(&self, event: ErrorEvent) {
        if let Some(hook) = &self.hook {
            self.host.spawn(hook(event));
        }
    }
}
