//! `portcullis plugin new --lang LANGUAGE NAME`: a project to start from, with the contract inside,
//! that builds with the language's own tools.
//!
//! Its files are those of `examples/plugins/LANGUAGE`, which the tests build and run, with the name
//! of the example replaced.

use std::{fs, path::Path};

use clap::ValueEnum;

use crate::failure::Failure;

mod files;
#[cfg(test)]
mod typescript;

/// What the examples are called.
const EXAMPLE: &str = "first-plugin";
/// Where the contract goes: WIT looks for packages in `wit/deps`.
const CONTRACT: &str = "wit/deps/portcullis";
/// Characters of a name.
const NAME_MAX: usize = 64;

/// Languages that there is a project for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust
    Rust,
    /// C
    C,
    /// JavaScript
    Js,
    /// TypeScript
    Ts,
    /// Python
    Python,
    /// Go
    Go,
}

/// Makes the project `name` in `dir`, which must not be there yet.
pub(crate) fn run(language: Language, name: &str, dir: Option<&Path>) -> Result<(), Failure> {
    if !valid_name(name) {
        return Err(Failure::Refused(format!(
            "{name:?}: must be 1 to {NAME_MAX} lower-case letters, digits and '-', a letter first"
        )));
    }
    let dir = dir.unwrap_or_else(|| Path::new(name));
    // Refuses a folder that is there, whatever is in it.
    fs::create_dir(dir).map_err(|error| Failure::Refused(format!("{}: {error}", dir.display())))?;
    for (path, content) in files::of(language) {
        write(dir, &path.replace(EXAMPLE, name), &named(content, name))?;
    }
    for (path, content) in files::CONTRACT {
        write(dir, &format!("{CONTRACT}/{path}"), content)?;
    }
    println!("made {}; {} says how to build it", dir.display(), dir.join("README.md").display());
    Ok(())
}

/// As every tool takes it: cargo, npm, and the plugin folder.
fn valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= NAME_MAX
        && name.bytes().all(allowed)
}

/// The example under its new name; what is no text has no name in it.
fn named(content: &[u8], name: &str) -> Vec<u8> {
    match std::str::from_utf8(content) {
        Ok(text) => text.replace(EXAMPLE, name).into_bytes(),
        Err(_) => content.to_vec(),
    }
}

fn write(dir: &Path, path: &str, content: &[u8]) -> Result<(), Failure> {
    let path = dir.join(path);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(&path, content))
        .map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_every_tool_takes() {
        for name in ["a", "my-gate", "gate2", &"a".repeat(64)] {
            assert!(valid_name(name), "{name}");
        }
        for name in ["", "2gate", "-a", "Gate", "my_gate", "a/b", "..", "ä", &"a".repeat(65)] {
            assert!(!valid_name(name), "{name}");
        }
    }
}
