//! One trial of the simulation: a mob that is asked one question lives, is killed, lives again, and is watched from
//! outside all the while. Whatever breaks a promise is a violation, told as text.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::mob::MobError;
use crate::shim::Fault;
use crate::sim::{CommitFault, SimRandom};
use crate::storage::{Key, StorageError, value};
use crate::wire::{MobEventKind, MobStructuralEventEnvelope, SpawnMemberSpec};

/// What a trial is made of. Equal trials run equally.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub seed: u64,
    /// The plans of the lives that may end early; then follows one without faults.
    pub plans: Vec<StoragePlan>,
    pub fault: Option<Fault>,
    /// Whether people change the roster while the mob works.
    pub busy: bool,
}

impl Trial {
    /// Everything from the seed: how often and where it dies, how slow and how faulty storage is.
    pub fn random(seed: u64, fault: Option<Fault>) -> Self {
        let random = SimRandom::new(seed);
        let crashes = [
            CommitFault::CrashBefore,
            CommitFault::CrashTorn,
            CommitFault::CrashAfter,
            CommitFault::LoseConnection,
        ];
        // Work that is interrupted three times without getting further fails, so that it may die twice.
        let plans = (0..random.below(3))
            .map(|life| {
                let crash = crashes[random.below(4) as usize].clone();
                let mut plan =
                    StoragePlan::seeded(seed ^ (life + 1)).at(1 + random.below(32), crash);
                plan.max_delay = Duration::from_millis(random.below(6));
                if random.chance(1, 4) {
                    let dom = crate::storage::DomError::new(
                        "AbortError",
                        "the simulated transaction was aborted",
                    );
                    plan.fail_one_in = Some((6 + random.below(20), StorageError::Aborted(dom)));
                }
                plan
            })
            .collect();
        Self {
            seed,
            plans,
            fault,
            busy: random.chance(1, 2),
        }
    }

    /// Runs it. `Err` is the first violation.
    pub fn run(&self) -> Result<Watched, String> {
        let disk = SimDisk::new();
        let watched = Rc::new(Watched::default());
        let quiet = StoragePlan::seeded(self.seed);
        let plans = self.plans.iter().chain(std::iter::once(&quiet));
        for (life, plan) in plans.enumerate() {
            watched.lives.set(watched.lives.get() + 1);
            let answer = self.live(life as u64, &disk, plan.clone(), &watched)?;
            watched.check_cursor(&disk);
            if let Some(violation) = watched.violations.borrow().first() {
                return Err(violation.clone());
            }
            if answer {
                drop(disk);
                return Rc::try_unwrap(watched)
                    .map_err(|_| "a watcher outlived its world".to_owned());
            }
        }
        Err("no answer in a life without faults".into())
    }

    /// One life; answers whether the question was answered, or `false` when it was killed.
    fn live(
        &self,
        life: u64,
        disk: &SimDisk,
        plan: StoragePlan,
        watched: &Rc<Watched>,
    ) -> Result<bool, String> {
        let sim = Sim::new(self.seed.wrapping_mul(31).wrapping_add(life));
        sim.set_step_limit(200_000);
        let mut host = sim.host();
        if let Some(fault) = self.fault {
            host = host.with_planted(fault);
        }
        let storage = disk.open(&host, plan);
        let crash = sim.crash_switch();
        storage.on_crash(move || crash.crash());
        let outcome = sim.try_block_on(async {
            let model = teamwork(&host);
            let build = UnifiedRuntime::builder()
                .definition(team())
                .host(host.clone())
                .storage(storage)
                .model("scripted", Rc::new(model))
                .tail_capacity(8)
                .start(crate::runtime::SubscriptionStart::Earliest)
                .on_mob_event(watched.listener())
                .build()
                .await;
            // Storage may refuse while a runtime is built; then this life is over.
            let Ok(runtime) = build else { return Ok(false) };
            watched.check_kept(&runtime);
            watched.follow(&host, &runtime, life);
            let done = self.ask(&host, &runtime, watched).await?;
            if !done {
                return Ok(false);
            }
            match watched.check(&runtime).await {
                Ok(()) => {}
                // The connection was lost while we looked; the next life is looked at again.
                Err(Trouble::Storage) => return Ok(false),
                Err(Trouble::Violation(violation)) => return Err(violation),
            }
            self.check_takeover(&host, &runtime, disk, watched).await?;
            runtime.shutdown().await;
            Ok(true)
        });
        match outcome {
            Ok(answer) => answer,
            Err(crate::sim::SimError::Crashed) => Ok(false),
            Err(stuck) => Err(format!("life {life}: {stuck}")),
        }
    }

