//! Interface `config`: the table `[config]` of the manifest, as it was when the generation was
//! made.

use serde_json::Value;

use crate::{bindings::portcullis::plugin::config::Host, instance::State};

impl Host for State {
    fn json(&mut self) -> wasmtime::Result<String> {
        Ok(self.lent.config_json.clone())
    }

    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.lent.config.get(&key).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }))
    }
}
