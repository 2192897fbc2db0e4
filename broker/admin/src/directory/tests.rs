use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::*;

fn user() -> User {
    let password = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$\
                    eKV3QXCHVPqlvFYOG/cZbJ4W3XyVWYGHTWDJSWpuzoA";
    User {
        password: password.to_owned(),
        roles: vec!["viewer".to_owned()],
        disabled: false,
        totp: None,
        created_unix: 7,
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("directory-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn open(folder: &Path) -> Result<Directory, Error> {
    Directory::open(folder, Roles::default())
}

#[test]
fn what_was_kept_is_there_again_and_nobody_else_reads_it() {
    let folder = folder("kept");
    let directory = open(&folder).unwrap();
    assert!(directory.kept().users.is_empty());
    directory
        .change(|kept| {
            kept.users.insert("alice".to_owned(), user());
            kept.roles.insert("r".to_owned(), vec!["bans:read".to_owned()]);
            Ok(())
        })
        .unwrap();
    let file = folder.join("directory.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    let again = open(&folder).unwrap();
    assert_eq!(again.kept().users["alice"].password, user().password);
    assert!(again.role("r").is_some_and(|(origin, _)| origin == Origin::Made));
    let refused: Result<(), _> = again.change(|kept| {
        kept.users.clear();
        Err(Problem::conflict("no"))
    });
    assert!(refused.is_err() && again.kept().users.len() == 1, "all or nothing");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_change_that_cannot_be_written_did_not_happen() {
    let folder = folder("unwritable");
    let directory = open(&folder).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let problem = directory
        .change(|kept| {
            kept.users.insert("alice".to_owned(), user());
            Ok(())
        })
        .unwrap_err();
    assert_eq!(problem.status, 500);
    assert!(directory.kept().users.is_empty());
}

#[test]
fn a_broken_file_stops_the_start() {
    let folder = folder("broken");
    let directory = open(&folder).unwrap();
    directory
        .change(|kept| {
            kept.users.insert("alice".to_owned(), user());
            Ok(())
        })
        .unwrap();
    let file = folder.join("directory.json");
    let good = fs::read_to_string(&file).unwrap();
    let mut bad = vec![
        (String::new(), "EOF"),
        (good[..good.len() / 2].to_owned(), "EOF"),
        (good.replace("\"disabled\"", "\"disabledd\""), "disabledd"),
        (good.replace("\"version\": 1", "\"version\": 2"), "version is 2"),
        (good.replace("\"alice\"", "\"a/b\""), "is no name"),
        (good.replace("m=19456", "m=19455"), "user alice: its password"),
    ];
    bad.push((good.replace("\"roles\": {}", "\"roles\": {\"r\": [\"x\"]}"), "role r: \"x\""));
    for (text, expected) in bad {
        assert_ne!(text, good, "{expected}");
        fs::write(&file, text).unwrap();
        let sentence = open(&folder).err().unwrap().to_string();
        assert!(sentence.contains(expected), "{sentence}");
    }
    fs::write(&file, &good).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(open(&folder).err().unwrap().to_string().contains("mode is 0640"));
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
    assert!(open(&folder).is_err());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn built_in_roles_name_permissions_that_there_are() {
    for (name, names) in role::BUILT_IN {
        Permissions::of(names).unwrap();
        let (_, may) = Directory::empty(Roles::default()).role(name).unwrap();
        assert!(!may.is_empty());
        assert_eq!(may.is_all(), name == "administrator");
        for never in [
            "users:write",
            "tokens:write",
            "plugins:write",
            "plugins:grant",
            "config:write",
            "backup:read",
            "backup:write",
            "keys:write",
            "field:payload",
        ] {
            let has = may.names().any(|held| held == never);
            assert_eq!(has, name == "administrator", "{name} {never}");
        }
    }
}

#[test]
fn the_codes_are_those_of_rfc_6238() {
    // The secret of its appendix B, and the last six digits of its SHA-1 column.
    let totp = Totp {
        secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
        confirmed: true,
        last_step: 0,
    };
    for (now, code) in [(59_i64, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
        for (seconds, good) in [(-60, false), (-30, true), (0, true), (30, true), (60, false)] {
            let mut totp = totp.clone();
            let at = u64::try_from(now + seconds).unwrap_or(0);
            assert_eq!(totp.take(code, at), good || now + seconds < 0, "{code} at {seconds}");
            assert!(!totp.take(code, at), "twice");
        }
        assert!(!totp.clone().take("", u64::try_from(now).unwrap()));
    }
    let made = Totp::new().unwrap();
    assert!(made.secret.len() == 32 && made.clone().take(&made.code(3_000), 3_000));
}

/// What a backup without secrets has of it: it can be loaded, and lets nobody in.
#[test]
fn users_and_roles_can_be_told_without_secrets() {
    let folder = folder("without-secrets");
    let directory = open(&folder).unwrap();
    let file = folder.join("directory.json");
    directory
        .change(|kept| {
            let totp = Some(Totp { confirmed: true, ..Totp::new().unwrap() });
            kept.users.insert("alice".to_owned(), User { totp, ..user() });
            kept.roles.insert("r".to_owned(), vec!["bans:read".to_owned()]);
            Ok(())
        })
        .unwrap();
    let told = without_secrets(&fs::read(&file).unwrap()).unwrap();
    fs::write(&file, &told).unwrap();
    let kept = open(&folder).unwrap().kept();
    let alice = &kept.users["alice"];
    assert_eq!((alice.roles.as_slice(), alice.disabled), (&["viewer".to_owned()][..], false));
    assert!(alice.totp.is_none() && alice.password == crate::password::NOBODYS);
    assert_eq!(kept.roles["r"], ["bans:read"]);
    assert!(without_secrets(b"{}").is_err());
}
