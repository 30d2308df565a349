//! The storage port: one ordered key-value store with atomic batches.

use std::rc::Rc;

use futures::future::LocalBoxFuture;
use futures::stream::{self, LocalBoxStream, StreamExt};

use super::batch::Batch;
use super::error::{DomError, StorageError};
use super::key::Key;
use super::range::{Direction, KeyRange};

/// How sure a commit is when it is answered.
///
/// Both survive the death of the tab, the worker and the browser process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Handed to the operating system; a power cut may lose it.
    Relaxed,
    /// On the disk, as far as the host can say; a power cut does not lose it.
    Strict,
}

/// What an adapter can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageLimits {
    /// The longest value in bytes. Whoever has more splits it over several rows.
    pub max_value_bytes: usize,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageUsage {
    /// Bytes in use, as far as the host tells. Browsers report all data of the origin, and
    /// round.
    pub used_bytes: Option<u64>,
    /// Bytes that may be in use, as far as the host tells.
    pub quota_bytes: Option<u64>,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClosedReason {
    /// [`Storage::close`] was called.
    Requested,
    /// Another context upgrades or deletes the database.
    VersionChange,
    /// Nobody asked for it: site data was cleared, the disk failed, the page was suspended.
    /// Commits that were on their way are of unknown outcome.
    Lost(DomError),
}

impl ClosedReason {
    /// The error of calls that come after.
    pub fn error(&self) -> StorageError {
        match self {
            ClosedReason::VersionChange => StorageError::VersionChange,
            ClosedReason::Requested | ClosedReason::Lost(_) => StorageError::Closed,
        }
    }
}

/// A row: its key and its value.
pub type Row = (Key, Vec<u8>);

/// An open ordered key-value store.
///
/// Adapters are small; everything else is built above them. An adapter is right if it passes
/// [`conformance`](super::conformance). Calls take effect in the order in which they are made: a
/// read sees every commit that was called before it, be it answered yet or not.
pub trait Storage {
    /// What the adapter can take.
    fn limits(&self) -> StorageLimits;

    /// The value of a row, or `None` if there is no such row.
    ///
    /// # Errors
    /// Of the connection: [`StorageError::Closed`] and its like, or what the host threw.
    fn get<'a>(&'a self, key: &'a Key)
    -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StorageError>>;

    /// The rows in a range, at most `limit` of them, in the given direction.
    ///
    /// # Errors
    /// As for [`Storage::get`].
    fn scan(
        &self,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> LocalBoxFuture<'_, Result<Vec<Row>, StorageError>>;

    /// Commits a batch: all of it or nothing.
    ///
    /// Dropping the future does not take the commit back.
    ///
    /// # Errors
    /// [`StorageError::CheckFailed`] for the first check that does not hold, the errors of
    /// [`Batch::validate`], what the host threw. Nothing was written then, except that
    /// [`StorageError::OutcomeUnknown`] leaves it open.
    fn commit(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> LocalBoxFuture<'_, Result<(), StorageError>>;

    /// How much is stored.
    ///
    /// # Errors
    /// As for [`Storage::get`].
    fn usage(&self) -> LocalBoxFuture<'_, Result<StorageUsage, StorageError>>;

    /// Resolves when the connection has ended, with the reason; at once if it has already.
    fn closed(&self) -> LocalBoxFuture<'static, ClosedReason>;

    /// Ends the connection. What was committed stays; calls that come after fail with
    /// [`StorageError::Closed`].
    fn close(&self);
}

/// So many rows are fetched in one go.
const PAGE: usize = 256;
/// The same for rows that go out one by one and may be large.
const EXPORT_PAGE: usize = 32;

/// All rows of a range, fetched page by page: for restoring.
///
/// # Errors
/// As for [`Storage::get`].
pub async fn scan_all(
    storage: &Rc<dyn Storage>,
    range: KeyRange,
) -> Result<Vec<Row>, StorageError> {
    let mut rows = Vec::new();
    let mut rest = Some(range);
    while let Some(range) = rest {
        let (page, next) = page(&**storage, range, PAGE).await?;
        rows.extend(page);
        rest = next;
    }
    Ok(rows)
}

/// The rows of a range as a stream, in order: for exporting without holding all of them. A row that
/// is written meanwhile may be among them or not. Ends after the first error.
pub fn export(
    storage: Rc<dyn Storage>,
    range: KeyRange,
) -> LocalBoxStream<'static, Result<Row, StorageError>> {
    let pages = stream::unfold(Some(range), move |rest| {
        let storage = storage.clone();
        async move {
            let range = rest?;
            Some(match page(&*storage, range, EXPORT_PAGE).await {
                Ok((rows, next)) => (rows.into_iter().map(Ok).collect(), next),
                Err(error) => (vec![Err(error)], None),
            })
        }
    });
    pages.flat_map(stream::iter).boxed_local()
}

/// One page of a range, and the rest of it, if there may be one.
async fn page(
    storage: &dyn Storage,
    range: KeyRange,
    limit: usize,
) -> Result<(Vec<Row>, Option<KeyRange>), StorageError> {
    let rows = storage
        .scan(range.clone(), Direction::Forward, limit)
        .await?;
    let rest = match rows.last() {
        Some((last, _)) if rows.len() == limit => Some(range.after(last)),
        _ => None,
    };
    Ok((rows, rest))
}
