//! Modules that are started, watched and started again (MobKit contract, section 14.3).
//!
//! One task for each module that is wanted: it starts the module, waits for its end, whenever that comes, and goes by the policy. What
//! calls the module hears of its end at once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{Either, LocalBoxFuture, ready, select};
use serde::Serialize;
use serde_json::Value;

use crate::agent::model::ToolDefinition;
use crate::modules::port::{CallContext, Module, ModuleConfig, RestartPolicy, TakeEvent};
use crate::shim::{Host, Instant, Notify};
use crate::wire::json::{object, words};
use crate::wire::{ModuleError, ModuleErrorKind};

/// Changes of a module's health that are remembered.
const TRANSITIONS: usize = 32;
/// A module that has been fit for so long is started again as if it had never broken.
const STABLE: Duration = Duration::from_secs(60);
/// The longest pause before a module is started again.
const BACKOFF_LONGEST: Duration = Duration::from_secs(30);
/// How long a module may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

words! {
    /// How a module is.
    pub enum ModuleHealth {
        /// It is being started.
        Starting = "starting",
        /// It runs.
        Healthy = "healthy",
        /// It did not start, or has ended.
        Failed = "failed",
        /// It is about to be started again.
        Restarting = "restarting",
        /// It does not run, and is not started again by itself.
        Stopped = "stopped",
    }
}

/// How often modules are started again, and how soon (MobKit contract, section 14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartBudget {
    /// For the policy `on_failure`.
    pub on_failure: u32,
    /// For the policy `always`.
    pub always: u32,
    /// The first pause; each further one is twice as long, up to 30 s.
    pub backoff: Duration,
}

impl Default for RestartBudget {
    fn default() -> Self {
        Self {
            on_failure: 1,
            always: 1,
            backoff: Duration::ZERO,
        }
    }
}

/// After how long a module is started again that has been so `restarts` times; none if it is not.
pub fn restart_after(
    policy: RestartPolicy,
    restarts: u32,
    budget: &RestartBudget,
) -> Option<Duration> {
    let most = match policy {
        RestartPolicy::Never => 0,
        RestartPolicy::OnFailure => budget.on_failure,
        RestartPolicy::Always => budget.always,
    };
    let pause = budget.backoff.saturating_mul(1 << restarts.min(16));
    (restarts < most).then(|| pause.min(BACKOFF_LONGEST))
}

/// A change of a module's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModuleHealthTransition {
    /// Which module.
    pub module_id: String,
    /// How it was; nothing before its first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<ModuleHealth>,
    /// How it is.
    pub to: ModuleHealth,
    /// How often it had been started again.
    pub attempt: u32,
}

/// A module at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModuleStatus {
    /// Which.
    pub module_id: String,
    /// How it is; none if it was never started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<ModuleHealth>,
    /// How often it was started again since it was last fit for a minute.
    pub restarts: u32,
    /// When it is started again.
    pub restart_policy: RestartPolicy,
    /// What it failed with last, in this life of the runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The names of its tools.
    pub tools: Vec<String>,
    /// How its health changed, the newest last.
    pub transitions: Vec<ModuleHealthTransition>,
}

/// Who hears of what a supervisor does.
pub(crate) trait Watcher {
    /// Something failed: what `supervisor.warning` tells.
    fn warns(&self, module_id: &str, error: &str);
    /// A module tells something.
    fn tells(&self, module_id: &str, event: Value) -> Result<(), ModuleError>;
    /// A module's health changed.
    fn moved(&self);
}

/// One module.
pub(crate) struct Slot {
    pub config: ModuleConfig,
    host: Host,
    budget: RestartBudget,
    watcher: Rc<dyn Watcher>,
    health: Cell<Option<ModuleHealth>>,
    restarts: Cell<u32>,
    /// Whether it was ever started again.
    pub restarted: Cell<bool>,
    transitions: RefCell<Vec<ModuleHealthTransition>>,
    error: RefCell<Option<String>>,
    running: RefCell<Option<Rc<dyn Module>>>,
    tools: RefCell<Rc<Vec<ToolDefinition>>>,
    /// Somebody ends it: that it ends then is no failure.
    stopping: Cell<bool>,
    /// The supervision in force; an earlier one ends when it sees another number.
    life: Cell<u64>,
    /// Told when its health changes, and when it is no longer wanted.
    changed: Notify,
}

