//! What a member does, event by event (MobKit contract, section 19).
//!
//! The JSON tag is `type`. An event of a type that this version does not know decodes as [`AgentEvent::Unknown`] and is
//! written again as it came.

use serde::{Serialize, Serializer};
use serde_json::{Error, Map, Value};

use super::json::{Blank, Fields, FromJson, deserialize_by_json, from_json, take_field, words};
use super::{ContentBlock, ContentInput, InteractionId, SessionId, ToolCallId};

words! {
    /// Why a turn of the model ended.
    pub enum StopReason {
        /// The model said all it had to say.
        EndTurn = "end_turn",
        /// The model asks for tool calls.
        ToolUse = "tool_use",
        /// The bound on output tokens was reached.
        MaxTokens = "max_tokens",
        /// A stop sequence was produced.
        StopSequence = "stop_sequence",
        /// The provider withheld content.
        ContentFilter = "content_filter",
        /// The turn was cancelled.
        Cancelled = "cancelled",
    }
}

words! {
    /// The class of the error that ended a run.
    pub enum AgentErrorClass {
        /// The model or its provider.
        Llm = "llm",
        /// Storage.
        Store = "store",
        /// A tool.
        Tool = "tool",
        /// An MCP server.
        Mcp = "mcp",
        /// The session is not there.
        SessionNotFound = "session_not_found",
        /// A budget of time, tokens or tool calls was used up.
        Budget = "budget",
        /// The answer was cut at the bound on output tokens.
        MaxTokens = "max_tokens",
        /// The provider withheld content.
        ContentFiltered = "content_filtered",
        /// The bound on turns was reached.
        MaxTurns = "max_turns",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// The member was not in a state to do it.
        InvalidState = "invalid_state",
        /// The operation is not there.
        OperationNotFound = "operation_not_found",
        /// The bound on nested or forwarded work was reached.
        DepthLimit = "depth_limit",
        /// Too much at once.
        ConcurrencyLimit = "concurrency_limit",
        /// The configuration is at fault.
        Config = "config",
        /// A defect of the runtime.
        Internal = "internal",
        /// The member could not be built.
        Build = "build",
        /// The provider refused the credentials.
        Auth = "auth",
        /// A callback is awaited.
        CallbackPending = "callback_pending",
        /// The output does not have the structure asked for.
        StructuredOutput = "structured_output",
        /// The structure asked for is itself invalid.
        InvalidOutputSchema = "invalid_output_schema",
        /// A hook failed or denied.
        Hook = "hook",
        /// The run was ended from outside; `terminal_cause_kind` says by what.
        Terminal = "terminal",
        /// No turn boundary to act at.
        NoPendingBoundary = "no_pending_boundary",
    }
}

/// Tokens used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the request.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Tokens written to the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_creation_tokens: Option<u64>,
    /// Tokens read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
}

from_json!(Usage deserialize { input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens });

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

words! {
    /// When a message that arrives during a turn is looked at.
    #[derive(Default)]
    pub enum HandlingMode {
        /// In its turn, after the work that waits already.
        #[default]
        Queue = "queue",
        /// As soon as possible: between two turns of the run at work.
        Steer = "steer",
    }
}

words! {
    /// Which budget an [`AgentEvent::BudgetWarning`] speaks of.
    pub enum BudgetType {
        /// Tokens, input and output together.
        Tokens = "tokens",
        /// Milliseconds.
        Time = "time",
        /// Tool calls.
        ToolCalls = "tool_calls",
    }
}

words! {
    /// How a background job ended.
    pub enum BackgroundJobStatus {
        /// With its result.
        Completed = "completed",
        /// With an error.
        Failed = "failed",
        /// Stopped by its own side.
        Aborted = "aborted",
        /// Stopped on request.
        Cancelled = "cancelled",
        /// Its member was retired.
        Retired = "retired",
        /// Its run was ended.
        Terminated = "terminated",
    }
}

/// An image that the assistant made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AssistantImage {
    /// Which image.
    pub image_id: String,
    /// Where its bytes are.
    pub blob_ref: Value,
    /// Its media type, e.g. `image/png`.
    pub media_type: String,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// The prompt as the provider rewrote it.
    pub revised_prompt: Option<String>,
    /// What else the provider said.
    pub meta: Value,
}

from_json!(AssistantImage deserialize { image_id, blob_ref, media_type, width, height, revised_prompt, meta = default });

words! {
    /// What happened to a tool configuration.
    pub enum ToolConfigOperation {
        /// A tool was added.
        Add = "add",
        /// A tool was removed.
        Remove = "remove",
        /// Tools were loaded anew.
        Reload = "reload",
    }
}

/// A change of a member's tools.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_at_turn: Option<u32>,
    /// Which kind of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What changed in a catalogue that is loaded on demand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferred_catalog_delta: Option<Value>,
}

from_json!(ToolConfigChange deserialize { operation, target, status, persisted, applied_at_turn, domain, deferred_catalog_delta });

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

            fn from_fields(mut fields: Fields) -> Result<Self, Error> {
                let tag = fields.tag("type")?;
                Ok(match tag.as_str() {
                    $($tag => Self::$variant $({ $($field: take_field!(fields $field $(#[$($attr)*])*),)* })?,)*
                    _ => {
                        let mut fields = fields.rest();
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
    /// The member left the roster; what it was at was ended before (the console's vocabulary; MobKit contract, section 11.3).
    IdentityRetired "identity_retired"
    /// The member began a new incarnation; what waits in its mailbox stays (the console's vocabulary; section 11.3).
    IdentityRespawned "identity_respawned"
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

impl Blank for AgentEvent {
    fn blank() -> Self {
        Self::Unknown(Map::new())
    }
}

impl FromJson for AgentEvent {
    fn from_json(value: Value) -> Result<Self, Error> {
        Self::from_fields(Fields::of(value)?)
    }
}

deserialize_by_json!(AgentEvent);
