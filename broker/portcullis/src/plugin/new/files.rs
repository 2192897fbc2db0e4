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
        Language::Ts => files!("examples/plugins/ts",
            ".gitignore" "README.md" "first-plugin.cases.toml" "first-plugin.toml"
            "package.json" "plugin.ts" "tsconfig.json" "types/portcullis.d.ts" "wit/world.wit"),
        Language::Python => files!("examples/plugins/python",
            ".gitignore" "Makefile" "README.md" "first-plugin.cases.toml" "first-plugin.toml"
            "plugin.py" "requirements.txt" "wit/world.wit"),
        Language::Go => files!("examples/plugins/go",
            ".gitignore" "README.md" "exports/export_portcullis_plugin_authenticator/hooks.go"
            "exports/export_portcullis_plugin_authorizer/hooks.go"
            "exports/export_portcullis_plugin_inbound_transform/hooks.go"
            "exports/export_portcullis_plugin_plugin/hooks.go" "exports/wit_exports/wit_exports.go"
            "first-plugin.cases.toml" "first-plugin.toml" "go.mod" "hooks/hooks.go"
            "imports/portcullis_plugin_authenticator/empty.s"
            "imports/portcullis_plugin_authenticator/wit_bindings.go"
            "imports/portcullis_plugin_authorizer/empty.s"
            "imports/portcullis_plugin_authorizer/wit_bindings.go"
            "imports/portcullis_plugin_broker/empty.s"
            "imports/portcullis_plugin_broker/wit_bindings.go"
            "imports/portcullis_plugin_cache_control/empty.s"
            "imports/portcullis_plugin_cache_control/wit_bindings.go"
            "imports/portcullis_plugin_clock/empty.s"
            "imports/portcullis_plugin_clock/wit_bindings.go"
            "imports/portcullis_plugin_config/empty.s"
            "imports/portcullis_plugin_config/wit_bindings.go"
            "imports/portcullis_plugin_crypto/empty.s"
            "imports/portcullis_plugin_crypto/wit_bindings.go"
            "imports/portcullis_plugin_files/empty.s"
            "imports/portcullis_plugin_files/wit_bindings.go"
            "imports/portcullis_plugin_grants/empty.s"
            "imports/portcullis_plugin_grants/wit_bindings.go"
            "imports/portcullis_plugin_http_client/empty.s"
            "imports/portcullis_plugin_http_client/wit_bindings.go"
            "imports/portcullis_plugin_inbound_transform/empty.s"
            "imports/portcullis_plugin_inbound_transform/wit_bindings.go"
            "imports/portcullis_plugin_jwt/empty.s" "imports/portcullis_plugin_jwt/wit_bindings.go"
            "imports/portcullis_plugin_keys/empty.s"
            "imports/portcullis_plugin_keys/wit_bindings.go"
            "imports/portcullis_plugin_ldap/empty.s"
            "imports/portcullis_plugin_ldap/wit_bindings.go" "imports/portcullis_plugin_log/empty.s"
            "imports/portcullis_plugin_log/wit_bindings.go"
            "imports/portcullis_plugin_messages/empty.s"
            "imports/portcullis_plugin_messages/wit_bindings.go"
            "imports/portcullis_plugin_metrics/empty.s"
            "imports/portcullis_plugin_metrics/wit_bindings.go"
            "imports/portcullis_plugin_permissions/empty.s"
            "imports/portcullis_plugin_permissions/wit_bindings.go"
            "imports/portcullis_plugin_plugin/empty.s"
            "imports/portcullis_plugin_plugin/wit_bindings.go"
            "imports/portcullis_plugin_random/empty.s"
            "imports/portcullis_plugin_random/wit_bindings.go"
            "imports/portcullis_plugin_secrets/empty.s"
            "imports/portcullis_plugin_secrets/wit_bindings.go"
            "imports/portcullis_plugin_sql/empty.s" "imports/portcullis_plugin_sql/wit_bindings.go"
            "imports/portcullis_plugin_state/empty.s"
            "imports/portcullis_plugin_state/wit_bindings.go"
            "imports/portcullis_plugin_types/empty.s"
            "imports/portcullis_plugin_types/wit_bindings.go" "main.go" "third_party/pkg/LICENSE"
            "third_party/pkg/go.mod" "third_party/pkg/wit/runtime/empty.s"
            "third_party/pkg/wit/runtime/runtime.go" "third_party/pkg/wit/types/option.go"
            "third_party/pkg/wit/types/result.go" "third_party/pkg/wit/types/tuple.go"
            "third_party/pkg/wit/types/unit.go" "wit/world.wit"),
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
        let made = ["target", "node_modules", ".venv", "__pycache__", "package-lock.json", "build"];
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

    /// A Go project may import whatever there is: its bindings are not made by who writes a plugin.
    #[test]
    fn the_bindings_of_go_have_every_function() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut resolve = wit_parser::Resolve::default();
        let (package, _) = resolve.push_dir(root.join("wit")).unwrap();
        let world = resolve.select_world(&[package], Some("imports")).unwrap();
        let mut functions = 0;
        for item in resolve.worlds[world].imports.values() {
            let wit_parser::WorldItem::Interface { id, .. } = item else { continue };
            let interface = &resolve.interfaces[*id];
            let folder = interface.name.as_deref().unwrap().replace('-', "_");
            let bindings = root
                .join("examples/plugins/go/imports")
                .join(format!("portcullis_plugin_{folder}/wit_bindings.go"));
            let text = fs::read_to_string(&bindings).unwrap_or_default();
            for function in interface.functions.keys() {
                let id = resolve.id_of(*id).unwrap();
                let line = format!("//go:wasmimport {id} {function}\n");
                assert!(text.contains(&line), "{}: no {line}", bindings.display());
                functions += 1;
            }
        }
        assert!(functions > 30, "{functions}");
    }
}
