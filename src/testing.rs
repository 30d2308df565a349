//! What people use who test their own mobs (feature `testing`): a scripted model, virtual time, a disk that survives a
//! crash and fails on command, and a recorder of events. It works natively and in a browser.
//!
//! ```
//! use std::rc::Rc;
//!
//! use mobkit_web::mob::{SendRequest, definition::MobDefinition};
//! use mobkit_web::runtime::UnifiedRuntime;
//! use mobkit_web::testing::{EventRecorder, Reply, ScriptedModel, Sim, SimDisk, StoragePlan};
//! use mobkit_web::wire::AgentIdentity;
//!
//! let definition = "[mob]\nid = \"m\"\n[profiles.p]\nmodel = \"scripted\"\n[[members]]\nprofile = \"p\"\nidentity = \"ada\"\n";
//! let (sim, disk) = (Sim::new(7), SimDisk::new());
//! let host = sim.host();
//! let model = ScriptedModel::new(host.clone());
//! model.push(Reply::text("hello"));
//! sim.block_on(async {
//!     let runtime = UnifiedRuntime::builder()
//!         .definition(MobDefinition::from_toml(definition).unwrap())
//!         .host(host.clone())
//!         .storage(disk.open(&host, StoragePlan::default()))
//!         .model("scripted", Rc::new(model.clone()))
//!         .build()
//!         .await
//!         .unwrap();
//!     let ada = AgentIdentity::new("ada").unwrap();
//!     let recorder = EventRecorder::start(&runtime, &host).unwrap();
//!     assert_eq!(runtime.ask(&ada, SendRequest::new("hi")).await.unwrap().result, "hello");
//!     recorder.until(|record| record.event.agent_event_type() == "interaction_complete").await;
//!     assert_eq!(recorder.types_of(&ada)[0], "user_input");
//! });
//! ```

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::StreamExt;

pub use crate::agent::scripted::{Reply, ScriptedModel};
pub use crate::sim::{CommitFault, CrashSwitch, Sim, SimDisk, SimRandom, StoragePlan};

use crate::log::LogItem;
use crate::mob::MobError;
use crate::runtime::{EventFilter, UnifiedRuntime};
use crate::shim::{Host, Notify, TaskGroup};
use crate::wire::{AgentEventRecord, AgentIdentity, Cursor};

/// Keeps every agent event of a runtime, those before its start included, in order. Dropping it ends the recording.
pub struct EventRecorder {
    tape: Rc<Tape>,
    _group: TaskGroup,
}

#[derive(Default)]
struct Tape {
    records: RefCell<Vec<Rc<AgentEventRecord>>>,
    gaps: Cell<usize>,
    grew: Notify,
}

impl EventRecorder {
    /// Begins to record on `host`, which is the runtime's own or another of the same world.
    ///
    /// # Errors
    /// What [`UnifiedRuntime::events`] says.
    pub fn start(runtime: &UnifiedRuntime, host: &Host) -> Result<Self, MobError> {
        let mut reader = runtime.events(EventFilter {
            after: Some(Cursor::START),
            ..EventFilter::default()
        })?;
        let tape = Rc::new(Tape::default());
        let group = host.task_group();
        let recording = tape.clone();
        drop(group.host().spawn(async move {
            while let Some(Ok(item)) = reader.next().await {
                match item {
                    LogItem::Entry { entry, .. } => recording.records.borrow_mut().push(entry),
                    LogItem::Gap { .. } => recording.gaps.set(recording.gaps.get() + 1),
                }
                recording.grew.notify_waiters();
            }
        }));
        Ok(Self {
            tape,
            _group: group,
        })
    }

    /// What was recorded so far.
    pub fn records(&self) -> Vec<Rc<AgentEventRecord>> {
        self.tape.records.borrow().clone()
    }

    /// The types of one member's events so far, e.g. `run_started`.
    pub fn types_of(&self, identity: &AgentIdentity) -> Vec<String> {
        let records = self.tape.records.borrow();
        let own = records.iter().filter(|record| record.identity == *identity);
        own.map(|record| record.event.agent_event_type().to_owned())
            .collect()
    }

    /// How many holes the log had: retention, or an unclean stop.
    pub fn gaps(&self) -> usize {
        self.tape.gaps.get()
    }

    /// The first event that `wanted` accepts, recorded already or yet to come.
    pub async fn until(
        &self,
        mut wanted: impl FnMut(&AgentEventRecord) -> bool,
    ) -> Rc<AgentEventRecord> {
        let mut seen = 0;
        loop {
            // Asked for before the look, so that nothing is missed between the two.
            let grew = self.tape.grew.notified();
            // A copy, for `wanted` may look at the recorder itself.
            let fresh = self.tape.records.borrow()[seen..].to_vec();
            seen += fresh.len();
            let found = fresh.into_iter().find(|record| wanted(record));
            match found {
                Some(record) => return record,
                None => grew.await,
            }
        }
    }
}
