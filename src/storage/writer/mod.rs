//! The writer: the one task that commits.
//!
//! It takes all waiting commands, lets each stage its rows in order, commits them as one batch,
//! then applies, wakes and answers. Commands that arrive meanwhile wait for the next commit, so
//! throughput comes from the grouping, not from giving up order or durability.

mod command;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{Either, LocalBoxFuture, select};

use super::batch::Batch;
use super::error::StorageError;
use super::key::Key;
use super::port::{Durability, Storage};
use crate::shim::{Fault, Host, Notify};

use command::{Command, Failure, Stage};
pub use command::{Staged, SubmitError};

/// The most commands in one commit.
const GROUP_COMMANDS: usize = 1024;
/// A commit takes no further command once it holds this many bytes.
const GROUP_BYTES: usize = 4 << 20;

/// How a [`Writer`] works.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// The row of the fencing token and the value it must have: checked by every batch. See
    /// [`lease`](super::lease).
    pub fence: Option<(Key, Vec<u8>)>,
    /// The most commands that may wait; a further one fails with [`SubmitError::BacklogFull`], unless it comes by
    /// [`Writer::submit_accepted`].
    pub backlog: usize,
}

impl Default for WriterConfig {
    fn default() -> WriterConfig {
        WriterConfig {
            fence: None,
            backlog: 4096,
        }
    }
}

/// What the writer has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterStats {
    /// Batches committed.
    pub commits: u64,
    /// Batches that storage refused.
    pub failed_commits: u64,
    /// Commands answered after a commit.
    pub commands: u64,
    /// Writes committed.
    pub rows: u64,
    /// Bytes of keys and values committed.
    pub bytes: u64,
    /// Commands refused because too many waited.
    pub shed: u64,
}

/// Why a writer has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriterClosed {
    /// [`Writer::close`] was called, or the task group ended.
    Requested,
    /// A batch was refused because a newer fencing token exists.
    NotLeader,
    /// The connection is gone, or the outcome of a commit is unknown.
    Storage(StorageError),
}

/// Somebody whose rows travel with every commit, and who keeps a staged state beside the committed
/// one.
pub trait Participant {
    /// Called once per commit, after all its commands have staged: adds the rows that wait.
    fn stage(&self, batch: &mut Batch);

    /// The commit is through (`true`): what was staged is committed. Or it failed (`false`): what
    /// was staged is taken back; what waits may be staged again.
    ///
    /// Runs after the commands' [`Staged::applied`] and before their answers. Must not call the
    /// writer's users.
    fn settle(&self, ok: bool);
}

/// A handle to the one task that commits to an open storage. Cloning is cheap.
///
/// # How a command runs
/// Its stage closure runs in the writer's task, in the order of submission, against the rooms'
/// *staged* state, and adds rows to the batch. Because a failed commit is tried again command by
/// command, it may run twice; before the second run [`Participant::settle`] has been told `false`,
/// so staged state is the committed one again. A closure that refuses must leave the staged state
/// as it found it; its rows are taken back.
///
/// A command may also refuse because of another that is staged before it; the refusal is answered
/// after the commit, in order, so that nobody hears of a state that never was.
#[derive(Clone)]
pub struct Writer {
    inner: Rc<Inner>,
}

struct Inner {
    host: Host,
    storage: Rc<dyn Storage>,
    config: WriterConfig,
    queue: RefCell<VecDeque<Command>>,
    participants: RefCell<Vec<Rc<dyn Participant>>>,
    wake: Notify,
    closing: Cell<bool>,
    ended: RefCell<Option<WriterClosed>>,
    end: Notify,
    stats: Cell<WriterStats>,
}

