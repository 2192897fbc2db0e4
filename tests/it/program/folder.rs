//! The folder of one broker: configuration, plugins, and the files that these read.
//!
//! ```text
//! portcullis.toml   acl.toml   passwords   plugins/NAME.wasm   plugins/NAME.toml   data/
//! ```

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::process::root;

/// Users of [`Folder::bundled`]; the hashes are mosquitto's, with few rounds: tests log in often.
pub(super) const ALICE: (&str, &str) = ("alice", "open sesame");
pub(super) const BOB: (&str, &str) = ("bob", "bob's own");

/// Their password file.
pub(super) const PASSWORDS: &str = "\
# Two users.
alice:$7$101$cG9ydGN1bGxpcy1h$7VgJqOTojpNK6/ko0wjNyD7rYjwrTELUUZUQxH2RsIeW5Bj8vLyLpwGwqjI+8gqhf3WVeYtzX7nkSHvNQbrmTg==
bob:$7$101$cG9ydGN1bGxpcy1i$836ntn1PSC1ou7VK0yEIHVpehqbktC+LSryX53CKDdfrPGCtlPOM21an4cHNlyRboW/uL1qoRmW9hzDKjtNbCQ==
";

/// What they may do: anything below `free/`, nothing below `free/secret/`.
pub(super) const ACL: &str = r##"
[[rules]]
deny = "all"
topic = "free/secret/#"

[[rules]]
allow = "all"
topic = "free/#"
"##;

/// A folder with a configuration.
pub(super) struct Folder {
    dir: TempDir,
}

impl Folder {
    /// No plugins; one listener `mqtt`.
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(dir.path().join("plugins")).expect("a plugin folder");
        let folder = Self { dir };
        folder.configure("[[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n");
        folder
    }

    /// `password-file` and `acl-file` with [`PASSWORDS`] and [`ACL`].
    pub(super) fn bundled() -> Self {
        let folder = Self::new();
        folder.write("passwords", PASSWORDS);
        folder.write("acl.toml", ACL);
        folder.write("plugins/password-file.toml", "[files]\npasswords = \"../passwords\"\n");
        folder.write("plugins/acl-file.toml", "order = 200\n[files]\nacl = \"../acl.toml\"\n");
        for name in ["password-file", "acl-file"] {
            folder.install(name, &bundled(name));
        }
        folder
    }

    /// Where it is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.path("portcullis.toml")
    }

    /// Writes the configuration: `data_dir`, a free port for the admin API, and `more`.
    pub(super) fn configure(&self, more: &str) {
        let common = "[plugins]\ndir = \"plugins\"\n[admin]\nbind = \"127.0.0.1:0\"\n";
        self.write("portcullis.toml", format!("data_dir = \"data\"\n{more}\n{common}"));
    }

    /// Adds tables to the configuration.
    pub(super) fn configure_more(&self, more: &str) {
        let config = fs::read_to_string(self.config()).expect("the configuration can be read");
        self.write("portcullis.toml", format!("{config}\n{more}"));
    }

    /// Writes a file in one step: nobody sees half of it.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let beside = self.path("being-written");
        fs::write(&beside, content).expect("a file can be written");
        let private = Permissions::from_mode(0o640);
        fs::set_permissions(&beside, private).expect("an own file's mode can be set");
        fs::rename(&beside, &path).expect("a file can be renamed");
    }

    /// Puts a component into the plugin folder.
    pub(super) fn install(&self, name: &str, wasm: &[u8]) {
        self.write(&format!("plugins/{name}.wasm"), wasm);
    }

    /// Puts a component and its manifest into the plugin folder.
    pub(super) fn install_with(&self, name: &str, wasm: &[u8], manifest: &str) {
        self.write(&format!("plugins/{name}.toml"), manifest);
        self.install(name, wasm);
    }
}

/// The committed component of a bundled plugin.
pub(super) fn bundled(name: &str) -> Vec<u8> {
    component(&root().join("plugins/prebuilt"), name)
}

/// The committed component of a guest of the tests.
pub(super) fn guest(name: &str) -> Vec<u8> {
    component(&guests(), name)
}

/// Where the components of the guests are.
pub(super) fn guests() -> PathBuf {
    root().join("tests/guests/prebuilt")
}

fn component(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The same component with other bytes, and so of another generation: a custom section at the end.
pub(super) fn another_build(component: &[u8], nonce: u32) -> Vec<u8> {
    // Section id 0 = custom; lengths below 128 are one LEB128 byte each.
    let name = b"nonce";
    let mut build = component.to_owned();
    build.extend_from_slice(&[0, 1 + 5 + 4, 5]);
    build.extend_from_slice(name);
    build.extend_from_slice(&nonce.to_le_bytes());
    build
}
