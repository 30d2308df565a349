//! [`MobHandle`]: what can be asked of a mob (MobKit contract, section 18.6).

use std::rc::Rc;

use futures::FutureExt;
use futures::future::ready;
use sha2::{Digest, Sha256};

use crate::agent::model::{ChatMessage, LanguageModel};
use crate::mob::core::{Core, Ids, Pending};
use crate::mob::definition::MobDefinition;
use crate::mob::error::MobError;
use crate::mob::roster::SpawnOrder;
use crate::mob::rows::{Interaction, InteractionError, InteractionStatus, Member, MobStatus};
use crate::mob::work::Admission;
use crate::storage::Durability;
use crate::wire::{
    AgentIdentity, ContentInput, FenceToken, Generation, HandlingMode, InteractionId,
    MemberActivity, MemberState, MemberStatus, MobId, MobMemberListEntry, MobMemberSnapshot,
    MobReconcileReport, MobRuntimeMode, SessionId, SpawnMemberSpec, TimestampMs, Usage,
};

/// A person's message to a member.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// What is said.
    pub content: ContentInput,
    /// Whether it waits its turn or steers what the member is doing.
    pub mode: HandlingMode,
    /// Who sends it, e.g. `console`; free text that events repeat.
    pub origin: String,
    /// A repeated send with the same key, origin, member and content is accepted once.
    pub idempotency_key: Option<String>,
}

impl SendRequest {
    /// A message that waits its turn.
    pub fn new(content: impl Into<ContentInput>) -> Self {
        Self {
            content: content.into(),
            mode: HandlingMode::Queue,
            origin: "host".into(),
            idempotency_key: None,
        }
    }
}

/// A message that was accepted: it is durable, and work on it is sure to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What to follow.
    pub interaction_id: InteractionId,
    /// The member that was asked.
    pub identity: AgentIdentity,
    /// Its session.
    pub session_id: SessionId,
    /// It had been accepted before, under the same idempotency key.
    pub repeated: bool,
}

/// How an interaction stands.
#[derive(Clone, Debug, PartialEq)]
pub struct InteractionOutcome {
    /// Which.
    pub interaction_id: InteractionId,
    /// Open, completed, failed or cancelled.
    pub status: InteractionStatus,
    /// The asked member's last words; empty when it said nothing.
    pub result: String,
    /// Why it failed or was cancelled.
    pub error: Option<InteractionError>,
    /// Tokens of all members that worked on it.
    pub usage: Usage,
    /// Runs of all members that worked on it.
    pub turns: u32,
}

impl From<&Interaction> for InteractionOutcome {
    fn from(row: &Interaction) -> Self {
        Self {
            interaction_id: row.interaction_id.clone(),
            status: row.status,
            result: row.result.clone().unwrap_or_default(),
            error: row.error.clone(),
            usage: row.usage,
            turns: row.turns,
        }
    }
}

/// One member that was spawned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnReceipt {
    /// Its name.
    pub identity: AgentIdentity,
    /// Its incarnation.
    pub generation: Generation,
    /// The token that acts for this incarnation must show.
    pub fence_token: FenceToken,
    /// Its transcript.
    pub session_id: SessionId,
}

impl From<&Member> for SpawnReceipt {
    fn from(member: &Member) -> Self {
        Self {
            identity: member.identity().clone(),
            generation: member.generation,
            fence_token: member.fence_token,
            session_id: member.session_id.clone(),
        }
    }
}

/// How far `spawn_many` came.
#[derive(Clone, Debug)]
pub struct SpawnManyReport {
    /// The valid prefix, spawned as one batch.
    pub spawned: Vec<SpawnReceipt>,
    /// Why the spec after them was refused; none when all were spawned.
    pub refused: Option<MobError>,
}

/// One message of a transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryMessage {
    /// Its place, from 1.
    pub number: u64,
    /// When it was written.
    pub timestamp_ms: TimestampMs,
    /// The interaction in which it was written.
    pub interaction_id: InteractionId,
    /// What was said.
    pub message: ChatMessage,
}

/// A mob that is open. Clones are the same mob.
#[derive(Clone)]
pub struct MobHandle {
    core: Rc<Core>,
}

impl MobHandle {
    pub(crate) fn new(core: Rc<Core>) -> Self {
        Self { core }
    }

    /// The mob's name.
    pub fn mob_id(&self) -> &MobId {
        &self.core.mob_id
    }

    /// Whether members work.
    pub fn status(&self) -> MobStatus {
        self.core.status()
    }

    /// The definition in force.
    pub fn definition(&self) -> MobDefinition {
        self.core.definition().definition.clone()
    }

