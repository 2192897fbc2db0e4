//! Whatever is done to an archive, it is whole or refused by name; what is restored is what was backed up; what is secret
//! is in it only where it was asked for.

use std::{
    fs::{self, File},
    io::{Cursor, Read},
    path::PathBuf,
    sync::Arc,
};

use admin::{BackupError, BackupMaker};
use codec::QoS;
use flate2::read::GzDecoder;
use store::{
    FileStore, KeptIdentity, KeptSession, KeptSubscription, MessageRef, Options, Owed, Retained,
    Store,
};

use super::{archive::Writer, *};
use crate::{config::Config, keys::Rings};

mod restoring;

fn about() -> About {
    About {
        format: FORMAT,
        version: "1".to_owned(),
        created_unix: 7,
        secrets: false,
        left_out: Vec::new(),
    }
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::begin(&mut bytes, &about()).unwrap();
    for (path, content) in files {
        writer.bytes(path, content).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn look(bytes: &[u8]) -> io::Result<Summary> {
    archive::read(Cursor::new(bytes), &mut |_, content| {
        io::copy(content, &mut io::sink()).map(drop)
    })
}

#[test]
fn every_byte_that_is_changed_is_noticed() {
    let whole = archive(&[("data/bans.json", b"{}"), ("store/log/1", &[7; 700])]);
    let summary = look(&whole).unwrap();
    let names: Vec<_> = summary.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["portcullis-backup.json", "data/bans.json", "store/log/1"]);
    for at in 0..whole.len() {
        for bit in [0x01, 0x10, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            assert!(look(&changed).is_err(), "byte {at}");
        }
        assert!(look(&whole[..at]).is_err(), "{at} bytes of it");
    }
    for more in [&b"\0"[..], b"x", &whole] {
        assert!(look(&[&whole, more].concat()).is_err(), "more behind it");
    }
}

/// What another program made, as long as if it were sealed: what is in it is seen before that is missed.
fn other_tar(fill: impl FnOnce(&mut tar::Builder<flate2::write::GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let gzip = flate2::GzBuilder::new().mtime(0).operating_system(255);
    let mut tar = tar::Builder::new(gzip.write(Vec::new(), flate2::Compression::fast()));
    fill(&mut tar);
    let mut bytes = tar.into_inner().unwrap().finish().unwrap();
    bytes.extend([0; 85]);
    bytes
}

/// A name in an entry of its own says itself how long it is, before there is any sum.
#[test]
fn names_have_a_bound() {
    let named = |names: &[u64]| {
        let bytes = other_tar(|tar| {
            for bytes in names {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::GNULongName);
                header.set_path("././@LongLink").unwrap();
                header.set_size(*bytes);
                header.set_cksum();
                tar.append(&header, io::repeat(b'n').take(*bytes)).unwrap();
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            tar.append_data(&mut header, "data/x", io::empty()).unwrap();
        });
        look(&bytes).unwrap_err().to_string()
    };
    let error = named(&[64 << 20]);
    assert_eq!(error, "holds a name of 67108864 bytes, allowed: at most 4096");
    assert!(named(&[4097]).starts_with("holds a name of 4097 bytes"));
    assert_eq!(named(&[4096]), "does not begin with what it is", "that is wrong with it then");
    assert_eq!(named(&[1, 1]), "holds two names for one file");
}

/// What is wrong is named also where every sum is right.
#[test]
fn archives_that_are_made_up_are_refused() {
    let mut other = About { format: 2, ..about() };
    let made = |about: &About| {
        let mut bytes = Vec::new();
        Writer::begin(&mut bytes, about).unwrap().finish().unwrap();
        look(&bytes).map(drop)
    };
    let error = made(&other).unwrap_err().to_string();
    assert_eq!(error, "has format 2; this program reads format 1 only");
    other.format = FORMAT;
    made(&other).unwrap();
    let mut writer = Writer::begin(Vec::new(), &about()).unwrap();
    for path in ["", "/etc/passwd", "../x", "data/../../x", "data//x", "./x", "a\nb"] {
        assert!(writer.bytes(path, b"x").is_err(), "{path:?}");
    }
    let twice = look(&archive(&[("data/a", b"1"), ("data/a", b"2")])).unwrap_err().to_string();
    assert!(twice.contains("data/a stands in it twice"), "{twice}");
    // Another tar, with a link in it.
    let error = look(&other_tar(|tar| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "data/bans.json", "/etc/passwd").unwrap();
    }));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("is no file"), "{error}");
    assert!(look(b"hello").is_err() && look(b"").is_err());
}

