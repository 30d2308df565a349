//! A model that says what a test told it to (feature `testing`).
//!
//! ```
//! # use mobkit_web::agent::scripted::{Reply, ScriptedModel};
//! # fn with_host(host: mobkit_web::shim::Host) {
//! use serde_json::json;
//! use std::time::Duration;
//!
//! let model = ScriptedModel::new(host);
//! model.push(Reply::call("send_message", json!({"to": "ada", "content": "hello"})));
//! model.push(Reply::text("I asked Ada.").after(Duration::from_secs(2)));
//! // give `Rc::new(model.clone())` to the runtime, run the mob, then look:
//! assert!(model.requests().is_empty());
//! # }
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::pending;
use futures::stream::unfold;
use serde_json::Value;

use super::model::{
    Availability, LanguageModel, ModelDelta, ModelError, ModelInfo, ModelRequest, ModelStream,
};
use crate::shim::Host;
use crate::wire::{StopReason, Usage};

/// A model that answers from a queue of replies, or by a function of the request, and records what it was asked.
///
/// Clones share everything, so a test keeps one and gives the other away.
#[derive(Clone)]
pub struct ScriptedModel {
    host: Host,
    script: Rc<Script>,
}

/// A script that is a function.
type AnswerFn = Box<dyn Fn(&ModelRequest) -> Reply>;

struct Script {
    replies: RefCell<VecDeque<Reply>>,
    answer: Option<AnswerFn>,
    requests: RefCell<Vec<ModelRequest>>,
    availability: RefCell<Availability>,
    running: Cell<usize>,
}

impl ScriptedModel {
    /// A model that takes its replies from a queue. Asked when the queue is empty it fails with
    /// [`ModelError::BadRequest`], which is not retried.
    pub fn new(host: Host) -> Self {
        Self::build(host, None)
    }

    /// A model whose replies are a function of the request; replies that were [pushed](Self::push) go first.
    pub fn answering(host: Host, answer: impl Fn(&ModelRequest) -> Reply + 'static) -> Self {
        Self::build(host, Some(Box::new(answer)))
    }

    fn build(host: Host, answer: Option<AnswerFn>) -> Self {
        let script = Script {
            replies: RefCell::default(),
            answer,
            requests: RefCell::default(),
            availability: RefCell::new(Availability::Ready),
            running: Cell::new(0),
        };
        Self {
            host,
            script: Rc::new(script),
        }
    }

    /// Adds a reply at the end of the queue.
    pub fn push(&self, reply: Reply) {
        self.script.replies.borrow_mut().push_back(reply);
    }

    /// What was asked so far, in order.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.script.requests.borrow().clone()
    }

    /// How many replies are still in the queue.
    pub fn replies_left(&self) -> usize {
        self.script.replies.borrow().len()
    }

    /// How many answers have begun and neither ended nor been dropped.
    pub fn running(&self) -> usize {
        self.script.running.get()
    }

    /// Says from now on that the model is ready or waiting; while it waits, requests fail with [`ModelError::Unavailable`].
    pub fn set_availability(&self, availability: Availability) {
        *self.script.availability.borrow_mut() = availability;
    }

    fn reply_to(&self, request: &ModelRequest) -> Reply {
        if let Availability::Waiting { reason } = self.availability() {
            return Reply::fail(ModelError::Unavailable { reason });
        }
        let queued = self.script.replies.borrow_mut().pop_front();
        queued
            .or_else(|| self.script.answer.as_ref().map(|answer| answer(request)))
            .unwrap_or_else(|| {
                Reply::fail(ModelError::BadRequest {
                    status: 400,
                    body: "the script has no further reply".into(),
                })
            })
    }
}

impl LanguageModel for ScriptedModel {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            provider: "scripted".into(),
            is_demo: true,
            context_tokens: None,
        }
    }

    fn availability(&self) -> Availability {
        self.script.availability.borrow().clone()
    }

    fn stream(&self, request: ModelRequest) -> ModelStream {
        let reply = self.reply_to(&request);
        self.script.requests.borrow_mut().push(request);
        self.script.running.set(self.script.running.get() + 1);
        let telling = Telling {
            host: self.host.clone(),
            next_delay: reply.delay,
            pace: reply.pace,
            deltas: reply.deltas.into(),
            end: Some(reply.end),
            _running: Running(Rc::clone(&self.script)),
        };
        unfold(telling, Telling::next).boxed_local()
    }
}

/// One reply of a script: pieces, their timing, and how it ends.
#[derive(Clone, Debug)]
pub struct Reply {
    delay: Duration,
    pace: Duration,
    deltas: Vec<ModelDelta>,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    Complete,
    Fail(ModelError),
    Hang,
}

impl Reply {
    /// A text in one piece.
    pub fn text(text: impl Into<String>) -> Self {
        Self::deltas([
            ModelDelta::Text(text.into()),
            ModelDelta::Stop(StopReason::EndTurn),
        ])
    }

    /// A text word by word; the pieces together are exactly `text`.
    pub fn words(text: &str) -> Self {
        let words = text
            .split_inclusive(' ')
            .map(|word| ModelDelta::Text(word.to_owned()));
        Self::deltas(words.chain([ModelDelta::Stop(StopReason::EndTurn)]))
    }

    /// One tool call.
    pub fn call(name: &str, args: Value) -> Self {
        Self::calls([(name, args)])
    }

