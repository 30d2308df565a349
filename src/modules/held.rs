//! Schedules that the runtime holds: what they do, and when (an addition to MobKit contract, section 15.3, whose rules say what is due).
//!
//! A schedule is a row with the time at which it is due next. When that has come the latest occurrence is claimed, and a message to a
//! member put into its mailbox, in one batch: it is there once, whatever dies. A delivery or a tool call is noted in the row and made
//! afterwards; after a crash in between it is made again, as the same delivery. What was missed while nobody was there is made up for once.

use std::rc::Rc;

use futures::future::{FutureExt, TryFutureExt, ready};
use serde::Serialize;
use serde_json::{Error, Map, Value};

use crate::mob::{Admission, Core, MobError, Pending};
use crate::modules::delivery::DeliverySendRequest;
use crate::modules::port::CallContext;
use crate::modules::routing::RoutingResolveRequest;
use crate::modules::schedule::{
    MAX_SCHEDULES, ScheduleDefinition, ScheduleValidationError, latest_occurrence, next_occurrence,
};
use crate::modules::state::check_part;
use crate::modules::tick::SCHEDULING;
use crate::modules::{Inner, Modules, begun, events};
use crate::storage::{Batch, Durability, Key, Record};
use crate::wire::json::{self, Blank, Fields, FromJson, from_json, object, value_of};
use crate::wire::{
    AgentIdentity, ContentInput, HandlingMode, ModuleError, ModuleErrorKind, WorkId,
};

/// What a schedule does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScheduleAction {
    /// Tells a member something.
    Message {
        /// Whom.
        member_id: AgentIdentity,
        /// What.
        message: String,
    },
    /// Delivers something, as it is routed then.
    Delivery {
        /// To whom.
        recipient: String,
        /// On which channel.
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
        /// What.
        payload: Value,
    },
    /// Calls a tool of a module.
    Tool {
        /// Which module.
        module_id: String,
        /// Which tool.
        tool: String,
        /// With what.
        arguments: Value,
    },
}

impl Blank for ScheduleAction {
    fn blank() -> Self {
        Self::Message {
            member_id: Blank::blank(),
            message: String::new(),
        }
    }
}

impl FromJson for ScheduleAction {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        let kind = fields.tag("kind")?;
        fields.only(match kind.as_str() {
            "message" => &["member_id", "message"],
            "delivery" => &["recipient", "channel", "payload"],
            _ => &["module_id", "tool", "arguments"],
        })?;
        let (mut first, mut second, mut data) = (String::new(), String::new(), Value::Null);
        let this = match kind.as_str() {
            "message" => {
                let mut member_id = Blank::blank();
                fields.put("member_id", false, &mut member_id);
                fields.put("message", false, &mut first);
                Self::Message {
                    member_id,
                    message: first,
                }
            }
            "delivery" => {
                let mut channel = None;
                fields.put("recipient", false, &mut first);
                fields.put("channel", false, &mut channel);
                fields.put("payload", false, &mut data);
                Self::Delivery {
                    recipient: first,
                    channel,
                    payload: data,
                }
            }
            "tool" => {
                fields.put("module_id", false, &mut first);
                fields.put("tool", false, &mut second);
                fields.put("arguments", true, &mut data);
                if data.is_null() {
                    data = Value::Object(Map::new());
                }
                Self::Tool {
                    module_id: first,
                    tool: second,
                    arguments: data,
                }
            }
            other => {
                let known = ["message", "delivery", "tool"];
                return Err(json::unknown("kind", other, &known));
            }
        };
        fields.end()?;
        Ok(this)
    }
}

/// A schedule with what it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldSchedule {
    /// When.
    pub schedule: ScheduleDefinition,
    /// What.
    pub action: ScheduleAction,
}

from_json!(HeldSchedule deserialize { schedule, action } deny);

