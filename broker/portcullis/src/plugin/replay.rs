//! `portcullis plugin replay`: asks plugins again what they were asked in recorded decisions, and says whether they
//! answer the same.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plugin_host::{Recording, Replay, Replayed};
use serde_json::Value;

use crate::{config::Config, failure::Failure};

/// Where the broker keeps what recordings are about.
struct Places {
    /// With the key that recordings are sealed with.
    data_dir: PathBuf,
    /// Where components are looked for.
    folders: Vec<PathBuf>,
}

/// Replays recordings, each an answer of `GET /api/v1/decisions/{id}/recording`. `config` = that of the broker that
/// recorded them. A call that comes out otherwise is a failure.
pub(crate) async fn run(config: &Path, recordings: &[PathBuf]) -> Result<(), Failure> {
    let config = Config::load(config).map_err(|problems| Failure::Refused(problems.to_string()))?;
    let places = Places {
        folders: vec![config.plugins.dir.value.clone(), config.data_dir.clone()],
        data_dir: config.data_dir,
    };
    let mut replay = Replay::new().map_err(Failure::Refused)?;
    let (mut calls, mut differ) = (0, 0);
    for path in recordings {
        let at = |error: &dyn std::fmt::Display| {
            Failure::Refused(format!("{}: {error}", path.display()))
        };
        let text = fs::read_to_string(path).map_err(|error| at(&error))?;
        let recording: Value = serde_json::from_str(&text).map_err(|error| at(&error))?;
        let (of_this, differs) =
            of_decision(&recording, &places, &mut replay).await.map_err(|what| at(&what))?;
        calls += of_this;
        differ += differs;
    }
    println!("{calls} calls of {} decisions, {} the same", recordings.len(), calls - differ);
    match differ {
        0 => Ok(()),
        _ => Err(Failure::Refused(format!("{differ} of {calls} calls came out otherwise"))),
    }
}

/// How many calls there were, and how many came out otherwise.
async fn of_decision(
    recording: &Value,
    places: &Places,
    replay: &mut Replay,
) -> Result<(usize, usize), String> {
    let id = recording.pointer("/decision/id").and_then(Value::as_str).unwrap_or("-");
    let calls = recording.get("calls").and_then(Value::as_array);
    let calls = calls.ok_or("has no calls: is it the recording of a decision?")?;
    let mut differ = 0;
    for (number, call) in (1..).zip(calls) {
        let named = |what: String| format!("call {number}: {what}");
        let call = Recording::read(call.clone(), &places.data_dir).map_err(named)?;
        let (plugin, hook) = (call.plugin().to_owned(), call.hook().to_owned());
        let find = |sha256: &str| places.component(sha256);
        let replayed = replay.ask(call, find).await.map_err(named)?;
        println!("{id} {plugin} {hook}: {}", sentence(&replayed));
        differ += usize::from(!replayed.is_same());
    }
    Ok((calls.len(), differ))
}

fn sentence(replayed: &Replayed) -> String {
    let Replayed { recorded, now, unasked } = replayed;
    if replayed.is_same() {
        return format!("the same: {now}");
    }
    let more = match unasked {
        0 => String::new(),
        count => format!("; {count} answers of the host were not asked for"),
    };
    format!("otherwise: recorded {recorded}, now {now}{more}")
}

impl Places {
    /// The component with this hash.
    fn component(&self, sha256: &str) -> Result<Vec<u8>, String> {
        for folder in &self.folders {
            if let Some(found) = find(folder, sha256, FOLDERS_DEEP) {
                return Ok(found);
            }
        }
        let folders: Vec<_> =
            self.folders.iter().map(|folder| folder.display().to_string()).collect();
        Err(format!("no component with SHA-256 {sha256} is in {}", folders.join(", ")))
    }
}

/// How many folders below each other are looked through.
const FOLDERS_DEEP: usize = 4;

fn find(folder: &Path, sha256: &str, deep: usize) -> Option<Vec<u8>> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    for entry in entries {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && deep > 0 {
            if let Some(found) = find(&path, sha256, deep - 1) {
                return Some(found);
            }
        } else if path.extension().is_some_and(|extension| extension == "wasm")
            && let Ok(wasm) = fs::read(&path)
            && plugin_host::sha256(&wasm) == sha256
        {
            return Some(wasm);
        }
    }
    None
}
