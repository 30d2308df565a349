//! Commands on the roster: spawn, retire, respawn, wire, unwire, stop, resume.

use std::rc::Rc;

use crate::mob::core::{Core, FIRST_GENERATION};
use crate::mob::definition::MobDefinition;
use crate::mob::error::MobError;
use crate::mob::rows::{Edge, Member, MobRow, MobStatus, OpenTurn};
use crate::mob::work::Ending;
use crate::storage::Batch;
use crate::wire::{
    AgentErrorClass, AgentEvent, AgentIdentity, AgentRuntimeId, FenceToken, Generation,
    InteractionId, MobEventKind, MobRuntimeMode, SessionId, SpawnMemberSpec, Usage, WireEdge,
    WorkId,
};
use litemap::LiteMap;

/// One member to spawn, with the ids that it will have.
pub(crate) struct SpawnOrder {
    pub spec: SpawnMemberSpec,
    pub session_id: SessionId,
    /// For the initial message.
    pub interaction_id: InteractionId,
    pub work_id: WorkId,
}

/// Whom a new member finds: those of the roster who stay, and those who come with it.
pub(crate) struct Company<'a> {
    stays: &'a dyn Fn(&AgentIdentity) -> bool,
    names: LiteMap<AgentIdentity, ()>,
    /// The sessions that newcomers go on with.
    pub sessions: Vec<SessionId>,
}

impl<'a> Company<'a> {
    /// Nobody has come yet.
    pub fn beside(stays: &'a dyn Fn(&AgentIdentity) -> bool) -> Self {
        Self {
            stays,
            names: LiteMap::new(),
            sessions: Vec::new(),
        }
    }
}

/// How far a batch of spawns came: the members of the valid prefix, and why the next one is not valid.
pub(crate) struct SpawnAnswer {
    pub spawned: Vec<Rc<Member>>,
    pub refused: Option<MobError>,
}

impl Core {
    /// Spawns the valid prefix of `orders` as one batch.
    pub fn stage_spawn(
        &self,
        batch: &mut Batch,
        orders: &[SpawnOrder],
    ) -> Result<SpawnAnswer, MobError> {
        let state = self.staged_state();
        let (valid, refused) = self.valid_prefix(&state.definition, orders);
        if valid.is_empty() {
            return match refused {
                Some(error) => Err(error),
                None => Ok(SpawnAnswer {
                    spawned: Vec::new(),
                    refused: None,
                }),
            };
        }
        let valid: Vec<&SpawnOrder> = valid.iter().collect();
        Ok(SpawnAnswer {
            spawned: self.stage_valid_spawns(batch, &state.definition, &valid),
            refused,
        })
    }

    /// Spawns members whose orders were found valid.
    pub fn stage_valid_spawns(
        &self,
        batch: &mut Batch,
        definition: &MobDefinition,
        orders: &[&SpawnOrder],
    ) -> Vec<Rc<Member>> {
        if orders.is_empty() {
            return Vec::new();
        }
        let first_fence = self.take_fences(batch, orders.len() as u64);
        let mut spawned = Vec::with_capacity(orders.len());
        for (order, fence) in orders.iter().zip(first_fence..) {
            let resumed = order.spec.resume_session_id.clone();
            let member = Member {
                spec: order.spec.clone(),
                generation: FIRST_GENERATION,
                fence_token: FenceToken::new(fence),
                session_id: resumed.unwrap_or_else(|| order.session_id.clone()),
                spawned_at: self.now(),
                usage: Usage::default(),
            };
            let member = self.enrol(batch, member);
            self.wire_by_definition(batch, definition, member.identity());
            if let Some(content) = order.spec.initial_message.clone() {
                self.stage_initial_message(
                    batch,
                    &member,
                    content,
                    &order.interaction_id,
                    &order.work_id,
                );
            }
            spawned.push(member);
        }
        spawned
    }

