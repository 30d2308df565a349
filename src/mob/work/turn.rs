//! A turn while it is open: taken from the mailbox, resumed after a crash, grown step by step.

use std::rc::Rc;

use super::{Ending, Taken, same_run};
use crate::agent::model::{ChatMessage, ToolCall};
use crate::agent::run::{Written, tool_result};
use crate::agent::tool::Effect;
use crate::agent::transcript::{TranscriptEntry, unanswered_calls};
use crate::mob::core::Core;
use crate::mob::error::MobError;
use crate::mob::rows::{Interaction, InteractionStatus, Member, OpenTurn, WorkItem};
use crate::shim::Fault;
use crate::storage::Batch;
use crate::wire::{
    AgentErrorClass, AgentEvent, AgentIdentity, FenceToken, HandlingMode, SendInput, SendState,
    ToolCallId, Usage,
};

/// Interruptions without a new transcript entry after which work fails.
const MAX_STALLED: u32 = 3;

/// What became of the message that began an interaction, when an item of the interaction is taken.
fn delivered(item: &WorkItem, before: SendState) -> SendState {
    match item.from {
        None => before.attempted(SendInput::Deliver),
        Some(_) => before,
    }
}

impl Core {
    /// Takes the next item of a mailbox into an open turn.
    pub fn stage_take(
        &self,
        batch: &mut Batch,
        identity: &AgentIdentity,
        fence: FenceToken,
    ) -> Result<Taken, MobError> {
        let member = self.check_fence(identity, fence)?;
        if let Some(turn) = self.turns.staged(identity) {
            return Ok(Taken::Turn(turn));
        }
        let Some(item) = self.next_item(identity) else {
            return Ok(Taken::Nothing);
        };
        let Some(interaction) = self.interactions.staged(&item.cause.interaction_id) else {
            // Its interaction was pruned or ended: nobody waits for it.
            self.mailbox.delete(batch, &(identity.clone(), item.number));
            return Ok(Taken::Again);
        };
        let max_turns = self
            .staged_state()
            .definition
            .limits
            .max_turns_per_interaction();
        if interaction.turns >= max_turns {
            let error =
                format!("the interaction used its {max_turns} runs without coming to an end");
            self.stage_end_interaction(
                batch,
                &interaction.interaction_id,
                InteractionStatus::Failed,
                AgentErrorClass::MaxTurns,
                &error,
            );
            return Ok(Taken::Again);
        }
        if !self.host.planted(Fault::MailboxItemNotPopped) {
            self.mailbox.delete(batch, &(identity.clone(), item.number));
        }
        self.interactions.put(
            batch,
            Interaction {
                turns: interaction.turns + 1,
                delivery: delivered(&item, interaction.delivery),
                ..interaction.as_ref().clone()
            },
        );
        let item = WorkItem {
            attempt: item.attempt + 1,
            ..item.as_ref().clone()
        };
        if !self.is_told(&member, &item) {
            self.write_prompt(batch, &member, &item);
        }
        let started = AgentEvent::RunStarted {
            session_id: member.session_id.clone(),
            prompt: item.content.clone(),
            from: Some(
                item.from
                    .as_ref()
                    .map_or_else(|| "user".to_owned(), AgentIdentity::to_string),
            ),
        };
        self.announce(batch, &member, &item, vec![started]);
        let turn = OpenTurn {
            identity: identity.clone(),
            generation: member.generation,
            fence_token: member.fence_token,
            item,
            absorbed: Vec::new(),
            usage: Usage::default(),
            started_at: self.now(),
            stalled: 0,
            paused: false,
            held: Vec::new(),
        };
        Ok(Taken::Turn(self.turns.put(batch, turn)))
    }

    /// What a member takes next.
    fn next_item(&self, identity: &AgentIdentity) -> Option<Rc<WorkItem>> {
        let waiting = self.staged_mailbox(identity);
        let steering = waiting.iter().find(|item| item.mode == HandlingMode::Steer);
        steering.or(waiting.first()).cloned()
    }

    /// Fails what a member has open, or else what it would take next.
    pub fn stage_give_up(
        &self,
        batch: &mut Batch,
        identity: &AgentIdentity,
        ending: &Ending,
    ) -> Result<(), MobError> {
        let member = self.staged_member(identity)?;
        if self.stage_close_turn(batch, &member, ending) {
            return Ok(());
        }
        if let Some(item) = self.next_item(identity) {
            self.mailbox.delete(batch, &(identity.clone(), item.number));
            self.stage_lost_item(batch, &member, &item, ending);
        }
        Ok(())
    }

