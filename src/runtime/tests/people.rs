//! The people of a trial: what they do to a mob while it works. What they were answered must hold, whatever dies next.

use super::trial::is_over;
use super::watched::Watched;
use super::*;
use crate::mob::{MobError, MobStatus};
use crate::runtime::UnifiedRuntimeReconcileError;
use crate::sim::SimRandom;
use crate::wire::{HandlingMode, Labels, SpawnMemberSpec};

/// Who is about while the mob works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum People {
    /// Nobody but the one who asks.
    Nobody,
    /// People who hire and dismiss members that have no work.
    Hiring,
    /// People who besides get in the way of those at work.
    Meddling,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Spawns a member.
    Hire,
    /// Retires one that was hired.
    Dismiss,
    /// Asks a member something.
    Ask,
    /// Steers a member.
    Steer,
    /// Cancels something that was asked.
    Cancel,
    /// Stops what a member does now.
    CancelTurn,
    /// Stops the mob, and lets it go on after a while.
    Stop,
    Wire,
    Unwire,
    /// Respawns a member, at work or waiting for others.
    Respawn,
    /// Retires a member, at work or waiting for others, and perhaps spawns one of the same name.
    Retire,
    /// Brings the roster back to the team and one more.
    Reconcile,
    /// Labels the mob.
    Label,
}

const HIRING: &[Deed] = &[
    Deed::Hire,
    Deed::Hire,
    Deed::Dismiss,
    Deed::Reconcile,
    Deed::Label,
];
const MEDDLING: &[Deed] = &[
    Deed::Hire,
    Deed::Dismiss,
    Deed::Ask,
    Deed::Ask,
    Deed::Ask,
    Deed::Steer,
    Deed::Steer,
    Deed::Steer,
    Deed::Cancel,
    Deed::Cancel,
    Deed::CancelTurn,
    Deed::Stop,
    Deed::Wire,
    Deed::Unwire,
    Deed::Respawn,
    Deed::Respawn,
    Deed::Retire,
    Deed::Reconcile,
    Deed::Label,
];

/// Why a person gives up: the runtime is not theirs any more.
struct Gone;

/// One life of the people: what they do to one runtime.
pub(super) struct Crew {
    pub people: People,
    pub host: Host,
    pub runtime: UnifiedRuntime,
    pub watched: Rc<Watched>,
    pub random: SimRandom,
    /// The longest pause between two deeds, in milliseconds.
    pub pace: u64,
    /// Whether a great many are hired at once.
    pub crowd: bool,
}

impl Crew {
    /// Does its deeds, one after the other, and leaves the mob running.
    pub async fn act(self) {
        let deeds = match self.people {
            People::Nobody => return,
            People::Hiring => HIRING,
            People::Meddling => MEDDLING,
        };
        if self.crowd && self.crowded().await.is_err() {
            return;
        }
        for round in 0..6 + self.random.below(4) {
            self.pause().await;
            let deed = deeds[self.below(deeds.len())];
            if self.perform(deed, round).await.is_err() {
                return;
            }
        }
    }

