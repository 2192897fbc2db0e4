//! The committed components are those of the committed sources.
//!
//! Needs `source-hash = { path = "../plugins/source-hash" }`; compiles no component.

use std::path::Path;

use source_hash::{GUESTS, check, find_custom_section};

#[test]
fn prebuilt_components_fit_their_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let stale = check(&root).expect("sources and components are readable");
    assert!(!GUESTS.is_empty());
    assert!(stale.is_empty(), "run plugins/build, these are stale: {stale:#?}");
}

#[test]
fn a_nonce_makes_a_distinct_build() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/prebuilt/acl-file.wasm");
    let original = std::fs::read(path).expect("acl-file.wasm is committed");
    let mut build = original.clone();
    source_hash::append_custom_section(&mut build, "nonce", &7_u32.to_le_bytes());
    assert_ne!(build, original);
    assert_eq!(find_custom_section(&build, "nonce"), Some(&7_u32.to_le_bytes()[..]));
}