    /// Several tool calls in one turn.
    pub fn calls<'a>(calls: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let call = |(index, (name, args)): (u32, (&str, Value))| ModelDelta::ToolCall {
            index,
            id: None,
            name: Some(name.to_owned()),
            args: args.to_string(),
        };
        Self::deltas(
            (0..)
                .zip(calls)
                .map(call)
                .chain([ModelDelta::Stop(StopReason::ToolUse)]),
        )
    }

    /// Exactly these pieces. Without a [`ModelDelta::Stop`] among them the answer is a cut one.
    pub fn deltas(deltas: impl IntoIterator<Item = ModelDelta>) -> Self {
        Self {
            delay: Duration::ZERO,
            pace: Duration::ZERO,
            deltas: deltas.into_iter().collect(),
            end: End::Complete,
        }
    }

    /// An error and nothing before it.
    pub fn fail(error: ModelError) -> Self {
        Self::deltas([]).then_fail(error)
    }

    /// No answer, ever.
    pub fn hang() -> Self {
        Self {
            end: End::Hang,
            ..Self::deltas([])
        }
    }

    /// Reports these tokens before the last piece.
    #[must_use]
    pub fn with_usage(mut self, input_tokens: u64, output_tokens: u64) -> Self {
        let usage = ModelDelta::Usage(Usage {
            input_tokens,
            output_tokens,
            ..Usage::default()
        });
        self.deltas
            .insert(self.deltas.len().saturating_sub(1), usage);
        self
    }

    /// Shows this reasoning first.
    #[must_use]
    pub fn with_reasoning(mut self, reasoning: impl Into<String>) -> Self {
        self.deltas
            .insert(0, ModelDelta::Reasoning(reasoning.into()));
        self
    }

    /// Waits this long before the first piece (or the error).
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits this long before each further piece.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Fails after its pieces instead of ending.
    #[must_use]
    pub fn then_fail(mut self, error: ModelError) -> Self {
        self.end = End::Fail(error);
        self
    }

    /// Says nothing more after its pieces and does not end.
    #[must_use]
    pub fn then_hang(mut self) -> Self {
        self.end = End::Hang;
        self
    }
}

/// A reply being told.
struct Telling {
    host: Host,
    next_delay: Duration,
    pace: Duration,
    deltas: VecDeque<ModelDelta>,
    end: Option<End>,
    _running: Running,
}

impl Telling {
    async fn next(mut self) -> Option<(Result<ModelDelta, ModelError>, Self)> {
        let delay = std::mem::replace(&mut self.next_delay, self.pace);
        if !delay.is_zero() && self.end.is_some() {
            self.host.sleep(delay).await;
        }
        if let Some(delta) = self.deltas.pop_front() {
            return Some((Ok(delta), self));
        }
        match self.end.take()? {
            End::Complete => None,
            End::Fail(error) => Some((Err(error), self)),
            End::Hang => pending().await,
        }
    }
}

struct Running(Rc<Script>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::model::TurnAssembler;
    use crate::sim::Sim;

    fn ask(
        sim: &Sim,
        model: &ScriptedModel,
    ) -> Result<crate::agent::model::AssembledTurn, ModelError> {
        let model = model.clone();
        sim.block_on(async move {
            let request = ModelRequest::default();
            let mut assembler = TurnAssembler::new(&request, "t");
            let mut stream = model.stream(request);
            while let Some(delta) = stream.next().await {
                assembler.push(delta?);
            }
            assembler.finish()
        })
    }

    #[test]
    fn replies_come_from_the_queue_in_order_and_requests_are_recorded() {
        let sim = Sim::new(1);
        let model = ScriptedModel::new(sim.host());
        model.push(
            Reply::words("one two three")
                .with_usage(3, 4)
                .with_reasoning("hm"),
        );
        model.push(Reply::calls([("f", json!({"x": 1})), ("g", json!({}))]));
        model.push(Reply::deltas([ModelDelta::Text("half".into())]));
        let first = ask(&sim, &model).unwrap();
        assert_eq!(
            (first.text.as_str(), first.reasoning.as_str()),
            ("one two three", "hm")
        );
        assert_eq!(first.usage.unwrap().output_tokens, 4);
        let names: Vec<_> = ask(&sim, &model)
            .unwrap()
            .tool_calls
            .into_iter()
            .map(|call| call.unwrap().name)
            .collect();
        assert_eq!(names, ["f", "g"]);
        assert!(matches!(
            ask(&sim, &model),
            Err(ModelError::Truncated { .. })
        ));
        assert!(
            matches!(ask(&sim, &model), Err(ModelError::BadRequest { .. })),
            "the queue is empty"
        );
        assert_eq!(model.requests().len(), 4);
        assert_eq!(model.running(), 0);
    }

    #[test]
    fn timing_is_virtual_and_a_dropped_answer_is_no_longer_running() {
        let sim = Sim::new(1);
        let host = sim.host();
        let model = ScriptedModel::answering(host.clone(), |_| {
            Reply::words("a b")
                .after(Duration::from_secs(60))
                .pace(Duration::from_secs(1))
        });
        let began = host.instant();
        ask(&sim, &model).unwrap();
        assert_eq!(
            host.instant().duration_since(began),
            Duration::from_secs(63)
        );
        model.push(Reply::hang());
        let hanging = model.clone();
        let timed_out = sim.block_on({
            let host = host.clone();
            async move {
                host.timeout(
                    Duration::from_secs(5),
                    hanging.stream(ModelRequest::default()).next(),
                )
                .await
                .is_err()
            }
        });
        assert!(timed_out);
        assert_eq!(model.running(), 0);
    }

    #[test]
    fn a_waiting_model_says_so_and_keeps_its_replies() {
        let sim = Sim::new(1);
        let model = ScriptedModel::new(sim.host());
        model.push(Reply::text("hi"));
        model.set_availability(Availability::Waiting {
            reason: "no key".into(),
        });
        assert!(matches!(
            ask(&sim, &model),
            Err(ModelError::Unavailable { .. })
        ));
        model.set_availability(Availability::Ready);
        assert_eq!(ask(&sim, &model).unwrap().text, "hi");
    }
}
