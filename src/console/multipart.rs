//! Forms with files (RFC 7578): a JSON-RPC request beside the images that it is about (MobKit contract, section 21.1).

use serde_json::{Map, Value};

use super::envelope::{Body, parse};
use super::failure::Failure;
use super::{FetchRequest, FetchResponse, answer, answered, bad_request, methods};
use crate::runtime::{MAX_BLOB_BYTES, UnifiedRuntime};
use crate::wire::base64;
use crate::wire::json::object;

/// Images that one form has at most.
const MAX_FILES: usize = 4;

/// A part of a form.
struct Part<'a> {
    name: String,
    media_type: String,
    bytes: &'a [u8],
}

/// `POST /console/rpc/multipart`: the part `payload` is a JSON-RPC request, any other an image: `file:{upload_id}`, or the id alone.
/// `mobkit/blob/upload` keeps the one image that comes with it. In other methods' `content` a block
/// `{"type": "image", "upload_id"}` becomes the image of that id.
pub(super) async fn rpc(runtime: &UnifiedRuntime, request: &FetchRequest) -> FetchResponse {
    let media_type = request.find_header("content-type").unwrap_or_default();
    let Some(parts) = boundary(media_type).and_then(|boundary| split(&request.body, &boundary))
    else {
        return bad_request("the body must be a form (multipart/form-data)");
    };
    let (payload, files): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|part| part.name == "payload");
    let [payload] = payload.as_slice() else {
        return bad_request("a form has one part `payload`: a JSON-RPC request");
    };
    let Body::One(read) = parse(payload.bytes) else {
        return bad_request("`payload` must be one JSON-RPC request");
    };
    let text = match read {
        Err(text) => text,
        Ok(mut read) => match take_files(&mut read.params, &read.method, &files) {
            Err(failure) => answered(read.id, Err(failure)),
            Ok(None) => answer(runtime, Ok(read)).await,
            Ok(Some(file)) => {
                let kept = methods::keep(runtime, &file.media_type, file.bytes.to_vec());
                answered(read.id, kept.await)
            }
        },
    };
    FetchResponse::bytes(200, "application/json", text)
}

/// Checks the files, and puts them where the request names them; answers the one that is to be kept.
fn take_files<'a, 'b>(
    params: &mut Map<String, Value>,
    method: &str,
    files: &'b [Part<'a>],
) -> Result<Option<&'b Part<'a>>, Failure> {
    if files.len() > MAX_FILES {
        return Err(Failure::params(format_args!(
            "a request has at most {MAX_FILES} images"
        )));
    }
    for file in files {
        check(&file.name, &file.media_type, file.bytes)?;
    }
    if method == methods::UPLOAD {
        return match files {
            [file] => Ok(Some(file)),
            _ => Err(Failure::params("an upload takes exactly one file")),
        };
    }
    let mut used = 0;
    if let Some(Value::Array(blocks)) = params.get_mut("content") {
        for block in blocks {
            let Some(id) = block.get("upload_id").and_then(Value::as_str) else {
                continue;
            };
            let named =
                |file: &&Part<'_>| file.name.strip_prefix("file:").unwrap_or(&file.name) == id;
            let Some(file) = files.iter().find(named) else {
                return Err(Failure::params(format_args!("there is no file '{id}'")));
            };
            used += 1;
            *block = object!({
                "type": "image",
                "media_type": file.media_type,
                "data": base64::encode(file.bytes),
            });
        }
    }
    if used < files.len() {
        return Err(Failure::params(
            "a file is named by no block of content: {\"type\": \"image\", \"upload_id\": …}",
        ));
    }
    Ok(None)
}

/// Whether bytes are an image that the console takes, and what they are said to be.
pub(super) fn check(name: &str, media_type: &str, bytes: &[u8]) -> Result<(), Failure> {
    if bytes.len() > MAX_BLOB_BYTES {
        return Err(Failure::params(format_args!(
            "{name} has {} bytes, the limit is {MAX_BLOB_BYTES}",
            bytes.len()
        )));
    }
    let Some(actual) = image_type(bytes) else {
        return Err(Failure::params(format_args!(
            "{name} must be a PNG, JPEG, WebP or GIF image"
        )));
    };
    match actual == media_type {
        true => Ok(()),
        false => Err(Failure::params(format_args!(
            "{name} is declared as {media_type:?}, but its bytes are {actual}"
        ))),
    }
}

/// The type of an image by its first bytes (MIME Sniffing standard, section 6.1).
fn image_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some("image/gif")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

/// The value of a parameter of a header field, with or without quotes.
fn parameter<'a>(field: &'a str, name: &str) -> Option<&'a str> {
    let mut quoted = false;
    let mut parts = field.split(|char| {
        quoted ^= char == '"';
        char == ';' && !quoted
    });
    parts.find_map(|parameter| {
        let (known, value) = parameter.trim().split_once('=')?;
        known
            .eq_ignore_ascii_case(name)
            .then(|| value.trim_matches('"'))
    })
}

/// Bytes that a boundary has at most (RFC 2046, section 5.1.1); a longer one would make the search long.
const MAX_BOUNDARY: usize = 70;

/// What stands between the parts of a form.
fn boundary(media_type: &str) -> Option<Vec<u8>> {
    let kind = media_type.split(';').next()?.trim();
    let boundary = parameter(media_type, "boundary")?;
    (kind.eq_ignore_ascii_case("multipart/form-data")
        && (1..=MAX_BOUNDARY).contains(&boundary.len()))
    .then(|| ["--", boundary].concat().into_bytes())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// The parts of a form; none if it is no well-formed one.
fn split<'a>(mut body: &'a [u8], boundary: &[u8]) -> Option<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    body = &body[find(body, boundary)? + boundary.len()..];
    let line = [b"\r\n", boundary].concat();
    while !body.starts_with(b"--") {
        // Blanks may stand between a boundary and the end of its line.
        let blanks = body.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
        body = body[blanks.count()..].strip_prefix(b"\r\n")?;
        let head = std::str::from_utf8(&body[..find(body, b"\r\n\r\n")?]).ok()?;
        body = &body[head.len() + 4..];
        let bytes = &body[..find(body, &line)?];
        body = &body[bytes.len() + line.len()..];
        let field = |name: &str| {
            head.split("\r\n").find_map(|line| {
                let (known, value) = line.split_once(':')?;
                known.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        parts.push(Part {
            name: parameter(field("content-disposition")?, "name")?.to_owned(),
            media_type: field("content-type").unwrap_or_default().to_owned(),
            bytes,
        });
    }
    Some(parts)
}