    /// Spawns a member; durable when answered.
    ///
    /// # Errors
    /// [`MobError::ProfileNotFound`], [`MobError::MemberAlreadyExists`], [`MobError::InvalidInput`], or storage's.
    pub fn spawn_spec(&self, spec: SpawnMemberSpec) -> Pending<SpawnReceipt> {
        let spawned = self.spawn_all(vec![spec]);
        spawned.map(|spawned| Ok(spawned?.remove(0))).boxed_local()
    }

    /// Spawns members; the valid prefix is one batch, and the first invalid one is named.
    ///
    /// # Errors
    /// The first spec's when not even that one is valid, or storage's.
    pub fn spawn_many(&self, specs: Vec<SpawnMemberSpec>) -> Pending<SpawnManyReport> {
        let orders = self.orders(specs);
        self.core.execute(Durability::Strict, move |core, batch| {
            let answer = core.stage_spawn(batch, &orders)?;
            Ok(SpawnManyReport {
                spawned: receipts(&answer.spawned),
                refused: answer.refused,
            })
        })
    }

    /// What members are spawned with: their ids are made here, for a command may run twice.
    fn orders(&self, specs: Vec<SpawnMemberSpec>) -> Vec<SpawnOrder> {
        let ids = Ids::new(&self.core.host);
        specs
            .into_iter()
            .map(|spec| SpawnOrder {
                spec,
                session_id: ids.session(),
                interaction_id: ids.interaction(),
                work_id: ids.work(),
            })
            .collect()
    }

    /// Spawns members: all of them, or none.
    pub(crate) fn spawn_all(&self, specs: Vec<SpawnMemberSpec>) -> Pending<Vec<SpawnReceipt>> {
        if specs.is_empty() {
            return ready(Ok(Vec::new())).boxed_local();
        }
        let orders = self.orders(specs);
        self.core.execute(Durability::Strict, move |core, batch| {
            let state = core.staged_state();
            if let (_, Some(error)) = core.valid_prefix(&state.definition, &orders) {
                return Err(error);
            }
            let answer = core.stage_spawn(batch, &orders)?;
            Ok(receipts(&answer.spawned))
        })
    }

    /// Brings the roster to `desired` in one batch: retires who is not named, spawns who is missing. Whoever cannot be spawned
    /// is in the report.
    ///
    /// # Errors
    /// Storage's.
    pub fn reconcile(&self, desired: Vec<SpawnMemberSpec>) -> Pending<MobReconcileReport> {
        let orders = self.orders(desired);
        self.core.execute(Durability::Strict, move |core, batch| {
            core.stage_reconcile(batch, &orders)
        })
    }

    /// Retires everybody, begins a new epoch of the ledger, and spawns `specs`, in one batch. Answers who left and who came.
    ///
    /// # Errors
    /// [`MobError::ProfileNotFound`], [`MobError::MemberAlreadyExists`] for a name that comes twice,
    /// [`MobError::InvalidInput`], or storage's: nothing has changed then.
    pub fn reset(
        &self,
        specs: Vec<SpawnMemberSpec>,
    ) -> Pending<(Vec<AgentIdentity>, Vec<SpawnReceipt>)> {
        let orders = self.orders(specs);
        self.core.execute(Durability::Strict, move |core, batch| {
            let reset = core.stage_reset(batch, &orders)?;
            Ok((reset.retired, receipts(&reset.spawned)))
        })
    }

    /// Takes a member off the roster; what it was working on fails.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], or storage's.
    pub fn retire(&self, identity: &AgentIdentity) -> Pending<()> {
        let identity = identity.clone();
        self.core.execute(Durability::Strict, move |core, batch| {
            core.stage_retire(batch, &identity)
        })
    }

    /// Gives a member a new incarnation with an empty transcript; its wiring and its waiting messages stay.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], or storage's.
    pub fn respawn(&self, identity: &AgentIdentity) -> Pending<SpawnReceipt> {
        let identity = identity.clone();
        let session = Ids::new(&self.core.host).session();
        self.core.execute(Durability::Strict, move |core, batch| {
            let member = core.stage_respawn(batch, &identity, &session)?;
            Ok(SpawnReceipt::from(member.as_ref()))
        })
    }

    /// Lets two members talk. Answers whether they could not before.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], [`MobError::Wiring`], or storage's.
    pub fn wire(&self, a: &AgentIdentity, b: &AgentIdentity) -> Pending<bool> {
        let (a, b) = (a.clone(), b.clone());
        self.core.execute(Durability::Strict, move |core, batch| {
            core.stage_wire(batch, &a, &b)
        })
    }

