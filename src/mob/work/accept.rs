//! Messages on their way into a mailbox: a person's, a peer's, and the first one of a new member.

use std::rc::Rc;

use super::{Admission, Admitted};
use crate::mob::core::Core;
use crate::mob::error::MobError;
use crate::mob::rows::{Edge, Interaction, InteractionStatus, Member, WorkItem};
use crate::storage::Batch;
use crate::wire::{
    AgentErrorClass, AgentEvent, AgentIdentity, Cause, ContentInput, Cursor, HandlingMode,
    InteractionId, SendState, Usage, WorkId,
};

/// Messages that wait in one mailbox; more are refused.
pub const MAILBOX_LIMIT: usize = 256;
/// Ended interactions that are remembered, for late readers and repeated sends.
const REMEMBERED_INTERACTIONS: usize = 1_024;
/// The origin of a member's initial message.
const SPAWN_ORIGIN: &str = "spawn";

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
        if !addressable && !admission.by_mob {
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
                delivery: SendState::AcceptedPersisted,
                input_event: Cursor::START,
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
            reply: false,
            accepted_at: now,
        };
        let heard = AgentEvent::UserInput {
            interaction_id: admission.interaction_id.clone(),
            content: admission.content.clone(),
            origin: admission.origin.clone(),
            handling_mode: admission.mode,
        };
        let input_event = self.post(batch, &member, item, heard);
        if let Some(row) = self.interactions.staged(&admission.interaction_id) {
            let row = Interaction {
                input_event,
                ..row.as_ref().clone()
            };
            self.interactions.put(batch, row);
        }
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
            by_mob: true,
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
        // As the running commit would leave it: what another message of the same commit prunes is not pruned again.
        let known = self.interactions.staged_range(..);
        if known.len() <= REMEMBERED_INTERACTIONS {
            return;
        }
        let excess = known.len() - REMEMBERED_INTERACTIONS * 7 / 8;
        let mut ended: Vec<Rc<Interaction>> = Vec::new();
        for known in known {
            if known.status == InteractionStatus::Open {
                continue;
            }
            let age = |known: &Rc<Interaction>| (known.ended_at, known.interaction_id.clone());
            let place = ended.partition_point(|other| age(other) <= age(&known));
            ended.insert(place, known);
        }
        for known in ended.into_iter().take(excess) {
            self.interactions.delete(batch, &known.interaction_id);
        }
    }

    /// Puts an item into its mailbox and counts it for its interaction. Answers the event that tells of it.
    pub(super) fn post(
        &self,
        batch: &mut Batch,
        to: &Member,
        mut item: WorkItem,
        heard: AgentEvent,
    ) -> Cursor {
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
        let told = self.announce(batch, to, &item, vec![heard]);
        self.mailbox.put(batch, item);
        told.start
    }

    /// Ends an interaction that was passed on too often. Answers whether it was.
    pub fn ends_for_hops(&self, batch: &mut Batch, cause: &Cause) -> bool {
        let max_hops = self.staged_state().definition.limits.max_hops();
        if cause.hops <= max_hops {
            return false;
        }
        let error =
            format!("the interaction went over its {max_hops} hops without coming to an end");
        self.stage_end_interaction(
            batch,
            &cause.interaction_id,
            InteractionStatus::Failed,
            AgentErrorClass::DepthLimit,
            &error,
        );
        true
    }

    /// Posts a message from one member to another, as the effect of a tool call. An `Err` is the tool's answer. A message
    /// that was passed on too often ends its interaction, and with it the turn that wanted to send it. `reply` asks for what
    /// comes of it.
    #[expect(clippy::too_many_arguments, reason = "a message is that many things")]
    pub fn stage_peer_message(
        &self,
        batch: &mut Batch,
        from: &AgentIdentity,
        cause: &Cause,
        work_id: &WorkId,
        to: &AgentIdentity,
        content: &ContentInput,
        reply: bool,
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
        if self.ends_for_hops(batch, cause) {
            return Ok(());
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
            reply,
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
}
