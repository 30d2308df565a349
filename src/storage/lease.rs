//! The lease on a storage, its fencing token, and the signal to other contexts: ports, and taking a token.

use std::fmt;

use futures::future::{FutureExt, LocalBoxFuture, Shared};
use futures::stream::LocalBoxStream;

use super::batch::Batch;
use super::error::{DomError, StorageError};
use super::key::Key;
use super::port::{Durability, Storage};
use super::value;

/// How to take a lease that somebody may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireMode {
    /// Take it if it is free, else answer `None` at once.
    IfAvailable,
    /// Wait until it is free.
    Wait,
    /// Take it away from whoever holds it.
    Steal,
}

/// Why a lease could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The host offers no locks here.
    #[error("this host offers no locks ({0})")]
    Unavailable(DomError),
    /// The host refused the request.
    #[error("the lock was refused ({0})")]
    Refused(DomError),
}

/// The right to be the one writer of a storage, among all contexts that can open it.
///
/// A lease says who *should* write. What makes a late write of a former holder harmless is the
/// fencing token (see [`take_token`]), which every batch checks.
pub trait Lease {
    /// Takes the lease; `None` only with [`AcquireMode::IfAvailable`], when somebody holds it.
    /// Dropping the future gives up the request.
    ///
    /// # Errors
    /// [`LeaseError`] if the host has no locks or refuses.
    fn acquire(
        &self,
        mode: AcquireMode,
    ) -> LocalBoxFuture<'static, Result<Option<LeaseGuard>, LeaseError>>;
}

/// A lease that is held. Dropping it releases it.
#[must_use = "dropping the guard releases the lease"]
pub struct LeaseGuard {
    lost: Shared<LocalBoxFuture<'static, ()>>,
    release: Option<Box<dyn FnOnce()>>,
}

impl LeaseGuard {
    /// A guard for an adapter to hand out: `lost` resolves if the lease is taken away, `release`
    /// runs when the guard is dropped.
    pub fn new(
        lost: impl Future<Output = ()> + 'static,
        release: impl FnOnce() + 'static,
    ) -> LeaseGuard {
        LeaseGuard {
            lost: lost.boxed_local().shared(),
            release: Some(Box::new(release)),
        }
    }

    /// Resolves when the lease has been taken away.
    pub fn lost(&self) -> LocalBoxFuture<'static, ()> {
        self.lost.clone().boxed_local()
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

impl fmt::Debug for LeaseGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseGuard").finish_non_exhaustive()
    }
}

/// Tells other contexts over the same storage that it has changed.
///
/// A hint, not a message: signals may be merged or late, so whoever hears one reads again.
pub trait Signal {
    /// Says that something was committed.
    fn notify(&self);

    /// Each item says that another context committed something since the last one.
    fn changed(&self) -> LocalBoxStream<'static, ()>;
}

/// The row that holds the newest fencing token.
pub fn token_key() -> Key {
    Key::root().part("lease").part("token")
}

/// The value of [`token_key`] while `token` is the newest: what a holder's batches check.
pub fn token_value(token: u64) -> Vec<u8> {
    value::encode(&token)
}

/// Takes the next fencing token: one more than the newest, or 1. From then on every batch that
/// checks an older one is refused.
///
/// # Errors
/// What reading and committing may fail with; [`StorageError::Corrupt`] if the row is no number.
pub async fn take_token(storage: &dyn Storage) -> Result<u64, StorageError> {
    let key = token_key();
    loop {
        let mut batch = Batch::new();
        let token = match storage.get(&key).await? {
            Some(found) => {
                let newest: u64 = value::decode(&key, &found)?;
                batch.check_equals(key.clone(), found);
                newest + 1
            }
            None => {
                batch.check_absent(key.clone());
                1
            }
        };
        batch.put(key.clone(), token_value(token));
        match storage.commit(batch, Durability::Strict).await {
            Ok(()) => return Ok(token),
            // Somebody else took one in between; theirs is the newest now.
            Err(StorageError::CheckFailed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::super::memory::MemoryStorage;
    use super::*;

    #[test]
    fn tokens_grow_and_fence() {
        block_on(async {
            let storage = MemoryStorage::new();
            assert_eq!(take_token(&storage).await, Ok(1));
            assert_eq!(take_token(&storage).await, Ok(2));
            let mut late = Batch::new();
            late.check_equals(token_key(), token_value(1))
                .put(Key::root().part("x"), vec![1]);
            assert!(matches!(
                storage.commit(late, Durability::Relaxed).await,
                Err(StorageError::CheckFailed { .. })
            ));
            assert_eq!(storage.get(&Key::root().part("x")).await, Ok(None));
        });
    }
}
