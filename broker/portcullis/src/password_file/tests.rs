//! Tests of editing password files.

use std::{fs, os::unix::fs::PermissionsExt};

use argon2::{
    Argon2,
    password_hash::{PasswordVerifier, phc::PasswordHash},
};

use super::*;

#[track_caller]
fn check(before: Option<&str>, edit: impl Fn(&Path) -> Result<(), Failure>, after: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    if let Some(before) = before {
        fs::write(&file, before).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    edit(&file).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), after);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_user_is_added_replaced_and_deleted() {
    check(None, |file| set(file, "anna", "h", ""), "anna:h\n");
    check(Some("bob:x"), |file| set(file, "anna", "h", ""), "bob:x\nanna:h\n");
    check(
        Some("# people\nanna:1\nannabel:2\nanna:3\n"),
        |file| set(file, "anna", "h", ""),
        "# people\nanna:h\nannabel:2\n",
    );
    check(Some("anna:1\r\nannabel:2\r\n"), |file| delete(file, "anna"), "annabel:2\n");
}

/// What somebody has for another method stays.
#[test]
fn a_credential_is_replaced_for_its_method_alone() {
    check(
        Some("anna:SCRAM-SHA-256$1\nanna:SCRAM-SHA-512$2\nann:SCRAM-SHA-256$3\n"),
        |file| set(file, "anna", "SCRAM-SHA-256$4", "SCRAM-SHA-256$"),
        "anna:SCRAM-SHA-256$4\nanna:SCRAM-SHA-512$2\nann:SCRAM-SHA-256$3\n",
    );
    check(
        Some("anna:SCRAM-SHA-512$2\n"),
        |file| set(file, "anna", "SCRAM-SHA-256$4", "SCRAM-SHA-256$"),
        "anna:SCRAM-SHA-512$2\nanna:SCRAM-SHA-256$4\n",
    );
}

#[test]
fn deleting_a_stranger_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    fs::write(&file, "bob:x\n").unwrap();
    assert!(matches!(delete(&file, "anna"), Err(Failure::Refused(_))));
    assert_eq!(fs::read_to_string(&file).unwrap(), "bob:x\n");
}

/// Editing `before` is refused with `expect` and changes nothing.
#[track_caller]
fn refused(before: &[u8], edit: impl Fn(&Path) -> Result<(), Failure>, expect: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    fs::write(&file, before).unwrap();
    let sentence = edit(&file).unwrap_err().to_string();
    assert!(sentence.contains(expect), "{sentence}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

/// The plugin refuses a file without users, and the broker then keeps the one of before.
#[test]
fn the_last_user_stays() {
    for before in ["anna:1\n", "# people\nanna:1\n#bob:2\n", "anna:1\nanna:2\n"] {
        refused(before.as_bytes(), |file| delete(file, "anna"), "enabled = false");
    }
}

/// What the plugin would refuse is not written, whoever wrote it before.
#[test]
fn a_file_that_the_plugin_refuses_is_not_written() {
    let add = |file: &Path| set(file, "anna", "h", "");
    refused(b"bob:x\n\ncleo:y\n", add, "passwords:2: is blank");
    refused(b"bob\n", add, "passwords:1: has no colon");
    refused(b"bob:x y\n", add, "passwords:1: has no hash, or one with white space");
    refused(b"\xef\xbb\xbfbob:x\n", add, "passwords:1: has no user");
    refused(b"bob:\xff\n", add, "passwords:1: is not UTF-8");
    refused(b"bob:x\n", |file| set(file, &"x".repeat(4_000), &"h".repeat(95), ""), "4096 bytes");
    // 4,096 bytes with the end: as long as a line may be.
    let longest = format!("{}:{}\n", "x".repeat(4_000), "h".repeat(94));
    check(None, |file| set(file, &"x".repeat(4_000), &"h".repeat(94), ""), &longest);
    // An edit that takes the fault away goes through.
    check(Some("a b :1\nbob:x\n"), |file| delete(file, "a b "), "bob:x\n");
}

#[test]
fn names_that_would_break_the_file_are_refused() {
    let long = "x".repeat(4_096);
    let unseen = [" anna", "anna\t", "anna\u{a0}", "\u{feff}anna", "an\u{feff}na"];
    for user in ["", "a:b", "a\nb", "a\0b", "#anna", "\u{7f}", &long].into_iter().chain(unseen) {
        assert!(matches!(check_user(user), Err(Failure::Refused(_))), "{user:?}");
    }
    for user in ["anna", "Анна", "a b", "a#b", "a/b"] {
        assert!(check_user(user).is_ok(), "{user:?}");
    }
}

#[test]
fn a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    fs::write(&target, "bob:x\n").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    set(&link, "anna", "h", "").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), "bob:x\nanna:h\n");
}

#[test]
fn the_hash_verifies_and_says_its_cost() {
    let first = hash(b"secret").unwrap();
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    assert_ne!(first, hash(b"secret").unwrap(), "each hash has its own salt");
    let parsed = PasswordHash::new(&first).unwrap();
    assert!(Argon2::default().verify_password(b"secret", &parsed).is_ok());
    assert!(Argon2::default().verify_password(b"Secret", &parsed).is_err());
    assert!(matches!(hash(b""), Err(Failure::Refused(_))));
    assert!(matches!(hash(&[b'x'; 65_536]), Err(Failure::Refused(_))));
}
