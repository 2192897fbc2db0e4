//! Leaving, learning and coming back, on a host of memory.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

#[derive(Default)]
struct Memory {
    entries: RefCell<HashMap<String, (Vec<u8>, u64)>>,
    now: Cell<u64>,
    /// How often a change comes too late.
    late: Cell<u32>,
    asked_again: RefCell<Vec<String>>,
    told: RefCell<Vec<String>>,
}

impl WardenHost for &Memory {
    fn get(&self, key: &str) -> Result<Option<(Vec<u8>, u64)>, Error> {
        Ok(self.entries.borrow().get(key).cloned())
    }

    fn set(&self, key: &str, value: &[u8], _: Option<u32>) -> Result<(), Error> {
        let mut entries = self.entries.borrow_mut();
        let version = entries.get(key).map_or(1, |(_, version)| version + 1);
        entries.insert(key.to_owned(), (value.to_owned(), version));
        Ok(())
    }

    fn replace(&self, key: &str, version: Option<u64>, value: &[u8]) -> Result<bool, Error> {
        if let Some(left) = self.late.get().checked_sub(1) {
            self.late.set(left);
            return Ok(false);
        }
        if self.get(key)?.map(|(_, version)| version) != version {
            return Ok(false);
        }
        self.set(key, value, None).map(|()| true)
    }

    fn count(&self, key: &str, _: u32) -> Result<i64, Error> {
        let count = self.get(key)?.map_or(0, |(value, _)| i64::from(value[0])) + 1;
        self.set(key, &[count as u8], None).map(|()| count)
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        self.entries.borrow_mut().remove(key);
        Ok(())
    }

    fn now_unix_ms(&self) -> u64 {
        self.now.get()
    }

    fn digest(&self, text: &str) -> String {
        text.to_owned()
    }

    fn ask_again(&self, whose: Whose<'_>) {
        self.asked_again.borrow_mut().push(format!("{whose:?}"));
    }

    fn tell(&self, message: &str, fields: &[(&str, &str)]) {
        self.told.borrow_mut().push(format!("{message} {fields:?}"));
    }
}

fn warden(memory: &Memory, config: Value) -> Result<Warden<&Memory>, String> {
    let settings = Settings::deserialize(config).map_err(|error| error.to_string())?;
    Warden::new(memory, settings)
}

const ALICE: (&str, &str) = ("alice", "press-1");

fn jailed(topic: &str) -> Verdict {
    Verdict::Jailed(topic.to_owned())
}

#[test]
fn who_leaves_is_in_quarantine_with_all_that_it_publishes() {
    let memory = Memory::default();
    let warden = warden(&memory, json!({ "usual": ["plant/${username}/#"] })).unwrap();
    assert_eq!(warden.judge(ALICE, "plant/alice/t").unwrap(), Verdict::Usual);
    assert!(!warden.is_jailed(ALICE).unwrap());
    assert_eq!(warden.judge(ALICE, "plant/bob/t").unwrap(), jailed("quarantine/alice/plant/bob/t"));
    assert_eq!(*memory.asked_again.borrow(), ["Principal(\"alice\")"]);
    assert_eq!(memory.told.borrow().len(), 1);
    let moved = jailed("quarantine/alice/plant/alice/t");
    assert_eq!(warden.judge(ALICE, "plant/alice/t").unwrap(), moved);
    // Under another name of the device as well.
    assert_eq!(warden.judge(("alice", "other"), "plant/alice/t").unwrap(), moved);
    assert_eq!(warden.judge(("bob", "press-1"), "plant/bob/t").unwrap(), Verdict::Usual);
    assert_eq!(memory.told.borrow().len(), 1, "told once");
}

#[test]
fn by_client_each_device_is_one() {
    let memory = Memory::default();
    let config = json!({ "by": "client", "jail": "a/b", "usual": ["${clientid}/#"] });
    let warden = warden(&memory, config).unwrap();
    assert_eq!(warden.own_filter(), "a/b/${clientid}/#");
    assert_eq!(warden.judge(ALICE, "x").unwrap(), jailed("a/b/press-1/x"));
    assert_eq!(*memory.asked_again.borrow(), ["Client(\"press-1\")"]);
    assert!(!warden.is_jailed(("alice", "press-2")).unwrap());
    assert!(!warden.is_jailed(("bob", "press-1")).unwrap());
}

#[test]
fn an_exempt_client_is_released() {
    let memory = Memory::default();
    warden(&memory, json!({ "usual": ["x"] })).unwrap().judge(ALICE, "y").unwrap();
    let warden = warden(&memory, json!({ "usual": ["x"], "exempt": ["alice"] })).unwrap();
    assert!(!warden.is_jailed(ALICE).unwrap());
    assert_eq!(warden.judge(ALICE, "y").unwrap(), Verdict::Usual);
    assert!(memory.entries.borrow().is_empty(), "also when the exemption ends");
    assert_eq!(memory.asked_again.borrow().len(), 2);
}