/// A broker's folders with one secret in every place that there is.
struct Planted {
    folder: tempfile::TempDir,
    config: Config,
    maker: Maker,
    store: Arc<FileStore>,
}

const CONFIG: &str = "data_dir = \"data\"\n# token: PLANTED-comment\n\
    [[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n[plugins]\ndir = \"plugins\"\n\
    [secrets.api]\nvalue = \"PLANTED-secret\" # was = \"PLANTED-behind\"\n\
    [secrets.outside]\nvalue = \"file:outside.txt\"\n[keys.ring]\nmanaged = true\n";

/// With a password in a golden call, and one in a comment.
const MANIFEST: &str = "order = 5 # PLANTED-note\n[[golden.authenticate]]\n\
    client = { username = \"a\" }\ncredentials = { password = \"PLANTED-golden\" }\n\
    expect = { outcome = \"allow\" }\n";

/// The component of an earlier version with the same manifest.
const EARLIER: &str = "an earlier one";

/// Where a version of `gate` is kept.
fn version(manifest: &str) -> String {
    format!("data/plugin-versions/gate/{}", hash_of(EARLIER, manifest))
}

fn hash_of(wasm: &str, manifest: &str) -> String {
    plugin_host::version_hash(wasm.as_bytes().to_vec(), Some(manifest.to_owned()))
}

/// What is remembered of `gate`: the earlier version answers in place of the one in the folder.
fn plugins_state(manifest: &str) -> serde_json::Value {
    serde_json::json!({
        "disabled": [],
        "known": { "gate": {
            "has_manifest": true, "disabled": false, "order": 5, "control": "sufficient",
            "on_error": "deny",
            "predecessor": { "imports": [], "manifest": plugin_host::sha256(manifest.as_bytes()) },
        } },
        "held": { "gate": {
            "version": hash_of(EARLIER, manifest), "over": hash_of("\0asm", manifest),
            "because": "asked",
        } },
    })
}

/// A user whose password has this hash.
const HASH: &str = "eKV3QXCHVPqlvFYOG/cZbJ4W3XyVWYGHTWDJSWpuzoA";
const TOTP: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn directory() -> String {
    format!(
        "{{\"version\":1,\"users\":{{\"anna\":{{\"password\":\"$argon2id$v=19$m=19456,t=2,p=1$\
         AAECAwQFBgcICQoLDA0ODw${HASH}\",\"roles\":[\"viewer\"],\"disabled\":false,\
         \"totp\":{{\"secret\":\"{TOTP}\",\"confirmed\":true,\"last_step\":0}},\
         \"created_unix\":7}}}},\"roles\":{{\"fitter\":[\"bans:read\"]}},\"tokens\":{{}}}}"
    )
}

