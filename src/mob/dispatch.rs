//! Who works: one pump per member that has something to do, and none for a member that has not.
//!
//! A pump takes an item, runs it to its end, and looks again; when nothing is left it ends. A run is ended from outside
//! through the rows alone: after each commit the running work is held against the open turn, and a run whose turn is gone
//! is dropped. Cancelling, retiring, respawning and stopping are therefore one mechanism.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures::future::{AbortHandle, Abortable};
use litemap::LiteMap;
use serde_json::Value;

use crate::agent::model::{Availability, LanguageModel};
use crate::agent::run::{self, Interrupt, RunBounds, RunEnd, RunSpec};
use crate::agent::tool::ToolSet;
use crate::mob::core::Core;
use crate::mob::definition::Profile;
use crate::mob::delegate_tools::MakeMemberTool;
use crate::mob::error::MobError;
use crate::mob::member_run::{MemberRun, unstorable};
use crate::mob::member_tools::{PeersTool, SendMessageTool};
use crate::mob::rows::{Member, MobStatus, OpenTurn};
use crate::mob::work::{Ending, Taken, same_run};
use crate::shim::Notify;
use crate::storage::{Batch, Durability};
use crate::wire::{AgentEvent, AgentIdentity, MemberActivity, SessionId};

/// The pumps of a mob.
#[derive(Default)]
pub(crate) struct Runners {
    /// Set once the mob is open; before that nothing runs.
    core: RefCell<Weak<Core>>,
    active: RefCell<LiteMap<AgentIdentity, Rc<Runner>>>,
    /// Members whose transcript was in memory at least once since the mob was opened.
    awake: RefCell<LiteMap<AgentIdentity, ()>>,
}

#[derive(Default)]
struct Runner {
    /// Something about the member changed since the pump looked last.
    kicked: Cell<bool>,
    wake: Notify,
    running: RefCell<Option<(Rc<OpenTurn>, AbortHandle)>>,
    /// This pump has run the open turn before: taking it up again is no interruption by a crash.
    ran: Cell<bool>,
    /// Why the member's work waits for its model.
    waiting: RefCell<Option<String>>,
    /// The session whose transcript it works on.
    session: RefCell<Option<SessionId>>,
}

/// Whether a member could start work now.
enum Readiness {
    Ready {
        name: String,
        model: Rc<dyn LanguageModel>,
    },
    Waiting {
        model: String,
        reason: String,
    },
    Broken(String),
}

impl Runners {
    /// Lets members work, beginning with those that have something to do.
    pub fn start(&self, core: &Rc<Core>) {
        *self.core.borrow_mut() = Rc::downgrade(core);
        for member in core.members.all() {
            self.touch(core, member.identity());
        }
        self.rest(core);
    }

    /// Holds what a member does against its rows, after they changed.
    pub fn touch(&self, core: &Core, identity: &AgentIdentity) {
        let Some(strong) = self.core.borrow().upgrade() else {
            return;
        };
        let runner = self.active.borrow().get(identity).cloned();
        if let Some(runner) = runner {
            let abort = runner.running.borrow().as_ref().and_then(|(turn, abort)| {
                let stands = core
                    .turns
                    .get(identity)
                    .is_some_and(|open| same_run(&open, turn));
                (!stands || core.status() != MobStatus::Running).then(|| abort.clone())
            });
            if let Some(abort) = abort {
                abort.abort();
            }
            runner.kicked.set(true);
            runner.wake.notify_waiters();
        } else if core.has_work(identity) {
            core.events.reserve();
            let runner = Rc::new(Runner::default());
            self.active
                .borrow_mut()
                .insert(identity.clone(), runner.clone());
            let identity = identity.clone();
            core.host.spawn(pump(strong, identity, runner));
            core.arm();
        } else if let Some(member) = core.members.get(identity) {
            // Its turn may have been closed while nobody worked on it.
            core.rest_transcript(identity, &member.session_id);
        } else {
            self.awake.borrow_mut().remove(identity);
        }
    }

