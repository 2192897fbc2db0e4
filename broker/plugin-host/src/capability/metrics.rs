//! Interface `metrics`: the plugin's own numbers at `/metrics`. Those of a candidate in shadow mode
//! are not told.

use crate::{bindings::portcullis::plugin::metrics::Host, instance::State};

impl Host for State {
    fn add(&mut self, name: String, amount: u64) -> wasmtime::Result<()> {
        if self.lent.shadow {
            return Ok(());
        }
        self.lent.runtime.plugin_metrics.add(&self.lent.plugin, &name, amount);
        Ok(())
    }

    fn set(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        if self.lent.shadow {
            return Ok(());
        }
        self.lent.runtime.plugin_metrics.set(&self.lent.plugin, &name, value);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        if self.lent.shadow {
            return Ok(());
        }
        self.lent.runtime.plugin_metrics.observe(&self.lent.plugin, &name, value);
        Ok(())
    }
}
