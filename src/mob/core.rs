//! The mob's state and the one way to change it.
//!
//! A command is a function that validates against the staged rows and adds rows, ledger entries and events to a batch; the
//! writer runs it, commits, and settles the rows. Nothing here awaits anything but the writer, so a command sees one
//! consistent state and needs no lock.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use litemap::LiteMap;
use serde::Serialize;

use crate::agent::model::{LanguageModel, RetryPolicy};
use crate::agent::tool::{ToolGate, ToolSet, ToolSource};
use crate::log::Log;
use crate::mob::definition::{MobDefinition, Profile};
use crate::mob::dispatch::Runners;
use crate::mob::error::MobError;
use crate::mob::rows::{
    DueRow, Edge, Interaction, LabelRow, Member, MobRow, MobStatus, OpenTurn, TranscriptRow,
    WorkItem,
};
use crate::mob::trouble::Trouble;
use crate::mob::wake::Armed;
use crate::shim::{Host, Notify, Wake};
use crate::storage::{
    Batch, Durability, Key, Participant, Staged, Storage, SubmitError, Table, Writer, WriterClosed,
};
use crate::wire::json::{self, from_json};
use crate::wire::{
    AgentEvent, AgentEventRecord, AgentIdentity, Cursor, FenceToken, Generation, InteractionId,
    MobEventKind, MobId, SessionId, TimestampMs, WorkId,
};

/// One entry of the structural ledger as it is stored; its cursor is its number in the log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LedgerEntry {
    pub timestamp_ms: TimestampMs,
    pub kind: MobEventKind,
}

from_json!(LedgerEntry { timestamp_ms, kind });

/// What a mob works with that is not state: models, tools, limits.
pub(crate) struct Kit {
    pub models: Models,
    pub tools: ToolSet,
    pub gate: Option<Rc<dyn ToolGate>>,
    /// The tools of modules.
    pub modules: Option<Rc<dyn ToolSource>>,
    pub retry: RetryPolicy,
    /// Transcripts that stay in memory though nobody works on them: those of the members that worked last.
    pub max_sessions: usize,
    /// After how many idle seconds delegates are retired, when nothing says otherwise; none for never.
    pub idle_retire_secs: Option<u64>,
    /// The alarm of a host that may die meanwhile.
    pub wake: Option<Rc<dyn Wake>>,
}

/// The models by name, in the order of their names.
#[derive(Default)]
pub(crate) struct Models(RefCell<Vec<(String, Rc<dyn LanguageModel>)>>);

impl Models {
    /// Models by name; of two with one name the later one is taken.
    pub fn new(models: Vec<(String, Rc<dyn LanguageModel>)>) -> Self {
        let this = Self::default();
        for (name, model) in models {
            this.set(&name, Some(model));
        }
        this
    }

    /// The model of a name.
    pub fn get(&self, name: &str) -> Option<Rc<dyn LanguageModel>> {
        let models = self.0.borrow();
        let found = models.iter().find(|(known, _)| known == name)?;
        Some(found.1.clone())
    }

    /// Gives, replaces or takes away the model of a name.
    pub fn set(&self, name: &str, model: Option<Rc<dyn LanguageModel>>) {
        let mut models = self.0.borrow_mut();
        match (
            models.binary_search_by(|(known, _)| known.as_str().cmp(name)),
            model,
        ) {
            (Ok(at), Some(model)) => models[at].1 = model,
            (Err(at), Some(model)) => models.insert(at, (name.to_owned(), model)),
            (Ok(at), None) => {
                models.remove(at);
            }
            (Err(_), None) => {}
        }
    }

    /// All names with their models.
    pub fn all(&self) -> Vec<(String, Rc<dyn LanguageModel>)> {
        self.0.borrow().clone()
    }
}

