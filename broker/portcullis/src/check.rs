//! `portcullis check`: configuration, plugins and file modes, every problem, nothing started and
//! nothing written.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::{config::Config, failure::Failure};

/// Checks everything and prints each problem on a line of its own.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let config = Config::load_or_report(file)?;
    let mut problems = Vec::new();
    let names = plugin_names(&config, &mut problems);
    for name in &names {
        check_plugin(&config, name, &mut problems).await;
    }
    check_standing(&config, &mut problems);
    check_modes(&config, &names, &mut problems);
    if problems.is_empty() {
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
    for (key, chain) in listeners.chain([("plugins.chain", &config.plugins.chain)]) {
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

fn wasm_files(dir: &Path) -> io::Result<BTreeSet<String>> {
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

async fn check_plugin(config: &Config, name: &str, problems: &mut Vec<String>) {
    let dir = &config.plugins.dir.value;
    let file = dir.join(format!("{name}.wasm"));
    if config.plugins.require_manifest && !dir.join(format!("{name}.toml")).exists() {
        let what = "has no manifest and plugins.require_manifest is set";
        problems.push(format!("{}: {what}", file.display()));
    }
    if let Err(found) = plugin_host::check_plugin(dir, name, &config.plugins.file_roots).await {
        problems.extend(found.iter().map(|problem| with_file(problem, name, dir)));
    }
}

/// What the broker would remember or a manifest would say against a plugin that stands in a chain.
fn check_standing(config: &Config, problems: &mut Vec<String>) {
    let chains = config.listeners.iter().filter_map(|listener| listener.chain.as_ref());
    let chains = chains.chain(config.plugins.chain.as_ref());
    let named = chains.flatten().map(|name| name.value.clone()).collect();
    let dir = &config.plugins.dir.value;
    problems.extend(plugin_host::check_standing(dir, &config.data_dir, &named));
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

/// Who can write these decides who gets in; who can read the token is an admin.
fn check_modes(config: &Config, names: &BTreeSet<String>, problems: &mut Vec<String>) {
    let dir = &config.plugins.dir.value;
    let of_plugins = names
        .iter()
        .flat_map(|name| [dir.join(format!("{name}.wasm")), dir.join(format!("{name}.toml"))]);
    let guarded = [config.file.clone(), config.data_dir.clone(), dir.clone()];
    for path in guarded.into_iter().chain(of_plugins) {
        problems.extend(check_mode(&path, 0o002, "everybody can write it"));
    }
    let token = config.data_dir.join("admin.token");
    problems.extend(check_mode(&token, 0o077, "others than its owner can use it"));
}

/// A file that is not there has no wrong mode.
fn check_mode(path: &Path, forbidden: u32, what: &str) -> Option<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(format!("{}: {error}", path.display())),
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & forbidden == 0 {
        return None;
    }
    let allowed = mode & !forbidden;
    let owner = metadata.uid();
    Some(format!(
        "{}: mode {mode:04o} (owner {owner}): {what}, allowed: {allowed:04o}",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_that_let_others_in_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "").unwrap();
        for (mode, forbidden, found) in [
            (0o644, 0o002, false),
            (0o646, 0o002, true),
            (0o600, 0o077, false),
            (0o640, 0o077, true),
            (0o604, 0o077, true),
        ] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_mode(&file, forbidden, "x").is_some(), found, "{mode:o}");
        }
        assert_eq!(check_mode(&folder.path().join("none"), 0o077, "x"), None);
    }

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
