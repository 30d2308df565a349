//! Schedules of a caller's: what is due at its tick, and what comes of it (MobKit contract, sections 4.5 and 15.3).

use futures::FutureExt;
use serde::Serialize;
use serde_json::Value;

use crate::mob::{Admission, Core, MobError, Pending};
use crate::modules::port::CallContext;
use crate::modules::schedule::{
    self, Claims, ScheduleDefinition, ScheduleDispatch, ScheduleDispatchReport, ScheduleEvaluation,
};
use crate::modules::state::{ClaimsRow, check_part};
use crate::modules::{Inner, Modules, events};
use crate::storage::{Batch, Durability};
use crate::wire::json::{object, value_of};
use crate::wire::{
    AgentIdentity, ContentInput, HandlingMode, ModuleError, ModuleEventRecord, TimestampMs, WorkId,
};

/// The module that has a say in what a schedule does.
pub(super) const SCHEDULING: &str = "scheduling";
/// Whose events tell what a schedule said to a member.
const RUNTIME: &str = "runtime";

/// What a schedule says to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuntimeInjection {
    /// To whom.
    pub member_id: String,
    /// What.
    pub message: String,
    /// The event that tells of it.
    pub injection_event_id: String,
}

/// An occurrence that was dispatched, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DispatchedSchedule {
    /// The occurrence.
    #[serde(flatten)]
    pub dispatch: ScheduleDispatch,
    /// The event that tells of it.
    pub event_id: String,
    /// The event that tells that the module had to be started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supervisor_signal: Option<String>,
    /// What was said to a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_injection: Option<RuntimeInjection>,
    /// Why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_injection_error: Option<String>,
}

/// What was dispatched at a tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DispatchReport {
    /// The tick.
    pub tick_ms: u64,
    /// How many schedules were due, with those that are claimed.
    pub due_count: usize,
    /// What was dispatched.
    pub dispatched: Vec<DispatchedSchedule>,
    /// The claims of what is due and has been dispatched.
    pub skipped_claims: Vec<String>,
}

impl Modules {
    /// What is due at a tick, to the millisecond. Nothing is kept.
    ///
    /// # Errors
    /// What is wrong with the schedules, as [`ModuleErrorKind`](crate::wire::ModuleErrorKind).
    pub fn evaluate_schedules(
        &self,
        schedules: &[ScheduleDefinition],
        tick_ms: u64,
    ) -> Result<ScheduleEvaluation, MobError> {
        let due = schedule::evaluate(schedules, tick_ms, self.0.zones.as_ref());
        Ok(due.map_err(ModuleError::from)?)
    }

    /// Dispatches the latest occurrence of each schedule at a tick that nobody has dispatched yet: asks the module `scheduling` what is
    /// to be said to whom, then claims them, tells of them and says it, in one batch. If the host dies before that the next call for
    /// the tick begins anew, and the module is asked again about the same claim.
    ///
    /// # Errors
    /// As [`evaluate_schedules`](Self::evaluate_schedules), and nothing is claimed then; storage's.
    pub fn dispatch_schedule_tick(
        &self,
        schedules: Vec<ScheduleDefinition>,
        tick_ms: u64,
    ) -> Pending<DispatchReport> {
        let inner = self.0.clone();
        async move {
            inner.check_works()?;
            let row = inner.state.claims.get(&());
            let mut claims = row.map(|row| row.claims.clone()).unwrap_or_default();
            let due = inner.due_at(&schedules, tick_ms, &mut claims)?;
            let module = inner.find(SCHEDULING).filter(|slot| slot.is_wanted());
            let mut answers = Vec::new();
            if let Some(module) = module.cloned() {
                for dispatch in due.dispatched {
                    let context = CallContext {
                        delivery_id: Some(dispatch.claim_key.clone()),
                        ..CallContext::default()
                    };
                    let about = value_of(&dispatch);
                    let answer = inner.ask(&module, "scheduling.dispatch", about, context);
                    answers.push((dispatch.claim_key, answer.await));
                }
            }
            let staging = inner.clone();
            let dispatched = inner.core.execute(Durability::Strict, move |core, batch| {
                staging.stage_tick(core, batch, &schedules, tick_ms, &answers)
            });
            dispatched.await
        }
        .boxed_local()
    }
}

