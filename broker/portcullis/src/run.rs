//! `portcullis run`: the service from the first line of the configuration to the last goodbye.

use std::{hint::black_box, path::Path, time::Duration};

use sd_notify::NotifyState;
use tokio::{sync::mpsc, time::MissedTickBehavior};

use crate::{
    config::Config,
    config_desk::{Reloaded, Request},
    confinement, descriptors,
    failure::Failure,
    hardening,
    service::{self, Service},
    signals::{Signals, Wish},
    watchdog,
};

/// How often readiness is looked at: plugins become live, or fail, without telling anybody here.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often, and by how much, the service manager is asked to wait further while a start is not
/// complete: each 10 s by 60 s, so that a busy machine is not taken for a dead broker.
const LOOKS_PER_EXTENSION: u32 = 40;
const START_EXTENSION_MICROSECONDS: u32 = 60_000_000;

/// How often memory is given back, and a size that the allocator does not take from what it has at
/// hand.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);
const GIVE_BACK_BYTES: usize = 1 << 20;

/// Reads the configuration and gives up what the broker does not need; no other thread may be there yet.
pub(crate) fn prepare(file: &Path) -> Result<Config, Failure> {
    hardening::at_start();
    let config = Config::load_or_report(file)?;
    service::make_folders(&config)?;
    confinement::confine(&config);
    Ok(config)
}

/// Serves until a signal ends it.
pub(crate) async fn run(config: Config) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let service = tokio::select! {
        service = Service::start(config, descriptors::raise_limit()) => service?,
        () = signals.stop() => return Ok(()),
    };
    hardening::after_start();
    serve(service, signals).await;
    Ok(())
}

/// Follows the signals until the service has ended.
pub(crate) async fn serve(mut service: Service, mut signals: Signals) {
    let mut readiness = Readiness::default();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watchdog = watchdog::feed(service.admin_address());
    tokio::pin!(watchdog);
    let mut give_back = tokio::time::interval(GIVE_BACK_EVERY);
    give_back.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watched = true;
    let mut requests = service.take_requests();
    loop {
        tokio::select! {
            () = &mut watchdog, if watched => watched = false,
            wish = signals.next() => match wish {
                Wish::Reload => drop(reload(&mut service, &mut readiness).await),
                Wish::Stop => break,
            },
            Some(reply) = next(&mut requests) => {
                let reloaded = reload(&mut service, &mut readiness).await;
                // Whoever asked may have given up.
                let _ = reply.send(reloaded);
            }
            _ = look.tick() => readiness.look(&mut service),
            _ = give_back.tick() => give_memory_back(),
        }
    }
    tracing::info!("stopping");
    notify(&[NotifyState::Stopping]);
    tokio::select! {
        () = service.stop() => tracing::info!("stopped"),
        () = signals.stop() => tracing::warn!("a second signal: ending at once"),
    }
}

/// What was freed goes back to the kernel when the allocator frees something large, a second or more
/// later. A broker that has become quiet has nothing large: what a storm of logins took would stay, and
/// count as load.
fn give_memory_back() {
    drop(black_box(Vec::<u8>::with_capacity(GIVE_BACK_BYTES)));
}

/// What was said last about whether everything that is configured is there.
#[derive(Default)]
struct Readiness {
    /// The problems that were said; `None` = nothing was said yet.
    said: Option<Vec<String>>,
    /// Whether the service manager knows that the start is complete.
    announced: bool,
    /// Looks before that.
    looks: u32,
    /// Why the last reload changed nothing.
    reload_failed: Option<String>,
}

impl Readiness {
    /// Says what changed since the last look.
    fn look(&mut self, service: &mut Service) {
        let problems = service.plugins().not_ready();
        if !self.announced && !problems.is_empty() {
            self.ask_for_time();
        }
        if self.said.as_ref() == Some(&problems) {
            return;
        }
        for problem in &problems {
            tracing::warn!(problem, "not ready");
        }
        let (listeners, admin) = addresses(service);
        if let Some(token_file) = service.new_token_file() {
            let token_file = token_file.display();
            tracing::info!(
                "first start: there is no password; the token in {token_file} opens http://{admin} \
                 (Authorization: Bearer TOKEN), POST /api/v1/users makes the first user"
            );
        }
        match (problems.as_slice(), self.said.as_deref()) {
            ([], _) => announce(service),
            (_, None) => tracing::warn!(listeners, admin, "serving, but not ready: see /readyz"),
            (_, Some([])) => tracing::warn!(listeners, admin, "no longer ready: see /readyz"),
            (_, Some(_)) => {}
        }
        self.said = Some(problems);
        self.tell();
    }

    /// A start that waits for its operator is no start that hangs: without this the service manager
    /// would kill a process that serves its admin API, and everything else that works.
    fn ask_for_time(&mut self) {
        if self.looks.is_multiple_of(LOOKS_PER_EXTENSION) {
            notify(&[NotifyState::ExtendTimeoutUsec(START_EXTENSION_MICROSECONDS)]);
        }
        self.looks = self.looks.wrapping_add(1);
    }

    /// Tells the service manager. What was ready once stays so for it: it knows no way back, and
    /// the status says what is wrong.
    fn tell(&mut self) {
        let problems = self.said.as_deref().unwrap_or_default();
        self.announced |= problems.is_empty();
        let status = self.status(problems);
        let status = NotifyState::Status(&status);
        if self.announced {
            notify(&[NotifyState::Ready, status]);
        } else {
            notify(&[status]);
        }
    }

    fn status(&self, problems: &[String]) -> String {
        let ready = match problems {
            [] => "ready".to_owned(),
            problems => format!("not ready: {}", problems.join("; ")),
        };
        let status = match &self.reload_failed {
            Some(failed) => format!("{failed} ({ready})"),
            None => ready,
        };
        // A line of its own would be another message to the service manager.
        status.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// Says that everything is up.
fn announce(service: &Service) {
    let (listeners, admin) = addresses(service);
    tracing::info!(listeners, admin, "ready");
    for warning in service.plugins().warnings() {
        tracing::warn!(warning, "ready, but look at this");
    }
}

/// Where it listens, as `NAME=ADDRESS NAME=ADDRESS`, and the address of the admin API.
fn addresses(service: &Service) -> (String, String) {
    let listeners = service.listeners();
    let listeners: Vec<_> = listeners.iter().map(|l| format!("{}={}", l.name, l.address)).collect();
    (listeners.join(" "), service.admin_address().to_string())
}

/// The next who asks for a reload by the admin API.
async fn next(requests: &mut Option<mpsc::Receiver<Request>>) -> Option<Request> {
    requests.as_mut()?.recv().await
}

async fn reload(service: &mut Service, readiness: &mut Readiness) -> Reloaded {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the clock for the service manager cannot be read"),
    }
    let reloaded = service.reload().await;
    readiness.reload_failed = reloaded.as_ref().err().cloned();
    readiness.look(service);
    readiness.tell();
    reloaded
}

/// Without a service manager this does nothing.
pub(crate) fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_one_line_that_says_what_is_wrong() {
        let mut readiness = Readiness::default();
        assert_eq!(readiness.status(&[]), "ready");
        let problems = ["gate: is no\nREADY=1".to_owned(), "mail: is gone".to_owned()];
        let expect = "not ready: gate: is no READY=1; mail: is gone";
        assert_eq!(readiness.status(&problems), expect);
        readiness.reload_failed = Some("the old one stays".to_owned());
        assert_eq!(readiness.status(&[]), "the old one stays (ready)");
    }
}