impl Writer {
    /// Starts the writer's task. The writer ends with the host's task group.
    pub fn spawn(host: &Host, storage: Rc<dyn Storage>, config: WriterConfig) -> Writer {
        let inner = Rc::new(Inner {
            host: host.clone(),
            storage,
            config,
            queue: RefCell::default(),
            participants: RefCell::default(),
            wake: Notify::new(),
            closing: Cell::new(false),
            ended: RefCell::new(None),
            end: Notify::new(),
            stats: Cell::default(),
        });
        // Made before the task is first polled, so that a task that never runs ends the writer too.
        let guard = EndOnDrop(inner.clone());
        host.spawn(async move { run(&guard.0).await });
        Writer { inner }
    }

    /// Hands in a command. It is in the queue when this returns; dropping the future gives up the
    /// answer, not the command.
    ///
    /// # Errors
    /// [`SubmitError::Rejected`] with the closure's own error; the others are the writer's.
    pub fn submit<T, E, F>(&self, durability: Durability, stage: F) -> Submitted<T, E>
    where
        T: 'static,
        E: 'static,
        F: FnMut(&mut Batch) -> Result<Staged<T>, E> + 'static,
    {
        self.hand_in(self.inner.config.backlog, durability, stage)
    }

    /// As [`Writer::submit`], for work that was accepted before: it waits however many wait already. What is accepted is
    /// bounded at the door; to refuse its next step would be to do the last one again.
    ///
    /// # Errors
    /// As for [`Writer::submit`], without [`SubmitError::BacklogFull`].
    pub fn submit_accepted<T, E, F>(&self, durability: Durability, stage: F) -> Submitted<T, E>
    where
        T: 'static,
        E: 'static,
        F: FnMut(&mut Batch) -> Result<Staged<T>, E> + 'static,
    {
        self.hand_in(usize::MAX, durability, stage)
    }

    fn hand_in<T, E, F>(
        &self,
        backlog: usize,
        durability: Durability,
        mut stage: F,
    ) -> Submitted<T, E>
    where
        T: 'static,
        E: 'static,
        F: FnMut(&mut Batch) -> Result<Staged<T>, E> + 'static,
    {
        let answer = Rc::new(RefCell::new(None));
        let staged = answer.clone();
        let queued = self.enqueue(
            backlog,
            durability,
            Box::new(move |batch| {
                let (answer, applied) = match stage(batch) {
                    Ok(accepted) => (Ok(accepted.answer), Some(accepted.applied)),
                    Err(refused) => (Err(refused), None),
                };
                staged.replace(Some(answer));
                applied
            }),
        );
        outcome(queued)
            .map(move |committed| {
                committed?;
                let answer = answer.take();
                answer
                    .expect("a command is staged before it is answered")
                    .map_err(SubmitError::Rejected)
            })
            .boxed_local()
    }

    fn enqueue(&self, backlog: usize, durability: Durability, stage: Stage) -> Queued {
        let inner = &self.inner;
        match &*inner.ended.borrow() {
            Some(WriterClosed::NotLeader) => return Err(Failure::NotLeader),
            Some(WriterClosed::Requested | WriterClosed::Storage(_)) => {
                return Err(Failure::Closed);
            }
            None => {}
        }
        if inner.closing.get() {
            return Err(Failure::Closed);
        }
        if inner.queue.borrow().len() >= backlog {
            inner.count(|stats| stats.shed += 1);
            return Err(Failure::BacklogFull);
        }
        let (command, answered) = Command::new(durability, stage);
        inner.queue.borrow_mut().push_back(command);
        inner.wake.notify_waiters();
        Ok(answered)
    }

    /// Commits what the participants have waiting, and waits for it. Commits nothing if nothing
    /// waits.
    ///
    /// # Errors
    /// As for [`Writer::submit_accepted`], without [`SubmitError::Rejected`].
    pub fn flush(&self, durability: Durability) -> Submitted<(), Infallible> {
        self.submit_accepted(durability, |_batch| Ok(Staged::answer(())))
    }

    /// Adds a participant to every commit from the next one on.
    pub fn add_participant(&self, participant: Rc<dyn Participant>) {
        self.inner.participants.borrow_mut().push(participant);
    }

