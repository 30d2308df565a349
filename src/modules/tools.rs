//! Tools of modules in the hands of members.

use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::Value;

use crate::agent::model::ToolDefinition;
use crate::agent::tool::{Tool, ToolContext, ToolError, ToolOutput, ToolSource};
use crate::modules::Late;
use crate::modules::port::CallContext;
use crate::modules::supervisor::Slot;

/// The longest name of a tool that providers of models take.
const NAME_BYTES: usize = 64;

/// The modules' tools.
pub(crate) struct Tools(pub Late);

impl Tools {
    fn slots(&self, modules: &[String]) -> Vec<Rc<Slot>> {
        let Some(inner) = self.0.borrow().upgrade() else {
            return Vec::new();
        };
        let slots = modules.iter().filter_map(|id| inner.find(id).cloned());
        slots.collect()
    }
}

impl ToolSource for Tools {
    fn tools(&self, modules: &[String]) -> Vec<Rc<dyn Tool>> {
        let mut tools: Vec<Rc<dyn Tool>> = Vec::new();
        for slot in self.slots(modules) {
            // A module that is not there keeps its tools: who calls one hears that it is not.
            for tool in slot.tools().iter() {
                tools.push(Rc::new(ModuleTool {
                    name: member_name(&slot.config.id, &tool.name),
                    tool: tool.clone(),
                    slot: slot.clone(),
                }));
            }
        }
        tools
    }

    fn missing(&self, modules: &[String]) -> Option<String> {
        let inner = self.0.borrow().upgrade()?;
        modules.iter().find(|id| inner.find(id).is_none()).cloned()
    }

    fn waits(&self, modules: &[String]) -> Option<String> {
        let slots = self.slots(modules);
        let waited = slots.iter().find(|slot| slot.is_on_its_way())?;
        Some(format!(
            "the module `{}` is being started",
            waited.config.id
        ))
    }
}

/// The name that a module's tool has for members: `{module}__{tool}`, of the characters that providers of models take.
pub(crate) fn member_name(module_id: &str, tool: &str) -> String {
    let name = [module_id, "__", tool].concat();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = name.chars().map(|c| if allowed(c) { c } else { '_' });
    name.take(NAME_BYTES).collect()
}

struct ModuleTool {
    name: String,
    tool: ToolDefinition,
    slot: Rc<Slot>,
}

impl Tool for ModuleTool {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: self.name.clone(),
            ..self.tool.clone()
        }
    }

    fn call(
        &self,
        args: Value,
        context: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        let (slot, tool) = (self.slot.clone(), self.tool.name.clone());
        let context = CallContext {
            caller: Some(context),
            delivery_id: None,
        };
        async move {
            let answered = slot.call(&tool, args, context).await;
            let answered = answered.map_err(|error| ToolError::new(error.into_message()))?;
            Ok(ToolOutput::json(&answered))
        }
        .boxed_local()
    }
}
