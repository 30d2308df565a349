//! Models by kind, and which names of a definition the default one stands for.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::convert::Objects;
use super::error::Failure;
use super::options::ModelChoice;
use crate::agent::demo::DemoModel;
use crate::agent::model::LanguageModel;
use crate::agent::openai::{OpenAiCompatible, OpenAiConfig};
use crate::mob::definition::MobDefinition;
use crate::shim::Host;
use crate::web::{JsModel, WebFetch};

/// The demo model's pace when none is given: as a person reads along.
const DEMO_PACE: Duration = Duration::from_millis(30);

/// Makes the model.
pub(super) fn make(
    choice: ModelChoice,
    host: &Host,
    objects: &Objects<'_>,
) -> Result<Rc<dyn LanguageModel>, Failure> {
    Ok(match choice {
        ModelChoice::OpenAi {
            base_url,
            api_key,
            model,
            headers,
            fetch,
        } => {
            let fetch = fetch.map(|place| objects.function(place)).transpose()?;
            let config = OpenAiConfig {
                api_key,
                model,
                headers,
                ..OpenAiConfig::new(base_url)
            };
            Rc::new(OpenAiCompatible::new(
                host.clone(),
                Rc::new(WebFetch::new(fetch)),
                config,
            ))
        }
        ModelChoice::Demo { pace } => {
            let pace = pace.map_or(DEMO_PACE, |millis| Duration::from_millis(millis.into()));
            Rc::new(DemoModel::new(host.clone(), pace))
        }
        ModelChoice::Js { model } => Rc::new(JsModel::new(objects.value(model)?)),
    })
}

/// The names that were given a model of their own: the default one leaves them alone.
#[derive(Default)]
pub(super) struct Named(RefCell<Vec<String>>);

impl Named {
    /// This name has a model of its own, or has none any more.
    pub fn set(&self, name: &str, own: bool) {
        let mut names = self.0.borrow_mut();
        names.retain(|known| known != name);
        if own {
            names.push(name.to_owned());
        }
    }

    /// The model names of the definition's profiles that have no model of their own.
    pub fn others(&self, definition: &MobDefinition) -> Vec<String> {
        let own = self.0.borrow();
        let models = definition.profiles.values().map(|profile| &profile.model);
        let mut names = Vec::new();
        for name in models {
            if !own.contains(name) && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}