    async fn ask(
        &self,
        host: &Host,
        runtime: &UnifiedRuntime,
        watched: &Rc<Watched>,
    ) -> Result<bool, String> {
        if self.busy {
            let (runtime, watched) = (runtime.clone(), watched.clone());
            let random = SimRandom::new(self.seed ^ watched.lives.get());
            host.spawn(meddle(host.clone(), runtime, watched, random));
        }
        let request = || SendRequest {
            idempotency_key: Some("the-one".into()),
            ..SendRequest::new("build a house")
        };
        let accepted = loop {
            match runtime.send(&id("lead"), request()).await {
                Ok(accepted) => break accepted,
                Err(MobError::Storage(error)) if !error.is_fatal() => {
                    host.sleep(Duration::from_millis(10)).await;
                }
                Err(MobError::ShuttingDown | MobError::NotLeader | MobError::Storage(_)) => {
                    return Ok(false);
                }
                Err(error) => return Err(format!("the question was refused: {error}")),
            }
        };
        *watched.accepted.borrow_mut() = Some(accepted.interaction_id.clone());
        let wait = runtime.mob_handle();
        let wait = std::pin::pin!(wait.wait_interaction(&accepted.interaction_id));
        let retired = std::pin::pin!(runtime.retired());
        match futures::future::select(wait, retired).await {
            futures::future::Either::Right(_) => Ok(false),
            // It is retired, or its storage is lost, and the wait heard of it first.
            futures::future::Either::Left((
                Err(MobError::ShuttingDown | MobError::NotLeader | MobError::Storage(_)),
                _,
            )) => Ok(false),
            futures::future::Either::Left((Err(error), _)) => {
                Err(format!("the question is lost: {error}"))
            }
            futures::future::Either::Left((Ok(outcome), _)) => match outcome.status {
                InteractionStatus::Completed if outcome.result == "all done" => Ok(true),
                _ => Err(format!("ended as {outcome:?}")),
            },
        }
    }

    /// Another context takes the mob: the first one must not get another word in.
    async fn check_takeover(
        &self,
        host: &Host,
        old: &UnifiedRuntime,
        disk: &SimDisk,
        watched: &Rc<Watched>,
    ) -> Result<(), String> {
        let model = teamwork(host);
        let group = host.task_group();
        let taken = builder(&group.host(), disk, &model)
            .on_mob_event(watched.listener())
            .build()
            .await
            .map_err(|error| error.to_string())?;
        match old
            .send(&id("lead"), SendRequest::new("still there?"))
            .await
        {
            // Storage may refuse for the plan's reasons before it looks at the token.
            Err(MobError::NotLeader | MobError::ShuttingDown | MobError::Storage(_)) => {}
            other => return Err(format!("a holder whose token is stale wrote: {other:?}")),
        }
        taken.shutdown().await;
        Ok(())
    }
}

/// People at work on the roster. What they were answered must hold.
async fn meddle(host: Host, runtime: UnifiedRuntime, watched: Rc<Watched>, random: SimRandom) {
    for round in 0..6u64 {
        host.sleep(Duration::from_millis(random.below(8))).await;
        let name = format!("extra-{}-{round}", watched.lives.get());
        let spec = SpawnMemberSpec::new("worker", &name).unwrap();
        watched.tried.borrow_mut().insert(name.clone());
        if runtime.spawn(spec).await.is_err() {
            continue;
        }
        watched.spawned.borrow_mut().insert(name.clone());
        if random.chance(1, 2) {
            // From here on nobody can say whether it is still there, until the answer.
            watched.spawned.borrow_mut().remove(&name);
            if runtime.retire(&id(&name)).await.is_ok() {
                watched.tried.borrow_mut().remove(&name);
            }
        }
    }
}

