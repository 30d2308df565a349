//! One run: a member works on what it was told until it has nothing more to call.
//!
//! ```text
//! steered messages ─► window of the transcript ─► model (tried again on failure) ─┬─ no calls ─► the run is complete
//!        ▲                                                                        └─ calls ─► stored ─► gate ─► tools, all at once
//!        └──────────────────────────────── each result stored with its effect ◄──────────────────────────────────────────┘
//! ```
//!
//! The run owns no state that matters: the transcript is behind [`RunPort`], so dropping the future at any point is a
//! cancellation and restarting it from the transcript is a recovery.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};
use serde_json::Value;

use crate::agent::ask::ask;
use crate::agent::history;
use crate::agent::model::{
    AssembledTurn, ChatMessage, LanguageModel, MalformedCall, ModelRequest, RetryPolicy, ToolCall,
};
use crate::agent::tool::{
    Effect, ToolContext, ToolDecision, ToolGate, ToolOutput, ToolRequest, ToolSet,
};
use crate::shim::{Host, all};
use crate::wire::{
    AgentErrorClass, AgentEvent, AgentIdentity, InteractionId, StopReason, ToolCallId, Usage,
};

/// What limits one run. A limit that is reached ends the run with a typed failure, never silently.
#[derive(Clone, Debug, PartialEq)]
pub struct RunBounds {
    /// Model calls in one run.
    pub max_turns: u32,
    /// Tokens of history that the model is shown; `None` for all of it.
    pub history_tokens: Option<u64>,
    /// How long a tool may take, without the time that its gate takes.
    pub tool_timeout: Duration,
    /// How long a model may be silent in mid-answer.
    pub model_idle_timeout: Duration,
    /// How failed model calls are tried again.
    pub retry: RetryPolicy,
}

impl Default for RunBounds {
    fn default() -> Self {
        Self {
            max_turns: 32,
            history_tokens: None,
            tool_timeout: Duration::from_secs(60),
            model_idle_timeout: Duration::from_secs(120),
            retry: RetryPolicy::default(),
        }
    }
}

/// The longest text of a tool's result, in bytes; what is longer is cut, and the model is told so. It is more than most
/// models can be shown, and less than any storage takes.
const TOOL_TEXT_BYTES: usize = 1 << 20;

/// What a step adds to the transcript, and the events that tell of it.
#[derive(Debug, Default)]
pub struct Written {
    /// Messages, in order.
    pub messages: Vec<ChatMessage>,
    /// Events, in order; shown when the step is durable.
    pub events: Vec<AgentEvent>,
}

/// One durable step of a run: all of it or nothing.
pub struct Step {
    /// What else becomes durable with it.
    pub effect: Option<Effect>,
    /// Makes the messages and events, given how the effect fared. May be called twice.
    pub write: Box<dyn FnMut(Result<(), String>) -> Written>,
    /// Tokens that the step cost.
    pub usage: Usage,
}

/// What a run needs from the house above it.
pub trait RunPort {
    /// Shows an event now; it becomes durable with the next step, or soon.
    fn emit(&self, event: AgentEvent);
    /// The transcript as it is durable.
    fn transcript(&self) -> Vec<ChatMessage>;
    /// Asked before each model call: the budget of the interaction, as a failure when it is used up.
    fn admit(&self) -> Result<(), RunFailure>;
    /// Makes one step durable.
    fn step(&self, step: Step) -> LocalBoxFuture<'static, Result<(), Interrupt>>;
    /// The calls that waited for a decision when the turn was put down, and still do.
    fn held(&self) -> Vec<ToolCall>;
    /// What writes down that a call waits for a decision, or does not any more.
    fn holding(&self, call_id: &ToolCallId, holds: bool) -> Effect;
    /// Takes the messages that steer the running work into the transcript.
    fn take_steered(&self) -> LocalBoxFuture<'static, Result<(), Interrupt>>;
    /// The system prompt, made anew for each call: wiring changes while a run goes on.
    fn system_prompt(&self) -> String;
}

/// What is fixed for the length of one run.
pub struct RunSpec {
    /// Clock, timers and randomness.
    pub host: Host,
    /// The member.
    pub identity: AgentIdentity,
    /// On whose behalf.
    pub interaction_id: InteractionId,
    /// Names the calls of providers that give none an id; no other run of the transcript has the same.
    pub run_key: String,
    /// The model's name, as the profile has it.
    pub model_name: String,
    /// The model.
    pub model: Rc<dyn LanguageModel>,
    /// Most tokens of one answer.
    pub max_output_tokens: Option<u32>,
    /// Opaque parameters for the provider.
    pub params: Value,
    /// The member's tools.
    pub tools: ToolSet,
    /// Who approves calls.
    pub gate: Option<Rc<dyn ToolGate>>,
    /// Limits.
    pub bounds: RunBounds,
}