    fn write_prompt(&self, batch: &mut Batch, member: &Member, item: &WorkItem) {
        let message = ChatMessage::User {
            content: item.content.clone(),
            from: item.from.as_ref().map(AgentIdentity::to_string),
        };
        self.write_message(batch, member, item, message);
    }

    /// Whether the transcript has an item's message: it steered an earlier turn, which was ended without it.
    fn is_told(&self, member: &Member, item: &WorkItem) -> bool {
        let rows = self.staged_transcript(&member.session_id);
        rows.iter().any(|row| {
            row.entry.work_id == item.work_id
                && matches!(row.entry.message, ChatMessage::User { .. })
        })
    }

    pub(super) fn write_message(
        &self,
        batch: &mut Batch,
        member: &Member,
        item: &WorkItem,
        message: ChatMessage,
    ) {
        let entry = TranscriptEntry {
            timestamp_ms: self.now(),
            work_id: item.work_id.clone(),
            interaction_id: item.cause.interaction_id.clone(),
            message,
        };
        self.write_transcript(batch, &member.session_id, entry);
    }

    /// Goes on with a turn that was open when the runtime ended: closes the interrupted run in the events, answers the calls
    /// of which nobody knows whether they ran, and starts the run again from the transcript.
    pub fn stage_resume(
        &self,
        batch: &mut Batch,
        identity: &AgentIdentity,
        fence: FenceToken,
        crashed: bool,
    ) -> Result<Taken, MobError> {
        let member = self.check_fence(identity, fence)?;
        let Some(turn) = self.turns.staged(identity) else {
            return Ok(Taken::Again);
        };
        // Storage that refused a step, or a person who stopped the mob, says nothing against the work.
        let stalled = turn.stalled + u32::from(crashed && !turn.paused);
        if stalled >= MAX_STALLED {
            let error = format!("the work was interrupted {stalled} times without getting further");
            self.stage_finish(
                batch,
                &member,
                &turn,
                Ending::failed(AgentErrorClass::Terminal, error, "interrupted"),
            );
            return Ok(Taken::Again);
        }
        let interrupted = AgentEvent::RunFailed {
            session_id: member.session_id.clone(),
            error_class: AgentErrorClass::Terminal,
            error: "the run was interrupted; the work goes on from the transcript".into(),
            terminal_cause_kind: Some("interrupted".into()),
            error_report: None,
        };
        self.announce(batch, &member, &turn.item, vec![interrupted]);
        // Whatever waits for a decision has not run, and waits on.
        self.answer_open_calls(
            batch,
            &member,
            &turn.item,
            "interrupted: it is not known whether this call ran",
            &turn.held,
        );
        let started = AgentEvent::RunStarted {
            session_id: member.session_id.clone(),
            prompt: turn.item.content.clone(),
            from: Some(
                turn.item
                    .from
                    .as_ref()
                    .map_or_else(|| "user".to_owned(), AgentIdentity::to_string),
            ),
        };
        self.announce(batch, &member, &turn.item, vec![started]);
        let item = WorkItem {
            attempt: turn.item.attempt + 1,
            ..turn.item.clone()
        };
        let turn = OpenTurn {
            item,
            stalled,
            paused: !turn.held.is_empty(),
            started_at: self.now(),
            ..turn.as_ref().clone()
        };
        Ok(Taken::Turn(self.turns.put(batch, turn)))
    }

    /// Gives every call that has no result yet this one, but for those that are `held`.
    pub(super) fn answer_open_calls(
        &self,
        batch: &mut Batch,
        member: &Member,
        item: &WorkItem,
        text: &str,
        held: &[ToolCallId],
    ) {
        let rows = self.staged_transcript(&member.session_id);
        for call in unanswered_calls(rows.iter().map(|row| &row.entry.message)) {
            if held.iter().any(|held| *held == call.id.as_str()) {
                continue;
            }
            let written = tool_result(&call.id, &call.name, text.to_owned(), true, 0);
            self.write(batch, member, item, written);
        }
    }

    fn write(&self, batch: &mut Batch, member: &Member, item: &WorkItem, written: Written) {
        for message in written.messages {
            self.write_message(batch, member, item, message);
        }
        self.announce(batch, member, item, written.events);
    }

