//! What a run sees of the mob: its transcript, its budget, and the way to make a step durable.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::agent::model::{ChatMessage, ToolCall};
use crate::agent::run::{Interrupt, RunFailure, RunPort, Step};
use crate::agent::tool::Effect;
use crate::agent::transcript::unanswered_calls;
use crate::mob::core::{Core, Stage};
use crate::mob::error::MobError;
use crate::mob::prompt;
use crate::mob::rows::{Member, OpenTurn};
use crate::mob::work::same_run;
use crate::shim::Sleep;
use crate::storage::{Batch, Durability, StorageError};
use crate::wire::{
    AgentErrorClass, AgentEvent, AgentIdentity, BudgetType, HandlingMode, ToolCallId,
};

/// The percentage of a budget at which a warning is given.
const WARN_AT_PERCENT: u64 = 80;

/// One run's view of the mob.
pub(crate) struct MemberRun {
    core: Rc<Core>,
    turn: Rc<OpenTurn>,
    /// The member in the incarnation that runs, for attribution; a respawned one has other numbers.
    member: Option<Rc<Member>>,
    /// Deltas of this turn of the event loop, merged.
    pending: RefCell<Option<AgentEvent>>,
    this: Weak<Self>,
    warned: std::cell::Cell<bool>,
    skills_told: std::cell::Cell<bool>,
}

impl MemberRun {
    pub fn new(core: &Rc<Core>, turn: &Rc<OpenTurn>) -> Rc<Self> {
        let member = core
            .members
            .get(&turn.identity)
            .filter(|member| member.fence_token == turn.fence_token);
        Rc::new_cyclic(|this| Self {
            core: core.clone(),
            turn: turn.clone(),
            member,
            pending: RefCell::new(None),
            this: this.clone(),
            warned: std::cell::Cell::new(false),
            skills_told: std::cell::Cell::new(false),
        })
    }

    fn show(&self, event: AgentEvent) {
        let Some(member) = &self.member else { return };
        // Its turn may be closed by a commit that is under way: nothing of a run comes after the event that tells of its end.
        let open = self.core.turns.staged(&self.turn.identity);
        if !open.is_some_and(|open| same_run(&open, &self.turn)) {
            return;
        }
        let item = &self.turn.item;
        let record = self.core.record(
            member,
            Some(&item.cause.interaction_id),
            Some(&item.work_id),
            event,
        );
        self.core.events.append(record);
    }

    /// Shows the deltas that were held back to be merged.
    pub fn flush(&self) {
        let pending = self.pending.borrow_mut().take();
        if let Some(event) = pending {
            self.show(event);
        }
    }

    /// Forgets the deltas that were held back.
    pub fn discard(&self) {
        self.pending.borrow_mut().take();
    }

    /// Why a run whose step was refused does not go on.
    fn interrupted(&self, error: &MobError) -> Interrupt {
        match error {
            MobError::Storage(error) if error.is_permanent() => unstorable(error).into(),
            error => {
                self.report_lost_step(error);
                Interrupt::Stopped
            }
        }
    }

    /// Tells that a step could not be stored, so that nobody wonders why the member fell silent.
    pub fn report_lost_step(&self, error: &MobError) {
        if matches!(
            error,
            MobError::StaleFenceToken { .. } | MobError::InvalidInput { .. }
        ) {
            // Somebody else closed the turn and told why.
            return;
        }
        self.core.trouble.report(
            &self.turn.identity,
            format!("a step of its run could not be stored: {error}"),
        );
    }

    fn merge(&self, event: &AgentEvent) -> bool {
        let mut pending = self.pending.borrow_mut();
        match (pending.as_mut(), event) {
            (Some(AgentEvent::TextDelta { delta: held }), AgentEvent::TextDelta { delta })
            | (
                Some(AgentEvent::ReasoningDelta { delta: held }),
                AgentEvent::ReasoningDelta { delta },
            ) => {
                held.push_str(delta);
                true
            }
            _ => false,
        }
    }
}

/// The failure of work that storage can never take.
pub(crate) fn unstorable(error: &StorageError) -> RunFailure {
    RunFailure {
        class: AgentErrorClass::Store,
        error: format!("storage can never take this: {error}"),
        cause_kind: Some(error.code().to_owned()),
    }
}

/// The first pause after storage refused; it doubles up to 32 times this.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);

impl Core {
    /// Makes a step of running work durable. Storage that refuses it for now is asked again after growing pauses: what a
    /// model was paid for is kept until it is stored, or nobody wants it any more. What storage can never take is answered.
    pub async fn persist<T: 'static>(
        self: &Rc<Self>,
        identity: &AgentIdentity,
        durability: Durability,
        stage: Stage<T>,
    ) -> Result<T, MobError> {
        let stage = Rc::new(RefCell::new(stage));
        let mut refusals = 0;
        loop {
            let stage = stage.clone();
            let stored = self.execute_accepted(durability, move |core, batch| {
                (stage.borrow_mut())(core, batch)
            });
            match stored.await {
                Err(MobError::Storage(error)) if !error.is_fatal() && !error.is_permanent() => {
                    self.refused(identity, &error.into(), &mut refusals).await;
                }
                answered => return answered,
            }
        }
    }

    /// Tells that a member's work was refused; the pause after which to try again.
    pub fn refused(&self, identity: &AgentIdentity, error: &MobError, refusals: &mut u32) -> Sleep {
        self.trouble
            .report(identity, format!("its work waits: {error}"));
        let pause = STORAGE_PAUSE.saturating_mul(1 << (*refusals).min(5));
        *refusals += 1;
        self.host.sleep(pause)
    }
}

