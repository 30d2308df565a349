//! Commands on work: accepting a message, taking it from a mailbox, growing the transcript, closing the turn.
//!
//! Each work item carries its cause. An interaction is complete when no open item carries it; the asked member's last
//! words are its answer.

use std::rc::Rc;

use crate::agent::model::ChatMessage;
use crate::agent::run::{Written, tool_result};
use crate::agent::tool::Effect;
use crate::agent::transcript::{TranscriptEntry, unanswered_calls};
use crate::mob::core::Core;
use crate::mob::error::MobError;
use crate::mob::rows::{
    Edge, Interaction, InteractionError, InteractionStatus, Member, OpenTurn, WorkItem,
};
use crate::shim::Fault;
use crate::storage::Batch;
use crate::wire::{
    AgentErrorClass, AgentEvent, AgentIdentity, Cause, ContentInput, Cursor, FenceToken,
    HandlingMode, InteractionId, SessionId, Usage, WorkId,
};

/// Messages that wait in one mailbox; more are refused.
pub const MAILBOX_LIMIT: usize = 256;
/// Interruptions without a new transcript entry after which work fails.
const MAX_STALLED: u32 = 3;
/// Ended interactions that are remembered, for late readers and repeated sends.
const REMEMBERED_INTERACTIONS: usize = 1_024;

/// The origin of a member's initial message.
const SPAWN_ORIGIN: &str = "spawn";

/// How a turn ended.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Completed {
        message: ChatMessage,
        result: String,
        usage: Usage,
        events: Vec<AgentEvent>,
    },
    Failed {
        class: AgentErrorClass,
        error: String,
        cause_kind: Option<String>,
    },
}

impl Ending {
    pub fn failed(class: AgentErrorClass, error: impl Into<String>, cause_kind: &str) -> Self {
        Self::Failed {
            class,
            error: error.into(),
            cause_kind: Some(cause_kind.to_owned()),
        }
    }

    pub fn cancelled(by: &str) -> Self {
        Self::failed(
            AgentErrorClass::Cancelled,
            format!("cancelled: {by}"),
            "cancelled",
        )
    }
}

/// A person's message on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub to: AgentIdentity,
    pub content: ContentInput,
    pub mode: HandlingMode,
    pub origin: String,
    pub interaction_id: InteractionId,
    pub work_id: WorkId,
    /// Equal for equal messages; checked when the interaction is known already.
    pub fingerprint: String,
}

/// What became of an admission.
#[derive(Clone, Debug)]
pub(crate) struct Admitted {
    pub interaction_id: InteractionId,
    pub session_id: SessionId,
    /// The same message was accepted before, under the same idempotency key.
    pub repeated: bool,
}

/// What a pump finds when it looks for work.
pub(crate) enum Taken {
    /// A turn is open and may run.
    Turn(Rc<OpenTurn>),
    /// Something was refused or failed; look again.
    Again,
    /// Nothing to do.
    Nothing,
}

impl Core {
    /// The items that wait for a member, as the running commit would leave them.
    pub fn staged_mailbox(&self, identity: &AgentIdentity) -> Vec<Rc<WorkItem>> {
        self.mailbox
            .staged_range((identity.clone(), 0)..=(identity.clone(), u64::MAX))
    }

    /// Accepts a person's message: the interaction and the mailbox row, one batch.
    pub fn stage_admission(
        &self,
        batch: &mut Batch,
        admission: &Admission,
    ) -> Result<Admitted, MobError> {
        let member = self.staged_member(&admission.to)?;
        let known = self.interactions.staged(&admission.interaction_id);
        if let Some(known) = known {
            if known.fingerprint != admission.fingerprint {
                return Err(MobError::IdempotencyConflict {
                    interaction_id: known.interaction_id.clone(),
                });
            }
            return Ok(Admitted {
                interaction_id: known.interaction_id.clone(),
                session_id: member.session_id.clone(),
                repeated: true,
            });
        }
        let state = self.staged_state();
        let addressable = self
            .profile(&state.definition, &member)
            .is_none_or(|profile| profile.external_addressable);
        if !addressable && admission.origin != SPAWN_ORIGIN {
            return Err(MobError::NotAddressable(admission.to.clone()));
        }
        if admission.content.is_blank() {
            return Err(MobError::invalid("content", "it is blank"));
        }
        self.check_room(&admission.to)?;
        self.prune_interactions(batch);
        let now = self.now();
        self.interactions.put(
            batch,
            Interaction {
                interaction_id: admission.interaction_id.clone(),
                identity: admission.to.clone(),
                origin: admission.origin.clone(),
                fingerprint: admission.fingerprint.clone(),
                status: InteractionStatus::Open,
                open: 0,
                turns: 0,
                usage: Usage::default(),
                result: None,
                error: None,
                accepted_at: now,
                after_event: self.events.latest(),
                ended_at: None,
            },
        );
        let item = WorkItem {
            work_id: admission.work_id.clone(),
            to: admission.to.clone(),
            number: 0,
            from: None,
            content: admission.content.clone(),
            mode: admission.mode,
            attempt: 0,
            cause: Cause {
                interaction_id: admission.interaction_id.clone(),
                caused_by: None,
                hops: 0,
            },
            accepted_at: now,
        };
        let heard = AgentEvent::UserInput {
            interaction_id: admission.interaction_id.clone(),
            content: admission.content.clone(),
            origin: admission.origin.clone(),
            handling_mode: admission.mode,
        };
        self.post(batch, &member, item, heard);
        Ok(Admitted {
            interaction_id: admission.interaction_id.clone(),
            session_id: member.session_id.clone(),
            repeated: false,
        })
    }

