//! [`UnifiedRuntimeBuilder`]: what a runtime is made of, checked before anything starts.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, LocalBoxFuture, pending, ready, select};
use futures::stream::LocalBoxStream;
use futures::{FutureExt, StreamExt};
use serde_json::{Map, Value};

use crate::agent::http::HttpClient;
use crate::agent::model::{LanguageModel, RetryPolicy};
use crate::agent::tool::{Tool, ToolGate, ToolSet};
use crate::log::{LogConfig, Retention};
use crate::mob::definition::MobDefinition;
use crate::mob::{Core, Installed, Kit, MobHandle, MobOptions, Models, open};
use crate::modules::schedule::{OffsetsOnly, TimeZones};
use crate::modules::{Gate, Late, ModuleConfig, Modules, Tools};
use crate::runtime::blobs::{BinaryBlobStore, StoredBlobs};
use crate::runtime::bootstrap::{ConsoleVisibilityPolicy, RuntimeOptions};
use crate::runtime::console_log::{self, ConsoleLogStore, TellFrames};
use crate::runtime::error::{UnifiedRuntimeBuilderError, UnifiedRuntimeBuilderField};
use crate::runtime::event_log::EventLogConfig;
use crate::runtime::feed::Feed;
use crate::runtime::health::Health;
use crate::runtime::hooks::{
    Discovery, EdgeDiscovery, ErrorHook, Errors, Hooks, PostReconcileHook, PostSpawnHook,
    PreSpawnContext, PreSpawnHook,
};
use crate::runtime::metadata::{HostCursor, PersistentMetadataStore};
use crate::runtime::mob_events::{Heard, Projected, Projection};
use crate::runtime::{Inner, Role, UnifiedRuntime, mob_events};
use crate::shim::{Host, Notify, Wake};
use crate::storage::{
    AcquireMode, Batch, Lease, LeaseError, LeaseGuard, Participant, Signal, Storage, Writer,
    WriterConfig, migrations, take_token, token_key, token_value,
};
use crate::wire::json::words;
use crate::wire::{Cursor, ErrorEvent, MobId, MobStructuralEventEnvelope};

/// What is kept of the agent events: long histories, and a fraction of what any browser grants an origin.
const EVENT_RETENTION: Retention = Retention {
    max_age: None,
    max_entries: Some(200_000),
    max_bytes: Some(128 << 20),
};

words! {
    /// What to do when another context holds the mob.
    #[derive(Default)]
    pub enum IfLocked {
        /// Wait until it lets go.
        #[default]
        Wait = "wait",
        /// Follow it read-only. A runtime built beside it with [`Wait`](Self::Wait) takes its place when the mob is free.
        Follow = "follow",
        /// Take the mob from it; it finds itself retired.
        Steal = "steal",
        /// Fail.
        Fail = "fail",
    }
}

/// Where the structural subscription of a mob begins that has no persisted cursor yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionStart {
    /// At what comes next.
    #[default]
    Latest,
    /// At the first entry.
    Earliest,
    /// After this one.
    After(Cursor),
}

/// Makes a [`UnifiedRuntime`].
#[derive(Default)]
pub struct UnifiedRuntimeBuilder(Box<Parts>);

/// What was given. In a box, so that neither the setters nor the future of `build` carry it about.
#[derive(Default)]
struct Parts {
    definition: Option<MobDefinition>,
    host: Option<Host>,
    storage: Option<Rc<dyn Storage>>,
    models: Vec<(String, Rc<dyn LanguageModel>)>,
    tools: Vec<Rc<dyn Tool>>,
    gate: Option<Rc<dyn ToolGate>>,
    retry: RetryPolicy,
    on_error: Option<ErrorHook>,
    post_spawn: Option<PostSpawnHook>,
    post_reconcile: Option<PostReconcileHook>,
    pre_spawn: Option<PreSpawnHook>,
    discovery: Option<Rc<dyn Discovery>>,
    edge_discovery: Option<Rc<dyn EdgeDiscovery>>,
    drain_timeout: Option<Duration>,
    max_sessions: Option<usize>,
    event_log: Option<EventLogConfig>,
    console_log: Option<TellFrames>,
    options: RuntimeOptions,
    visibility: ConsoleVisibilityPolicy,
    retention: Option<Retention>,
    reopen: bool,
    persistent_metadata: Option<Rc<dyn PersistentMetadataStore>>,
    on_mob_event: Option<Projected>,
    lease: Option<Rc<dyn Lease>>,
    signal: Option<Rc<dyn Signal>>,
    if_locked: IfLocked,
    start: SubscriptionStart,
    tail_capacity: Option<usize>,
    wake: Option<Rc<dyn Wake>>,
    modules: Vec<ModuleConfig>,
    time_zones: Option<Rc<dyn TimeZones>>,
    webhooks: Option<Rc<dyn HttpClient>>,
    console_config: Map<String, Value>,
    blobs: Option<Rc<dyn BinaryBlobStore>>,
}

