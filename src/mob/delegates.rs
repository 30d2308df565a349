//! Delegates: members that members make, and when those that nobody needs any more are retired (MobKit contract, section 7).
//!
//! A delegate is a member like any other, so that its events are heard from birth and its roster row, edges and transcript are where
//! all are. The label `source_mob_id` names the implicit mob that it belongs to: one for each member that delegates.
//!
//! A member that may be retired for being idle has a row `due/idle/{identity}` for as long as it is idle. The row is made and removed
//! in the very batch that brings it to rest or to work, whatever command that is. One timer is armed for the earliest row, and none
//! when there is no row.

use std::rc::Rc;
use std::time::Duration;

use futures::future::select;
use litemap::LiteMap;

use crate::mob::core::Core;
use crate::mob::error::MobError;
use crate::mob::roster::SpawnOrder;
use crate::mob::rows::{DueRow, Edge, InteractionStatus, Member, MobStatus, WorkItem};
use crate::storage::{Batch, Durability};
use crate::wire::{AgentIdentity, Cause, ContentInput, Labels, MobId, TimestampMs};

/// The label that names a delegate's implicit mob.
pub(crate) const SOURCE_MOB: &str = "source_mob_id";
/// The label that says after how many idle seconds a member is retired; `disabled` for never.
pub(crate) const IDLE_RETIRE: &str = "implicit_delegate_idle_retire_secs";
/// Delegates that one member has at a time.
const MAX_DELEGATES: usize = 16;
/// Members up to which tools make members.
const MAX_MEMBERS: usize = 1_000;
/// Delegates of delegates: deeper ones count as nobody's.
const MAX_DEPTH: u32 = 8;
/// The first pause after storage refused to retire somebody.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// After how many idle seconds a member is retired; none for never. What a tool call said stands in the label, so that the
/// precedence is: the call's word, the label, the runtime's default. Whoever is no delegate is watched only if a label asks for it.
pub(crate) fn idle_after(labels: &Labels, default: Option<u64>) -> Option<u64> {
    match labels.get(IDLE_RETIRE) {
        Some(word) if word.trim().eq_ignore_ascii_case("disabled") => None,
        Some(seconds) => seconds.trim().parse().ok().or(default),
        None if labels.contains_key(SOURCE_MOB) => default,
        None => None,
    }
}

/// The implicit mob of a member's delegates.
pub(crate) fn implicit_mob(mob_id: &MobId, parent: &AgentIdentity) -> String {
    [mob_id.as_str(), ".", parent.as_str()].concat()
}

/// A member that a member makes.
pub(crate) struct Delegation {
    pub parent: AgentIdentity,
    pub cause: Cause,
    pub order: SpawnOrder,
    /// What it is told by its parent, who is wired to it.
    pub task: Option<ContentInput>,
    /// Whether its last words go back to its parent.
    pub reply: bool,
    pub wire: bool,
}

impl Core {
    /// Makes a member and gives it its task, as the effect of a tool call. An `Err` is the tool's answer.
    pub fn stage_delegation(
        &self,
        batch: &mut Batch,
        delegation: &Delegation,
    ) -> Result<(), String> {
        let Delegation {
            parent,
            cause,
            order,
            task,
            reply,
            wire,
        } = delegation;
        if self.members.staged(parent).is_none() {
            return Err(format!("there is no member `{parent}` any more"));
        }
        if self.ends_for_hops(batch, cause) {
            return Ok(());
        }
        let members = self.members.staged_range(..);
        if members.len() >= MAX_MEMBERS {
            return Err(format!(
                "the mob has {MAX_MEMBERS} members; tools make no more"
            ));
        }
        if let Some(group) = order.spec.labels.get(SOURCE_MOB) {
            let there = members
                .iter()
                .filter(|member| member.spec.labels.get(SOURCE_MOB) == Some(group));
            if there.count() >= MAX_DELEGATES {
                return Err(format!(
                    "`{parent}` has {MAX_DELEGATES} delegates already; they leave when they have been idle for a while"
                ));
            }
        }
        let definition = self.staged_state().definition.clone();
        let mut company = crate::mob::roster::Company::beside(&|_| true);
        self.admit(&definition, &order.spec, &mut company)
            .map_err(|error| error.to_string())?;
        self.stage_valid_spawns(batch, &definition, &[order]);
        let identity = &order.spec.identity;
        if *wire {
            self.add_edges(batch, vec![Edge::between(parent, identity)]);
        }
        if let Some(task) = task {
            self.stage_peer_message(batch, parent, cause, &order.work_id, identity, task, *reply)?;
        }
        Ok(())
    }

    /// Whether a member that a reconciliation does not name stays all the same: a delegate goes with its parent.
    pub fn stays_with_parent(
        &self,
        member: &Member,
        wanted: &LiteMap<AgentIdentity, ()>,
        depth: u32,
    ) -> bool {
        let group = member.spec.labels.get(SOURCE_MOB);
        let parent = group
            .and_then(|group| group.strip_prefix(self.mob_id.as_str()))
            .and_then(|rest| rest.strip_prefix('.'));
        let Some(parent) = parent.and_then(|name| AgentIdentity::new(name).ok()) else {
            return false;
        };
        wanted.contains_key(&parent)
            || depth < MAX_DEPTH
                && self
                    .members
                    .staged(&parent)
                    .is_some_and(|parent| self.stays_with_parent(&parent, wanted, depth + 1))
    }

