//! What is said to a member: text, or blocks of text and media (MobKit contract, section 19).

use serde::Serialize;
use serde_json::{Error, Value};

use super::json::{self, Blank, Fields, FromJson, deserialize_by_json, from_json};

/// The content of a message: plain text, or a list of blocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ContentInput {
    /// Plain text.
    Text(String),
    /// Blocks in reading order.
    Blocks(Vec<ContentBlock>),
}

impl Blank for ContentInput {
    fn blank() -> Self {
        Self::Text(String::new())
    }
}

impl FromJson for ContentInput {
    fn from_json(value: Value) -> Result<Self, Error> {
        match value {
            Value::String(text) => Ok(Self::Text(text)),
            blocks @ Value::Array(_) => Vec::from_json(blocks).map(Self::Blocks),
            _ => Err(json::wrong(
                &"content must be a string or an array of content blocks",
            )),
        }
    }
}

deserialize_by_json!(ContentInput);

impl ContentInput {
    /// The text of the content: the text blocks one after the other; media leave nothing.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Blocks(blocks) => blocks.iter().filter_map(ContentBlock::as_text).collect(),
        }
    }

    /// Whether nothing is said: no media, and no text but white space.
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Blocks(blocks) => blocks
                .iter()
                .all(|block| block.as_text().is_some_and(|text| text.trim().is_empty())),
        }
    }

    /// Whether a block is an image or a video.
    pub fn has_media(&self) -> bool {
        matches!(self, Self::Blocks(blocks) if blocks.iter().any(|block| block.as_text().is_none()))
    }
}

impl From<&str> for ContentInput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ContentInput {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// One block of content, tagged `type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentBlock {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A still image.
    Image(MediaSource),
    /// A moving image.
    Video(MediaSource),
}

impl FromJson for ContentBlock {
    fn from_json(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::of(value)?;
        let tag = fields.tag("type")?;
        let mut media = || {
            Ok::<_, Error>(MediaSource {
                media_type: fields.take("media_type")?,
                data: fields.take("data")?,
            })
        };
        Ok(match tag.as_str() {
            "text" => Self::Text {
                text: fields.take("text")?,
            },
            "image" => Self::Image(media()?),
            "video" => Self::Video(media()?),
            other => {
                return Err(json::unknown("variant", other, &["text", "image", "video"]));
            }
        })
    }
}

deserialize_by_json!(ContentBlock);

impl ContentBlock {
    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::Image(_) | Self::Video(_) => None,
        }
    }
}

/// Media inside a content block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaSource {
    /// The media type, e.g. `image/png`.
    pub media_type: String,
    /// The bytes in base64.
    pub data: String,
}

from_json!(MediaSource deserialize { media_type, data });