/// Why a look at a mob did not end well.
enum Trouble {
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

/// What was seen from outside, over all lives.
#[derive(Default)]
pub(super) struct Watched {
    pub lives: Cell<u64>,
    accepted: RefCell<Option<InteractionId>>,
    events: RefCell<BTreeMap<u64, AgentEvent>>,
    ledger: RefCell<BTreeMap<u64, serde_json::Value>>,
    /// The newest entry that the projection told.
    projected: Cell<u64>,
    stored_cursor: Cell<u64>,
    /// Members that must be in the roster.
    spawned: RefCell<BTreeSet<String>>,
    /// Members that may be in the roster.
    tried: RefCell<BTreeSet<String>>,
    violations: RefCell<Vec<String>>,
}

impl Watched {
    fn violation(&self, text: String) {
        self.violations.borrow_mut().push(text);
    }

    /// Hears what the projection tells.
    fn listener(self: &Rc<Self>) -> impl Fn(&MobStructuralEventEnvelope) + 'static {
        let this = self.clone();
        move |envelope| {
            let cursor = envelope.cursor.get();
            this.projected.set(this.projected.get().max(cursor));
        }
    }

    /// The stored cursor is never ahead of what was projected and never goes back.
    fn check_cursor(&self, disk: &SimDisk) {
        let key = Key::root()
            .part("mob")
            .part("team")
            .part("cursor")
            .part("mob_events");
        let row = disk.rows().into_iter().find(|(found, _)| *found == key);
        let stored = row.map_or(0, |(key, bytes)| {
            value::decode::<Cursor>(&key, &bytes).unwrap().get()
        });
        if stored > self.projected.get() {
            self.violation(format!(
                "the cursor {stored} is ahead of the projection {}",
                self.projected.get()
            ));
        }
        if stored < self.stored_cursor.get() {
            self.violation(format!(
                "the cursor went back from {} to {stored}",
                self.stored_cursor.get()
            ));
        }
        self.stored_cursor.set(stored);
    }

    /// What was answered before the crash is there after it.
    fn check_kept(&self, runtime: &UnifiedRuntime) {
        if let Some(accepted) = &*self.accepted.borrow()
            && runtime.interaction_outcome(accepted).is_err()
        {
            self.violation("an accepted message is lost".into());
        }
        let listed: BTreeSet<String> = runtime
            .members()
            .iter()
            .map(|member| member.agent_identity.to_string())
            .collect();
        for name in self
            .spawned
            .borrow()
            .iter()
            .filter(|name| !listed.contains(*name))
        {
            self.violation(format!("the spawned member {name} is lost"));
        }
        for name in listed
            .iter()
            .filter(|name| name.starts_with("extra") && !self.tried.borrow().contains(*name))
        {
            self.violation(format!("the retired member {name} is back"));
        }
    }

    /// Reads all that is shown, from the beginning, and holds it against what was shown before.
    fn follow(self: &Rc<Self>, host: &Host, runtime: &UnifiedRuntime, life: u64) {
        let mut events = runtime
            .events(EventFilter {
                after: Some(Cursor::START),
                ..EventFilter::default()
            })
            .unwrap();
        let (this, slow) = (self.clone(), host.clone());
        host.spawn(async move {
            let mut last = 0;
            while let Some(Ok(item)) = events.next().await {
                match item {
                    LogItem::Entry { cursor, entry } => {
                        if cursor.get() <= last {
                            this.violation(format!("event {cursor} came after {last}"));
                        }
                        last = cursor.get();
                        let known = this.events.borrow_mut().insert(last, entry.event.clone());
                        if known.is_some_and(|known| known != entry.event) {
                            this.violation(format!("the number {cursor} names two events"));
                        }
                    }
                    LogItem::Gap { from, to, .. } => {
                        if from.get() <= last || to < from {
                            this.violation(format!("a gap {from}..{to} after {last}"));
                        }
                        last = to.get();
                    }
                }
                if life.is_multiple_of(2) {
                    // A slow reader falls behind the tail and reads on from storage.
                    slow.sleep(Duration::from_micros(300)).await;
                }
            }
        });
        let mut ledger = runtime.mob_events(Some(Cursor::START)).unwrap();
        let this = self.clone();
        host.spawn(async move {
            while let Some(Ok(envelope)) = ledger.next().await {
                let known = this
                    .ledger
                    .borrow_mut()
                    .insert(envelope.cursor.get(), envelope.data.clone());
                if known.is_some_and(|known| known != envelope.data) {
                    this.violation(format!(
                        "the number {} names two ledger entries",
                        envelope.cursor
                    ));
                }
            }
        });
    }

