//! Who else could change what decides: owners and modes of folders and files.
//!
//! Who can write the plugin folder lets in whom he likes, and who can write the data folder can put
//! another token there. `run` refuses to start on such a folder, `check` reports more of them.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::{config::Config, failure::Failure};

/// May write: group and others.
pub(crate) const WRITERS: u32 = 0o022;

/// Whose files are trusted beside those of root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User(u32);

impl User {
    /// Who runs this process.
    pub(crate) fn running() -> Self {
        Self(rustix::process::geteuid().as_raw())
    }

    /// Who will run the broker: root may look at the folders of a service, whose user then is the
    /// owner of the data folder.
    pub(crate) fn of_service(data_dir: &Path) -> Self {
        let running = Self::running();
        match fs::metadata(data_dir) {
            Ok(metadata) if running.0 == 0 => Self(metadata.uid()),
            _ => running,
        }
    }

    fn owns(self, metadata: &Metadata) -> bool {
        [0, self.0].contains(&metadata.uid())
    }
}

/// Refuses to start on folders and a token that others can change. Both folders are looked at
/// themselves, not what is above them.
pub(crate) fn at_start(config: &Config) -> Result<(), Failure> {
    let problems = folders(config, User::running());
    if problems.is_empty() { Ok(()) } else { Err(Failure::Refused(problems.join("\n"))) }
}

/// What is wrong with the folders and the token; what is not there has nothing wrong.
pub(crate) fn folders(config: &Config, user: User) -> Vec<String> {
    [&config.data_dir, &config.plugins.dir.value, &config.store.path]
        .into_iter()
        .flat_map(|folder| problems(folder, WRITERS, user))
        .chain(token(&config.data_dir.join("admin.token"), user))
        .collect()
}

/// Who has the token is an admin.
fn token(path: &Path, user: User) -> Vec<String> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            vec![format!("{}: is no regular file; delete it to have one made", path.display())]
        }
        _ => problems(path, 0o077, user),
    }
}

/// What is wrong with owner and mode of `path`, a sentence each.
pub(crate) fn problems(path: &Path, forbidden: u32, user: User) -> Vec<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![format!("{}: {error}", path.display())],
    };
    let mut found = Vec::new();
    let path = path.display();
    if !user.owns(&metadata) {
        let (owner, user) = (metadata.uid(), user.0);
        found.push(format!(
            "{path}: owner {owner}: can change it and is neither root nor the user of the broker, \
             allowed: 0 or {user}"
        ));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden != 0 {
        let can = match (mode & forbidden & 0o007, mode & WRITERS) {
            (0, 0) => "its group can use it",
            (0, _) => "its group can write it",
            (_, 0) => "everybody can use it",
            (_, _) => "everybody can write it",
        };
        let allowed = mode & !forbidden;
        found.push(format!(
            "{path}: mode {mode:04o}: {can}, allowed: {allowed:04o} (chmod {allowed:o} {path})"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// (folder, configuration with `data` and `plugins` in it)
    fn folder() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "plugins"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            set_mode(&folder.path().join(name), 0o755);
        }
        let text = "data_dir = \"data\"\n[plugins]\ndir = \"plugins\"\n[[listeners]]\n\
                    name = \"mqtt\"\nbind = \"127.0.0.1:0\"\n";
        let config = Config::parse(&folder.path().join("p.toml"), text, &|_| None).unwrap();
        (folder, config)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn folders_that_others_can_write_are_refused() {
        let (folder, config) = folder();
        assert!(at_start(&config).is_ok());
        for name in ["data", "plugins"] {
            let path = folder.path().join(name);
            for (mode, can) in [(0o775, "its group can write it"), (0o757, "everybody can")] {
                set_mode(&path, mode);
                let refused = at_start(&config).unwrap_err().to_string();
                let expect = format!("{}: mode 0{mode:o}: {can}", path.display());
                assert!(refused.starts_with(&expect), "{refused}");
                assert!(refused.contains("allowed: 0755 (chmod 755 "), "{refused}");
            }
            set_mode(&path, 0o755);
        }
    }

    #[test]
    fn a_token_is_a_private_regular_file() {
        let (folder, config) = folder();
        let token = folder.path().join("data/admin.token");
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::write(&token, "t").unwrap();
            set_mode(&token, mode);
            assert_eq!(at_start(&config).is_ok(), good, "{mode:o}");
            fs::remove_file(&token).unwrap();
        }
        fs::write(folder.path().join("elsewhere"), "t").unwrap();
        set_mode(&folder.path().join("elsewhere"), 0o600);
        std::os::unix::fs::symlink("../elsewhere", &token).unwrap();
        assert!(at_start(&config).unwrap_err().to_string().contains("is no regular file"));
    }

    #[test]
    fn only_root_and_the_user_of_the_broker_own_what_decides() {
        let (folder, _) = folder();
        let owner = fs::metadata(folder.path()).unwrap().uid();
        assert_eq!(problems(folder.path(), WRITERS, User(owner)), Vec::<String>::new());
        // As root, the files of these tests are root's, which every broker trusts.
        if owner != 0 {
            let [problem] = problems(folder.path(), WRITERS, User(owner + 1)).try_into().unwrap();
            assert!(problem.contains(&format!("owner {owner}: can change it")), "{problem}");
        } else if std::os::unix::fs::chown(folder.path(), Some(1), None).is_ok() {
            let [problem] = problems(folder.path(), WRITERS, User(0)).try_into().unwrap();
            assert!(problem.contains("owner 1: can change it"), "{problem}");
            assert_eq!(User::of_service(folder.path()), User(1));
        }
    }

    #[test]
    fn what_is_not_there_has_no_wrong_mode() {
        let none = Path::new("/nowhere/at/all");
        assert_eq!(problems(none, WRITERS, User::running()), Vec::<String>::new());
    }
}