/// A mob that is open.
pub(crate) struct Core {
    pub host: Host,
    pub storage: Rc<dyn Storage>,
    /// Absent in a runtime that only follows.
    pub writer: Option<Writer>,
    pub mob_id: MobId,
    pub kit: Kit,
    pub state: Table<MobRow>,
    pub members: Table<Member>,
    pub edges: Table<Edge>,
    /// The edges that a reconciliation made, and therefore may remove. One that somebody else unwired is still among them.
    pub managed: Table<Edge>,
    pub labels: Table<LabelRow>,
    pub mailbox: Table<WorkItem>,
    pub turns: Table<OpenTurn>,
    /// Who is retired when, for being idle.
    pub due: Table<DueRow>,
    pub interactions: Table<Interaction>,
    pub transcripts: Table<TranscriptRow>,
    /// Sessions whose transcript is in memory.
    pub loaded: RefCell<LiteMap<SessionId, ()>>,
    /// Those of them that nobody works on, in the order in which they came to rest.
    pub resting: RefCell<Vec<SessionId>>,
    pub ledger: Log<LedgerEntry>,
    pub events: Log<AgentEventRecord>,
    pub runners: Runners,
    /// Told after every commit that changed a row, and when the mob closes.
    pub changed: Notify,
    /// Told after every commit that changed when somebody is due, or whether the mob works.
    pub due_moved: Notify,
    pub armed: Armed,
    /// When something else than a member is due, of which the mob knows nothing more.
    pub also_due: Cell<Option<TimestampMs>>,
    /// Why nothing is taken and no run starts any more, once that is so.
    pub closed: RefCell<Option<MobError>>,
    pub trouble: Trouble,
}

/// The answer of a command that was handed in. Dropping it gives up the answer, not the command.
pub type Pending<T> = LocalBoxFuture<'static, Result<T, MobError>>;

/// A command whose type is forgotten: one that may be handed in again.
pub(crate) type Stage<T> = Box<dyn FnMut(&Core, &mut Batch) -> Result<T, MobError>>;

/// A command whose answer waits beside it.
type UntypedStage = Box<dyn FnMut(&mut Batch) -> Result<(), MobError>>;

impl Core {
    /// The time for rows and events.
    pub fn now(&self) -> TimestampMs {
        TimestampMs::from(self.host.now_ms())
    }