#[test]
fn what_was_published_in_the_time_of_learning_is_usual() {
    let memory = Memory::default();
    let config = json!({ "learning": { "seconds": 10, "topics_max": 2, "levels": 2 } });
    let warden = warden(&memory, config).unwrap();
    memory.now.set(1_000);
    for topic in ["a/b/1", "a/b/2", "a/c"] {
        assert_eq!(warden.judge(ALICE, topic).unwrap(), Verdict::Usual, "{topic}");
    }
    memory.now.set(11_000);
    assert_eq!(warden.judge(ALICE, "a/b/3").unwrap(), Verdict::Usual);
    assert_eq!(warden.judge(ALICE, "a").unwrap(), jailed("quarantine/alice/a"));
    // The time of another begins with its own first message; too many topics are leaving.
    for (topic, verdict) in
        [("a", Verdict::Usual), ("b", Verdict::Usual), ("c", jailed("quarantine/bob/c"))]
    {
        assert_eq!(warden.judge(("bob", "c"), topic).unwrap(), verdict);
    }
}

#[test]
fn instances_learn_together() {
    let memory = Memory::default();
    let config = json!({ "learning": { "seconds": 10, "topics_max": 9 } });
    let warden = warden(&memory, config).unwrap();
    memory.late.set(3);
    assert_eq!(warden.judge(ALICE, "a").unwrap(), Verdict::Usual);
    memory.late.set(100);
    assert!(warden.judge(ALICE, "b").is_err(), "nobody knows");
    assert!(!warden.is_jailed(ALICE).unwrap());
}

/// What cannot be read makes nothing usual.
#[test]
fn a_broken_profile_is_a_failure() {
    let memory = Memory::default();
    (&memory).set("usual/alice", b"rubbish", None).unwrap();
    let config = json!({ "learning": { "seconds": 10, "topics_max": 9 } });
    assert!(warden(&memory, config).unwrap().judge(ALICE, "a").is_err());
}

#[test]
fn who_is_refused_too_often_is_in_quarantine() {
    let memory = Memory::default();
    let config = json!({ "usual": ["a"], "denied_per_minute": 3, "exempt": ["bob"] });
    let warden = warden(&memory, config).unwrap();
    for expected in [false, false, true, true] {
        warden.denied(ALICE, "secret").unwrap();
        assert_eq!(warden.is_jailed(ALICE).unwrap(), expected);
        warden.denied(("bob", "c"), "secret").unwrap();
    }
    assert!(!warden.is_jailed(("bob", "c")).unwrap());
    assert_eq!(memory.told.borrow().len(), 1);
    assert_eq!(warden.judge(ALICE, "a").unwrap(), jailed("quarantine/alice/a"));
}

#[test]
fn settings_are_checked() {
    for (config, words) in [
        (json!({}), "name `usual` topics"),
        (json!({ "usual": ["a"], "jails": "x" }), "unknown field"),
        (json!({ "usual": ["a"], "by": "address" }), "unknown variant"),
        (json!({ "usual": ["a"], "jail": "" }), "jail = \"\""),
        (json!({ "usual": ["a"], "jail": "a/+" }), "jail = "),
        (json!({ "usual": ["a"], "jail": "$SYS/x" }), "jail = "),
        (json!({ "usual": ["a#"] }), "usual: \"a#\" is no topic filter"),
        (json!({ "usual": ["${user}"] }), "unknown variable"),
        (json!({ "usual": ["a"], "topics": ["${username}"] }), "unknown variable"),
        (json!({ "usual": ["a"], "topics": [] }), "topics: name one"),
        (json!({ "usual": ["a"], "denied_per_minute": 0 }), "denied_per_minute = 0"),
        (json!({ "usual": ["a"], "denied_per_minute": 61 }), "at most 60"),
        (json!({ "usual": ["a"], "release_after_seconds": 0 }), "release_after_seconds = 0"),
        (json!({ "usual": ["a"], "exempt": [""] }), "a name is empty"),
        (json!({ "learning": { "seconds": 0, "topics_max": 1 } }), "seconds = 0: 1 to"),
        (json!({ "learning": { "seconds": 1, "topics_max": 501 } }), "topics_max = 501: 1 to 500"),
        (json!({ "learning": { "seconds": 1, "topics_max": 1, "levels": 0 } }), "levels = 0"),
    ] {
        let why = warden(&Memory::default(), config.clone()).map(drop).unwrap_err();
        assert!(why.contains(words), "{config}: {why}");
    }
}
