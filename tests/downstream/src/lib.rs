//! A newsroom: an editor who hands articles to a reporter, and the reporter's tool. It is written as users of the library
//! write theirs, from the public interface alone.

use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use mobkit_web::agent::model::{LanguageModel, ToolDefinition};
use mobkit_web::agent::tool::{Tool, ToolContext, ToolError, ToolOutput};
use mobkit_web::mob::definition::MobDefinition;
use mobkit_web::runtime::{UnifiedRuntime, UnifiedRuntimeBuilderError};
use mobkit_web::shim::Host;
use mobkit_web::storage::Storage;
use serde_json::{Value, json};

/// Who works here, and how.
const NEWSROOM: &str = r#"
[mob]
id = "newsroom"
orchestrator = "editor"

[profiles.editor]
model = "writer"
instructions = "You hand articles to the reporter and print what comes back."

[profiles.reporter]
model = "writer"
instructions = "You write the article that you are asked for and count its words."
peer_description = "Writes articles"

[wiring]
auto_wire_orchestrator = true

[[members]]
profile = "editor"
identity = "editor"

[[members]]
profile = "reporter"
identity = "reporter"
"#;

/// Counts the words of a text.
pub struct WordCount;

impl Tool for WordCount {
    fn definition(&self) -> ToolDefinition {
        ToolDefinition {
            name: "word_count".into(),
            description: "How many words a text has".into(),
            input_schema: json!({
                "type": "object",
                "properties": { "text": { "type": "string" } },
                "required": ["text"],
            }),
        }
    }

    fn call(
        &self,
        args: Value,
        _: ToolContext,
    ) -> LocalBoxFuture<'static, Result<ToolOutput, ToolError>> {
        let words = args["text"]
            .as_str()
            .map_or(0, |text| text.split_whitespace().count());
        async move { Ok(ToolOutput::text(words.to_string())) }.boxed_local()
    }
}

/// Opens the newsroom over what `storage` holds; `model` writes for everybody.
///
/// # Errors
/// What [`build`](mobkit_web::runtime::UnifiedRuntimeBuilder::build) says.
pub async fn newsroom(
    host: &Host,
    storage: Rc<dyn Storage>,
    model: Rc<dyn LanguageModel>,
) -> Result<UnifiedRuntime, UnifiedRuntimeBuilderError> {
    let definition =
        MobDefinition::from_toml(NEWSROOM).expect("the definition is part of this crate");
    UnifiedRuntime::builder()
        .definition(definition)
        .host(host.clone())
        .storage(storage)
        .model("writer", model)
        .tool(Rc::new(WordCount))
        .build()
        .await
}
