//! `portcullis restore`: an archive becomes the folders of a broker that is not running.
//!
//! Nothing is written before the whole archive was read and found whole, and nothing of it is put into place before all of
//! it was unpacked beside and the store opened as the broker will open it. What is replaced is moved aside, not deleted.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use store::{FileStore, Restore, Restored};

use super::{
    archive::{self, Summary},
    name,
};
use crate::{
    atomic_file::{folder_of, replace},
    check,
    config::Config,
    failure::Failure,
};

/// Largest configuration that is taken.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Largest piece of sessions or retained messages: the largest message, and what is beside it.
const PIECE_BYTES_MAX: u64 = 512 << 20;

/// Restores an archive for the broker of this configuration, then checks that. Without a configuration file, the one of
/// the archive is put there.
pub(crate) async fn run(archive: &Path, config: &Path, force: bool) -> Result<(), Failure> {
    let restored = {
        let (archive, config) = (archive.to_owned(), config.to_owned());
        let work = tokio::task::spawn_blocking(move || restore(&archive, &config, force)).await;
        work.map_err(|error| Failure::internal("restoring", error))??
    };
    println!("{restored}");
    check::run(config).await
}

/// What was done, in sentences.
pub(super) fn restore(archive: &Path, config_file: &Path, force: bool) -> Result<String, Failure> {
    let refused = |error: io::Error| Failure::Refused(format!("{}: {error}", archive.display()));
    let mut config_text = None;
    let summary = archive::read(File::open(archive).map_err(refused)?, &mut |path, content| {
        if path == name::CONFIG {
            config_text = Some(read_text(content)?);
            return Ok(());
        }
        io::copy(content, &mut io::sink()).map(drop)
    })
    .map_err(refused)?;
    let places = Places::find(config_file, config_text.as_deref())?;
    let staged = Staged::begin(&places)?;
    staged.unpack(archive, &summary).map_err(refused).and_then(|unpacked| {
        let plan = Plan::make(&places, &staged, unpacked.store.is_some())?;
        plan.check(&places, force)?;
        let aside = plan.carry_out(&places)?;
        if places.config_is_new {
            write_new(&places.config, config_text.as_deref().unwrap_or_default())?;
        }
        Ok(told(&places, &summary, &unpacked, aside.as_deref()))
    })
}

fn told(places: &Places, summary: &Summary, unpacked: &Unpacked, aside: Option<&Path>) -> String {
    let mut lines = vec![format!("restored into {}", places.data_dir.display())];
    match unpacked.store {
        Some(Restored { sessions, subscriptions, messages, retained }) => lines.push(format!(
            "  sessions {sessions}, subscriptions {subscriptions}, waiting messages {messages}, \
             retained messages {retained}"
        )),
        None if unpacked.passed_over => lines.push(
            "  sessions and messages are left out: [store] durability = \"memory\"".to_owned(),
        ),
        None => lines.push("  no store: nothing outlived the process that it is of".to_owned()),
    }
    if places.config_is_new {
        lines.push(format!("  configuration {}", places.config.display()));
    }
    if !summary.about.secrets {
        lines.push(
            "  the backup has no secrets: administrators, tokens, keys of managed rings and what \
             plugins kept are not in it"
                .to_owned(),
        );
    }
    if let Some(aside) = aside {
        lines.push(format!("  what was there before is in {}", aside.display()));
    }
    lines.extend(
        summary
            .about
            .left_out
            .iter()
            .map(|what| format!("  left out of the backup: {}", crate::api::printable(what))),
    );
    lines.join("\n")
}

/// Where everything goes.
struct Places {
    config: PathBuf,
    config_is_new: bool,
    data_dir: PathBuf,
    /// `None` = nothing outlives the process.
    store: Option<PathBuf>,
    plugins: PathBuf,
}

impl Places {
    fn find(file: &Path, archived: Option<&str>) -> Result<Self, Failure> {
        let config_is_new = !file.exists();
        let (config, problems) = match (config_is_new, archived) {
            (false, _) => Config::load_readable(file),
            (true, Some(text)) => Config::read_text(file, text),
            (true, None) => {
                let what = "is not there, and the backup has no configuration";
                return Err(Failure::Refused(format!("{}: {what}", file.display())));
            }
        };
        let Some(config) = config else {
            return Err(Failure::Refused(problems.to_string()));
        };
        Ok(Self {
            config: config.file,
            config_is_new,
            store: config.store.durability.is_some().then_some(config.store.path),
            plugins: config.plugins.dir.value,
            data_dir: config.data_dir,
        })
    }
}

