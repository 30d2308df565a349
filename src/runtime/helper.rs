//! Helpers: members that are there for one task (MobKit contract, section 20.4).

use serde_json::Value;

use crate::mob::{IDLE_RETIRE, InteractionOutcome, MobError};
use crate::runtime::UnifiedRuntime;
use crate::wire::json::{object, value_of};
use crate::wire::{AgentIdentity, ContentInput, SpawnMemberSpec};

/// After so many idle seconds a helper that somebody forgot leaves by itself: whoever waits for its answer has had it by then, or has
/// died.
const IDLE_SECS: &str = "60";
/// Messages of another member's conversation that a helper is given, at most.
const MAX_FORKED: usize = 50;

impl UnifiedRuntime {
    /// Spawns a member, gives it a task, waits for what comes of it, and retires it, however it went.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn), and of retiring it.
    pub async fn spawn_helper(
        &self,
        mut spec: SpawnMemberSpec,
        task: ContentInput,
    ) -> Result<InteractionOutcome, MobError> {
        let identity = spec.identity.clone();
        if !spec.labels.contains_key(IDLE_RETIRE) {
            spec.labels
                .insert(IDLE_RETIRE.to_owned(), IDLE_SECS.to_owned());
        }
        spec.initial_message = Some(task);
        self.spawn(spec).await?;
        let outcome = self.help(&identity).await;
        self.retire(&identity).await?;
        outcome
    }

    /// What came of a helper's task. It was spawned with it, so that its profile need not let people write to it.
    async fn help(&self, identity: &AgentIdentity) -> Result<InteractionOutcome, MobError> {
        let asked = self.inner.core.interactions.all();
        let task = asked
            .iter()
            .filter(|asked| asked.identity == *identity)
            .max_by_key(|asked| asked.input_event)
            .ok_or_else(|| MobError::MemberNotFound(identity.clone()))?;
        let handle = self.mob_handle();
        handle.wait_interaction(&task.interaction_id).await
    }

    /// As [`spawn_helper`](Self::spawn_helper); the helper is told the last `messages` of another member's conversation, as data.
    ///
    /// # Errors
    /// As [`spawn_helper`](Self::spawn_helper), and [`MobError::MemberNotFound`] for the other member.
    pub async fn fork_helper(
        &self,
        source: &AgentIdentity,
        messages: Option<usize>,
        mut spec: SpawnMemberSpec,
        task: ContentInput,
    ) -> Result<InteractionOutcome, MobError> {
        let wanted = messages.unwrap_or(MAX_FORKED).min(MAX_FORKED);
        let (_, total) = self.session_history(source, 0, 0).await?;
        let from = total.saturating_sub(wanted);
        let (history, _) = self.session_history(source, from, wanted).await?;
        let history: Vec<Value> = history
            .iter()
            .map(|entry| value_of(&entry.message))
            .collect();
        let own = spec.context.take();
        spec.context = Some(object!({
            "forked_from": source,
            "conversation": history,
            "context": own,
        }));
        self.spawn_helper(spec, task).await
    }
}
