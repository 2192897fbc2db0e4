//! The pieces of work of `guard` take about as many instructions as was agreed to. Says which does
//! not, what was expected and found, and how somebody agrees to that.

use std::process::Command;

#[test]
fn nothing_takes_more_or_fewer_instructions_than_was_agreed_to() {
    let output = Command::new(env!("CARGO_BIN_EXE_guard")).arg("check").output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
}
