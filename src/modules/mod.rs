//! What the module runtime does beside the mob (MobKit contract, sections 14 and 15): modules and their tools, where something goes
//! and how it gets there, what is due when, who may do what, and what is held to be true.
//!
//! Each subsystem has its rules in a file of its own, as functions from values to values (`routing`, `delivery`, `schedule`,
//! `gating`, `memory`, and the policy in `supervisor`), and beside it the shell that keeps what they say in rows. What is decided and
//! what it changes in the mob, such as a message in a mailbox, are one batch.
//!
//! ```text
//! call ──► rules over the staged rows ──► rows, events and mailbox, one batch ──► answered
//!                        │ a module has a say
//!                        └──► supervisor ──► Module::call ──► rules again, with its answer
//! ```

mod alarm;
mod calls;
pub mod delivery;
mod events;
mod gate;
pub mod gating;
mod held;
mod judge;
pub mod memory;
mod port;
mod recall;
pub mod routing;
pub mod schedule;
mod send;
mod state;
mod supervisor;
#[cfg(test)]
mod tests;
mod tick;
mod tools;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use futures::future::{FutureExt, LocalBoxFuture, TryFutureExt, ready};
use serde_json::Value;

use crate::agent::http::HttpClient;
use crate::mob::{Core, MobError, MobStatus, Pending};
use crate::shim::Notify;
use crate::storage::{Batch, Participant};
use crate::wire::{ModuleError, ModuleErrorKind, TimestampMs};

pub use delivery::RateScope;
pub use events::{SubscribeRequest, SubscribeScope};
pub(crate) use gate::Gate;
pub use held::{HeldSchedule, ScheduleAction, ScheduleView};
pub use port::{CallContext, Module, ModuleConfig, ModuleFactory, RestartPolicy, TakeEvent};
pub use supervisor::{
    ModuleHealth, ModuleHealthTransition, ModuleStatus, RestartBudget, restart_after,
};
pub(crate) use tools::Tools;

use schedule::TimeZones;
use state::State;
use supervisor::{Slot, Watcher};

/// What the module runtime is made of.
pub(crate) struct Parts {
    pub modules: Vec<ModuleConfig>,
    pub budget: RestartBudget,
    pub rate_scope: RateScope,
    pub zones: Rc<dyn TimeZones>,
    /// What posts to webhooks; without one there are none.
    pub http: Option<Rc<dyn HttpClient>>,
    /// Who hears of what has no caller.
    pub trouble: Rc<dyn Fn(String)>,
}

pub(crate) struct Inner {
    core: Rc<Core>,
    state: State,
    slots: Vec<Rc<Slot>>,
    rate_scope: RateScope,
    zones: Rc<dyn TimeZones>,
    http: Option<Rc<dyn HttpClient>>,
    trouble: Rc<dyn Fn(String)>,
    /// Whether the mob worked when it was looked last what is due.
    looked: Cell<Option<MobStatus>>,
    /// When something is due next.
    due: Cell<Option<TimestampMs>>,
    /// Told when that changes.
    moved_due: Notify,
    /// When the alarm rings for what is under way.
    guarded: Cell<Option<TimestampMs>>,
    /// Deliveries that somebody here carries out.
    carried: RefCell<Vec<u64>>,
}

/// The module runtime of a mob. Clones are the same.
#[derive(Clone)]
pub struct Modules(Rc<Inner>);

/// The module runtime, for those that are made before it.
pub(crate) type Late = Rc<RefCell<Weak<Inner>>>;

/// Hears of modules; made before the runtime that it tells.
struct Ear(Late);

impl Watcher for Ear {
    fn warns(&self, module_id: &str, error: &str) {
        if let Some(inner) = self.0.borrow().upgrade() {
            inner.warn(module_id, error);
        }
    }

    fn tells(&self, module_id: &str, event: Value) -> Result<(), ModuleError> {
        let Some(inner) = self.0.borrow().upgrade() else {
            return Ok(());
        };
        let core = &inner.core;
        let event = events::normalised(module_id, &event, core.now(), || {
            ["evt-module-", &core.host.uuid_v7()].concat()
        })?;
        events::append(core, event);
        Ok(())
    }

    fn moved(&self) {
        if let Some(inner) = self.0.borrow().upgrade() {
            // Members may have waited for its tools.
            inner.core.runners.touch_all(&inner.core);
            inner.core.changed.notify_waiters();
        }
    }
}

