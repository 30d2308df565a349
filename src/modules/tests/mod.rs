//! The module runtime on the simulator, with modules that do as they are told.

mod crashes;
mod events;
mod gating;
mod held_calls;
mod lifecycle;
mod member_tools;
mod memory;
mod routing;
mod schedules;
mod sending;
mod supervision;
mod ticks;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::agent::model::ToolDefinition;
use crate::agent::scripted::{Reply, ScriptedModel};
use crate::mob::MobError;
use crate::mob::definition::MobDefinition;
use crate::modules::{
    CallContext, Module, ModuleConfig, ModuleFactory, ModuleHealth, Modules, TakeEvent,
};
use crate::runtime::{UnifiedRuntime, UnifiedRuntimeBuilder};
use crate::shim::{Host, Notify, Wake};
use crate::sim::{BundledZones, CommitFault, Sim, SimDisk, SimError, StoragePlan};
use crate::storage::Storage;
use crate::wire::{AgentIdentity, ModuleError, ModuleErrorKind};

/// What a tool does.
type Answer = Rc<dyn Fn(&Value, &CallContext) -> Result<Value, ModuleError>>;

/// A module that does as it is told, over all its lives.
#[derive(Clone)]
pub(super) struct Script(Rc<Told>);

struct Told {
    host: Host,
    tools: RefCell<Vec<(String, Answer)>>,
    starts: Cell<u32>,
    /// How many of the next starts fail; those beyond any number never end.
    failing: Cell<u32>,
    hangs: Cell<bool>,
    stubborn: Cell<bool>,
    takes: Cell<Duration>,
    calls: RefCell<Vec<(String, Value, CallContext)>>,
    crash: RefCell<Option<String>>,
    crashed: Notify,
    events: RefCell<Option<TakeEvent>>,
    stopped: Cell<u32>,
}

impl Script {
    pub fn new(host: &Host) -> Self {
        Self(Rc::new(Told {
            host: host.clone(),
            tools: RefCell::default(),
            starts: Cell::new(0),
            failing: Cell::new(0),
            hangs: Cell::new(false),
            stubborn: Cell::new(false),
            takes: Cell::new(Duration::ZERO),
            calls: RefCell::default(),
            crash: RefCell::default(),
            crashed: Notify::new(),
            events: RefCell::default(),
            stopped: Cell::new(0),
        }))
    }

    pub fn tool(
        self,
        name: &str,
        answer: impl Fn(&Value, &CallContext) -> Result<Value, ModuleError> + 'static,
    ) -> Self {
        let mut tools = self.0.tools.borrow_mut();
        tools.retain(|(known, _)| known != name);
        tools.push((name.to_owned(), Rc::new(answer)));
        drop(tools);
        self
    }

    /// A module whose tools answer their arguments.
    pub fn echo(host: &Host) -> Self {
        Self::new(host).tool("say", |args, _| Ok(args.clone()))
    }

    pub fn config(&self, id: &str) -> ModuleConfig {
        ModuleConfig::new(id, Rc::new(self.clone()))
    }

    pub fn starts(&self) -> u32 {
        self.0.starts.get()
    }

    pub fn calls(&self) -> Vec<(String, Value, CallContext)> {
        self.0.calls.borrow().clone()
    }

    /// The next starts fail.
    pub fn fail_starts(&self, count: u32) {
        self.0.failing.set(count);
    }

    /// It ends by itself.
    pub fn crash(&self, reason: &str) {
        *self.0.crash.borrow_mut() = Some(reason.to_owned());
        self.0.crashed.notify_waiters();
    }

    pub fn tell(&self, event: Value) -> Result<(), ModuleError> {
        let take = self.0.events.borrow().clone();
        take.expect("it was started")(event)
    }
}

impl ModuleFactory for Script {
    fn start(
        &self,
        events: TakeEvent,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Module>, ModuleError>> {
        let script = self.clone();
        async move {
            let told = &script.0;
            told.starts.set(told.starts.get() + 1);
            *told.events.borrow_mut() = Some(events);
            if told.hangs.get() {
                futures::future::pending::<()>().await;
            }
            if told.failing.get() > 0 {
                told.failing.set(told.failing.get() - 1);
                let message = format!("start {} fails", told.starts.get());
                return Err(ModuleError::new(ModuleErrorKind::ConnectionFailed, message));
            }
            told.crash.borrow_mut().take();
            let module: Rc<dyn Module> = Rc::new(script.clone());
            Ok(module)
        }
        .boxed_local()
    }
}

impl Module for Script {
    fn tools(&self) -> LocalBoxFuture<'static, Result<Vec<ToolDefinition>, ModuleError>> {
        let told = self.0.tools.borrow();
        let tools = told.iter().map(|(name, _)| ToolDefinition {
            name: name.clone(),
            description: format!("does {name}"),
            input_schema: json!({ "type": "object" }),
        });
        let tools = Ok(tools.collect());
        futures::future::ready(tools).boxed_local()
    }