    /// Hands one command of somebody outside to the writer; answers when it is durable. It runs whether or not the answer is
    /// waited for.
    pub fn execute<T: 'static>(
        self: &Rc<Self>,
        durability: Durability,
        stage: impl FnMut(&Core, &mut Batch) -> Result<T, MobError> + 'static,
    ) -> Pending<T> {
        self.hand_in(false, durability, Box::new(stage))
    }

    /// Hands in one command of work that was accepted: a full backlog does not refuse it.
    pub fn execute_accepted<T: 'static>(
        self: &Rc<Self>,
        durability: Durability,
        stage: impl FnMut(&Core, &mut Batch) -> Result<T, MobError> + 'static,
    ) -> Pending<T> {
        self.hand_in(true, durability, Box::new(stage))
    }

    fn hand_in<T: 'static>(
        self: &Rc<Self>,
        accepted: bool,
        durability: Durability,
        mut stage: Stage<T>,
    ) -> Pending<T> {
        let Some(writer) = &self.writer else {
            return ready(Err(MobError::NotLeader)).boxed_local();
        };
        // The answer waits beside the command, so that the writer sees commands of one type only.
        let answer = Rc::new(Cell::new(None));
        let (core, staged) = (self.clone(), answer.clone());
        let done = self.submit(
            writer,
            accepted,
            durability,
            Box::new(move |batch| {
                staged.set(Some(stage(&core, batch)?));
                Ok(())
            }),
        );
        done.map(move |done| done.map(|()| answer.take().expect("it was staged before")))
            .boxed_local()
    }

    fn submit(
        self: &Rc<Self>,
        writer: &Writer,
        accepted: bool,
        durability: Durability,
        mut stage: UntypedStage,
    ) -> Pending<()> {
        let staging = move |batch: &mut Batch| stage(batch).map(Staged::answer);
        let submitted = if accepted {
            writer.submit_accepted(durability, staging)
        } else {
            writer.submit(durability, staging)
        };
        let core = self.clone();
        submitted
            .map(move |done| done.map_err(|error| core.explained(error)))
            .boxed_local()
    }

    /// A refusal; of a writer that has ended, with what ended it.
    fn explained(&self, error: SubmitError<MobError>) -> MobError {
        match (error.into(), self.writer.as_ref().and_then(Writer::ended)) {
            (MobError::ShuttingDown, Some(WriterClosed::Storage(error))) => error.into(),
            (error, _) => error,
        }
    }

    /// From now on nothing is taken and nothing runs; whoever waits for work hears why.
    pub fn close(&self, why: MobError) {
        *self.closed.borrow_mut() = Some(why);
        self.runners.abort_all();
        self.changed.notify_waiters();
        self.due_moved.notify_waiters();
    }

    /// Whether the mob takes work, or why it does not any more.
    pub fn check_open(&self) -> Result<(), MobError> {
        self.closed.borrow().clone().map_or(Ok(()), Err)
    }

    /// The definition in force.
    pub fn definition(&self) -> Rc<MobRow> {
        self.state
            .get(&())
            .expect("the mob's row is written before the mob is open")
    }

    /// The mob's row as the running commit would leave it.
    pub fn staged_state(&self) -> Rc<MobRow> {
        self.state
            .staged(&())
            .expect("the mob's row is written before the mob is open")
    }

    /// Whether members work.
    pub fn status(&self) -> MobStatus {
        self.definition().status
    }

    /// The profile of a member in the definition in force.
    pub fn profile<'a>(
        &self,
        definition: &'a MobDefinition,
        member: &Member,
    ) -> Option<&'a Profile> {
        definition.profiles.get(&member.spec.role_name)
    }

    /// The staged member, or that there is none.
    pub fn staged_member(&self, identity: &AgentIdentity) -> Result<Rc<Member>, MobError> {
        self.members
            .staged(identity)
            .ok_or_else(|| MobError::MemberNotFound(identity.clone()))
    }

    /// The committed member, or that there is none.
    pub fn member(&self, identity: &AgentIdentity) -> Result<Rc<Member>, MobError> {
        self.members
            .get(identity)
            .ok_or_else(|| MobError::MemberNotFound(identity.clone()))
    }

    /// The members that `identity` may talk to.
    pub fn peers(&self, identity: &AgentIdentity) -> Vec<AgentIdentity> {
        self.edges
            .all()
            .iter()
            .filter_map(|edge| edge.peer(identity))
            .cloned()
            .collect()
    }

    /// The staged edges with `identity` at one end.
    pub fn staged_edges(&self, identity: &AgentIdentity) -> Vec<Rc<Edge>> {
        self.edges
            .staged_range(..)
            .into_iter()
            .filter(|edge| edge.peer(identity).is_some())
            .collect()
    }

    /// Adds entries to the ledger.
    pub fn tell(&self, batch: &mut Batch, kinds: Vec<MobEventKind>) {
        let timestamp_ms = self.now();
        let indexed: Vec<_> = kinds.iter().map(json::value_of).collect();
        let entries = kinds
            .into_iter()
            .map(|kind| LedgerEntry { timestamp_ms, kind })
            .collect();
        let numbers = self.ledger.stage(batch, entries);
        self.index_staged(batch, numbers, timestamp_ms, indexed);
    }

    /// An event of `member`, attributed.
    pub fn record(
        &self,
        member: &Member,
        interaction_id: Option<&InteractionId>,
        work_id: Option<&WorkId>,
        event: AgentEvent,
    ) -> AgentEventRecord {
        AgentEventRecord {
            identity: member.identity().clone(),
            generation: member.generation,
            fence_token: member.fence_token,
            role: member.spec.role_name.clone(),
            timestamp_ms: self.now(),
            interaction_id: interaction_id.cloned(),
            work_id: work_id.cloned(),
            continues: false,
            event,
        }
    }

    /// Adds events of one member's work that are shown when the batch is durable.
    pub fn announce(
        &self,
        batch: &mut Batch,
        member: &Member,
        item: &WorkItem,
        events: Vec<AgentEvent>,
    ) -> Range<Cursor> {
        let interaction = Some(&item.cause.interaction_id);
        let mut records = Vec::with_capacity(events.len());
        for event in events {
            let ends_run = matches!(
                event,
                AgentEvent::RunCompleted { .. } | AgentEvent::RunFailed { .. }
            );
            let mut record = self.record(member, interaction, Some(&item.work_id), event);
            record.continues = ends_run && self.goes_on(member, &item.cause.interaction_id);
            records.push(record);
        }
        self.events.stage(batch, records)
    }

    /// Whether an interaction goes on for a member whose run has ended: the turn is still there, or the interaction's own end
    /// is still to come.
    fn goes_on(&self, member: &Member, interaction_id: &InteractionId) -> bool {
        let asked = self.interactions.staged(interaction_id);
        self.turns.staged(member.identity()).is_some()
            || asked.is_some_and(|asked| asked.identity == *member.identity())
    }

    /// Checks that whoever acts for a member acts for its incarnation in force.
    pub fn check_fence(
        &self,
        identity: &AgentIdentity,
        token: FenceToken,
    ) -> Result<Rc<Member>, MobError> {
        let member = self.staged_member(identity)?;
        if member.fence_token != token {
            return Err(MobError::StaleFenceToken {
                identity: identity.clone(),
                expected: member.fence_token,
                actual: token,
            });
        }
        Ok(member)
    }

    /// Takes the next fence tokens, `count` of them; answers the first.
    pub fn take_fences(&self, batch: &mut Batch, count: u64) -> u64 {
        let row = self.staged_state();
        let first = row.next_fence;
        self.state.put(
            batch,
            MobRow {
                next_fence: first + count,
                ..row.as_ref().clone()
            },
        );
        first
    }

    /// Where the tables of a mob are.
    pub fn prefix(mob_id: &MobId) -> Key {
        Key::root().part("mob").part(mob_id.as_str())
    }
}

