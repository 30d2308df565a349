//! What building and using a runtime can fail with (MobKit contract, section 2.8).

use crate::mob::MobError;
use crate::mob::definition::DefinitionError;
use crate::storage::{LeaseError, StorageError};
use crate::wire::json::{object, value_of};
use crate::wire::{ErrorData, UnifiedRuntimeReconcileReport};

/// A part that a builder cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnifiedRuntimeBuilderField {
    /// The definition of the mob.
    MobSpec,
    /// Clock, timers, tasks and randomness.
    Host,
    /// Where everything is kept.
    Storage,
}

impl UnifiedRuntimeBuilderField {
    fn as_str(self) -> &'static str {
        match self {
            Self::MobSpec => "definition",
            Self::Host => "host",
            Self::Storage => "storage",
        }
    }
}

/// Why no runtime was built. Nothing has been started when it is answered.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnifiedRuntimeBuilderError {
    /// A part is missing.
    #[error("missing required builder field: {}", .0.as_str())]
    MissingRequiredField(UnifiedRuntimeBuilderField),
    /// Two options, or an option and a value, do not go together.
    #[error("conflicting configuration: {0}")]
    ConflictingConfiguration(String),
    /// The definition was made by hand and is not valid.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// Another context holds the mob, and the builder was told not to wait, follow or steal.
    #[error("the mob `{mob_id}` is in use in another tab or worker")]
    Locked {
        /// The mob.
        mob_id: String,
    },
    /// The host's locks failed.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The mob could not be opened.
    #[error(transparent)]
    Bootstrap(#[from] MobError),
    /// The pre-spawn hook failed.
    #[error("pre-spawn hook failed: {0}")]
    PreSpawnHook(String),
    /// The discovery or the edge discovery failed.
    #[error("discovery failed: {0}")]
    Discovery(String),
    /// The mob had been opened when something failed, and could not be put down in good order either.
    #[error("{startup_error}; and the mob could not be put down: {rollback_error}")]
    RollbackFailed {
        /// What failed first.
        startup_error: Box<UnifiedRuntimeBuilderError>,
        /// What failed then.
        rollback_error: ErrorData,
    },
}

impl UnifiedRuntimeBuilderError {
    /// The error as every boundary shows it.
    pub fn data(&self) -> ErrorData {
        match self {
            Self::MissingRequiredField(field) => {
                ErrorData::new("missing_required_field", self.to_string())
                    .with_data(object!({ "field": field.as_str() }))
            }
            Self::ConflictingConfiguration(_) => {
                ErrorData::new("conflicting_configuration", self.to_string())
            }
            Self::Definition(error) => error.data(),
            Self::Locked { mob_id } => ErrorData::new("mob_locked", self.to_string())
                .with_data(object!({ "mob_id": mob_id })),
            Self::Lease(_) => ErrorData::new("lease_error", self.to_string()),
            Self::Bootstrap(error) => error.data(),
            Self::PreSpawnHook(_) => ErrorData::new("pre_spawn_hook_failed", self.to_string()),
            Self::Discovery(_) => ErrorData::new("discovery_failed", self.to_string()),
            Self::RollbackFailed {
                startup_error,
                rollback_error,
            } => ErrorData::new("rollback_failed", self.to_string()).with_data(object!({
                "startup_error": value_of(&startup_error.data()),
                "rollback_error": value_of(rollback_error),
            })),
        }
    }
}

impl From<UnifiedRuntimeReconcileError> for UnifiedRuntimeBuilderError {
    fn from(error: UnifiedRuntimeReconcileError) -> Self {
        match error {
            UnifiedRuntimeReconcileError::Mob(error) => Self::Bootstrap(error),
            other => Self::Discovery(other.to_string()),
        }
    }
}

/// Why a mob was not brought to what it ought to be (MobKit contract, section 2.8).
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnifiedRuntimeReconcileError {
    /// The mob refused, or storage failed.
    #[error(transparent)]
    Mob(#[from] MobError),
    /// The discovery or the edge discovery failed.
    #[error("discovery failed: {0}")]
    Discovery(String),
    /// Members could not be made; everything else was done, as the report says.
    #[error("{} of the members could not be reconciled", .0.mob.failures.len())]
    PartialFailure(Box<UnifiedRuntimeReconcileReport>),
}

impl UnifiedRuntimeReconcileError {
    /// The error as every boundary shows it. The data of a partial failure is the report.
    pub fn data(&self) -> ErrorData {
        match self {
            Self::Mob(error) => error.data(),
            Self::Discovery(_) => ErrorData::new("discovery_failed", self.to_string()),
            Self::PartialFailure(report) => {
                ErrorData::new("partial_failure", self.to_string()).with_data(value_of(report))
            }
        }
    }
}

impl From<StorageError> for UnifiedRuntimeBuilderError {
    fn from(error: StorageError) -> Self {
        Self::Bootstrap(MobError::Storage(error))
    }
}
