//! Schedules of a caller's: what is due at its tick, and what comes of it (MobKit contract, sections 4.5 and 15.3).

use std::rc::Rc;

use futures::FutureExt;
use serde::Serialize;
use serde_json::Value;

use crate::mob::{Admission, Core, Ids, MobError, Pending};
use crate::modules::port::CallContext;
use crate::modules::schedule::{self, ScheduleDefinition, ScheduleDispatch, ScheduleEvaluation};
use crate::modules::state::ClaimsRow;
use crate::modules::supervisor::Slot;
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

    /// Dispatches the latest occurrence of each schedule at a tick that nobody has dispatched yet, tells of it, asks the module
    /// `scheduling` what is to be said to whom, and says it.
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
            let staging = inner.clone();
            let staged = inner.core.execute(Durability::Strict, move |core, batch| {
                staging.stage_tick(core, batch, &schedules, tick_ms)
            });
            let mut report = staged.await?;
            let module = inner.find(SCHEDULING).filter(|slot| slot.is_wanted());
            if let Some(module) = module.cloned() {
                for dispatched in &mut report.dispatched {
                    inner.inject(&module, dispatched).await?;
                }
            }
            Ok(report)
        }
        .boxed_local()
    }
}

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
    fn stage_tick(
        &self,
        core: &Core,
        batch: &mut Batch,
        schedules: &[ScheduleDefinition],
        tick_ms: u64,
    ) -> Result<DispatchReport, MobError> {
        let row = self.state.claims.staged(&());
        let mut claims = row.map(|row| row.claims.clone()).unwrap_or_default();
        let before = claims.clone();
        let report = schedule::dispatch(schedules, tick_ms, self.zones.as_ref(), &mut claims);
        let report = report.map_err(ModuleError::from)?;
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
        Ok(DispatchReport {
            tick_ms,
            due_count: report.due_count,
            dispatched,
            skipped_claims: report.skipped_claims,
        })
    }

    /// Asks the module what is to be said to whom, and says it.
    async fn inject(
        self: &Rc<Self>,
        module: &Rc<Slot>,
        dispatched: &mut DispatchedSchedule,
    ) -> Result<(), MobError> {
        let context = CallContext {
            delivery_id: Some(dispatched.dispatch.claim_key.clone()),
            ..CallContext::default()
        };
        let about = value_of(&dispatched.dispatch);
        let answer = self
            .ask(module, "scheduling.dispatch", about, context)
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let (dispatch, error) = (dispatched.dispatch.clone(), error.to_string());
                dispatched.runtime_injection_error = Some(error.clone());
                let inner = self.clone();
                let told = self.core.execute(Durability::Relaxed, move |core, batch| {
                    inner.stage_silence(core, batch, &dispatch, &error);
                    Ok(())
                });
                return told.await;
            }
        };
        let Some(said) = said(&answer) else {
            return Ok(());
        };
        let dispatch = dispatched.dispatch.clone();
        let work_id = Ids::new(&self.core.host).work();
        let inner = self.clone();
        let staged = self.core.execute(Durability::Strict, move |core, batch| {
            Ok(inner.stage_injection(core, batch, &dispatch, said.clone(), &work_id))
        });
        let (injection, error) = staged.await?;
        dispatched.runtime_injection = Some(injection);
        dispatched.runtime_injection_error = error;
        Ok(())
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
        work_id: &WorkId,
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
                    work_id: work_id.clone(),
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
