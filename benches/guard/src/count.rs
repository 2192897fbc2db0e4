//! Counting instructions: this program runs itself under valgrind, which counts only while the work is
//! done.

use std::{env, hint::black_box, io::ErrorKind, process::Command};

use anyhow::{Context, Result, bail, ensure};

/// Does the work. Valgrind begins to count where this function begins, and ends with it.
#[inline(never)]
pub(crate) fn measured(work: &mut dyn FnMut() -> usize) -> usize {
    black_box(work)()
}

/// The name by which valgrind knows it.
const MEASURED: &str = "--toggle-collect=*count::measured*";
/// Copies of memory as every x86-64 processor makes them, not as the newest do.
const TUNABLES: (&str, &str) =
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-ERMS,-FSRM");

/// Instructions that a piece of work takes.
pub(crate) fn instructions(name: &str) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    command.arg(MEASURED).arg(env::current_exe()?).args(["run", name]);
    command.env(TUNABLES.0, TUNABLES.1);
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("valgrind is missing; run: apt-get install valgrind")
        }
        output => output.context("valgrind does not run")?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} under valgrind: {said}");
    let count = collected(&said).filter(|count| *count > 0);
    count.with_context(|| format!("valgrind does not say what it counted: {said}"))
}

/// The number behind `Collected :`.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?.1;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("==7== nothing"), None);
    }
}
