use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use super::*;

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("admin-token-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("admin.token")
    }

    fn write(&self, content: &str, mode: u32) -> PathBuf {
        fs::write(self.file(), content).unwrap();
        fs::set_permissions(self.file(), Permissions::from_mode(mode)).unwrap();
        self.file()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn the_first_start_makes_a_token_that_only_the_owner_reads() {
    let folder = Folder::new("first");
    let (made, created) = load_or_create(&folder.file()).unwrap();
    assert!(created);
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let text = fs::read_to_string(folder.file()).unwrap();
    let token = text.strip_suffix('\n').unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(token).unwrap().len(), 32);
    assert!(made.matches(token.as_bytes()));

    let (read, created) = load_or_create(&folder.file()).unwrap();
    assert!(!created);
    assert!(read.matches(token.as_bytes()));
    assert!(!read.matches(&token.as_bytes()[1..]) && !read.matches(b""));
}

#[test]
fn two_brokers_have_two_tokens() {
    let (one, two) = (Folder::new("one"), Folder::new("two"));
    load_or_create(&one.file()).unwrap();
    load_or_create(&two.file()).unwrap();
    assert_ne!(fs::read(one.file()).unwrap(), fs::read(two.file()).unwrap());
}

#[test]
fn a_token_that_others_can_use_is_refused() {
    let folder = Folder::new("mode");
    for mode in [0o640, 0o604, 0o620, 0o601] {
        let path = folder.write(&"a".repeat(43), mode);
        let Err(error) = load_or_create(&path) else { panic!("mode {mode:o} was accepted") };
        let sentence = error.to_string();
        let command = format!("chmod 600 {}", path.display());
        assert!(sentence.contains(&command) && sentence.contains(&format!("{mode:04o}")));
    }
    assert!(load_or_create(&folder.write(&"a".repeat(43), 0o400)).is_ok());
}

#[test]
fn what_is_no_token_is_refused_and_left_alone() {
    let folder = Folder::new("content");
    for content in ["", "short", "\n", &"a b".repeat(20), &"ä".repeat(40), &"a".repeat(600)] {
        let path = folder.write(content, 0o600);
        let Err(error) = load_or_create(&path) else { panic!("{content:?} was accepted") };
        assert!(matches!(error, Error::TokenFileContent { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn a_link_to_nowhere_is_not_followed_when_making_the_file() {
    let folder = Folder::new("link");
    let elsewhere = folder.0.join("elsewhere");
    symlink(&elsewhere, folder.file()).unwrap();
    let Err(error) = load_or_create(&folder.file()) else { panic!("the link was followed") };
    assert!(matches!(error, Error::TokenFileContent { .. }), "{error}");
    assert!(!elsewhere.exists());
}

#[test]
fn a_link_to_a_token_is_not_followed_either() {
    let folder = Folder::new("link-to-token");
    let elsewhere = folder.0.join("elsewhere");
    fs::write(&elsewhere, "a".repeat(43)).unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o600)).unwrap();
    symlink(&elsewhere, folder.file()).unwrap();
    let Err(error) = load_or_create(&folder.file()) else { panic!("the link was followed") };
    assert!(error.to_string().contains("is no regular file"), "{error}");
}

#[test]
fn the_token_of_somebody_else_is_refused() {
    let folder = Folder::new("owner");
    let path = folder.write(&"a".repeat(43), 0o600);
    // Only root can give a file away; without that there is nothing to see here.
    if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
        let Err(error) = load_or_create(&path) else { panic!("it was accepted") };
        assert!(error.to_string().contains("belongs to user 12345"), "{error}");
    }
}

#[test]
fn a_missing_folder_is_named() {
    let folder = Folder::new("missing");
    let path = folder.0.join("no").join("admin.token");
    let Err(error) = load_or_create(&path) else { panic!("made in a folder that is not there") };
    assert!(error.to_string().contains("no/admin.token"), "{error}");
}
