//! [`UnifiedRuntime`]: one mob with its logs, hooks and lifecycle, as its users meet it.
//!
//! Mob, events and storage are in the rooms below; this one plugs them together and gives them the contract's names.

mod blobs;
mod bootstrap;
mod builder;
mod console;
mod console_events;
mod console_log;
mod edges;
mod error;
mod event_log;
mod events;
mod feed;
mod health;
mod helper;
mod hooks;
mod labels;
mod metadata;
mod mob_events;
mod roster;
mod shutdown;
mod status;
mod timeline;
mod wait;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::future::ready;
use futures::stream::LocalBoxStream;
use futures::{FutureExt, StreamExt};
use serde_json::{Map, Value};

pub use blobs::{BinaryBlobStore, Blob, BlobRef, MAX_BLOB_BYTES, blob_id};
pub use bootstrap::{ConsoleVisibilityPolicy, MobBootstrapSpec, RuntimeOptions};
pub use builder::{IfLocked, SubscriptionStart, UnifiedRuntimeBuilder};
pub use console_events::{ConsoleEventStore, ConsoleIdentityEventEnvelope};
pub use console_log::ConsoleLogStore;
pub use edges::{EdgeOwner, OwnedEdge};
pub use error::{
    UnifiedRuntimeBuilderError, UnifiedRuntimeBuilderField, UnifiedRuntimeReconcileError,
};
pub use event_log::{EventLogConfig, EventLogFilter, EventLogStore};
pub use events::{EventFilter, EventReader, EventTexts, EventsPage};
pub use health::{TaskHealth, TaskState};
pub use hooks::{
    DefinitionEdges, Discovery, EdgeDiscovery, ErrorHook, PostReconcileHook, PostSpawnHook,
    PreSpawnContext, PreSpawnHook,
};
pub use metadata::PersistentMetadataStore;
pub use mob_events::MobEventReader;
pub use roster::Ensured;
pub use status::{ModelStatus, Role, RuntimeStatus};
pub(crate) use timeline::TimelineText;

use crate::agent::model::{Availability, LanguageModel};
use crate::log::Checkpointer;
use crate::mob::definition::{DefinitionChange, MobDefinition};
use crate::mob::{
    Accepted, Core, HistoryMessage, InteractionOutcome, MobError, MobHandle, Pending, SendRequest,
    SpawnManyReport, SpawnReceipt,
};
use crate::modules::Modules;
use crate::runtime::events::Stored;
use crate::runtime::feed::Feed;
use crate::runtime::health::Health;
use crate::runtime::hooks::{Errors, Hooks};
use crate::runtime::metadata::HostCursor;
use crate::runtime::mob_events::Projection;
use crate::shim::{Notify, TaskGroup};
use crate::storage::{LeaseGuard, Writer, WriterClosed};
use crate::wire::{
    AgentIdentity, Cursor, ErrorEvent, EventQuery, InteractionId, MobEventsPage, MobId,
    MobMemberListEntry, MobMemberSnapshot, SpawnMemberSpec, UnifiedRuntimeReconcileEdgesReport,
    UnifiedRuntimeShutdownReport,
};

pub(crate) struct Inner {
    handle: MobHandle,
    core: Rc<Core>,
    modules: Modules,
    writer: Option<Writer>,
    /// Owns every task of the runtime.
    group: RefCell<Option<TaskGroup>>,
    guard: RefCell<Option<LeaseGuard>>,
    role: Cell<Role>,
    retired: Notify,
    changes: Vec<DefinitionChange>,
    projection: Rc<Projection>,
    checkpoint: RefCell<Option<Checkpointer>>,
    hooks: Hooks,
    health: Health,
    /// The application's stores that are fed with agent events.
    feeds: Vec<Rc<Feed>>,
    event_log_store: Option<Rc<dyn EventLogStore>>,
    host_cursor: Option<Rc<HostCursor>>,
    bootstrap_edges: RefCell<Option<UnifiedRuntimeReconcileEdgesReport>>,
    visibility: ConsoleVisibilityPolicy,
    console_config: Map<String, Value>,
    blobs: Rc<dyn BinaryBlobStore>,
    drain_timeout: Duration,
    errors: Errors,
    shutting_down: Cell<bool>,
    shutdown: RefCell<Option<UnifiedRuntimeShutdownReport>>,
}

