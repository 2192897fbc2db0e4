//! Changes that come together; a loss that fjall does not see.

use tempfile::TempDir;

use super::*;

fn subscription(filter: &str) -> KeptSubscription {
    KeptSubscription {
        filter: filter.to_owned(),
        identifier: None,
        options: 1,
        retained_due: true,
        since_unix: None,
    }
}

fn count(state: &State) -> usize {
    let mut count = 0;
    state.load(|_| count += 1).unwrap();
    count
}

/// A session that ends in the batch in which it subscribed leaves nothing behind.
#[test]
fn a_session_takes_its_subscriptions_with_it() {
    let folder = TempDir::new().unwrap();
    let mut state = State::open(folder.path()).unwrap();
    let (key, other) = (SessionKey(1), SessionKey(2));
    let put = |key, filter| Change::PutSubscription(key, subscription(filter));
    state.apply(&[put(key, "a"), put(other, "a")], 1, false).unwrap();
    assert_eq!(count(&state), 2);
    state.apply(&[put(key, "b"), Change::RemoveSession(key), put(other, "c")], 2, false).unwrap();
    assert_eq!(count(&state), 2);
    state.apply(&[Change::RemoveSession(key), Change::RemoveSession(other)], 3, false).unwrap();
    assert_eq!(count(&state), 0);
    assert_eq!(state.open.as_ref().unwrap().last, Meta { number: 3, sum: 0 });
}

#[test]
fn changes_may_be_applied_again() {
    let folder = TempDir::new().unwrap();
    let mut state = State::open(folder.path()).unwrap();
    let changes = [
        Change::PutSubscription(SessionKey(1), subscription("a")),
        Change::RemoveSubscription(SessionKey(1), "b".to_owned()),
    ];
    state.apply(&changes, 1, false).unwrap();
    state.open = None;
    state.apply(&changes, 1, false).unwrap();
    assert_eq!(state.load(drop).unwrap(), 1);
}

/// An entry is lost, one comes back, one is another: the sum tells.
#[test]
fn a_loss_that_fjall_does_not_see_is_found() {
    let other = |open: &Open, key: &[u8]| {
        let value = br#"{"filter":"a","identifier":null,"options":2}"#;
        open.subscriptions.insert(key, value).unwrap();
    };
    let key = |number: u64| [&number.to_be_bytes()[..], b"a"].concat();
    let harms: [&dyn Fn(&Open); 3] = [
        &|open| open.subscriptions.remove(key(1)).unwrap(),
        &|open| other(open, &key(1)),
        &|open| other(open, &key(2)),
    ];
    for harm in harms {
        let folder = TempDir::new().unwrap();
        let mut state = State::open(folder.path()).unwrap();
        let put = Change::PutSubscription(SessionKey(1), subscription("a"));
        state.apply(&[put], 1, false).unwrap();
        assert_eq!(state.load(drop).unwrap(), 1);
        harm(state.open.as_ref().unwrap());
        let said = state.load(drop).expect_err("loads").to_string();
        assert!(said.contains("not what was written"), "{said}");
    }
}
