//! One broker that runs: started in a folder of its own, on a free port, on its core, and stopped by
//! its process id.

use std::{
    collections::hash_map::RandomState,
    fs::{self, File},
    hash::BuildHasher,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    description::{Description, Place},
    load::{Approach, Session},
    process::{on_cores, pause},
    target::Target,
    webhook::Webhook,
};

/// A broker that serves.
pub(crate) struct Running {
    child: Child,
    pub(crate) target: Target,
    /// From its start to the first client that was let in.
    pub(crate) start: Duration,
    /// What it asks, if it asks anybody.
    _webhook: Option<Webhook>,
}

/// What is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) description: &'a Description,
    pub(crate) program: &'a Path,
    pub(crate) variant: &'a str,
    pub(crate) folder: &'a Path,
    /// As taskset wants them.
    pub(crate) cores: &'a str,
}

/// Ports that nobody is given who did not ask for one: below the ephemeral ones.
const PORTS: std::ops::Range<u16> = 15_000..30_000;
const LOG: &str = "output.log";
/// A broker that serves nobody after this long does not start.
const START: Duration = Duration::from_secs(180);
const STOP: Duration = Duration::from_secs(30);

impl Running {
    /// Starts it and waits until it lets a client in.
    pub(crate) fn start(start: Start<'_>, approach: &Approach) -> Result<Self> {
        let webhook = (start.variant == "webhook").then(Webhook::start).transpose()?;
        let place = Place {
            folder: start.folder,
            port: free_port()?,
            admin_port: free_port()?,
            webhook_port: webhook.as_ref().map_or(0, Webhook::port),
        };
        let argv = start.description.prepare(start.program, start.variant, place)?;
        let (program, arguments) = argv.split_first().context("a command")?;
        let log = File::create(start.folder.join(LOG))?;
        let mut command = on_cores(start.cores, program);
        command.args(arguments).current_dir(start.folder).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let began = Instant::now();
        let mut child = command.spawn().context("taskset, of util-linux, is missing")?;
        match serves(&mut child, place.port, approach, began) {
            Ok(target) => Ok(Self { child, target, start: began.elapsed(), _webhook: webhook }),
            Err(error) => {
                end(&mut child);
                let said = fs::read_to_string(start.folder.join(LOG)).unwrap_or_default();
                let lines: Vec<_> = said.lines().rev().take(5).collect();
                Err(error.context(format!("it does not start: {lines:?}")))
            }
        }
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > STOP {
                bail!("the broker does not end");
            }
            pause(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills what still runs; both calls fail only for a child that has ended.
fn end(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        drop(child.kill());
        drop(child.wait());
    }
}

fn serves(child: &mut Child, port: u16, approach: &Approach, began: Instant) -> Result<Target> {
    loop {
        let error = match Target::of(port, child.id()).and_then(|target| {
            Session::new(target, approach.clone())?.knock()?;
            Ok(target)
        }) {
            Ok(target) => return Ok(target),
            Err(error) => error,
        };
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}");
        }
        if began.elapsed() > START {
            return Err(error.context(format!("nobody was let in for {START:?}")));
        }
        pause(Duration::from_millis(5));
    }
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    for attempt in 0..200 {
        let place = RandomState::new().hash_one(attempt) % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + place as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {} to {}", PORTS.start, PORTS.end)
}
