//! Opening a mob: rows and logs from storage, the definition put in force, the members left dormant until they have work.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::log::{Log, LogConfig};
use crate::mob::core::{Core, Ids, Kit};
use crate::mob::definition::{DefinitionChange, InitialMember, MobDefinition, diff};
use crate::mob::error::MobError;
use crate::mob::roster::SpawnOrder;
use crate::mob::rows::{MobRow, MobStatus};
use crate::mob::trouble::Trouble;
use crate::mob::wake::Armed;
use crate::shim::{Host, Notify};
use crate::storage::{Durability, Record, Storage, StorageError, Table, Writer};
use crate::wire::{AgentIdentity, MobEventKind, MobId, SpawnMemberSpec};

/// The table of the mob's own row: the first that is written.
const STATE: &str = "state";

/// What a mob is opened with.
pub(crate) struct MobOptions {
    pub host: Host,
    pub storage: Rc<dyn Storage>,
    /// Absent to follow read-only.
    pub writer: Option<Writer>,
    pub mob_id: MobId,
    pub kit: Kit,
    pub ledger: LogConfig,
    pub events: LogConfig,
}

/// What putting a definition in force did.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    /// Differences from the definition that was stored.
    pub changes: Vec<DefinitionChange>,
    /// Members that the definition lists and that were spawned for it.
    pub spawned: Vec<AgentIdentity>,
}

/// Reads a mob's state; nothing runs yet.
pub(crate) async fn open(options: MobOptions) -> Result<Rc<Core>, MobError> {
    let MobOptions {
        host,
        storage,
        writer,
        mob_id,
        kit,
        ledger,
        events,
    } = options;
    let prefix = Core::prefix(&mob_id);
    let read_only = writer.is_none();
    let (ledger, events) = (
        LogConfig {
            read_only,
            ..ledger
        },
        LogConfig {
            read_only,
            ..events
        },
    );
    let ledger = Log::open(&host, storage.clone(), prefix.part("ledger"), ledger).await?;
    let events = Log::open(&host, storage.clone(), prefix.part("events"), events).await?;
    let core = Rc::new(Core {
        state: Table::new(prefix.part(STATE)),
        members: Table::new(prefix.part("member")),
        edges: Table::new(prefix.part("edge")),
        managed: Table::new(prefix.part("managed")),
        labels: Table::new(prefix.part("labels")),
        mailbox: Table::new(prefix.part("box")),
        turns: Table::new(prefix.part("turn")),
        due: Table::new(prefix.part("due").part("idle")),
        interactions: Table::new(prefix.part("interaction")),
        transcripts: Table::new(prefix.part("session")),
        loaded: RefCell::default(),
        resting: RefCell::default(),
        runners: Default::default(),
        changed: Notify::new(),
        due_moved: Notify::new(),
        armed: Armed::default(),
        also_due: Cell::new(None),
        closed: RefCell::default(),
        trouble: Trouble::default(),
        host,
        storage,
        writer,
        mob_id,
        kit,
        ledger,
        events,
    });
    core.load().await?;
    if read_only {
        core.refresh_logs().await?;
    }
    if let Some(writer) = &core.writer {
        core.complete_index().await?;
        writer.add_participant(core.ledger.participant());
        writer.add_participant(core.events.participant());
        writer.add_participant(core.clone());
    }
    Ok(core)
}

impl Core {
    /// Whether the mob was ever opened for writing.
    pub async fn exists(storage: &dyn Storage, mob_id: &MobId) -> Result<bool, StorageError> {
        let key = MobRow::place(&(), &Self::prefix(mob_id).part(STATE));
        Ok(storage.get(&key).await?.is_some())
    }

    /// Reads all tables. Transcripts come with the members that need them, to whoever leads.
    pub async fn load(&self) -> Result<(), MobError> {
        let storage = self.storage.as_ref();
        let tables = [
            self.state.loader(),
            self.members.loader(),
            self.edges.loader(),
            self.managed.loader(),
            self.labels.loader(),
            self.mailbox.loader(),
            self.turns.loader(),
            self.due.loader(),
            self.interactions.loader(),
        ];
        for table in tables {
            table.load(storage).await?;
        }
        if self.writer.is_none() {
            return Ok(());
        }
        for turn in self.turns.all() {
            if let Some(member) = self.members.get(&turn.identity) {
                // Cancelling an open turn answers its open calls, for which the transcript must be there.
                self.load_transcript(&member.session_id).await?;
            }
        }
        Ok(())
    }

    /// Reads what another context has written since.
    pub async fn refresh(&self) -> Result<(), MobError> {
        self.load().await?;
        self.refresh_logs().await?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// The logs come after the tables: an interaction is never seen ended before its last event can be read.
    async fn refresh_logs(&self) -> Result<(), MobError> {
        self.events.refresh().await?;
        self.ledger.refresh().await?;
        Ok(())
    }

    /// Puts `definition` in force: it wins over the stored one. Members that it lists and the stored one did not are
    /// spawned; a member that somebody retired does not come back.
    pub async fn install(
        self: &Rc<Self>,
        definition: MobDefinition,
    ) -> Result<Installed, MobError> {
        let stored = self.state.get(&()).map(|row| row.definition.clone());
        let changes = stored
            .as_ref()
            .map(|stored| diff(stored, &definition))
            .unwrap_or_default();
        if stored.is_some() && changes.is_empty() {
            return Ok(Installed::default());
        }
        let known = |identity: &AgentIdentity| {
            let mut members = stored.iter().flat_map(|stored| &stored.members);
            members.any(|member| member.identity == *identity)
        };
        let ids = Ids::new(&self.host);
        let orders: Vec<SpawnOrder> = definition
            .members
            .iter()
            .filter(|member| {
                !known(&member.identity) && self.members.get(&member.identity).is_none()
            })
            .map(|member| SpawnOrder {
                spec: spawn_spec(member),
                session_id: ids.session(),
                interaction_id: ids.interaction(),
                work_id: ids.work(),
            })
            .collect();
        let now = self.now();
        let spawned = self
            .execute(Durability::Strict, move |core, batch| {
                // All before the first row: what is refused must leave the staged rows as they were.
                if let (_, Some(error)) = core.valid_prefix(&definition, &orders) {
                    return Err(error);
                }
                let before = core.state.staged(&());
                let row = match &before {
                    Some(row) => MobRow {
                        definition: definition.clone(),
                        ..row.as_ref().clone()
                    },
                    None => MobRow {
                        status: MobStatus::Running,
                        next_fence: 1,
                        definition: definition.clone(),
                        created_at: now,
                    },
                };
                core.state.put(batch, row);
                if before.is_none() {
                    core.stage_index_mark(batch);
                    core.tell(
                        batch,
                        vec![MobEventKind::MobCreated {
                            definition: definition.to_json(),
                        }],
                    );
                }
                let answer = core.stage_spawn(batch, &orders)?;
                let spawned = answer.spawned.iter();
                Ok(spawned.map(|member| member.identity().clone()).collect())
            })
            .await?;
        Ok(Installed { changes, spawned })
    }
}

/// What a member that the definition lists is spawned with.
fn spawn_spec(member: &InitialMember) -> SpawnMemberSpec {
    let mut spec = SpawnMemberSpec::of(member.profile.clone(), member.identity.clone());
    spec.labels = member.labels.clone();
    spec.initial_message = member.initial_message.clone();
    spec
}
