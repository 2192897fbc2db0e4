//! What of the file system the process may still use: Landlock, a promise to the kernel that nobody in the process can
//! take back.
//!
//! Before any thread is there, so that it holds for all. Sockets are left alone. What a reload names beyond it cannot be
//! read, and says so.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use rustix::fs::access;
use server::Transport;

use crate::config::{Config, NamedPath, named_paths};

/// What the rules are made for; a kernel that knows less holds what it knows.
const LANDLOCK: ABI = ABI::V5;

/// What every process reads that asks for names, certificates, time zones and itself.
const SYSTEM: [&str; 12] = [
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/devices/system",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/urandom",
    "/dev/random",
];

/// Where certificates of authorities may be, beside the system's own folders.
const CERTIFICATES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Files and folders that stay usable; what is below them as well.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    read: BTreeSet<PathBuf>,
    write: BTreeSet<PathBuf>,
}

impl Places {
    /// What a configuration needs, as it stands now.
    fn of(config: &Config) -> Self {
        let mut places = Self::default();
        places.read.extend(SYSTEM.iter().map(PathBuf::from));
        places.read.extend(CERTIFICATES.iter().filter_map(std::env::var_os).map(PathBuf::from));
        let folder = config.file.parent().map(Path::to_owned);
        match config.admin.edit_config {
            true => places.write.extend(folder),
            false => places.read.extend(folder),
        }
        places.read.extend(config.plugins.file_roots.iter().cloned());
        places.write.insert("/dev/null".into());
        places.write.insert(config.data_dir.clone());
        places.write.insert(config.store.path.clone());
        // Uploads go there, where the operator made it the broker's to write.
        let plugins = &config.plugins.dir.value;
        match access(plugins, rustix::fs::Access::WRITE_OK) {
            Ok(()) => places.write.insert(plugins.clone()),
            Err(_) => places.read.insert(plugins.clone()),
        };
        for listener in &config.listeners {
            if let Transport::Unix { path, .. } = &listener.transport {
                places.write.extend(path.parent().map(Path::to_owned));
            }
        }
        for named in named_paths(&config.file) {
            match named {
                NamedPath::Read(path) => places.read.insert(path),
                NamedPath::Write(path) => places.write.insert(path),
            };
        }
        places.real()
    }

    /// With what symbolic links lead to; the root of everything is no place.
    fn real(self) -> Self {
        let real = |paths: BTreeSet<PathBuf>| -> BTreeSet<PathBuf> {
            let real = paths.into_iter().filter_map(|path| path.canonicalize().ok());
            real.filter(|path| path.parent().is_some()).collect()
        };
        let (read, write) = (real(self.read), real(self.write));
        // What is written is read as well.
        Self { read: &read - &write, write }
    }
}

/// Confines the process, unless the configuration says otherwise. A kernel that cannot is no reason not to serve.
pub(crate) fn confine(config: &Config) {
    if !config.process.landlock {
        tracing::warn!("[process] landlock = false: the process may use every file of its user");
        return;
    }
    let places = Places::of(config);
    match restrict(&places) {
        Ok(RulesetStatus::NotEnforced) => {
            tracing::warn!(
                "this kernel has no Landlock: the process may use every file of its user"
            );
        }
        Ok(status) => {
            CONFINED.get_or_init(|| ());
            let whole = status == RulesetStatus::FullyEnforced;
            let (read, write) = (listed(&places.read), listed(&places.write));
            tracing::info!(read, write, whole, "confined");
        }
        Err(error) => {
            tracing::warn!(%error, "Landlock: the process may use every file of its user");
        }
    }
}

/// Whether a fault that a reload found may be a file that is out of reach.
pub(crate) fn may_cause(fault: &str) -> bool {
    CONFINED.get().is_some() && fault.contains("Permission denied")
}

/// Set when the process gave something up.
static CONFINED: OnceLock<()> = OnceLock::new();

fn restrict(places: &Places) -> Result<RulesetStatus, RulesetError> {
    let all = AccessFs::from_all(LANDLOCK);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    // No program is ever started.
    let write = all & !BitFlags::from(AccessFs::Execute);
    let mut rules = Ruleset::default().handle_access(all)?.create()?;
    for path in &places.read {
        rules = allow(rules, path, read)?;
    }
    for path in &places.write {
        rules = allow(rules, path, write)?;
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// What cannot be opened now is not there, or not to be read anyway.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
    rules.add_rule(PathBeneath::new(opened, access))
}

fn listed(paths: &BTreeSet<PathBuf>) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn places_are_what_the_configuration_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["conf", "data", "keys", "run", "sql"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("keys/secret"), "hush").unwrap();
        fs::write(root.join("sql/users.db"), "").unwrap();
        let file = root.join("conf/p.toml");
        let text = format!(
            "data_dir = \"../data\"\n[[listeners]]\nname = \"u\"\nbind = \"{0}/run/s\"\n\
             transport = \"unix\"\n[secrets.s]\nvalue = \"file:../keys/secret\"\n\
             [sql.db]\nurl = \"sqlite:{0}/sql/users.db\"\n",
            root.display()
        );
        fs::write(&file, &text).unwrap();
        let config = Config::load(&file).unwrap();
        let places = Places::of(&config);
        for (name, read, write) in [
            ("conf", true, false),
            ("keys", true, false),
            ("data", false, true),
            ("run", false, true),
            ("sql", false, true),
        ] {
            let path = root.join(name);
            let found = (places.read.contains(&path), places.write.contains(&path));
            assert_eq!(found, (read, write), "{name}: {places:?}");
        }
        let all: Vec<_> = places.read.iter().chain(&places.write).collect();
        assert!(!all.contains(&&root) && !all.contains(&&PathBuf::from("/")), "{all:?}");
    }
}