    /// What must hold of a mob whose question is answered.
    async fn check(&self, runtime: &UnifiedRuntime) -> Result<(), Trouble> {
        let everything = EventQuery {
            after_seq: Some(Cursor::START),
            limit: Some(100_000),
            ..EventQuery::default()
        };
        let page = runtime.query_mob_events(&everything).await?;
        let cursors: Vec<u64> = page.events.iter().map(|event| event.cursor.get()).collect();
        if cursors != (1..=cursors.len() as u64).collect::<Vec<_>>() {
            return Err(format!("the ledger is not dense: {cursors:?}").into());
        }
        let stored: BTreeMap<u64, serde_json::Value> = page
            .events
            .iter()
            .map(|event| (event.cursor.get(), event.data.clone()))
            .collect();
        for (cursor, shown) in self.ledger.borrow().iter() {
            if stored.get(cursor) != Some(shown) {
                return Err(format!("the ledger entry {cursor} was shown and is lost").into());
            }
        }
        compare_roster(runtime, &page.events)?;

        let events = runtime.query_events(&everything).await?;
        let completions = events
            .events
            .iter()
            .filter(|event| event.event.event_type() == "interaction_complete")
            .count();
        if completions != 1 {
            return Err(format!("answered {completions} times").into());
        }
        for (member, messages) in [("ann", 1), ("bob", 1), ("lead", 3)] {
            let (history, _) = runtime
                .session_history(&id(member), 0, 1_000)
                .await
                .map_err(Trouble::from)?;
            let told = history
                .iter()
                .filter(|row| matches!(row.message, ChatMessage::User { .. }))
                .count();
            if told != messages {
                return Err(
                    format!("{member} was told {told} messages in place of {messages}").into(),
                );
            }
            let mut answered = BTreeSet::new();
            for row in &history {
                if let ChatMessage::Tool { call_id, .. } = &row.message
                    && !answered.insert(call_id.clone())
                {
                    return Err(format!("{member}: the call {call_id} has two results").into());
                }
            }
        }
        Ok(())
    }
}

/// The roster and the wiring are what the ledger says, from its first entry on.
fn compare_roster(
    runtime: &UnifiedRuntime,
    ledger: &[MobStructuralEventEnvelope],
) -> Result<(), String> {
    let (members, edges) = fold(ledger);
    let listed = runtime.members();
    let names: BTreeSet<String> = listed
        .iter()
        .map(|member| member.agent_identity.to_string())
        .collect();
    if names != members {
        return Err(format!(
            "the roster {names:?} is not the fold of the ledger {members:?}"
        ));
    }
    let wired: BTreeSet<(String, String)> = listed
        .iter()
        .flat_map(|member| {
            member
                .wired_to
                .iter()
                .map(|peer| (member.agent_identity.to_string(), peer.to_string()))
        })
        .filter(|(a, b)| a < b)
        .collect();
    if wired != edges {
        return Err(format!(
            "the wiring {wired:?} is not the fold of the ledger {edges:?}"
        ));
    }
    Ok(())
}

fn fold(events: &[MobStructuralEventEnvelope]) -> (BTreeSet<String>, BTreeSet<(String, String)>) {
    let (mut members, mut edges) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        match serde_json::from_value(event.data.clone()).unwrap() {
            MobEventKind::MemberSpawned { agent_identity, .. } => {
                members.insert(agent_identity.to_string());
            }
            MobEventKind::MemberRetired { agent_identity, .. } => {
                members.remove(agent_identity.as_str());
                edges.retain(|(a, b): &(String, String)| {
                    a != agent_identity.as_str() && b != agent_identity.as_str()
                });
            }
            MobEventKind::MembersWired { a, b } => {
                edges.insert((a.to_string(), b.to_string()));
            }
            MobEventKind::MembersWiredBatch { edges: more } => {
                edges.extend(
                    more.iter()
                        .map(|edge| (edge.a.to_string(), edge.b.to_string())),
                );
            }
            MobEventKind::MembersUnwired { a, b } => {
                edges.remove(&(a.to_string(), b.to_string()));
            }
            _ => {}
        }
    }
    (members, edges)
}
