//! One trial of the simulation: a mob that is asked one question lives, is killed, lives again, and is watched from
//! outside all the while. Whatever breaks a promise is a violation, told as text.

use std::pin::pin;

use futures::future::{Either, select};

use super::people::{Crew, People};
use super::watched::{Trouble, Watched};
use super::*;
use crate::mob::MobError;
use crate::runtime::SubscriptionStart;
use crate::shim::Fault;
use crate::sim::{CommitFault, SimError, SimRandom};
use crate::storage::{DomError, StorageError};
use crate::wire::SpawnMemberSpec;

/// More than any life takes.
const LIFE: Duration = Duration::from_secs(60);

/// What a trial is made of. Equal trials run equally.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub seed: u64,
    /// The plans of the lives that may end early; then follows one without faults.
    pub plans: Vec<StoragePlan>,
    pub fault: Option<Fault>,
    pub people: People,
    /// How long a model thinks and a person waits at most, in milliseconds.
    pub pace: u64,
    /// Where the structural projection begins.
    pub start: SubscriptionStart,
}

impl Trial {
    /// Everything from the seed: how often and where it dies, how slow and how faulty storage is, who is about.
    pub fn random(seed: u64, fault: Option<Fault>) -> Self {
        let random = SimRandom::new(seed);
        let crashes = [
            CommitFault::CrashBefore,
            CommitFault::CrashTorn,
            CommitFault::CrashAfter,
            CommitFault::LoseConnection,
        ];
        let aborted = || {
            let text = "the simulated transaction was aborted";
            StorageError::Aborted(DomError::new("AbortError", text))
        };
        // Work that is interrupted three times without getting further fails, so that it may die twice.
        let plans = (0..random.below(3))
            .map(|life| {
                let crash = crashes[random.below(4) as usize].clone();
                let mut plan = StoragePlan::seeded(seed ^ (life + 1));
                // Some live to the end with storage that fails now and then.
                if random.chance(5, 6) {
                    plan = plan.at(1 + random.below(48), crash);
                }
                plan.max_delay = Duration::from_millis(random.below(6));
                if random.chance(1, 4) {
                    plan.fail_one_in = Some((6 + random.below(20), aborted()));
                }
                if random.chance(1, 4) {
                    plan.fail_one_read_in = Some((12 + random.below(40), aborted()));
                }
                plan
            })
            .collect();
        Self {
            seed,
            plans,
            fault,
            people: match random.below(4) {
                0 => People::Nobody,
                1 => People::Hiring,
                _ => People::Meddling,
            },
            pace: if random.chance(1, 4) { 900 } else { 20 },
            start: if random.chance(1, 2) {
                SubscriptionStart::Earliest
            } else {
                SubscriptionStart::Latest
            },
        }
    }

    /// Runs it. `Err` is the first violation.
    pub fn run(&self) -> Result<Rc<Watched>, String> {
        let disk = SimDisk::new();
        let watched = Rc::new(Watched::default());
        let quiet = StoragePlan::seeded(self.seed);
        let plans = self.plans.iter().chain(std::iter::once(&quiet));
        for (life, plan) in plans.enumerate() {
            watched.lives.set(watched.lives.get() + 1);
            let done = self.live(life, &disk, plan.clone(), &watched)?;
            watched.check_cursor(&disk);
            watched.first_violation()?;
            if done {
                return Ok(watched);
            }
        }
        Err("no end in a life without faults".into())
    }

    /// One life; answers whether all that was asked came to its end, or `false` when it was killed.
    fn live(
        &self,
        life: usize,
        disk: &SimDisk,
        plan: StoragePlan,
        watched: &Rc<Watched>,
    ) -> Result<bool, String> {
        let sim = Sim::new(self.seed.wrapping_mul(31).wrapping_add(life as u64));
        sim.set_step_limit(200_000);
        let mut host = sim.host();
        if let Some(fault) = self.fault {
            host = host.with_planted(fault);
        }
        let failing_reads = plan.fail_one_read_in.clone();
        let storage = disk.open(&host, plan);
        let crash = sim.crash_switch();
        storage.on_crash(move || crash.crash());
        let faultless = life == self.plans.len();
        let outcome = sim.try_block_on(async {
            let model = self.model(&host, life as u64);
            let build = UnifiedRuntime::builder()
                .definition(team())
                .host(host.clone())
                .storage(storage.clone())
                .model("scripted", Rc::new(model))
                .tail_capacity(8)
                .start(self.start)
                .on_mob_event(watched.listener(disk))
                .build()
                .await;
            // Storage may refuse while a runtime is built; then this life is over.
            let Ok(runtime) = build else { return Ok(false) };
            // It is, unless a planted mistake answers too early.
            while runtime.inner.core.state.get(&()).is_none() {
                host.yield_now().await;
            }
            watched.check_kept(&runtime);
            if let Some((one_in, error)) = failing_reads {
                // Those with which the projection and the readers begin.
                storage.fail_reads(one_in % 5, error);
            }
            let slow = life.is_multiple_of(2);
            let reading = watched.follow(&host, &runtime, slow, faultless);
            let work = pin!(host.timeout(LIFE, self.work(&host, &runtime, watched)));
            let retired = pin!(runtime.retired());
            match select(work, retired).await {
                Either::Left((Ok(done), _)) => {
                    if !done? {
                        return Ok(false);
                    }
                }
                Either::Left((Err(_), _)) => return Err("the work does not end".into()),
                Either::Right(_) => return Ok(false),
            }
            match watched.check(&host, &runtime, &reading, self.people).await {
                Ok(()) => {}
                // The connection was lost while we looked; the next life is looked at again.
                Err(Trouble::Storage) if !faultless => return Ok(false),
                Err(Trouble::Storage) => return Err("storage failed without a fault".into()),
                Err(Trouble::Violation(violation)) => return Err(violation),
            }
            self.check_takeover(&host, &runtime, disk, watched).await?;
            runtime.shutdown().await;
            Ok(true)
        });
        match outcome {
            Ok(answer) => answer,
            Err(SimError::Crashed) => Ok(false),
            Err(stuck) => Err(format!("life {life}: {stuck}")),
        }
    }