    /// The first message of a member that is being spawned.
    pub fn stage_initial_message(
        &self,
        batch: &mut Batch,
        member: &Member,
        content: ContentInput,
        interaction_id: &InteractionId,
        work_id: &WorkId,
    ) {
        let admission = Admission {
            to: member.identity().clone(),
            content,
            mode: HandlingMode::Queue,
            origin: SPAWN_ORIGIN.into(),
            interaction_id: interaction_id.clone(),
            work_id: work_id.clone(),
            fingerprint: String::new(),
        };
        let admitted = self.stage_admission(batch, &admission);
        debug_assert!(
            admitted.is_ok(),
            "a new member's empty mailbox takes a message that is not blank"
        );
    }

    fn check_room(&self, to: &AgentIdentity) -> Result<(), MobError> {
        if self.staged_mailbox(to).len() >= MAILBOX_LIMIT {
            return Err(MobError::AdmissionBacklogFull {
                what: format!("the mailbox of {to}"),
                limit: MAILBOX_LIMIT,
            });
        }
        Ok(())
    }

    /// Ended interactions beyond those that are remembered go, oldest first.
    fn prune_interactions(&self, batch: &mut Batch) {
        if self.interactions.len() <= REMEMBERED_INTERACTIONS {
            return;
        }
        let mut ended: Vec<_> = self
            .interactions
            .all()
            .into_iter()
            .filter(|known| known.status != InteractionStatus::Open)
            .collect();
        ended.sort_by_key(|known| (known.ended_at, known.interaction_id.clone()));
        let excess = self
            .interactions
            .len()
            .saturating_sub(REMEMBERED_INTERACTIONS * 7 / 8);
        for known in ended.into_iter().take(excess) {
            self.interactions.delete(batch, &known.interaction_id);
        }
    }

    /// Puts an item into its mailbox and counts it for its interaction.
    fn post(&self, batch: &mut Batch, to: &Member, mut item: WorkItem, heard: AgentEvent) {
        let range = (item.to.clone(), 0)..=(item.to.clone(), u64::MAX);
        item.number = self
            .mailbox
            .last_staged_key(range)
            .map_or(1, |(_, last)| last + 1);
        if let Some(interaction) = self.interactions.staged(&item.cause.interaction_id) {
            self.interactions.put(
                batch,
                Interaction {
                    open: interaction.open + 1,
                    ..interaction.as_ref().clone()
                },
            );
        }
        self.announce(batch, to, &item, vec![heard]);
        self.mailbox.put(batch, item);
    }

