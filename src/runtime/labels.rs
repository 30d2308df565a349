//! Labels of the mob and of its runs (MobKit contract, section 13): kept with the mob, joined to structural events when those
//! are read.

use futures::FutureExt;
use futures::future::ready;

use crate::mob::{Core, LabelRow, MobError, Pending};
use crate::runtime::UnifiedRuntime;
use crate::storage::Durability;
use crate::wire::{Labels, MobStructuralEventEnvelope, RunId};

/// The longest id of a run that can be labelled, as a part of a storage key.
const MAX_RUN_ID: usize = 300;

impl Core {
    pub(super) fn labels_of(&self, run_id: Option<&RunId>) -> Labels {
        let row = self.labels.get(&run_id.cloned());
        row.map(|row| row.labels.clone()).unwrap_or_default()
    }

    /// Joins the labels as of now.
    pub(super) fn labelled(
        &self,
        envelope: MobStructuralEventEnvelope,
    ) -> MobStructuralEventEnvelope {
        if self.labels.is_empty() {
            return envelope;
        }
        let run = envelope.run_id.as_ref();
        let run_labels = run.map(|run| self.labels_of(Some(run)));
        envelope.labelled(self.labels_of(None), run_labels.unwrap_or_default())
    }
}

impl UnifiedRuntime {
    /// Replaces the mob's labels; an empty map removes them. Durable when answered.
    ///
    /// # Errors
    /// Storage's.
    pub fn set_mob_labels(&self, labels: Labels) -> Pending<()> {
        self.set_labels(None, labels)
    }

    /// The mob's labels; empty when it has none.
    pub fn get_mob_labels(&self) -> Labels {
        self.inner.core.labels_of(None)
    }

    /// Removes the mob's labels.
    ///
    /// # Errors
    /// Storage's.
    pub fn delete_mob_labels(&self) -> Pending<()> {
        self.set_labels(None, Labels::new())
    }

    /// Replaces a run's labels; an empty map removes them. Durable when answered. The run need not be known.
    ///
    /// # Errors
    /// [`MobError::InvalidInput`] for a blank or overlong id, or storage's.
    pub fn set_run_labels(&self, run_id: &str, labels: Labels) -> Pending<()> {
        match checked(run_id) {
            Ok(run_id) => self.set_labels(Some(run_id), labels),
            Err(error) => ready(Err(error)).boxed_local(),
        }
    }

    /// A run's labels; empty when it has none.
    pub fn get_run_labels(&self, run_id: &str) -> Labels {
        self.inner.core.labels_of(Some(&RunId::from(run_id)))
    }

    /// Removes a run's labels.
    ///
    /// # Errors
    /// As [`set_run_labels`](Self::set_run_labels).
    pub fn delete_run_labels(&self, run_id: &str) -> Pending<()> {
        self.set_run_labels(run_id, Labels::new())
    }

    fn set_labels(&self, run_id: Option<RunId>, labels: Labels) -> Pending<()> {
        let row = LabelRow { run_id, labels };
        self.guarded(|_| {
            let core = &self.inner.core;
            core.execute(Durability::Strict, move |core, batch| {
                if row.labels.is_empty() {
                    core.labels.delete(batch, &row.run_id);
                } else {
                    core.labels.put(batch, row.clone());
                }
                Ok(())
            })
        })
    }
}

fn checked(run_id: &str) -> Result<RunId, MobError> {
    if run_id.trim().is_empty() {
        return Err(MobError::invalid("run_id", "it is blank"));
    }
    if run_id.len() > MAX_RUN_ID {
        return Err(MobError::invalid(
            "run_id",
            format!("it is longer than {MAX_RUN_ID} bytes"),
        ));
    }
    Ok(RunId::from(run_id))
}
