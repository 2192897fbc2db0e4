//! The hash sees what determines a component and nothing else; the section survives the round trip.

use std::path::{Path, PathBuf};

use super::*;

const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[test]
fn a_section_is_found_behind_others() {
    let mut component = EMPTY_COMPONENT.to_vec();
    append_custom_section(&mut component, "a", &[7; 300]);
    append_custom_section(&mut component, "b", b"two");
    assert_eq!(find_custom_section(&component, "a"), Some(&[7; 300][..]));
    assert_eq!(find_custom_section(&component, "b"), Some(&b"two"[..]));
    assert_eq!(find_custom_section(&component, "c"), None);
    append_custom_section(&mut component, "a", b"newer");
    assert_eq!(find_custom_section(&component, "a"), Some(&b"newer"[..]));
}

#[test]
fn cut_and_foreign_bytes_hold_no_section() {
    let mut component = EMPTY_COMPONENT.to_vec();
    append_custom_section(&mut component, "a", b"data");
    for end in 0..component.len() {
        assert_eq!(find_custom_section(&component[..end], "a"), None, "cut at {end}");
    }
    assert_eq!(find_custom_section(b"#!/bin/sh\n", "a"), None);
}

#[test]
fn every_component_has_its_own_name_and_output() {
    for (index, guest) in GUESTS.iter().enumerate() {
        assert!(guest.output.ends_with(&format!("/{}.wasm", guest.name)), "{guest:?}");
        assert!(GUESTS[index + 1..].iter().all(|other| other.name != guest.name), "{guest:?}");
    }
}

#[test]
fn the_files_of_a_plugin_are_its_own_the_sdk_and_the_contract() {
    let guest = &GUESTS[0];
    let files = files(&root(), guest).unwrap();
    assert!(files.contains_key("plugins/acl-rules/src/scope.rs"), "a crate that it uses");
    for name in ["plugins/acl-file/src/lib.rs", "plugin-sdk/src/export.rs", "wit/types.wit"] {
        assert!(files.contains_key(name), "{name}");
    }
    for name in files.keys() {
        assert!(!name.ends_with("/tests.rs") && !name.contains("password-file"), "{name}");
    }
}

#[test]
fn one_changed_byte_changes_the_hash() {
    let copy = std::env::temp_dir().join(format!("portcullis-source-hash-{}", std::process::id()));
    let guest = GUESTS.iter().find(|guest| guest.name == "lies").unwrap();
    for (name, path) in files(&root(), guest).unwrap() {
        let target = copy.join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
    let before = hash(&copy, guest).unwrap();
    assert_eq!(before, hash(&root(), guest).unwrap(), "the folder does not matter");
    let contract = copy.join("wit/types.wit");
    fs::write(&contract, [fs::read(&contract).unwrap(), b"\n".to_vec()].concat()).unwrap();
    let after = hash(&copy, guest).unwrap();
    fs::remove_dir_all(&copy).unwrap();
    assert_ne!(before, after);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
