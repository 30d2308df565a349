//! How a runtime ends in order, and what it writes when it is asked to (MobKit contract, section 4.4).

use crate::mob::MobError;
use crate::runtime::{Inner, Role, UnifiedRuntime};
use crate::storage::{Durability, Writer};
use crate::wire::{
    ModuleShutdownReport, ShutdownDrainReport, UnifiedRuntimeRunReport,
    UnifiedRuntimeShutdownReport,
};

impl UnifiedRuntime {
    /// Writes what was shown and is not durable yet, such as the newest agent events and the cursor. A page calls it when it is hidden; no
    /// promise rests on it. A context that does not write has nothing to do.
    ///
    /// # Errors
    /// Storage's.
    pub async fn flush(&self) -> Result<(), MobError> {
        let checkpoint = self.inner.checkpoint.borrow().clone();
        if let Some(checkpoint) = checkpoint {
            checkpoint.flush().await?;
        }
        if let Some(writer) = &self.inner.writer {
            writer.flush(Durability::Relaxed).await?;
        }
        if let Some(cursor) = &self.inner.host_cursor {
            cursor.flush().await;
        }
        for feed in &self.inner.feeds {
            feed.flush().await?;
        }
        Ok(())
    }

    /// Ends the runtime in order: nothing new starts, running work is put down where it stands (it goes on at the next
    /// start), what was shown is made durable, the cursor is checkpointed, the lease is given back. All calls answer the
    /// report of the first one; if its caller gives it up, the next one begins anew.
    pub async fn shutdown(&self) -> UnifiedRuntimeShutdownReport {
        let inner = &self.inner;
        let core = &inner.core;
        let _running = loop {
            let changed = core.changed.notified();
            if let Some(report) = inner.shutdown.borrow().clone() {
                return report;
            }
            match ShuttingDown::begin(inner) {
                Some(running) => break running,
                None => changed.await,
            }
        };
        let started = core.host.instant();
        let led = inner.role.replace(Role::Closed) != Role::Retired;
        core.close(MobError::ShuttingDown);
        let durable_before = core.events.durable();
        let flushed = match inner.writer.as_ref().filter(|_| led) {
            None => Ok(Ok(())),
            Some(writer) => {
                core.host
                    .timeout(inner.drain_timeout, self.put_down(writer))
                    .await
            }
        };
        let timed_out = flushed.is_err();
        let mob_stop = match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.data()),
            Err(_) => Err(MobError::ShuttingDown.data()),
        };
        let report = UnifiedRuntimeShutdownReport {
            drain: ShutdownDrainReport {
                drained_count: usize::try_from(core.events.durable().get() - durable_before.get())
                    .unwrap_or(usize::MAX),
                timed_out,
                drain_duration_ms: u64::try_from(
                    core.host.instant().duration_since(started).as_millis(),
                )
                .unwrap_or(u64::MAX),
            },
            module_shutdown: ModuleShutdownReport {
                terminated_modules: inner.modules.stop_all().await,
                orphan_processes: 0,
            },
            mob_stop,
        };
        *inner.shutdown.borrow_mut() = Some(report.clone());
        core.events.close();
        core.ledger.close();
        core.storage.close();
        inner.guard.borrow_mut().take();
        // Last, for it may be one of its tasks that called.
        inner.group.borrow_mut().take();
        report
    }

    /// Runs until `signal` resolves, then shuts down.
    pub async fn run(&self, signal: impl Future<Output = ()>) -> UnifiedRuntimeRunReport {
        signal.await;
        UnifiedRuntimeRunReport {
            serve_result: Ok(()),
            shutdown: self.shutdown().await,
        }
    }

    async fn put_down(&self, writer: &Writer) -> Result<(), MobError> {
        let inner = &self.inner;
        let core = &inner.core;
        core.execute_accepted(Durability::Strict, |core, batch| {
            core.stage_pause(batch);
            Ok(())
        })
        .await?;
        inner.projection.reach(core.ledger.latest()).await;
        let checkpoint = inner.checkpoint.borrow().clone();
        if let Some(checkpoint) = checkpoint {
            checkpoint.flush().await?;
        }
        core.events.release();
        core.ledger.release();
        writer.flush(Durability::Strict).await?;
        if let Some(cursor) = &inner.host_cursor {
            cursor.flush().await;
        }
        for feed in &inner.feeds {
            feed.flush().await?;
        }
        if !inner.feeds.is_empty() {
            // Their cursors.
            writer.flush(Durability::Strict).await?;
        }
        Ok(())
    }
}

/// The shutdown that runs; there is one at a time.
struct ShuttingDown<'a>(&'a Inner);

impl<'a> ShuttingDown<'a> {
    fn begin(inner: &'a Inner) -> Option<Self> {
        let running = inner.shutting_down.replace(true);
        (!running).then(|| Self(inner))
    }
}

impl Drop for ShuttingDown<'_> {
    fn drop(&mut self) {
        self.0.shutting_down.set(false);
        // Whoever else wants it shut down looks for the report.
        self.0.core.changed.notify_waiters();
    }
}
