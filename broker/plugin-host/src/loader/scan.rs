//! One look at the folder: which names there are and what their files look like from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

use crate::candidate::{Places, SHADOW, Stamp};

/// What a look found.
pub(super) enum Scan {
    /// Every name, known or new, with what its files look like.
    Seen(BTreeMap<String, Seen>),
    /// The folder is not there or not readable: nothing in it may answer.
    Unreadable(String),
    /// This process lacks something, such as file descriptors: nothing is known, nothing changes.
    NoResources(String),
}

/// The files of one plugin from outside.
pub(super) struct Seen {
    /// Sizes and times.
    pub(super) stamp: Stamp,
    /// There is no `NAME.wasm`.
    pub(super) no_wasm: bool,
    /// There is no `NAME.toml`.
    pub(super) no_manifest: bool,
}

/// `known` = names with the `[files]` of their manifests.
pub(super) async fn scan(places: Places, known: BTreeMap<String, Vec<PathBuf>>) -> Scan {
    let shown = places.dir.display().to_string();
    let found = tokio::task::spawn_blocking(move || look(&places, &known)).await;
    match found {
        Ok(Ok(seen)) => Scan::Seen(seen),
        Ok(Err(error)) if is_ours(&error) => {
            Scan::NoResources(format!("{shown} cannot be looked at now: {error}"))
        }
        Ok(Err(error)) => Scan::Unreadable(format!("the plugin folder {shown}: {error}")),
        Err(error) => Scan::NoResources(format!("{shown} cannot be looked at now: {error}")),
    }
}

fn seen(places: &Places, name: &str, targets: &[PathBuf]) -> Seen {
    let (wasm, manifest) = (places.wasm(name), places.manifest(name));
    let own = [wasm.clone(), manifest.clone()];
    let stamp = Stamp::of(own.into_iter().chain(targets.iter().cloned()));
    Seen { no_wasm: stamp.is_absent(&wasm), no_manifest: stamp.is_absent(&manifest), stamp }
}

fn look(
    places: &Places,
    known: &BTreeMap<String, Vec<PathBuf>>,
) -> io::Result<BTreeMap<String, Seen>> {
    let mut names: BTreeSet<String> = known.keys().cloned().collect();
    for entry in fs::read_dir(&places.dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // Hidden files are uploads that are still being written, and editors' own.
        let is_plugin = |name: &&str| !name.starts_with('.') && !name.ends_with(SHADOW);
        if let Some(name) = name.strip_suffix(".wasm").filter(is_plugin) {
            names.insert(name.to_owned());
        }
    }
    Ok(names
        .into_iter()
        .map(|name| {
            let targets = known.get(&name).map(Vec::as_slice).unwrap_or_default();
            let seen = seen(places, &name, targets);
            (name, seen)
        })
        .collect())
}

/// EMFILE, ENFILE, EINTR, ENOMEM: the folder did nothing wrong. A reload that runs out of file
/// descriptors must not change who gets in.
fn is_ours(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
