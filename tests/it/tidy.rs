//! The house in order: who depends on whom, what each file opens with, names and sizes. Reads the
//! sources and `cargo metadata`, nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What each crate may depend on, of ours. Edges point downwards (ARCHITECTURE); the crates that
/// only wire or measure, `portcullis`, `portcullis-tests` and `portcullis-benches`, may use all.
const ALLOWED: &[(&str, &[&str])] = &[
    ("topic", &[]),
    ("limits", &[]),
    ("codec", &["topic"]),
    ("session", &["codec", "topic"]),
    ("access", &["codec", "topic"]),
    ("store", &["codec", "topic"]),
    ("telemetry", &["codec", "topic"]),
    ("plugin-host", &["access", "telemetry", "codec", "topic"]),
    ("server", &["session", "store", "access", "limits", "telemetry", "codec", "topic"]),
    ("admin", &["server", "access", "limits", "telemetry", "codec", "topic"]),
    ("portcullis-bench-guard", &["session", "access", "codec", "topic"]),
    // A client like any other: what it measures must not be what it measures with.
    ("portcullis-bench-peers", &[]),
];
const WIRING: &[&str] = &["portcullis", "portcullis-tests", "portcullis-benches"];

/// Crates of others that only these of ours may use: one heavy thing each, and none in the pure.
const KEPT: &[(&str, &[&str])] = &[
    ("wasmtime", &["plugin-host"]),
    ("tokio", &["server", "admin", "plugin-host"]),
    ("axum", &["admin"]),
    ("tungstenite", &["server"]),
    ("notify", &["plugin-host", "server"]),
    ("fjall", &["store"]),
    ("prometheus-client", &["telemetry"]),
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().expect("a name")
}

/// (package, dependency) of everything but tests; `None` as kind is an ordinary dependency.
fn edges(packages: &[Value]) -> Vec<(String, String)> {
    let mut edges = Vec::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["kind"].as_str() != Some("dev") {
                edges.push((name(package).to_owned(), name(dependency).to_owned()));
            }
        }
    }
    edges
}

#[test]
fn dependencies_point_downwards() {
    let packages = packages();
    let ours: Vec<_> = packages.iter().map(name).collect();
    for package in &ours {
        let known = ALLOWED.iter().any(|(name, _)| name == package) || WIRING.contains(package);
        assert!(known, "{package} has no place in the list of allowed dependencies");
    }
    assert!(ours.contains(&"server") && ours.contains(&"plugin-host"));
    for (package, dependency) in edges(&packages) {
        if !ours.contains(&dependency.as_str()) || WIRING.contains(&package.as_str()) {
            continue;
        }
        let (_, allowed) = ALLOWED.iter().find(|(name, _)| *name == package).expect("known");
        assert!(allowed.contains(&dependency.as_str()), "{package} may not use {dependency}");
    }
}

/// Tests of a crate may not reach for what the crate itself may not, or they could not run without
/// it: those of `server` and `admin` without Wasm above all.
#[test]
fn nor_do_the_dependencies_of_tests() {
    let packages = packages();
    for package in ["server", "admin", "access", "session"] {
        let package = packages.iter().find(|found| name(found) == package).expect("is there");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let dependency = name(dependency);
            let wasm = dependency == "plugin-host" || dependency.starts_with("wasmtime");
            assert!(!wasm, "{} may not use {dependency}, not even in tests", name(package));
        }
    }
}

#[test]
fn heavy_crates_stay_in_their_rooms() {
    let edges = edges(&packages());
    for (heavy, rooms) in KEPT {
        let mut found = false;
        for (package, dependency) in &edges {
            let family = dependency == heavy || dependency.starts_with(&format!("{heavy}-"));
            if !family || WIRING.contains(&package.as_str()) && *heavy != "wasmtime" {
                continue;
            }
            found = true;
            assert!(rooms.contains(&package.as_str()), "{package} may not use {dependency}");
        }
        assert!(found, "nobody uses {heavy}: is the list out of date?");
    }
}

/// Every Rust file under these folders, with its text.
pub(crate) fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            if kind.is_dir() && entry.file_name() != "target" {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("readable");
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 10, "{folders:?}");
    found
}

pub(crate) const EVERYWHERE: &[&str] = &["broker", "plugin-sdk", "plugins", "tests", "benches"];

/// Tests that stand beside in a file of their own share the card of what they test.
#[test]
fn every_file_opens_with_its_card() {
    for (path, text) in sources(EVERYWHERE) {
        let card = text.lines().next().unwrap_or_default();
        let says = card.strip_prefix("//!").is_some_and(|words| !words.trim().is_empty());
        let tests = path.file_stem().is_some_and(|stem| stem == "tests");
        assert!(says || tests, "{} opens with {card:?}", path.display());
    }
}