    /// Lets a mob that somebody stopped go on; answers whether that was possible.
    pub async fn set_going(&self) -> bool {
        loop {
            if self.runtime.status().mob_state == MobStatus::Running {
                return true;
            }
            match self.runtime.resume().await {
                Ok(_) => return true,
                Err(error) if is_over(&error) => return false,
                Err(_) => self.pause().await,
            }
        }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).expect("a small number")
    }

    fn one_of<'a>(&self, names: &[&'a str]) -> &'a str {
        names[self.below(names.len())]
    }

    async fn pause(&self) {
        let pause = self.random.below(self.pace);
        self.host.sleep(Duration::from_millis(pause)).await;
    }

    /// A name that nobody had before.
    fn name(&self, what: &str, number: u64) -> String {
        format!("{what}-{}-{number}", self.watched.lives.get())
    }

    async fn perform(&self, deed: Deed, round: u64) -> Result<(), Gone> {
        let worker = self.one_of(&["ann", "bob"]);
        let anybody = self.one_of(&["lead", "lead", "ann", "bob"]);
        match deed {
            Deed::Hire => self.spawn("worker", &self.name("extra", round)).await,
            Deed::Dismiss => match self.watched.hired() {
                Some(name) => self.retire(&name).await,
                None => Ok(()),
            },
            Deed::Ask => self.say(anybody, HandlingMode::Queue, round).await,
            Deed::Steer => self.say(anybody, HandlingMode::Steer, round).await,
            Deed::Cancel => {
                let accepted = self.watched.accepted();
                let Some(accepted) = accepted.get(self.below(accepted.len().max(1))) else {
                    return Ok(());
                };
                let cancelled = self.runtime.cancel(&accepted.interaction_id).await;
                self.heard(cancelled, "cancel").map(drop)
            }
            Deed::CancelTurn => {
                let cancelled = self.runtime.cancel_turn(&id(anybody)).await;
                self.heard(cancelled, anybody).map(drop)
            }
            Deed::Stop => {
                self.heard(self.runtime.stop().await, "stop")?;
                self.pause().await;
                if self.set_going().await {
                    Ok(())
                } else {
                    Err(Gone)
                }
            }
            Deed::Wire | Deed::Unwire => {
                let other = self.one_of(&["lead", "ann", "bob"]);
                self.rewire(deed == Deed::Wire, worker, other).await
            }
            Deed::Respawn => self.respawn(anybody).await,
            Deed::Reconcile => self.reconcile(&self.name("extra", round)).await,
            Deed::Label => self.label(&self.name("label", round)).await,
            Deed::Retire => {
                self.retire(anybody).await?;
                if self.random.chance(1, 2) {
                    self.pause().await;
                    let profile = if anybody == "lead" { "lead" } else { "worker" };
                    self.spawn(profile, anybody).await?;
                }
                Ok(())
            }
        }
    }

    /// What a person takes from an answer: its value, nothing if it was refused, and that all is over.
    fn heard<T>(&self, answer: Result<T, MobError>, about: &str) -> Result<Option<T>, Gone> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_over(&error) => Err(Gone),
            Err(MobError::Storage(_)) => Ok(None),
            Err(MobError::MemberNotFound(name)) => {
                if self.watched.is_known_to_be_there(name.as_str()) {
                    self.watched
                        .violation(format!("{name} is there and was not found"));
                }
                Ok(None)
            }
            // Two people may have had the same idea.
            Err(MobError::MemberAlreadyExists(_) | MobError::Wiring(_)) => Ok(None),
            Err(error) => {
                self.watched.violation(format!("{about}: {error}"));
                Ok(None)
            }
        }
    }

    async fn spawn(&self, profile: &str, name: &str) -> Result<(), Gone> {
        self.watched.forget_member(name);
        let spec = SpawnMemberSpec::new(profile, name).unwrap();
        if let Some(receipt) = self.heard(self.runtime.spawn(spec).await, name)? {
            self.watched.know_member(name, Some(receipt.session_id));
        }
        Ok(())
    }

    async fn retire(&self, name: &str) -> Result<(), Gone> {
        self.watched.forget_edges(name);
        let known = self.watched.forget_member(name);
        match self.runtime.retire(&id(name)).await {
            Err(MobError::MemberNotFound(_)) if known.is_some_and(|there| there.is_some()) => {
                self.watched
                    .violation(format!("{name} is there and was not found"));
            }
            answer => {
                if self.heard(answer, name)?.is_some() {
                    self.watched.know_member(name, None);
                }
            }
        }
        Ok(())
    }

    async fn respawn(&self, name: &str) -> Result<(), Gone> {
        self.watched.forget_member(name);
        if let Some(receipt) = self.heard(self.runtime.respawn(&id(name)).await, name)? {
            self.watched.know_member(name, Some(receipt.session_id));
        }
        Ok(())
    }

    /// The team and one more: whoever else was hired leaves, and who of the team had left is back.
    async fn reconcile(&self, new: &str) -> Result<(), Gone> {
        let team = [
            ("lead", "lead"),
            ("worker", "ann"),
            ("worker", "bob"),
            ("worker", new),
        ];
        for member in self.runtime.members() {
            let name = member.agent_identity.as_str();
            if team.iter().all(|(_, kept)| *kept != name) {
                self.watched.forget_member(name);
                self.watched.forget_edges(name);
            }
        }
        // Whoever is known not to be there may be from now on.
        for (_, name) in team {
            if !self.watched.is_known_to_be_there(name) {
                self.watched.forget_member(name);
            }
        }
        let desired = team.map(|(profile, name)| SpawnMemberSpec::new(profile, name).unwrap());
        match self.runtime.reconcile(desired.to_vec()).await {
            Ok(report) => {
                for retired in report.mob.retired {
                    self.watched.know_member(retired.as_str(), None);
                }
                Ok(())
            }
            Err(UnifiedRuntimeReconcileError::Mob(error)) => {
                self.heard::<()>(Err(error), "reconcile").map(drop)
            }
            Err(error) => {
                self.watched.violation(format!("reconcile: {error}"));
                Ok(())
            }
        }
    }

    async fn label(&self, value: &str) -> Result<(), Gone> {
        self.watched.know_labels(None);
        let labels = Labels::from_iter([("said".to_owned(), value.to_owned())]);
        let answer = self.runtime.set_mob_labels(labels.clone()).await;
        if self.heard(answer, "labels")?.is_some() {
            self.watched.know_labels(Some(labels));
        }
        Ok(())
    }

    async fn rewire(&self, on: bool, a: &str, b: &str) -> Result<(), Gone> {
        self.watched.forget_edge(a, b);
        let (from, to) = (id(a), id(b));
        let answer = if on {
            self.runtime.wire(&from, &to).await
        } else {
            self.runtime.unwire(&from, &to).await
        };
        if self.heard(answer, "wiring")?.is_some() {
            self.watched.know_edge(a, b, on);
        }
        Ok(())
    }

    async fn say(&self, name: &str, mode: HandlingMode, round: u64) -> Result<(), Gone> {
        let text = self.name("word", round);
        let request = SendRequest {
            mode,
            ..SendRequest::new(text.as_str())
        };
        let answer = self.runtime.send(&id(name), request).await;
        if let Some(accepted) = self.heard(answer, name)? {
            self.watched.accept(accepted, &text);
        }
        Ok(())
    }

    /// Hires so many at once that the projection falls far behind the tail.
    async fn crowded(&self) -> Result<(), Gone> {
        let names: Vec<String> = (0..130).map(|n| self.name("crowd", n)).collect();
        let specs = names
            .iter()
            .map(|name| SpawnMemberSpec::new("worker", name).unwrap())
            .collect();
        names.iter().for_each(|name| {
            self.watched.forget_member(name);
        });
        if let Some(report) = self.heard(self.runtime.spawn_many(specs).await, "a crowd")? {
            for receipt in report.spawned {
                let name = receipt.identity.to_string();
                self.watched.know_member(&name, Some(receipt.session_id));
            }
        }
        Ok(())
    }
}
