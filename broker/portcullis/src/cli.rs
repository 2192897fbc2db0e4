//! The command line: commands and their arguments, nothing of what they do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    api::Broker, ctl, doctor, import::hivemq::PasswordType, logging::LogFormat,
    plugin::new::Language, scram,
};

/// An MQTT 3.1.1 and 5.0 broker whose gate is WebAssembly.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 ok, 1 refused input, 2 usage, 70 internal.")]
pub(crate) struct CommandLine {
    /// Form of the log on standard error [default: human on a terminal, json otherwise]
    #[arg(long, global = true, value_enum)]
    pub(crate) log_format: Option<LogFormat>,

    /// Level, or directives such as info,server=debug [default: info; quickstart and plugin test warn, check error]
    #[arg(long, global = true)]
    pub(crate) log_level: Option<String>,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set up a broker with a demo user in a folder of its own, start it and prove that it works
    Quickstart {
        /// Folder to use: a new or empty one, or that of an earlier quickstart
        #[arg(long, default_value = "portcullis-data")]
        dir: PathBuf,
        /// Exit after the proof, on free ports: 0 = every step was seen, 1 = one was not
        #[arg(long)]
        once: bool,
    },
    /// Run the broker until SIGTERM or SIGINT; SIGHUP reads the configuration again
    Run {
        /// Configuration file
        #[arg(long, short)]
        config: PathBuf,
    },
    /// Check configuration, plugins and file modes without starting anything
    Check {
        /// Configuration file
        #[arg(long, short)]
        config: PathBuf,
    },
    /// Judge every layer of a broker, configured or running, and say what to mend; exit code 1 if a check fails
    Doctor(doctor::Arguments),
    /// Write a line for USER into a password file: argon2id, or what SCRAM stores
    Passwd {
        /// Password file; made with mode 0600 when there is none
        file: PathBuf,
        /// User name
        user: String,
        /// Delete the user instead
        #[arg(short = 'D', long, conflicts_with = "scram")]
        delete: bool,
        /// For the plugin scram: the method that the line is for
        #[arg(long, value_enum, value_name = "METHOD")]
        scram: Option<scram::Method>,
        /// With --scram: how often a guess has to be hashed, and a client hashes its password
        #[arg(long, requires = "scram", default_value_t = scram::ITERATIONS,
              value_parser = clap::value_parser!(u32).range(4_096..=1_000_000))]
        iterations: u32,
    },
    /// Look at the rules of the plugin acl-file
    #[command(subcommand)]
    Acl(AclCommand),
    /// Bring users and permissions over from other brokers; exit code 1 if something was left behind
    #[command(subcommand)]
    Import(ImportCommand),
    /// Make, build, check, test and install plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Look at the audit log of the admin API
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Everything that the admin API of a running broker does: look, explain, change
    Ctl(ctl::Invocation),
    /// Look at backups, as `portcullis ctl backup` makes them
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Bring a backup back, for a broker that does not run; then check its configuration
    Restore {
        /// Backup
        file: PathBuf,
        /// Configuration of the broker; that of the backup is put there when there is none
        #[arg(long, short)]
        config: PathBuf,
        /// Also into a data_dir that is not empty; what is replaced is moved aside
        #[arg(long)]
        force: bool,
    },
    /// Print what completes command lines in a shell, to be sourced by it
    Completions {
        /// Shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command
    Man {
        /// Folder for them; made when it is not there
        dir: PathBuf,
    },
    /// Show, add, rotate and retire the keys that plugins seal with; make those of devices
    #[command(subcommand)]
    Keys(KeysCommand),
}

/// What can be done with an audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Follow the chain of hashes through all its files; exit code 1 names the first line that was changed
    Verify {
        /// Folder of the log: DATA_DIR/audit
        dir: PathBuf,
    },
}

/// What can be done with backups.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Read a backup from the first byte to the last; exit code 1 if it is not whole
    Verify {
        /// Backup
        file: PathBuf,
    },
}

/// What can be done with a file of rules.
#[derive(Debug, Subcommand)]
pub(crate) enum AclCommand {
    /// Say which rules never act, let everybody do everything, or are no rules; exit code 1 if there are any
    Lint {
        /// File of rules, as [files] acl of the manifest names it
        file: PathBuf,
        /// JSON instead of lines
        #[arg(long)]
        json: bool,
    },
}