#[test]
fn no_file_is_a_drawer() {
    let drawers = ["util", "utils", "common", "misc", "helper", "helpers"];
    for (path, _) in sources(EVERYWHERE) {
        for part in path.strip_prefix(root()).expect("below the root").iter() {
            let stem = Path::new(part).file_stem().and_then(|stem| stem.to_str());
            assert!(!drawers.contains(&stem.unwrap_or_default()), "{}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_to_do() {
    // Put together here, so that this file does not hold them.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["unimplemented", "!"].concat()];
    let words = words.into_iter().chain([["todo", "!"].concat()]).collect::<Vec<_>>();
    for (path, text) in sources(&["broker"]) {
        for (number, line) in (1..).zip(text.lines()) {
            let found = words.iter().find(|word| line.contains(word.as_str()));
            assert!(found.is_none(), "{}:{number}: {line}", path.display());
        }
    }
}

/// The pure crates know no clock, no socket and no file: `now` and bytes are passed in. Clippy can
/// only ban a function everywhere, and the crates around them have to read a clock.
#[test]
fn the_pure_crates_ask_nobody() {
    let banned = ["Instant::now", "SystemTime::now", "std::fs", "std::net::Tcp", "std::env"];
    let pure = ["topic", "codec", "session", "access", "limits"];
    let folders = pure.map(|name| format!("broker/{name}/src"));
    for (path, text) in sources(&folders.each_ref().map(String::as_str)) {
        let file = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if file == "tests" || path.iter().any(|part| part == "tests") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in (1..).zip(code.lines()) {
            let found = banned.iter().find(|word| line.contains(*word));
            let comment = line.trim_start().starts_with("//");
            assert!(found.is_none() || comment, "{}:{number}: {line}", path.display());
        }
    }
}

/// At most 800 lines of code; tests that stand beside in a file of their own do not count.
#[test]
fn no_file_is_too_long() {
    for (path, text) in sources(EVERYWHERE) {
        let code = text.lines().map(str::trim);
        let code = code.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        let tests = path.file_stem().is_some_and(|stem| stem == "tests");
        assert!(tests || code <= 800, "{}: {code} lines of code", path.display());
    }
}

/// The end of the function that begins on the first of these lines, as rustfmt indents it: the line
/// with its closing brace.
fn end_of_function(lines: &[&str]) -> Option<usize> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (first, rest) = lines.split_first()?;
    let declared = first.trim_start().split('(').next()?;
    let is_function = declared.split_whitespace().rev().nth(1) == Some("fn");
    // In one line, or without a body.
    if !is_function || first.ends_with('}') || first.ends_with(';') {
        return None;
    }
    let ends = |line: &&str| line.trim() == "}" && indent(line) == indent(first);
    rest.iter().position(ends).map(|at| at + 1)
}

/// At most 70 lines of code; blank ones and comments do not count.
#[test]
fn no_function_is_too_long() {
    let mut found = 0;
    for (path, text) in sources(EVERYWHERE) {
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(end) = end_of_function(&lines[number..]) else {
                continue;
            };
            found += 1;
            let code = lines[number..=number + end].iter().map(|line| line.trim());
            let code = code.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
            assert!(code <= 70, "{}:{}: {code} lines: {line}", path.display(), number + 1);
        }
    }
    assert!(found > 1_000, "only {found} functions were recognised");
}

/// At most 100 columns of code. rustfmt breaks what it can; what has no place to break, a hash in a
/// text for instance, may be longer.
#[test]
fn no_line_is_too_long() {
    for (path, text) in sources(EVERYWHERE) {
        for (number, line) in (1..).zip(text.lines()) {
            let comment = line.trim_start().starts_with("//");
            let unbreakable = line.split_whitespace().any(|word| word.len() > 60);
            let columns = line.chars().count();
            let good = columns <= 100 || comment || unbreakable;
            assert!(good, "{}:{number}: {columns} columns", path.display());
        }
    }
}

/// Only one crate may lift the ban on unsafe code.
#[test]
fn unsafe_code_is_forbidden() {
    for package in fs::read_dir(root().join("broker")).expect("the crates") {
        let folder = package.expect("an entry").path();
        let opens = ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file));
        let Some(text) = opens.iter().find_map(|path| fs::read_to_string(path).ok()) else {
            continue;
        };
        let exempt = folder.file_name().is_some_and(|name| name == "plugin-host");
        let forbids = text.contains("#![forbid(unsafe_code)]");
        assert!(exempt || forbids, "{} does not forbid it", folder.display());
    }
}
