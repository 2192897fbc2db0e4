//! Hook `timer`.

use wasmtime::Store;

use crate::{
    bindings::portcullis::plugin::types::PluginError,
    exports::Exports,
    instance::{Call, State, Work},
};

/// It is time.
pub(crate) struct OnTimer;

impl Call for OnTimer {
    type Reply = ();
    const WORK: Work = Work::Background;
    const HOOK: &'static str = "timer";

    fn bytes(&self) -> usize {
        0
    }

    async fn enter(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Self::Reply, PluginError>> {
        exports.timer()?.call_on_timer(store).await
    }
}
