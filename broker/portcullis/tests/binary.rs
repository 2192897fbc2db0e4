//! The program itself. As long as a test here is about it, `cargo test` builds it, with the same features of shared
//! dependencies as everything else that is tested: nothing is compiled twice. The tests in `/tests` run it.

use std::process::Command;

#[test]
fn says_its_name_and_version() {
    let program = env!("CARGO_BIN_EXE_portcullis");
    let output = Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(said, format!("portcullis {}\n", env!("CARGO_PKG_VERSION")));
}
