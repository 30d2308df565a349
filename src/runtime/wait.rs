//! Waiting: for the end of an interaction, and for a mob that has all that it needs. For so long at most, so that whoever has gone
//! is not waited for.

use std::time::Duration;

use futures::future::{Either, select};

use crate::mob::{InteractionOutcome, MobError};
use crate::runtime::UnifiedRuntime;
use crate::wire::{AgentIdentity, InteractionId, MobMemberSnapshot};

impl UnifiedRuntime {
    /// Waits until an interaction has ended, for so long at most; then it is answered as it stands: open.
    ///
    /// # Errors
    /// As [`MobHandle::wait_interaction`](crate::mob::MobHandle::wait_interaction).
    pub async fn wait_interaction(
        &self,
        id: &InteractionId,
        limit: Duration,
    ) -> Result<InteractionOutcome, MobError> {
        let (core, handle) = (&self.inner.core, self.mob_handle());
        let waited = core.host.timeout(limit, handle.wait_interaction(id)).await;
        waited.unwrap_or_else(|_| {
            let row = core.interactions.get(id);
            let row = row.ok_or_else(|| MobError::InteractionNotFound(id.clone()))?;
            Ok(row.as_ref().into())
        })
    }

    /// Who has what it needs to work: its profile, tools, model. And whether everybody has.
    ///
    /// # Errors
    /// Storage's.
    pub async fn ready_members(
        &self,
    ) -> Result<(Vec<(AgentIdentity, MobMemberSnapshot)>, bool), MobError> {
        let core = &self.inner.core;
        let (mut ready, mut all) = (Vec::new(), true);
        for member in core.members.all() {
            if !core.is_ready(&member) {
                all = false;
                continue;
            }
            match self.member_status(member.identity()).await {
                Ok(snapshot) => ready.push((member.identity().clone(), snapshot)),
                // It left in this moment.
                Err(MobError::MemberNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((ready, all))
    }

    /// Waits until everybody [is ready](Self::ready_members), for so long at most; answers who is, and whether the time ran out.
    ///
    /// # Errors
    /// Storage's; [`MobError::ShuttingDown`].
    pub async fn wait_ready(
        &self,
        limit: Duration,
    ) -> Result<(Vec<(AgentIdentity, MobMemberSnapshot)>, bool), MobError> {
        let core = &self.inner.core;
        let mut over = core.host.sleep(limit);
        loop {
            let changed = core.changed.notified();
            core.check_open()?;
            let (ready, all) = self.ready_members().await?;
            if all {
                return Ok((ready, false));
            }
            if let Either::Right(_) = select(changed, &mut over).await {
                return Ok((ready, true));
            }
        }
    }
}
