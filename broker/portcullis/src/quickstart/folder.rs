//! The folder of a quickstart: a commented configuration, the demo user, and two plugins with their
//! manifests.
//!
//! A later quickstart puts back what is missing and changes nothing of what is there. Only a folder
//! that is new, empty or made by an earlier quickstart is touched.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{atomic_file, failure::Failure, password_file};

/// The user that the proof connects as.
pub(super) const USER: &str = "demo";

/// The plugins of the box.
const PASSWORD_FILE: &[u8] = include_bytes!("../../../../plugins/prebuilt/password-file.wasm");
const ACL_FILE: &[u8] = include_bytes!("../../../../plugins/prebuilt/acl-file.wasm");

const CONFIG: &str = include_str!("portcullis.toml");
const PASSWORD_FILE_MANIFEST: &str = include_str!("password-file.toml");
const ACL_FILE_MANIFEST: &str = include_str!("acl-file.toml");
const ACL: &str = include_str!("acl.toml");

/// First line of [`CONFIG`]: how a folder of an earlier quickstart is known.
const MARK: &str = "# Written by `portcullis quickstart`.";

/// A folder with everything in it.
pub(super) struct Folder {
    /// Absolute path.
    pub(super) path: PathBuf,
    /// Password of [`USER`].
    pub(super) password: String,
    /// Whether it was made just now.
    pub(super) new: bool,
}

impl Folder {
    /// Makes the folder, or finds that of an earlier quickstart.
    pub(super) fn prepare(dir: &Path) -> Result<Self, Failure> {
        let path =
            std::path::absolute(dir).map_err(|error| Failure::internal(dir.display(), error))?;
        let new = match fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                return Err(Failure::Refused(format!("{}: {error}", path.display())));
            }
        };
        if !new && !is_ours(&path) {
            return Err(Failure::Refused(format!(
                "{} is not empty and was not made by a quickstart; name another folder with --dir",
                path.display()
            )));
        }
        fill(&path).map_err(|error| Failure::internal(path.display(), error))?;
        let password = demo_password(&path)?;
        Ok(Self { path, password, new })
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.path.join("portcullis.toml")
    }

    /// Replaces `acl-file.wasm` by the same component with other bytes: a new generation of the
    /// same rules.
    pub(super) fn replace_acl_file(&self) -> io::Result<()> {
        let file = self.path.join("plugins/acl-file.wasm");
        let current = fs::read(&file)?;
        let mut mark = [0; MARK_BYTES];
        getrandom::fill(&mut mark).map_err(io::Error::other)?;
        atomic_file::replace(&file, &marked(&current, &mark))
    }
}

fn is_ours(path: &Path) -> bool {
    let config = fs::read_to_string(path.join("portcullis.toml"));
    config.is_ok_and(|text| text.starts_with(MARK))
}

/// Writes every file that is not there; the configuration first, so that the folder is known as
/// ours from then on.
fn fill(path: &Path) -> io::Result<()> {
    let plugins = path.join("plugins");
    DirBuilder::new().recursive(true).mode(0o700).create(&plugins)?;
    for folder in [path, &plugins] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    let files = [
        (path.join("portcullis.toml"), CONFIG.as_bytes()),
        (path.join("acl.toml"), ACL.as_bytes()),
        (plugins.join("password-file.toml"), PASSWORD_FILE_MANIFEST.as_bytes()),
        (plugins.join("acl-file.toml"), ACL_FILE_MANIFEST.as_bytes()),
        (plugins.join("password-file.wasm"), PASSWORD_FILE),
        (plugins.join("acl-file.wasm"), ACL_FILE),
    ];
    for (file, content) in files {
        if !file.try_exists()? {
            atomic_file::replace(&file, content)?;
        }
    }
    Ok(())
}

/// The password of the demo user; with a new one, its line in the password file is new too.
fn demo_password(path: &Path) -> Result<String, Failure> {
    let (known, passwords) = (path.join("demo.password"), path.join("passwords"));
    let failed = |error: io::Error| Failure::internal(known.display(), error);
    if passwords.try_exists().map_err(failed)? {
        match fs::read_to_string(&known) {
            Ok(password) => return Ok(password.trim_end().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let password = random_password().map_err(failed)?;
    password_file::set(&passwords, USER, &password_file::hash(password.as_bytes())?, "")?;
    atomic_file::replace(&known, format!("{password}\n").as_bytes()).map_err(failed)?;
    Ok(password)
}

/// 120 random bits that need no quoting in a shell. Never starts with `-`, which would read as an
/// option.
fn random_password() -> io::Result<String> {
    loop {
        let mut bytes = [0; 15];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let password = URL_SAFE_NO_PAD.encode(bytes);
        if !password.starts_with('-') {
            return Ok(password);
        }
    }
}

const MARK_BYTES: usize = 16;
const MARK_NAME: &[u8] = b"portcullis-quickstart";

/// A component with a custom section at its end (which means nothing to anyone) that holds `mark`;
/// one from before is replaced, so that the file does not grow with each quickstart.
fn marked(component: &[u8], mark: &[u8; MARK_BYTES]) -> Vec<u8> {
    let size = 1 + MARK_NAME.len() + MARK_BYTES;
    // Section id 0 = custom, then size and length of the name: both below 128, so one LEB128 byte
    // each.
    let mut head = vec![0, size as u8, MARK_NAME.len() as u8];
    head.extend_from_slice(MARK_NAME);
    let before = component
        .len()
        .checked_sub(head.len() + MARK_BYTES)
        .and_then(|at| component.split_at_checked(at))
        .filter(|(_, section)| section.starts_with(&head))
        .map_or(component, |(before, _)| before);
    [before, &head, mark].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_custom_section_and_replaces_the_one_before() {
        let component = b"\0asm\x0d\0\x01\0".as_slice();
        let first = marked(component, &[1; 16]);
        let second = marked(&first, &[2; 16]);
        assert_eq!(first.len(), component.len() + 2 + 1 + 21 + 16);
        assert_eq!(first.get(8..10), Some([0, 38].as_slice()));
        assert_eq!(first.len(), second.len());
        assert_ne!(first, second);
        assert!(second.starts_with(component));
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused_and_untouched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        assert!(matches!(Folder::prepare(folder.path()), Err(Failure::Refused(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let first = Folder::prepare(&dir).unwrap();
        fs::write(dir.join("acl.toml"), "# mine").unwrap();
        fs::remove_file(dir.join("plugins/acl-file.wasm")).unwrap();
        let again = Folder::prepare(&dir).unwrap();
        assert_eq!(fs::read_to_string(dir.join("acl.toml")).unwrap(), "# mine");
        assert_eq!(fs::read(dir.join("plugins/acl-file.wasm")).unwrap(), ACL_FILE);
        assert!(first.new && !again.new);
        assert_eq!(first.password, again.password);
        for (name, mode) in [("", 0o700), ("passwords", 0o600), ("demo.password", 0o600)] {
            let found = fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, mode, "{name}");
        }
        let config = crate::config::Config::load(&first.config()).unwrap();
        assert_eq!(config.plugins.dir.value, dir.join("plugins"));
        // A list of names would keep out what is dropped into the folder.
        assert_eq!(config.plugins.chain, None);
    }

    #[test]
    fn the_mark_is_the_first_line_of_the_configuration() {
        assert!(CONFIG.starts_with(MARK));
    }
}
