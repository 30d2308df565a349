//! What is seen of a mob from outside, over all the lives of a trial, and what must hold of it.

mod verdict;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::people::People;
use super::*;
use crate::mob::{Accepted, Core, InteractionOutcome, MobError};
use crate::runtime::{EventReader, MobEventReader, Role};
use crate::storage::{Key, value};
use crate::wire::{Labels, MobId, MobStructuralEventEnvelope, SessionId};

/// How long somebody who reads along may need to have read everything, with storage that refuses now and then.
const READING: Duration = Duration::from_secs(60);

/// Why a look at a mob did not end well.
pub(super) enum Trouble {
    Storage,
    Violation(String),
}

impl From<String> for Trouble {
    fn from(violation: String) -> Self {
        Self::Violation(violation)
    }
}

impl From<MobError> for Trouble {
    fn from(error: MobError) -> Self {
        match error {
            MobError::Storage(_) => Self::Storage,
            other => Self::Violation(other.to_string()),
        }
    }
}

/// A message that a mob has accepted.
#[derive(Clone)]
pub(super) struct Message {
    pub interaction_id: InteractionId,
    /// The transcript that it belongs in.
    session_id: SessionId,
    text: String,
}

/// What the readers of one life have read.
#[derive(Default)]
pub(super) struct Reading {
    events: RefCell<BTreeSet<u64>>,
    /// Up to where.
    event_cursor: Cell<u64>,
    ledger_cursor: Cell<u64>,
    /// Storage refused them.
    cut_off: Cell<bool>,
}

/// What was seen from outside, over all lives.
#[derive(Default)]
pub(super) struct Watched {
    pub lives: Cell<u64>,
    accepted: RefCell<Vec<Message>>,
    /// How interactions were seen to have ended.
    ended: RefCell<BTreeMap<InteractionId, (InteractionStatus, String)>>,
    /// Members that must be there, with their sessions, or must not be there.
    members: RefCell<BTreeMap<String, Option<SessionId>>>,
    /// Members that must or must not be wired.
    edges: RefCell<BTreeMap<(String, String), bool>>,
    /// The mob's labels, when they are known.
    labels: RefCell<Option<Labels>>,
    events: RefCell<BTreeMap<u64, AgentEvent>>,
    ledger: RefCell<BTreeMap<u64, serde_json::Value>>,
    /// The entries that the projection told.
    heard: RefCell<BTreeSet<u64>>,
    /// Up to here it told every entry.
    heard_through: Cell<u64>,
    stored_cursor: Cell<u64>,
    violations: RefCell<Vec<String>>,
}

impl Watched {
    pub fn violation(&self, text: String) {
        self.violations.borrow_mut().push(text);
    }

    pub fn first_violation(&self) -> Result<(), String> {
        match self.violations.borrow().first() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }
}

/// What was answered.
impl Watched {
    pub fn accept(&self, accepted: Accepted, text: &str) {
        let mut messages = self.accepted.borrow_mut();
        if messages
            .iter()
            .all(|known| known.interaction_id != accepted.interaction_id)
        {
            messages.push(Message {
                interaction_id: accepted.interaction_id,
                session_id: accepted.session_id,
                text: text.to_owned(),
            });
        }
    }

    pub fn accepted(&self) -> Vec<Message> {
        self.accepted.borrow().clone()
    }

    /// Somebody changes a member, and nobody knows what it is until there is an answer. Answers what was known.
    pub fn forget_member(&self, name: &str) -> Option<Option<SessionId>> {
        self.members.borrow_mut().remove(name)
    }

    /// What was answered of a member: its session, or that it is not there.
    pub fn know_member(&self, name: &str, session: Option<SessionId>) {
        self.members.borrow_mut().insert(name.to_owned(), session);
    }

    pub fn is_known_to_be_there(&self, name: &str) -> bool {
        self.members.borrow().get(name).is_some_and(Option::is_some)
    }

    /// Somebody who was hired and is there.
    pub fn hired(&self) -> Option<String> {
        let members = self.members.borrow();
        let mut hired = members
            .iter()
            .filter(|(name, session)| name.starts_with("extra") && session.is_some());
        hired.next().map(|(name, _)| name.clone())
    }

    pub fn forget_edge(&self, a: &str, b: &str) {
        self.edges.borrow_mut().remove(&edge(a, b));
    }

    pub fn forget_edges(&self, name: &str) {
        self.edges
            .borrow_mut()
            .retain(|(a, b), _| a != name && b != name);
    }

    pub fn know_edge(&self, a: &str, b: &str, wired: bool) {
        self.edges.borrow_mut().insert(edge(a, b), wired);
    }

    /// What was answered of the mob's labels; none, while somebody changes them.
    pub fn know_labels(&self, labels: Option<Labels>) {
        *self.labels.borrow_mut() = labels;
    }