    /// One step of a running turn: messages, events and the effect of a tool, all or nothing.
    pub fn stage_step(
        &self,
        batch: &mut Batch,
        turn: &OpenTurn,
        effect: Option<&mut Effect>,
        write: &mut dyn FnMut(Result<(), String>) -> Written,
        usage: Usage,
    ) -> Result<(), MobError> {
        let (member, turn) = self.check_turn(turn)?;
        let fared = effect.map_or(Ok(()), |effect| effect(batch));
        let Some(turn) = self.turns.staged(&turn.identity) else {
            // The effect has ended the interaction; closing the turn has answered the call.
            return Ok(());
        };
        let written = write(fared);
        let grows = !written.messages.is_empty();
        self.write(batch, &member, &turn.item, written);
        self.charge(batch, &member, &turn.item, usage);
        let stalled = if grows { 0 } else { turn.stalled };
        if turn.stalled != stalled || usage != Usage::default() {
            let mut turn = turn.as_ref().clone();
            turn.stalled = stalled;
            turn.usage += usage;
            self.turns.put(batch, turn);
        }
        Ok(())
    }

    /// Notes that a call of a running turn waits for a decision, or does not any more.
    pub fn stage_hold(&self, batch: &mut Batch, turn: &OpenTurn, call: &ToolCallId, holds: bool) {
        let Ok((_, turn)) = self.check_turn(turn) else {
            return;
        };
        let mut turn = turn.as_ref().clone();
        turn.held.retain(|held| held != call);
        if holds {
            turn.held.push(call.clone());
        }
        turn.paused = !turn.held.is_empty();
        self.turns.put(batch, turn);
    }

    /// The calls of an open turn that wait for a decision, if it waits for nothing else.
    pub fn held_calls(&self, turn: &OpenTurn) -> Option<Vec<ToolCall>> {
        if turn.held.is_empty() {
            return None;
        }
        let member = self.members.get(&turn.identity)?;
        let rows = self.transcript(&member.session_id);
        let open = unanswered_calls(rows.iter().map(|row| &row.entry.message));
        let is_held = |call: &ToolCall| turn.held.iter().any(|held| *held == call.id.as_str());
        open.iter().all(is_held).then_some(open)
    }

    /// Puts a running turn down as it is: going on with it is no interruption.
    pub fn stage_put_down(&self, batch: &mut Batch, turn: &OpenTurn) -> Result<(), MobError> {
        let (_, turn) = self.check_turn(turn)?;
        let turn = OpenTurn {
            paused: true,
            ..turn.as_ref().clone()
        };
        self.turns.put(batch, turn);
        Ok(())
    }

    /// Takes what steers a member into its running turn.
    pub fn stage_absorb(&self, batch: &mut Batch, turn: &OpenTurn) -> Result<(), MobError> {
        let (member, turn) = self.check_turn(turn)?;
        let mut absorbed = turn.absorbed.clone();
        let before = absorbed.len();
        for item in self.staged_mailbox(&turn.identity) {
            if item.mode == HandlingMode::Steer {
                self.mailbox
                    .delete(batch, &(turn.identity.clone(), item.number));
                self.write_prompt(batch, &member, &item);
                if let Some(interaction) = self.interactions.staged(&item.cause.interaction_id) {
                    let interaction = Interaction {
                        delivery: delivered(&item, interaction.delivery),
                        ..interaction.as_ref().clone()
                    };
                    self.interactions.put(batch, interaction);
                }
                absorbed.push(item.as_ref().clone());
            }
        }
        if absorbed.len() > before {
            self.turns.put(
                batch,
                OpenTurn {
                    absorbed,
                    ..turn.as_ref().clone()
                },
            );
        }
        Ok(())
    }

    /// The turn as it is staged, if it is still the one that `turn` was.
    pub(super) fn check_turn(
        &self,
        turn: &OpenTurn,
    ) -> Result<(Rc<Member>, Rc<OpenTurn>), MobError> {
        let member = self.check_fence(&turn.identity, turn.fence_token)?;
        let now = self
            .turns
            .staged(&turn.identity)
            .filter(|now| same_run(now, turn));
        let now = now.ok_or_else(|| {
            MobError::invalid(
                "work_id",
                format!("{} is not open any more", turn.item.work_id),
            )
        })?;
        Ok((member, now))
    }

    pub(super) fn charge(&self, batch: &mut Batch, member: &Member, item: &WorkItem, usage: Usage) {
        if usage == Usage::default() {
            return;
        }
        let mut spent = member.clone();
        spent.usage += usage;
        self.members.put(batch, spent);
        if let Some(interaction) = self.interactions.staged(&item.cause.interaction_id) {
            let mut interaction = interaction.as_ref().clone();
            interaction.usage += usage;
            self.interactions.put(batch, interaction);
        }
    }
}