    /// With nobody at work no event comes, so that the event log gives back the numbers which it holds ready: a tab that is
    /// closed now leaves no gap behind.
    fn rest(&self, core: &Core) {
        if !self.active.borrow().is_empty() {
            return;
        }
        core.events.release();
        if let Some(writer) = &core.writer {
            // Nobody waits for it: if it fails, the next start reads a gap where nothing was lost.
            core.host.spawn(writer.flush(Durability::Relaxed));
        }
    }

    /// Looks again at all members: a model came, or went.
    pub fn touch_all(&self, core: &Core) {
        for member in core.members.all() {
            self.touch(core, member.identity());
        }
    }

    /// Ends every run where it stands; the open turns stay for the next start.
    pub fn abort_all(&self) {
        for runner in self.active.borrow().values() {
            if let Some((_, abort)) = runner.running.borrow().as_ref() {
                abort.abort();
            }
            runner.kicked.set(true);
            runner.wake.notify_waiters();
        }
    }

    /// Whether somebody works, or is about to.
    pub fn are_at_work(&self, core: &Core) -> bool {
        let active = self.active.borrow();
        let mut runners = active.iter();
        runners.any(
            |(identity, runner)| match runner.waiting.borrow().is_some() {
                // A module that is being started is there soon, or given up; a model may never come.
                true => core.waits_for_module(identity),
                false => !core.waits_for_decision(identity),
            },
        )
    }
}

impl Core {
    fn has_work(&self, identity: &AgentIdentity) -> bool {
        if self.check_open().is_err()
            || self.status() != MobStatus::Running
            || self.members.get(identity).is_none()
        {
            return false;
        }
        let waits = (identity.clone(), 0)..=(identity.clone(), u64::MAX);
        self.turns.get(identity).is_some() || !self.mailbox.range(waits).is_empty()
    }

    /// Whether a member waits for a module that is being started.
    fn waits_for_module(&self, identity: &AgentIdentity) -> bool {
        let (Some(member), Some(modules)) = (self.members.get(identity), &self.kit.modules) else {
            return false;
        };
        let state = self.definition();
        let profile = self.profile(&state.definition, &member);
        profile.is_some_and(|profile| modules.waits(&profile.tools.mcp).is_some())
    }

    /// Whether all that a member's work waits for is that somebody decides about its calls.
    fn waits_for_decision(&self, identity: &AgentIdentity) -> bool {
        let turn = self.turns.get(identity);
        turn.is_some_and(|turn| self.held_calls(&turn).is_some())
    }

    /// What a member is doing, and what is wrong with it.
    pub fn activity(&self, member: &Member) -> (MemberActivity, Option<String>) {
        let identity = member.identity();
        let readiness = self.readiness(member);
        if let Readiness::Broken(reason) = readiness {
            return (MemberActivity::Broken, Some(reason));
        }
        let at_work = || match self.turns.get(identity) {
            Some(turn) if !turn.held.is_empty() => MemberActivity::WaitingApproval,
            _ => MemberActivity::Running,
        };
        let runner = self.runners.active.borrow().get(identity).cloned();
        if let Some(runner) = runner {
            if let Some(reason) = runner.waiting.borrow().clone() {
                return (MemberActivity::WaitingModel, Some(reason));
            }
            return (at_work(), None);
        }
        if self.turns.get(identity).is_some() && self.writer.is_none() {
            return (at_work(), None);
        }
        let awake = self.runners.awake.borrow().contains_key(identity);
        (
            if awake {
                MemberActivity::Idle
            } else {
                MemberActivity::Dormant
            },
            None,
        )
    }

    /// Whether a member has what it needs to work: its profile, tools and model.
    pub fn is_ready(&self, member: &Member) -> bool {
        matches!(self.readiness(member), Readiness::Ready { .. })
    }

    /// The name of the model that a member works with.
    pub fn model_name(&self, member: &Member) -> String {
        let state = self.definition();
        let profile = self.profile(&state.definition, member);
        let own = member.spec.model_override.clone();
        own.or_else(|| profile.map(|profile| profile.model.clone()))
            .unwrap_or_default()
    }

