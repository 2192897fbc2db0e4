//! The files of every project, inside the program. The lists are compared with the folders.

use super::Language;

/// A path and what is in the file.
type File = (&'static str, &'static [u8]);

macro_rules! files {
    ($folder:literal, $($path:literal)*) => {
        &[$((
            $path,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $folder, "/", $path)),
        )),*]
    };
}

/// Of the example in this language.
pub(super) fn of(language: Language) -> &'static [File] {
    match language {
        Language::Rust => files!("examples/plugins/rust",
            ".gitignore" "Cargo.lock" "Cargo.toml" "README.md" "first-plugin.cases.toml"
            "first-plugin.toml" "src/lib.rs" "wit/world.wit"),
        Language::C => files!("examples/plugins/c",
            ".gitignore" "Makefile" "README.md" "first-plugin.cases.toml" "first-plugin.toml"
            "gen/plugin.c" "gen/plugin.h" "gen/plugin_component_type.o" "hooks.c"
            "wit/world.wit"),
        Language::Js => files!("examples/plugins/js",
            ".gitignore" "README.md" "first-plugin.cases.toml" "first-plugin.toml"
            "package.json" "plugin.js" "wit/world.wit"),
        Language::Python => files!("examples/plugins/python",
            ".gitignore" "Makefile" "README.md" "first-plugin.cases.toml" "first-plugin.toml"
            "plugin.py" "requirements.txt" "wit/world.wit"),
    }
}

/// `wit/` of this version.
pub(super) const CONTRACT: &[File] = files!("wit",
    "admin-authenticator.wit" "authenticator.wit" "authorizer.wit" "enhanced-authenticator.wit"
    "events.wit" "grants.wit" "host.wit" "inbound-transform.wit" "messages.wit"
    "operation-authorizer.wit" "outbound-transform.wit" "permissions.wit" "plugin.wit"
    "state-transfer.wit" "timer.wit" "types.wit" "world.wit");

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use clap::ValueEnum;

    use super::*;

    /// Every file of a folder but what its build makes and links to.
    fn found(folder: &Path, within: &str) -> BTreeSet<String> {
        let made = ["target", "node_modules", ".venv", "__pycache__", "package-lock.json"];
        let mut paths = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let kind = entry.file_type().unwrap();
            if made.contains(&&*name) || name.ends_with(".wasm") || kind.is_symlink() {
                continue;
            }
            let path = format!("{within}{name}");
            match kind.is_dir() {
                true => paths.extend(found(&entry.path(), &format!("{path}/"))),
                false => drop(paths.insert(path)),
            }
        }
        paths
    }

    #[test]
    fn the_lists_are_what_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let listed = |files: &[File]| files.iter().map(|(path, _)| (*path).to_owned()).collect();
        for language in Language::value_variants() {
            let name = language.to_possible_value().unwrap();
            let folder = root.join("examples/plugins").join(name.get_name());
            assert_eq!(found(&folder, ""), listed(of(*language)), "{}", folder.display());
            let contract = fs::canonicalize(folder.join("wit/deps/portcullis")).unwrap();
            assert_eq!(contract, fs::canonicalize(root.join("wit")).unwrap());
        }
        let contract: BTreeSet<String> = listed(CONTRACT);
        let there = found(&root.join("wit"), "");
        let there: BTreeSet<_> = there.into_iter().filter(|path| !path.contains('/')).collect();
        assert_eq!(there, contract);
    }
}
