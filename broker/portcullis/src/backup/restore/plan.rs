//! What goes where, what of that is there already, and what is there that the backup does not have.
//!
//! Everything that can be known is known before the first file is touched: whether something is in the way, and whether
//! each folder can be written. The store comes last, in one step.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use store::FileStore;

use super::{
    super::{
        collect::{DATA, PLUGINS_STATE, is_of_plugin},
        name,
        versions::Renamed,
        without_secrets,
    },
    Places,
    place::{at, check_writable, copy_aside, give_all_to_owner_of, put, sync},
    staged::Staged,
};
use crate::{atomic_file::folder_of, failure::Failure};

/// What has to be done.
pub(super) struct Plan {
    /// From the staged folder to its place; not what is there as it is.
    moves: BTreeMap<PathBuf, PathBuf>,
    store: Option<(PathBuf, PathBuf)>,
    /// Files whose place holds something else.
    occupied: Vec<PathBuf>,
    /// Files that the broker would use and the backup does not have.
    foreign: Vec<PathBuf>,
}

impl Plan {
    /// `secrets` = whether the archive has them: without them it says nothing of what is secret.
    pub(super) fn make(
        places: &Places,
        staged: &Staged,
        has_store: bool,
        secrets: bool,
    ) -> Result<Self, Failure> {
        let mut moves = BTreeMap::new();
        for (prefix, place) in [(name::DATA, &places.data_dir), (name::PLUGINS, &places.plugins)] {
            let from = staged.files.join(prefix);
            let files = files_below(&from).map_err(at(&from))?;
            moves.extend(files.into_iter().map(|below| (from.join(&below), place.join(below))));
        }
        let store = match (&staged.store, &places.store) {
            (Some(from), Some(to)) if has_store => Some((from.clone(), to.clone())),
            _ => None,
        };
        let archived: BTreeSet<_> = moves.values().cloned().collect();
        let mut foreign = foreign_plugins(&places.plugins, &archived)?;
        for (path, _) in DATA.iter().filter(|(_, secret)| secrets || !secret) {
            let there = files_at(&places.data_dir.join(path))?;
            foreign.extend(there.into_iter().filter(|path| !archived.contains(path)));
        }
        if !secrets {
            name_anew(&moves, &staged.files.join(name::DATA).join(PLUGINS_STATE))?;
        }
        moves.retain(|from, to| !is_same(from, to, secrets));
        let occupied = moves.values().filter(|to| to.symlink_metadata().is_ok());
        Ok(Self { occupied: occupied.cloned().collect(), moves, store, foreign })
    }

    /// Whether that may be done, and can be.
    pub(super) fn check(&self, places: &Places, force: bool) -> Result<(), Failure> {
        if let Some(store) = places.store.as_ref().filter(|path| FileStore::is_in_use(path)) {
            return Err(Failure::Refused(format!(
                "{}: a broker uses this store: stop it first",
                store.display()
            )));
        }
        let there = fs::read_dir(&places.data_dir).map_err(at(&places.data_dir))?;
        let mut there = there.flatten().map(|entry| entry.path());
        // Plugins may lie in the data folder; what is there of them is looked at one by one.
        let strange = there.find(|path| !is_hidden(path) && *path != places.plugins);
        let store = places.store.as_ref().filter(|path| is_occupied(path));
        let found = strange.or_else(|| store.cloned());
        let found = found.or_else(|| self.occupied.iter().chain(&self.foreign).next().cloned());
        if let Some(found) = found.filter(|_| !force) {
            return Err(Failure::Refused(format!(
                "{}: is there already; allowed: an empty data_dir and no other plugins, or \
                 --force, which moves aside what is replaced and what the backup does not have",
                found.display()
            )));
        }
        self.folders(places).into_iter().try_for_each(check_writable)
    }

    /// All folders that something is written into, or taken from.
    fn folders<'a>(&'a self, places: &'a Places) -> BTreeSet<&'a Path> {
        let files = self.moves.values().chain(&self.foreign).map(|file| folder_of(file));
        let store = self.store.as_ref().map(|(_, to)| folder_of(to));
        let config = places.config_is_new.then(|| folder_of(&places.config));
        files.chain(store).chain(config).chain([places.data_dir.as_path()]).collect()
    }

    /// Where what was there before goes, new names both: files into the data folder, the store beside itself, since
    /// another file system may hold the data folder.
    fn aside(places: &Places) -> (PathBuf, PathBuf) {
        let mut time = unix_now();
        loop {
            let name = format!("before-restore-{time}");
            let files = places.data_dir.join(&name);
            let mut store = places.store.as_ref().unwrap_or(&files).clone().into_os_string();
            store.push(format!(".{name}"));
            let store = PathBuf::from(store);
            if files.symlink_metadata().is_err() && store.symlink_metadata().is_err() {
                return (files, store);
            }
            time += 1;
        }
    }

