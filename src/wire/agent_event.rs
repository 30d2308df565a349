//! What a member does, event by event (MobKit contract, section 19).
//!
//! The JSON tag is `type`. An event of a type that this version does not know decodes as [`AgentEvent::Unknown`] and is
//! written again as it came.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Error, Map, Value};

use super::tagged::{self, take_field};
use super::{ContentBlock, ContentInput, InteractionId, SessionId, ToolCallId};

/// Why a turn of the model ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model said all it had to say.
    EndTurn,
    /// The model asks for tool calls.
    ToolUse,
    /// The bound on output tokens was reached.
    MaxTokens,
    /// A stop sequence was produced.
    StopSequence,
    /// The provider withheld content.
    ContentFilter,
    /// The turn was cancelled.
    Cancelled,
}

/// The class of the error that ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentErrorClass {
    /// The model or its provider.
    Llm,
    /// Storage.
    Store,
    /// A tool.
    Tool,
    /// An MCP server.
    Mcp,
    /// The session is not there.
    SessionNotFound,
    /// A budget of time, tokens or tool calls was used up.
    Budget,
    /// The answer was cut at the bound on output tokens.
    MaxTokens,
    /// The provider withheld content.
    ContentFiltered,
    /// The bound on turns was reached.
    MaxTurns,
    /// Somebody cancelled it.
    Cancelled,
    /// The member was not in a state to do it.
    InvalidState,
    /// The operation is not there.
    OperationNotFound,
    /// The bound on nested or forwarded work was reached.
    DepthLimit,
    /// Too much at once.
    ConcurrencyLimit,
    /// The configuration is at fault.
    Config,
    /// A defect of the runtime.
    Internal,
    /// The member could not be built.
    Build,
    /// The provider refused the credentials.
    Auth,
    /// A callback is awaited.
    CallbackPending,
    /// The output does not have the structure asked for.
    StructuredOutput,
    /// The structure asked for is itself invalid.
    InvalidOutputSchema,
    /// A hook failed or denied.
    Hook,
    /// The run was ended from outside; `terminal_cause_kind` says by what.
    Terminal,
    /// No turn boundary to act at.
    NoPendingBoundary,
}

/// Tokens used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Tokens written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_creation_tokens: Option<u64>,
    /// Tokens read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
}

impl Usage {
    /// Input and output together.
    pub fn total(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
            a.map_or(b, |a| Some(a.saturating_add(b.unwrap_or(0))))
        }
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_creation_tokens = sum(self.cache_creation_tokens, other.cache_creation_tokens);
        self.cache_read_tokens = sum(self.cache_read_tokens, other.cache_read_tokens);
    }
}

/// When a message that arrives during a turn is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlingMode {
    /// In its turn, after the work that waits already.
    #[default]
    Queue,
    /// As soon as possible: between two turns of the run at work.
    Steer,
}

/// Which budget an [`AgentEvent::BudgetWarning`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetType {
    /// Tokens, input and output together.
    Tokens,
    /// Milliseconds.
    Time,
    /// Tool calls.
    ToolCalls,
}

/// How a background job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackgroundJobStatus {
    /// With its result.
    Completed,
    /// With an error.
    Failed,
    /// Stopped by its own side.
    Aborted,
    /// Stopped on request.
    Cancelled,
    /// Its member was retired.
    Retired,
    /// Its run was ended.
    Terminated,
}

/// An image that the assistant made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssistantImage {
    /// Which image.
    pub image_id: String,
    /// Where its bytes are.
    pub blob_ref: Value,
    /// Its media type, e.g. `image/png`.
    pub media_type: String,
    /// Width in pixels.
    #[serde(default)]
    pub width: Option<u32>,
    /// Height in pixels.
    #[serde(default)]
    pub height: Option<u32>,
    /// The prompt as the provider rewrote it.
    #[serde(default)]
    pub revised_prompt: Option<String>,
    /// What else the provider said.
    #[serde(default)]
    pub meta: Value,
}

/// What happened to a tool configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolConfigOperation {
    /// A tool was added.
    Add,
    /// A tool was removed.
    Remove,
    /// Tools were loaded anew.
    Reload,
}

/// A change of a member's tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolConfigChange {
    /// What was done.
    pub operation: ToolConfigOperation,
    /// To which tool or source.
    pub target: String,
    /// How it went.
    pub status: String,
    /// Whether it outlives the session.
    pub persisted: bool,
    /// From which turn on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at_turn: Option<u32>,
    /// Which kind of tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What changed in a catalogue that is loaded on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred_catalog_delta: Option<Value>,
}

