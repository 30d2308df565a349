//! What a module is to the runtime: something outside of it that has tools (MobKit contract, section 14.4).

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, pending, ready};
use serde_json::{Map, Value};

use crate::agent::model::ToolDefinition;
use crate::agent::tool::ToolContext;
use crate::wire::ModuleError;
use crate::wire::json::{object, words};

/// On whose behalf a tool of a module is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallContext {
    /// The member that calls; none when it is no member that does.
    pub caller: Option<ToolContext>,
    /// What is being delivered: the same for each attempt, so that a receiver can tell a repetition.
    pub delivery_id: Option<String>,
}

/// A module that runs.
pub trait Module {
    /// Its tools.
    fn tools(&self) -> LocalBoxFuture<'static, Result<Vec<ToolDefinition>, ModuleError>>;

    /// Calls a tool. Dropping the future gives the call up.
    fn call(
        &self,
        tool: &str,
        args: Value,
        context: CallContext,
    ) -> LocalBoxFuture<'static, Result<Value, ModuleError>>;

    /// Ends it.
    fn stop(&self) -> LocalBoxFuture<'static, Result<(), ModuleError>>;

    /// Resolves when it has ended by itself, with the reason.
    fn ended(&self) -> LocalBoxFuture<'static, String> {
        pending().boxed_local()
    }
}

/// Takes the JSON of an event from a module; says why, if it is none.
pub type TakeEvent = Rc<dyn Fn(Value) -> Result<(), ModuleError>>;

/// Starts a module, each time that it has to be.
pub trait ModuleFactory {
    /// Starts it; it may tell of events from now on. Dropping the future gives the start up.
    fn start(
        &self,
        events: TakeEvent,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Module>, ModuleError>>;
}

words! {
    /// When a module that has ended is started again (MobKit contract, section 14.3).
    #[derive(Default)]
    pub enum RestartPolicy {
        /// Never.
        Never = "never",
        /// When it did not start, or broke.
        #[default]
        OnFailure = "on_failure",
        /// The same, with a budget of its own.
        Always = "always",
    }
}

/// A module as it is given to the builder.
#[derive(Clone)]
pub struct ModuleConfig {
    /// Its name.
    pub id: String,
    /// What starts it.
    pub factory: Rc<dyn ModuleFactory>,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How long it may take to start and to say which tools it has; 30 s if it is not said.
    pub start_timeout: Duration,
    /// How long a call may take; 30 s if it is not said.
    pub call_timeout: Duration,
}

impl ModuleConfig {
    /// A module with the defaults.
    pub fn new(id: impl Into<String>, factory: Rc<dyn ModuleFactory>) -> Self {
        Self {
            id: id.into(),
            factory,
            restart: RestartPolicy::default(),
            start_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(30),
        }
    }

    /// A module that is part of the runtime: `router`, which leaves what is routed as it is, or `delivery`, which leaves what is
    /// delivered to the runtime's own sinks. None of another name.
    pub fn built_in(id: &str) -> Option<Self> {
        let (id, tool) = BUILT_IN.iter().find(|(known, _)| *known == id)?;
        Some(Self::new(*id, Rc::new(BuiltIn(tool))))
    }
}

/// The modules that are part of the runtime, with their tool.
const BUILT_IN: [(&str, &str); 2] = [("router", "routing.resolve"), ("delivery", "delivery.send")];

struct BuiltIn(&'static str);

impl ModuleFactory for BuiltIn {
    fn start(&self, _: TakeEvent) -> LocalBoxFuture<'static, Result<Rc<dyn Module>, ModuleError>> {
        let module: Rc<dyn Module> = Rc::new(BuiltIn(self.0));
        ready(Ok(module)).boxed_local()
    }
}

impl Module for BuiltIn {
    fn tools(&self) -> LocalBoxFuture<'static, Result<Vec<ToolDefinition>, ModuleError>> {
        let tool = ToolDefinition {
            name: self.0.to_owned(),
            description: String::new(),
            input_schema: object!({ "type": "object" }),
        };
        ready(Ok(vec![tool])).boxed_local()
    }

    fn call(
        &self,
        _: &str,
        _: Value,
        _: CallContext,
    ) -> LocalBoxFuture<'static, Result<Value, ModuleError>> {
        ready(Ok(Value::Object(Map::new()))).boxed_local()
    }

    fn stop(&self) -> LocalBoxFuture<'static, Result<(), ModuleError>> {
        ready(Ok(())).boxed_local()
    }
}
