//! Who gets a backup, and that half of one is never taken for a whole one.

use std::{
    io::{self, Write},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{body::Body, http::StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::{ask, fakes::Fakes, request, router};
use crate::{Backup, BackupError, BackupMaker};

const PATH: &str = "/api/v1/backup";

/// Whether secrets were asked for, of each that was begun.
#[derive(Default)]
pub(super) struct FakeBackups {
    pub(super) asked: Mutex<Vec<bool>>,
    busy: AtomicBool,
    /// It breaks off in the midst.
    breaks: AtomicBool,
}

impl BackupMaker for FakeBackups {
    fn begin(&self, secrets: bool) -> Result<Box<dyn Backup>, BackupError> {
        if self.busy.load(Ordering::Relaxed) {
            return Err(BackupError::Busy);
        }
        self.asked.lock().unwrap().push(secrets);
        Ok(Box::new(FakeBackup { breaks: self.breaks.load(Ordering::Relaxed) }))
    }
}

struct FakeBackup {
    breaks: bool,
}

/// More pieces than wait at once.
const PIECES: usize = 50;

impl Backup for FakeBackup {
    fn about_bytes(&self) -> u64 {
        17
    }

    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        for _ in 0..PIECES {
            out.write_all(b"piece ")?;
        }
        if self.breaks { Err(io::Error::other("the disk broke")) } else { out.flush() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_streamed() {
    let fakes = Fakes::new();
    let reply = ask(&fakes, "POST", PATH).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.text, "piece ".repeat(PIECES));
    assert_eq!(reply.headers["content-type"], "application/gzip");
    assert_eq!(reply.headers["portcullis-backup-bytes"], "17");
    ask(&fakes, "POST", &format!("{PATH}?include_secrets=true")).await;
    assert_eq!(*fakes.backups.asked.lock().unwrap(), [false, true]);
    ask(&fakes, "POST", &format!("{PATH}?secrets=true")).await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time() {
    let fakes = Fakes::new();
    fakes.backups.busy.store(true, Ordering::Relaxed);
    let problem = ask(&fakes, "POST", PATH).await.problem(429, "too_many_requests");
    assert_eq!(problem["allowed"], "one at a time");
}

/// The stream ends with an error, so that the connection ends before the last chunk.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_does_not_end_well() {
    let fakes = Fakes::new();
    fakes.backups.breaks.store(true, Ordering::Relaxed);
    let request = request("POST", PATH).body(Body::empty()).unwrap();
    let response = router(&fakes).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let error = response.into_body().collect().await.unwrap_err();
    assert!(format!("{error:?}").contains("the disk broke"), "{error:?}");
}
