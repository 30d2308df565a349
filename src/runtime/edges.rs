//! Which members are wired to which, brought to what an edge discovery says (MobKit contract, section 6.2).
//!
//! An edge that a reconciliation made is *managed*: only such an edge is ever removed by one. The plan is made and carried
//! out by one command, on one state, so that nothing can come between.

use serde::Serialize;

use crate::mob::{Core, Edge};
use crate::runtime::UnifiedRuntime;
use crate::runtime::error::UnifiedRuntimeReconcileError;
use crate::storage::{Batch, Durability};
use crate::wire::json::words;
use crate::wire::{
    AgentIdentity, DesiredPeerEdge, EdgeMemberView, ErrorEvent, UnifiedRuntimeReconcileEdgesReport,
};

/// What is to be done with which edge.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EdgePlan {
    /// Not wired and to be wired; managed from then on.
    wire: Vec<DesiredPeerEdge>,
    /// Managed, wired and no longer wanted.
    unwire: Vec<DesiredPeerEdge>,
    /// Managed, wired and wanted.
    retained: Vec<DesiredPeerEdge>,
    /// Wanted, and wired by somebody else: never claimed.
    preexisting: Vec<DesiredPeerEdge>,
    /// Wanted, with an end that is not there.
    skipped: Vec<DesiredPeerEdge>,
    /// Managed and no longer wanted, with an end that is gone or unwired by somebody else: not managed any more.
    pruned: Vec<DesiredPeerEdge>,
}

/// The truth table of section 6.2. `members`, `wired` and `managed` are in order.
pub(crate) fn plan(
    members: &[AgentIdentity],
    wired: &[DesiredPeerEdge],
    managed: &[DesiredPeerEdge],
    desired: &[DesiredPeerEdge],
) -> EdgePlan {
    let is_there = |edge: &DesiredPeerEdge| {
        members.binary_search(edge.a()).is_ok() && members.binary_search(edge.b()).is_ok()
    };
    let among =
        |edges: &[DesiredPeerEdge], edge: &DesiredPeerEdge| edges.binary_search(edge).is_ok();
    // Each in its place, once: there is no other sort in the package.
    let mut wanted: Vec<DesiredPeerEdge> = Vec::new();
    for edge in desired {
        if let Err(at) = wanted.binary_search(edge) {
            wanted.insert(at, edge.clone());
        }
    }
    let mut plan = EdgePlan::default();
    for edge in &wanted {
        let list = match (is_there(edge), among(wired, edge), among(managed, edge)) {
            (false, _, _) => &mut plan.skipped,
            (true, true, true) => &mut plan.retained,
            (true, true, false) => &mut plan.preexisting,
            (true, false, _) => &mut plan.wire,
        };
        list.push(edge.clone());
    }
    for edge in managed.iter().filter(|edge| !among(&wanted, edge)) {
        let list = if is_there(edge) && among(wired, edge) {
            &mut plan.unwire
        } else {
            &mut plan.pruned
        };
        list.push(edge.clone());
    }
    plan
}

words! {
    /// Who made an edge.
    pub enum EdgeOwner {
        /// The definition's wiring rules.
        Definition = "definition",
        /// A reconciliation, as the edge discovery wanted it: managed.
        Discovery = "discovery",
        /// Somebody else.
        Hand = "hand",
    }
}

/// An edge and who made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnedEdge {
    /// The smaller end.
    pub a: AgentIdentity,
    /// The greater end.
    pub b: AgentIdentity,
    /// Who made it.
    pub owner: EdgeOwner,
}

fn desired(edge: &Edge) -> DesiredPeerEdge {
    DesiredPeerEdge::between(&edge.a, &edge.b)
}

impl Core {
    fn stage_edges(
        &self,
        batch: &mut Batch,
        wanted: &[DesiredPeerEdge],
    ) -> UnifiedRuntimeReconcileEdgesReport {
        let list = |edges: Vec<std::rc::Rc<Edge>>| -> Vec<DesiredPeerEdge> {
            edges.iter().map(|edge| desired(edge)).collect()
        };
        let members = self.members.staged_range(..);
        let members: Vec<AgentIdentity> = members
            .iter()
            .map(|member| member.identity().clone())
            .collect();
        let plan = plan(
            &members,
            &list(self.edges.staged_range(..)),
            &list(self.managed.staged_range(..)),
            wanted,
        );
        let edge = |edge: &DesiredPeerEdge| Edge::between(edge.a(), edge.b());
        self.add_edges(batch, plan.wire.iter().map(edge).collect());
        for wired in &plan.wire {
            self.managed.put(batch, edge(wired));
        }
        for unwired in &plan.unwire {
            self.remove_edge(batch, edge(unwired));
        }
        for gone in plan.unwire.iter().chain(&plan.pruned) {
            self.managed
                .delete(batch, &(gone.a().clone(), gone.b().clone()));
        }
        UnifiedRuntimeReconcileEdgesReport {
            desired_edges: wanted.to_vec(),
            wired_edges: plan.wire,
            unwired_edges: plan.unwire,
            retained_edges: plan.retained,
            preexisting_edges: plan.preexisting,
            skipped_missing_members: plan.skipped,
            pruned_stale_managed_edges: plan.pruned,
            failures: Vec::new(),
        }
    }
}

impl UnifiedRuntime {
    /// Brings the wiring to what the edge discovery says; without one there is nothing to do. An edge that somebody else
    /// wired is never removed. What has an end that is not there is skipped, and told to the error hook.
    ///
    /// # Errors
    /// [`UnifiedRuntimeReconcileError::Discovery`] with what the discovery failed with, or the mob's. Nothing has been
    /// changed then.
    pub async fn reconcile_edges(
        &self,
    ) -> Result<UnifiedRuntimeReconcileEdgesReport, UnifiedRuntimeReconcileError> {
        let report = self.edges_brought_home().await?;
        self.tell_incomplete(0, &report);
        Ok(report)
    }