    /// Lets two members talk no more. Answers whether they could before.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], or storage's.
    pub fn unwire(&self, a: &AgentIdentity, b: &AgentIdentity) -> Pending<bool> {
        let (a, b) = (a.clone(), b.clone());
        self.core.execute(Durability::Strict, move |core, batch| {
            core.stage_unwire(batch, &a, &b)
        })
    }

    /// All members, by name.
    pub fn list_members(&self) -> Vec<MobMemberListEntry> {
        let members = self.core.members.all();
        let mut entries: Vec<_> = members
            .iter()
            .map(|member| self.entry(member, Vec::new()))
            .collect();
        let place = |identity: &AgentIdentity| {
            members
                .binary_search_by(|member| member.identity().cmp(identity))
                .ok()
        };
        // Edges come in the order of their ends, so that the peers before a member and then those after it are found in order.
        for edge in self.core.edges.all() {
            if let (Some(a), Some(b)) = (place(&edge.a), place(&edge.b)) {
                entries[a].wired_to.push(edge.b.clone());
                entries[b].wired_to.push(edge.a.clone());
            }
        }
        entries
    }

    /// One member.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`].
    pub fn get_member(&self, identity: &AgentIdentity) -> Result<MobMemberListEntry, MobError> {
        let member = self.core.member(identity)?;
        Ok(self.entry(&member, self.core.peers(identity)))
    }

    fn entry(&self, member: &Member, wired_to: Vec<AgentIdentity>) -> MobMemberListEntry {
        let (activity, error) = self.core.activity(member);
        MobMemberListEntry {
            agent_identity: member.identity().clone(),
            role: member.spec.role_name.clone(),
            runtime_mode: MobRuntimeMode::default(),
            state: MemberState::Active,
            wired_to,
            labels: member.spec.labels.clone(),
            status: if activity == MemberActivity::Broken {
                MemberStatus::Broken
            } else {
                MemberStatus::Active
            },
            error,
            is_final: false,
            kickoff: None,
            activity,
            model: self.core.model_name(member),
        }
    }

    /// What a member is doing and what it said last.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], or storage's.
    pub async fn member_status(
        &self,
        identity: &AgentIdentity,
    ) -> Result<MobMemberSnapshot, MobError> {
        let member = self.core.member(identity)?;
        let said = self.core.last_words(&member.session_id).await?;
        let output_preview = said.map(|text| text.chars().take(200).collect());
        let (activity, error) = self.core.activity(&member);
        Ok(MobMemberSnapshot {
            status: if activity == MemberActivity::Broken {
                MemberStatus::Broken
            } else {
                MemberStatus::Active
            },
            output_preview,
            error,
            tokens_used: member.usage.total(),
            is_final: false,
            current_session_id: Some(member.session_id.clone()),
            kickoff: None,
            activity,
            mailbox_depth: self
                .core
                .mailbox
                .range((identity.clone(), 0)..=(identity.clone(), u64::MAX))
                .len() as u64,
        })
    }

    /// Accepts a message for a member; durable when answered.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], [`MobError::InvalidInput`], [`MobError::IdempotencyConflict`],
    /// [`MobError::AdmissionBacklogFull`], [`MobError::ShuttingDown`], or storage's.
    pub async fn send(
        &self,
        identity: &AgentIdentity,
        request: SendRequest,
    ) -> Result<Accepted, MobError> {
        self.core.check_open()?;
        let ids = Ids::new(&self.core.host);
        let interaction_id = match &request.idempotency_key {
            Some(key) if key.trim().is_empty() => {
                return Err(MobError::invalid("idempotency_key", "it is blank"));
            }
            Some(key) => InteractionId::from(
                digest(&["send", identity.as_str(), &request.origin, key]).as_str(),
            ),
            None => ids.interaction(),
        };
        let content = serde_json::to_string(&request.content)
            .map_err(|error| MobError::invalid("content", error.to_string()))?;
        let mode = format!("{:?}", request.mode);
        let admission = Admission {
            to: identity.clone(),
            fingerprint: digest(&[&request.origin, &mode, &content]),
            content: request.content,
            mode: request.mode,
            origin: request.origin,
            by_mob: false,
            interaction_id,
            work_id: ids.work(),
        };
        let admitted = self
            .core
            .execute(Durability::Strict, move |core, batch| {
                core.stage_admission(batch, &admission)
            })
            .await?;
        Ok(Accepted {
            interaction_id: admitted.interaction_id,
            identity: identity.clone(),
            session_id: admitted.session_id,
            repeated: admitted.repeated,
        })
    }