/// What the module said about claims.
type Answers = [(String, Result<Value, ModuleError>)];

fn at_tick(
    id: String,
    module: &str,
    event_type: &str,
    tick_ms: u64,
    payload: Value,
) -> ModuleEventRecord {
    events::event(module, id, event_type, TimestampMs::new(tick_ms), payload)
}

/// The member and the message that the module answered, if it did.
fn said(answer: &Value) -> Option<(String, String)> {
    let said = answer.get("runtime_injection")?;
    let text = |name: &str| Some(said.get(name)?.as_str()?.to_owned());
    Some((text("member_id")?, text("message")?))
}

impl Inner {
    /// What is due, by these claims, which it adds to.
    fn due_at(
        &self,
        schedules: &[ScheduleDefinition],
        tick_ms: u64,
        claims: &mut Claims,
    ) -> Result<ScheduleDispatchReport, MobError> {
        // They all come into one row.
        for schedule in schedules {
            check_part("schedule_id", schedule.schedule_id.trim())?;
        }
        let due = schedule::dispatch(schedules, tick_ms, self.zones.as_ref(), claims);
        Ok(due.map_err(ModuleError::from)?)
    }

    fn stage_tick(
        &self,
        core: &Core,
        batch: &mut Batch,
        schedules: &[ScheduleDefinition],
        tick_ms: u64,
        answers: &Answers,
    ) -> Result<DispatchReport, MobError> {
        let row = self.state.claims.staged(&());
        let mut claims = row.map(|row| row.claims.clone()).unwrap_or_default();
        let before = claims.clone();
        let report = self.due_at(schedules, tick_ms, &mut claims)?;
        if claims != before {
            self.state.claims.put(batch, ClaimsRow { claims });
        }
        let mut told = Vec::new();
        let restarted = self
            .find(SCHEDULING)
            .is_some_and(|slot| slot.restarted.get());
        let signal = (restarted && !report.dispatched.is_empty()).then(|| {
            let number = self.state.next(batch, SCHEDULING);
            let id = format!("evt-scheduling-supervisor-{tick_ms}-{number}");
            let payload = object!({ "module_id": SCHEDULING, "tick_ms": tick_ms });
            let event = at_tick(
                id.clone(),
                SCHEDULING,
                "supervisor.restart",
                tick_ms,
                payload,
            );
            told.push(event);
            id
        });
        let mut dispatched = Vec::new();
        for dispatch in report.dispatched {
            let number = self.state.next(batch, SCHEDULING);
            let event_id = format!(
                "evt-schedule-{}-{}-{number}",
                dispatch.schedule_id, dispatch.due_tick_ms
            );
            let mut payload = value_of(&dispatch);
            payload["supervisor_signal"] = signal.clone().into();
            told.push(at_tick(
                event_id.clone(),
                SCHEDULING,
                "dispatch",
                tick_ms,
                payload,
            ));
            dispatched.push(DispatchedSchedule {
                dispatch,
                event_id,
                supervisor_signal: signal.clone(),
                runtime_injection: None,
                runtime_injection_error: None,
            });
        }
        events::stage(core, batch, told);
        for dispatched in &mut dispatched {
            let key = &dispatched.dispatch.claim_key;
            if let Some((_, answer)) = answers.iter().find(|(known, _)| known == key) {
                self.stage_answer_of_module(core, batch, dispatched, answer);
            }
        }
        Ok(DispatchReport {
            tick_ms,
            due_count: report.due_count,
            dispatched,
            skipped_claims: report.skipped_claims,
        })
    }

