//! Interface `secrets`: names, and the secret itself where the operator allows that.

use super::audit;
use crate::{
    bindings::portcullis::plugin::secrets::{Error, Host},
    instance::State,
};

impl Host for State {
    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.lent.granted.secrets.keys().cloned().collect())
    }

    fn reveal(&mut self, name: String) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let Some(secret) = self.lent.granted.secrets.get(&name) else {
            return Ok(Err(Error::Unknown(name)));
        };
        if !self.lent.grants.reveal.contains(&name) {
            return Ok(Err(Error::NotRevealed(name)));
        }
        let bytes = secret.expose().to_vec();
        audit::revealed(&self.lent, &name);
        Ok(Ok(bytes))
    }
}
