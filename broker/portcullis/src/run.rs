//! `portcullis run`: the service from the first line of the configuration to the last goodbye.

use std::path::Path;

use sd_notify::NotifyState;

use crate::{
    config::Config,
    descriptors,
    failure::Failure,
    service::Service,
    signals::{Signals, Wish},
};

/// Serves until a signal ends it.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let config = Config::load_or_report(file)?;
    let mut signals = Signals::new()?;
    let service = tokio::select! {
        service = Service::start(config, descriptors::raise_limit()) => service?,
        () = signals.stop() => return Ok(()),
    };
    announce(&service);
    serve(service, signals).await;
    Ok(())
}

/// Follows the signals until the service has ended.
pub(crate) async fn serve(mut service: Service, mut signals: Signals) {
    while signals.next().await == Wish::Reload {
        reload(&mut service).await;
    }
    tracing::info!("stopping");
    notify(&[NotifyState::Stopping]);
    tokio::select! {
        () = service.stop() => tracing::info!("stopped"),
        () = signals.stop() => tracing::warn!("a second signal: ending at once"),
    }
}

/// Tells that everything is up, or what is not.
fn announce(service: &Service) {
    let listeners = service.listeners();
    let listeners: Vec<_> =
        listeners.iter().map(|(name, address)| format!("{name}={address}")).collect();
    let listeners = listeners.join(" ");
    let admin = service.admin_address();
    let not_ready = service.plugins().not_ready();
    if not_ready.is_empty() {
        tracing::info!(listeners, %admin, "ready");
    } else {
        for problem in &not_ready {
            tracing::warn!(problem, "not ready");
        }
        tracing::warn!(listeners, %admin, "serving, but not ready: see /readyz");
    }
    for warning in service.plugins().warnings() {
        tracing::warn!(warning, "ready, but look at this");
    }
    notify(&[NotifyState::Ready]);
}

async fn reload(service: &mut Service) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the clock for the service manager cannot be read"),
    }
    service.reload().await;
    notify(&[NotifyState::Ready]);
}

/// Without a service manager this does nothing.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