    /// What was answered before is so still.
    pub fn check_kept(&self, runtime: &UnifiedRuntime) {
        for message in self.accepted.borrow().iter() {
            match runtime.interaction_outcome(&message.interaction_id) {
                Err(_) => self.violation("an accepted message is lost".into()),
                Ok(outcome) => {
                    if let Some(ended) = self.ended.borrow().get(&message.interaction_id)
                        && *ended != (outcome.status, outcome.result.clone())
                    {
                        self.violation(format!("ended as {ended:?} and is {outcome:?}"));
                    }
                }
            }
        }
        let core = &runtime.inner.core;
        for (name, known) in self.members.borrow().iter() {
            let is = core.members.get(&id(name));
            let is = is.map(|member| member.session_id.clone());
            match (known, &is) {
                (known, is) if known == is => {}
                (Some(_), _) => self.violation(format!("the spawned member {name} is lost")),
                (None, _) => self.violation(format!("the retired member {name} is back")),
            }
        }
        if let Some(labels) = &*self.labels.borrow()
            && runtime.get_mob_labels() != *labels
        {
            self.violation("what was answered of the labels is lost".into());
        }
        let (_, edges) = roster(runtime);
        for (edge, wired) in self.edges.borrow().iter() {
            if edges.contains(edge) != *wired {
                self.violation(format!("what was answered of the wire {edge:?} is lost"));
            }
        }
    }

    /// How an interaction may end, and that it stays so.
    pub fn check_outcome(
        &self,
        message: &Message,
        outcome: &InteractionOutcome,
        people: People,
    ) -> Result<(), String> {
        let allowed = match (people, outcome.status) {
            (People::Meddling, InteractionStatus::Completed | InteractionStatus::Cancelled) => true,
            (_, InteractionStatus::Completed) => outcome.result == "all done",
            _ => false,
        };
        if !allowed {
            return Err(format!("{}: ended as {outcome:?}", message.text));
        }
        let end = (outcome.status, outcome.result.clone());
        let mut ended = self.ended.borrow_mut();
        let known = ended
            .entry(message.interaction_id.clone())
            .or_insert_with(|| end.clone());
        if *known != end {
            return Err(format!("ended as {known:?} and then as {end:?}"));
        }
        Ok(())
    }
}

/// The projection.
impl Watched {
    /// Hears what one runtime's projection tells: everything behind the stored cursor, in order, and the cursor after it.
    pub fn listener(
        self: &Rc<Self>,
        disk: &SimDisk,
    ) -> impl Fn(&MobStructuralEventEnvelope) + 'static {
        let (this, disk) = (self.clone(), disk.clone());
        let begin = stored_cursor(&disk);
        let last = Cell::new(None);
        move |envelope| {
            let cursor = envelope.cursor.get();
            let told = match last.replace(Some(cursor)) {
                Some(last) => cursor == last + 1,
                None => cursor > begin,
            };
            if !told {
                this.violation(format!("the projection told {cursor} out of turn"));
            }
            this.check_cursor(&disk);
            this.heard.borrow_mut().insert(cursor);
            let through = this.heard_through.get();
            let more = (through + 1..).take_while(|next| this.heard.borrow().contains(next));
            this.heard_through.set(more.last().unwrap_or(through));
        }
    }

    /// The stored cursor is never ahead of what was projected and never goes back.
    pub fn check_cursor(&self, disk: &SimDisk) {
        let stored = stored_cursor(disk);
        let through = self.heard_through.get();
        if stored > through {
            self.violation(format!(
                "the cursor {stored} is ahead of the projection {through}"
            ));
        }
        let before = self.stored_cursor.replace(stored);
        if stored < before {
            self.violation(format!("the cursor went back from {before} to {stored}"));
        }
    }

    /// After an orderly end everything was told, and the cursor says so.
    pub fn check_told(&self, disk: &SimDisk, runtime: &UnifiedRuntime) -> Result<(), String> {
        let latest = runtime.status().latest_mob_cursor.get();
        let (through, stored) = (self.heard_through.get(), stored_cursor(disk));
        if through > latest {
            return Err(format!(
                "entries up to {through} were told, and the ledger has {latest}"
            ));
        }
        if (through, stored) != (latest, latest) {
            return Err(format!(
                "of {latest} entries {through} were told, and the cursor is {stored}"
            ));
        }
        Ok(())
    }
}

fn stored_cursor(disk: &SimDisk) -> u64 {
    let key: Key = Core::prefix(&MobId::new("team").unwrap())
        .part("cursor")
        .part("mob_events");
    let row = disk.get(&key);
    row.map_or(0, |bytes| {
        value::decode::<Cursor>(&key, &bytes).unwrap().get()
    })
}