/// How a run failed, as `run_failed` tells it (MobKit contract, section 19).
#[derive(Clone, Debug, PartialEq)]
pub struct RunFailure {
    /// The class.
    pub class: AgentErrorClass,
    /// The text for people.
    pub error: String,
    /// A finer, stable name of the cause.
    pub cause_kind: Option<String>,
}

/// Why a run does not go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Interrupt {
    /// Its member was retired, its turn was closed by somebody else, or storage is closed. Whoever stopped it has written
    /// down why; the run just ends.
    Stopped,
    /// Its model cannot be asked now: the work is put down as it is, and goes on when the model is there.
    PutDown {
        /// What is missing, for people.
        reason: String,
    },
    /// It failed.
    Failed(RunFailure),
}

impl From<RunFailure> for Interrupt {
    fn from(failure: RunFailure) -> Self {
        Self::Failed(failure)
    }
}

/// How a run ended.
#[derive(Debug)]
pub enum RunEnd {
    /// The model had nothing more to call. Its last answer is not yet stored: storing it is one step with closing the turn.
    Completed(Rc<AssembledTurn>),
    /// It did not come to its end.
    Interrupted(Interrupt),
}

/// Runs until the model has nothing more to call, a limit is reached or it fails.
pub async fn run(port: Rc<dyn RunPort>, spec: RunSpec) -> RunEnd {
    drive(&port, &spec)
        .await
        .unwrap_or_else(RunEnd::Interrupted)
}

async fn drive(port: &Rc<dyn RunPort>, spec: &RunSpec) -> Result<RunEnd, Interrupt> {
    let held = port.held();
    if !held.is_empty() {
        call_tools(port, spec, held.into_iter().map(Ok).collect()).await?;
    }
    let mut omitted_before = 0;
    for turn_number in 1..=spec.bounds.max_turns {
        port.take_steered().await?;
        port.admit()?;
        let request = request(port.as_ref(), spec, &mut omitted_before);
        port.emit(AgentEvent::TurnStarted { turn_number });
        let turn = Rc::new(ask(port.as_ref(), spec, request, turn_number).await?);
        let usage = turn.usage.unwrap_or_default();
        if turn.stop == StopReason::ContentFilter {
            for event in closing_events(&turn) {
                port.emit(event);
            }
            charge(port.as_ref(), usage).await?;
            return Err(RunFailure {
                class: AgentErrorClass::ContentFiltered,
                error: "the model's provider withheld the answer".into(),
                cause_kind: Some("content_filter".into()),
            }
            .into());
        }
        if turn.tool_calls.is_empty() {
            return Ok(RunEnd::Completed(turn));
        }
        let calls = turn.tool_calls.clone();
        let write = move |_| Written {
            messages: vec![turn.to_message()],
            events: closing_events(&turn),
        };
        port.step(Step {
            effect: None,
            write: Box::new(write),
            usage,
        })
        .await?;
        call_tools(port, spec, calls).await?;
    }
    Err(RunFailure {
        class: AgentErrorClass::MaxTurns,
        error: format!(
            "the run made {} model calls without coming to an end",
            spec.bounds.max_turns
        ),
        cause_kind: Some("max_turns".into()),
    }
    .into())
}

/// Makes the cost of an answer durable that leaves nothing else behind.
pub(super) async fn charge(port: &dyn RunPort, usage: Usage) -> Result<(), Interrupt> {
    if usage == Usage::default() {
        return Ok(());
    }
    port.step(Step {
        effect: None,
        write: Box::new(|_| Written::default()),
        usage,
    })
    .await
}

fn request(port: &dyn RunPort, spec: &RunSpec, omitted_before: &mut usize) -> ModelRequest {
    let all = in_call_order(port.transcript());
    let system = port.system_prompt();
    let budget = spec
        .bounds
        .history_tokens
        .map(|budget| budget.saturating_sub(system.len() as u64 / 4));
    let window = history::window(all.iter(), budget);
    if window.first > *omitted_before {
        *omitted_before = window.first;
        port.emit(AgentEvent::HistoryTruncated {
            omitted_messages: window.first as u64,
            kept_messages: (all.len() - window.first) as u64,
            estimated_tokens: window.estimated_tokens,
        });
    }
    ModelRequest {
        model: spec.model_name.clone(),
        system,
        messages: all.into_iter().skip(window.first).collect(),
        tools: spec.tools.definitions(),
        max_output_tokens: spec.max_output_tokens,
        params: spec.params.clone(),
    }
}