impl Inner {
    fn listen_for_trouble(self: &Rc<Self>) {
        let this = Rc::downgrade(self);
        self.core.trouble.listen(move |identity, error| {
            if let Some(this) = this.upgrade() {
                let event = ErrorEvent::HostLoopCrash {
                    member_id: identity.to_string(),
                    error,
                };
                this.errors.fire(event);
            }
        });
    }

    /// Keeps agent events flowing into storage when no other commit carries them.
    fn run_flusher(self: &Rc<Self>) {
        let Some(writer) = &self.writer else { return };
        let this = Rc::downgrade(self);
        let task = self.health.begin("agent_events");
        self.core
            .events
            .run_flusher(&self.core.host, writer, move |outcome| {
                let Err(error) = outcome else {
                    return task.works();
                };
                if error.is_fatal() {
                    task.gives_up(&error.to_string());
                } else {
                    task.retries(&error.to_string());
                }
                if let Some(this) = this.upgrade() {
                    this.errors.fire(ErrorEvent::EventLogFlushFailure {
                        error: format!("event log flush failed: {error}; will retry"),
                    });
                }
            });
    }

    /// Retires this context when the lease is gone or a commit was refused for its token.
    fn watch_lease(self: &Rc<Self>) {
        let lost = self.guard.borrow().as_ref().map(LeaseGuard::lost);
        let Some(writer) = self.writer.clone() else {
            return;
        };
        let this = Rc::downgrade(self);
        self.core.host.spawn(async move {
            let closed = writer.closed();
            match lost {
                Some(lost) => {
                    futures::future::select(lost, std::pin::pin!(closed)).await;
                }
                None => {
                    closed.await;
                }
            }
            let Some(this) = this.upgrade() else { return };
            if this.role.get() == Role::Leader {
                this.role.set(Role::Retired);
                if let Some(cursor) = &this.host_cursor {
                    cursor.end();
                }
                this.core.close(match writer.ended() {
                    Some(WriterClosed::Storage(error)) => error.into(),
                    _ => MobError::NotLeader,
                });
                this.retired.notify_waiters();
            }
        });
    }

    /// Rereads what the leader wrote, each time it says so.
    fn follow(self: &Rc<Self>, mut changed: LocalBoxStream<'static, ()>) {
        let this = Rc::downgrade(self);
        self.core.host.spawn(async move {
            while changed.next().await.is_some() {
                let Some(this) = this.upgrade() else { return };
                let refreshed = async {
                    this.core.refresh().await?;
                    this.modules.refresh().await
                };
                let Err(error) = refreshed.await else {
                    continue;
                };
                this.errors.fire(ErrorEvent::HostLoopCrash {
                    member_id: String::new(),
                    error: error.to_string(),
                });
                if matches!(&error, MobError::Storage(error) if error.is_fatal()) {
                    return this.core.close(error);
                }
            }
        });
    }
}

/// A mob that is open in this context. Clones are the same runtime; dropping the last one ends its tasks as a crash would.
#[derive(Clone)]
pub struct UnifiedRuntime {
    inner: Rc<Inner>,
}

impl UnifiedRuntime {
    /// Begins a runtime.
    pub fn builder() -> UnifiedRuntimeBuilder {
        UnifiedRuntimeBuilder::default()
    }

    /// The mob itself.
    pub fn mob_handle(&self) -> MobHandle {
        self.inner.handle.clone()
    }

    pub(crate) fn host(&self) -> &crate::shim::Host {
        &self.inner.core.host
    }