impl Participant for Core {
    fn stage(&self, batch: &mut Batch) {
        self.stage_due(batch);
    }

    fn settle(&self, committed: bool) {
        let state = self.state.settle(committed);
        let members = self.members.settle(committed);
        let edges = self.edges.settle(committed);
        self.managed.settle(committed);
        let labels = self.labels.settle(committed);
        let mailbox = self.mailbox.settle(committed);
        let turns = self.turns.settle(committed);
        let due = self.due.settle(committed);
        let interactions = self.interactions.settle(committed);
        let transcripts = self.transcripts.settle(committed);
        if !committed {
            return;
        }
        if !due.is_empty() || !state.is_empty() {
            self.due_moved.notify_waiters();
        }
        if !due.is_empty() || !state.is_empty() || !turns.is_empty() {
            self.arm();
        }
        let mut touched = members;
        touched.extend(turns);
        touched.extend(mailbox.into_iter().map(|(identity, _)| identity));
        if !state.is_empty() {
            touched.extend(
                self.members
                    .all()
                    .iter()
                    .map(|member| member.identity().clone()),
            );
        }
        let quiet = touched.is_empty()
            && edges.is_empty()
            && labels.is_empty()
            && interactions.is_empty()
            && transcripts.is_empty();
        for identity in touched {
            self.runners.touch(self, &identity);
        }
        if !quiet {
            self.changed.notify_waiters();
        }
    }
}

/// The ids that a command needs, made before it: a command may run twice and must name the same things both times.
pub(crate) struct Ids {
    host: Host,
}

impl Ids {
    pub fn new(host: &Host) -> Self {
        Self { host: host.clone() }
    }

    pub fn session(&self) -> SessionId {
        SessionId::from(self.host.uuid_v7().as_str())
    }

    pub fn work(&self) -> WorkId {
        WorkId::from(self.host.uuid_v7().as_str())
    }

    pub fn interaction(&self) -> InteractionId {
        InteractionId::from(self.host.uuid_v7().as_str())
    }
}

/// The first generation of a member.
pub(crate) const FIRST_GENERATION: Generation = Generation::new(0);
