//! The roster as a whole: ensured, reconciled, discovered anew, reset (MobKit contract, sections 4.1, 5 and 6.3).

use futures::FutureExt;

use crate::mob::{MobError, Pending, SpawnReceipt};
use crate::runtime::UnifiedRuntime;
use crate::runtime::error::UnifiedRuntimeReconcileError;
use crate::runtime::hooks::PreSpawnContext;
use crate::wire::{
    AgentIdentity, ErrorEvent, MobMemberListEntry, RediscoverReport, SpawnMemberSpec,
    UnifiedRuntimeReconcileReport, discovery_spec_to_spawn_spec,
};

/// Whether a member had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It was spawned.
    Spawned,
    /// It was there.
    Existed,
}

impl UnifiedRuntime {
    /// Spawns a member unless one of its name is there, which stays as it is.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    pub async fn ensure_member(
        &self,
        spec: SpawnMemberSpec,
    ) -> Result<(MobMemberListEntry, Ensured), MobError> {
        self.check_open()?;
        let identity = spec.identity.clone();
        let ensured = match self.inner.handle.get_member(&identity) {
            Ok(_) => Ensured::Existed,
            Err(_) => match self.spawn(spec).await {
                Ok(_) => Ensured::Spawned,
                // Somebody else was faster.
                Err(MobError::MemberAlreadyExists(_)) => Ensured::Existed,
                Err(error) => return Err(error),
            },
        };
        Ok((self.inner.handle.get_member(&identity)?, ensured))
    }

    /// The members with this label.
    pub fn find_members(&self, key: &str, value: &str) -> Vec<MobMemberListEntry> {
        let mut members = self.members();
        members.retain(|member| member.labels.get(key).is_some_and(|is| is == value));
        members
    }

    /// Brings the roster to `desired` in one batch: whoever is not named is retired, whoever is missing is spawned, whoever is
    /// there stays as it is, also in another role. Then the edges follow, then the post-reconcile hook is awaited.
    ///
    /// # Errors
    /// [`UnifiedRuntimeReconcileError::PartialFailure`] with the whole report when a member could not be made; all others
    /// were. [`UnifiedRuntimeReconcileError::Discovery`] when the edge discovery failed: the roster is as it was to be, the
    /// edges are as they were.
    pub async fn reconcile(
        &self,
        desired: Vec<SpawnMemberSpec>,
    ) -> Result<UnifiedRuntimeReconcileReport, UnifiedRuntimeReconcileError> {
        self.check_open()?;
        let mob = self.inner.handle.reconcile(desired).await?;
        let edges = match self.edges_brought_home().await {
            Ok(edges) => edges,
            Err(error) => {
                self.tell_incomplete(mob.failures.len() + 1, &Default::default());
                return Err(error);
            }
        };
        self.tell_incomplete(mob.failures.len(), &edges);
        let report = UnifiedRuntimeReconcileReport {
            mob,
            edges,
            routing: self.inner.modules.reconcile_member_routes().await?,
        };
        if let Some(hook) = &self.inner.hooks.post_reconcile {
            hook(report.clone()).await;
        }
        if report.mob.failures.is_empty() {
            Ok(report)
        } else {
            Err(UnifiedRuntimeReconcileError::PartialFailure(Box::new(
                report,
            )))
        }
    }

    /// Retires everybody and begins a new epoch of the ledger, whose numbers go on. Answers who left.
    ///
    /// # Errors
    /// Storage's.
    pub fn reset(&self) -> Pending<Vec<AgentIdentity>> {
        let reset = self.guarded(|handle| handle.reset(Vec::new()));
        reset.map(|reset| Ok(reset?.0)).boxed_local()
    }

    /// Begins a new epoch with the members that the discovery names: it is asked first, and everybody is replaced in one
    /// batch. Then the edges follow. None without a discovery.
    ///
    /// # Errors
    /// [`UnifiedRuntimeReconcileError::Discovery`], or the mob's when a member cannot be made: the mob is as it was. When the
    /// edge discovery fails the new members are there, without edges. The error hook hears of all of them.
    pub async fn rediscover(
        &self,
    ) -> Result<Option<RediscoverReport>, UnifiedRuntimeReconcileError> {
        let report = self.discovered_anew().await;
        if let Err(error) = &report {
            self.inner.errors.fire(ErrorEvent::RediscoverFailure {
                error: error.to_string(),
            });
        }
        report
    }

    async fn discovered_anew(
        &self,
    ) -> Result<Option<RediscoverReport>, UnifiedRuntimeReconcileError> {
        self.check_open()?;
        let Some(specs) = self.discover(PreSpawnContext::Null).await? else {
            return Ok(None);
        };
        let (_, spawned) = self.inner.handle.reset(specs).await?;
        self.spawned(names_of(&spawned)).await;
        let edges = self.edges_brought_home().await?;
        self.tell_incomplete(0, &edges);
        Ok(Some(RediscoverReport {
            spawned: identities_of(spawned),
            edges,
        }))
    }

    /// Asks the discovery.
    async fn discover(
        &self,
        context: PreSpawnContext,
    ) -> Result<Option<Vec<SpawnMemberSpec>>, UnifiedRuntimeReconcileError> {
        let Some(discovery) = &self.inner.hooks.discovery else {
            return Ok(None);
        };
        let found = discovery
            .discover(context)
            .await
            .map_err(UnifiedRuntimeReconcileError::Discovery)?;
        let specs: Result<Vec<_>, _> = found.iter().map(discovery_spec_to_spawn_spec).collect();
        let specs = specs.map_err(|error| MobError::invalid("discovery", error.to_string()))?;
        Ok(Some(specs))
    }

    /// What `build` does with its discoveries: spawns whom it misses (who is there from before stays), then brings the edges
    /// home.
    pub(super) async fn populate(
        &self,
        context: PreSpawnContext,
    ) -> Result<(), UnifiedRuntimeReconcileError> {
        if let Some(mut specs) = self.discover(context).await? {
            specs.retain(|spec| self.inner.handle.get_member(&spec.identity).is_err());
            let report = self.inner.handle.spawn_all(specs).await?;
            self.spawned(names_of(&report)).await;
        }
        if self.inner.hooks.edge_discovery.is_some() {
            let report = self.reconcile_edges().await?;
            *self.inner.bootstrap_edges.borrow_mut() = Some(report);
        }
        Ok(())
    }
}

fn names_of(receipts: &[SpawnReceipt]) -> Vec<String> {
    receipts
        .iter()
        .map(|receipt| receipt.identity.to_string())
        .collect()
}

fn identities_of(receipts: Vec<SpawnReceipt>) -> Vec<AgentIdentity> {
    receipts
        .into_iter()
        .map(|receipt| receipt.identity)
        .collect()
}
