//! Routing, kept: routes are rows, and what was answered is trusted later (MobKit contract, section 15.1).

use std::rc::Rc;

use futures::FutureExt;
use futures::future::ready;

use crate::mob::{Core, MobError, Pending};
use crate::modules::port::CallContext;
use crate::modules::routing::{
    self, DELIVERY, ROUTER, RoutingResolution, RoutingResolveRequest, RuntimeRoute,
};
use crate::modules::state::{ROUTE, bound, check_part, numbered};
use crate::modules::{Inner, Modules, events};
use crate::storage::{Batch, Durability};
use crate::wire::json::{object, value_of};
use crate::wire::{
    AgentIdentity, ModuleError, ModuleErrorKind, UnifiedRuntimeReconcileRoutingReport,
};

/// Answers that are trusted; the oldest is forgotten for a newer one.
const MAX_RESOLUTIONS: usize = 512;
/// Routes that there may be.
const MAX_ROUTES: usize = 16_384;
/// How the keys of the routes begin that a reconciliation makes.
const MEMBER_ROUTES: &str = "mob.member.";
/// The sink of a member's mailbox.
pub(super) const MAILBOX: &str = "mob_member";

impl Modules {
    /// Where something for somebody goes. The answer is trusted by [`send_delivery`](Self::send_delivery) until 512 newer ones
    /// were given.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `RouterModuleNotLoaded`, `DeliveryModuleNotLoaded`, `InvalidRecipient`, `InvalidChannel`,
    /// `RetryMaxExceedsCap`, `InvalidRateLimitPerMinute`, or what the module `router` failed with; storage's.
    pub fn resolve_routing(&self, request: RoutingResolveRequest) -> Pending<RoutingResolution> {
        self.0.resolve(request)
    }

    /// The routes, in the order of their keys.
    pub fn routes(&self) -> Vec<Rc<RuntimeRoute>> {
        self.0.state.routes.all()
    }

    /// Adds a route, over the one of its key.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `EmptyRouteKey`, `EmptyRecipient`, `InvalidChannel`, `EmptySink`, `EmptyTargetModule`,
    /// `RetryMaxExceedsCap`, `InvalidRateLimitPerMinute`, `TooManyRoutes`; [`MobError::InvalidInput`] for an overlong key; storage's.
    pub fn add_route(&self, route: RuntimeRoute) -> Pending<RuntimeRoute> {
        let checked = routing::checked(route).map_err(MobError::from);
        let checked = checked.and_then(|route| {
            check_part("route_key", &route.route_key)?;
            Ok(route)
        });
        let route = match checked {
            Ok(route) => route,
            Err(error) => return ready(Err(error)).boxed_local(),
        };
        let inner = self.0.clone();
        self.0.core.execute(Durability::Strict, move |_, batch| {
            let routes = &inner.state.routes;
            if routes.len() >= MAX_ROUTES && routes.staged(&route.route_key).is_none() {
                let message = format!("there are {MAX_ROUTES} routes; delete one first");
                return Err(ModuleError::new(ModuleErrorKind::TooManyRoutes, message).into());
            }
            routes.put(batch, route.clone());
            Ok(route.clone())
        })
    }

    /// Deletes a route; answers the one that was there.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `EmptyRouteKey`, `RouteNotFound`; storage's.
    pub fn delete_route(&self, route_key: &str) -> Pending<RuntimeRoute> {
        let key = route_key.trim().to_owned();
        let inner = self.0.clone();
        self.0.core.execute(Durability::Strict, move |_, batch| {
            if key.is_empty() {
                return Err(routing::blank(ModuleErrorKind::EmptyRouteKey, "route_key").into());
            }
            let Some(route) = inner.state.routes.staged(&key) else {
                let message = format!("route_key '{key}' was not found");
                let error = ModuleError::new(ModuleErrorKind::RouteNotFound, message);
                return Err(error.with(object!({ "route_key": key })).into());
            };
            inner.state.routes.delete(batch, &key);
            Ok(route.as_ref().clone())
        })
    }

