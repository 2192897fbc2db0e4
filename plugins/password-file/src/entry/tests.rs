//! What a line may be.

use super::*;

#[test]
fn a_user_and_a_hash() {
    accept("alice:$7$101$c2FsdA==$aGFzaA==", "alice", "$7$101$c2FsdA==$aGFzaA==");
    accept("Zoë Q:$6$s$h", "Zoë Q", "$6$s$h");
    accept("a:b:c", "a", "b:c");
}

#[test]
fn a_comment_is_nobody() {
    assert_eq!(parse(b"# alice:$6$salt$hash"), Ok(None));
    assert_eq!(parse(b"#"), Ok(None));
}

#[test]
fn everything_else_is_refused() {
    refuse(b"", "is blank");
    refuse(b" \t", "is blank");
    refuse(b"alice", "has no colon between user and hash");
    refuse(b":$6$salt$hash", "has an empty user");
    refuse(b"alice:", "has an empty hash");
    refuse(b"alice: $6$salt$hash", "has white space in the hash");
    refuse(b"alice:$6$salt$hash ", "has white space in the hash");
    refuse(b"alice:\xFF", "is not UTF-8");
    for user in [" alice", "alice ", "al\u{7}ice", "\u{FEFF}alice"] {
        let line = format!("{user}:hash");
        refuse(line.as_bytes(), "has white space around the user, or a control character in it");
    }
}

#[track_caller]
fn accept(line: &str, user: &str, hash: &str) {
    assert_eq!(parse(line.as_bytes()), Ok(Some(Entry { user, hash })));
}

#[track_caller]
fn refuse(line: &[u8], why: &str) {
    assert_eq!(parse(line), Err(why));
}
