//! The version of the rows' layout, and the way from an older one to the current one.
//!
//! The row `meta/schema` says which layout the rows have. Each layout has a module here that names
//! what it introduced and can bring the rows of the layout before it up to itself.

pub mod v1;

use futures::future::LocalBoxFuture;
use serde::Serialize;

use super::batch::Batch;
use super::error::StorageError;
use super::key::Key;
use super::port::{Durability, Storage};
use super::value;
use crate::wire::json::from_json;

/// The current layout.
pub use v1 as current;

/// What the row `meta/schema` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// The version of the layout.
    pub version: u32,
}

from_json!(Schema { version });

/// The row that holds the [`Schema`].
pub fn schema_key() -> Key {
    Key::root().part("meta").part("schema")
}

/// One step: adds to the batch what makes rows of the version before it rows of `version`.
struct Migration {
    version: u32,
    upgrade:
        for<'a> fn(&'a dyn Storage, &'a mut Batch) -> LocalBoxFuture<'a, Result<(), StorageError>>,
}

/// Every step, oldest first. The first one starts from a storage without rows.
const MIGRATIONS: &[Migration] = &[Migration {
    version: v1::VERSION,
    upgrade: v1::upgrade,
}];

/// Brings the rows to the current layout, step by step, each step one batch. The holder of the
/// lease calls it before anything else is read.
///
/// # Errors
/// [`StorageError::SchemaTooNew`] if a newer version of the library wrote the rows; what reading
/// and committing may fail with. A step that fails leaves the rows as the step before made them.
pub async fn migrate(storage: &dyn Storage) -> Result<Schema, StorageError> {
    run(storage, MIGRATIONS).await
}

/// Which layout the rows have, for a context that may only read; `None` if there are no rows yet.
///
/// # Errors
/// [`StorageError::SchemaTooNew`], or what reading may fail with.
pub async fn check(storage: &dyn Storage) -> Result<Option<Schema>, StorageError> {
    let key = schema_key();
    let Some(found) = storage.get(&key).await? else {
        return Ok(None);
    };
    let schema: Schema = value::decode(&key, &found)?;
    supported(schema, current::VERSION)?;
    Ok(Some(schema))
}

async fn run(storage: &dyn Storage, steps: &[Migration]) -> Result<Schema, StorageError> {
    let newest = steps.last().map_or(0, |step| step.version);
    let key = schema_key();
    let mut found = storage.get(&key).await?;
    let mut version = match &found {
        Some(bytes) => value::decode::<Schema>(&key, bytes)?.version,
        None => 0,
    };
    supported(Schema { version }, newest)?;
    for step in steps {
        if step.version <= version {
            continue;
        }
        let mut batch = Batch::new();
        match found.take() {
            Some(bytes) => batch.check_equals(key.clone(), bytes),
            None => batch.check_absent(key.clone()),
        };
        (step.upgrade)(storage, &mut batch).await?;
        version = step.version;
        let row = value::encode(&Schema { version });
        batch.put(key.clone(), row.clone());
        storage.commit(batch, Durability::Strict).await?;
        found = Some(row);
    }
    Ok(Schema { version })
}

fn supported(schema: Schema, newest: u32) -> Result<(), StorageError> {
    if schema.version > newest {
        return Err(StorageError::SchemaTooNew {
            found: schema.version,
            supported: newest,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::future::FutureExt;

    use super::super::memory::MemoryStorage;
    use super::*;

    fn add_row<'a>(
        storage: &'a dyn Storage,
        batch: &'a mut Batch,
    ) -> LocalBoxFuture<'a, Result<(), StorageError>> {
        async move {
            let old = storage.get(&Key::root().part("a")).await?;
            batch.put(Key::root().part("b"), old.unwrap_or_default());
            batch.delete(Key::root().part("a"));
            Ok(())
        }
        .boxed_local()
    }

    const NEXT: &[Migration] = &[
        Migration {
            version: v1::VERSION,
            upgrade: v1::upgrade,
        },
        Migration {
            version: 2,
            upgrade: add_row,
        },
    ];

    #[test]
    fn a_fresh_storage_gets_the_current_layout() {
        block_on(async {
            let storage = MemoryStorage::new();
            assert_eq!(check(&storage).await, Ok(None));
            let schema = migrate(&storage).await.unwrap();
            assert_eq!(schema.version, current::VERSION);
            assert_eq!(check(&storage).await, Ok(Some(schema)));
            assert_eq!(migrate(&storage).await, Ok(schema));
        });
    }

    #[test]
    fn an_older_layout_is_brought_up() {
        block_on(async {
            let storage = MemoryStorage::new();
            migrate(&storage).await.unwrap();
            let mut batch = Batch::new();
            batch.put(Key::root().part("a"), vec![7]);
            storage.commit(batch, Durability::Strict).await.unwrap();
            assert_eq!(run(&storage, NEXT).await, Ok(Schema { version: 2 }));
            let rows = storage.rows();
            assert_eq!(rows[0], (Key::root().part("b"), vec![7]));
            assert_eq!(rows.len(), 2);
            assert_eq!(run(&storage, NEXT).await, Ok(Schema { version: 2 }));
        });
    }

    #[test]
    fn a_newer_layout_is_refused() {
        block_on(async {
            let storage = MemoryStorage::new();
            run(&storage, NEXT).await.unwrap();
            let error = StorageError::SchemaTooNew {
                found: 2,
                supported: 1,
            };
            assert_eq!(migrate(&storage).await, Err(error.clone()));
            assert_eq!(check(&storage).await, Err(error));
        });
    }
}