    fn readiness(&self, member: &Member) -> Readiness {
        let state = self.definition();
        let Some(profile) = self.profile(&state.definition, member) else {
            return Readiness::Broken(format!(
                "the definition has no profile `{}` any more",
                member.spec.role_name
            ));
        };
        let named = profile.tools.names.iter().flatten();
        if let Some(missing) = named
            .clone()
            .find(|name| self.kit.tools.get(name).is_none())
        {
            return Readiness::Broken(format!(
                "its profile names the tool `{missing}`, which the host does not give"
            ));
        }
        let name = self.model_name(member);
        let modules = self.kit.modules.as_ref();
        if let Some(id) = modules.and_then(|modules| modules.missing(&profile.tools.mcp)) {
            return Readiness::Broken(format!(
                "its profile names the module `{id}`, which the host does not give"
            ));
        }
        if let Some(reason) = modules.and_then(|modules| modules.waits(&profile.tools.mcp)) {
            return Readiness::Waiting {
                model: name,
                reason,
            };
        }
        let model = self.kit.models.get(&name);
        let Some(model) = model else {
            let reason = format!("there is no model `{name}`");
            return Readiness::Waiting {
                model: name,
                reason,
            };
        };
        match model.availability() {
            Availability::Ready => Readiness::Ready { name, model },
            Availability::Waiting { reason } => Readiness::Waiting {
                model: name,
                reason,
            },
        }
    }
}

/// Works until a member has nothing more to do.
async fn pump(core: Rc<Core>, identity: AgentIdentity, runner: Rc<Runner>) {
    let mut refusals = 0;
    loop {
        runner.kicked.set(false);
        let wake = runner.wake.notified();
        let looked = match next(&core, &identity, &runner).await {
            Ok(Some((turn, spec))) => work(&core, &runner, turn, spec).await.map(|()| true),
            Ok(None) => Ok(false),
            Err(error) => give_up(&core, &identity, error).await.map(|()| true),
        };
        match looked {
            Ok(true) => {}
            Ok(false) if runner.waiting.borrow().is_some() => wake.await,
            Ok(false) if runner.kicked.get() => {}
            Ok(false) => break,
            // The writer has ended: whoever owns the runtime sees that too.
            Err(MobError::NotLeader | MobError::ShuttingDown) => break,
            Err(error) => {
                let pause = core.refused(&identity, &error, &mut refusals);
                // Sooner if something changes from here on; what the work itself changed does not count.
                let wake = runner.wake.notified();
                futures::future::select(wake, pause).await;
                continue;
            }
        }
        refusals = 0;
    }
    core.runners.active.borrow_mut().remove(&identity);
    if let Some(session) = runner.session.take() {
        core.rest_transcript(&identity, &session);
    }
    if core.members.get(&identity).is_none() {
        core.runners.awake.borrow_mut().remove(&identity);
    }
    core.runners.rest(&core);
    core.arm();
    // `changed` readers show activity.
    core.changed.notify_waiters();
}

