//! Interface `state`: keys and values of a plugin, shared by its instances and generations, kept
//! over restarts.
//!
//! `table.rs` is what is in memory, `log.rs` the file, `stores.rs` who writes it when. A change is
//! answered when it is on the disk: what a plugin was told survives a power cut.

mod log;
mod stores;
mod table;

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use self::stores::{PluginStore, StateStores};
use self::table::{Change, Refused};
use crate::{
    bindings::portcullis::plugin::state::{Entry, Error, Host},
    budget::Stop,
    instance::State,
};

impl Host for State {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Entry>, Error>> {
        let Some(store) = &self.lent.state else { return Ok(Err(not_granted())) };
        Ok(store
            .read(|table| {
                let entry = table.get(&key, now_unix_ms());
                entry.map(|entry| Entry { value: entry.value.clone(), version: entry.version })
            })
            .map_err(Error::Unavailable))
    }

    async fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        self.change(|table, now| table.set(&key, value, expiry(ttl_seconds, now), now)).await
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<Option<u64>, Error>> {
        self.change(|table, now| {
            if table.get(&key, now).map(|entry| entry.version) != expected {
                return Ok(Change::nothing(None));
            }
            table.set(&key, value, expiry(ttl_seconds, now), now).map(|change| change.map(Some))
        })
        .await
    }

    async fn increment(
        &mut self,
        key: String,
        amount: i64,
        ttl_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<i64, Error>> {
        self.change(|table, now| table.increment(&key, amount, expiry(ttl_seconds, now), now)).await
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<bool, Error>> {
        self.change(|table, now| Ok(table.delete(&key, now))).await
    }
}

impl State {
    /// Changes the table in one step and waits until that is on the disk.
    async fn change<T>(
        &mut self,
        change: impl FnOnce(&mut table::Table, u64) -> Result<Change<T>, Refused>,
    ) -> wasmtime::Result<Result<T, Error>> {
        if self.lent.shadow {
            return Ok(Err(Error::Unavailable(super::IN_SHADOW.to_owned())));
        }
        self.meter.before_wait()?;
        let deadline = tokio::time::Instant::from_std(self.meter.deadline());
        let Some(store) = &self.lent.state else { return Ok(Err(not_granted())) };
        let (answer, ticket) = match store.change(|table| change(table, now_unix_ms())) {
            Ok(Ok(changed)) => changed,
            Ok(Err(Refused(sentence))) => return Ok(Err(Error::Quota(sentence))),
            Err(sentence) => return Ok(Err(Error::Unavailable(sentence))),
        };
        match tokio::time::timeout_at(deadline, store.durable(ticket)).await {
            Ok(Ok(())) => Ok(Ok(answer)),
            Ok(Err(sentence)) => Ok(Err(Error::Unavailable(sentence))),
            Err(_) => {
                self.meter.stop(Stop::Deadline);
                Err(wasmtime::Error::msg("the deadline passed in interface state"))
            }
        }
    }
}

fn not_granted() -> Error {
    Error::Unavailable("[grants] state does not grant it".to_owned())
}

/// 0 = never.
fn expiry(ttl_seconds: Option<u32>, now_unix_ms: u64) -> u64 {
    ttl_seconds.map_or(0, |seconds| now_unix_ms.saturating_add(u64::from(seconds) * 1000).max(1))
}

fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
