//! Interface `metrics`: the plugin's own numbers at `/metrics`.

use crate::{bindings::portcullis::plugin::metrics::Host, instance::State};

impl Host for State {
    fn add(&mut self, name: String, amount: u64) -> wasmtime::Result<()> {
        self.lent.runtime.plugin_metrics.add(&self.lent.plugin, &name, amount);
        Ok(())
    }

    fn set(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.lent.runtime.plugin_metrics.set(&self.lent.plugin, &name, value);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.lent.runtime.plugin_metrics.observe(&self.lent.plugin, &name, value);
        Ok(())
    }
}
