//! A command on its way through the writer: staged, committed, applied, answered.

use futures::channel::oneshot;

use super::super::batch::Batch;
use super::super::error::StorageError;
use super::super::port::Durability;

/// What staging a command yields: the answer, and what to do once it is committed.
pub struct Staged<T> {
    /// What the caller gets after the commit.
    pub answer: T,
    /// Runs after the commit and before the answer, in the order of the commands: moves the
    /// committed state forward.
    pub applied: Box<dyn FnOnce()>,
}

impl<T> Staged<T> {
    /// An answer, and what to do once it is committed.
    pub fn new(answer: T, applied: impl FnOnce() + 'static) -> Staged<T> {
        Staged {
            answer,
            applied: Box::new(applied),
        }
    }

    /// An answer that changes nothing in memory.
    pub fn answer(answer: T) -> Staged<T> {
        Staged::new(answer, || ())
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Staged<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staged")
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError<E> {
    /// The command itself refused, against the state as it was in its turn.
    #[error("{0}")]
    Rejected(E),
    /// Storage refused the commit. Nothing was changed, unless it is
    /// [`StorageError::OutcomeUnknown`].
    #[error("{0}")]
    Storage(StorageError),
    /// Too many commands wait already.
    #[error("too many commands wait to be stored")]
    BacklogFull,
    /// The writer has ended.
    #[error("the writer has ended")]
    Closed,
    /// Another context holds the lease now.
    #[error("another context writes to this storage")]
    NotLeader,
}

impl<E> SubmitError<E> {
    /// The stable `snake_case` name of the kind of error; `rejected` names that of the command's
    /// own error.
    pub fn code(&self, rejected: impl FnOnce(&E) -> &'static str) -> &'static str {
        match self {
            SubmitError::Rejected(error) => rejected(error),
            SubmitError::Storage(error) => error.code(),
            SubmitError::BacklogFull => "admission_backlog_full",
            SubmitError::Closed => "storage_closed",
            SubmitError::NotLeader => "not_leader",
        }
    }

    /// The same error with another type for the command's own.
    pub fn map_rejected<F>(self, map: impl FnOnce(E) -> F) -> SubmitError<F> {
        match self {
            SubmitError::Rejected(error) => SubmitError::Rejected(map(error)),
            SubmitError::Storage(error) => SubmitError::Storage(error),
            SubmitError::BacklogFull => SubmitError::BacklogFull,
            SubmitError::Closed => SubmitError::Closed,
            SubmitError::NotLeader => SubmitError::NotLeader,
        }
    }
}

/// Why a commit ends the command, whatever its own types are.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Storage(StorageError),
    NotLeader,
}

impl<E> From<Failure> for SubmitError<E> {
    fn from(failure: Failure) -> SubmitError<E> {
        match failure {
            Failure::Storage(error) => SubmitError::Storage(error),
            Failure::NotLeader => SubmitError::NotLeader,
        }
    }
}

/// A command whose types the writer does not know. May be staged again after a failed commit.
pub(super) trait Command {
    /// Adds the command's rows; the rows of one that refuses are taken back by the writer.
    /// Answers whether it accepted.
    fn stage(&mut self, batch: &mut Batch) -> bool;
    fn durability(&self) -> Durability;
    /// Runs what is to run after the commit.
    fn apply(&mut self);
    /// Answers the caller with what staging yielded.
    fn answer(&mut self);
    /// Answers the caller with a failure.
    fn fail(&mut self, failure: Failure);
}

pub(super) struct Submitted<T, E, F> {
    pub(super) stage: F,
    pub(super) durability: Durability,
    pub(super) answer: Option<Result<T, E>>,
    pub(super) applied: Option<Box<dyn FnOnce()>>,
    pub(super) reply: Option<oneshot::Sender<Result<T, SubmitError<E>>>>,
}

impl<T, E, F> Submitted<T, E, F> {
    fn reply(&mut self, result: Result<T, SubmitError<E>>) {
        if let Some(reply) = self.reply.take() {
            // A caller that no longer waits has given up its answer, not the command.
            let _ = reply.send(result);
        }
    }
}

impl<T, E, F> Command for Submitted<T, E, F>
where
    F: FnMut(&mut Batch) -> Result<Staged<T>, E>,
{
    fn stage(&mut self, batch: &mut Batch) -> bool {
        match (self.stage)(batch) {
            Ok(staged) => {
                self.answer = Some(Ok(staged.answer));
                self.applied = Some(staged.applied);
                true
            }
            Err(error) => {
                self.answer = Some(Err(error));
                self.applied = None;
                false
            }
        }
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn apply(&mut self) {
        if let Some(applied) = self.applied.take() {
            applied();
        }
    }

    fn answer(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.reply(answer.map_err(SubmitError::Rejected));
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.reply(Err(failure.into()));
    }
}
