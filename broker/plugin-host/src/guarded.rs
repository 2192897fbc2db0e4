//! A guest call as a future that is never cancelled and never panics into the broker.
//!
//! Dropping a call into a guest half way is a class of wasmtime flaws of its own (and loses the
//! store anyway), so a caller that goes away leaves the call to end by itself, inside its deadline,
//! in a task of its own.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use access::{BoxFuture, PluginFailure, PluginFailureKind};

use crate::budget;

/// A guest call in progress.
pub(crate) struct Guarded<T: Send + 'static> {
    call: Option<BoxFuture<'static, Result<T, PluginFailure>>>,
    entered: bool,
    /// In a task of its own already: when that is dropped too, the runtime itself is ending.
    detached: bool,
}

impl<T: Send + 'static> Guarded<T> {
    /// Nothing runs before the first poll.
    pub(crate) fn new(
        call: impl Future<Output = Result<T, PluginFailure>> + Send + 'static,
    ) -> Self {
        Self { call: Some(Box::pin(call)), entered: false, detached: false }
    }
}

impl<T: Send + 'static> Future for Guarded<T> {
    type Output = Result<T, PluginFailure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let first = !std::mem::replace(&mut self.entered, true);
        let Some(call) = self.call.as_mut() else {
            return Poll::Ready(Err(host_failure()));
        };
        if first {
            budget::charge_call_from_here();
        } else {
            budget::charge_from_here();
        }
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result,
            Err(_panic) => Err(host_failure()),
        };
        let call = self.call.take();
        if catch_unwind(AssertUnwindSafe(|| drop(call))).is_err() {
            tracing::error!("the plugin host failed while it cleared up after a call");
        }
        Poll::Ready(result)
    }
}

impl<T: Send + 'static> Drop for Guarded<T> {
    fn drop(&mut self) {
        if !self.entered || self.detached || self.call.is_none() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Self { call: self.call.take(), entered: true, detached: true });
        }
    }
}

fn host_failure() -> PluginFailure {
    PluginFailure {
        kind: PluginFailureKind::Internal,
        message: "the plugin host itself failed during the call; this is a bug".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_cancel_the_call() {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let call = Guarded::new(async move {
            wait.await.ok();
            flag.store(true, Ordering::SeqCst);
            Ok(())
        });
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
        go.send(()).unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_of_the_host_is_a_failure_of_the_call() {
        let call: Guarded<()> = Guarded::new(async { panic!("bug") });
        assert_eq!(call.await.unwrap_err().kind, PluginFailureKind::Internal);
    }
}