/// The readers.
impl Watched {
    /// Reads all that is shown, from the beginning, and holds it against what was shown before.
    pub fn follow(
        self: &Rc<Self>,
        host: &Host,
        runtime: &UnifiedRuntime,
        slow: bool,
        faultless: bool,
    ) -> Rc<Reading> {
        let reading = Rc::new(Reading::default());
        let events = runtime.events(EventFilter {
            after: Some(Cursor::START),
            ..EventFilter::default()
        });
        let ledger = runtime.mob_events(Some(Cursor::START));
        let slow = slow.then(|| host.clone());
        let (this, mine) = (self.clone(), reading.clone());
        host.spawn(async move {
            let read = this.read_events(events.unwrap(), &mine, slow).await;
            this.check_reader(&mine, read, faultless);
        });
        let (this, mine) = (self.clone(), reading.clone());
        host.spawn(async move {
            let read = this.read_ledger(ledger.unwrap(), &mine).await;
            this.check_reader(&mine, read, faultless);
        });
        reading
    }

    fn check_reader(&self, reading: &Reading, read: Result<(), MobError>, faultless: bool) {
        match read {
            Ok(()) => {}
            Err(MobError::Storage(_)) if !faultless => reading.cut_off.set(true),
            Err(error) => self.violation(format!("a reader was cut off: {error}")),
        }
    }

    async fn read_events(
        &self,
        mut events: EventReader,
        reading: &Reading,
        slow: Option<Host>,
    ) -> Result<(), MobError> {
        while let Some(item) = events.next().await {
            let last = reading.event_cursor.get();
            match item? {
                LogItem::Entry { cursor, entry } => {
                    if cursor.get() <= last {
                        self.violation(format!("event {cursor} came after {last}"));
                    }
                    reading.event_cursor.set(cursor.get());
                    reading.events.borrow_mut().insert(cursor.get());
                    let mut shown = self.events.borrow_mut();
                    let known = shown.insert(cursor.get(), entry.event.clone());
                    if known.is_some_and(|known| known != entry.event) {
                        self.violation(format!("the number {cursor} names two events"));
                    }
                }
                LogItem::Gap { from, to, .. } => {
                    if from.get() <= last || to < from {
                        self.violation(format!("a gap {from}..{to} after {last}"));
                    }
                    reading.event_cursor.set(to.get());
                }
            }
            if let Some(host) = &slow {
                // A slow reader falls behind the tail and reads on from storage.
                host.sleep(Duration::from_micros(300)).await;
            }
        }
        Ok(())
    }

    async fn read_ledger(
        &self,
        mut ledger: MobEventReader,
        reading: &Reading,
    ) -> Result<(), MobError> {
        while let Some(envelope) = ledger.next().await {
            let envelope = envelope?;
            let cursor = envelope.cursor.get();
            let last = reading.ledger_cursor.replace(cursor);
            if cursor != last + 1 {
                self.violation(format!("the ledger entry {cursor} came after {last}"));
            }
            let mut shown = self.ledger.borrow_mut();
            let known = shown.insert(cursor, envelope.data.clone());
            if known.is_some_and(|known| known != envelope.data) {
                self.violation(format!("the number {cursor} names two ledger entries"));
            }
        }
        Ok(())
    }

    /// Those who read along come to the end, and so does the projection.
    async fn check_reading(
        &self,
        host: &Host,
        runtime: &UnifiedRuntime,
        reading: &Reading,
    ) -> Result<(), Trouble> {
        let status = runtime.status();
        let (events, entries) = (status.latest_event_cursor, status.latest_mob_cursor);
        let mut missing = "";
        for wait in 0..READING.as_millis() / 100 {
            let read = (reading.event_cursor.get(), reading.ledger_cursor.get());
            missing = if runtime.status().projected_cursor < entries {
                "the projection"
            } else if read != (events.get(), entries.get()) && !reading.cut_off.get() {
                "a reader"
            } else {
                return Ok(());
            };
            if runtime.role() != Role::Leader {
                return Err(Trouble::Storage);
            }
            let pause = if wait < 50 { 1 } else { 100 };
            host.sleep(Duration::from_millis(pause)).await;
        }
        Err(format!("{missing} does not come to the end").into())
    }
}

/// Members and edges as the runtime lists them.
fn roster(runtime: &UnifiedRuntime) -> (BTreeSet<String>, BTreeSet<(String, String)>) {
    let listed = runtime.members();
    let names = listed
        .iter()
        .map(|member| member.agent_identity.to_string())
        .collect();
    let edges = listed
        .iter()
        .flat_map(|member| {
            member
                .wired_to
                .iter()
                .map(|peer| edge(member.agent_identity.as_str(), peer.as_str()))
        })
        .collect();
    (names, edges)
}

fn edge(a: &str, b: &str) -> (String, String) {
    let (a, b) = if a < b { (a, b) } else { (b, a) };
    (a.to_owned(), b.to_owned())
}
