//! Whom the generator may send load to: a port of this machine's loopback that the broker which it
//! started itself listens on. There is no way to make another [`Target`].

use std::fs;

use anyhow::{Result, bail, ensure};

/// A broker that may be loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    port: u16,
    process: u32,
}

/// The state LISTEN in `/proc/net/tcp`.
const LISTEN: &str = "0A";

impl Target {
    /// The broker on a port of 127.0.0.1, if `started`, or a process that it started, listens there.
    pub(crate) fn of(port: u16, started: u32) -> Result<Self> {
        let Some(process) = listener(port)? else { bail!("nobody listens on port {port}") };
        ensure!(
            descends(process, started),
            "port {port} belongs to process {process}, which the bench did not start"
        );
        Ok(Self { port, process })
    }

    pub(crate) fn port(self) -> u16 {
        self.port
    }

    /// The process that listens.
    pub(crate) fn process(self) -> u32 {
        self.process
    }
}

/// The process that listens on a port; an error if it cannot be found out which.
fn listener(port: u16) -> Result<Option<u32>> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A machine without IPv6 has no second table.
        sockets.extend(listening(&fs::read_to_string(table).unwrap_or_default(), port));
    }
    if sockets.is_empty() {
        return Ok(None);
    }
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes of others do not show their files, and end while one looks.
        let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { continue };
        let held = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        if held.filter_map(|link| link.to_str().map(str::to_owned)).any(|of| sockets.contains(&of))
        {
            return Ok(Some(process));
        }
    }
    bail!("somebody else listens on port {port}")
}

/// Sockets in a table of the kernel that listen on a port, as the links in `/proc/PID/fd` name them.
fn listening(table: &str, port: u16) -> Vec<String> {
    let of_line = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (address, state, inode) = (words.next()?, words.nth(1)?, words.nth(5)?);
        let (_, found) = address.rsplit_once(':')?;
        let ours = state == LISTEN && u16::from_str_radix(found, 16).ok()? == port;
        ours.then(|| format!("socket:[{inode}]"))
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

/// Whether a process is `ancestor` or was started by it, or by one that was.
fn descends(mut process: u32, ancestor: u32) -> bool {
    while process > 1 {
        if process == ancestor {
            return true;
        }
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Behind the name in brackets: the state, then the parent.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        process = parent.and_then(|parent| parent.parse().ok()).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, process};

    use super::*;

    #[test]
    fn the_table_of_the_kernel_is_understood() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                     uid  timeout inode\n   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 \
                     00:00000000 00000000     0        0 31337 1 0 100 0 0 10 0\n   1: \
                     0100007F:4E20 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0 \
                     0 4711 1 0 100 0 0 10 0\n";
        assert_eq!(listening(table, 20_000), ["socket:[31337]"]);
        assert!(listening(table, 20_001).is_empty());
    }

    #[test]
    fn only_a_process_that_was_started_may_be_loaded() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(Target::of(port, process::id()).unwrap().process(), process::id());
        let error = Target::of(port, 1).unwrap_err().to_string();
        assert!(error.contains("did not start"), "{error}");
        let nobody = crate::running::free_port().unwrap();
        let error = Target::of(nobody, process::id()).unwrap_err().to_string();
        assert!(error.contains("nobody listens"), "{error}");
    }
}