    /// Brings the routes to the members to what they ought to be, if the module `router` runs: one for each member that no such
    /// route leads to, none to somebody who is not there (MobKit contract, section 6.4).
    pub(crate) async fn reconcile_member_routes(
        &self,
    ) -> Result<UnifiedRuntimeReconcileRoutingReport, MobError> {
        let inner = self.0.clone();
        let loaded = inner.find(ROUTER).is_some_and(|slot| slot.is_wanted());
        if !loaded {
            return Ok(UnifiedRuntimeReconcileRoutingReport::default());
        }
        let done = self.0.core.execute(Durability::Strict, move |core, batch| {
            let members = core.members.staged_range(..);
            let members: Vec<AgentIdentity> = members
                .iter()
                .map(|member| member.identity().clone())
                .collect();
            Ok(inner.stage_member_routes(batch, members))
        });
        done.await
    }
}

impl Inner {
    pub(super) fn resolve(
        self: &Rc<Self>,
        request: RoutingResolveRequest,
    ) -> Pending<RoutingResolution> {
        let inner = self.clone();
        async move {
            inner.check_leads()?;
            let router = inner.loaded_slot(ROUTER, ModuleErrorKind::RouterModuleNotLoaded)?;
            inner.loaded_slot(DELIVERY, ModuleErrorKind::DeliveryModuleNotLoaded)?;
            let draft = routing::draft(&request)?;
            let (about, context) = (value_of(&request), CallContext::default());
            let asked = inner.ask(&router, "routing.resolve", about, context).await;
            let answer =
                asked.map_err(|error| boundary(ModuleErrorKind::RoutingBoundary, error))?;
            let resolution = routing::overridden(draft, &answer)?;
            let staging = inner.clone();
            let resolved = inner.core.execute(Durability::Strict, move |core, batch| {
                Ok(staging.stage_resolution(core, batch, &resolution))
            });
            resolved.await
        }
        .boxed_local()
    }

    fn stage_resolution(
        &self,
        core: &Core,
        batch: &mut Batch,
        resolution: &RoutingResolution,
    ) -> RoutingResolution {
        let routes = self.state.routes.staged_range(..);
        let (recipient, channel) = (&resolution.recipient, &resolution.channel);
        let route = routing::matching(routes.iter().map(AsRef::as_ref), recipient, channel);
        let mut resolution = resolution.clone();
        if let Some(route) = route {
            resolution = routing::routed(resolution, route);
        }
        let number = self.state.next(batch, "route");
        resolution.route_id = numbered(ROUTE, number);
        bound(&self.state.resolutions, batch, MAX_RESOLUTIONS);
        self.state.resolutions.put(batch, resolution.clone());
        let id = numbered("evt-routing-", number);
        let told = events::event(ROUTER, id, "resolved", core.now(), value_of(&resolution));
        events::stage(core, batch, vec![told]);
        resolution
    }

    fn stage_member_routes(
        &self,
        batch: &mut Batch,
        members: Vec<AgentIdentity>,
    ) -> UnifiedRuntimeReconcileRoutingReport {
        let mut report = UnifiedRuntimeReconcileRoutingReport {
            router_module_loaded: true,
            ..UnifiedRuntimeReconcileRoutingReport::default()
        };
        let mut routed = Vec::new();
        for route in self.state.routes.staged_range(..) {
            if !route.route_key.starts_with(MEMBER_ROUTES) {
                continue;
            }
            let there = members.iter().any(|member| *member == *route.recipient);
            if there {
                routed.push(route.recipient.clone());
            } else {
                self.state.routes.delete(batch, &route.route_key);
                report.removed_route_keys.push(route.route_key.clone());
            }
        }
        for member in &members {
            if routed.iter().any(|known| *member == **known) {
                continue;
            }
            let route_key = [MEMBER_ROUTES, member.as_str()].concat();
            report.added_route_keys.push(route_key.clone());
            let route = RuntimeRoute {
                route_key,
                recipient: member.to_string(),
                channel: Some(routing::DEFAULT_CHANNEL.to_owned()),
                sink: MAILBOX.to_owned(),
                target_module: DELIVERY.to_owned(),
                retry_max: None,
                backoff_ms: None,
                rate_limit_per_minute: None,
            };
            self.state.routes.put(batch, route);
        }
        report.active_members = members;
        report
    }
}

/// What a module failed with, as the failure of what it was asked for.
pub(super) fn boundary(kind: ModuleErrorKind, error: ModuleError) -> ModuleError {
    let cause = object!({ "cause": error.kind, "data": error.data });
    ModuleError::new(kind, error.into_message()).with(cause)
}