impl UnifiedRuntimeBuilder {
    /// The mob: its profiles, wiring rules and first members. Required.
    pub fn definition(mut self, definition: MobDefinition) -> Self {
        self.0.definition = Some(definition);
        self
    }

    /// Clock, timers, tasks and randomness. Required.
    pub fn host(mut self, host: Host) -> Self {
        self.0.host = Some(host);
        self
    }

    /// Where everything is kept. Required.
    pub fn storage(mut self, storage: Rc<dyn Storage>) -> Self {
        self.0.storage = Some(storage);
        self
    }

    /// The model that profiles name so.
    pub fn model(mut self, name: impl Into<String>, model: Rc<dyn LanguageModel>) -> Self {
        self.0.models.push((name.into(), model));
        self
    }

    /// A tool that profiles may name.
    pub fn tool(mut self, tool: Rc<dyn Tool>) -> Self {
        self.0.tools.push(tool);
        self
    }

    /// Who approves each call of a tool before it runs.
    pub fn tool_gate(mut self, gate: Rc<dyn ToolGate>) -> Self {
        self.0.gate = Some(gate);
        self
    }

    /// A module, whose tools profiles may name ([`ProfileTools::mcp`](crate::mob::definition::ProfileTools::mcp)). All are started
    /// when the mob is opened, side by side; what needs one waits for it.
    pub fn module(mut self, module: ModuleConfig) -> Self {
        self.0.modules.push(module);
        self
    }

    /// What the host knows of time zones with a name; without it schedules have offsets only.
    pub fn time_zones(mut self, zones: Rc<dyn TimeZones>) -> Self {
        self.0.time_zones = Some(zones);
        self
    }

    /// What posts deliveries to webhooks; without it they are left to the module `delivery`.
    pub fn webhooks(mut self, http: Rc<dyn HttpClient>) -> Self {
        self.0.webhooks = Some(http);
        self
    }

    /// How failed model calls are tried again.
    pub fn retry_policy(mut self, retry: RetryPolicy) -> Self {
        self.0.retry = retry;
        self
    }

    /// Who is told of failures that have no caller.
    pub fn on_error(mut self, hook: ErrorHook) -> Self {
        self.0.on_error = Some(hook);
        self
    }

    /// Who is told of spawned members.
    pub fn post_spawn_hook(mut self, hook: PostSpawnHook) -> Self {
        self.0.post_spawn = Some(hook);
        self
    }

    /// Who is told of reconciliations.
    pub fn post_reconcile_hook(mut self, hook: PostReconcileHook) -> Self {
        self.0.post_reconcile = Some(hook);
        self
    }

    /// Who is asked once, before the discovery, which is given the answer.
    pub fn pre_spawn_hook(mut self, hook: PreSpawnHook) -> Self {
        self.0.pre_spawn = Some(hook);
        self
    }

    /// Who ought to be in the mob. `build` spawns whom it misses; [`rediscover`](UnifiedRuntime::rediscover) asks again.
    pub fn discovery(mut self, discovery: Rc<dyn Discovery>) -> Self {
        self.0.discovery = Some(discovery);
        self
    }

    /// Who ought to be wired to whom. `build` and every reconciliation ask it.
    pub fn edge_discovery(mut self, discovery: Rc<dyn EdgeDiscovery>) -> Self {
        self.0.edge_discovery = Some(discovery);
        self
    }