    /// The modules, and what stands on them: routing, deliveries, schedules, gating and memory.
    pub fn modules(&self) -> &Modules {
        &self.inner.modules
    }

    /// The mob's name.
    pub fn mob_id(&self) -> &MobId {
        &self.inner.core.mob_id
    }

    /// What this context is to the mob.
    pub fn role(&self) -> Role {
        self.inner.role.get()
    }

    /// Resolves when another context took the mob over; start anew as a follower then.
    pub async fn retired(&self) {
        loop {
            let retired = self.inner.retired.notified();
            if self.role() == Role::Retired {
                return;
            }
            retired.await;
        }
    }

    /// How the runtime stands.
    pub fn status(&self) -> RuntimeStatus {
        let core = &self.inner.core;
        let models = core.kit.models.all().into_iter().map(|(name, model)| {
            let info = model.info();
            ModelStatus {
                name,
                provider: info.provider,
                is_demo: info.is_demo,
                waiting: match model.availability() {
                    Availability::Ready => None,
                    Availability::Waiting { reason } => Some(reason),
                },
            }
        });
        RuntimeStatus {
            mob_id: core.mob_id.clone(),
            mob_state: core.status(),
            role: self.role(),
            latest_mob_cursor: core.ledger.latest(),
            projected_cursor: self.inner.projection.cursor(),
            latest_event_cursor: core.events.latest(),
            models: models.collect(),
            definition_changes: self.inner.changes.clone(),
            tasks: self.inner.health.tasks(),
        }
    }

    /// The definition in force.
    pub fn definition(&self) -> MobDefinition {
        self.inner.handle.definition()
    }

    /// All members, by name.
    pub fn members(&self) -> Vec<MobMemberListEntry> {
        self.inner.handle.list_members()
    }

    /// What a member is doing and what it said last.
    ///
    /// # Errors
    /// As [`MobHandle::member_status`].
    pub async fn member_status(
        &self,
        identity: &AgentIdentity,
    ) -> Result<MobMemberSnapshot, MobError> {
        self.inner.handle.member_status(identity).await
    }

    /// Spawns a member, then awaits the post-spawn hook.
    ///
    /// # Errors
    /// As [`MobHandle::spawn_spec`]; the error hook hears of it too.
    pub async fn spawn(&self, spec: SpawnMemberSpec) -> Result<SpawnReceipt, MobError> {
        self.check_open()?;
        let (member_id, profile) = (spec.identity.clone(), spec.role_name.clone());
        match self.inner.handle.spawn_spec(spec).await {
            Ok(receipt) => {
                self.spawned(vec![receipt.identity.to_string()]).await;
                Ok(receipt)
            }
            Err(error) => {
                self.inner.errors.fire(ErrorEvent::SpawnFailure {
                    member_id,
                    profile,
                    error: error.to_string(),
                });
                Err(error)
            }
        }
    }

    /// Spawns members: the valid prefix is one batch. The post-spawn hook is told once, and only when all were spawned.
    ///
    /// # Errors
    /// As [`MobHandle::spawn_many`].
    pub async fn spawn_many(
        &self,
        specs: Vec<SpawnMemberSpec>,
    ) -> Result<SpawnManyReport, MobError> {
        self.check_open()?;
        if specs.is_empty() {
            return Ok(SpawnManyReport {
                spawned: Vec::new(),
                refused: None,
            });
        }
        let report = self.inner.handle.spawn_many(specs).await?;
        if report.refused.is_none() {
            self.spawned(
                report
                    .spawned
                    .iter()
                    .map(|receipt| receipt.identity.to_string())
                    .collect(),
            )
            .await;
        }
        Ok(report)
    }

    async fn spawned(&self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        if let Some(hook) = &self.inner.hooks.post_spawn {
            hook(names).await;
        }
    }

