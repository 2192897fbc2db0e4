//! `portcullis restore`: an archive becomes the folders of a broker that is not running.
//!
//! Nothing is written before the whole archive was read and found whole, and nothing of it is put into place before all of
//! it was unpacked beside (`restore/staged.rs`), the store opened as the broker will open it, and every folder found
//! writable (`restore/plan.rs`). What is replaced is moved aside, not deleted.

mod place;
mod plan;
mod staged;

use std::{
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use store::Restored;

use self::{
    place::{check_owner, make_folder},
    plan::Plan,
    staged::{Staged, Unpacked},
};
use super::{
    archive::{self, Summary},
    collect::DIRECTORY,
    name,
    progress::Watched,
};
use crate::{
    api::printable, atomic_file::folder_of, check, config::Config, data_lock::DataLock,
    failure::Failure,
};

/// Largest configuration that is taken.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

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
    let watched = Watched::open(archive, "reading it").map_err(refused)?;
    let summary = archive::read(watched, &mut |path, content| {
        if path == name::CONFIG {
            config_text = Some(read_text(content)?);
            return Ok(());
        }
        io::copy(content, &mut io::sink()).map(drop)
    })
    .map_err(refused)?;
    let places = Places::find(config_file, config_text.as_deref())?;
    places.check(force)?;
    make_folder(&places.data_dir)?;
    check_owner(&places.data_dir)?;
    let _lock = DataLock::take(&places.data_dir)?;
    let staged = Staged::begin(&places)?;
    let unpacked = staged.unpack(archive, &summary).map_err(refused)?;
    let plan = Plan::make(&places, &staged, unpacked.store.is_some(), summary.about.secrets)?;
    plan.check(&places, force)?;
    let new_config = config_text.as_deref().filter(|_| places.config_is_new);
    let aside = plan.carry_out(&places, new_config)?;
    let mut lines = told(&places, &unpacked);
    if config_text.is_some() && !places.config_is_new {
        lines.push("the configuration of the backup was not used: that file was there".to_owned());
    }
    lines.extend(missing(&places, &summary));
    if let Some(aside) = aside {
        lines.push(format!("what was there before is in {}", aside.display()));
    }
    Ok(format!("restored\n  {}", lines.join("\n  ")))
}

/// What is where now.
fn told(places: &Places, unpacked: &Unpacked) -> Vec<String> {
    let mut lines = places.told();
    lines.push(match unpacked.store {
        Some(Restored { sessions, subscriptions, messages, retained }) => format!(
            "sessions {sessions}, subscriptions {subscriptions}, waiting messages {messages}, \
             retained messages {retained}"
        ),
        None if unpacked.passed_over => {
            "sessions and messages are left out: [store] durability = \"memory\"".to_owned()
        }
        None => "no store: nothing outlived the process that it is of".to_owned(),
    });
    lines
}

/// What is not in the backup, and what to do about that.
fn missing(places: &Places, summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    if !summary.about.secrets {
        lines.push(
            "the backup has no secrets: tokens, keys of managed rings and what plugins kept are \
             not in it"
                .to_owned(),
        );
        let directory = format!("{}{DIRECTORY}", name::DATA);
        if summary.files.iter().any(|file| file.path == directory) {
            lines.push(format!(
                "users of the admin API have no password: start the broker, then set passwords \
                 with portcullis ctl users password NAME --password-file FILE --token-file {}",
                places.data_dir.join("admin.token").display()
            ));
        }
    }
    let left_out = summary.about.left_out.iter();
    lines.extend(left_out.map(|what| format!("left out of the backup: {}", printable(what))));
    lines
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

    /// A configuration that comes out of the archive names the places that are written: whoever could write the archive
    /// chose them.
    fn check(&self, force: bool) -> Result<(), Failure> {
        let folder = folder_of(&self.config);
        let inside = |place: &Path| {
            let below = place.strip_prefix(folder);
            below.is_ok_and(|below| below.components().all(|it| matches!(it, Component::Normal(_))))
        };
        let places = [Some(&self.data_dir), Some(&self.plugins), self.store.as_ref()];
        let outside = places.into_iter().flatten().find(|place| !inside(place));
        match outside {
            Some(outside) if self.config_is_new && !force => Err(Failure::Refused(format!(
                "{}: the configuration in the backup names this place, outside of {}; allowed: \
                 --force, if all of these are right:\n  {}",
                outside.display(),
                folder.display(),
                self.told().join("\n  ")
            ))),
            _ => Ok(()),
        }
    }

    fn told(&self) -> Vec<String> {
        let of = |what: &str, path: &Path| format!("{what} {}", path.display());
        let mut lines = vec![
            of("configuration", &self.config),
            of("data_dir", &self.data_dir),
            of("plugins", &self.plugins),
        ];
        lines.extend(self.store.as_ref().map(|store| of("store", store)));
        lines
    }
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
