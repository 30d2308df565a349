//! Bytes beside the logs: images that were sent, files that tools made (MobKit contract, section 17.4).

use std::rc::Rc;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use sha2::{Digest, Sha256};

use crate::mob::{Core, MobError};
use crate::runtime::UnifiedRuntime;
use crate::storage::{Durability, Key, scan_all, value};
use crate::wire::json::{FromJson, object};

/// What the ids begin with.
const SCHEME: &str = "sha256:";
/// The first byte of a row that is bytes.
const FORMAT_BYTES: u8 = 2;
/// Bytes that a blob has at most: what the console takes as one image (MobKit contract, section 21.1).
pub const MAX_BLOB_BYTES: usize = 25 << 20;

/// Where bytes can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRef {
    /// Their id: see [`blob_id`].
    pub blob_id: String,
    /// Their media type, e.g. `image/png`.
    pub media_type: String,
}

/// Bytes with their type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its id and type.
    pub reference: BlobRef,
    /// All of them.
    pub data: Vec<u8>,
}

/// A place for bytes, named by what they are.
pub trait BinaryBlobStore {
    /// Keeps bytes; durable when answered. Bytes that are there already are not written again.
    ///
    /// # Errors
    /// [`MobError::InvalidInput`] for a media type that is none and for more than [`MAX_BLOB_BYTES`]; the store's own.
    fn put_bytes(
        &self,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> LocalBoxFuture<'static, Result<BlobRef, MobError>>;

    /// The bytes of an id.
    ///
    /// # Errors
    /// [`MobError::BlobNotFound`]; [`MobError::InvalidInput`] for what is no id; the store's own.
    fn get_bytes(&self, id: &str) -> LocalBoxFuture<'static, Result<Blob, MobError>>;

    /// Forgets bytes; answers whether they were there.
    ///
    /// # Errors
    /// As [`get_bytes`](Self::get_bytes), but that there are none is no error.
    fn delete(&self, id: &str) -> LocalBoxFuture<'static, Result<bool, MobError>>;

    /// Whether they outlive the runtime.
    fn is_persistent(&self) -> bool {
        true
    }
}

/// The id of bytes: `sha256:` and the hash, in hex, of the media type, a zero byte and the bytes.
pub fn blob_id(media_type: &str, bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(media_type.as_bytes());
    hasher.update([0]);
    hasher.update(bytes);
    let mut id = SCHEME.to_owned();
    for byte in hasher.finalize() {
        for digit in [byte >> 4, byte & 15] {
            id.extend(char::from_digit(digit.into(), 16));
        }
    }
    id
}

/// The hash in an id, which is a safe part of a key or a path.
fn hash_of(id: &str) -> Result<&str, MobError> {
    let hash = id.strip_prefix(SCHEME).filter(|hash| {
        hash.len() == 64
            && hash
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    hash.ok_or_else(|| MobError::invalid("blob_id", "it is sha256: and 64 lower-case hex digits"))
}

/// Whether a text may stand in a header as a media type.
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= 127
        && text
            .split_once('/')
            .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// The default: rows beside the mob's own. Large blobs are several rows, written as one batch.
pub(crate) struct StoredBlobs(pub Rc<Core>);

impl StoredBlobs {
    fn key(&self, hash: &str) -> Key {
        Core::prefix(&self.0.mob_id).part("blob").part(hash)
    }
}

/// A failure as the future of any answer.
fn refused<T: 'static>(error: MobError) -> LocalBoxFuture<'static, Result<T, MobError>> {
    ready(Err(error)).boxed_local()
}

impl BinaryBlobStore for StoredBlobs {
    fn put_bytes(
        &self,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> LocalBoxFuture<'static, Result<BlobRef, MobError>> {
        if !is_media_type(media_type) {
            return refused(MobError::invalid("media_type", "it is no media type"));
        }
        if bytes.len() > MAX_BLOB_BYTES {
            let reason = format!("a blob has at most {MAX_BLOB_BYTES} bytes");
            return refused(MobError::invalid("bytes", reason));
        }
        let reference = BlobRef {
            blob_id: blob_id(media_type, &bytes),
            media_type: media_type.to_owned(),
        };
        let key = match hash_of(&reference.blob_id) {
            Ok(hash) => self.key(hash),
            Err(error) => return refused(error),
        };
        let core = self.0.clone();
        async move {
            if core.storage.get(&key).await?.is_some() {
                return Ok(reference);
            }
            let head = value::encode(&object!({
                "media_type": reference.media_type,
                "size": bytes.len(),
            }));
            let most = core.storage.limits().max_value_bytes - 1;
            let put = core.execute(Durability::Strict, move |_, batch| {
                batch.put(key.clone(), head.clone());
                for (number, chunk) in bytes.chunks(most).enumerate() {
                    let mut row = vec![FORMAT_BYTES];
                    row.extend_from_slice(chunk);
                    batch.put(key.number(number as u64), row);
                }
                Ok(())
            });
            put.await?;
            Ok(reference)
        }
        .boxed_local()
    }

    fn get_bytes(&self, id: &str) -> LocalBoxFuture<'static, Result<Blob, MobError>> {
        let key = match hash_of(id) {
            Ok(hash) => self.key(hash),
            Err(error) => return refused(error),
        };
        let (core, blob_id) = (self.0.clone(), id.to_owned());
        async move {
            let Some(head) = core.storage.get(&key).await? else {
                return Err(MobError::BlobNotFound(blob_id));
            };
            let head = value::parse(&key, &head)?;
            let media_type = head.get("media_type").cloned().unwrap_or_default();
            let media_type =
                String::from_json(media_type).map_err(|error| value::corrupt(&key, &error))?;
            let mut data = Vec::new();
            for (_, row) in scan_all(&core.storage, key.prefix_range()).await? {
                data.extend_from_slice(row.get(1..).unwrap_or_default());
            }
            // A blob that was deleted between the two reads is none.
            if head.get("size").and_then(|size| size.as_u64()) != Some(data.len() as u64) {
                return Err(MobError::BlobNotFound(blob_id));
            }
            Ok(Blob {
                reference: BlobRef {
                    blob_id,
                    media_type,
                },
                data,
            })
        }
        .boxed_local()
    }

    fn delete(&self, id: &str) -> LocalBoxFuture<'static, Result<bool, MobError>> {
        let key = match hash_of(id) {
            Ok(hash) => self.key(hash),
            Err(error) => return refused(error),
        };
        let core = self.0.clone();
        async move {
            let known = core.storage.get(&key).await?.is_some();
            if known {
                let delete = core.execute(Durability::Strict, move |_, batch| {
                    batch.delete(key.clone()).delete_range(key.prefix_range());
                    Ok(())
                });
                delete.await?;
            }
            Ok(known)
        }
        .boxed_local()
    }
}

impl UnifiedRuntime {
    /// Where the mob's bytes are: the builder's [`blob_store`](crate::runtime::UnifiedRuntimeBuilder::blob_store), or rows of the mob.
    pub fn blobs(&self) -> Rc<dyn BinaryBlobStore> {
        self.inner.blobs.clone()
    }
}
