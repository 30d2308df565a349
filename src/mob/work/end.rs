//! How work ends: a turn that is closed, an item that is done or lost, an interaction that completes, fails or is cancelled.

use super::Ending;
use crate::agent::run::closing_events;
use crate::mob::core::Core;
use crate::mob::error::MobError;
use crate::mob::rows::{
    Interaction, InteractionError, InteractionStatus, Member, OpenTurn, WorkItem,
};
use crate::storage::Batch;
use crate::wire::{
    AgentErrorClass, AgentEvent, AgentIdentity, Cause, ContentInput, Cursor, HandlingMode,
    InteractionId, SendInput, WorkId,
};

impl Core {
    /// Closes the turn that a run has ended. Answers the event that tells of a failure.
    pub fn stage_end_of_run(
        &self,
        batch: &mut Batch,
        turn: &OpenTurn,
        ending: Ending,
    ) -> Result<Option<Cursor>, MobError> {
        let (member, turn) = self.check_turn(turn)?;
        Ok(self.stage_finish(batch, &member, &turn, ending))
    }

    /// Closes a member's open turn, if it has one.
    pub fn stage_close_turn(&self, batch: &mut Batch, member: &Member, ending: &Ending) -> bool {
        let Some(turn) = self.turns.staged(member.identity()) else {
            return false;
        };
        self.stage_finish(batch, member, &turn, ending.clone());
        true
    }

    pub(super) fn stage_finish(
        &self,
        batch: &mut Batch,
        member: &Member,
        turn: &OpenTurn,
        ending: Ending,
    ) -> Option<Cursor> {
        self.turns.delete(batch, &turn.identity);
        match ending {
            Ending::Completed(answer) => {
                let result = &answer.text;
                let usage = answer.usage.unwrap_or_default();
                self.write_message(batch, member, &turn.item, answer.to_message());
                self.charge(batch, member, &turn.item, usage);
                let mut spent = turn.usage;
                spent += usage;
                let mut events = closing_events(&answer);
                events.push(AgentEvent::RunCompleted {
                    session_id: member.session_id.clone(),
                    result: result.clone(),
                    structured_output: None,
                    extraction_required: false,
                    usage: spent,
                    terminal_cause_kind: None,
                });
                self.announce(batch, member, &turn.item, events);
                for item in turn.items() {
                    self.stage_reply(batch, member, item, result);
                    self.stage_done_item(batch, member, item, result);
                }
                None
            }
            Ending::Failed {
                ref class,
                ref error,
                ref cause_kind,
            } => {
                self.answer_open_calls(
                    batch,
                    member,
                    &turn.item,
                    "cancelled: the run ended before this call had a result",
                    &[],
                );
                let failed = AgentEvent::RunFailed {
                    session_id: member.session_id.clone(),
                    error_class: *class,
                    error: error.clone(),
                    terminal_cause_kind: cause_kind.clone(),
                    error_report: None,
                };
                let told = self.announce(batch, member, &turn.item, vec![failed]);
                for item in turn.items() {
                    self.stage_lost_item(batch, member, item, &ending);
                }
                Some(told.start)
            }
        }
    }

    /// What came of an item goes back to whoever wrote it, where that was asked for.
    fn stage_reply(&self, batch: &mut Batch, member: &Member, item: &WorkItem, result: &str) {
        let interaction = self.interactions.staged(&item.cause.interaction_id);
        let open = interaction.is_some_and(|row| row.status == InteractionStatus::Open);
        let sender = item.from.as_ref().filter(|_| item.reply && open);
        let Some(sender) = sender.and_then(|sender| self.members.staged(sender)) else {
            return;
        };
        let text = match result.trim() {
            "" => format!("[{} has nothing to say about this]", member.identity()),
            text => text.to_owned(),
        };
        self.post_back(batch, member, item, &sender, "-reply", text);
    }

