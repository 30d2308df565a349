//! Modules of a scenario: the built-in ones by their names, and those whose tools go by a rule. `www/edge/support/golden.ts` has the same.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, pending, ready};
use serde_json::{Value, json};

use crate::agent::model::ToolDefinition;
use crate::modules::{CallContext, Module, ModuleConfig, ModuleFactory, TakeEvent};
use crate::wire::{ModuleError, ModuleErrorKind};

/// Tools with their rules: `"echo"` answers the arguments, `"hang"` never answers; `{"answer": …}` answers this, `{"fail": "…"}` fails so.
#[derive(Clone)]
struct Ruled(Rc<BTreeMap<String, Value>>);

/// A module of a scenario.
pub(in crate::console::tests) fn module(named: &Value) -> ModuleConfig {
    if let Some(name) = named.as_str() {
        return ModuleConfig::built_in(name)
            .unwrap_or_else(|| panic!("no module {name} is built in"));
    }
    let rules = serde_json::from_value(named["tools"].clone()).unwrap();
    ModuleConfig::new(
        named["id"].as_str().unwrap(),
        Rc::new(Ruled(Rc::new(rules))),
    )
}

impl ModuleFactory for Ruled {
    fn start(&self, _: TakeEvent) -> LocalBoxFuture<'static, Result<Rc<dyn Module>, ModuleError>> {
        let module: Rc<dyn Module> = Rc::new(self.clone());
        ready(Ok(module)).boxed_local()
    }
}

impl Module for Ruled {
    fn tools(&self) -> LocalBoxFuture<'static, Result<Vec<ToolDefinition>, ModuleError>> {
        let tool = |name: &String| ToolDefinition {
            name: name.clone(),
            description: String::new(),
            input_schema: json!({ "type": "object" }),
        };
        ready(Ok(self.0.keys().map(tool).collect())).boxed_local()
    }

    fn call(
        &self,
        tool: &str,
        args: Value,
        _: CallContext,
    ) -> LocalBoxFuture<'static, Result<Value, ModuleError>> {
        let rule = &self.0[tool];
        let answer = match (rule.as_str(), rule.get("fail")) {
            (Some("echo"), _) => Ok(args),
            (Some("hang"), _) => return pending().boxed_local(),
            (_, Some(told)) => Err(ModuleError::new(
                ModuleErrorKind::ToolCallFailed,
                told.as_str().unwrap(),
            )),
            _ => Ok(rule["answer"].clone()),
        };
        ready(answer).boxed_local()
    }

    fn stop(&self) -> LocalBoxFuture<'static, Result<(), ModuleError>> {
        ready(Ok(())).boxed_local()
    }
}
