//! `portcullis check`: configuration, plugins and file modes, every problem, nothing started and
//! nothing written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use plugin_host::Manifest;

use crate::{
    config::Config,
    failure::Failure,
    keys,
    trust::{self, User, WRITERS},
};

/// Checks everything and prints each problem on a line of its own.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let (config, faults) = Config::load_readable(file);
    let mut problems: Vec<_> = faults.to_string().lines().map(str::to_owned).collect();
    let mut names = BTreeSet::new();
    // A fault of one key hides nothing of the folders and plugins that others name.
    if let Some(config) = &config {
        problems.extend(keys::look(&config.data_dir, &config.sources));
        names = plugin_names(config, &mut problems);
        for name in &names {
            check_plugin(config, name, &mut problems).await;
        }
        check_standing(config, &mut problems);
        check_tls(config, &mut problems);
        check_modes(config, &names, &mut problems);
    }
    if let (Some(config), true) = (&config, problems.is_empty()) {
        println!("{}: ok", config.file.display());
        println!("  listeners {}", config.listeners.len());
        println!("  plugins   {}", names.into_iter().collect::<Vec<_>>().join(", "));
        return Ok(());
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    let word = if problems.len() == 1 { "problem" } else { "problems" };
    Err(Failure::Refused(format!("{}: {} {word}", file.display(), problems.len())))
}

/// Every plugin of the folder. Those that a chain names and that are not there are problems.
fn plugin_names(config: &Config, problems: &mut Vec<String>) -> BTreeSet<String> {
    let (file, dir) = (config.file.display(), &config.plugins.dir.value);
    let names = match wasm_files(dir) {
        Ok(names) => names,
        Err(error) => {
            let line = config.plugins.dir.line;
            problems.push(format!(
                "{file}:{line}: plugins.dir: {}: {error}, allowed: a folder that can be read",
                dir.display()
            ));
            return BTreeSet::new();
        }
    };
    let listeners = config.listeners.iter().map(|l| ("listeners.chain", &l.chain));
    let admin = Some(config.admin.chain.clone());
    let others = [("plugins.chain", &config.plugins.chain), ("admin.chain", &admin)];
    for (key, chain) in listeners.chain(others) {
        for name in chain.iter().flatten().filter(|name| !names.contains(&name.value)) {
            let (line, value) = (name.line, &name.value);
            let found: Vec<_> = names.iter().map(String::as_str).collect();
            problems.push(format!(
                "{file}:{line}: {key}: {value:?}: {} is not there, allowed: {}",
                dir.join(format!("{value}.wasm")).display(),
                if found.is_empty() { "no name".to_owned() } else { found.join(", ") }
            ));
        }
    }
    if names.is_empty() {
        println!("note: {} holds no plugin, so nobody gets in", dir.display());
    }
    names
}