    /// How long a shutdown waits for what is under way to be written; 30 s if it is not said.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.0.drain_timeout = Some(timeout);
        self
    }

    /// How many transcripts of members that are not at work stay in memory; 64 if it is not said.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.0.max_sessions = Some(sessions);
        self
    }

    /// The contract's options that have a meaning here.
    pub fn runtime_options(mut self, options: RuntimeOptions) -> Self {
        self.0.options = options;
        self
    }

    /// Which members a console lists.
    pub fn console_visibility(mut self, policy: ConsoleVisibilityPolicy) -> Self {
        self.0.visibility = policy;
        self
    }

    /// What consoles are told of their looks, as it is: `title`, `brand`, `appearance`, `environment`, `layout`, `rail`, `sidebar`,
    /// `agent_list`, `actions`.
    pub fn console_config(mut self, config: Map<String, Value>) -> Self {
        self.0.console_config = config;
        self
    }

    /// Where bytes are kept; rows of the mob if it is not said.
    pub fn blob_store(mut self, blobs: Rc<dyn BinaryBlobStore>) -> Self {
        self.0.blobs = Some(blobs);
        self
    }

    /// For whoever opens again what was open: a pre-spawn hook or a discovery that fails does not fail the build. The error hook is
    /// told (`rediscover_failure`), and the mob goes on as it is stored.
    pub fn reopen(mut self, reopen: bool) -> Self {
        self.0.reopen = reopen;
        self
    }

    /// The alarm of a host that may be evicted, or die, while a member is due or at work. Without one a timer does it.
    pub fn wake(mut self, wake: Rc<dyn Wake>) -> Self {
        self.0.wake = Some(wake);
        self
    }

    /// How long agent events are kept; the newest 200 000, up to 128 MiB, if it is not said. What was discarded is a gap to
    /// whoever reads.
    pub fn event_retention(mut self, retention: Retention) -> Self {
        self.0.retention = Some(retention);
        self
    }

    /// A store of the application's that is given the agent events too.
    pub fn event_log(mut self, config: EventLogConfig) -> Self {
        self.0.event_log = Some(config);
        self
    }

    /// A store of the application's that is given the timeline's frames too.
    pub fn console_log_store(self, store: Rc<dyn ConsoleLogStore>) -> Self {
        self.tell_frames(console_log::tell_frames(store))
    }

    /// Who is told of the timeline's frames, as text.
    pub(crate) fn tell_frames(
        mut self,
        tell: impl Fn(String) -> LocalBoxFuture<'static, Result<(), String>> + 'static,
    ) -> Self {
        self.0.console_log = Some(Box::new(tell));
        self
    }

    /// A store of the application's that is given the cursor of the structural subscription; what it has says where that
    /// begins.
    pub fn persistent_metadata(mut self, store: Rc<dyn PersistentMetadataStore>) -> Self {
        self.0.persistent_metadata = Some(store);
        self
    }

    /// Who hears each structural event once, in order, over restarts too (at least once over a crash). Must not block.
    pub fn on_mob_event(mut self, heard: impl Fn(&MobStructuralEventEnvelope) + 'static) -> Self {
        self.0.on_mob_event = Some(Rc::new(heard));
        self
    }

    /// Who may write, among all contexts that open the same storage. Without one this context always may.
    pub fn lease(mut self, lease: Rc<dyn Lease>) -> Self {
        self.0.lease = Some(lease);
        self
    }

    /// How contexts tell each other that there is more to read.
    pub fn signal(mut self, signal: Rc<dyn Signal>) -> Self {
        self.0.signal = Some(signal);
        self
    }

    /// What to do when another context holds the mob.
    pub fn if_locked(mut self, if_locked: IfLocked) -> Self {
        self.0.if_locked = if_locked;
        self
    }

    /// Where the structural subscription begins on the first start.
    pub fn start(mut self, start: SubscriptionStart) -> Self {
        self.0.start = start;
        self
    }

    /// How many entries each log keeps in memory for readers; others are read from storage.
    pub fn tail_capacity(mut self, entries: usize) -> Self {
        self.0.tail_capacity = Some(entries);
        self
    }

    /// Whether the mob and the options make sense: for whoever has to do something before a storage can be given. `build`
    /// looks at it too, before anything else.
    ///
    /// # Errors
    /// [`UnifiedRuntimeBuilderError`]. Nothing has been done then.
    pub fn check(&self) -> Result<(), UnifiedRuntimeBuilderError> {
        let Self(parts) = self;
        match &parts.definition {
            Some(definition) => definition.validate()?,
            None => {
                return Err(UnifiedRuntimeBuilderError::MissingRequiredField(
                    UnifiedRuntimeBuilderField::MobSpec,
                ));
            }
        }
        let wrong = if parts.tail_capacity == Some(0) {
            "tail_capacity() must be greater than 0"
        } else if parts.max_sessions == Some(0) {
            "max_sessions() must be greater than 0"
        } else if parts.retry.max_attempts == 0 {
            "retry_policy(): max_attempts must be greater than 0"
        } else {
            return self.check_modules();
        };
        Err(UnifiedRuntimeBuilderError::ConflictingConfiguration(
            wrong.into(),
        ))
    }

    fn check_modules(&self) -> Result<(), UnifiedRuntimeBuilderError> {
        let modules = &self.0.modules;
        for (at, module) in modules.iter().enumerate() {
            let id = &module.id;
            let wrong = if id.trim().is_empty() || id.contains('/') {
                "must be a name without `/`"
            } else if modules[..at].iter().any(|other| other.id == *id) {
                "was given twice"
            } else {
                continue;
            };
            return Err(UnifiedRuntimeBuilderError::ConflictingConfiguration(
                format!("module(): the id `{id}` {wrong}"),
            ));
        }
        Ok(())
    }

    /// Opens the mob: takes the lease, restores what is stored, puts the definition in force and lets members work.
    ///
    /// # Errors
    /// [`UnifiedRuntimeBuilderError`]. Nothing has been started then, and the lease is free again.
    pub async fn build(self) -> Result<UnifiedRuntime, UnifiedRuntimeBuilderError> {
        self.check()?;
        let missing = UnifiedRuntimeBuilderError::MissingRequiredField;
        let Self(mut parts) = self;
        let definition = parts
            .definition
            .take()
            .ok_or(missing(UnifiedRuntimeBuilderField::MobSpec))?;
        let host = parts
            .host
            .take()
            .ok_or(missing(UnifiedRuntimeBuilderField::Host))?;
        let storage = parts
            .storage
            .take()
            .ok_or(missing(UnifiedRuntimeBuilderField::Storage))?;

        let group = host.task_group();
        let host = group.host();
        let mob_id = definition.id.clone();
        let mut guard = match &parts.lease {
            None => Hold::Unguarded,
            Some(lease) => acquire(lease.as_ref(), parts.if_locked, mob_id.as_str()).await?,
        };
        // Heard from before the first row is read, so that no commit falls between reading and listening.
        let listener = parts
            .signal
            .as_ref()
            .filter(|_| matches!(guard, Hold::Following));
        let mut changed = listener.map(|signal| signal.changed());
        if let (Hold::Following, Some(lease)) = (&guard, &parts.lease) {
            let turn = lease.acquire(AcquireMode::Wait);
            if let Some(won) =
                first_row_or_lease(storage.as_ref(), &mob_id, &mut changed, turn).await?
            {
                guard = Hold::Held(won);
            }
        }
        let writer = match &guard {
            Hold::Following => {
                migrations::check(storage.as_ref()).await?;
                None
            }
            Hold::Unguarded | Hold::Held(_) => {
                migrations::migrate(storage.as_ref()).boxed_local().await?;
                let token = take_token(storage.as_ref()).await?;
                let config = WriterConfig {
                    backlog: crate::mob::WRITER_BACKLOG,
                    fence: Some((token_key(), token_value(token))),
                };
                Some(Writer::spawn(&host, storage.clone(), config))
            }
        };

        let mut tools = ToolSet::new();
        std::mem::take(&mut parts.tools)
            .into_iter()
            .for_each(|tool| tools.insert(tool));
        let mut log = LogConfig::default();
        if let Some(entries) = parts.tail_capacity {
            log.tail_capacity = entries;
        }
        let late = Late::default();
        let core = open(MobOptions {
            host: host.clone(),
            storage,
            writer: writer.clone(),
            mob_id,
            kit: Kit {
                models: Models::new(std::mem::take(&mut parts.models)),
                tools,
                gate: Some(Rc::new(Gate::new(&late, parts.gate.take()))),
                modules: Some(Rc::new(Tools(late.clone()))),
                retry: parts.retry,
                max_sessions: parts.max_sessions.unwrap_or(DEFAULT_MAX_SESSIONS),
                idle_retire_secs: parts.options.implicit_delegate_idle_retire_secs,
                wake: parts.wake.take(),
            },
            ledger: LogConfig {
                block: 0,
                ..log.clone()
            },
            events: LogConfig {
                retention: parts.retention.take().unwrap_or(EVENT_RETENTION),
                ..log
            },
        })
        .boxed_local()
        .await?;

        let errors = Errors {
            hook: parts.on_error.take(),
            host: host.clone(),
        };
        let health = Health::new(&host);
        let told = errors.clone();
        let modules = Modules::open(
            &core,
            crate::modules::Parts {
                modules: std::mem::take(&mut parts.modules),
                budget: parts.options.restart_budget,
                rate_scope: parts.options.rate_scope,
                zones: parts
                    .time_zones
                    .take()
                    .unwrap_or_else(|| Rc::new(OffsetsOnly)),
                http: parts.webhooks.take(),
                trouble: Rc::new(move |error| {
                    told.fire(ErrorEvent::HostLoopCrash {
                        member_id: String::new(),
                        error,
                    });
                }),
            },
            &late,
        )
        .boxed_local()
        .await?;
        let (mut projected, mut host_cursor, mut feeds) = (None, None, Vec::new());
        let event_log = parts.event_log.take();
        let mut installed = Installed::default();
        let role = if let Some(writer) = &writer {
            if let Some(signal) = &parts.signal {
                writer.add_participant(Rc::new(Announcer {
                    signal: signal.clone(),
                }));
            }
            let checkpoint = mob_events::checkpointer(&core, writer, &errors);
            let latest = core.ledger.latest();
            let store = parts.persistent_metadata.take();
            host_cursor =
                store.map(|store| HostCursor::new(&host, &core.mob_id, store, &errors, &health));
            let known = match &host_cursor {
                Some(cursor) => cursor.load().await,
                None => None,
            };
            let start = parts.start;
            let begin = mob_events::begin(&checkpoint, known, start, latest, &errors).await?;
            projected = Some((checkpoint, begin));
            if let Some(cursor) = &host_cursor {
                cursor.begin(begin);
            }
            let sinks = [
                event_log.as_ref().map(EventLogConfig::sink),
                parts
                    .console_log
                    .take()
                    .map(|tell| console_log::sink(&core, tell)),
            ];
            for sink in sinks.into_iter().flatten() {
                feeds.push(Feed::begin(&core, writer, sink, &errors, &health).await?);
            }
            installed = core.install(definition).boxed_local().await?;
            Role::Leader
        } else {
            Role::Follower
        };

        let inner = Rc::new(Inner {
            handle: MobHandle::new(core.clone()),
            core: core.clone(),
            modules: modules.clone(),
            writer: writer.clone(),
            group: RefCell::new(Some(group)),
            guard: RefCell::new(guard.into_guard()),
            role: Cell::new(role),
            retired: Notify::new(),
            changes: installed.changes,
            projection: Rc::new(Projection::default()),
            checkpoint: RefCell::new(None),
            hooks: Hooks {
                post_spawn: parts.post_spawn.take(),
                post_reconcile: parts.post_reconcile.take(),
                discovery: parts.discovery.take(),
                edge_discovery: parts.edge_discovery.take(),
            },
            health,
            feeds,
            event_log_store: event_log.map(|config| config.store),
            host_cursor,
            bootstrap_edges: RefCell::new(None),
            visibility: parts.visibility,
            console_config: std::mem::take(&mut parts.console_config),
            blobs: parts
                .blobs
                .take()
                .unwrap_or_else(|| Rc::new(StoredBlobs(core.clone()))),
            drain_timeout: parts.drain_timeout.unwrap_or(DEFAULT_DRAIN_TIMEOUT),
            errors,
            shutting_down: Cell::new(false),
            shutdown: RefCell::new(None),
        });
        inner.listen_for_trouble();
        inner.run_flusher();
        if let Some((checkpoint, begin)) = projected {
            *inner.checkpoint.borrow_mut() = Some(checkpoint.clone());
            host.spawn(inner.projection.clone().run(
                core.clone(),
                checkpoint,
                begin,
                Heard {
                    hook: parts.on_mob_event.take(),
                    host_cursor: inner.host_cursor.clone(),
                },
                inner.errors.clone(),
                inner.health.begin("mob_events"),
            ));
            for feed in &inner.feeds {
                host.spawn(feed.clone().run());
            }
            modules.start();
            core.runners.start(&core);
            core.arm();
            host.spawn(core.clone().retire_idle());
        }
        inner.watch_lease();
        if let (Role::Follower, Some(changed)) = (role, changed) {
            inner.follow(changed);
        }
        let runtime = UnifiedRuntime { inner };
        if !installed.spawned.is_empty() {
            runtime
                .spawned(installed.spawned.iter().map(ToString::to_string).collect())
                .await;
        }
        if role == Role::Leader
            && let Err(startup_error) = bootstrap(&runtime, parts.pre_spawn.take())
                .boxed_local()
                .await
        {
            use UnifiedRuntimeBuilderError::{Discovery, PreSpawnHook};
            if parts.reopen && matches!(startup_error, PreSpawnHook(_) | Discovery(_)) {
                let error = startup_error.to_string();
                let event = ErrorEvent::RediscoverFailure { error };
                runtime.inner.errors.fire(event);
                return Ok(runtime);
            }
            // What was opened ends in good order: no task goes on, and the lease is free again.
            return Err(match runtime.shutdown().await.mob_stop {
                Ok(()) => startup_error,
                Err(rollback_error) => UnifiedRuntimeBuilderError::RollbackFailed {
                    startup_error: Box::new(startup_error),
                    rollback_error,
                },
            });
        }
        Ok(runtime)
    }
}