    fn call(
        &self,
        tool: &str,
        args: Value,
        context: CallContext,
    ) -> LocalBoxFuture<'static, Result<Value, ModuleError>> {
        let (told, tool) = (self.0.clone(), tool.to_owned());
        async move {
            told.calls
                .borrow_mut()
                .push((tool.clone(), args.clone(), context.clone()));
            if !told.takes.get().is_zero() {
                told.host.sleep(told.takes.get()).await;
            }
            let answer = {
                let tools = told.tools.borrow();
                tools
                    .iter()
                    .find(|(name, _)| *name == tool)
                    .unwrap()
                    .1
                    .clone()
            };
            answer(&args, &context)
        }
        .boxed_local()
    }

    fn stop(&self) -> LocalBoxFuture<'static, Result<(), ModuleError>> {
        self.0.stopped.set(self.0.stopped.get() + 1);
        let stopped = match self.0.stubborn.get() {
            true => Err(ModuleError::new(
                ModuleErrorKind::CloseFailed,
                "it does not end",
            )),
            false => Ok(()),
        };
        // As a worker does that is told to end: its end is seen as well.
        if stopped.is_ok() {
            self.crash("told to end");
        }
        futures::future::ready(stopped).boxed_local()
    }

    fn ended(&self) -> LocalBoxFuture<'static, String> {
        let told = self.0.clone();
        async move {
            loop {
                let crashed = told.crashed.notified();
                if let Some(reason) = told.crash.borrow().clone() {
                    return reason;
                }
                crashed.await;
            }
        }
        .boxed_local()
    }
}

pub(super) fn failed(message: &str) -> ModuleError {
    ModuleError::new(ModuleErrorKind::ToolCallFailed, message)
}

pub(super) fn id(name: &str) -> AgentIdentity {
    AgentIdentity::new(name).unwrap()
}

/// A mob of one member, who says what it is told to.
pub(super) const ONE: &str = r#"
[mob]
id = "m"
[profiles.p]
model = "scripted"
[[members]]
profile = "p"
identity = "ada"
"#;

pub(super) fn definition(extra: &str) -> MobDefinition {
    MobDefinition::from_toml(&ONE.replace(
        "model = \"scripted\"",
        &format!("model = \"scripted\"\n{extra}"),
    ))
    .unwrap()
}

pub(super) fn builder(host: &Host, disk: &SimDisk) -> UnifiedRuntimeBuilder {
    let model = ScriptedModel::answering(host.clone(), |_| Reply::text("heard"));
    UnifiedRuntime::builder()
        .definition(definition(""))
        .host(host.clone())
        .storage(disk.open(host, StoragePlan::default()))
        .model("scripted", Rc::new(model))
        .time_zones(Rc::new(BundledZones::new()))
}

/// A mob with the built-in modules.
pub(super) async fn routed(host: &Host, disk: &SimDisk) -> UnifiedRuntime {
    let builder = builder(host, disk)
        .module(ModuleConfig::built_in("router").unwrap())
        .module(ModuleConfig::built_in("delivery").unwrap());
    builder.build().await.unwrap()
}

pub(super) fn in_sim<F: Future>(
    seed: u64,
    test: impl FnOnce(Rc<Sim>, Host, SimDisk) -> F,
) -> F::Output {
    let sim = Rc::new(Sim::new(seed));
    sim.block_on(test(sim.clone(), sim.host(), SimDisk::new()))
}

/// A life on a disk, which ends where the plan says, or with the test's end.
pub(super) fn life<T>(
    seed: u64,
    disk: &SimDisk,
    plan: StoragePlan,
    test: impl AsyncFnOnce(Host, Rc<dyn Storage>) -> T,
) -> Result<T, SimError> {
    let sim = Sim::new(seed);
    let host = sim.host();
    let storage = disk.open(&host, plan);
    let crash = sim.crash_switch();
    storage.on_crash(move || crash.crash());
    sim.try_block_on(test(host, storage))
}

/// Every way to die, at each of so many commits: the trial is given its number, its plan and its name.
pub(super) fn at_every_commit(commits: u64, mut trial: impl FnMut(u64, StoragePlan, &str)) {
    for fault in [
        CommitFault::CrashBefore,
        CommitFault::CrashTorn,
        CommitFault::CrashAfter,
    ] {
        for at in 1..=commits {
            let name = format!("{fault:?} at commit {at}");
            trial(at, StoragePlan::default().at(at, fault.clone()), &name);
        }
    }
}

/// An alarm that outlives its host, and remembers when it rings and whether somebody is at work.
#[derive(Default)]
pub(super) struct Alarm(pub Cell<(Option<u64>, bool)>);

impl Wake for Alarm {
    fn arm(&self, at: Option<u64>, works: bool) {
        self.0.set((at, works));
    }
}

/// Lets everything be written that waits for company: while nobody works, events are shown when they are stored.
pub(super) async fn written(host: &Host) {
    host.sleep(Duration::from_secs(6)).await;
}

/// Lets everything run that needs no time.
pub(super) async fn settle(host: &Host) {
    host.sleep(Duration::from_millis(1)).await;
}

pub(super) fn kind<T: std::fmt::Debug>(refused: Result<T, MobError>) -> ModuleErrorKind {
    match refused.unwrap_err() {
        MobError::Module(error) => error.kind,
        other => panic!("{other:?}"),
    }
}

/// A module's health, and how it came to that.
pub(super) fn moves(modules: &Modules, module_id: &str) -> Vec<ModuleHealth> {
    let statuses = modules.statuses();
    let status = statuses
        .iter()
        .find(|it| it.module_id == module_id)
        .unwrap();
    status.transitions.iter().map(|it| it.to).collect()
}

/// The events of modules: which module, which type, which payload.
pub(super) async fn told(runtime: &UnifiedRuntime) -> Vec<(String, String, Value)> {
    let text = runtime
        .query_events_text(&crate::wire::EventQuery {
            limit: Some(10_000),
            ..Default::default()
        })
        .await
        .unwrap();
    let page: Value = serde_json::from_str(&text).unwrap();
    let events = page["events"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    events
        .map(|event| &event["event"])
        .filter(|event| event["kind"] == "module")
        .map(|event| {
            (
                text(&event["module"]),
                text(&event["event_type"]),
                event["payload"].clone(),
            )
        })
        .collect()
}
