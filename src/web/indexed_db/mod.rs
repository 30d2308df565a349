//! Storage in IndexedDB: one database per storage, one object store of rows.
//!
//! Request callbacks drive every transaction, never a task that may yield: a transaction becomes
//! inactive as soon as the event loop turns. The wrapper crates hide `commit` and `abort`, so this
//! stands on `web-sys`, and declares itself what `web-sys` keeps behind an unstable flag.

mod connection;
mod error;
mod migrations;
mod open;
mod read;
mod transaction;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use js_sys::{Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::shim::Host;
use crate::storage::{
    Batch, ClosedReason, Direction, Durability, Key, KeyRange, Row, Storage, StorageError,
    StorageLimits, StorageUsage,
};
use connection::Connection;

/// The longest value. Browsers refuse values somewhere above 128 MB; this leaves room for a
/// commit of many.
const MAX_VALUE_BYTES: usize = 32 << 20;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["navigator", "storage"], js_name = estimate, catch)]
    fn estimate() -> Result<Promise, JsValue>;
}

/// How a database is opened and deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedDbConfig {
    /// How long another connection may keep the database from being opened or deleted before
    /// [`StorageError::Blocked`] is the answer. Connections of this library let go at once; what
    /// takes time is an older page that does not listen.
    pub blocked_after: Duration,
}

impl Default for IndexedDbConfig {
    fn default() -> IndexedDbConfig {
        IndexedDbConfig {
            blocked_after: Duration::from_secs(2),
        }
    }
}

/// An open connection to a database.
///
/// It lets go at once when another context upgrades or deletes the database, and says so:
/// [`ClosedReason::VersionChange`]. A close that nobody asked for (site data cleared, the browser's
/// storage process gone) makes the outcome of commits under way unknown.
///
/// Dropping it closes it; commits that were called are still carried out.
pub struct IndexedDbStorage {
    connection: Rc<Connection>,
}

impl IndexedDbStorage {
    /// Opens the database of this name, and makes it if there is none.
    ///
    /// Dropping the future gives up; if the database opens later, it is closed again.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] where there is no IndexedDB (private mode of some browsers,
    /// blocked site data, opaque origins), [`StorageError::Blocked`],
    /// [`StorageError::QuotaExceeded`], [`StorageError::SchemaTooNew`], or what else the browser
    /// threw.
    pub async fn open(
        host: &Host,
        name: &str,
        config: IndexedDbConfig,
    ) -> Result<Rc<IndexedDbStorage>, StorageError> {
        let database = open::open(host, name, config.blocked_after).await?;
        Ok(Rc::new(IndexedDbStorage {
            connection: Connection::new(database),
        }))
    }

    /// Deletes the database of this name; there need be none. Connections of this library to it
    /// end with [`ClosedReason::VersionChange`].
    ///
    /// # Errors
    /// [`StorageError::Blocked`] if another connection does not let go; the database is deleted
    /// when that connection ends. Else as for [`IndexedDbStorage::open`].
    pub async fn delete(
        host: &Host,
        name: &str,
        config: IndexedDbConfig,
    ) -> Result<(), StorageError> {
        open::delete(host, name, config.blocked_after).await
    }
}

impl Drop for IndexedDbStorage {
    fn drop(&mut self) {
        self.connection.close();
    }
}

impl Storage for IndexedDbStorage {
    fn limits(&self) -> StorageLimits {
        StorageLimits {
            max_value_bytes: MAX_VALUE_BYTES,
        }
    }

    fn get<'a>(
        &'a self,
        key: &'a Key,
    ) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>> {
        match read::get(&self.connection, key) {
            Ok(answer) => answer.boxed_local(),
            Err(error) => ready(Err(error)).boxed_local(),
        }
    }

    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> LocalBoxFuture<'_, Result<Vec<Row>, StorageError>> {
        match read::scan(&self.connection, &range, direction, limit) {
            Ok(answer) => answer,
            Err(error) => ready(Err(error)).boxed_local(),
        }
    }

    fn commit(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> LocalBoxFuture<'_, Result<(), StorageError>> {
        let started = batch
            .validate(&self.limits())
            .and_then(|()| transaction::commit(&self.connection, batch, durability));
        match started {
            // The connection answers every commit before it goes.
            Ok(outcome) => {
                async move { outcome.await.unwrap_or(Err(StorageError::OutcomeUnknown)) }
                    .boxed_local()
            }
            Err(error) => ready(Err(error)).boxed_local(),
        }
    }

    /// Of all data of the origin, as `navigator.storage.estimate()` tells; unknown where the
    /// browser does not tell.
    fn usage(&self) -> LocalBoxFuture<'_, Result<StorageUsage, StorageError>> {
        async move {
            self.connection.guard()?;
            Ok(origin_usage().await)
        }
        .boxed_local()
    }

    fn closed(&self) -> LocalBoxFuture<'static, ClosedReason> {
        let connection = self.connection.clone();
        async move { connection.closed().await }.boxed_local()
    }

    fn close(&self) {
        self.connection.close();
    }
}

impl fmt::Debug for IndexedDbStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexedDbStorage")
            .field("name", &self.connection.name())
            .field("ended", &self.connection.ended())
            .finish_non_exhaustive()
    }
}

async fn origin_usage() -> StorageUsage {
    // Absent in insecure contexts and on edge runtimes; then nothing is known.
    let Ok(promise) = estimate() else {
        return StorageUsage::default();
    };
    let Ok(estimate) = JsFuture::from(promise).await else {
        return StorageUsage::default();
    };
    let bytes = |name: &str| {
        let value = Reflect::get(&estimate, &JsValue::from_str(name)).ok()?;
        // A count of bytes below 2^53, as far as any browser goes.
        value.as_f64().map(|bytes| bytes as u64)
    };
    StorageUsage {
        used_bytes: bytes("usage"),
        quota_bytes: bytes("quota"),
    }
}
