//! Commands that bring a whole roster to what it ought to be: each is one batch.

use std::rc::Rc;

use litemap::LiteMap;

use crate::mob::core::Core;
use crate::mob::error::MobError;
use crate::mob::roster::{Company, SpawnOrder};
use crate::mob::rows::Member;
use crate::storage::Batch;
use crate::wire::{
    AgentIdentity, MobEventKind, MobReconcileFailure, MobReconcileReport, MobReconcileStage,
    SpawnedMember,
};

/// Who left and who came.
pub(crate) struct Reset {
    pub retired: Vec<AgentIdentity>,
    pub spawned: Vec<Rc<Member>>,
}

type Names = LiteMap<AgentIdentity, ()>;

impl Core {
    /// Retires who is not wanted and spawns who is missing; whoever is there and wanted stays as it is, with its delegates.
    /// An order that cannot be carried out fails alone.
    pub fn stage_reconcile(
        &self,
        batch: &mut Batch,
        orders: &[SpawnOrder],
    ) -> Result<MobReconcileReport, MobError> {
        let definition = self.staged_state().definition.clone();
        let mut report = MobReconcileReport::default();
        let mut wanted = Names::new();
        for order in orders {
            wanted.insert(order.spec.identity.clone(), ());
        }
        let stays = |identity: &AgentIdentity| wanted.contains_key(identity);
        let mut company = Company::beside(&stays);
        let (mut seen, mut missing) = (Names::new(), Vec::new());
        for order in orders {
            let identity = &order.spec.identity;
            let first = seen.insert(identity.clone(), ()).is_none();
            if first && self.members.staged(identity).is_some() {
                report.retained.push(identity.clone());
                continue;
            }
            match self.admit(&definition, &order.spec, &mut company) {
                Ok(()) => missing.push(order),
                Err(error) => report.failures.push(MobReconcileFailure {
                    agent_identity: identity.clone(),
                    stage: MobReconcileStage::Spawn,
                    error: error.to_string(),
                }),
            }
        }
        report.desired = orders
            .iter()
            .map(|order| order.spec.identity.clone())
            .collect();
        // Before the new ones come, so that nobody is wired to a member that leaves.
        for member in self.members.staged_range(..) {
            let identity = member.identity();
            if !wanted.contains_key(identity) && !self.stays_with_parent(&member, &wanted, 0) {
                self.stage_leave(batch, identity, &company.sessions)?;
                report.retired.push(identity.clone());
            }
        }
        for member in self.stage_valid_spawns(batch, &definition, &missing) {
            report.spawned.push(SpawnedMember {
                member_ref: member.identity().to_string(),
                agent_identity: member.identity().clone(),
            });
        }
        Ok(report)
    }

    /// Begins a new epoch: retires everybody, forgets which edges are managed, and spawns `orders`, all of which must be
    /// valid.
    pub fn stage_reset(&self, batch: &mut Batch, orders: &[SpawnOrder]) -> Result<Reset, MobError> {
        let definition = self.staged_state().definition.clone();
        let mut company = Company::beside(&|_| false);
        for order in orders {
            self.admit(&definition, &order.spec, &mut company)?;
        }
        let mut retired = Vec::new();
        for member in self.members.staged_range(..) {
            self.stage_leave(batch, member.identity(), &company.sessions)?;
            retired.push(member.identity().clone());
        }
        for edge in self.managed.staged_range(..) {
            self.managed
                .delete(batch, &(edge.a.clone(), edge.b.clone()));
        }
        let created = MobEventKind::MobCreated {
            definition: definition.to_json(),
        };
        self.tell(batch, vec![created, MobEventKind::MobReset]);
        let orders: Vec<&SpawnOrder> = orders.iter().collect();
        Ok(Reset {
            retired,
            spawned: self.stage_valid_spawns(batch, &definition, &orders),
        })
    }
}
