//! Interface `cache-control`: answers that the broker keeps are taken back. Of a candidate in shadow
//! mode nothing is: the functions have no errors, so it does not notice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::Whose;
use parking_lot::Mutex;

use crate::{bindings::portcullis::plugin::cache_control::Host, instance::State, runtime::Runtime};

/// Least time between two times that everybody is asked for anew.
const EVERYBODY_EVERY: Duration = Duration::from_secs(1);

impl Host for State {
    fn invalidate_client(&mut self, client_id: String) -> wasmtime::Result<()> {
        if self.may_take_back()? {
            self.lent.runtime.invalidate(Whose::Client(&client_id));
        }
        Ok(())
    }

    fn invalidate_principal(&mut self, principal: String) -> wasmtime::Result<()> {
        if self.may_take_back()? {
            self.lent.runtime.invalidate(Whose::Principal(&principal));
        }
        Ok(())
    }

    fn invalidate_all(&mut self) -> wasmtime::Result<()> {
        let runtime = &self.lent.runtime;
        if self.may_take_back()?
            && let Some(wait) = runtime.everybody.wait(Instant::now())
        {
            let runtime = Arc::clone(runtime);
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                runtime.everybody.begins();
                runtime.invalidate(Whose::Everybody);
            });
        }
        Ok(())
    }
}

impl State {
    /// Whoever was not granted it is not loaded; who gets here all the same is stopped.
    fn may_take_back(&self) -> wasmtime::Result<bool> {
        match self.lent.grants.cache_control {
            true => Ok(!self.lent.shadow),
            false => Err(wasmtime::Error::msg("cache-control is not granted")),
        }
    }
}

impl Runtime {
    /// Before the broker is up there is nothing to take back.
    fn invalidate(&self, whose: Whose<'_>) {
        if let Some(broker) = self.broker.get() {
            broker.invalidate(whose);
        }
    }
}

/// When everybody is asked for anew.
#[derive(Debug, Default)]
pub(crate) struct Everybody(Mutex<Turn>);

#[derive(Debug, Default)]
struct Turn {
    /// When the last one began, or the next one will.
    at: Option<Instant>,
    /// The next one has not begun.
    waiting: bool,
}

impl Everybody {
    /// How long to wait; `None` = one that has not begun will do.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let mut turn = self.0.lock();
        if turn.waiting {
            return None;
        }
        let next = turn.at.and_then(|at| at.checked_add(EVERYBODY_EVERY)).unwrap_or(now).max(now);
        *turn = Turn { at: Some(next), waiting: true };
        Some(next.saturating_duration_since(now))
    }

    /// Whoever asks from here on needs another one.
    fn begins(&self) {
        self.0.lock().waiting = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_once_a_second_and_nobody_is_lost() {
        let everybody = Everybody::default();
        let now = Instant::now();
        let ms = Duration::from_millis;
        assert_eq!(everybody.wait(now), Some(ms(0)));
        everybody.begins();
        assert_eq!(everybody.wait(now + ms(300)), Some(ms(700)));
        assert_eq!(everybody.wait(now + ms(500)), None, "the one to come will do");
        everybody.begins();
        assert_eq!(everybody.wait(now + ms(1_000)), Some(ms(1_000)));
        everybody.begins();
        assert_eq!(everybody.wait(now + ms(9_000)), Some(ms(0)));
    }
}
