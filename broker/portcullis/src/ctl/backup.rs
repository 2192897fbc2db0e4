//! `portcullis ctl backup`: fetches an archive and reads it from the first byte to the last before it is called one.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use super::{
    column::bytes,
    send::{create, remove_half},
    terminal::{Progress, bar, print, print_json},
};
use crate::{
    api::{Answer, Broker, Request},
    backup,
    failure::Failure,
};

/// Header with roughly how much goes into it before compression.
const ABOUT_BYTES: &str = "portcullis-backup-bytes";

/// Where a backup goes, and what is in it.
pub(super) struct Wanted {
    pub(super) out: PathBuf,
    pub(super) secrets: bool,
    pub(super) json: bool,
}

/// Writes a backup to a new file; one that is not whole does not stay.
pub(super) async fn run(broker: &Broker, wanted: &Wanted) -> Result<(), Failure> {
    let path = wanted.out.as_path();
    let mut request = Request::new("POST", "/api/v1/backup");
    if wanted.secrets {
        request.path.push_str("?include_secrets=true");
    }
    let mut file = create(path)?;
    let fetched = match broker.send(request).await {
        Ok(answer) => fetch(answer, &mut file, path).await,
        Err(failure) => Err(failure),
    };
    let looked = fetched.and_then(|()| backup::look_through(path));
    let summary = match looked {
        Ok(summary) => summary,
        Err(failure) => {
            drop(file);
            remove_half(path);
            return Err(failure);
        }
    };
    if wanted.json {
        return print_json(&summary.json(path).to_string());
    }
    print(&backup::told(path, &summary))
}

async fn fetch(mut answer: Answer, file: &mut File, path: &Path) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    let header = answer.headers.get(ABOUT_BYTES).and_then(|value| value.to_str().ok());
    let about: Option<u64> = header.and_then(|value| value.parse().ok());
    let mut progress = Progress::new();
    let mut received = 0;
    while let Some(piece) = answer.piece().await? {
        file.write_all(&piece).map_err(cannot)?;
        received += piece.len() as u64;
        progress.draw(|| match about {
            // Compressed it is less: the bar may jump at the end.
            Some(about) => {
                let (drawn, of) = (bar(received, about), bytes(about));
                format!("{drawn}  {} of {of} before compression", bytes(received))
            }
            None => bytes(received),
        });
    }
    progress.end();
    file.sync_all().map_err(cannot)
}
