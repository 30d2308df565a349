//! Bytes.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{Answer, Begun, later};
use crate::console::failure::Failure;
use crate::console::multipart;
use crate::console::params::Params;
use crate::runtime::{Blob, UnifiedRuntime};
use crate::wire::base64;
use crate::wire::json::{self, object};

pub(super) fn blob_get(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let id = match params.string("blob_id")? {
        Some(id) => id,
        None => params.required_string("id")?,
    };
    params.finish()?;
    later(runtime.blobs().get_bytes(&id), |blob: &Blob| {
        json::text(&object!({
            "blob_id": blob.reference.blob_id,
            "media_type": blob.reference.media_type,
            "size": blob.data.len(),
            "data": base64::encode(&blob.data),
        }))
    })
}

/// An image in base64; as it is it comes in a form.
pub(super) fn blob_upload(runtime: &UnifiedRuntime, _: &str, mut params: Params) -> Begun {
    let media_type = params.required_string("media_type")?;
    let data = params.required_string("data")?;
    params.finish()?;
    let bytes = base64::decode(&data).ok_or_else(|| Failure::params("data must be base64"))?;
    multipart::check("data", &media_type, &bytes)?;
    Ok(keep(runtime, &media_type, bytes))
}

/// Keeps bytes, and says where.
pub(in crate::console) fn keep(
    runtime: &UnifiedRuntime,
    media_type: &str,
    bytes: Vec<u8>,
) -> LocalBoxFuture<'static, Answer> {
    let size = bytes.len();
    let kept = runtime.blobs().put_bytes(media_type, bytes);
    let kept = async move {
        let kept = kept.await?;
        Ok(json::text(&object!({
            "blob_id": kept.blob_id,
            "media_type": kept.media_type,
            "size": size,
        })))
    };
    kept.boxed_local()
}
