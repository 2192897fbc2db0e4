//! What a process used: time of processors, and memory. And which cores we and others run on.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::param::clock_ticks_per_second;

/// Time of processors that a process has used so far.
#[derive(Debug)]
pub(crate) struct Usage {
    /// Nanoseconds of each thread that still is.
    threads: BTreeMap<u32, u64>,
    /// Of the whole process, with threads that are gone, in coarse steps.
    coarse: Duration,
}

impl Usage {
    /// Of a process.
    pub(crate) fn of(process: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        let tasks = fs::read_dir(format!("/proc/{process}/task"));
        for task in tasks.with_context(|| format!("the broker, process {process}, is gone"))? {
            let task = task?;
            // A thread may end while one looks.
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let used = text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
            let id = task.file_name().to_str().and_then(|name| name.parse().ok());
            threads.extend(id.zip(used));
        }
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let ticks = ticks(&stat).context("what the kernel says of a process")?;
        let coarse = Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64);
        Ok(Self { threads, coarse })
    }

    /// Of ourselves.
    pub(crate) fn ours() -> Result<Self> {
        Self::of(std::process::id())
    }

    /// Seconds since `earlier`. Of a thread that ended in between, what it used is only in the
    /// coarse number.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        let of_thread = |(id, used): (&u32, &u64)| {
            used.saturating_sub(earlier.threads.get(id).copied().unwrap_or_default())
        };
        let fine = self.threads.iter().map(of_thread).sum::<u64>() as f64 / 1e9;
        let coarse = self.coarse.saturating_sub(earlier.coarse).as_secs_f64();
        let step = 2.0 / clock_ticks_per_second() as f64;
        if coarse > fine + step { coarse } else { fine }
    }
}

/// User and system time in `/proc/PID/stat`: behind the name in brackets the 12th and 13th word.
fn ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut words = behind.split(' ').skip(11);
    Some(words.next()?.parse::<u64>().ok()? + words.next()?.parse::<u64>().ok()?)
}

/// Memory that a process holds, in KiB.
pub(crate) fn resident_kib(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.context("what the kernel says of a process's memory")
}

/// A command that runs on these cores only; its process is that of the program.
pub(crate) fn on_cores(cores: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores, program]);
    command
}

/// Lets ourselves run on one core only.
pub(crate) fn pin_ourselves(core: usize) -> Result<()> {
    let ourselves = std::process::id().to_string();
    let mut command = Command::new("taskset");
    command.args(["-p", "-c", &core.to_string(), &ourselves]).stdout(Stdio::null());
    let status = command.status().context("taskset, of util-linux, is missing")?;
    ensure!(status.success(), "this machine has no core {core}: see --generator-core");
    Ok(())
}

/// Waits. There is nothing else to do meanwhile: the bench is one thread.
#[allow(clippy::disallowed_methods, reason = "there is no runtime whose thread it could block")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_a_process_is_found_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 900 0 0 0 12 30 0 0 20 0 1 0 100 1 1";
        assert_eq!(ticks(stat), Some(42));
    }

    #[test]
    fn our_own_work_is_counted() {
        let before = Usage::ours().unwrap();
        let mut number = 1;
        for _ in 0..20_000_000 {
            number = std::hint::black_box(number) * 3_u64 % 1_000_003;
        }
        let used = Usage::ours().unwrap().since(&before);
        assert!(number > 0 && used > 0.001, "{used}");
        assert!(resident_kib(std::process::id()).unwrap() > 100.0);
    }
}