impl Slot {
    pub fn new(
        config: ModuleConfig,
        host: &Host,
        budget: RestartBudget,
        watcher: Rc<dyn Watcher>,
    ) -> Rc<Self> {
        Rc::new(Self {
            config,
            host: host.clone(),
            budget,
            watcher,
            health: Cell::new(None),
            restarts: Cell::new(0),
            restarted: Cell::new(false),
            transitions: RefCell::default(),
            error: RefCell::default(),
            running: RefCell::default(),
            tools: RefCell::default(),
            stopping: Cell::new(false),
            life: Cell::new(0),
            changed: Notify::new(),
        })
    }

    fn id(&self) -> &str {
        &self.config.id
    }

    /// Whether it runs.
    pub fn is_loaded(&self) -> bool {
        self.running.borrow().is_some()
    }

    /// Whether it will run soon, or not, but it is not known yet.
    pub fn is_on_its_way(&self) -> bool {
        use ModuleHealth::{Failed, Restarting, Starting};
        matches!(self.health.get(), Some(Starting | Failed | Restarting))
    }

    /// Whether it is to run.
    pub fn is_wanted(&self) -> bool {
        self.is_loaded() || self.is_on_its_way()
    }

    /// The tools that it has said last.
    pub fn tools(&self) -> Rc<Vec<ToolDefinition>> {
        self.tools.borrow().clone()
    }

    pub fn status(&self) -> ModuleStatus {
        ModuleStatus {
            module_id: self.id().to_owned(),
            health: self.health.get(),
            restarts: self.restarts.get(),
            restart_policy: self.config.restart,
            error: self.error.borrow().clone(),
            tools: self.tools().iter().map(|tool| tool.name.clone()).collect(),
            transitions: self.transitions.borrow().clone(),
        }
    }

    fn moves(&self, to: ModuleHealth) {
        let from = self.health.replace(Some(to));
        {
            let mut transitions = self.transitions.borrow_mut();
            if transitions.len() == TRANSITIONS {
                transitions.remove(0);
            }
            transitions.push(ModuleHealthTransition {
                module_id: self.id().to_owned(),
                from,
                to,
                attempt: self.restarts.get(),
            });
        }
        self.changed.notify_waiters();
        self.watcher.moved();
    }

    fn fails(&self, error: &str) {
        *self.error.borrow_mut() = Some(error.to_owned());
        self.running.borrow_mut().take();
        self.moves(ModuleHealth::Failed);
        self.watcher.warns(self.id(), error);
    }

    /// Starts it, if it is not running or on its way.
    pub fn want(self: &Rc<Self>) {
        if !self.is_wanted() {
            self.begin();
        }
    }

    fn begin(self: &Rc<Self>) {
        self.life.set(self.life.get() + 1);
        self.restarts.set(0);
        // Before the task has its first turn, so that nobody takes it for one that is not wanted.
        self.moves(ModuleHealth::Starting);
        let (slot, life) = (self.clone(), self.life.get());
        self.host.spawn(slot.supervise(life).boxed_local());
    }

    async fn supervise(self: Rc<Self>, life: u64) {
        loop {
            let started = self.start().await;
            if self.life.get() != life {
                // It is not wanted any more, or another supervision starts it.
                if let Ok(module) = started {
                    let _ = self.host.timeout(STOP_TIMEOUT, module.stop()).await;
                }
                return;
            }
            let error = match started {
                Ok(module) => {
                    let fit_since = self.host.instant();
                    *self.running.borrow_mut() = Some(module.clone());
                    self.error.borrow_mut().take();
                    self.moves(ModuleHealth::Healthy);
                    let Some(reason) = self.lives(life, module.as_ref()).await else {
                        return;
                    };
                    self.forget_restarts(fit_since);
                    reason
                }
                Err(error) => error.into_message(),
            };
            self.fails(&error);
            let pause = restart_after(self.config.restart, self.restarts.get(), &self.budget);
            let Some(pause) = pause else {
                return self.moves(ModuleHealth::Stopped);
            };
            self.restarts.set(self.restarts.get() + 1);
            self.restarted.set(true);
            self.moves(ModuleHealth::Restarting);
            if !pause.is_zero() {
                self.host.sleep(pause).await;
            }
            if self.life.get() != life {
                return;
            }
        }
    }

