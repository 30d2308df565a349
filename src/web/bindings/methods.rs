//! The methods of a runtime by name, with arguments and answers as JSON text: those of the contract, and those that only the
//! owner of a runtime may call.

use super::convert;
use super::error::Failure;
use super::runtime::Hosted;
use crate::console;

/// Calls a method.
pub(super) async fn call(hosted: &Hosted, method: &str, args: &str) -> Result<String, Failure> {
    let runtime = &hosted.runtime;
    match method {
        "flush" => {
            runtime.flush().await?;
            Ok("null".to_owned())
        }
        "woken" => {
            runtime.woken();
            // Who is due leaves before this is answered.
            runtime.flush().await?;
            Ok("null".to_owned())
        }
        "deleteBlob" => {
            let id: String = convert::fields(args)?.take("blob_id")?;
            Ok(convert::text(&runtime.blobs().delete(&id).await?))
        }
        "shutdown" => Ok(convert::text(&runtime.shutdown().await)),
        _ => Ok(console::call(runtime, method, convert::object(args)?).await?),
    }
}