    /// The team, thinking.
    fn model(&self, host: &Host, life: u64) -> ScriptedModel {
        let random = SimRandom::new(self.seed ^ (life << 32));
        let pace = self.pace;
        ScriptedModel::answering(host.clone(), move |request| {
            team_answer(request).after(Duration::from_millis(random.below(pace)))
        })
    }

    /// Asks, lets people do their deeds, and waits until everything that was ever asked has ended.
    async fn work(
        &self,
        host: &Host,
        runtime: &UnifiedRuntime,
        watched: &Rc<Watched>,
    ) -> Result<bool, String> {
        let random = SimRandom::new(self.seed ^ watched.lives.get());
        let crew = Crew {
            people: self.people,
            host: host.clone(),
            runtime: runtime.clone(),
            watched: watched.clone(),
            pace: self.pace,
            crowd: random.chance(1, 24),
            random,
        };
        // The life before may have ended between a stop and its resumption.
        if !crew.set_going().await {
            return Ok(false);
        }
        let people = host.spawn(crew.act());
        if !self.ask(host, runtime, watched).await? {
            return Ok(false);
        }
        if people.await.is_err() {
            return Ok(false);
        }
        let handle = runtime.mob_handle();
        for accepted in watched.accepted() {
            match handle.wait_interaction(&accepted.interaction_id).await {
                Ok(outcome) => watched.check_outcome(&accepted, &outcome, self.people)?,
                Err(error) if is_over(&error) => return Ok(false),
                Err(error) => return Err(format!("an accepted message is lost: {error}")),
            }
        }
        // What was accepted by a life that ended before it could say so is worked on all the same.
        for interaction in runtime.inner.core.interactions.all() {
            match handle.wait_interaction(&interaction.interaction_id).await {
                Ok(_) => {}
                Err(error) if is_over(&error) => return Ok(false),
                Err(error) => return Err(format!("an interaction is lost: {error}")),
            }
        }
        Ok(true)
    }

    /// Puts the question; answers `false` when the runtime has ended over it.
    async fn ask(
        &self,
        host: &Host,
        runtime: &UnifiedRuntime,
        watched: &Rc<Watched>,
    ) -> Result<bool, String> {
        const QUESTION: &str = "build a house";
        let request = || SendRequest {
            idempotency_key: Some("the-one".into()),
            ..SendRequest::new(QUESTION)
        };
        loop {
            match runtime.send(&id("lead"), request()).await {
                Ok(accepted) => {
                    watched.accept(accepted, QUESTION);
                    return Ok(true);
                }
                Err(MobError::Storage(error)) if !error.is_fatal() => {
                    host.sleep(Duration::from_millis(10)).await;
                }
                Err(error) if is_over(&error) => return Ok(false),
                Err(MobError::MemberNotFound(_)) if !watched.is_known_to_be_there("lead") => {
                    return Ok(true);
                }
                Err(error) => return Err(format!("the question was refused: {error}")),
            }
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
            .on_mob_event(watched.listener(disk))
            .build()
            .await
            .map_err(|error| error.to_string())?;
        let late = SpawnMemberSpec::new("worker", "late").unwrap();
        match old.spawn(late).await {
            // Storage may refuse for the plan's reasons before it looks at the token.
            Err(MobError::NotLeader | MobError::ShuttingDown | MobError::Storage(_)) => {}
            other => return Err(format!("a holder whose token is stale wrote: {other:?}")),
        }
        taken.shutdown().await;
        watched.check_told(disk, &taken)
    }
}

/// Whether a runtime is of no more use to whoever got this answer.
pub(super) fn is_over(error: &MobError) -> bool {
    match error {
        MobError::ShuttingDown | MobError::NotLeader => true,
        MobError::Storage(error) => error.is_fatal(),
        _ => false,
    }
}
