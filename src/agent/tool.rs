//! Tools that a member may call, and the gate in front of them.
//!
//! A tool that changes something durable does not write by itself: it returns an [`Effect`], which the run stages in
//! the same batch as the tool's result. A crash therefore leaves either both or neither.

use std::fmt;
use std::rc::Rc;

use futures::future::LocalBoxFuture;
use serde_json::Value;

use crate::agent::model::{ToolCall, ToolDefinition};
use crate::storage::Batch;
use crate::wire::json;
use crate::wire::{AgentIdentity, InteractionId, ToolCallId};

/// Who calls a tool, and on whose behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolContext {
    /// The member that calls.
    pub identity: AgentIdentity,
    /// The interaction that the running work belongs to.
    pub interaction_id: InteractionId,
    /// The model's id of this call.
    pub call_id: ToolCallId,
}

/// What a durable tool adds to the batch of its own result.
///
/// Called in the writer, in order with everything else, and perhaps twice (a failed group commit is tried again
/// singly). It validates before it adds its first row: after an `Err` nothing of it may be in the batch. The error's
/// text becomes the tool's result.
pub type Effect = Box<dyn FnMut(&mut Batch) -> Result<(), String>>;

/// What a tool answered.
pub struct ToolOutput {
    /// The text that the model reads.
    pub content: String,
    /// What becomes durable together with the answer.
    pub effect: Option<Effect>,
}

impl ToolOutput {
    /// A plain answer.
    pub fn text(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            effect: None,
        }
    }

    /// An answer that a JSON value makes: a string as it is, anything else as JSON text.
    pub fn json(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::text(text.clone()),
            other => Self::text(json::text(other)),
        }
    }
}

impl fmt::Debug for ToolOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolOutput")
            .field("content", &self.content)
            .field("effect", &self.effect.is_some())
            .finish()
    }
}

/// A tool's failure; the model reads the text as the call's result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// What went wrong, for the model and for people.
    pub message: String,
}

impl ToolError {
    /// A failure with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// One tool.
pub trait Tool {
    /// Name, description and JSON schema of the arguments.
    fn definition(&self) -> ToolDefinition;

    /// Runs the tool. Dropping the future cancels it.
    fn call(
        &self,
        args: Value,
        context: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>>;
}

/// A gate's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolDecision {
    /// The call runs.
    Approve,
    /// The call does not run; the model reads the reason.
    Deny {
        /// Why, for the model and for people.
        reason: String,
    },
}

/// What a gate is asked.
#[derive(Clone, Debug)]
pub struct ToolRequest {
    /// Who calls.
    pub context: ToolContext,
    /// What is called, with its arguments.
    pub call: ToolCall,
}

/// One callback that approves or denies each call of a tool before it runs.
pub trait ToolGate {
    /// Decides about one call; may take as long as a person needs.
    fn decide(&self, request: ToolRequest) -> LocalBoxFuture<'static, ToolDecision>;

    /// Whether the decision outlives the run: the call waits on after a restart, and is asked about again. Otherwise it counts as
    /// interrupted.
    fn holds(&self, request: &ToolRequest) -> bool {
        let _ = request;
        false
    }

    /// A call that was held has heard the decision: what was kept for it goes with the commit. Perhaps called twice, as an
    /// [`Effect`] is.
    fn heard(&self, batch: &mut Batch, context: &ToolContext) {
        let _ = (batch, context);
    }
}

/// Where tools come from that are not there all the time, such as those of modules.
pub trait ToolSource {
    /// The tools of these modules, under names that no others have.
    fn tools(&self, modules: &[String]) -> Vec<Rc<dyn Tool>>;

    /// The first of these modules that there is not.
    fn missing(&self, modules: &[String]) -> Option<String>;

    /// Why somebody who has the tools of these modules should wait before it works; none if nothing is to be waited for.
    fn waits(&self, modules: &[String]) -> Option<String>;
}

/// The tools that one member has, by name.
#[derive(Clone, Default)]
pub struct ToolSet {
    tools: Vec<Rc<dyn Tool>>,
}

impl ToolSet {
    /// No tools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tool; one of the same name is replaced.
    pub fn insert(&mut self, tool: Rc<dyn Tool>) {
        let name = tool.definition().name;
        self.tools.retain(|known| known.definition().name != name);
        self.tools.push(tool);
    }

    /// The tool of this name.
    pub fn get(&self, name: &str) -> Option<Rc<dyn Tool>> {
        self.tools
            .iter()
            .find(|tool| tool.definition().name == name)
            .cloned()
    }

    /// The tools, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Rc<dyn Tool>> {
        self.tools.iter()
    }

    /// What the model is told of them, in the order in which they were added.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        self.tools.iter().map(|tool| tool.definition()).collect()
    }
}

impl fmt::Debug for ToolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.tools.iter().map(|tool| tool.definition().name))
            .finish()
    }
}