macro_rules! agent_events {
    ($($(#[doc = $doc:literal])+ $variant:ident $tag:literal $({ $($(#[$($attr:tt)*])* $field:ident: $type:ty,)* })?)*) => {
        /// One thing that a member did or that was done to it.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(remote = "Self", tag = "type")]
        pub enum AgentEvent {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $tag)]
                $variant $({ $($(#[$($attr)*])* $field: $type,)* })?,
            )*
            /// An event of a type that this version does not know, with all its fields, `type` included.
            #[serde(skip)]
            Unknown(Map<String, Value>),
        }

        impl AgentEvent {
            /// The type's name: the same text as the `type` of the JSON.
            pub fn agent_event_type(&self) -> &str {
                match self {
                    $(Self::$variant { .. } => $tag,)*
                    Self::Unknown(fields) => fields.get("type").and_then(Value::as_str).unwrap_or("unknown"),
                }
            }

            /// The types that this version knows.
            pub const TYPES: &[&str] = &[$($tag,)*];

            fn from_fields(mut fields: Map<String, Value>) -> Result<Self, Error> {
                let tag = tagged::take_tag(&mut fields, "type")?;
                Ok(match tag.as_str() {
                    $($tag => Self::$variant $({ $($field: take_field!(fields $field $(#[$($attr)*])*),)* })?,)*
                    _ => {
                        fields.insert("type".to_owned(), Value::String(tag));
                        Self::Unknown(fields)
                    }
                })
            }
        }
    };
}

agent_events! {
    /// A run began: the member took a work item.
    RunStarted "run_started" {
        /// Its session.
        session_id: SessionId,
        /// What it was told.
        prompt: ContentInput,
        /// Who said it: `user` or a peer's identity (an addition to the contract).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    }
    /// A run ended well.
    RunCompleted "run_completed" {
        /// Its session.
        session_id: SessionId,
        /// The final text.
        result: String,
        /// The final structure, when one was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        structured_output: Option<Value>,
        /// Whether an extraction of the structure follows.
        #[serde(default)]
        extraction_required: bool,
        /// What the run used.
        usage: Usage,
        /// What ended it, when it was not the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terminal_cause_kind: Option<String>,
    }
    /// The structure asked for was extracted.
    ExtractionSucceeded "extraction_succeeded" {
        /// Its session.
        session_id: SessionId,
        /// The structure.
        structured_output: Value,
        /// Where it is not quite as asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema_warnings: Option<Value>,
    }
    /// The structure asked for could not be extracted.
    ExtractionFailed "extraction_failed" {
        /// Its session.
        session_id: SessionId,
        /// The last attempt.
        last_output: String,
        /// How many were made.
        attempts: u32,
        /// What is wrong with it.
        reason: String,
    }
    /// A run ended with an error.
    RunFailed "run_failed" {
        /// Its session.
        session_id: SessionId,
        /// The error's class.
        error_class: AgentErrorClass,
        /// The error, for people.
        error: String,
        /// What ended it from outside, e.g. `interrupted`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terminal_cause_kind: Option<String>,
        /// The error as data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_report: Option<Value>,
    }
    /// A hook began.
    HookStarted "hook_started" {
        /// Which hook.
        hook_id: String,
        /// Where in the run.
        point: String,
    }
    /// A hook ended.
    HookCompleted "hook_completed" {
        /// Which hook.
        hook_id: String,
        /// Where in the run.
        point: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    }
    /// A hook failed.
    HookFailed "hook_failed" {
        /// Which hook.
        hook_id: String,
        /// Where in the run.
        point: String,
        /// How.
        error: String,
    }
    /// A hook forbade what was to come.
    HookDenied "hook_denied" {
        /// Which hook.
        hook_id: String,
        /// Where in the run.
        point: String,
        /// Why, as a code.
        reason_code: String,
        /// Why, for people.
        message: String,
        /// Particulars.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<Value>,
    }
    /// A turn began: a request to the model.
    TurnStarted "turn_started" {
        /// Its number within the run, from 1.
        turn_number: u32,
    }
    /// A piece of the model's reasoning.
    ReasoningDelta "reasoning_delta" {
        /// The piece.
        delta: String,
    }
    /// A piece of the model's text.
    TextDelta "text_delta" {
        /// The piece.
        delta: String,
    }
    /// The turn's reasoning, whole.
    ReasoningComplete "reasoning_complete" {
        /// All of it.
        content: String,
    }
    /// The turn's text, whole.
    TextComplete "text_complete" {
        /// All of it.
        content: String,
    }
    /// Content of a tool that the provider ran itself.
    ServerToolContent "server_tool_content" {
        /// Which call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Which tool.
        name: String,
        /// As the provider gave it.
        content: Value,
    }
    /// The assistant made an image.
    AssistantImageAppended "assistant_image_appended" {
        /// The image.
        image: AssistantImage,
    }
    /// The model asks for a tool call.
    ToolCallRequested "tool_call_requested" {
        /// Which call.
        id: ToolCallId,
        /// Which tool.
        name: String,
        /// Its arguments, an object.
        args: Value,
    }
    /// The result of a tool call was given to the model.
    ToolResultReceived "tool_result_received" {
        /// Which call.
        id: ToolCallId,
        /// Which tool.
        name: String,
        /// What it gave.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        content: Vec<ContentBlock>,
        /// Whether it failed.
        is_error: bool,
    }
    /// A turn ended.
    TurnCompleted "turn_completed" {
        /// Why.
        stop_reason: StopReason,
        /// What it used.
        usage: Usage,
    }
    /// A tool began.
    ToolExecutionStarted "tool_execution_started" {
        /// Which call.
        id: ToolCallId,
        /// Which tool.
        name: String,
    }
    /// A tool ended.
    ToolExecutionCompleted "tool_execution_completed" {
        /// Which call.
        id: ToolCallId,
        /// Which tool.
        name: String,
        /// What it gave, as text.
        result: String,
        /// What it gave, as blocks.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        content: Vec<ContentBlock>,
        /// Whether it failed.
        is_error: bool,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    }
    /// A tool took too long.
    ToolExecutionTimedOut "tool_execution_timed_out" {
        /// Which call.
        id: ToolCallId,
        /// Which tool.
        name: String,
        /// How long it was given, in milliseconds.
        timeout_ms: u64,
    }
    /// The history is being summarised.
    CompactionStarted "compaction_started" {
        /// The last request's input tokens.
        input_tokens: u64,
        /// What the history is thought to weigh.
        estimated_history_tokens: u64,
        /// How many messages it has.
        message_count: u64,
    }
    /// The history was summarised.
    CompactionCompleted "compaction_completed" {
        /// What the summary weighs.
        summary_tokens: u64,
        /// How many messages there were.
        messages_before: u64,
        /// How many are left.
        messages_after: u64,
    }
    /// The history could not be summarised.
    CompactionFailed "compaction_failed" {
        /// Why.
        error: String,
    }
    /// A budget is nearly used up.
    BudgetWarning "budget_warning" {
        /// Which.
        budget_type: BudgetType,
        /// How much was used.
        used: u64,
        /// How much there is.
        limit: u64,
        /// The first in percent of the second.
        percent: f64,
    }
    /// A request to the model failed and is made again.
    Retrying "retrying" {
        /// The attempt that comes, from 1.
        attempt: u32,
        /// How many there may be.
        max_attempts: u32,
        /// Why the last failed.
        error: String,
        /// When the next comes, in milliseconds from now.
        delay_ms: u64,
        /// Particulars.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Value>,
    }
    /// Skills were put into the system prompt.
    SkillsResolved "skills_resolved" {
        /// Which.
        skills: Vec<String>,
        /// How many bytes they are.
        injection_bytes: u64,
    }
    /// A skill could not be found.
    SkillResolutionFailed "skill_resolution_failed" {
        /// Which, as resolved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skill_key: Option<String>,
        /// Why, as a code.
        reason: String,
        /// Which, as written.
        reference: String,
        /// Why, for people.
        error: String,
    }
    /// An interaction is complete: no work of it is open.
    InteractionComplete "interaction_complete" {
        /// Which.
        interaction_id: InteractionId,
        /// Its answer.
        result: String,
        /// Its answer as a structure, when one was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        structured_output: Option<Value>,
    }
    /// An interaction waits for a callback.
    InteractionCallbackPending "interaction_callback_pending" {
        /// Which.
        interaction_id: InteractionId,
        /// Which tool waits.
        tool_name: String,
        /// With which arguments.
        args: Value,
    }
    /// An interaction ended without an answer.
    InteractionFailed "interaction_failed" {
        /// Which.
        interaction_id: InteractionId,
        /// Why.
        error: String,
    }
    /// The model's stream ended before its time.
    StreamTruncated "stream_truncated" {
        /// How.
        reason: String,
    }
    /// The member's tools changed.
    ToolConfigChanged "tool_config_changed" {
        /// The change.
        payload: ToolConfigChange,
    }
    /// A background job ended.
    BackgroundJobCompleted "background_job_completed" {
        /// Which.
        job_id: String,
        /// Its name for people.
        display_name: String,
        /// How it ended, in the words of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<String>,
        /// How it ended.
        terminal_status: BackgroundJobStatus,
        /// What it gave.
        detail: String,
    }
    /// A bounded history left messages out of a request (an addition to the contract).
    HistoryTruncated "history_truncated" {
        /// How many were left out.
        omitted_messages: u64,
        /// How many were sent.
        kept_messages: u64,
        /// What those are thought to weigh.
        estimated_tokens: u64,
    }
    /// A person's message was accepted (the console's vocabulary; MobKit contract, sections 11 and 20.4).
    UserInput "user_input" {
        /// The interaction that it begins.
        interaction_id: InteractionId,
        /// What was said.
        content: ContentInput,
        /// Where it came from, e.g. `console`.
        origin: String,
        /// When it is looked at.
        handling_mode: HandlingMode,
    }
    /// A peer's message was put into this member's mailbox (an addition to the contract).
    PeerMessage "peer_message" {
        /// Which peer.
        from: String,
        /// What it said.
        content: ContentInput,
        /// The interaction that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interaction_id: Option<InteractionId>,
    }
    /// Work waits, because its model is not there (an addition to the contract).
    ModelUnavailable "model_unavailable" {
        /// Which model.
        model: String,
        /// What is missing.
        reason: String,
    }
}

impl Serialize for AgentEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown(fields) => fields.serialize(serializer),
            known => AgentEvent::serialize(known, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AgentEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_fields(Map::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
