//! A component that answers recorded questions, and nothing else.

use std::{collections::VecDeque, sync::Arc};

use access::PluginFailure;

use super::{
    build::{DESCRIBED, SELF_TEST, compile, lent, link},
    factory::Factory,
    sha256,
};
use crate::{instance::Call, manifest::Manifest, recording::Note, runtime::Runtime};

/// A component that answers recorded questions.
pub(crate) struct Replayer {
    /// Its hash, hexadecimal.
    pub(crate) component_sha256: String,
    factory: Factory,
}

impl Replayer {
    /// Compiles and links; whatever it imports is answered from recordings.
    pub(crate) async fn new(
        runtime: &Arc<Runtime>,
        wasm: Vec<u8>,
        memory_bytes: usize,
    ) -> Result<Self, String> {
        let component_sha256 = sha256(&wasm);
        let mut manifest = Manifest::default();
        manifest.limits.memory_bytes = memory_bytes;
        let compiled = compile(runtime, Arc::new(wasm), None).await;
        let compiled = compiled.map_err(|error| error.sentence)?;
        let lent = lent(runtime, DESCRIBED.into(), DESCRIBED.into(), &manifest);
        let factory = link(runtime, &compiled, &manifest, Arc::new(lent))
            .map_err(|error| format!("does not fit this host: {error:#}"))?;
        Ok(Self { component_sha256, factory })
    }

    /// Makes an instance, and asks it. Returns also how many answers of the host it did not ask for.
    pub(crate) async fn ask<C: Call>(
        &mut self,
        call: &C,
        init: VecDeque<Note>,
        told: VecDeque<Note>,
    ) -> (Result<C::Reply, PluginFailure>, usize) {
        let allowance = || SELF_TEST.starting_now();
        let asking = async {
            let mut instance = self.factory.raw(allowance()).await?;
            instance.play(init);
            instance.init().await?;
            let unasked = instance.unplayed();
            instance.play(told);
            let answer = instance.ask(call, allowance()).await;
            Ok((answer, unasked + instance.unplayed()))
        };
        match asking.await {
            Ok((answer, unasked)) => (answer.and_then(|answer| answer), unasked),
            Err(failure) => (Err(failure), 0),
        }
    }
}
