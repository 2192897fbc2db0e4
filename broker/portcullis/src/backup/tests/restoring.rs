//! What restoring leaves behind: the broker of the backup, not a mixture, and nothing half done.

use super::*;
use crate::{config::Config, data_lock::DataLock};

/// A restored copy of the broker beside it.
struct Copy {
    planted: Planted,
    backup: PathBuf,
}

impl Copy {
    fn new(secrets: bool) -> Self {
        let planted = Planted::new();
        planted.fill();
        let backup = planted.backup(secrets);
        let copy = Self { planted, backup };
        copy.restore(false).unwrap();
        copy
    }

    fn at(&self, path: &str) -> PathBuf {
        self.planted.folder.path().join("other").join(path)
    }

    fn restore(&self, force: bool) -> Result<String, String> {
        let config = self.at("portcullis.toml");
        restore::restore(&self.backup, &config, force).map_err(|error| error.to_string())
    }

    fn is_there(&self, path: &str) -> bool {
        self.at(path).exists()
    }
}

/// What was uploaded, set and made after the backup does not stay beside what comes back.
#[test]
fn force_brings_back_what_was_and_nothing_else() {
    let copy = Copy::new(true);
    let later = [
        "plugins/later.wasm",
        "plugins/later.toml",
        "plugins/gate.shadow.wasm",
        "data/plugin-versions/gate/4567/plugin.wasm",
        "data/keys/later.keys",
        "data/plugin-state/later.state",
    ];
    for path in later {
        fs::create_dir_all(copy.at(path).parent().unwrap()).unwrap();
        fs::write(copy.at(path), "later").unwrap();
    }
    // No part of a plugin, and not the broker's state.
    for path in ["plugins/notes.txt", "plugins/other.toml", "data/own.txt"] {
        fs::write(copy.at(path), "own").unwrap();
    }
    fs::remove_file(copy.at("plugins/gate.wasm")).unwrap();
    let refused = copy.restore(false).unwrap_err();
    assert!(refused.contains("--force"), "{refused}");
    assert!(later.iter().all(|path| copy.is_there(path)));
    let told = copy.restore(true).unwrap();
    let aside = told.lines().find_map(|line| line.split_once("what was there before is in "));
    let aside = PathBuf::from(aside.unwrap().1);
    for path in later {
        assert!(!copy.is_there(path), "{path}");
        let kept = aside.join(copy.at(path).strip_prefix("/").unwrap());
        assert_eq!(fs::read_to_string(kept).unwrap(), "later", "{path}");
    }
    for path in ["plugins/notes.txt", "plugins/other.toml", "data/own.txt", "plugins/gate.wasm"] {
        assert!(copy.is_there(path), "{path}");
    }
}

/// A backup without secrets says nothing of keys and tokens: they stay. Users come back without passwords.
#[test]
fn what_a_backup_does_not_tell_of_stays() {
    let copy = Copy::new(false);
    for path in ["data/keys/ring.keys", "data/admin.token", "data/plugin-state/p.state"] {
        assert!(!copy.is_there(path));
        fs::create_dir_all(copy.at(path).parent().unwrap()).unwrap();
        fs::write(copy.at(path), "own").unwrap();
    }
    fs::write(copy.at("data/bans.json"), "later").unwrap();
    let told = copy.restore(true).unwrap();
    for path in ["data/keys/ring.keys", "data/admin.token", "data/plugin-state/p.state"] {
        assert_eq!(fs::read_to_string(copy.at(path)).unwrap(), "own", "{path}");
    }
    assert!(fs::read_to_string(copy.at("data/bans.json")).unwrap().contains("\"bans\""));
    assert!(told.contains("ctl users password NAME --password-file"), "{told}");
    assert!(told.contains("the configuration of the backup was not used"), "{told}");
    let users = fs::read_to_string(copy.at("data/admin/directory.json")).unwrap();
    assert!(users.contains("anna") && users.contains("fitter") && !users.contains(HASH));
}

/// What is there as the archive has it is not written again: the folder may be one that cannot be written. A manifest
/// that says more of what such a backup leaves out is the same.
#[test]
fn what_is_there_already_is_not_touched() {
    use std::os::unix::fs::MetadataExt;
    let copy = Copy::new(false);
    fs::write(copy.at("plugins/gate.toml"), MANIFEST).unwrap();
    let files = ["plugins/gate.wasm", "plugins/gate.toml", "plugins/gate.sig"];
    let inodes = || files.map(|path| fs::metadata(copy.at(path)).unwrap().ino());
    let before = inodes();
    copy.restore(true).unwrap();
    assert_eq!(inodes(), before);
    fs::write(copy.at("plugins/gate.toml"), "order = 6\n").unwrap();
    copy.restore(true).unwrap();
    assert_eq!(fs::read_to_string(copy.at("plugins/gate.toml")).unwrap(), "order = 5\n");
}