/// A schedule as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleView {
    /// When.
    pub schedule: ScheduleDefinition,
    /// What.
    pub action: ScheduleAction,
    /// When it is due next, and after that; nothing while it is not enabled.
    pub next_ms: Vec<u64>,
    /// The occurrence that was last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_due_ms: Option<u64>,
    /// How often it has done what it does.
    pub fired: u64,
    /// What it failed with last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A schedule, as it is stored.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ScheduleRow {
    pub held: HeldSchedule,
    /// Occurrences up to here are over.
    pub past: u64,
    pub next_due: Option<u64>,
    pub last_due: Option<u64>,
    pub fired: u64,
    /// The occurrence whose action is under way.
    pub running: Option<u64>,
    pub error: Option<String>,
}

from_json!(ScheduleRow {
    held,
    past,
    next_due,
    last_due,
    fired,
    running,
    error
});

impl Record for ScheduleRow {
    type Key = String;
    fn key(&self) -> String {
        self.held.schedule.schedule_id.clone()
    }
    fn place(key: &String, prefix: &Key) -> Key {
        prefix.part(key)
    }
}

/// How many of the next occurrences a view shows.
const SHOWN: usize = 3;

impl Modules {
    /// Holds a schedule, over the one of its id, from now on: an occurrence before now is none of its.
    ///
    /// # Errors
    /// [`ModuleErrorKind`]: `EmptyScheduleId`, `InvalidInterval`, `InvalidTimezone`, `TooManySchedules`; [`MobError::InvalidInput`] for an
    /// overlong id; storage's.
    pub fn set_schedule(&self, mut held: HeldSchedule) -> Pending<ScheduleView> {
        let id = held.schedule.schedule_id.trim().to_owned();
        held.schedule.schedule_id = id;
        let inner = self.0.clone();
        self.0.core.execute(Durability::Strict, move |core, batch| {
            let schedules = &inner.state.schedules;
            let id = &held.schedule.schedule_id;
            check_part("schedule_id", id)?;
            let now = core.now().get();
            let mut row = ScheduleRow {
                held: held.clone(),
                past: now,
                next_due: None,
                last_due: None,
                fired: 0,
                running: None,
                error: None,
            };
            row.next_due = inner.next_of(&row)?;
            match schedules.staged(id) {
                Some(known) => {
                    row.last_due = known.last_due;
                    row.fired = known.fired;
                }
                None if schedules.staged_range(..).len() >= MAX_SCHEDULES => {
                    return Err(invalid(ScheduleValidationError::TooManySchedules(
                        MAX_SCHEDULES + 1,
                    )));
                }
                None => {}
            }
            Ok(inner.view(&schedules.put(batch, row)))
        })
    }

    /// The schedules that the runtime holds, in the order of their ids.
    pub fn schedules(&self) -> Vec<ScheduleView> {
        let rows = self.0.state.schedules.all();
        rows.iter().map(|row| self.0.view(row)).collect()
    }

    /// Holds a schedule no longer; answers it as it stood.
    ///
    /// # Errors
    /// [`ModuleErrorKind::ScheduleNotFound`]; storage's.
    pub fn delete_schedule(&self, schedule_id: &str) -> Pending<ScheduleView> {
        let id = schedule_id.trim().to_owned();
        let inner = self.0.clone();
        self.0.core.execute(Durability::Strict, move |_, batch| {
            let Some(row) = inner.state.schedules.staged(&id) else {
                let message = format!("schedule_id '{id}' was not found");
                let error = ModuleError::new(ModuleErrorKind::ScheduleNotFound, message);
                return Err(error.with(object!({ "schedule_id": id })).into());
            };
            inner.state.schedules.delete(batch, &id);
            Ok(inner.view(&row))
        })
    }
}

fn invalid(error: ScheduleValidationError) -> MobError {
    ModuleError::from(error).into()
}

/// An occurrence that is to be acted on.
pub(super) struct Fired {
    id: String,
    due: u64,
}