    /// Puts a message about an item into the mailbox of whoever wrote it.
    fn post_back(
        &self,
        batch: &mut Batch,
        member: &Member,
        item: &WorkItem,
        sender: &Member,
        ending: &str,
        text: String,
    ) {
        let content = ContentInput::Text(text);
        let notice = WorkItem {
            // The id of the item names what comes back: a command that runs twice must name the same thing.
            work_id: WorkId::from([item.work_id.as_str(), ending].concat().as_str()),
            to: sender.identity().clone(),
            number: 0,
            from: Some(member.identity().clone()),
            content: content.clone(),
            mode: HandlingMode::Queue,
            attempt: 0,
            cause: Cause {
                interaction_id: item.cause.interaction_id.clone(),
                caused_by: Some(item.work_id.clone()),
                hops: item.cause.hops + 1,
            },
            reply: false,
            accepted_at: self.now(),
        };
        let heard = AgentEvent::PeerMessage {
            from: member.identity().to_string(),
            content,
            interaction_id: Some(item.cause.interaction_id.clone()),
        };
        self.post(batch, sender, notice, heard);
    }

    /// An item is done: its interaction has one open item less, and may be complete.
    fn stage_done_item(&self, batch: &mut Batch, member: &Member, item: &WorkItem, result: &str) {
        let Some(interaction) = self.interactions.staged(&item.cause.interaction_id) else {
            return;
        };
        let mut interaction = interaction.as_ref().clone();
        if interaction.status != InteractionStatus::Open {
            return;
        }
        if interaction.identity == *member.identity() {
            interaction.result = Some(result.to_owned());
        }
        self.stage_uncount(batch, interaction);
    }

    /// One open item less; the last one completes the interaction.
    fn stage_uncount(&self, batch: &mut Batch, mut interaction: Interaction) {
        interaction.open = interaction.open.saturating_sub(1);
        if interaction.open == 0 {
            interaction.status = InteractionStatus::Completed;
            interaction.ended_at = Some(self.now());
            let complete = AgentEvent::InteractionComplete {
                interaction_id: interaction.interaction_id.clone(),
                result: interaction.result.clone().unwrap_or_default(),
                structured_output: None,
            };
            self.announce_interaction(batch, &interaction, complete);
        }
        self.interactions.put(batch, interaction);
    }

    /// An item cannot be done. If the asked member lost it the interaction fails; otherwise whoever sent it is told.
    pub fn stage_lost_item(
        &self,
        batch: &mut Batch,
        member: &Member,
        item: &WorkItem,
        ending: &Ending,
    ) {
        let Ending::Failed { class, error, .. } = ending else {
            return;
        };
        let Some(interaction) = self.interactions.staged(&item.cause.interaction_id) else {
            return;
        };
        if interaction.status != InteractionStatus::Open {
            return;
        }
        let sender = item
            .from
            .as_ref()
            .filter(|_| interaction.identity != *member.identity());
        let Some(sender) = sender.and_then(|sender| self.members.staged(sender)) else {
            let status = if *class == AgentErrorClass::Cancelled {
                InteractionStatus::Cancelled
            } else {
                InteractionStatus::Failed
            };
            self.stage_end_interaction(batch, &interaction.interaction_id, status, *class, error);
            return;
        };
        let text = format!("[{} could not do this: {error}]", member.identity());
        // The notice takes the lost item's place in the count.
        self.post_back(batch, member, item, &sender, "-lost", text);
        if let Some(interaction) = self.interactions.staged(&item.cause.interaction_id) {
            self.stage_uncount(batch, interaction.as_ref().clone());
        }
    }

    fn announce_interaction(
        &self,
        batch: &mut Batch,
        interaction: &Interaction,
        event: AgentEvent,
    ) {
        // A retired member's interactions end with it; their last event has nobody to be attributed to but the ledger's entry.
        if let Some(member) = self.members.staged(&interaction.identity) {
            let record = self.record(&member, Some(&interaction.interaction_id), None, event);
            self.events.stage(batch, vec![record]);
        }
    }