    fn forget_restarts(&self, fit_since: Instant) {
        if self.host.instant().duration_since(fit_since) >= STABLE {
            self.restarts.set(0);
        }
    }

    async fn start(self: &Rc<Self>) -> Result<Rc<dyn Module>, ModuleError> {
        let watcher = self.watcher.clone();
        let id = self.id().to_owned();
        let take: TakeEvent = Rc::new(move |event| watcher.tells(&id, event));
        let starting = async {
            let module = self.config.factory.start(take).await?;
            let tools = module.tools().await?;
            Ok::<_, ModuleError>((module, tools))
        };
        let limit = self.config.start_timeout;
        let (module, tools) = match self.host.timeout(limit, starting).await {
            Ok(started) => started?,
            Err(_) => return Err(self.too_slow("start", limit)),
        };
        *self.tools.borrow_mut() = Rc::new(tools);
        Ok(module)
    }

    /// Waits for the end of a module; none if it is no longer wanted.
    async fn lives(&self, life: u64, module: &dyn Module) -> Option<String> {
        let mut ended = module.ended();
        let mut why = None;
        loop {
            let changed = self.changed.notified();
            if self.life.get() != life {
                return None;
            }
            match why.take() {
                // Whoever ends it says whether that was it.
                Some(reason) if !self.stopping.get() => return Some(reason),
                Some(reason) => {
                    why = Some(reason);
                    changed.await;
                }
                None => {
                    if let Either::Left((reason, _)) = select(&mut ended, changed).await {
                        why = Some(reason);
                    }
                }
            }
        }
    }

    fn too_slow(&self, what: &str, limit: Duration) -> ModuleError {
        let timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        ModuleError::new(
            ModuleErrorKind::Timeout,
            format!(
                "module '{}': {what} took longer than {timeout_ms} ms",
                self.id()
            ),
        )
        .with(object!({ "module_id": self.id(), "operation": what, "timeout_ms": timeout_ms }))
    }