    /// Whether a member works on nothing, and nothing is under way that it was asked for or waits for.
    fn is_idle(&self, identity: &AgentIdentity) -> bool {
        let awaited = |item: &WorkItem| item.reply && item.from.as_ref() == Some(identity);
        self.turns.staged(identity).is_none()
            && self.staged_mailbox(identity).is_empty()
            && !self
                .interactions
                .staged_range(..)
                .iter()
                .any(|asked| asked.status == InteractionStatus::Open && asked.identity == *identity)
            && !self
                .turns
                .staged_range(..)
                .iter()
                .any(|turn| turn.items().any(awaited))
            && !self
                .mailbox
                .staged_range(..)
                .iter()
                .any(|item| awaited(item))
    }

    /// Brings the due rows of all whom the running commit touches to what they ought to be.
    pub fn stage_due(&self, batch: &mut Batch) {
        let mut touched = Vec::new();
        for member in self.members.touched() {
            touched.push(member.identity().clone());
        }
        for turn in self.turns.touched() {
            touched.push(turn.identity.clone());
            touched.extend(turn.items().filter_map(|item| item.from.clone()));
        }
        for item in self.mailbox.touched() {
            touched.push(item.to.clone());
            touched.extend(item.from.clone());
        }
        for interaction in self.interactions.touched() {
            touched.push(interaction.identity.clone());
        }
        self.stage_due_of(batch, touched);
    }

    fn stage_due_of(&self, batch: &mut Batch, members: Vec<AgentIdentity>) {
        for identity in members {
            let due = self.due.staged(&identity);
            match self.watched(&identity) {
                Some(seconds) if due.is_none() => {
                    let at = self
                        .now()
                        .get()
                        .saturating_add(seconds.saturating_mul(1_000));
                    let at = TimestampMs::new(at);
                    self.due.put(batch, DueRow { identity, at });
                }
                None if due.is_some() => self.due.delete(batch, &identity),
                _ => {}
            }
        }
    }

    /// After how many seconds a member that is idle is retired for it.
    fn watched(&self, identity: &AgentIdentity) -> Option<u64> {
        let member = self.members.staged(identity)?;
        idle_after(&member.spec.labels, self.kit.idle_retire_secs)
            .filter(|_| self.is_idle(identity))
    }

    /// Retires everybody whose time has come. Whoever is not watched any more, for the runtime's default is another one by now,
    /// is due no more.
    fn stage_retire_idle(&self, batch: &mut Batch) -> Result<(), MobError> {
        let now = self.now();
        for due in self.due.staged_range(..) {
            if due.at > now {
                continue;
            }
            match self.watched(&due.identity) {
                Some(_) => self.stage_retire(batch, &due.identity)?,
                None => self.due.delete(batch, &due.identity),
            }
        }
        Ok(())
    }

    /// When the next one is due; none when nobody is watched, and while the mob is stopped.
    pub fn next_due(&self) -> Option<TimestampMs> {
        let due = self.due.all().into_iter().map(|due| due.at).min();
        due.filter(|_| self.status() == MobStatus::Running)
    }

    /// Those who ought to be due and are not, or are and ought not to be: an earlier runtime had another default.
    fn misjudged(&self) -> Vec<AgentIdentity> {
        let members = self.members.staged_range(..);
        let misjudged = members.iter().filter(|member| {
            let due = self.due.staged(member.identity()).is_some();
            due != self.watched(member.identity()).is_some()
        });
        misjudged.map(|member| member.identity().clone()).collect()
    }

    /// Retires idle members for as long as the mob is open.
    pub async fn retire_idle(self: Rc<Self>) {
        let mut pause = RETRY_FIRST;
        if let Some(first) = self.misjudged().first() {
            let judged = self.execute_accepted(Durability::Relaxed, |core, batch| {
                core.stage_due_of(batch, core.misjudged());
                Ok(())
            });
            if let Err(error) = judged.await {
                // The next commit about any of them makes up for it.
                let error = format!("when idle members are due could not be stored: {error}");
                self.trouble.report(first, error);
            }
        }
        while self.check_open().is_ok() {
            let moved = self.due_moved.notified();
            let Some(at) = self.next_due() else {
                moved.await;
                continue;
            };
            let now = self.now();
            if at > now {
                if self.kit.wake.is_some() {
                    // The alarm is set; a timer would only keep the host from being evicted.
                    moved.await;
                } else {
                    let wait = Duration::from_millis(at.get() - now.get());
                    select(self.host.sleep(wait), moved).await;
                }
                continue;
            }
            let retired = self.execute_accepted(Durability::Strict, |core, batch| {
                core.stage_retire_idle(batch)
            });
            match retired.await {
                Ok(()) => pause = RETRY_FIRST,
                Err(error) => {
                    if let Some(due) = self.due.all().first() {
                        let error = format!("an idle member could not be retired: {error}");
                        self.trouble.report(&due.identity, error);
                    }
                    self.host.sleep(pause).await;
                    pause = (pause * 2).min(RETRY_LONGEST);
                }
            }
        }
    }
}