impl Planted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let version = version(MANIFEST);
        for path in ["data/admin", "data/plugin-state", &version, "plugins"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        let record = serde_json::json!({ "version": hash_of(EARLIER, MANIFEST), "number": 1 });
        for (path, text) in [
            ("portcullis.toml", CONFIG),
            ("outside.txt", "PLANTED-outside"),
            ("data/bans.json", "{\"version\":1,\"bans\":[]}\n"),
            ("data/admin.token", "PLANTED-token"),
            ("data/admin/directory.json", &directory()),
            ("data/plugin-state/p.state", "PLANTED-state"),
            ("plugins/gate.wasm", "\0asm"),
            ("plugins/gate.toml", MANIFEST),
            ("plugins/gate.sig", "ed25519 a b\n"),
            ("plugins/gate.cases.toml", "[given.secrets.a]\nvalue = \"PLANTED-case\"\n"),
            ("plugins/acl.toml", "user = \"PLANTED-acl\"\n"),
            ("data/plugins-state.json", &plugins_state(MANIFEST).to_string()),
            (&format!("{version}/plugin.toml"), MANIFEST),
            (&format!("{version}/plugin.wasm"), EARLIER),
            (&format!("{version}/plugin.sig"), "ed25519 c d\n"),
            (&format!("{version}/version.json"), &record.to_string()),
            ("plugins/passwords", "PLANTED-password"),
            ("plugins/.half.wasm", "half"),
        ] {
            fs::write(at(path), text).unwrap();
        }
        let mut config = Config::load(&at("portcullis.toml")).unwrap();
        let keys = Arc::new(Rings::new(&config.data_dir));
        keys.attach(&mut config.sources).unwrap();
        let options = Options { free_bytes_min: 0, ..Options::new(&config.store.path) };
        let store = Arc::new(FileStore::open(options).unwrap().0);
        let maker = Maker::new(&config, Some(Arc::clone(&store)), keys);
        Self { folder, config, maker, store }
    }

    fn fill(&self) {
        let key = self.store.new_session();
        self.store.put_session(key, session("dev"));
        let filter = "a/#".to_owned();
        let subscription = KeptSubscription {
            filter,
            identifier: None,
            options: 1,
            retained_due: false,
            since_unix: Some(7),
        };
        self.store.put_subscription(key, subscription);
        let message = MessageRef {
            topic: "a/b",
            forwarded: &[],
            payload: b"owed",
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at_unix: None,
        };
        let position = self.store.append_message(&message, None);
        let owed = Owed {
            session: key,
            number: 1,
            qos: QoS::AtLeastOnce,
            retain: false,
            shared: false,
            subscription_identifiers: Box::default(),
        };
        self.store.append_owed(position, (4, None), &[owed]);
        let publisher = "pub".to_owned();
        self.store.put_retained(Retained { message: message.into(), publisher });
    }

    fn backup(&self, secrets: bool) -> PathBuf {
        let mut bytes = Vec::new();
        self.maker.begin(secrets).unwrap().write(&mut bytes).unwrap();
        let path = self.folder.path().join(format!("backup-{secrets}.tar.gz"));
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn session(client_id: &str) -> KeptSession {
    KeptSession {
        client_id: client_id.to_owned(),
        identity: KeptIdentity {
            principal: "p".to_owned(),
            authenticated_by: "l".to_owned(),
            groups: Vec::new(),
            attributes: Vec::new(),
            permissions: Vec::new(),
            queue_messages_max: None,
            queue_bytes_max: None,
            expires_at_unix: None,
        },
        listener: "mqtt".to_owned(),
        remote: "127.0.0.1:1".to_owned(),
        protocol: 5,
        expiry_seconds: 60,
        disconnected_at_unix: Some(1),
        sent_below: None,
        will: None,
    }
}

/// Everything in an archive, unpacked.
fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

#[test]
fn secrets_are_in_it_only_where_they_were_asked_for() {
    let planted = Planted::new();
    let ring = fs::read_to_string(planted.config.data_dir.join("keys/ring.keys")).unwrap();
    let key = ring.split("\"value\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let bytes = unpacked(&planted.backup(false));
    assert!(!holds(&bytes, "PLANTED"), "{}", String::from_utf8_lossy(&bytes));
    for gone in [&key, HASH, TOTP, ".half", "ed25519 c d"] {
        assert!(!holds(&bytes, gone), "{gone}");
    }
    for there in [
        "gate.wasm",
        "order = 5",
        "ed25519 a b",
        "NOT_IN_THE_BACKUP",
        "file:outside.txt",
        "keys.json",
        "\"anna\"",
        "\"fitter\"",
        "gate.toml: without its comments and golden calls",
        EARLIER,
        "signatures of versions of plugins to go back to (1)",
    ] {
        assert!(holds(&bytes, there), "{there}");
    }
    let bytes = unpacked(&planted.backup(true));
    for secret in [
        "comment", "secret", "behind", "token", "state", "password", "note", "golden", "case",
        "acl",
    ] {
        assert!(holds(&bytes, &format!("PLANTED-{secret}")), "{secret}");
    }
    for there in [&key, HASH, TOTP, EARLIER, "ed25519 c d"] {
        assert!(holds(&bytes, there), "{there}");
    }
    // What a reference leads to is the operator's own.
    assert!(!holds(&bytes, "PLANTED-outside"));
}

#[test]
fn one_backup_at_a_time() {
    let planted = Planted::new();
    let first = planted.maker.begin(false).unwrap();
    assert_eq!(planted.maker.begin(false).err(), Some(BackupError::Busy));
    assert!(first.about_bytes() > 0);
    drop(first);
    planted.maker.begin(false).unwrap();
}

#[test]
fn what_was_backed_up_comes_back() {
    let planted = Planted::new();
    planted.fill();
    let backup = planted.backup(true);
    verify(&backup).unwrap();
    let other = planted.folder.path().join("other");
    let config = other.join("portcullis.toml");
    let told = restore::restore(&backup, &config, false).unwrap();
    let expect = "sessions 1, subscriptions 1, waiting messages 1, retained messages 1";
    assert!(told.contains(expect), "{told}");
    for path in [
        "portcullis.toml",
        "data/bans.json",
        "data/admin.token",
        "data/keys/ring.keys",
        "data/admin/directory.json",
        "plugins/gate.wasm",
        "plugins/gate.toml",
        "plugins/passwords",
    ] {
        let before = fs::read(planted.folder.path().join(path)).unwrap();
        assert_eq!(fs::read(other.join(path)).unwrap(), before, "{path}");
    }
    let left: Vec<_> = fs::read_dir(other.join("data")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().starts_with(".restore")));
    let options = Options { free_bytes_min: 0, ..Options::new(other.join("data/store")) };
    let (store, found) = FileStore::open(options).unwrap();
    let session = &found.sessions[0];
    assert_eq!((session.kept.client_id.as_str(), session.owed.len()), ("dev", 1));
    let position = session.owed.iter().next().unwrap().position;
    assert_eq!(store.read(&[position]).unwrap()[0].as_ref().unwrap().payload, b"owed");

    // In use: not even with force.
    let refused = |force| restore::restore(&backup, &config, force).unwrap_err().to_string();
    assert!(refused(true).contains("a broker uses this store: stop it first"));
    drop(store);
    assert!(refused(false).contains("--force"), "{}", refused(false));
    fs::write(other.join("data/bans.json"), "other").unwrap();
    let told = restore::restore(&backup, &config, true).unwrap();
    assert!(told.contains("before-restore-"), "{told}");
    assert_ne!(fs::read_to_string(other.join("data/bans.json")).unwrap(), "other");
    let aside =
        told.lines().find_map(|line| line.trim().strip_prefix("what was there before is in "));
    let aside =
        PathBuf::from(aside.unwrap()).join(other.join("data/bans.json").strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(aside).unwrap(), "other");
}

/// Long names and large files are taken; what cannot be taken is said.
#[test]
fn what_can_be_taken_is_and_what_cannot_is_said() {
    use std::os::unix::ffi::OsStrExt;
    let planted = Planted::new();
    let state = planted.config.data_dir.join("plugin-state");
    let long = "n".repeat(120);
    fs::create_dir(state.join(&long)).unwrap();
    fs::write(state.join(&long).join(&long), "PLANTED-long").unwrap();
    let large = File::create(state.join("large")).unwrap();
    large.set_len(65 << 20).unwrap();
    fs::write(state.join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
    let summary = look_through(&planted.backup(true)).unwrap();
    let bytes = |path: &str| {
        summary
            .files
            .iter()
            .find(|file| file.path == path)
            .unwrap_or_else(|| panic!("{path}"))
            .bytes
    };
    assert_eq!(bytes(&format!("data/plugin-state/{long}/{long}")), 12);
    assert_eq!(bytes("data/plugin-state/large"), 65 << 20);
    let said = &summary.about.left_out;
    assert!(said.iter().any(|what| what.contains("its name is not UTF-8")), "{said:?}");
}

/// Nothing is written for an archive that is not whole.
#[test]
fn a_damaged_backup_changes_nothing() {
    let planted = Planted::new();
    planted.fill();
    let backup = planted.backup(false);
    let mut bytes = fs::read(&backup).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&backup, bytes).unwrap();
    assert!(verify(&backup).unwrap_err().to_string().contains("backup-false.tar.gz: "));
    let other = planted.folder.path().join("other");
    restore::restore(&backup, &other.join("portcullis.toml"), true).unwrap_err();
    assert!(!other.exists());
}

/// A log that is damaged on the disk is no backup, and says so while there is time.
#[test]
fn a_damaged_store_is_not_backed_up() {
    let planted = Planted::new();
    planted.fill();
    let making = planted.maker.begin(false).unwrap();
    let log = planted.config.store.path.join(format!("{:020}.log", 1));
    let mut bytes = fs::read(&log).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    // In place: the store has the file open.
    use std::os::unix::fs::FileExt;
    File::options().write(true).open(&log).unwrap().write_all_at(&bytes, 0).unwrap();
    let mut out = Vec::new();
    assert!(making.write(&mut out).is_err());
    assert!(look(&out).is_err());
}
