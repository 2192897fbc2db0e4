//! Calls that are part of a decision: what was asked, told and answered is kept with it.

use std::{net::IpAddr, pin::pin, sync::Arc};

use access::{Making, PluginFailure};
use serde::Serialize;

use super::Generation;
use crate::{
    breaker::Client,
    guarded::Guarded,
    instance::Call,
    recording::{Recorded, Recorder, Taped},
};

impl Generation {
    /// As [`Self::ask_for`], as part of the decision that is being made, which keeps what was asked
    /// and answered.
    pub(crate) async fn decide<C: Recorded>(
        self: &Arc<Self>,
        address: IpAddr,
        call: C,
    ) -> Result<C::Reply, PluginFailure>
    where
        C::Reply: Serialize,
    {
        let client = self.admit_client(address)?;
        let making = self.runtime.sealer.is_some().then(access::current_decision).flatten();
        // Pinned where they are: passed on by value, they would stand in the future twice.
        match making {
            Some(making) => {
                let asked = pin!(self.ask_recorded(client, call, &making));
                self.counted(asked).await
            }
            None => {
                let asked = pin!(self.ask_uncounted(Some(client), call));
                self.counted(asked).await
            }
        }
    }

    async fn ask_recorded<C: Recorded>(
        self: &Arc<Self>,
        client: Client,
        call: C,
        making: &Making,
    ) -> Result<C::Reply, PluginFailure>
    where
        C::Reply: Serialize,
    {
        let held = self.admit(Some(client), &call).await?;
        let generation = Arc::clone(self);
        let entered = Guarded::new(async move {
            let _held = held;
            let (answer, taped) = generation.enter_taped(&call).await;
            generation.settle(client, &answer);
            Ok((answer, taped, call))
        });
        let (answer, taped, call) = entered.await?;
        if let (Some(taped), Some(sealer)) = (taped, &self.runtime.sealer) {
            making.record(Arc::new(Recorder::new(self, call, &answer, taped, sealer)));
        }
        answer
    }

    /// As [`Self::enter`], with what the guest was told; `None` = there was no instance to tell it.
    async fn enter_taped<C: Call>(
        &self,
        call: &C,
    ) -> (Result<C::Reply, PluginFailure>, Option<Taped>) {
        let allowance = self.factory.budget(C::WORK).starting_now();
        let mut instance = match self.pool.take() {
            Some(instance) => instance,
            None => match Box::pin(self.factory.make(allowance)).await {
                Ok(instance) => instance,
                Err(failure) => return (Err(failure), None),
            },
        };
        instance.record();
        let answer = instance.ask(call, allowance).await;
        let taped = Some(instance.taped());
        match answer {
            Ok(answer) => {
                self.pool.park(instance);
                (answer, taped)
            }
            Err(lost) => (Err(lost), taped),
        }
    }
}
