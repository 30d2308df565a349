//! What building and using a runtime can fail with (MobKit contract, section 2.8).

use crate::mob::MobError;
use crate::mob::definition::DefinitionError;
use crate::storage::{LeaseError, StorageError};
use crate::wire::ErrorData;
use crate::wire::json::object;

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
        }
    }
}

impl From<StorageError> for UnifiedRuntimeBuilderError {
    fn from(error: StorageError) -> Self {
        Self::Bootstrap(MobError::Storage(error))
    }
}