impl Inner {
    fn view(&self, row: &ScheduleRow) -> ScheduleView {
        let schedule = row.held.schedule.clone();
        let mut next_ms: Vec<u64> = row.next_due.into_iter().collect();
        while let Some(last) = next_ms.last().copied().filter(|_| next_ms.len() < SHOWN) {
            match next_occurrence(&schedule, last, self.zones.as_ref()) {
                Ok(Some(next)) => next_ms.push(next),
                _ => break,
            }
        }
        ScheduleView {
            schedule,
            action: row.held.action.clone(),
            next_ms,
            last_due_ms: row.last_due,
            fired: row.fired,
            error: row.error.clone(),
        }
    }

    /// When a schedule is due next.
    fn next_of(&self, row: &ScheduleRow) -> Result<Option<u64>, MobError> {
        let schedule = &row.held.schedule;
        let next = next_occurrence(schedule, row.past, self.zones.as_ref()).map_err(invalid)?;
        Ok(next.filter(|_| schedule.enabled))
    }

    /// Claims the latest occurrence of each schedule that is due, and does what can be done in the batch itself. Answers what is to be
    /// done after it.
    pub(super) fn stage_due_schedules(
        self: &Rc<Self>,
        core: &Core,
        batch: &mut Batch,
    ) -> Result<Vec<Fired>, MobError> {
        let now = core.now().get();
        let mut fired = Vec::new();
        if core.staged_state().status != crate::mob::MobStatus::Running {
            return Ok(fired);
        }
        for row in self.state.schedules.staged_range(..) {
            if row.next_due.is_none_or(|due| due > now) {
                continue;
            }
            let schedule = &row.held.schedule;
            let mut row = row.as_ref().clone();
            // A host that has forgotten a time zone says so in the row, and the others go on.
            let latest = latest_occurrence(schedule, now, self.zones.as_ref());
            row.past = now;
            row.error = None;
            match (latest, self.next_of(&row)) {
                (Ok(latest), Ok(next)) => {
                    row.next_due = next;
                    // A clock that was set back, or a zone's rules that have changed.
                    if let Some(due) =
                        latest.filter(|due| row.last_due.is_none_or(|last| *due > last))
                    {
                        self.stage_firing(core, batch, &mut row, due, &mut fired);
                    }
                }
                (Err(error), _) => row.give_up(&error.to_string()),
                (_, Err(error)) => row.give_up(&error.to_string()),
            }
            self.state.schedules.put(batch, row);
        }
        Ok(fired)
    }

    fn stage_firing(
        &self,
        core: &Core,
        batch: &mut Batch,
        row: &mut ScheduleRow,
        due: u64,
        fired: &mut Vec<Fired>,
    ) {
        let schedule = &row.held.schedule;
        let id = schedule.schedule_id.clone();
        let claim_key = format!("{id}:{due}");
        row.last_due = Some(due);
        row.fired += 1;
        let number = self.state.next(batch, SCHEDULING);
        let mut told = object!({
            "schedule_id": id,
            "interval": schedule.interval,
            "timezone": schedule.timezone,
            "tick_ms": core.now().get(),
            "due_tick_ms": due,
            "claim_key": claim_key,
            "action": value_of(&row.held.action),
        });
        if let ScheduleAction::Message { member_id, message } = &row.held.action {
            let admission = Admission {
                to: member_id.clone(),
                content: ContentInput::Text(message.clone()),
                mode: HandlingMode::Queue,
                origin: "schedule".to_owned(),
                by_mob: true,
                interaction_id: core.named_interaction(&["schedule", &claim_key]),
                // One for each occurrence, as the interaction.
                work_id: WorkId::from(["schedule-", &claim_key].concat().as_str()),
                fingerprint: claim_key.clone(),
            };
            if let Err(error) = core.stage_admission(batch, &admission) {
                told["error"] = error.to_string().into();
                row.error = Some(error.to_string());
            }
        } else {
            row.running = Some(due);
            fired.push(Fired {
                id: id.clone(),
                due,
            });
        }
        let event = format!("evt-schedule-{id}-{due}-{number}");
        let event = events::event(SCHEDULING, event, "dispatch", core.now(), told);
        events::stage(core, batch, vec![event]);
    }