    /// The module, when it is known whether it runs.
    fn loaded(self: &Rc<Self>) -> LocalBoxFuture<'static, Result<Rc<dyn Module>, ModuleError>> {
        let slot = self.clone();
        async move {
            loop {
                let changed = slot.changed.notified();
                let running = slot.running.borrow().clone();
                match running {
                    Some(module) => return Ok(module),
                    None if slot.is_on_its_way() => changed.await,
                    None => return Err(slot.not_loaded()),
                }
            }
        }
        .boxed_local()
    }

    fn not_loaded(&self) -> ModuleError {
        let error = self.error.borrow();
        ModuleError::new(
            ModuleErrorKind::ModuleNotLoaded,
            format!("Module '{}' not loaded", self.id()),
        )
        .with(object!({ "module_id": self.id(), "reason": *error }))
    }

    /// Calls a tool; a module that is being started is waited for.
    pub fn call(
        self: &Rc<Self>,
        tool: &str,
        args: Value,
        context: CallContext,
    ) -> LocalBoxFuture<'static, Result<Value, ModuleError>> {
        let (slot, tool) = (self.clone(), tool.to_owned());
        async move {
            let module = slot.loaded().await?;
            if slot.check_tool(&tool).is_err() {
                // A server may have learnt something since it was started.
                let listed = slot.host.timeout(slot.config.call_timeout, module.tools());
                if let Ok(Ok(tools)) = listed.await {
                    *slot.tools.borrow_mut() = Rc::new(tools);
                }
            }
            slot.check_tool(&tool)?;
            let crashed = slot.crash(&module).boxed_local();
            let called = select(module.call(&tool, args, context), crashed);
            let limit = slot.config.call_timeout;
            match slot.host.timeout(limit, called).await {
                // The module itself may say first that it has ended.
                Ok(Either::Left((Err(error), _)))
                    if error.kind == ModuleErrorKind::ModuleCrashed =>
                {
                    Err(slot.ended_in_call(&tool, &error.message))
                }
                Ok(Either::Left((Err(error), _))) if error.data.is_null() => {
                    Err(error.with(object!({ "module_id": slot.id(), "tool": tool })))
                }
                Ok(Either::Left((answer, _))) => answer,
                Ok(Either::Right((reason, _))) => Err(slot.ended_in_call(&tool, &reason)),
                Err(_) => Err(slot.too_slow(&format!("call_tool:{tool}"), limit)),
            }
        }
        .boxed_local()
    }

    fn ended_in_call(&self, tool: &str, reason: &str) -> ModuleError {
        let message = format!("module '{}' ended while it was called: {reason}", self.id());
        ModuleError::new(ModuleErrorKind::ModuleCrashed, message)
            .with(object!({ "module_id": self.id(), "tool": tool, "reason": reason }))
    }

    fn check_tool(&self, tool: &str) -> Result<(), ModuleError> {
        let tools = self.tools();
        if tools.iter().any(|known| known.name == tool) {
            return Ok(());
        }
        let available: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        Err(ModuleError::new(
            ModuleErrorKind::ToolNotFound,
            format!(
                "module '{}' has no tool '{tool}'; it has: {}",
                self.id(),
                available.join(", ")
            ),
        )
        .with(object!({ "module_id": self.id(), "tool": tool, "available_tools": available })))
    }

    /// Resolves when a module does not run any more.
    async fn crash(&self, module: &Rc<dyn Module>) -> String {
        loop {
            let changed = self.changed.notified();
            let running = self.running.borrow().clone();
            if !running.is_some_and(|running| Rc::ptr_eq(&running, module)) {
                let error = self.error.borrow().clone();
                return error.unwrap_or_else(|| "it was stopped".to_owned());
            }
            changed.await;
        }
    }

    /// Ends it for good.
    ///
    /// # Errors
    /// The module's; it runs on then.
    pub fn stop(self: &Rc<Self>) -> LocalBoxFuture<'static, Result<(), ModuleError>> {
        let slot = self.clone();
        async move {
            let running = slot.running.borrow().clone();
            if let Some(module) = &running {
                slot.stopping.set(true);
                let stopped = slot.host.timeout(STOP_TIMEOUT, module.stop()).await;
                slot.stopping.set(false);
                let error = match stopped {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error),
                    Err(_) => Some(slot.too_slow("close", STOP_TIMEOUT)),
                };
                if let Some(error) = error {
                    // It goes on, or has ended all the same.
                    slot.changed.notify_waiters();
                    return Err(slot.close_failed(&error));
                }
            }
            if slot.is_wanted() {
                slot.life.set(slot.life.get() + 1);
                slot.running.borrow_mut().take();
                slot.moves(ModuleHealth::Stopped);
            }
            Ok(())
        }
        .boxed_local()
    }

    fn close_failed(&self, error: &ModuleError) -> ModuleError {
        let message = format!("module '{}' could not be ended: {error}", self.id());
        self.watcher.warns(self.id(), &message);
        ModuleError::new(ModuleErrorKind::CloseFailed, message)
            .with(object!({ "module_id": self.id() }))
    }

    /// Starts it, anew if it runs.
    ///
    /// # Errors
    /// [`ModuleErrorKind::CloseFailed`] if the one that runs does not end: it goes on then. What it did not start with.
    pub fn start_anew(self: &Rc<Self>) -> LocalBoxFuture<'static, Result<(), ModuleError>> {
        let slot = self.clone();
        async move {
            slot.stop().await?;
            slot.begin();
            slot.loaded().await.map(|_| ())
        }
        .boxed_local()
    }

    /// Waits until it is known whether it runs.
    pub fn settled(self: &Rc<Self>) -> LocalBoxFuture<'static, ()> {
        if !self.is_on_its_way() {
            return ready(()).boxed_local();
        }
        self.loaded().map(|_| ()).boxed_local()
    }
}