/// What can be brought over.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// acl_file of mosquitto into rules of acl-file
    MosquittoAcl {
        /// acl_file of mosquitto.conf
        file: PathBuf,
        /// New file of rules [default: standard output]
        #[arg(long, short)]
        output: Option<PathBuf>,
        /// Principal that gets the rules of clients without User Name [default: they are left out]
        #[arg(long, value_name = "USER")]
        anonymous_as: Option<String>,
    },
    /// password_file of mosquitto into one of the plugin password-file
    MosquittoPasswd {
        /// password_file of mosquitto.conf
        file: PathBuf,
        /// New password file [default: standard output]
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// credentials.xml of HiveMQ's File RBAC extension into rules and a password file
    HivemqRbac {
        /// credentials.xml
        file: PathBuf,
        /// New file of rules
        #[arg(long)]
        acl: PathBuf,
        /// New password file
        #[arg(long)]
        passwords: PathBuf,
        /// password-type of extension-config.xml
        #[arg(long, value_enum, default_value_t = PasswordType::Hashed)]
        password_type: PasswordType,
    },
}

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Make a plugin project to start from
    New {
        /// Language of the project
        #[arg(long, value_enum)]
        lang: Language,
        /// Name of the plugin
        name: String,
        /// Folder to make [default: NAME]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Build a plugin project in Rust or Go into a component NAME.wasm
    Build {
        /// Folder with the Cargo.toml or go.mod of the plugin
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// File to write [default: NAME.wasm in DIR]
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Show hooks, imports, size and the grants that a plugin needs
    Check {
        /// Component, or core module with its component type
        file: PathBuf,
    },
    /// Make a key pair to sign plugins with: KEY (private, mode 0600) and KEY.pub
    Keygen {
        /// File for the private key
        key: PathBuf,
    },
    /// Sign a plugin and its manifest: writes NAME.sig beside NAME.wasm
    Sign {
        /// NAME.wasm; NAME.toml beside it, if there is one, is signed with it
        file: PathBuf,
        /// Private key in PEM
        #[arg(long)]
        key: PathBuf,
    },
    /// Ask plugins again what they were asked in recorded decisions: do they answer the same?
    Replay {
        /// Configuration of the broker that recorded them
        #[arg(long, short)]
        config: PathBuf,
        /// Answers of GET /api/v1/decisions/ID/recording
        #[arg(required = true, value_name = "FILE")]
        recordings: Vec<PathBuf>,
    },
    /// Show the plugins of a running broker
    List {
        /// Which broker.
        #[command(flatten)]
        broker: BrokerArguments,
    },
    /// Store a component in a running broker and wait until it is live; its manifest stays as it is
    Push {
        /// Component
        file: PathBuf,
        /// Name of the plugin [default: that of FILE without .wasm]
        #[arg(long)]
        name: Option<String>,
        /// Which broker.
        #[command(flatten)]
        broker: BrokerArguments,
    },
    /// Ask a plugin without a broker and compare its answers with what a file expects
    Test {
        /// Component; its manifest NAME.toml counts if it lies beside
        file: PathBuf,
        /// Cases [default: NAME.cases.toml beside the component]
        #[arg(long)]
        cases: Option<PathBuf>,
        /// Ask every hook N random questions as well
        #[arg(long, value_name = "N")]
        fuzz: Option<u64>,
        /// What the random questions follow from [default: a new one, printed]
        #[arg(long, requires = "fuzz")]
        seed: Option<u64>,
    },
}

/// What can be done with key rings, `[keys.NAME]` of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Show the rings of a running broker and the numbers of their keys
    List {
        /// Which broker.
        #[command(flatten)]
        broker: BrokerArguments,
    },
    /// Add a key to a managed ring; it only opens until the ring is rotated to it
    Add {
        /// Name of the ring
        ring: String,
        /// Number of the key [default: the next]
        #[arg(long)]
        id: Option<u32>,
        /// File with 32 bytes in base64 [default: the broker makes a random key]
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
        /// Which broker.
        #[command(flatten)]
        broker: BrokerArguments,
    },
    /// Seal with a new key, or with one that was added, from now on; the others go on opening
    Rotate {
        /// Name of the ring
        ring: String,
        /// Number of a key that was added [default: a new one]
        #[arg(long)]
        id: Option<u32>,
        /// Which broker.
        #[command(flatten)]
        broker: BrokerArguments,
    },
    /// Delete a key: what was sealed with it is not opened any more
    Retire {
        /// Name of the ring
        ring: String,
        /// Number of the key
        id: u32,
        /// Which broker.
        #[command(flatten)]
        broker: BrokerArguments,
    },
    /// Print the key of a device, NUMBER and 32 bytes in base64: a secret, for the device alone
    Derive {
        /// Configuration of the broker
        #[arg(long, short)]
        config: PathBuf,
        /// Name of the ring
        ring: String,
        /// Name of the device, as the plugin has it: its client identifier or its principal
        device: String,
        /// Number of the ring's key [default: the one that seals]
        #[arg(long)]
        id: Option<u32>,
    },
    /// Print the topic that stands for another one, for a device that shall not tell it
    Pseudonym {
        /// Configuration of the broker
        #[arg(long, short)]
        config: PathBuf,
        /// Name of the secret, [secrets.NAME]
        secret: String,
        /// The real topic
        topic: String,
        /// What pseudonyms begin with
        #[arg(long, default_value = "p")]
        prefix: String,
    },
}

/// The admin API of a running broker.
#[derive(Debug, Args)]
pub(crate) struct BrokerArguments {
    /// Admin API, on this machine [default: PORTCULLIS_URL, or http://127.0.0.1:9883]
    #[arg(long, global = true)]
    pub(crate) url: Option<String>,
    /// File with its token, DATA_DIR/admin.token [default: the token in PORTCULLIS_TOKEN, or
    /// /var/lib/portcullis/admin.token]
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) token_file: Option<PathBuf>,
}

impl From<BrokerArguments> for Broker {
    fn from(arguments: BrokerArguments) -> Self {
        Self::new(arguments.url, arguments.token_file)
    }
}