/// Results are stored as they come in; a model is shown them in the order of its calls.
pub(crate) fn in_call_order(messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
    let mut ordered: Vec<ChatMessage> = Vec::with_capacity(messages.len());
    let mut calls: Vec<String> = Vec::new();
    let mut results_from = 0;
    for message in messages {
        match &message {
            ChatMessage::Assistant { tool_calls, .. } => {
                calls = tool_calls.iter().map(|call| call.id.clone()).collect();
                ordered.push(message);
                results_from = ordered.len();
            }
            ChatMessage::Tool { call_id, .. } => {
                let rank = |id: &str| {
                    calls
                        .iter()
                        .position(|call| call == id)
                        .unwrap_or(usize::MAX)
                };
                let mine = rank(call_id);
                let later = ordered[results_from..]
                    .iter()
                    .position(|other| match other {
                        ChatMessage::Tool { call_id, .. } => rank(call_id) > mine,
                        _ => true,
                    });
                let at = later.map_or(ordered.len(), |offset| results_from + offset);
                ordered.insert(at, message);
            }
            ChatMessage::User { .. } => ordered.push(message),
        }
    }
    ordered
}

/// What closes one answer: the whole texts, the calls, and why it stopped.
pub(crate) fn closing_events(turn: &AssembledTurn) -> Vec<AgentEvent> {
    let mut events = Vec::new();
    if !turn.reasoning.is_empty() {
        events.push(AgentEvent::ReasoningComplete {
            content: turn.reasoning.clone(),
        });
    }
    if !turn.text.is_empty() {
        events.push(AgentEvent::TextComplete {
            content: turn.text.clone(),
        });
    }
    for call in &turn.tool_calls {
        let call = call
            .clone()
            .unwrap_or_else(|malformed| malformed.to_tool_call());
        events.push(AgentEvent::ToolCallRequested {
            id: call.id.as_str().into(),
            name: call.name,
            args: call.args,
        });
    }
    events.push(AgentEvent::TurnCompleted {
        stop_reason: turn.stop,
        usage: turn.usage.unwrap_or_default(),
    });
    events
}

/// Runs all calls of one answer at once; each result is stored when it is there.
async fn call_tools(
    port: &Rc<dyn RunPort>,
    spec: &RunSpec,
    calls: Vec<Result<ToolCall, MalformedCall>>,
) -> Result<(), Interrupt> {
    let calls = calls
        .into_iter()
        .map(|call| call_tool(port, spec, call).boxed_local());
    all(calls.collect()).await?;
    Ok(())
}

struct CallOutcome {
    output: ToolOutput,
    is_error: bool,
}

impl CallOutcome {
    fn failed(text: impl Into<String>) -> Self {
        Self {
            output: ToolOutput::text(text),
            is_error: true,
        }
    }
}

async fn call_tool(
    port: &Rc<dyn RunPort>,
    spec: &RunSpec,
    call: Result<ToolCall, MalformedCall>,
) -> Result<(), Interrupt> {
    let (id, name, outcome, duration_ms) = match call {
        Err(malformed) => {
            let text = format!(
                "{}; arguments as received: {}",
                malformed.reason, malformed.args
            );
            (malformed.id, malformed.name, CallOutcome::failed(text), 0)
        }
        Ok(call) => {
            let started = spec.host.instant();
            let (id, name) = (call.id.clone(), call.name.clone());
            let outcome = perform(port, spec, call).await?;
            let duration = spec.host.instant().duration_since(started);
            (
                id,
                name,
                outcome,
                u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            )
        }
    };
    let CallOutcome { output, is_error } = outcome;
    let write = move |effect: Result<(), String>| {
        let (content, is_error) = match effect {
            Ok(()) => (output.content.clone(), is_error),
            Err(reason) => (reason, true),
        };
        tool_result(&id, &name, content, is_error, duration_ms)
    };
    port.step(Step {
        effect: output.effect,
        write: Box::new(write),
        usage: Usage::default(),
    })
    .await
}

