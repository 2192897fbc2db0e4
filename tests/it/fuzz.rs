//! The bodies of the fuzz targets over a fixed sample of inputs, in every run; `just fuzz` is the
//! long way. The sources are taken in as they are: the crate of the targets is a workspace of its
//! own, which nothing here can depend on.

use std::{fs, path::Path};

/// Its own tests, the sample among them, run as tests of this binary.
#[path = "../fuzz/src/lib.rs"]
#[allow(
    unreachable_pub,
    unused_imports,
    dead_code,
    reason = "what is public there is used by the binaries of libFuzzer"
)]
mod bodies;

/// A target whose body no test of `smoke.rs` calls would be forgotten in silence.
#[test]
fn every_target_has_its_sample() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let smoke = fs::read_to_string(folder.join("src/smoke.rs")).unwrap();
    for entry in fs::read_dir(folder.join("fuzz_targets")).unwrap() {
        let target = entry.unwrap().path();
        let target = target.file_stem().and_then(|stem| stem.to_str()).unwrap();
        assert!(smoke.contains(&format!("smoke(super::super::{target}, ")), "{target}");
    }
}