    /// Does what was under way when the host died.
    pub(super) fn resume_schedules(self: &Rc<Self>) {
        let rows = self.state.schedules.all();
        let running = rows.iter().filter_map(|row| {
            let id = row.held.schedule.schedule_id.clone();
            row.running.map(|due| Fired { id, due })
        });
        self.run_schedules(running.collect());
    }

    pub(super) fn run_schedules(self: &Rc<Self>, fired: Vec<Fired>) {
        for Fired { id, due } in fired {
            let running = self.clone().run_schedule(id, due);
            self.core.host.spawn(running.boxed_local());
        }
    }

    async fn run_schedule(self: Rc<Self>, id: String, due: u64) {
        let row = self.state.schedules.get(&id);
        let Some(row) = row.filter(|row| row.running == Some(due)) else {
            return;
        };
        let error = self
            .act(&row.held.action, format!("{id}:{due}"))
            .await
            .err();
        let error = error.map(|error| error.to_string());
        if let Some(error) = &error {
            (self.trouble)(format!("schedule '{id}': {error}"));
        }
        let inner = self.clone();
        let noted = self.insist("what a schedule has done", move |_, batch| {
            let row = inner.state.schedules.staged(&id);
            if let Some(row) = row.filter(|row| row.running == Some(due)) {
                let mut row = row.as_ref().clone();
                row.running = None;
                row.error.clone_from(&error);
                inner.state.schedules.put(batch, row);
            }
            Ok(())
        });
        noted.await;
    }

    /// Does what a schedule does that no batch can.
    fn act(self: &Rc<Self>, action: &ScheduleAction, claim_key: String) -> Pending<()> {
        match action {
            ScheduleAction::Message { .. } => ready(Ok(())).boxed_local(),
            ScheduleAction::Delivery {
                recipient,
                channel,
                payload,
            } => {
                let request = RoutingResolveRequest {
                    recipient: recipient.clone(),
                    channel: channel.clone(),
                    ..RoutingResolveRequest::default()
                };
                let delivered = self.clone().deliver_scheduled(
                    request,
                    payload.clone(),
                    ["schedule-", &claim_key].concat(),
                );
                delivered.boxed_local()
            }
            ScheduleAction::Tool {
                module_id,
                tool,
                arguments,
            } => {
                let context = CallContext {
                    delivery_id: Some(claim_key),
                    ..CallContext::default()
                };
                let slot = self.loaded_slot(module_id, ModuleErrorKind::ModuleNotLoaded);
                let slot = slot.map_err(MobError::from);
                let called = begun(slot.map(|slot| slot.call(tool, arguments.clone(), context)));
                called.map_ok(|_| ()).boxed_local()
            }
        }
    }

    /// Delivers under a name that a repetition after a crash has too: routes are resolved anew then, so it is looked for first.
    async fn deliver_scheduled(
        self: Rc<Self>,
        request: RoutingResolveRequest,
        payload: Value,
        key: String,
    ) -> Result<(), MobError> {
        let rows = self.state.deliveries.all();
        let known = rows
            .iter()
            .find(|row| row.record.idempotency_key.as_ref() == Some(&key));
        let resolution = match known {
            Some(row) => row.resolution.clone(),
            None => self.resolve(request).await?,
        };
        drop(rows);
        let record = self.deliver(DeliverySendRequest {
            resolution,
            payload,
            idempotency_key: Some(key),
        });
        match record.await?.error {
            None => Ok(()),
            Some(error) => Err(ModuleError::new(ModuleErrorKind::DeliveryBoundary, error).into()),
        }
    }
}

impl ScheduleRow {
    fn give_up(&mut self, error: &str) {
        self.next_due = None;
        self.error = Some(error.to_owned());
    }
}
