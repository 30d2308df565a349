//! The structural projection's cursor in a store of the application's (MobKit contract, section 13).
//!
//! The mob's own row stays; this one follows it, so that the application's parts can be brought back together. The cursor that
//! is found there says where the projection begins.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::runtime::health::{Health, Task};
use crate::runtime::hooks::Errors;
use crate::shim::{Host, Notify};
use crate::wire::{Cursor, ErrorEvent, MobId};

/// How long an advance waits for others: ten thousand of them are a few writes.
const AFTER: Duration = Duration::from_secs(1);
/// The longest pause while the store refuses.
const RETRY_LONGEST: Duration = Duration::from_secs(30);

/// A store of the application's for what outlives a runtime.
pub trait PersistentMetadataStore {
    /// The cursor that was set last for a mob.
    fn get_subscription_cursor(
        &self,
        mob_id: &MobId,
    ) -> LocalBoxFuture<'static, Result<Option<Cursor>, String>>;

    /// Keeps a cursor. Within one life of a runtime it never goes back.
    fn set_subscription_cursor(
        &self,
        mob_id: &MobId,
        cursor: Cursor,
    ) -> LocalBoxFuture<'static, Result<(), String>>;
}

/// Keeps the cursor in the store, behind what was projected.
pub(crate) struct HostCursor {
    host: Host,
    mob_id: MobId,
    store: Rc<dyn PersistentMetadataStore>,
    errors: Errors,
    task: Task,
    advanced: Cell<Cursor>,
    written: Cell<Cursor>,
    running: Cell<bool>,
    /// The mob is another's, and so is the cursor.
    ended: Cell<bool>,
    refusals: Cell<u64>,
    moved: Notify,
    /// A flush does not wait for others.
    hurry: Notify,
}

impl HostCursor {
    pub fn new(
        host: &Host,
        mob_id: &MobId,
        store: Rc<dyn PersistentMetadataStore>,
        errors: &Errors,
        health: &Health,
    ) -> Rc<Self> {
        Rc::new(Self {
            host: host.clone(),
            mob_id: mob_id.clone(),
            store,
            errors: errors.clone(),
            task: health.begin("persistent_metadata"),
            advanced: Cell::default(),
            written: Cell::default(),
            running: Cell::new(false),
            ended: Cell::new(false),
            refusals: Cell::new(0),
            moved: Notify::new(),
            hurry: Notify::new(),
        })
    }

    /// What the store has; none too, and a word to the error hook, if it cannot be read.
    pub async fn load(&self) -> Option<Cursor> {
        match self.store.get_subscription_cursor(&self.mob_id).await {
            Ok(cursor) => {
                self.written.set(cursor.unwrap_or_default());
                cursor
            }
            Err(error) => {
                self.trouble(&format!("the cursor could not be read: {error}"));
                None
            }
        }
    }

    /// Begins at a cursor: what the store has beyond it is of another ledger.
    pub fn begin(&self, cursor: Cursor) {
        self.written.set(self.written.get().min(cursor));
        self.advanced.set(cursor);
    }

    /// Everything up to the cursor is projected.
    pub fn advance(self: &Rc<Self>, cursor: Cursor) {
        self.advanced.set(self.advanced.get().max(cursor));
        if self.is_behind() && !self.running.replace(true) {
            let this = self.clone();
            self.host.spawn(async move { this.write().await });
        }
    }

    /// Writes no more: another context has the mob, and may have come further.
    pub fn end(&self) {
        self.ended.set(true);
        self.hurry.notify_waiters();
        self.moved.notify_waiters();
    }

    fn is_behind(&self) -> bool {
        !self.ended.get() && self.advanced.get() > self.written.get()
    }

    async fn write(&self) {
        let mut pause = AFTER;
        while self.is_behind() {
            let sleep = self.host.sleep(pause);
            futures::future::select(sleep, self.hurry.notified()).await;
            if self.ended.get() {
                break;
            }
            let cursor = self.advanced.get();
            let set = self.store.set_subscription_cursor(&self.mob_id, cursor);
            match set.await {
                Ok(()) => {
                    self.written.set(cursor);
                    self.task.works();
                    pause = AFTER;
                }
                Err(error) => {
                    self.trouble(&format!(
                        "the cursor could not be stored: {error}; will retry"
                    ));
                    self.refusals.set(self.refusals.get() + 1);
                    pause = (pause * 2).min(RETRY_LONGEST);
                }
            }
            self.moved.notify_waiters();
        }
        self.running.set(false);
    }

    /// Waits until the store has the cursor, or has refused it once more.
    pub async fn flush(&self) {
        let wanted = self.advanced.get();
        let refusals = self.refusals.get();
        let waits = || !self.ended.get() && self.refusals.get() == refusals;
        while self.written.get() < wanted && waits() {
            let moved = self.moved.notified();
            self.hurry.notify_waiters();
            moved.await;
        }
    }

    fn trouble(&self, error: &str) {
        self.task.retries(error);
        self.errors.fire(ErrorEvent::CheckpointFailure {
            session_id: "persistent_metadata".into(),
            error: error.to_owned(),
        });
    }
}