/// The next turn to run, with all that it needs.
async fn next(
    core: &Rc<Core>,
    identity: &AgentIdentity,
    runner: &Runner,
) -> Result<Option<(Rc<OpenTurn>, RunSpec)>, MobError> {
    loop {
        if !core.has_work(identity) {
            set_waiting(core, runner, None);
            return Ok(None);
        }
        let member = core.member(identity)?;
        let (name, model) = match core.readiness(&member) {
            Readiness::Ready { name, model } => (name, model),
            Readiness::Broken(_) => return Ok(None),
            Readiness::Waiting { model, reason } => {
                wait_for_model(core, &member, runner, model, reason);
                return Ok(None);
            }
        };
        if runner.waiting.borrow().is_some() {
            set_waiting(core, runner, None);
            core.changed.notify_waiters();
        }
        let session = &member.session_id;
        let former = runner.session.replace(Some(session.clone()));
        if let Some(former) = former.filter(|former| former != session) {
            core.rest_transcript(identity, &former);
        }
        core.load_transcript(session).await?;
        core.runners.awake.borrow_mut().insert(identity.clone(), ());
        let interrupted = core.turns.get(identity).is_some();
        let crashed = !runner.ran.get();
        let (whose, fence) = (identity.clone(), member.fence_token);
        let taken = core
            .execute_accepted(Durability::Relaxed, move |core, batch| {
                if interrupted {
                    core.stage_resume(batch, &whose, fence, crashed)
                } else {
                    core.stage_take(batch, &whose, fence)
                }
            })
            .await;
        match taken {
            Ok(Taken::Turn(turn)) => {
                let spec = run_spec(core, &member, &turn, name, model);
                return Ok(Some((turn, spec)));
            }
            // A member that was retired may be back under its name, with work.
            Ok(Taken::Again)
            | Err(MobError::StaleFenceToken { .. } | MobError::MemberNotFound(_)) => {}
            Ok(Taken::Nothing) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn set_waiting(core: &Core, runner: &Runner, reason: Option<String>) {
    *runner.waiting.borrow_mut() = reason;
    core.arm();
}

fn wait_for_model(core: &Core, member: &Member, runner: &Runner, model: String, reason: String) {
    let told = runner.waiting.borrow().as_ref() == Some(&reason);
    if told {
        return;
    }
    set_waiting(core, runner, Some(reason.clone()));
    let waiting = core
        .mailbox
        .range((member.identity().clone(), 0)..=(member.identity().clone(), u64::MAX));
    let open = core
        .turns
        .get(member.identity())
        .map(|turn| turn.item.clone());
    let item = open.or_else(|| waiting.first().map(|item| item.as_ref().clone()));
    let interaction = item.as_ref().map(|item| &item.cause.interaction_id);
    let work = item.as_ref().map(|item| &item.work_id);
    core.events.append(core.record(
        member,
        interaction,
        work,
        AgentEvent::ModelUnavailable { model, reason },
    ));
    core.changed.notify_waiters();
}

fn run_spec(
    core: &Rc<Core>,
    member: &Member,
    turn: &OpenTurn,
    name: String,
    model: Rc<dyn LanguageModel>,
) -> RunSpec {
    let state = core.definition();
    let profile = core.profile(&state.definition, member);
    let mut tools = ToolSet::new();
    if profile.is_none_or(|profile| profile.tools.comms) {
        tools.insert(Rc::new(PeersTool::new(core, member)));
        tools.insert(Rc::new(SendMessageTool::new(core, member, turn)));
    }
    if profile.is_some_and(|profile| profile.tools.mob) {
        for tool in MakeMemberTool::both(core, member, turn) {
            tools.insert(tool);
        }
    }
    if let Some(profile) = profile {
        for tool in core
            .kit
            .tools
            .iter()
            .filter(|tool| profile.tools.includes(&tool.definition().name))
        {
            tools.insert(tool.clone());
        }
        if let Some(modules) = &core.kit.modules {
            for tool in modules.tools(&profile.tools.mcp) {
                tools.insert(tool);
            }
        }
    }
    let limits = &state.definition.limits;
    let own = profile.and_then(|profile| profile.history_tokens);
    let window = model
        .info()
        .context_tokens
        .map(|tokens| u64::from(tokens) * 3 / 4);
    let bounds = RunBounds {
        max_turns: limits.max_turns_per_run(),
        history_tokens: own.or(window),
        tool_timeout: Duration::from_millis(limits.tool_timeout_ms()),
        model_idle_timeout: Duration::from_millis(limits.model_idle_timeout_ms()),
        retry: core.kit.retry.clone(),
    };
    RunSpec {
        host: core.host.clone(),
        identity: member.identity().clone(),
        interaction_id: turn.item.cause.interaction_id.clone(),
        run_key: format!("{}-{}", turn.item.work_id, turn.item.attempt),
        model_name: name,
        model,
        max_output_tokens: profile.and_then(|profile| profile.max_output_tokens),
        params: profile.map(provider_params).unwrap_or_default(),
        tools,
        gate: core.kit.gate.clone(),
        bounds,
    }
}

/// A profile's opaque parameters: null when there are none.
fn provider_params(profile: &Profile) -> Value {
    if profile.provider_params.is_empty() {
        return Value::Null;
    }
    Value::Object(profile.provider_params.clone())
}

/// Work that storage can never take fails, so that the member gets on with the next. Answers any other error.
async fn give_up(
    core: &Rc<Core>,
    identity: &AgentIdentity,
    error: MobError,
) -> Result<(), MobError> {
    let MobError::Storage(refusal) = &error else {
        return Err(error);
    };
    if !refusal.is_permanent() {
        return Err(error);
    }
    let (whose, ending) = (identity.clone(), Ending::from(unstorable(refusal)));
    core.trouble.report(identity, error.to_string());
    core.execute_accepted(Durability::Relaxed, move |core, batch| {
        core.stage_give_up(batch, &whose, &ending)
    })
    .await
}

/// Puts work down whose model went away. Fails if the model says that it is there all the same, so that it is not asked
/// again without a pause.
async fn put_down(
    core: &Rc<Core>,
    port: &MemberRun,
    turn: Rc<OpenTurn>,
    reason: String,
) -> Result<(), MobError> {
    let put = turn.clone();
    let stored = core
        .execute_accepted(Durability::Relaxed, move |core, batch| {
            core.stage_put_down(batch, &put)
        })
        .await;
    if let Err(error) = stored {
        // It stays open all the same; at worst going on with it counts as an interruption.
        port.report_lost_step(&error);
    }
    let member = core.members.get(&turn.identity);
    match member.map(|member| core.readiness(&member)) {
        Some(Readiness::Ready { .. }) => Err(MobError::MemberBroken {
            identity: turn.identity.clone(),
            reason,
        }),
        _ => Ok(()),
    }
}

/// Runs one turn and closes it. Fails if not even its failure can be stored, or if its model refuses though it says that it is
/// there.
async fn work(
    core: &Rc<Core>,
    runner: &Runner,
    turn: Rc<OpenTurn>,
    spec: RunSpec,
) -> Result<(), MobError> {
    let (abort, registration) = AbortHandle::new_pair();
    runner.ran.set(true);
    *runner.running.borrow_mut() = Some((turn.clone(), abort));
    // The rows may have changed between the commit and here.
    core.runners.touch(core, &turn.identity);
    let port = MemberRun::new(core, &turn);
    let ended = Abortable::new(run::run(port.clone(), spec), registration).await;
    if ended.is_ok() {
        port.flush();
    } else {
        // Whoever dropped the run has told its end; nothing is shown after it.
        port.discard();
    }
    runner.running.borrow_mut().take();
    let mut ending = match ended {
        Err(_) | Ok(RunEnd::Interrupted(Interrupt::Stopped)) => return Ok(()),
        Ok(RunEnd::Completed(answer)) => Ending::Completed(answer),
        Ok(RunEnd::Interrupted(Interrupt::PutDown { reason })) => {
            return put_down(core, &port, turn, reason).await;
        }
        Ok(RunEnd::Interrupted(Interrupt::Failed(failure))) => failure.into(),
    };
    loop {
        let completed = matches!(ending, Ending::Completed(_));
        let closed = turn.clone();
        let stage = move |core: &Core, batch: &mut Batch| {
            core.stage_end_of_run(batch, &closed, ending.clone())
        };
        let stored = core.persist(&turn.identity, Durability::Strict, Box::new(stage));
        match stored.await {
            Ok(None) => return Ok(()),
            Ok(Some(failed)) => {
                let what = format!("agent run failed (event_id: evt-agent-{failed})");
                core.trouble.report(&turn.identity, what);
                return Ok(());
            }
            Err(MobError::Storage(error)) if error.is_permanent() => {
                if !completed {
                    return Err(error.into());
                }
                ending = unstorable(&error).into();
            }
            Err(error) => {
                port.report_lost_step(&error);
                return Ok(());
            }
        }
    }
}