async fn bootstrap(
    runtime: &UnifiedRuntime,
    pre_spawn: Option<PreSpawnHook>,
) -> Result<(), UnifiedRuntimeBuilderError> {
    let context = match pre_spawn {
        None => PreSpawnContext::Null,
        Some(hook) => hook()
            .await
            .map_err(UnifiedRuntimeBuilderError::PreSpawnHook)?,
    };
    runtime.populate(context).await?;
    Ok(())
}

enum Hold {
    Unguarded,
    Held(LeaseGuard),
    Following,
}

impl Hold {
    fn into_guard(self) -> Option<LeaseGuard> {
        match self {
            Self::Held(guard) => Some(guard),
            Self::Unguarded | Self::Following => None,
        }
    }
}

async fn acquire(
    lease: &dyn Lease,
    if_locked: IfLocked,
    mob_id: &str,
) -> Result<Hold, UnifiedRuntimeBuilderError> {
    let mode = match if_locked {
        IfLocked::Wait => AcquireMode::Wait,
        IfLocked::Steal => AcquireMode::Steal,
        IfLocked::Follow | IfLocked::Fail => AcquireMode::IfAvailable,
    };
    match (lease.acquire(mode).await?, if_locked) {
        (Some(guard), _) => Ok(Hold::Held(guard)),
        (None, IfLocked::Follow) => Ok(Hold::Following),
        (None, _) => Err(UnifiedRuntimeBuilderError::Locked {
            mob_id: mob_id.to_owned(),
        }),
    }
}