    pub(super) async fn edges_brought_home(
        &self,
    ) -> Result<UnifiedRuntimeReconcileEdgesReport, UnifiedRuntimeReconcileError> {
        self.check_open()?;
        let Some(discovery) = &self.inner.hooks.edge_discovery else {
            return Ok(UnifiedRuntimeReconcileEdgesReport::default());
        };
        let wanted = discovery
            .discover_edges(self.edge_members())
            .await
            .map_err(UnifiedRuntimeReconcileError::Discovery)?;
        self.check_open()?;
        let report = self
            .inner
            .core
            .execute(Durability::Strict, move |core, batch| {
                Ok(core.stage_edges(batch, &wanted))
            })
            .await?;
        Ok(report)
    }

    /// The members as an edge discovery sees them.
    fn edge_members(&self) -> Vec<EdgeMemberView> {
        let members = self.members().into_iter();
        members
            .map(|member| EdgeMemberView {
                agent_identity: member.agent_identity,
                role: member.role,
                wired_to: member.wired_to,
                labels: member.labels,
            })
            .collect()
    }

    /// Tells the error hook of a reconciliation that left something undone.
    pub(super) fn tell_incomplete(
        &self,
        failures: usize,
        edges: &UnifiedRuntimeReconcileEdgesReport,
    ) {
        let failures = failures + edges.failures.len();
        let skipped = edges.skipped_missing_members.len();
        if failures + skipped > 0 {
            self.inner
                .errors
                .fire(ErrorEvent::ReconcileIncomplete { failures, skipped });
        }
    }

    /// The wiring, and who made each edge.
    pub fn list_edges(&self) -> Vec<OwnedEdge> {
        let core = &self.inner.core;
        let row = core.definition();
        let edges = core.edges.all();
        let role = |identity: &AgentIdentity| {
            let member = core.members.get(identity)?;
            Some(member.spec.role_name.clone())
        };
        edges
            .iter()
            .map(|edge| {
                let managed = core
                    .managed
                    .get(&(edge.a.clone(), edge.b.clone()))
                    .is_some();
                let owner = match (managed, role(&edge.a), role(&edge.b)) {
                    (true, _, _) => EdgeOwner::Discovery,
                    (false, Some(a), Some(b)) if row.definition.wires(&a, &b) => {
                        EdgeOwner::Definition
                    }
                    _ => EdgeOwner::Hand,
                };
                OwnedEdge {
                    a: edge.a.clone(),
                    b: edge.b.clone(),
                    owner,
                }
            })
            .collect()
    }

    /// What `build` did to the edges; none without an edge discovery.
    pub fn bootstrap_edges_report(&self) -> Option<UnifiedRuntimeReconcileEdgesReport> {
        self.inner.bootstrap_edges.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Edges as `a-b`.
    fn edges(text: &str) -> Vec<DesiredPeerEdge> {
        text.split_whitespace()
            .map(|edge| {
                let (a, b) = edge.split_once('-').unwrap();
                DesiredPeerEdge::new(a, b).unwrap()
            })
            .collect()
    }

    /// The truth table of the contract, section 6.2: members are `a` to `e`.
    #[test]
    fn the_plan_follows_the_truth_table() {
        let members: Vec<AgentIdentity> = ["a", "b", "c", "d", "e"]
            .map(|name| AgentIdentity::new(name).unwrap())
            .to_vec();
        // What is wired, managed and desired; and the list that the edge comes to.
        let cases: [(&str, &str, &str, &str, &str); 14] = [
            ("an end is not there", "", "", "a-x", "skipped"),
            ("an end is not there, managed", "", "a-x", "a-x", "skipped"),
            ("managed and wired", "a-b", "a-b", "a-b", "retained"),
            ("managed, not wired: healed", "", "a-b", "a-b", "wire"),
            ("wired by somebody else", "a-b", "", "a-b", "preexisting"),
            ("neither", "", "", "a-b", "wire"),
            ("wanted twice", "", "", "a-b b-a", "wire"),
            ("managed, wired, not wanted", "a-b", "a-b", "", "unwire"),
            ("managed, unwired, not wanted", "", "a-b", "", "pruned"),
            ("managed, an end gone, not wanted", "", "a-x", "", "pruned"),
            ("by somebody else, not wanted", "a-b", "", "", "nothing"),
            ("nothing at all", "", "", "", "nothing"),
            ("among many", "a-c b-d", "b-d", "a-b b-d", "wire retained"),
            (
                "all at once",
                "a-b a-c",
                "a-b d-e",
                "a-c a-x c-e",
                "wire unwire preexisting skipped pruned",
            ),
        ];
        for (case, wired, managed, desired, lists) in cases {
            let plan = plan(&members, &edges(wired), &edges(managed), &edges(desired));
            let filled = [
                ("wire", &plan.wire),
                ("unwire", &plan.unwire),
                ("retained", &plan.retained),
                ("preexisting", &plan.preexisting),
                ("skipped", &plan.skipped),
                ("pruned", &plan.pruned),
            ];
            let filled: Vec<&str> = filled
                .iter()
                .filter(|(_, edges)| !edges.is_empty())
                .map(|(name, _)| *name)
                .collect();
            let expected: Vec<&str> = lists.split(' ').filter(|name| *name != "nothing").collect();
            assert_eq!(
                filled.iter().collect::<BTreeSet<_>>(),
                expected.iter().collect::<BTreeSet<_>>(),
                "{case}"
            );
            assert!(plan.wire.len() <= 1, "{case}");
        }
    }
}