impl Modules {
    /// Reads what is stored; no module runs yet.
    pub(crate) async fn open(core: &Rc<Core>, parts: Parts, late: &Late) -> Result<Self, MobError> {
        let state = State::new(&Core::prefix(&core.mob_id));
        state.load(core.storage.as_ref()).await?;
        let watcher: Rc<dyn Watcher> = Rc::new(Ear(late.clone()));
        let slots = parts.modules.into_iter();
        let slots =
            slots.map(|config| Slot::new(config, &core.host, parts.budget, watcher.clone()));
        let inner = Rc::new(Inner {
            core: core.clone(),
            state,
            slots: slots.collect(),
            rate_scope: parts.rate_scope,
            zones: parts.zones,
            http: parts.http,
            trouble: parts.trouble,
            looked: Cell::new(None),
            due: Cell::new(None),
            moved_due: Notify::new(),
            guarded: Cell::new(None),
            carried: RefCell::default(),
        });
        *late.borrow_mut() = Rc::downgrade(&inner);
        if let Some(writer) = &core.writer {
            writer.add_participant(inner.clone());
        }
        Ok(Self(inner))
    }

    /// Starts all modules, and takes up what was under way.
    pub(crate) fn start(&self) {
        for slot in &self.0.slots {
            slot.want();
        }
        self.0.look_at_due();
        self.0
            .core
            .host
            .spawn(self.0.clone().attend().boxed_local());
    }

    /// Reads again what another context has stored.
    pub(crate) async fn refresh(&self) -> Result<(), MobError> {
        Ok(self.0.state.load(self.0.core.storage.as_ref()).await?)
    }

    /// All modules that were given to the builder, in their order.
    pub fn statuses(&self) -> Vec<ModuleStatus> {
        self.0.slots.iter().map(|slot| slot.status()).collect()
    }

    /// The names of the modules that run.
    pub fn loaded(&self) -> Vec<String> {
        let loaded = self.0.slots.iter().filter(|slot| slot.is_loaded());
        loaded.map(|slot| slot.config.id.clone()).collect()
    }

    /// Waits until it is known of each module whether it runs.
    pub async fn settled(&self) {
        for slot in &self.0.slots {
            slot.settled().await;
        }
    }

    /// Lets these modules run, and no others: starts those that do not run, ends those that are not named. Answers how many were
    /// started, once it is known whether they run.
    ///
    /// # Errors
    /// [`ModuleErrorKind::ModuleNotConfigured`], and nothing has changed then; [`ModuleErrorKind::CloseFailed`] if one cannot be ended.
    pub fn reconcile(&self, wanted: &[String]) -> Pending<usize> {
        let found = self.0.wanted(wanted);
        let inner = self.0.clone();
        async move {
            let wanted = found?;
            for slot in &inner.slots {
                let stays = wanted.iter().any(|wanted| Rc::ptr_eq(wanted, slot));
                if !stays && slot.is_wanted() {
                    slot.stop().await?;
                }
            }
            let mut added = 0;
            for slot in &wanted {
                if !slot.is_wanted() {
                    added += 1;
                    slot.want();
                }
            }
            for slot in &wanted {
                slot.settled().await;
            }
            Ok(added)
        }
        .boxed_local()
    }

    /// Starts a module, anew if it runs.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `ModuleNotConfigured`; `CloseFailed` if the one that runs does not end, which goes on then;
    /// `ModuleNotLoaded` if it does not start.
    pub fn spawn(&self, module_id: &str) -> Pending<()> {
        let found = self.0.check_works();
        let found = found.and_then(|()| Ok(self.0.slot(module_id)?));
        begun(found.map(Slot::start_anew))
    }

    /// Ends a module. It is not started again by itself.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `ModuleNotConfigured`, `CloseFailed`.
    pub fn stop(&self, module_id: &str) -> Pending<()> {
        let found = self.0.check_works();
        let found = found.and_then(|()| Ok(self.0.slot(module_id)?));
        begun(found.map(Slot::stop))
    }

    /// Ends all modules; answers those that have ended.
    pub(crate) async fn stop_all(&self) -> Vec<String> {
        let mut ended = Vec::new();
        for slot in &self.0.slots {
            if slot.is_wanted() && slot.stop().await.is_ok() {
                ended.push(slot.config.id.clone());
            }
        }
        ended
    }