pub(crate) fn wasm_files(dir: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_wasm = path.extension().is_some_and(|extension| extension == "wasm");
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        // A leading dot: a file that is being written beside its final name.
        if is_wasm && !name.starts_with('.') {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

/// Why a plugin of the folder would not be live.
pub(crate) async fn plugin_problems(config: &Config, name: &str) -> Vec<String> {
    let mut problems = Vec::new();
    check_plugin(config, name, &mut problems).await;
    problems
}

async fn check_plugin(config: &Config, name: &str, problems: &mut Vec<String>) {
    let dir = &config.plugins.dir.value;
    let file = dir.join(format!("{name}.wasm"));
    if config.plugins.require_manifest && !dir.join(format!("{name}.toml")).exists() {
        let what = "has no manifest and plugins.require_manifest is set";
        problems.push(format!("{}: {what}", file.display()));
    }
    let (roots, trust) = (&config.plugins.file_roots, &config.plugins.trust);
    let found = plugin_host::check_plugin(dir, name, roots, &config.sources, trust).await;
    if let Err(found) = found {
        problems.extend(found.iter().map(|problem| with_file(problem, name, dir)));
    }
}

/// What the broker would remember or a manifest would say against a plugin that stands in a chain.
fn check_standing(config: &Config, problems: &mut Vec<String>) {
    let chains = config.listeners.iter().filter_map(|listener| listener.chain.as_ref());
    let chains = chains.chain(config.plugins.chain.as_ref()).chain([&config.admin.chain]);
    let named = chains.flatten().map(|name| name.value.clone()).collect();
    let dir = &config.plugins.dir.value;
    problems.extend(plugin_host::check_standing(dir, &config.data_dir, &named));
}

/// Certificates, keys, authorities and lists of the listeners.
fn check_tls(config: &Config, problems: &mut Vec<String>) {
    let file = config.file.display();
    for listener in &config.listeners {
        let faults = listener.tls.as_ref().map(|tls| server::check_tls(tls)).unwrap_or_default();
        let name = &listener.name;
        let named = faults.iter().map(|fault| format!("{file}: listener {name:?}: {fault}"));
        problems.extend(named);
    }
}

/// Problems of manifests name their file already; others name the plugin.
fn with_file(problem: &str, name: &str, dir: &Path) -> String {
    if problem.starts_with(&*dir.to_string_lossy()) {
        return problem.to_owned();
    }
    let rest = problem.strip_prefix(name).filter(|rest| rest.starts_with([':', ' ']));
    let rest = rest.map_or(problem, |rest| rest.trim_start_matches([':', ' ']));
    format!("{}: {rest}", dir.join(format!("{name}.wasm")).display())
}

/// What is wrong with owners and modes of everything that decides.
pub(crate) fn modes(config: &Config, names: &BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    check_modes(config, names, &mut problems);
    problems
}

/// Who can write these decides who gets in; who can read the token is an admin.
fn check_modes(config: &Config, names: &BTreeSet<String>, problems: &mut Vec<String>) {
    let user = User::of_service(&config.data_dir);
    let dir = &config.plugins.dir.value;
    problems.extend(trust::problems(&config.file, WRITERS, user));
    problems.extend(trust::folders(config, user));
    let mut targets = BTreeMap::new();
    for name in names {
        let manifest = dir.join(format!("{name}.toml"));
        problems.extend(trust::problems(&dir.join(format!("{name}.wasm")), WRITERS, user));
        problems.extend(trust::problems(&manifest, WRITERS, user));
        // Several plugins may read one file, and one of them may call it by another name.
        for (key, target) in file_targets(dir, &manifest) {
            *targets.entry(target).or_insert(false) |= key.contains("password");
        }
    }
    for (target, secret) in targets {
        if !may_be_read(&target, &config.plugins.file_roots) {
            // Refused for its place already: nothing is to be done about the file itself.
            continue;
        }
        // The group may be that of the broker.
        let forbidden = if secret { WRITERS | 0o007 } else { WRITERS };
        problems.extend(trust::problems(&target, forbidden, user));
    }
}

fn may_be_read(target: &Path, roots: &[PathBuf]) -> bool {
    let Ok(target) = target.canonicalize() else {
        return false;
    };
    roots.iter().filter_map(|root| root.canonicalize().ok()).any(|root| target.starts_with(root))
}

/// Names and paths of the files that a manifest lets its plugin read. A manifest that is not there
/// names none, and one that is broken is a problem already.
fn file_targets(dir: &Path, manifest: &Path) -> Vec<(String, PathBuf)> {
    let Ok(text) = fs::read_to_string(manifest) else {
        return Vec::new();
    };
    let files = Manifest::parse(manifest, &text).map(|manifest| manifest.files);
    files.into_iter().flatten().map(|(key, path)| (key, dir.join(path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_names_its_file() {
        let dir = Path::new("/p");
        for (problem, expect) in [
            ("a is no component", "/p/a.wasm: is no component"),
            ("a: init failed", "/p/a.wasm: init failed"),
            ("/p/a.toml:3: order", "/p/a.toml:3: order"),
            ("about files", "/p/a.wasm: about files"),
        ] {
            assert_eq!(with_file(problem, "a", dir), expect);
        }
    }

    #[test]
    fn only_plugins_of_the_folder_count() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.wasm", "b.toml", ".c.wasm", "d.wasm.tmp", "e.wasm"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<_> = wasm_files(folder.path()).unwrap().into_iter().collect();
        assert_eq!(names, ["a", "e"]);
    }
}