    /// A command on the mob, unless this runtime takes none.
    fn guarded<T: 'static>(&self, hand_in: impl FnOnce(&MobHandle) -> Pending<T>) -> Pending<T> {
        match self.check_open() {
            Ok(()) => hand_in(&self.inner.handle),
            Err(error) => ready(Err(error)).boxed_local(),
        }
    }

    fn check_open(&self) -> Result<(), MobError> {
        self.inner.core.check_open()?;
        match self.role() {
            Role::Follower => Err(MobError::NotLeader),
            Role::Leader | Role::Retired | Role::Closed => Ok(()),
        }
    }

    /// Takes a member off the roster.
    ///
    /// # Errors
    /// As [`MobHandle::retire`].
    pub fn retire(&self, identity: &AgentIdentity) -> Pending<()> {
        self.guarded(|handle| handle.retire(identity))
    }

    /// Gives a member a new incarnation.
    ///
    /// # Errors
    /// As [`MobHandle::respawn`].
    pub fn respawn(&self, identity: &AgentIdentity) -> Pending<SpawnReceipt> {
        self.guarded(|handle| handle.respawn(identity))
    }

    /// Lets two members talk.
    ///
    /// # Errors
    /// As [`MobHandle::wire`].
    pub fn wire(&self, a: &AgentIdentity, b: &AgentIdentity) -> Pending<bool> {
        self.guarded(|handle| handle.wire(a, b))
    }

    /// Lets two members talk no more.
    ///
    /// # Errors
    /// As [`MobHandle::unwire`].
    pub fn unwire(&self, a: &AgentIdentity, b: &AgentIdentity) -> Pending<bool> {
        self.guarded(|handle| handle.unwire(a, b))
    }

    /// Accepts a message for a member. Durable when answered; follow it with [`interaction`](Self::interaction).
    ///
    /// # Errors
    /// As [`MobHandle::send`].
    pub async fn send(
        &self,
        identity: &AgentIdentity,
        request: SendRequest,
    ) -> Result<Accepted, MobError> {
        self.check_open()?;
        self.inner.handle.send(identity, request).await
    }

    /// Sends a message and waits until all the work that it causes has ended, whoever does it.
    ///
    /// # Errors
    /// As [`MobHandle::send`]. A failed or cancelled interaction is an outcome, not an error.
    pub async fn ask(
        &self,
        identity: &AgentIdentity,
        request: SendRequest,
    ) -> Result<InteractionOutcome, MobError> {
        let accepted = self.send(identity, request).await?;
        self.inner
            .handle
            .wait_interaction(&accepted.interaction_id)
            .await
    }

    /// The events of one interaction, from its acceptance (or `after`) to its end.
    ///
    /// # Errors
    /// [`MobError::InteractionNotFound`], [`MobError::StaleEventCursor`].
    pub fn interaction(
        &self,
        id: &InteractionId,
        after: Option<Cursor>,
    ) -> Result<EventReader, MobError> {
        Stored::of_interaction(&self.inner.core, id, after).map(EventReader)
    }

    /// How an interaction stands.
    ///
    /// # Errors
    /// [`MobError::InteractionNotFound`].
    pub fn interaction_outcome(&self, id: &InteractionId) -> Result<InteractionOutcome, MobError> {
        self.inner.handle.interaction(id)
    }

    /// Cancels an interaction, with all the work that it caused.
    ///
    /// # Errors
    /// As [`MobHandle::cancel`].
    pub fn cancel(&self, id: &InteractionId) -> Pending<bool> {
        self.guarded(|handle| handle.cancel(id))
    }

    /// Cancels what a member is doing now.
    ///
    /// # Errors
    /// As [`MobHandle::cancel_turn`].
    pub fn cancel_turn(&self, identity: &AgentIdentity) -> Pending<bool> {
        self.guarded(|handle| handle.cancel_turn(identity))
    }

    /// Cancels every open interaction.
    ///
    /// # Errors
    /// Storage's.
    pub fn cancel_all(&self) -> Pending<usize> {
        self.guarded(|handle| handle.cancel_all())
    }

    /// Stops the mob; open work stays as it is.
    ///
    /// # Errors
    /// Storage's.
    pub fn stop(&self) -> Pending<bool> {
        self.guarded(|handle| handle.stop())
    }

    /// Lets a stopped mob go on.
    ///
    /// # Errors
    /// Storage's.
    pub fn resume(&self) -> Pending<bool> {
        self.guarded(|handle| handle.resume())
    }

    /// The alarm rang that the builder was [given](UnifiedRuntimeBuilder::wake): who is due is retired, and the alarm set anew if it
    /// has to be.
    pub fn woken(&self) {
        if self.role() == Role::Leader {
            self.inner.core.woken();
        }
    }

    /// Agent events, live or from a cursor.
    ///
    /// # Errors
    /// [`MobError::StaleEventCursor`] for a cursor beyond the newest event.
    pub fn events(&self, filter: EventFilter) -> Result<EventReader, MobError> {
        Stored::open(&self.inner.core, &filter).map(EventReader)
    }

    /// [`interaction`](Self::interaction) as JSON, for whoever hands events on.
    ///
    /// # Errors
    /// As [`interaction`](Self::interaction).
    pub fn interaction_texts(
        &self,
        id: &InteractionId,
        after: Option<Cursor>,
    ) -> Result<EventTexts, MobError> {
        Stored::of_interaction(&self.inner.core, id, after).map(EventTexts)
    }

    /// [`events`](Self::events) as JSON, for whoever hands them on: several times as fast.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    pub fn event_texts(&self, filter: &EventFilter) -> Result<EventTexts, MobError> {
        Stored::open(&self.inner.core, filter).map(EventTexts)
    }

    /// A page of agent events: after a cursor, or the newest that match.
    ///
    /// # Errors
    /// [`MobError::StaleEventCursor`], or storage's.
    pub async fn query_events(&self, query: &EventQuery) -> Result<EventsPage, MobError> {
        events::query(&self.inner.core, query).await?.decoded()
    }

    /// [`query_events`](Self::query_events) as JSON: `{events, next_after_seq, gaps}`.
    ///
    /// # Errors
    /// As [`query_events`](Self::query_events).
    pub async fn query_events_text(&self, query: &EventQuery) -> Result<String, MobError> {
        events::query(&self.inner.core, query).await?.text()
    }

    /// The structural ledger, live or after a cursor: every entry once, in order.
    ///
    /// # Errors
    /// [`MobError::StaleEventCursor`] for a cursor beyond the newest entry.
    pub fn mob_events(&self, after: Option<Cursor>) -> Result<MobEventReader, MobError> {
        MobEventReader::open(&self.inner.core, after)
    }

    /// A page of structural events: after a cursor, or the newest that match.
    ///
    /// # Errors
    /// [`MobError::StaleEventCursor`], or storage's.
    pub async fn query_mob_events(&self, query: &EventQuery) -> Result<MobEventsPage, MobError> {
        mob_events::query(&self.inner.core, query).await
    }

    /// A part of a member's transcript.
    ///
    /// # Errors
    /// As [`MobHandle::session_history`].
    pub async fn session_history(
        &self,
        identity: &AgentIdentity,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<HistoryMessage>, usize), MobError> {
        self.inner
            .handle
            .session_history(identity, offset, limit)
            .await
    }

    /// Gives, replaces or takes away a model; work that waited for it goes on.
    pub fn set_model(&self, name: &str, model: Option<Rc<dyn LanguageModel>>) {
        self.inner.handle.set_model(name, model);
    }

    /// The application's store for agent events.
    pub fn event_log_store(&self) -> Option<Rc<dyn EventLogStore>> {
        self.inner.event_log_store.clone()
    }
}

#[cfg(test)]
mod tests;