impl RunPort for MemberRun {
    fn emit(&self, event: AgentEvent) {
        if self.merge(&event) {
            return;
        }
        self.flush();
        if !matches!(
            event,
            AgentEvent::TextDelta { .. } | AgentEvent::ReasoningDelta { .. }
        ) {
            self.show(event);
            return;
        }
        *self.pending.borrow_mut() = Some(event);
        let this = self.this.clone();
        let turn = self.core.host.yield_now();
        self.core.host.spawn(async move {
            turn.await;
            if let Some(this) = this.upgrade() {
                this.flush();
            }
        });
    }

    fn transcript(&self) -> Vec<ChatMessage> {
        let Some(member) = &self.member else {
            return Vec::new();
        };
        self.core
            .transcript(&member.session_id)
            .iter()
            .map(|row| row.entry.message.clone())
            .collect()
    }

    fn admit(&self) -> Result<(), RunFailure> {
        let state = self.core.definition();
        let Some(limit) = state.definition.limits.max_tokens_per_interaction else {
            return Ok(());
        };
        let Some(interaction) = self
            .core
            .interactions
            .get(&self.turn.item.cause.interaction_id)
        else {
            return Ok(());
        };
        let used = interaction.usage.total();
        if used >= limit {
            return Err(RunFailure {
                class: AgentErrorClass::Budget,
                error: format!("the interaction used {used} of its {limit} tokens"),
                cause_kind: Some("token_budget".into()),
            });
        }
        if used.saturating_mul(100) >= limit.saturating_mul(WARN_AT_PERCENT)
            && !self.warned.replace(true)
        {
            let percent = used as f64 * 100.0 / limit as f64;
            self.emit(AgentEvent::BudgetWarning {
                budget_type: BudgetType::Tokens,
                used,
                limit,
                percent,
            });
        }
        Ok(())
    }

    fn held(&self) -> Vec<ToolCall> {
        let transcript = self.transcript();
        let mut calls = unanswered_calls(transcript.iter());
        calls.retain(|call| self.turn.held.iter().any(|held| *held == call.id.as_str()));
        calls
    }

    fn holding(&self, call_id: &ToolCallId, holds: bool) -> Effect {
        let (core, turn, call_id) = (self.core.clone(), self.turn.clone(), call_id.clone());
        Box::new(move |batch| {
            core.stage_hold(batch, &turn, &call_id, holds);
            Ok(())
        })
    }

    fn step(&self, step: Step) -> LocalBoxFuture<'static, Result<(), Interrupt>> {
        self.flush();
        let Some(this) = self.this.upgrade() else {
            return futures::future::ready(Err(Interrupt::Stopped)).boxed_local();
        };
        let Step {
            mut effect,
            mut write,
            usage,
        } = step;
        let turn = self.turn.clone();
        async move {
            let stage = move |core: &Core, batch: &mut Batch| {
                core.stage_step(batch, &turn, effect.as_mut(), &mut write, usage)
            };
            let identity = &this.turn.identity;
            let stored = this
                .core
                .persist(identity, Durability::Relaxed, Box::new(stage));
            stored.await.map_err(|error| this.interrupted(&error))
        }
        .boxed_local()
    }

    fn take_steered(&self) -> LocalBoxFuture<'static, Result<(), Interrupt>> {
        let identity = &self.turn.identity;
        let waiting = self
            .core
            .mailbox
            .range((identity.clone(), 0)..=(identity.clone(), u64::MAX));
        let Some(this) = self
            .this
            .upgrade()
            .filter(|_| waiting.iter().any(|item| item.mode == HandlingMode::Steer))
        else {
            return futures::future::ready(Ok(())).boxed_local();
        };
        let turn = self.turn.clone();
        async move {
            let stage = move |core: &Core, batch: &mut Batch| core.stage_absorb(batch, &turn);
            let identity = &this.turn.identity;
            let absorbed = this
                .core
                .persist(identity, Durability::Relaxed, Box::new(stage));
            absorbed.await.map_err(|error| this.interrupted(&error))
        }
        .boxed_local()
    }

    fn system_prompt(&self) -> String {
        let Some(member) = &self.member else {
            return String::new();
        };
        if !self.skills_told.replace(true)
            && let Some(event) = prompt::skills_resolved(&self.core, member)
        {
            self.emit(event);
        }
        prompt::system_prompt(&self.core, member)
    }
}