/// Folders beside the places, gone with this value.
struct Staged {
    /// In the data folder.
    files: PathBuf,
    /// Beside the store.
    store: Option<PathBuf>,
}

/// What came out of the archive.
struct Unpacked {
    store: Option<Restored>,
    /// The archive has a store, and the configuration keeps none.
    passed_over: bool,
}

impl Staged {
    fn begin(places: &Places) -> Result<Self, Failure> {
        make_folder(&places.data_dir)?;
        check_owner(&places.data_dir)?;
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
    fn unpack(&self, archive: &Path, expected: &Summary) -> io::Result<Unpacked> {
        let mut store: Option<Restore> = None;
        let (mut mark, mut passed_over) = (None, false);
        let found = archive::read(File::open(archive)?, &mut |path, content| {
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

/// What goes where, and what is there now.
struct Plan {
    /// From the staged folder to its place.
    moves: BTreeMap<PathBuf, PathBuf>,
    store: Option<(PathBuf, PathBuf)>,
    /// Files whose place holds something else.
    occupied: Vec<PathBuf>,
}

impl Plan {
    fn make(places: &Places, staged: &Staged, has_store: bool) -> Result<Self, Failure> {
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
        let mut occupied = Vec::new();
        for (from, to) in &moves {
            if to.symlink_metadata().is_ok() && !is_same(from, to) {
                occupied.push(to.clone());
            }
        }
        Ok(Self { moves, store, occupied })
    }

    /// Whether that may be done.
    fn check(&self, places: &Places, force: bool) -> Result<(), Failure> {
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
        let found = strange.or_else(|| store.cloned()).or_else(|| self.occupied.first().cloned());
        match found {
            Some(found) if !force => Err(Failure::Refused(format!(
                "{}: is there already; allowed: an empty data_dir, or --force, which moves \
                 aside what is replaced",
                found.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Moves everything into its place. Where what was there before is now.
    fn carry_out(&self, places: &Places) -> Result<Option<PathBuf>, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let aside = places.data_dir.join(format!("before-restore-{now}"));
        let mut moved = false;
        if let Some((from, to)) = &self.store {
            if is_occupied(to) {
                // Beside it: another file system may hold the data folder.
                let mut name = to.clone().into_os_string();
                name.push(format!(".before-restore-{now}"));
                fs::rename(to, PathBuf::from(&name)).map_err(at(to))?;
                eprintln!("portcullis: the store before is {}", PathBuf::from(name).display());
            } else if to.exists() {
                fs::remove_dir(to).map_err(at(to))?;
            }
            fs::rename(from, to).map_err(at(to))?;
            sync(folder_of(to))?;
        }
        for to in &self.occupied {
            let place = aside.join(to.strip_prefix("/").unwrap_or(to));
            make_folder(folder_of(&place))?;
            fs::copy(to, &place).map_err(at(&place))?;
            moved = true;
        }
        for (from, to) in &self.moves {
            make_folder(folder_of(to))?;
            let content = fs::read(from).map_err(at(from))?;
            replace(to, &content).map_err(at(to))?;
        }
        sync(&places.data_dir)?;
        Ok(moved.then_some(aside))
    }
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

fn is_same(one: &Path, two: &Path) -> bool {
    fs::read(one).ok().is_some_and(|one| fs::read(two).is_ok_and(|two| one == two))
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

fn make_folder(folder: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))
}

/// What is written here belongs to whoever runs this; the broker could not use it otherwise.
fn check_owner(folder: &Path) -> Result<(), Failure> {
    let owner = fs::metadata(folder).map_err(at(folder))?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner == user {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "{}: belongs to user {owner} and this is user {user}: run it as the user of the broker, as \
         with sudo -u",
        folder.display()
    )))
}

fn sync(folder: &Path) -> Result<(), Failure> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn copy_new(content: &mut dyn Read, place: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
    io::copy(content, &mut file)?;
    file.sync_all()
}

fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    make_folder(folder_of(file))?;
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(at(file))
}

fn read_text(content: &mut dyn Read) -> io::Result<String> {
    let bytes = read_at_most(content, CONFIG_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("is not UTF-8"))
}

fn read_at_most(content: &mut dyn Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("is longer than {most} bytes")));
    }
    Ok(bytes)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::Refused(format!("{path}: {error}"))
}
