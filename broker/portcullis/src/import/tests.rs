//! Files that are written, and those that are not.

use super::*;

fn folder_with(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acl");
    fs::write(&file, text).unwrap();
    (folder, file)
}

fn import(file: &Path, output: &Path) -> Result<(), Failure> {
    run(&ImportCommand::MosquittoAcl {
        file: file.to_owned(),
        output: Some(output.to_owned()),
        anonymous_as: None,
    })
}

#[test]
fn a_loss_is_a_failure_and_the_file_is_written() {
    let (folder, file) = folder_with("user alice\ntopic a\n");
    let output = folder.path().join("acl.toml");
    import(&file, &output).unwrap();
    assert!(import(&file, &output).is_err(), "it is there already");
    let (folder, file) = folder_with("topic a\n");
    let output = folder.path().join("acl.toml");
    assert!(matches!(import(&file, &output), Err(Failure::Refused(_))));
    assert!(fs::read_to_string(&output).unwrap().starts_with("# Made of an acl_file"));
}

#[test]
fn what_cannot_be_read_writes_nothing() {
    for text in [&b"topic"[..], b"topic \xFF\n"] {
        let (folder, file) = folder_with("");
        fs::write(&file, text).unwrap();
        let output = folder.path().join("acl.toml");
        assert!(import(&file, &output).is_err());
        assert!(!output.exists());
    }
}

#[test]
fn passwords_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(
        at("credentials.xml"),
        include_str!("../../../../tests/it/program/migration/credentials.xml"),
    )
    .unwrap();
    run(&ImportCommand::HivemqRbac {
        file: at("credentials.xml"),
        acl: at("acl.toml"),
        passwords: at("passwords"),
        password_type: hivemq::PasswordType::Hashed,
    })
    .unwrap();
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("passwords"), mode("acl.toml")), (0o600, 0o644));
}