    /// Takes a participant out again; it must have nothing waiting.
    pub fn remove_participant(&self, participant: &Rc<dyn Participant>) {
        self.inner
            .participants
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, participant));
    }

    /// Takes no further commands, carries out those that wait, flushes the participants and ends.
    pub async fn close(&self) {
        if !self.inner.closing.get() && self.inner.ended.borrow().is_none() {
            let last = self.flush(Durability::Strict);
            self.inner.closing.set(true);
            // If it fails the writer ends all the same, and `closed` says why.
            let _ = last.await;
        }
        self.closed().await;
    }

    /// Resolves when the writer has ended, with the reason; at once if it has already.
    pub fn closed(&self) -> LocalBoxFuture<'static, WriterClosed> {
        let inner = self.inner.clone();
        async move {
            loop {
                let end = inner.end.notified();
                let ended = inner.ended.borrow().clone();
                if let Some(reason) = ended {
                    return reason;
                }
                end.await;
            }
        }
        .boxed_local()
    }

    /// Why the writer has ended; `None` while it works.
    pub fn ended(&self) -> Option<WriterClosed> {
        self.inner.ended.borrow().clone()
    }

    /// How many commands wait.
    pub fn backlog(&self) -> usize {
        self.inner.queue.borrow().len()
    }

    /// What it has done so far.
    pub fn stats(&self) -> WriterStats {
        self.inner.stats.get()
    }

    /// The storage under it, for reading.
    pub fn storage(&self) -> &Rc<dyn Storage> {
        &self.inner.storage
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("backlog", &self.backlog())
            .field("ended", &self.ended())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The answer of a command. Dropping it gives up the answer, not the command.
pub type Submitted<T, E> = LocalBoxFuture<'static, Result<T, SubmitError<E>>>;

/// What tells how a command that is in the queue fared, or why it is not in it.
type Queued = Result<oneshot::Receiver<Result<(), Failure>>, Failure>;

fn outcome(queued: Queued) -> LocalBoxFuture<'static, Result<(), Failure>> {
    async move {
        // Without an answer the writer's task was dropped with the command in it.
        queued?.await.unwrap_or(Err(Failure::Closed))
    }
    .boxed_local()
}

/// Ends the writer when its task is dropped, so that no caller waits for ever.
struct EndOnDrop(Rc<Inner>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(WriterClosed::Requested);
    }
}

/// The writer's task.
async fn run(inner: &Inner) {
    let mut closed = inner.storage.closed();
    loop {
        let woken = inner.wake.notified();
        let group = inner.take_group();
        if group.is_empty() {
            if inner.closing.get() {
                return inner.end(WriterClosed::Requested);
            }
            match select(&mut closed, Box::pin(woken)).await {
                Either::Left((reason, _)) => {
                    return inner.end(WriterClosed::Storage(reason.error()));
                }
                Either::Right(_) => continue,
            }
        }
        if let Err(reason) = inner.commit_group(group).await {
            return inner.end(reason);
        }
    }
}

impl Inner {
    fn take_group(&self) -> VecDeque<Command> {
        let mut queue = self.queue.borrow_mut();
        if queue.len() <= GROUP_COMMANDS {
            return std::mem::take(&mut *queue);
        }
        queue.drain(..GROUP_COMMANDS).collect()
    }

    /// What no longer fitted into a commit is first in the next one.
    fn put_back(&self, mut rest: VecDeque<Command>) {
        let mut queue = self.queue.borrow_mut();
        while let Some(command) = rest.pop_back() {
            queue.push_front(command);
        }
    }

    /// Commits a group, if need be command by command. Fails only if the writer must end; the
    /// commands are answered in any case.
    async fn commit_group(&self, group: VecDeque<Command>) -> Result<(), WriterClosed> {
        let Err((group, failure)) = self.attempt(group).await else {
            return Ok(());
        };
        if group.len() == 1 || ends_writer(&failure).is_some() {
            return refuse(group, failure);
        }
        // One of them is to blame: alone, only that one fails.
        let mut rest = group.into_iter();
        while let Some(command) = rest.next() {
            if let Err((one, failure)) = self.attempt(VecDeque::from([command])).await {
                if ends_writer(&failure).is_some() {
                    return refuse(one.into_iter().chain(rest), failure);
                }
                refuse(one, failure)?;
            }
        }
        Ok(())
    }