    /// Calls a tool of a module.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `ModuleNotLoaded`, `ToolNotFound`, `Timeout`, `ModuleCrashed`, or what the tool failed with.
    pub fn call_tool(&self, module_id: &str, tool: &str, args: Value) -> Pending<Value> {
        let kind = ModuleErrorKind::ModuleNotLoaded;
        let found = self.0.check_works();
        let found = found.and_then(|()| Ok(self.0.loaded_slot(module_id, kind)?));
        begun(found.map(|slot| slot.call(tool, args, CallContext::default())))
    }

    /// What happened, told again (MobKit contract, section 14.6), as JSON.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `EmptyCheckpoint`, `UnknownCheckpoint`, `MissingAgentId`, `InvalidAgentId`; storage's.
    pub async fn subscribe_events(&self, request: &SubscribeRequest) -> Result<String, MobError> {
        events::subscribe(&self.0.core, request).await
    }
}

/// What a module was asked for, unless that cannot be begun.
fn begun<T: 'static>(
    asked: Result<LocalBoxFuture<'static, Result<T, ModuleError>>, MobError>,
) -> Pending<T> {
    match asked {
        Ok(asked) => asked.err_into().boxed_local(),
        Err(error) => ready(Err(error)).boxed_local(),
    }
}

impl Inner {
    /// Whether this context takes requests.
    fn check_works(&self) -> Result<(), MobError> {
        self.core.check_open()?;
        self.check_leads()
    }

    fn check_leads(&self) -> Result<(), MobError> {
        match self.core.writer {
            Some(_) => Ok(()),
            None => Err(MobError::NotLeader),
        }
    }

    /// The modules of these names.
    fn wanted(&self, names: &[String]) -> Result<Vec<Rc<Slot>>, MobError> {
        self.check_works()?;
        let mut slots = Vec::new();
        for id in names {
            slots.push(self.slot(id)?.clone());
        }
        Ok(slots)
    }

    fn find(&self, module_id: &str) -> Option<&Rc<Slot>> {
        self.slots.iter().find(|slot| slot.config.id == module_id)
    }

    fn slot(&self, module_id: &str) -> Result<&Rc<Slot>, ModuleError> {
        self.find(module_id).ok_or_else(|| {
            ModuleError::new(
                ModuleErrorKind::ModuleNotConfigured,
                format!("module '{module_id}' is not configured"),
            )
            .with(crate::wire::json::object!({ "module_id": module_id }))
        })
    }

    /// A module that runs, or is about to.
    fn loaded_slot(&self, module_id: &str, kind: ModuleErrorKind) -> Result<Rc<Slot>, ModuleError> {
        match self.find(module_id).filter(|slot| slot.is_wanted()) {
            Some(slot) => Ok(slot.clone()),
            None => Err(
                ModuleError::new(kind, format!("Module '{module_id}' not loaded"))
                    .with(crate::wire::json::object!({ "module_id": module_id })),
            ),
        }
    }

    /// Calls a tool of one of the runtime's own modules; a text is its JSON.
    fn ask(
        &self,
        slot: &Rc<Slot>,
        tool: &'static str,
        args: Value,
        context: CallContext,
    ) -> LocalBoxFuture<'static, Result<Value, ModuleError>> {
        let asked = slot.call(tool, args, context);
        let slot = slot.clone();
        let answer = asked.map(move |answer| match answer? {
            Value::String(text) => crate::wire::json::parse(text.as_bytes()).map_err(|error| {
                ModuleError::new(
                    ModuleErrorKind::InvalidJsonResponse,
                    format!(
                        "'{tool}' of module '{}' answered no JSON: {error}",
                        slot.config.id
                    ),
                )
            }),
            answer => Ok(answer),
        });
        answer.boxed_local()
    }

    fn warn(&self, module_id: &str, error: &str) {
        let core = &self.core;
        let at = core.now();
        let id = format!("evt-supervisor-warning-{module_id}-{at}");
        let payload = crate::wire::json::object!({ "error": error });
        events::append(
            core,
            events::event(module_id, id, "supervisor.warning", at, payload),
        );
        (self.trouble)(format!("module '{module_id}': {error}"));
    }

    fn now_ms(&self) -> u64 {
        self.core.now().get()
    }
}

impl Participant for Inner {
    fn stage(&self, _: &mut Batch) {}

    fn settle(&self, committed: bool) {
        let changed = self.state.settle(committed);
        if changed || self.looked.get() != self.mob_status() {
            self.look_at_due();
        }
    }
}

/// The earlier of two times.
fn earlier(a: Option<TimestampMs>, b: Option<TimestampMs>) -> Option<TimestampMs> {
    a.into_iter().chain(b).min()
}