    /// Posts a message from one member to another, as the effect of a tool call. An `Err` is the tool's answer.
    pub fn stage_peer_message(
        &self,
        batch: &mut Batch,
        from: &AgentIdentity,
        cause: &Cause,
        work_id: &WorkId,
        to: &AgentIdentity,
        content: &ContentInput,
    ) -> Result<(), String> {
        let Some(peer) = self.members.staged(to) else {
            return Err(format!("there is no member `{to}` in this mob"));
        };
        let edge = Edge::between(from, to);
        if self.edges.staged(&(edge.a, edge.b)).is_none() {
            return Err(format!(
                "`{to}` cannot be reached: `{from}` is not wired to it"
            ));
        }
        let limits = &self.staged_state().definition.limits;
        if cause.hops > limits.max_hops() {
            return Err(format!(
                "the interaction has gone over {} hops; no more messages are sent for it",
                limits.max_hops()
            ));
        }
        self.check_room(to).map_err(|error| error.to_string())?;
        let item = WorkItem {
            work_id: work_id.clone(),
            to: to.clone(),
            number: 0,
            from: Some(from.clone()),
            content: content.clone(),
            mode: HandlingMode::Queue,
            attempt: 0,
            cause: cause.clone(),
            accepted_at: self.now(),
        };
        let heard = AgentEvent::PeerMessage {
            from: from.to_string(),
            content: content.clone(),
            interaction_id: Some(cause.interaction_id.clone()),
        };
        self.post(batch, &peer, item, heard);
        Ok(())
    }

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
        let waiting = self.staged_mailbox(identity);
        let steering = waiting.iter().find(|item| item.mode == HandlingMode::Steer);
        let Some(item) = steering.or(waiting.first()) else {
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
                ..interaction.as_ref().clone()
            },
        );
        let item = WorkItem {
            attempt: item.attempt + 1,
            ..item.as_ref().clone()
        };
        self.write_prompt(batch, &member, &item);
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
            started_at: self.now(),
            stalled: 0,
            paused: false,
        };
        Ok(Taken::Turn(self.turns.put(batch, turn)))
    }

    fn write_prompt(&self, batch: &mut Batch, member: &Member, item: &WorkItem) {
        let message = ChatMessage::User {
            content: item.content.clone(),
            from: item.from.as_ref().map(AgentIdentity::to_string),
        };
        self.write_message(batch, member, item, message);
    }

    fn write_message(
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
        self.answer_open_calls(
            batch,
            &member,
            &turn.item,
            "interrupted: it is not known whether this call ran",
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
            paused: false,
            started_at: self.now(),
            ..turn.as_ref().clone()
        };
        Ok(Taken::Turn(self.turns.put(batch, turn)))
    }

    /// Gives every call that has no result yet this one.
    fn answer_open_calls(&self, batch: &mut Batch, member: &Member, item: &WorkItem, text: &str) {
        let session = &member.session_id;
        let rows = self
            .transcripts
            .staged_range((session.clone(), 0)..=(session.clone(), u64::MAX));
        for call in unanswered_calls(rows.iter().map(|row| &row.entry.message)) {
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
        let written = write(fared);
        self.write(batch, &member, &turn.item, written);
        self.charge(batch, &member, &turn.item, usage);
        if turn.stalled > 0 {
            self.turns.put(
                batch,
                OpenTurn {
                    stalled: 0,
                    ..turn.as_ref().clone()
                },
            );
        }
        Ok(())
    }

    /// Takes what steers a member into its running turn.
    pub fn stage_absorb(&self, batch: &mut Batch, turn: &OpenTurn) -> Result<usize, MobError> {
        let (member, turn) = self.check_turn(turn)?;
        let mut absorbed = turn.absorbed.clone();
        let before = absorbed.len();
        for item in self.staged_mailbox(&turn.identity) {
            if item.mode == HandlingMode::Steer {
                self.mailbox
                    .delete(batch, &(turn.identity.clone(), item.number));
                self.write_prompt(batch, &member, &item);
                absorbed.push(item.as_ref().clone());
            }
        }
        let count = absorbed.len() - before;
        if count > 0 {
            self.turns.put(
                batch,
                OpenTurn {
                    absorbed,
                    ..turn.as_ref().clone()
                },
            );
        }
        Ok(count)
    }

    /// The turn as it is staged, if it is still the one that `turn` was.
    fn check_turn(&self, turn: &OpenTurn) -> Result<(Rc<Member>, Rc<OpenTurn>), MobError> {
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

    fn charge(&self, batch: &mut Batch, member: &Member, item: &WorkItem, usage: Usage) {
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

    fn stage_finish(
        &self,
        batch: &mut Batch,
        member: &Member,
        turn: &OpenTurn,
        ending: Ending,
    ) -> Option<Cursor> {
        self.turns.delete(batch, &turn.identity);
        match ending {
            Ending::Completed {
                message,
                result,
                usage,
                mut events,
            } => {
                self.write_message(batch, member, &turn.item, message);
                self.charge(batch, member, &turn.item, usage);
                events.push(AgentEvent::RunCompleted {
                    session_id: member.session_id.clone(),
                    result: result.clone(),
                    structured_output: None,
                    extraction_required: false,
                    usage,
                    terminal_cause_kind: None,
                });
                self.announce(batch, member, &turn.item, events);
                for item in turn.items() {
                    self.stage_done_item(batch, member, item, &result);
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
        let content = ContentInput::Text(format!(
            "[{} could not do this: {error}]",
            member.identity()
        ));
        let notice = WorkItem {
            // The id of the lost item names its notice: a command that runs twice must name the same thing.
            work_id: WorkId::from(format!("{}-lost", item.work_id).as_str()),
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
            accepted_at: self.now(),
        };
        let heard = AgentEvent::PeerMessage {
            from: member.identity().to_string(),
            content,
            interaction_id: Some(item.cause.interaction_id.clone()),
        };
        // The notice takes the lost item's place in the count.
        self.post(batch, &sender, notice, heard);
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
            open: 0,
            error: Some(InteractionError {
                class,
                message: error.to_owned(),
            }),
            ended_at: Some(self.now()),
            ..interaction.as_ref().clone()
        };
        self.announce_interaction(
            batch,
            &ended,
            AgentEvent::InteractionFailed {
                interaction_id: interaction_id.clone(),
                error: error.to_owned(),
            },
        );
        // First the row, so that closing the turns below finds the interaction ended.
        self.interactions.put(batch, ended);
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

/// Whether two rows are the same start of the same work.
pub(crate) fn same_run(a: &OpenTurn, b: &OpenTurn) -> bool {
    a.item.work_id == b.item.work_id
        && a.fence_token == b.fence_token
        && a.item.attempt == b.item.attempt
}
