//! The gate over a host in memory, whose hash of a password `p` is `plain$p`.

use std::cell::RefCell;

use super::*;

#[derive(Debug, Default)]
struct Memory {
    file: Vec<u8>,
    busy: bool,
    /// Every user stands once: the search through the whole file would take long.
    index_off: bool,
    verified: RefCell<Vec<String>>,
}

impl PasswordHost for Memory {
    fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let from = offset as usize;
        Ok(self.file[from..self.file.len().min(from + length as usize)].to_vec())
    }

    fn lookup(&self, user: &str) -> Result<Vec<Vec<u8>>, Error> {
        let start = format!("{user}:");
        if self.index_off {
            return Ok(vec![start.into_bytes()]);
        }
        let lines = self.file.split(|byte| *byte == b'\n');
        Ok(lines.filter(|line| line.starts_with(start.as_bytes())).map(<[u8]>::to_vec).collect())
    }

    fn check_hash(&self, hash: &str) -> Result<(), String> {
        let good = hash.starts_with("plain$") || hash_cost::of(hash) > 0 && hash.ends_with("$x");
        good.then_some(()).ok_or_else(|| "is malformed: test".to_owned())
    }

    fn verify(&self, hash: &str, password: &[u8]) -> Result<bool, VerifyError> {
        if self.busy {
            return Err(VerifyError::Busy);
        }
        self.verified.borrow_mut().push(hash.to_owned());
        Ok(hash.strip_prefix("plain$").is_some_and(|stored| stored.as_bytes() == password))
    }
}

const FILE: &str = "# users\nalice:plain$wonderland\nbob:plain$builder\n";

#[test]
fn the_right_password_makes_the_username_the_principal() {
    assert_eq!(judge(Some("alice"), Some("wonderland")), Outcome::allow("alice"));
    assert_eq!(judge(Some("bob"), Some("builder")), Outcome::allow("bob"));
}

#[test]
fn wrong_and_missing_passwords_are_bad_credentials() {
    for password in [Some("builder"), Some("wonderland "), Some("plain$wonderland"), Some(""), None]
    {
        assert_eq!(judge(Some("alice"), password), Outcome::bad_credentials(), "{password:?}");
    }
}

#[test]
fn unknown_users_are_bad_credentials() {
    for user in ["mallory", "", "alic", "alice:plain$wonderland", "# users", "#"] {
        assert_eq!(judge(Some(user), Some("wonderland")), Outcome::bad_credentials(), "{user}");
    }
}

#[test]
fn without_a_username_it_is_the_next_links_matter() {
    assert_eq!(judge(None, None), Outcome::Next);
    assert_eq!(judge(None, Some("wonderland")), Outcome::Next);
}

#[test]
fn an_unknown_user_costs_as_much_as_a_known_one_and_never_gets_in() {
    let gate = gate(FILE, UnknownUser::Deny);
    // Even with the password of the hash that is verified in its place.
    let outcome = gate.judge(Some("mallory"), Some(b"wonderland")).unwrap();
    assert_eq!(outcome, Outcome::bad_credentials());
    assert_eq!(*gate.host.verified.borrow(), ["plain$wonderland"]);
}

#[test]
fn an_unknown_user_can_be_left_to_the_next_link() {
    let gate = gate(FILE, UnknownUser::Next);
    assert_eq!(gate.judge(Some("mallory"), Some(b"x")).unwrap(), Outcome::Next);
    assert_eq!(gate.judge(Some("alice"), Some(b"x")).unwrap(), Outcome::bad_credentials());
    assert_eq!(gate.judge(Some("mallory"), None).unwrap(), Outcome::bad_credentials());
}

#[test]
fn a_verification_that_did_not_happen_is_an_error() {
    let mut gate = gate(FILE, UnknownUser::Deny);
    gate.host.busy = true;
    for user in ["alice", "mallory"] {
        let error = gate.judge(Some(user), Some(b"wonderland")).unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{user}: {error:?}");
    }
}

#[test]
fn a_good_file_passes() {
    let checked = Checked { users: 2, costlier_line: None };
    assert_eq!(gate(FILE, UnknownUser::Deny).check_file(), Ok(checked));
}

const MIXED: &str = "alice:plain$a\nbob:$7$101$x\ncarol:$2b$12$x\ndave:$7$101$x\n";

#[test]
fn no_refusal_is_sooner_than_the_costliest_hash() {
    let verified = |user: &str| {
        let gate = gate(MIXED, UnknownUser::Deny);
        let outcome = gate.judge(Some(user), Some(b"wrong")).unwrap();
        assert_eq!(outcome, Outcome::bad_credentials());
        gate.host.verified.take()
    };
    assert_eq!(verified("mallory"), ["$2b$12$x"]);
    assert_eq!(verified("carol"), ["$2b$12$x"]);
    assert_eq!(verified("bob"), ["$7$101$x", "$2b$12$x"]);
    let gate = gate(MIXED, UnknownUser::Deny);
    assert_eq!(gate.judge(Some("alice"), Some(b"a")).unwrap(), Outcome::allow("alice"));
    assert_eq!(gate.host.verified.take(), ["plain$a"], "who may pass does not wait");
}

#[test]
fn a_costlier_hash_far_down_is_told() {
    let cheap = "user:$7$101$x\n".len();
    let lines = EXAMPLE_BYTES_MAX / cheap + 2;
    let mut file = String::new();
    for line in 0..lines {
        file += &format!("u{line:03}:$7$101$x\n");
    }
    file += "last:$2b$12$x\n";
    let host = Memory { index_off: true, ..memory(&file) };
    let gate = Gate::open(host, Settings::default()).unwrap();
    assert_eq!(gate.example_hash, "$7$101$x");
    let costlier_line = Some(lines as u64 + 1);
    assert_eq!(gate.check_file(), Ok(Checked { users: lines as u64 + 1, costlier_line }));
}

#[test]
fn one_wrong_line_refuses_the_file() {
    check("alice:plain$x\n\nbob:plain$x\n", "line 2: is blank");
    check("alice:plain$x\nbob\n", "line 2: has no colon between user and hash");
    check("alice:plain$x\nbob:\n", "line 2: has an empty hash");
    check("alice:plain$x\n:plain$x\n", "line 2: has an empty user");
    check("alice:plain$x\nbob:$6$cut", "line 2: the hash is malformed: test");
    check(
        "alice:plain$x\nbob:plain$x\nalice:plain$y\n",
        "line 1: has a user who stands on 2 lines",
    );
}

#[test]
fn a_file_without_users_does_not_open() {
    for file in ["", "# nobody\n", "#"] {
        let error = Gate::open(memory(file), Settings::default()).unwrap_err();
        assert_eq!(error, Error::misconfigured("passwords: the file has no user"), "{file:?}");
    }
    assert!(Gate::open(memory("\n"), Settings::default()).is_err());
}

fn memory(file: &str) -> Memory {
    Memory { file: file.as_bytes().to_vec(), ..Memory::default() }
}

fn gate(file: &str, unknown_user: UnknownUser) -> Gate<Memory> {
    Gate::open(memory(file), Settings { unknown_user }).unwrap()
}

fn judge(username: Option<&str>, password: Option<&str>) -> Outcome {
    gate(FILE, UnknownUser::Deny).judge(username, password.map(str::as_bytes)).unwrap()
}

#[track_caller]
fn check(file: &str, why: &str) {
    let error = gate(file, UnknownUser::Deny).check_file().unwrap_err();
    assert_eq!(error, Error::misconfigured(format!("passwords: {why}")));
}