    /// Moves everything into its place, `config` as well. Where what was there before is now.
    pub(super) fn carry_out(
        &self,
        places: &Places,
        config: Option<&str>,
    ) -> Result<Option<PathBuf>, Failure> {
        let (aside, store_aside) = Self::aside(places);
        for file in self.occupied.iter().chain(&self.foreign) {
            copy_aside(file, &aside.join(file.strip_prefix("/").unwrap_or(file)))?;
        }
        for file in &self.foreign {
            fs::remove_file(file).map_err(at(file))?;
        }
        for (from, to) in &self.moves {
            put(to, &fs::read(from).map_err(at(from))?)?;
        }
        if let Some(text) = config {
            put(&places.config, text.as_bytes())?;
        }
        sync(&places.data_dir)?;
        if let Some((from, to)) = &self.store {
            give_all_to_owner_of(&places.data_dir, from)?;
            if is_occupied(to) {
                fs::rename(to, &store_aside).map_err(at(to))?;
                eprintln!("portcullis: the store before is {}", store_aside.display());
            } else if to.exists() {
                fs::remove_dir(to).map_err(at(to))?;
            }
            fs::rename(from, to).map_err(at(to))?;
            sync(folder_of(to))?;
        }
        let moved = !self.occupied.is_empty() || !self.foreign.is_empty();
        Ok(moved.then_some(aside))
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Plugins, manifests and signatures that are not in the archive: one that was uploaded later would go live, and a later
/// manifest count for an earlier component.
fn foreign_plugins(folder: &Path, archived: &BTreeSet<PathBuf>) -> Result<Vec<PathBuf>, Failure> {
    let there = match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>().map_err(at(folder))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(folder)(error)),
    };
    let there: BTreeSet<_> =
        there.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let file_name = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    let known = archived.iter().filter(|path| path.parent() == Some(folder)).filter_map(file_name);
    let names: BTreeSet<_> = there.iter().cloned().chain(known).collect();
    let foreign = there.iter().filter(|name| is_of_plugin(name, &names));
    let foreign = foreign.map(|name| folder.join(name)).filter(|path| !archived.contains(path));
    Ok(foreign.collect())
}

/// The file at a path, or all files below a folder there, but those that are being written.
fn files_at(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return Ok(vec![path.to_owned()]);
    }
    let files = files_below(path).map_err(at(path))?.into_iter();
    let is_written = |below: &PathBuf| below.iter().any(|part| is_hidden(Path::new(part)));
    Ok(files.filter(|below| !is_written(below)).map(|below| path.join(below)).collect())
}

/// All files below a folder that may not be there, as paths below it.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let entries = match fs::read_dir(folder.join(&below)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}

/// Whether a file is there as the archive has it: byte by byte, or it says more only of what a backup without secrets
/// leaves out of a manifest.
fn is_same(from: &Path, to: &Path, secrets: bool) -> bool {
    let (Ok(from), Ok(there)) = (fs::read(from), fs::read(to)) else { return false };
    if from == there {
        return true;
    }
    let is_manifest = to.extension().is_some_and(|extension| extension == "toml");
    let there = String::from_utf8(there).ok().filter(|_| is_manifest && !secrets);
    let told = there.and_then(|text| without_secrets::manifest(&text).ok().flatten());
    told.is_some_and(|told| told.as_bytes() == from)
}

/// Where a manifest stays that says more than the archive's, what is remembered of its plugin is about that one: the name of
/// a version is made of it.
fn name_anew(moves: &BTreeMap<PathBuf, PathBuf>, state: &Path) -> Result<(), Failure> {
    let mut renamed = Renamed::default();
    for (from, to) in moves.iter().filter(|(from, to)| is_same(from, to, false)) {
        let (told, own) = (fs::read_to_string(from), fs::read_to_string(to));
        if let (Ok(told), Ok(own), Ok(wasm)) = (told, own, fs::read(from.with_extension("wasm")))
            && told != own
        {
            renamed.note(&wasm, &told, &own);
        }
    }
    match fs::read_to_string(state) {
        Ok(text) => fs::write(state, renamed.named_in(&text)).map_err(at(state)),
        // The archive has none, or what is no text: nothing is named in it.
        Err(_) => Ok(()),
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether something stands there but an empty folder.
fn is_occupied(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.symlink_metadata().is_ok(),
    }
}
