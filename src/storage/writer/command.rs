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

/// Why a command was not committed, whatever its own types are.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Storage(StorageError),
    BacklogFull,
    Closed,
    NotLeader,
}

impl<E> From<Failure> for SubmitError<E> {
    fn from(failure: Failure) -> SubmitError<E> {
        match failure {
            Failure::Storage(error) => SubmitError::Storage(error),
            Failure::BacklogFull => SubmitError::BacklogFull,
            Failure::Closed => SubmitError::Closed,
            Failure::NotLeader => SubmitError::NotLeader,
        }
    }
}

/// What runs after the commit.
pub(super) type Applied = Box<dyn FnOnce()>;

/// Stages a command's rows; answers what runs after the commit, or nothing if the command refuses.
pub(super) type Stage = Box<dyn FnMut(&mut Batch) -> Option<Applied>>;

/// A command. Its answer's type is known to whoever handed it in alone, so that the writer is compiled once and not once for
/// each kind of command. May be staged again after a failed commit.
pub(super) struct Command {
    stage: Stage,
    durability: Durability,
    applied: Option<Applied>,
    reply: Option<oneshot::Sender<Result<(), Failure>>>,
}

impl Command {
    /// A command, and what tells that it was committed or refused.
    pub(super) fn new(
        durability: Durability,
        stage: Stage,
    ) -> (Command, oneshot::Receiver<Result<(), Failure>>) {
        let (reply, answered) = oneshot::channel();
        let command = Command {
            stage,
            durability,
            applied: None,
            reply: Some(reply),
        };
        (command, answered)
    }

    /// Adds the command's rows; the rows of one that refuses are taken back by the writer. Answers whether it accepted.
    pub(super) fn stage(&mut self, batch: &mut Batch) -> bool {
        self.applied = (self.stage)(batch);
        self.applied.is_some()
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// Runs what is to run after the commit.
    pub(super) fn apply(&mut self) {
        if let Some(applied) = self.applied.take() {
            applied();
        }
    }

    /// Tells the caller that the answer from staging stands.
    pub(super) fn answer(&mut self) {
        self.reply(Ok(()));
    }

    /// Tells the caller of a failure.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.reply(Err(failure));
    }

    fn reply(&mut self, result: Result<(), Failure>) {
        if let Some(reply) = self.reply.take() {
            // A caller that no longer waits has given up its answer, not the command.
            let _ = reply.send(result);
        }
    }
}