/// A tool's result as transcript and events have it.
pub(crate) fn tool_result(
    id: &str,
    name: &str,
    content: String,
    is_error: bool,
    duration_ms: u64,
) -> Written {
    let content = bounded(content);
    let message = ChatMessage::Tool {
        call_id: id.to_owned(),
        name: name.to_owned(),
        content: content.clone(),
        is_error,
    };
    let completed = AgentEvent::ToolExecutionCompleted {
        id: id.into(),
        name: name.to_owned(),
        result: content.clone(),
        content: Vec::new(),
        is_error,
        duration_ms,
    };
    let received = AgentEvent::ToolResultReceived {
        id: id.into(),
        name: name.to_owned(),
        content: vec![crate::wire::ContentBlock::Text { text: content }],
        is_error,
    };
    Written {
        messages: vec![message],
        events: vec![completed, received],
    }
}

/// A text that is not too long, or its beginning with a mark for the model.
fn bounded(mut text: String) -> String {
    let whole = text.len();
    if whole <= TOOL_TEXT_BYTES {
        return text;
    }
    let mut cut = TOOL_TEXT_BYTES;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    text.truncate(cut);
    text.push_str(&format!(
        "\n[cut here: these are the first {cut} of {whole} bytes; ask for a smaller part to see the rest]"
    ));
    text
}

/// Asks the gate about a call; answers the call that was denied.
async fn ask_gate(
    port: &Rc<dyn RunPort>,
    gate: &Rc<dyn ToolGate>,
    request: ToolRequest,
) -> Result<Option<CallOutcome>, Interrupt> {
    let ToolRequest { context, .. } = request.clone();
    let holds = gate.holds(&request);
    if holds {
        note(port, port.holding(&context.call_id, true)).await?;
    }
    let decision = gate.decide(request).await;
    let heard = holds.then(|| -> Effect {
        let gate = gate.clone();
        let mut freed = port.holding(&context.call_id, false);
        Box::new(move |batch| {
            freed(batch)?;
            gate.heard(batch, &context);
            Ok(())
        })
    });
    match (decision, heard) {
        (ToolDecision::Deny { reason }, effect) => {
            let mut outcome = CallOutcome::failed(format!("the call was denied: {reason}"));
            outcome.output.effect = effect;
            Ok(Some(outcome))
        }
        // From here on nobody knows whether it ran, if the host dies.
        (ToolDecision::Approve, Some(effect)) => note(port, effect).await.map(|()| None),
        (ToolDecision::Approve, None) => Ok(None),
    }
}

/// Makes a change durable that leaves nothing in the transcript.
async fn note(port: &Rc<dyn RunPort>, effect: Effect) -> Result<(), Interrupt> {
    port.step(Step {
        effect: Some(effect),
        write: Box::new(|_| Written::default()),
        usage: Usage::default(),
    })
    .await
}

async fn perform(
    port: &Rc<dyn RunPort>,
    spec: &RunSpec,
    call: ToolCall,
) -> Result<CallOutcome, Interrupt> {
    let Some(tool) = spec.tools.get(&call.name) else {
        let known: Vec<_> = spec
            .tools
            .definitions()
            .into_iter()
            .map(|tool| tool.name)
            .collect();
        return Ok(CallOutcome::failed(format!(
            "there is no tool `{}`; there are: {}",
            call.name,
            known.join(", ")
        )));
    };
    let context = ToolContext {
        identity: spec.identity.clone(),
        interaction_id: spec.interaction_id.clone(),
        call_id: ToolCallId::from(call.id.as_str()),
    };
    if let Some(gate) = &spec.gate {
        let request = ToolRequest {
            context: context.clone(),
            call: call.clone(),
        };
        if let Some(denied) = ask_gate(port, gate, request).await? {
            return Ok(denied);
        }
    }
    port.emit(AgentEvent::ToolExecutionStarted {
        id: call.id.as_str().into(),
        name: call.name.clone(),
    });
    let timeout = spec.bounds.tool_timeout;
    Ok(
        match spec
            .host
            .timeout(timeout, tool.call(call.args, context))
            .await
        {
            Ok(Ok(output)) => CallOutcome {
                output,
                is_error: false,
            },
            Ok(Err(error)) => CallOutcome::failed(error.message),
            Err(_) => {
                let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                port.emit(AgentEvent::ToolExecutionTimedOut {
                    id: call.id.as_str().into(),
                    name: call.name,
                    timeout_ms,
                });
                CallOutcome::failed(format!(
                    "the tool did not answer within {} s",
                    timeout.as_secs()
                ))
            }
        },
    )
}
