//! The first layout: values are a format byte and JSON, logs are chunk rows, the token is a row.

use futures::future::{FutureExt, LocalBoxFuture, ready};

use super::super::batch::Batch;
use super::super::error::StorageError;
use super::super::port::Storage;

/// The version that this module introduces.
pub const VERSION: u32 = 1;

/// There is nothing before the first layout, so there is nothing to change.
pub(super) fn upgrade<'a>(
    _storage: &'a dyn Storage,
    _batch: &'a mut Batch,
) -> LocalBoxFuture<'a, Result<(), StorageError>> {
    ready(Ok(())).boxed_local()
}
