//! `portcullis doctor`: judges every layer of a broker, configured or running, and says what to mend.
//!
//! `gather/` looks, at files, the system and the admin API; the checks of the layers judge what was found and touch
//! nothing, so that each can be tried with made-up facts. Start reading at [`CHECKS`].

mod application;
mod facts;
mod finding;
mod gather;
mod host;
mod network;
mod passwords;
mod rules;
mod transport;

use std::path::PathBuf;

use self::{
    facts::Facts,
    finding::{Finding, Judgement, Layer, Report, Verdict},
};
use crate::failure::Failure;

/// What is to be judged.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Configuration file [default: /etc/portcullis/portcullis.toml if it is there]
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
    /// Admin API of the running broker, on this machine [default: that of the configuration]
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// File with its token [default: DATA_DIR/admin.token of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(crate) token_file: Option<PathBuf>,
    /// JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// A check: its stable name, where it belongs, and how it judges. `None` = nothing is known to judge.
struct Check {
    id: &'static str,
    layer: Layer,
    judge: fn(&Facts) -> Option<Judgement>,
}

const fn check(id: &'static str, layer: Layer, judge: fn(&Facts) -> Option<Judgement>) -> Check {
    Check { id, layer, judge }
}

/// Every check, in the order in which they are told. `docs/operate/doctor.md` has a row for each.
const CHECKS: &[Check] = &[
    check("config", Layer::Host, host::config),
    check("file-modes", Layer::Host, host::file_modes),
    check("secret-files", Layer::Host, host::secret_files),
    check("user", Layer::Host, host::user),
    check("open-files", Layer::Host, host::open_files),
    check("clock", Layer::Host, host::clock),
    check("disk-space", Layer::Host, host::disk_space),
    check("durability", Layer::Host, host::durability),
    check("landlock", Layer::Host, host::landlock),
    check("listeners-reachable", Layer::Network, network::listeners_reachable),
    check("listeners-public", Layer::Network, network::listeners_public),
    check("proxy-trust", Layer::Network, network::proxy_trust),
    check("backlog", Layer::Network, network::backlog),
    check("syn-cookies", Layer::Network, network::syn_cookies),
    check("tls-certificates", Layer::Transport, transport::certificates),
    check("websocket-origins", Layer::Transport, transport::websocket_origins),
    check("admin-exposed", Layer::Transport, transport::admin_exposed),
    check("metrics-open", Layer::Transport, transport::metrics_open),
    check("broker-running", Layer::Application, application::running),
    check("broker-ready", Layer::Application, application::ready),
    check("chain", Layer::Application, application::chain),
    check("plugins-load", Layer::Application, application::plugins_load),
    check("plugins-signed", Layer::Application, application::plugins_signed),
    check("plugins-grants", Layer::Application, application::plugins_grants),
    check("plugins-fail-open", Layer::Application, application::plugins_fail_open),
    check("allow-loopback", Layer::Application, application::allow_loopback),
    check("password-hashes", Layer::Application, passwords::hashes),
    check("acl-rules", Layer::Application, rules::acl),
    check("admin-roles", Layer::Application, application::admin_roles),
    check("sys-topics", Layer::Application, application::sys_topics),
];

/// Judges and prints; a check that fails is a failed command.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    let facts = gather::all(arguments).await?;
    let report = judge(&facts);
    if json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    match report.count(Verdict::Fail) {
        0 => Ok(()),
        1 => Err(Failure::Refused("1 check fails".to_owned())),
        count => Err(Failure::Refused(format!("{count} checks fail"))),
    }
}

fn judge(facts: &Facts) -> Report {
    let findings = CHECKS.iter().filter_map(|check| {
        let judgement = (check.judge)(facts)?;
        Some(Finding { id: check.id, layer: check.layer, judgement })
    });
    Report { findings: findings.collect() }
}

#[cfg(test)]
mod tests;
