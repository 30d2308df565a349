//! Bytes over HTTP (MobKit contract, sections 17.4 and 21.1).

use super::{FetchBody, FetchResponse, address};
use crate::mob::MobError;
use crate::runtime::UnifiedRuntime;
use crate::wire::json::object;

/// `GET /blobs/{id}`: the bytes. What an id names never changes.
pub(super) async fn get(runtime: &UnifiedRuntime, part: &str) -> FetchResponse {
    let id = address::decode_path(part).unwrap_or_default();
    match runtime.blobs().get_bytes(&id).await {
        Ok(blob) => FetchResponse {
            status: 200,
            headers: vec![
                ("content-type", blob.reference.media_type),
                (
                    "cache-control",
                    "private, max-age=31536000, immutable".to_owned(),
                ),
                // Whoever sent them may have called anything an image: it is shown, and does nothing.
                ("x-content-type-options", "nosniff".to_owned()),
                (
                    "content-security-policy",
                    "default-src 'none'; sandbox".to_owned(),
                ),
            ],
            body: FetchBody::Full(blob.data),
        },
        Err(error) => {
            let (status, name) = match &error {
                MobError::InvalidInput { .. } => (400, "invalid_blob_id"),
                MobError::BlobNotFound(_) => (404, "blob_not_found"),
                _ => (503, "blob_store_unavailable"),
            };
            let message = error.to_string();
            FetchResponse::json(status, &object!({ "error": name, "message": message }))
        }
    }
}
