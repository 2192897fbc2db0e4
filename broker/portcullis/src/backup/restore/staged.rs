//! An archive unpacked beside the places that its files go to, and the store opened as the broker will open it.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use store::{Restore, Restored};

use super::{
    super::{
        archive::{self, Summary},
        name,
        progress::Watched,
    },
    Places,
    place::{at, make_folder},
    read_at_most,
};
use crate::{atomic_file::folder_of, failure::Failure};

/// Largest piece of sessions or retained messages: the largest message, and what is beside it.
const PIECE_BYTES_MAX: u64 = 512 << 20;

/// Folders beside the places, gone with this value.
pub(super) struct Staged {
    /// In the data folder.
    pub(super) files: PathBuf,
    /// Beside the store.
    pub(super) store: Option<PathBuf>,
}

/// What came out of the archive.
pub(super) struct Unpacked {
    pub(super) store: Option<Restored>,
    /// The archive has a store, and the configuration keeps none.
    pub(super) passed_over: bool,
}

impl Staged {
    pub(super) fn begin(places: &Places) -> Result<Self, Failure> {
        let name = format!(".restore-{}", std::process::id());
        let files = places.data_dir.join(&name);
        let store = match &places.store {
            Some(path) => {
                let beside = folder_of(path);
                make_folder(beside)?;
                Some(beside.join(format!("{name}-store")))
            }
            None => None,
        };
        DirBuilder::new().mode(0o700).create(&files).map_err(at(&files))?;
        Ok(Self { files, store })
    }

    /// Unpacks everything; it must be the same archive that was looked through.
    pub(super) fn unpack(&self, archive: &Path, expected: &Summary) -> io::Result<Unpacked> {
        let mut store: Option<Restore> = None;
        let (mut mark, mut passed_over) = (None, false);
        let watched = Watched::open(archive, "unpacking it")?;
        let found = archive::read(watched, &mut |path, content| {
            if let Some(rest) = path.strip_prefix("store/") {
                let Some(place) = &self.store else {
                    passed_over = true;
                    return io::copy(content, &mut io::sink()).map(drop);
                };
                let restore = match &mut store {
                    Some(restore) => restore,
                    None => store.insert(Restore::begin(place)?),
                };
                return unpack_store(restore, rest, content, &mut mark);
            }
            let folders = [name::DATA, name::PLUGINS];
            if ![name::CONFIG, name::KEYS].contains(&path)
                && !folders.iter().any(|folder| path.starts_with(folder))
            {
                return Err(io::Error::other("is nothing that a backup has"));
            }
            let place = self.files.join(path);
            DirBuilder::new().recursive(true).mode(0o700).create(folder_of(&place))?;
            copy_new(content, &place)
        })?;
        if found != *expected {
            return Err(io::Error::other("it changed while it was read"));
        }
        let store = match (store, mark) {
            (None, _) => None,
            (Some(store), Some(mark)) => Some(store.finish(&mark)?),
            (Some(_), None) => return Err(io::Error::other("store/mark is missing")),
        };
        Ok(Unpacked { store, passed_over })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for folder in [Some(&self.files), self.store.as_ref()].into_iter().flatten() {
            match fs::remove_dir_all(folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => eprintln!("portcullis: {} stays: {error}", folder.display()),
            }
        }
    }
}

fn unpack_store(
    store: &mut Restore,
    rest: &str,
    content: &mut dyn Read,
    mark: &mut Option<Vec<u8>>,
) -> io::Result<()> {
    let below = |prefix: &str| rest.strip_prefix(prefix.trim_start_matches("store/"));
    if let Some(number) = below(name::STORE_LOG) {
        let number = number.parse().map_err(|_| io::Error::other("has no number in its name"))?;
        let mut file = store.file(number)?;
        io::copy(content, &mut file)?;
        return file.sync_all();
    }
    if below(name::STORE_ENTRIES).is_some() {
        return store.entries(&read_at_most(content, PIECE_BYTES_MAX)?);
    }
    if below(name::STORE_MARK) == Some("") {
        *mark = Some(read_at_most(content, PIECE_BYTES_MAX)?);
        return Ok(());
    }
    Err(io::Error::other("is nothing that a store has"))
}

fn copy_new(content: &mut dyn Read, place: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
    io::copy(content, &mut file)?;
    file.sync_all()
}