    /// Stages, commits, applies and answers. On failure hands the commands back, unanswered, with
    /// all staged state taken back.
    async fn attempt(&self, mut group: VecDeque<Command>) -> Result<(), Refused> {
        let mut batch = Batch::new();
        if let Some((key, value)) = &self.config.fence
            && !self.host.planted(Fault::StaleTokenAccepted)
        {
            batch.check_equals(key.clone(), value.clone());
        }
        let mut commands: VecDeque<Command> = VecDeque::with_capacity(group.len());
        let mut durability = Durability::Relaxed;
        while let Some(mut command) = group.pop_front() {
            let mark = batch.mark();
            if command.stage(&mut batch) {
                durability = durability.max(command.durability());
            } else {
                batch.rollback(mark);
            }
            commands.push_back(command);
            if batch.bytes() > GROUP_BYTES {
                break;
            }
        }
        self.put_back(group);

        let participants = self.participants.borrow().clone();
        for participant in &participants {
            participant.stage(&mut batch);
        }
        if self.host.planted(Fault::ApplyBeforeCommit) {
            commands.iter_mut().for_each(|command| command.apply());
            participants
                .iter()
                .for_each(|participant| participant.settle(true));
        }
        if self.host.planted(Fault::AnswerBeforeCommit) {
            commands.iter_mut().for_each(|command| command.answer());
        }
        let (rows, bytes) = (batch.len() as u64, batch.bytes() as u64);
        if !batch.is_empty() {
            let outcome = self.storage.commit(batch, durability).await;
            if let Err(error) = outcome {
                self.count(|stats| stats.failed_commits += 1);
                for participant in &participants {
                    participant.settle(false);
                }
                return Err((commands, self.failure(error)));
            }
            self.count(|stats| {
                stats.commits += 1;
                stats.rows += rows;
                stats.bytes += bytes;
            });
        }
        commands.iter_mut().for_each(|command| command.apply());
        for participant in &participants {
            participant.settle(true);
        }
        commands.iter_mut().for_each(|command| command.answer());
        self.count(|stats| stats.commands += commands.len() as u64);
        Ok(())
    }

    fn failure(&self, error: StorageError) -> Failure {
        match (&error, &self.config.fence) {
            (StorageError::CheckFailed { key }, Some((fence, _))) if key == fence.as_str() => {
                Failure::NotLeader
            }
            _ => Failure::Storage(error),
        }
    }

    fn end(&self, reason: WriterClosed) {
        if self.ended.borrow().is_some() {
            return;
        }
        self.ended.replace(Some(reason.clone()));
        for mut command in self.queue.take() {
            if reason == WriterClosed::NotLeader {
                command.fail(Failure::NotLeader);
            }
            // The others hear `Closed` from their dropped channel.
        }
        self.participants.take();
        self.end.notify_waiters();
    }

    fn count(&self, change: impl FnOnce(&mut WriterStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

type Refused = (VecDeque<Command>, Failure);

/// Answers all with the failure, and says whether the writer must end with it.
fn refuse(
    commands: impl IntoIterator<Item = Command>,
    failure: Failure,
) -> Result<(), WriterClosed> {
    for mut command in commands {
        command.fail(failure.clone());
    }
    ends_writer(&failure).map_or(Ok(()), Err)
}

fn ends_writer(failure: &Failure) -> Option<WriterClosed> {
    match failure {
        Failure::NotLeader => Some(WriterClosed::NotLeader),
        Failure::Storage(error) if error.is_fatal() => Some(WriterClosed::Storage(error.clone())),
        Failure::Storage(_) | Failure::BacklogFull | Failure::Closed => None,
    }
}