/// Waits until there is a mob to follow: its holder writes the first row soon. If the holder dies before that, its lease comes
/// to this context, which has the mob to itself then.
async fn first_row_or_lease(
    storage: &dyn Storage,
    mob_id: &MobId,
    changed: &mut Option<LocalBoxStream<'static, ()>>,
    mut turn: LocalBoxFuture<'static, Result<Option<LeaseGuard>, LeaseError>>,
) -> Result<Option<LeaseGuard>, UnifiedRuntimeBuilderError> {
    loop {
        if Core::exists(storage, mob_id).await? {
            return Ok(None);
        }
        let heard = async {
            match changed {
                Some(changed) => changed.next().await,
                None => None,
            }
        };
        // Without signals, or after the last one, the lease alone brings news.
        let heard = pin!(heard.then(|heard| match heard {
            Some(()) => ready(()).left_future(),
            None => pending().right_future(),
        }));
        if let Either::Right((granted, _)) = select(heard, &mut turn).await {
            return Ok(granted?);
        }
    }
}

/// Tells other contexts of each commit.
struct Announcer {
    signal: Rc<dyn Signal>,
}

impl Participant for Announcer {
    fn stage(&self, _batch: &mut Batch) {}

    fn settle(&self, committed: bool) {
        if committed {
            self.signal.notify();
        }
    }
}

/// How long a shutdown waits for what is under way, when the builder does not say (MobKit contract, section 2.1).
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Transcripts in memory, when the builder does not say (MobKit contract, section 3.1).
pub(crate) const DEFAULT_MAX_SESSIONS: usize = 64;