    /// How an interaction stands.
    ///
    /// # Errors
    /// [`MobError::InteractionNotFound`].
    pub fn interaction(
        &self,
        interaction_id: &InteractionId,
    ) -> Result<InteractionOutcome, MobError> {
        let row = self.core.interactions.get(interaction_id);
        let row = row.ok_or_else(|| MobError::InteractionNotFound(interaction_id.clone()))?;
        Ok(InteractionOutcome::from(row.as_ref()))
    }

    /// Waits until an interaction has ended, whoever works on it.
    ///
    /// # Errors
    /// [`MobError::InteractionNotFound`] when it is not known, or was ended and pruned meanwhile; [`MobError::ShuttingDown`],
    /// [`MobError::NotLeader`] or storage's when this runtime ends before it. Its work goes on with the next start.
    pub async fn wait_interaction(
        &self,
        interaction_id: &InteractionId,
    ) -> Result<InteractionOutcome, MobError> {
        loop {
            let changed = self.core.changed.notified();
            let outcome = self.interaction(interaction_id)?;
            if outcome.status != InteractionStatus::Open {
                return Ok(outcome);
            }
            self.core.check_open()?;
            changed.await;
        }
    }

    /// Cancels an interaction, with all the work that it caused. Answers whether it was open.
    ///
    /// # Errors
    /// [`MobError::InteractionNotFound`], or storage's.
    pub fn cancel(&self, interaction_id: &InteractionId) -> Pending<bool> {
        let id = interaction_id.clone();
        self.core.execute(Durability::Strict, move |core, batch| {
            core.stage_cancel(batch, &id)
        })
    }

    /// Cancels what a member is doing now. Answers whether it was doing anything.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], or storage's.
    pub fn cancel_turn(&self, identity: &AgentIdentity) -> Pending<bool> {
        let identity = identity.clone();
        self.core.execute(Durability::Strict, move |core, batch| {
            core.stage_cancel_turn(batch, &identity)
        })
    }

    /// Cancels every open interaction. Answers how many there were.
    ///
    /// # Errors
    /// Storage's.
    pub fn cancel_all(&self) -> Pending<usize> {
        self.core.execute(Durability::Strict, |core, batch| {
            Ok(core.stage_cancel_all(batch))
        })
    }

    /// Stops the mob: what runs is put down as it is, nothing new starts. Answers whether it ran.
    ///
    /// # Errors
    /// Storage's.
    pub fn stop(&self) -> Pending<bool> {
        self.core.execute(Durability::Strict, |core, batch| {
            core.stage_status(batch, MobStatus::Stopped)
        })
    }

    /// Lets a stopped mob go on where it was. Answers whether it was stopped.
    ///
    /// # Errors
    /// Storage's.
    pub fn resume(&self) -> Pending<bool> {
        self.core.execute(Durability::Strict, |core, batch| {
            core.stage_status(batch, MobStatus::Running)
        })
    }

    /// A part of a member's transcript, oldest first, and how many messages there are in all.
    ///
    /// # Errors
    /// [`MobError::MemberNotFound`], or storage's.
    pub async fn session_history(
        &self,
        identity: &AgentIdentity,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<HistoryMessage>, usize), MobError> {
        let member = self.core.member(identity)?;
        let (rows, total) = self
            .core
            .read_transcript(&member.session_id, offset, limit)
            .await?;
        let page = rows.into_iter().map(|row| HistoryMessage {
            number: row.number,
            timestamp_ms: row.entry.timestamp_ms,
            interaction_id: row.entry.interaction_id,
            message: row.entry.message,
        });
        Ok((page.collect(), total))
    }

    /// Gives, replaces or takes away the model of a name; work that waited for it goes on.
    pub fn set_model(&self, name: &str, model: Option<Rc<dyn LanguageModel>>) {
        self.core.kit.models.set(name, model);
        self.core.runners.touch_all(&self.core);
        self.core.changed.notify_waiters();
    }

    /// Waits until something about the mob has changed.
    pub fn changed(&self) -> crate::shim::Notified {
        self.core.changed.notified()
    }
}

fn receipts(members: &[Rc<Member>]) -> Vec<SpawnReceipt> {
    members
        .iter()
        .map(|member| SpawnReceipt::from(member.as_ref()))
        .collect()
}

impl Core {
    /// The interaction that these words name, always the same.
    pub fn named_interaction(&self, words: &[&str]) -> InteractionId {
        InteractionId::from(digest(words).as_str())
    }
}

/// Hex of the first 16 bytes of a SHA-256 over length-prefixed parts.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