/// A version is known by the hash of its manifest too: without comments it is another one, wherever it is named.
#[test]
fn versions_are_in_it_as_what_is_told_of_them() {
    let copy = Copy::new(false);
    let told = "order = 5\n";
    let state = || {
        let text = fs::read_to_string(copy.at("data/plugins-state.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(state(), plugins_state(told));
    let at = |file: &str| copy.at(&format!("{}/{file}", version(told)));
    assert_eq!(fs::read_to_string(at("plugin.wasm")).unwrap(), EARLIER);
    assert_eq!(fs::read_to_string(at("plugin.toml")).unwrap(), told);
    let record = fs::read_to_string(at("version.json")).unwrap();
    assert!(record.contains(&hash_of(EARLIER, told)), "{record}");
    assert!(!at("plugin.sig").exists());
    // Where the manifest stays that has the comments, what is remembered is about that.
    fs::write(copy.at("plugins/gate.toml"), MANIFEST).unwrap();
    copy.restore(true).unwrap();
    let (restored, whole) = (state(), plugins_state(MANIFEST));
    for path in ["/known/gate/predecessor/manifest", "/held/gate/over"] {
        assert_eq!(restored.pointer(path), whole.pointer(path), "{path}");
    }
}

/// Two versions that differ in comments alone are one without them, and what is damaged is none.
#[test]
fn no_version_is_in_it_twice_or_damaged() {
    let planted = Planted::new();
    let keep = |name: &str, manifest: &str| {
        let folder = planted.config.data_dir.join("plugin-versions/gate").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("plugin.toml"), manifest).unwrap();
        fs::write(folder.join("plugin.wasm"), EARLIER).unwrap();
        fs::write(folder.join("version.json"), format!("{{\"version\":\"{name}\"}}")).unwrap();
    };
    let other = "order = 5 # another note\n";
    keep(&hash_of(EARLIER, other), other);
    keep(&"0".repeat(64), other);
    let summary = look_through(&planted.backup(false)).unwrap();
    let versions = summary.files.iter().filter(|file| file.path.ends_with("plugin.wasm"));
    assert_eq!(versions.count(), 1, "{:?}", summary.files);
    let said = &summary.about.left_out;
    let damaged = "versions of plugins to go back to (1): they are damaged";
    assert!(said.iter().any(|what| what.starts_with(damaged)), "{said:?}");
}

/// Whoever could write the archive chose the places in its configuration.
#[test]
fn places_outside_need_a_word_more() {
    let planted = Planted::new();
    let folder = planted.folder.path();
    for (data_dir, plugins) in
        [("../elsewhere", "plugins"), ("data", "../elsewhere"), ("data/../../elsewhere", "plugins")]
    {
        let config = format!(
            "data_dir = \"{data_dir}\"\n[[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n\
             [plugins]\ndir = \"{plugins}\"\n"
        );
        let backup = folder.join("forged.tar.gz");
        fs::write(&backup, archive(&[("portcullis.toml", config.as_bytes())])).unwrap();
        let place = folder.join("other/portcullis.toml");
        let error = restore::restore(&backup, &place, false).unwrap_err().to_string();
        assert!(error.contains("elsewhere") && error.contains("--force"), "{error}");
        assert!(!folder.join("other").exists() && !folder.join("elsewhere").exists());
    }
}

/// Also where no store has a lock.
#[test]
fn a_running_broker_is_left_alone() {
    let planted = Planted::new();
    let backup = planted.backup(false);
    let other = planted.folder.path().join("other");
    fs::create_dir_all(other.join("data")).unwrap();
    let memory = CONFIG.replace("[plugins]", "[store]\ndurability = \"memory\"\n[plugins]");
    fs::write(other.join("portcullis.toml"), memory).unwrap();
    fs::write(other.join("outside.txt"), "x").unwrap();
    let config = Config::load(&other.join("portcullis.toml")).unwrap();
    let lock = DataLock::take(&config.data_dir).unwrap();
    let restore = || restore::restore(&backup, &config.file, true).map_err(|it| it.to_string());
    assert!(restore().unwrap_err().contains("stop it first"));
    drop(lock);
    restore().unwrap();
}
