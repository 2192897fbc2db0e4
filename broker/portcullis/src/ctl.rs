//! `portcullis ctl`: everything that the admin API does, from a terminal.
//!
//! Most commands are rows of one table (`ctl/commands.rs`): `line.rs` makes the command line of it and a request of what
//! was said there, `send.rs` sends it and follows pages, `show.rs` and `column.rs` write the answer. What is more than
//! one request has a file of its own.

mod backup;
mod column;
mod command;
mod commands;
mod events;
mod line;
mod overview;
mod send;
mod show;
mod terminal;
mod top;

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command as Clap, value_parser};

use self::line::Asked;
pub(crate) use self::{
    column::time,
    events::Lines,
    terminal::{Progress, bar},
};
use crate::{
    api::{Broker, Content, Request},
    cli::BrokerArguments,
    failure::Failure,
};

/// A whole command line behind `ctl`.
pub(crate) struct Invocation {
    broker: BrokerArguments,
    json: bool,
    what: What,
}

/// What shall be done.
enum What {
    Row(Asked),
    Overview,
    Top(top::Wanted),
    Backup(backup::Wanted),
    Api { method: String, path: String, data: Option<String> },
}

impl std::fmt::Debug for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invocation").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl clap::Args for Invocation {
    fn augment_args(line: Clap) -> Clap {
        let json = Arg::new("json").long("json").global(true).action(ArgAction::SetTrue);
        let line = BrokerArguments::augment_args(line)
            .arg(json.help("The JSON of the API as it is, for scripts"))
            .subcommand_required(true)
            .arg_required_else_help(true)
            .disable_help_subcommand(true)
            .subcommand(Clap::new("overview").about("Status, listeners and plugins on one page"))
            .subcommand(top())
            .subcommand(api())
            .subcommand(backup());
        line::subcommands(line)
    }

    fn augment_args_for_update(line: Clap) -> Clap {
        Self::augment_args(line)
    }
}

impl clap::FromArgMatches for Invocation {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let no_command = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, below) = matches.subcommand().ok_or_else(no_command)?;
        let text = |name: &str| below.get_one::<String>(name).cloned();
        let what = match name {
            "overview" => What::Overview,
            "top" => What::Top(top::Wanted {
                every: Duration::from_secs(below.get_one("every").copied().unwrap_or(2)),
                once: below.get_flag("once"),
                json: matches.get_flag("json"),
            }),
            "backup" => What::Backup(backup::Wanted {
                out: below.get_one("out").cloned().ok_or_else(no_command)?,
                secrets: below.get_flag("include-secrets"),
                json: matches.get_flag("json"),
            }),
            "api" => What::Api {
                method: text("method").ok_or_else(no_command)?,
                path: text("path").ok_or_else(no_command)?,
                data: text("data"),
            },
            _ => What::Row(line::read(matches).ok_or_else(no_command)?),
        };
        let broker = BrokerArguments::from_arg_matches(matches)?;
        Ok(Self { broker, json: matches.get_flag("json"), what })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn top() -> Clap {
    let every = Arg::new("every").long("every").value_name("SECONDS").default_value("2");
    let every = every.value_parser(value_parser!(u64).range(1..=3_600));
    let once = Arg::new("once").long("once").action(ArgAction::SetTrue);
    Clap::new("top")
        .about(
            "What the broker does just now, in the whole terminal; q ends it; --json: a line each",
        )
        .arg(every.help("Between two frames"))
        .arg(once.help("One frame as plain text"))
}

fn backup() -> Clap {
    let out = Arg::new("out").long("out").short('o').required(true).value_name("FILE");
    let out = out.value_parser(value_parser!(std::path::PathBuf));
    let secrets = Arg::new("include-secrets").long("include-secrets").action(ArgAction::SetTrue);
    Clap::new("backup")
        .about("Backs the running broker up into a file, and reads it back to see that it is whole")
        .arg(out.help("New file, mode 0600, as backup.tar.gz"))
        .arg(secrets.help("Also keys, administrators, tokens and secrets of the configuration"))
}

fn api() -> Clap {
    let method = Arg::new("method").required(true).value_name("METHOD");
    let path = Arg::new("path").required(true).value_name("PATH");
    let data = Arg::new("data").long("data").value_name("JSON");
    Clap::new("api")
        .about("Any request, for what has no command of its own; prints the answer as it is")
        .arg(method.value_parser(["GET", "POST", "PUT", "DELETE"]).help("Method"))
        .arg(path.help("Path with its query, as /api/v1/status"))
        .arg(data.help("Body in JSON"))
}

/// Does what was asked.
pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { broker, json, what } = invocation;
    let broker = Broker::from(broker);
    match what {
        What::Row(asked) => send::run(&broker, &asked, json).await,
        What::Overview => overview::run(&broker, json).await,
        What::Top(wanted) => top::run(&broker, &wanted).await,
        What::Backup(wanted) => backup::run(&broker, &wanted).await,
        What::Api { method, path, data } => {
            if !path.starts_with('/') {
                return Err(Failure::Usage(format!("{path}: is no path, allowed: /api/v1/...")));
            }
            let request = Request::new(&method, path).with(data.map(Content::json));
            send::raw(&broker, request).await
        }
    }
}

#[cfg(test)]
mod tests;