    /// The orders before the first one that cannot be carried out, and why that one cannot. Stages nothing.
    pub fn valid_prefix<'a>(
        &self,
        definition: &MobDefinition,
        orders: &'a [SpawnOrder],
    ) -> (&'a [SpawnOrder], Option<MobError>) {
        let mut company = Company::beside(&|_| true);
        for (at, order) in orders.iter().enumerate() {
            if let Err(error) = self.admit(definition, &order.spec, &mut company) {
                return (&orders[..at], Some(error));
            }
        }
        (orders, None)
    }

    /// Checks that a member can be spawned beside those who stay and those who came before it. Stages nothing.
    pub fn admit(
        &self,
        definition: &MobDefinition,
        spec: &SpawnMemberSpec,
        company: &mut Company<'_>,
    ) -> Result<(), MobError> {
        if !definition.profiles.contains_key(&spec.role_name) {
            return Err(MobError::ProfileNotFound(spec.role_name.clone()));
        }
        if spec
            .initial_message
            .as_ref()
            .is_some_and(|content| content.is_blank())
        {
            return Err(MobError::invalid("initial_message", "it is blank"));
        }
        let there = self.members.staged(&spec.identity);
        if there.is_some() && (company.stays)(&spec.identity)
            || company.names.contains_key(&spec.identity)
        {
            return Err(MobError::MemberAlreadyExists(spec.identity.clone()));
        }
        if let Some(session) = &spec.resume_session_id {
            let wrong = |reason| Err(MobError::invalid("resume_session_id", reason));
            if !session.is_uuid() {
                return wrong(format!("`{session}` is not the id of a session"));
            }
            let members = self.members.staged_range(..);
            let mut staying = members
                .iter()
                .filter(|other| (company.stays)(other.identity()));
            if let Some(other) = staying.find(|other| other.session_id == *session) {
                return wrong(format!("it is the session of {}", other.identity()));
            }
            if company.sessions.contains(session) {
                return wrong(format!("`{session}` is resumed twice"));
            }
            company.sessions.push(session.clone());
        }
        company.names.insert(spec.identity.clone(), ());
        Ok(())
    }

    fn enrol(&self, batch: &mut Batch, member: Member) -> Rc<Member> {
        let runtime_id = AgentRuntimeId {
            identity: member.spec.identity.clone(),
            generation: member.generation,
        };
        let spawned = MobEventKind::MemberSpawned {
            agent_identity: member.spec.identity.clone(),
            generation: member.generation,
            fence_token: member.fence_token,
            agent_runtime_id: runtime_id,
            role: member.spec.role_name.clone(),
            runtime_mode: MobRuntimeMode::default(),
            labels: member.spec.labels.clone(),
        };
        let member = self.members.put(batch, member);
        self.tell(batch, vec![spawned]);
        member
    }

    /// Wires a new member to those that the definition's wiring rules name.
    fn wire_by_definition(
        &self,
        batch: &mut Batch,
        definition: &MobDefinition,
        identity: &AgentIdentity,
    ) {
        let Some(member) = self.members.staged(identity) else {
            return;
        };
        let edges: Vec<Edge> = self
            .members
            .staged_range(..)
            .iter()
            .filter(|other| other.identity() != identity)
            .filter(|other| definition.wires(&member.spec.role_name, &other.spec.role_name))
            .map(|other| Edge::between(identity, other.identity()))
            .collect();
        self.add_edges(batch, edges);
    }

    /// Wires members; those that are wired stay as they are.
    pub fn add_edges(&self, batch: &mut Batch, edges: Vec<Edge>) {
        let fresh: Vec<Edge> = edges
            .into_iter()
            .filter(|edge| {
                self.edges
                    .staged(&(edge.a.clone(), edge.b.clone()))
                    .is_none()
            })
            .collect();
        for edge in &fresh {
            self.edges.put(batch, edge.clone());
            // Whoever wires owns the wire; a reconciliation says so after this.
            let place = (edge.a.clone(), edge.b.clone());
            if self.managed.staged(&place).is_some() {
                self.managed.delete(batch, &place);
            }
        }
        let kind = match fresh.as_slice() {
            [] => return,
            [edge] => MobEventKind::MembersWired {
                a: edge.a.clone(),
                b: edge.b.clone(),
            },
            _ => MobEventKind::MembersWiredBatch {
                edges: fresh
                    .iter()
                    .map(|edge| WireEdge {
                        a: edge.a.clone(),
                        b: edge.b.clone(),
                    })
                    .collect(),
            },
        };
        self.tell(batch, vec![kind]);
    }

    /// Wires two members; wiring two that are wired changes nothing. Answers whether it did.
    pub fn stage_wire(
        &self,
        batch: &mut Batch,
        a: &AgentIdentity,
        b: &AgentIdentity,
    ) -> Result<bool, MobError> {
        self.staged_member(a)?;
        self.staged_member(b)?;
        if a == b {
            return Err(MobError::Wiring(format!(
                "a member cannot be wired to itself: {a}"
            )));
        }
        let edge = Edge::between(a, b);
        let fresh = self
            .edges
            .staged(&(edge.a.clone(), edge.b.clone()))
            .is_none();
        self.add_edges(batch, vec![edge]);
        Ok(fresh)
    }

    /// Unwires two members; unwiring two that are not wired changes nothing. Answers whether it did.
    pub fn stage_unwire(
        &self,
        batch: &mut Batch,
        a: &AgentIdentity,
        b: &AgentIdentity,
    ) -> Result<bool, MobError> {
        self.staged_member(a)?;
        self.staged_member(b)?;
        let edge = Edge::between(a, b);
        let was_wired = self
            .edges
            .staged(&(edge.a.clone(), edge.b.clone()))
            .is_some();
        if was_wired {
            self.remove_edge(batch, edge);
        }
        Ok(was_wired)
    }

    /// Unwires two members that are wired.
    pub fn remove_edge(&self, batch: &mut Batch, Edge { a, b }: Edge) {
        self.edges.delete(batch, &(a.clone(), b.clone()));
        self.tell(batch, vec![MobEventKind::MembersUnwired { a, b }]);
    }

    /// Takes a member off the roster, with its edges, its mailbox, its open turn and its transcript.
    pub fn stage_retire(
        &self,
        batch: &mut Batch,
        identity: &AgentIdentity,
    ) -> Result<(), MobError> {
        self.stage_leave(batch, identity, &[])
    }

    /// As [`stage_retire`](Self::stage_retire), where sessions that somebody goes on with keep their transcripts.
    pub fn stage_leave(
        &self,
        batch: &mut Batch,
        identity: &AgentIdentity,
        resumed: &[SessionId],
    ) -> Result<(), MobError> {
        let member = self.staged_member(identity)?;
        let error = format!("{identity} was retired");
        let reason = Ending::failed(AgentErrorClass::Cancelled, error.as_str(), "member_retired");
        self.stage_close_turn(batch, &member, &reason);
        for item in self.staged_mailbox(identity) {
            self.mailbox.delete(batch, &(identity.clone(), item.number));
            self.stage_lost_item(batch, &member, &item, &reason);
        }
        self.stage_end_interactions_of(batch, &member, &error);
        let gone = self.record(&member, None, None, AgentEvent::IdentityRetired);
        self.events.stage(batch, vec![gone]);
        if !resumed.contains(&member.session_id) {
            self.delete_transcript(batch, &member.session_id);
        }
        for edge in self.staged_edges(identity) {
            self.edges.delete(batch, &(edge.a.clone(), edge.b.clone()));
        }
        self.members.delete(batch, identity);
        let retired = MobEventKind::MemberRetired {
            agent_identity: identity.clone(),
            generation: member.generation,
            role: member.spec.role_name.clone(),
        };
        self.tell(batch, vec![retired]);
        Ok(())
    }

    /// Gives a member a new incarnation: next generation, new token, empty transcript; its wiring and what waits in its
    /// mailbox stay. The work that it was at fails.
    pub fn stage_respawn(
        &self,
        batch: &mut Batch,
        identity: &AgentIdentity,
        session_id: &SessionId,
    ) -> Result<Rc<Member>, MobError> {
        let member = self.staged_member(identity)?;
        let reason = Ending::failed(
            AgentErrorClass::Cancelled,
            format!("{identity} was respawned"),
            "member_respawned",
        );
        self.stage_close_turn(batch, &member, &reason);
        self.delete_transcript(batch, &member.session_id);
        let fence = self.take_fences(batch, 1);
        let retired = MobEventKind::MemberRetired {
            agent_identity: identity.clone(),
            generation: member.generation,
            role: member.spec.role_name.clone(),
        };
        self.tell(batch, vec![retired]);
        let next = Member {
            spec: member.spec.clone(),
            generation: Generation::new(member.generation.get() + 1),
            fence_token: FenceToken::new(fence),
            session_id: session_id.clone(),
            spawned_at: self.now(),
            usage: member.usage,
        };
        let next = self.enrol(batch, next);
        let begun = self.record(&next, None, None, AgentEvent::IdentityRespawned);
        self.events.stage(batch, vec![begun]);
        // A reader that folds the ledger dropped the edges with the retired incarnation.
        let edges: Vec<WireEdge> = self
            .staged_edges(identity)
            .iter()
            .map(|edge| WireEdge {
                a: edge.a.clone(),
                b: edge.b.clone(),
            })
            .collect();
        if !edges.is_empty() {
            self.tell(batch, vec![MobEventKind::MembersWiredBatch { edges }]);
        }
        Ok(next)
    }

    /// Marks open turns as put down on purpose: going on with them is no interruption.
    pub fn stage_pause(&self, batch: &mut Batch) {
        for turn in self.turns.staged_range(..) {
            self.turns.put(
                batch,
                OpenTurn {
                    paused: true,
                    ..turn.as_ref().clone()
                },
            );
        }
    }

    /// Stops or resumes the mob. Stopping keeps open turns as they are; resuming goes on with them.
    pub fn stage_status(&self, batch: &mut Batch, to: MobStatus) -> Result<bool, MobError> {
        let row = self.staged_state();
        if row.status == to {
            return Ok(false);
        }
        self.state.put(
            batch,
            MobRow {
                status: to,
                ..row.as_ref().clone()
            },
        );
        if to == MobStatus::Stopped {
            self.stage_pause(batch);
        }
        Ok(true)
    }
}