    /// Ends an interaction before its work is done: what waits for it goes, what runs for it is closed.
    pub fn stage_end_interaction(
        &self,
        batch: &mut Batch,
        interaction_id: &InteractionId,
        status: InteractionStatus,
        class: AgentErrorClass,
        error: &str,
    ) {
        let Some(interaction) = self.interactions.staged(interaction_id) else {
            return;
        };
        if interaction.status != InteractionStatus::Open {
            return;
        }
        let ended = Interaction {
            status,
            delivery: interaction.delivery.attempted(SendInput::Fail),
            open: 0,
            error: Some(InteractionError {
                class,
                message: error.to_owned(),
            }),
            ended_at: Some(self.now()),
            ..interaction.as_ref().clone()
        };
        // First the row, so that closing the turns below finds the interaction ended.
        let ended = self.interactions.put(batch, ended);
        for item in self.mailbox.staged_range(..) {
            if item.cause.interaction_id == *interaction_id {
                self.mailbox.delete(batch, &(item.to.clone(), item.number));
            }
        }
        for turn in self.turns.staged_range(..) {
            if turn.item.cause.interaction_id == *interaction_id {
                self.release_absorbed(batch, &turn);
                if let Some(member) = self.members.staged(&turn.identity) {
                    let ending = Ending::Failed {
                        class,
                        error: error.to_owned(),
                        cause_kind: Some("interaction_ended".into()),
                    };
                    let turn = OpenTurn {
                        absorbed: Vec::new(),
                        ..turn.as_ref().clone()
                    };
                    self.stage_finish(batch, &member, &turn, ending);
                }
            } else if turn
                .absorbed
                .iter()
                .any(|item| item.cause.interaction_id == *interaction_id)
            {
                let mut turn = turn.as_ref().clone();
                turn.absorbed
                    .retain(|item| item.cause.interaction_id != *interaction_id);
                self.turns.put(batch, turn);
            }
        }
        // Last, for here its readers end.
        self.announce_interaction(
            batch,
            &ended,
            AgentEvent::InteractionFailed {
                interaction_id: interaction_id.clone(),
                error: error.to_owned(),
            },
        );
    }

    /// Ends every open interaction whose asked member is leaving: nobody is left to answer it, whoever works on it.
    pub fn stage_end_interactions_of(&self, batch: &mut Batch, member: &Member, error: &str) {
        for interaction in self.interactions.staged_range(..) {
            if interaction.identity == *member.identity() {
                self.stage_end_interaction(
                    batch,
                    &interaction.interaction_id,
                    InteractionStatus::Cancelled,
                    AgentErrorClass::Cancelled,
                    error,
                );
            }
        }
    }

    /// Messages of other interactions that were steered into a turn which is being ended go back to the mailbox.
    fn release_absorbed(&self, batch: &mut Batch, turn: &OpenTurn) {
        for item in turn
            .absorbed
            .iter()
            .filter(|item| item.cause.interaction_id != turn.item.cause.interaction_id)
        {
            let range = (item.to.clone(), 0)..=(item.to.clone(), u64::MAX);
            let number = self
                .mailbox
                .last_staged_key(range)
                .map_or(1, |(_, last)| last + 1);
            self.mailbox.put(
                batch,
                WorkItem {
                    number,
                    mode: HandlingMode::Queue,
                    ..item.clone()
                },
            );
        }
    }

    /// Cancels an interaction. Answers whether it was open.
    pub fn stage_cancel(
        &self,
        batch: &mut Batch,
        interaction_id: &InteractionId,
    ) -> Result<bool, MobError> {
        let interaction = self
            .interactions
            .staged(interaction_id)
            .ok_or_else(|| MobError::InteractionNotFound(interaction_id.clone()))?;
        let open = interaction.status == InteractionStatus::Open;
        self.stage_end_interaction(
            batch,
            interaction_id,
            InteractionStatus::Cancelled,
            AgentErrorClass::Cancelled,
            "cancelled",
        );
        Ok(open)
    }

    /// Cancels what a member is doing now. Answers whether it was doing anything.
    pub fn stage_cancel_turn(
        &self,
        batch: &mut Batch,
        identity: &AgentIdentity,
    ) -> Result<bool, MobError> {
        let member = self.staged_member(identity)?;
        Ok(self.stage_close_turn(batch, &member, &Ending::cancelled("the turn was stopped")))
    }

    /// Cancels every open interaction. Answers how many there were.
    pub fn stage_cancel_all(&self, batch: &mut Batch) -> usize {
        let open: Vec<_> = self
            .interactions
            .staged_range(..)
            .into_iter()
            .filter(|interaction| interaction.status == InteractionStatus::Open)
            .collect();
        for interaction in &open {
            let id = &interaction.interaction_id;
            self.stage_end_interaction(
                batch,
                id,
                InteractionStatus::Cancelled,
                AgentErrorClass::Cancelled,
                "cancelled",
            );
        }
        open.len()
    }
}
