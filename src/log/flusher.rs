//! The flusher: stores what was appended when no other commit does.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};

use super::{Inner, Log, LogError};
use crate::shim::{Host, JoinHandle};
use crate::storage::{Durability, StorageError, SubmitError, Writer};

/// The first pause after storage refused.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest pause while storage refuses.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

impl<T> Log<T> {
    /// Starts the task that commits appended entries: as soon as
    /// [`flush_entries`](super::LogConfig::flush_entries) wait, [`flush_after`](super::LogConfig::flush_after)
    /// after the first, at once if entries wait that nobody sees before; and that deletes what
    /// retention no longer allows. While nothing waits it holds no timer.
    ///
    /// When storage refuses it tries again after growing pauses and tells of it each time, and of
    /// the first success after that. It ends with the writer, with [`Log::close`] or with the host's task group.
    pub fn run_flusher(
        &self,
        host: &Host,
        writer: &Writer,
        tell: impl Fn(Result<(), StorageError>) + 'static,
    ) -> JoinHandle<()> {
        let flush = keep_flushed(
            self.inner.clone(),
            writer.clone(),
            host.clone(),
            Box::new(tell),
        );
        host.spawn(flush)
    }
}

async fn keep_flushed(
    log: Rc<Inner>,
    writer: Writer,
    host: Host,
    tell: Box<dyn Fn(Result<(), StorageError>)>,
) {
    let mut pause = RETRY_FIRST;
    while !log.closed.get() && writer.ended().is_none() {
        log.wait_for_work(&host).await;
        if log.closed.get() {
            return;
        }
        match log.flush_and_trim(&writer).await {
            Ok(()) if pause > RETRY_FIRST => {
                tell(Ok(()));
                pause = RETRY_FIRST;
            }
            Ok(()) => {}
            Err(SubmitError::Storage(error)) if !error.is_fatal() => {
                tell(Err(error));
                host.sleep(pause).await;
                pause = (pause * 2).min(RETRY_LONGEST);
            }
            Err(SubmitError::Storage(error)) => return tell(Err(error)),
            Err(SubmitError::BacklogFull) => host.sleep(pause).await,
            // The writer has ended, and says why to whoever owns it.
            Err(SubmitError::Closed | SubmitError::NotLeader | SubmitError::Rejected(_)) => return,
        }
    }
}

impl Inner {
    /// Resolves when it is time to flush, or to trim what the commits of others have stored.
    async fn wait_for_work(&self, host: &Host) {
        let mut deadline = None;
        loop {
            let dirty = self.dirty.notified();
            let waiting = self.state.borrow().waiting();
            let full = waiting >= self.config.flush_entries || self.is_urgent();
            if self.closed.get() || full || self.trim_due() {
                return;
            }
            if waiting == 0 {
                // Somebody else's commit took them along.
                deadline = None;
                dirty.await;
                continue;
            }
            let after = self.config.flush_after;
            let deadline = *deadline.get_or_insert_with(|| host.instant() + after);
            if let Either::Left(_) = select(host.sleep_until(deadline), dirty).await {
                return;
            }
        }
    }

    async fn flush_and_trim(&self, writer: &Writer) -> Result<(), SubmitError<Infallible>> {
        writer.flush(Durability::Relaxed).await?;
        if !self.trim_due() {
            return Ok(());
        }
        match self.trim().await {
            Ok(Some(_)) => writer.flush(Durability::Relaxed).await,
            Ok(None) => Ok(()),
            Err(LogError::Storage(error)) => Err(SubmitError::Storage(error)),
            // Only readers with a cursor can be ahead.
            Err(LogError::Stale { .. }) => Ok(()),
        }
    }
}