    /// Says what the module wants to be said to a member, or that it failed.
    fn stage_answer_of_module(
        &self,
        core: &Core,
        batch: &mut Batch,
        dispatched: &mut DispatchedSchedule,
        answer: &Result<Value, ModuleError>,
    ) {
        let dispatch = &dispatched.dispatch;
        let said = match answer {
            Ok(answer) => said(answer),
            Err(error) => {
                let error = error.to_string();
                self.stage_silence(core, batch, dispatch, &error);
                dispatched.runtime_injection_error = Some(error);
                return;
            }
        };
        let Some(said) = said else {
            return;
        };
        let (injection, error) = self.stage_injection(core, batch, dispatch, said);
        dispatched.runtime_injection = Some(injection);
        dispatched.runtime_injection_error = error;
    }

    /// Tells that the module did not say what is to be said.
    fn stage_silence(
        &self,
        core: &Core,
        batch: &mut Batch,
        dispatch: &ScheduleDispatch,
        error: &str,
    ) {
        let tick_ms = dispatch.tick_ms;
        let number = self.state.next(batch, SCHEDULING);
        let id = format!("evt-runtime-injection-failed-{tick_ms}-{number}");
        let payload = object!({ "schedule_id": dispatch.schedule_id, "error": error });
        let event = at_tick(id, RUNTIME, "injection.failed", tick_ms, payload);
        events::stage(core, batch, vec![event]);
    }

    /// Puts what is to be said into the member's mailbox, with the events that tell of it.
    fn stage_injection(
        &self,
        core: &Core,
        batch: &mut Batch,
        dispatch: &ScheduleDispatch,
        (member_id, message): (String, String),
    ) -> (RuntimeInjection, Option<String>) {
        let tick_ms = dispatch.tick_ms;
        let number = self.state.next(batch, SCHEDULING);
        let injection = RuntimeInjection {
            member_id,
            message,
            injection_event_id: format!("evt-runtime-injection-{tick_ms}-{number}"),
        };
        let id = &injection.injection_event_id;
        let mut payload = object!({
            "schedule_id": dispatch.schedule_id,
            "claim_key": dispatch.claim_key,
            "member_id": injection.member_id,
            "message": injection.message,
        });
        let mut told = vec![at_tick(
            id.clone(),
            RUNTIME,
            "injection.dispatch",
            tick_ms,
            payload.clone(),
        )];
        let admitted = AgentIdentity::new(&injection.member_id)
            .map_err(|error| error.to_string())
            .and_then(|to| {
                let admission = Admission {
                    to,
                    content: ContentInput::Text(injection.message.clone()),
                    mode: HandlingMode::Queue,
                    origin: "schedule".to_owned(),
                    by_mob: true,
                    interaction_id: core.named_interaction(&["schedule", &dispatch.claim_key]),
                    // One for each occurrence, as the interaction.
                    work_id: WorkId::from(["schedule-", &dispatch.claim_key].concat().as_str()),
                    fingerprint: dispatch.claim_key.clone(),
                };
                let admitted = core.stage_admission(batch, &admission);
                admitted.map_err(|error| error.to_string())
            });
        let error = match admitted {
            Ok(admitted) => {
                payload["session_id"] = admitted.session_id.as_str().into();
                let id = [id, "-executed"].concat();
                told.push(at_tick(
                    id,
                    RUNTIME,
                    "runtime.injection.executed",
                    tick_ms,
                    payload,
                ));
                None
            }
            Err(error) => {
                payload["session_id"] = Value::Null;
                payload["error_kind"] = "mob_runtime".into();
                payload["error"] = error.clone().into();
                let id = [id, "-failed"].concat();
                told.push(at_tick(
                    id,
                    RUNTIME,
                    "runtime.injection.failed",
                    tick_ms,
                    payload,
                ));
                Some(format!("mob injection failed: {error}"))
            }
        };
        events::stage(core, batch, told);
        (injection, error)
    }
}
