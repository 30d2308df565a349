//! Opening a mob without a builder, and the contract's options (MobKit contract, sections 2.4 and 14.1).

use std::rc::Rc;

use crate::agent::model::LanguageModel;
use crate::mob::definition::MobDefinition;
use crate::modules::{RateScope, RestartBudget};
use crate::runtime::error::UnifiedRuntimeBuilderError;
use crate::runtime::{PersistentMetadataStore, UnifiedRuntime};
use crate::shim::Host;
use crate::storage::Storage;
use crate::wire::json::words;

/// The contract's options that have a meaning here (MobKit contract, section 14.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// After how many idle seconds delegates are retired, when neither the call that made them nor a label says otherwise; none
    /// for never (MobKit contract, section 7).
    pub implicit_delegate_idle_retire_secs: Option<u64>,
    /// How often modules that have ended are started again, and how soon.
    pub restart_budget: RestartBudget,
    /// What the rate of deliveries is counted for.
    pub rate_scope: RateScope,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            implicit_delegate_idle_retire_secs: Some(300),
            restart_budget: RestartBudget::default(),
            rate_scope: RateScope::default(),
        }
    }
}

words! {
    /// Which members a console lists (MobKit contract, section 12.4).
    #[derive(Default)]
    pub enum ConsoleVisibilityPolicy {
        /// All of them.
        #[default]
        AllowAll = "allow_all",
        /// All but delegates of the role `delegate`.
        HideImplicitDelegateMembers = "hide_implicit_delegate_members",
    }
}

/// What a mob is made of, for those who need no builder.
pub struct MobBootstrapSpec {
    /// The mob.
    pub definition: MobDefinition,
    /// Clock, timers, tasks and randomness.
    pub host: Host,
    /// Where everything is kept.
    pub storage: Rc<dyn Storage>,
    /// The models by the names that profiles have for them.
    pub models: Vec<(String, Rc<dyn LanguageModel>)>,
}

impl UnifiedRuntime {
    /// Opens a mob with the contract's defaults.
    ///
    /// # Errors
    /// As [`build`](UnifiedRuntimeBuilder::build).
    pub async fn bootstrap(
        spec: MobBootstrapSpec,
    ) -> Result<UnifiedRuntime, UnifiedRuntimeBuilderError> {
        Self::bootstrap_with_options(spec, RuntimeOptions::default(), None).await
    }

    /// Opens a mob with these options and, if there is one, a store for the cursor of the structural subscription.
    ///
    /// # Errors
    /// As [`build`](UnifiedRuntimeBuilder::build): whatever was begun is rolled back then.
    pub async fn bootstrap_with_options(
        spec: MobBootstrapSpec,
        options: RuntimeOptions,
        persistent_metadata: Option<Rc<dyn PersistentMetadataStore>>,
    ) -> Result<UnifiedRuntime, UnifiedRuntimeBuilderError> {
        let mut builder = Self::builder()
            .definition(spec.definition)
            .host(spec.host)
            .storage(spec.storage)
            .runtime_options(options);
        for (name, model) in spec.models {
            builder = builder.model(name, model);
        }
        if let Some(store) = persistent_metadata {
            builder = builder.persistent_metadata(store);
        }
        builder.build().await
    }
}
