//! Writing the log: appending, the change of the day, deleting what is old, and going on after a
//! failure or a crash.
//!
//! Knows nothing of who asks. A line counts when it and its file are flushed; until then it waits
//! here, and a bounded number do.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    chain::{self, Head},
    day::Day,
    record::{Action, Record},
};

/// Lines that wait for the disk; while there is one, no change is made, so that only what was under
/// way can add to them.
const PENDING_MAX: usize = 256;

/// Longest line that is read. What is written is far shorter.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// Where the chain of the oldest file begins, when files before it were deleted.
pub(super) const ANCHOR: &str = "anchor.json";

pub(super) struct Writer {
    /// `None` = nothing is kept.
    folder: Option<PathBuf>,
    keep_days: u64,
    open: Option<Open>,
    head: Head,
    /// With the time at which it happened.
    pending: VecDeque<(Record, u64)>,
    lost: u64,
    fault: Option<String>,
    /// The chain on the disk is broken: writing on would hide that.
    broken: bool,
}

/// The file of a day.
struct Open {
    day: Day,
    file: File,
    /// All that counts.
    bytes: u64,
}

impl Writer {
    pub(super) fn open(folder: &Path, keep_days: u64, now: u64) -> Result<Self, String> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| format!("its folder cannot be made: {error}"))?;
        let mut writer = Self { folder: Some(folder.to_owned()), keep_days, ..Self::nowhere() };
        match writer.find_end(folder) {
            Ok(cut) => {
                let cause =
                    (cut > 0).then(|| format!("{cut} bytes of an unfinished line were cut off"));
                let start = Record::new(Action::Start).cause(cause.as_deref());
                writer.pending.push_back((start, now));
            }
            Err(what) => {
                let what = format!("{what}; move {} away once you know why", folder.display());
                tracing::error!(%what, "the audit log is broken: no change is made");
                (writer.fault, writer.broken) = (Some(what), true);
            }
        }
        Ok(writer)
    }

    pub(super) fn nowhere() -> Self {
        Self {
            folder: None,
            keep_days: u64::MAX,
            open: None,
            head: Head::default(),
            pending: VecDeque::new(),
            lost: 0,
            fault: None,
            broken: false,
        }
    }

    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub(super) fn head(&self) -> (u64, String) {
        (self.head.seq, self.head.hash.clone())
    }

    /// Takes up the chain where it ends. Returns how much of an unfinished line was cut off: nobody was
    /// told that it is written.
    fn find_end(&mut self, folder: &Path) -> Result<u64, String> {
        let unreadable = |error: io::Error| format!("it cannot be read: {error}");
        self.head = anchor(folder)?;
        let mut cut = 0;
        // A crash may have left the newest file without a line.
        for (day, path) in days(folder).map_err(unreadable)?.into_iter().rev() {
            let name = path.display().to_string();
            let mut file = append(&path).map_err(|error| format!("{name}: {error}"))?;
            let all = file.metadata().map_err(unreadable)?.len();
            let tail = Tail::of(&mut file, all).map_err(unreadable)?;
            if self.open.is_none() {
                cut = tail.unfinished;
                if cut > 0 {
                    let what = "an unfinished line of the audit log is cut off";
                    tracing::warn!(file = %name, bytes = cut, "{what}");
                    let shortened = file.set_len(all - cut).and_then(|()| file.sync_all());
                    shortened.map_err(unreadable)?;
                }
                self.open = Some(Open { day, file, bytes: all - cut });
            }
            if let Some(last) = &tail.last {
                let head = head_of(last);
                self.head = head.map_err(|what| format!("the last line of {name} {what}"))?;
                return Ok(cut);
            }
            if all > tail.unfinished {
                return Err(format!("{name} ends with a line that is too long"));
            }
        }
        Ok(cut)
    }

    /// Adds a line and writes all that wait.
    pub(super) fn append(&mut self, record: Record, now: u64) -> Result<(), String> {
        if self.pending.len() >= PENDING_MAX {
            self.lost += 1;
            let what = self.fault.clone().unwrap_or_default();
            return Err(format!("{what}; {} lines are lost", self.lost));
        }
        self.pending.push_back((record, now));
        self.write_pending(now)
    }

    /// From now on the disk is full, or not any more.
    #[cfg(test)]
    pub(super) fn fill_disk(&mut self, full: bool) {
        let Open { day, bytes, .. } = self.open.take().unwrap();
        let path = self.folder.as_ref().unwrap().join(format!("{day}.jsonl"));
        let file = append(if full { Path::new("/dev/full") } else { &path }).unwrap();
        self.open = Some(Open { day, file, bytes });
    }

    /// Writes all lines that wait: each is on the disk afterwards, or none.
    pub(super) fn write_pending(&mut self, now: u64) -> Result<(), String> {
        if self.broken {
            return Err(self.fault.clone().unwrap_or_default());
        }
        let Some(folder) = self.folder.clone() else {
            self.pending.clear();
            return Ok(());
        };
        if self.pending.is_empty() {
            return Ok(());
        }
        match self.try_write(&folder, now) {
            Ok(()) => {
                if self.fault.take().is_some() {
                    tracing::info!(lost = self.lost, "the audit log can be written again");
                }
                self.lost = 0;
                Ok(())
            }
            Err(error) => {
                let what = error.to_string();
                self.fault = Some(what.clone());
                Err(what)
            }
        }
    }

    fn try_write(&mut self, folder: &Path, now: u64) -> io::Result<()> {
        self.turn_day(folder, Day::of(now))?;
        let Some(open) = &mut self.open else {
            return Err(io::Error::other("no file is open"));
        };
        // What an earlier failure left behind.
        if open.file.metadata()?.len() != open.bytes {
            open.file.set_len(open.bytes)?;
        }
        let (mut head, mut bytes) = (self.head.clone(), open.bytes);
        let mut text = String::new();
        for (record, at) in &self.pending {
            let line = head.line(record, *at).map_err(io::Error::other)?;
            head = Head { seq: head.seq + 1, hash: chain::hash(line.trim_end_matches('\n')) };
            bytes += line.len() as u64;
            text.push_str(&line);
        }
        open.file.write_all(text.as_bytes())?;
        open.file.sync_data()?;
        (self.head, open.bytes) = (head, bytes);
        self.pending.clear();
        Ok(())
    }

    /// Opens the file of a day. A clock that goes back stays in the file that is open.
    fn turn_day(&mut self, folder: &Path, today: Day) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.day >= today) {
            return Ok(());
        }
        if let Some(open) = &self.open {
            let Head { seq, hash } = &self.head;
            tracing::info!(day = %open.day, seq, hash, "a day of the audit log is complete");
        }
        let path = folder.join(format!("{today}.jsonl"));
        let file = append(&path)?;
        let bytes = file.metadata()?.len();
        if bytes > 0 {
            return Err(io::Error::other(format!("{} has lines of somebody else", path.display())));
        }
        File::open(folder)?.sync_all()?;
        self.open = Some(Open { day: today, file, bytes });
        if let Err(error) = self.delete_old(folder, today) {
            tracing::warn!(%error, "old files of the audit log could not be deleted");
        }
        Ok(())
    }

    /// Deletes what is older than it is kept, after writing down where the chain of the rest begins.
    fn delete_old(&self, folder: &Path, today: Day) -> io::Result<()> {
        let oldest = Day(today.0.saturating_sub(self.keep_days));
        for (day, path) in days(folder)? {
            if day >= oldest {
                break;
            }
            let mut file = File::open(&path)?;
            let bytes = file.metadata()?.len();
            let tail = Tail::of(&mut file, bytes)?;
            let Some(last) = tail.last else {
                if tail.unfinished < bytes {
                    let what = format!("{} ends with a line that is too long", path.display());
                    return Err(io::Error::other(what));
                }
                // A crash came before its first line was whole: nothing in it counts.
                fs::remove_file(&path)?;
                continue;
            };
            let anchor = head_of(&last).map_err(io::Error::other)?;
            let beside = folder.join("anchor.json.new");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(&serde_json::to_vec(&anchor)?)?;
            file.sync_all()?;
            fs::rename(&beside, folder.join(ANCHOR))?;
            File::open(folder)?.sync_all()?;
            fs::remove_file(&path)?;
            tracing::info!(%day, "a day of the audit log is older than [audit] keep_days: deleted");
        }
        Ok(())
    }
}

/// Where the chain of the oldest file begins.
pub(super) fn anchor(folder: &Path) -> Result<Head, String> {
    match fs::read_to_string(folder.join(ANCHOR)) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{ANCHOR}: {error}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Head::default()),
        Err(error) => Err(format!("{ANCHOR}: {error}")),
    }
}

/// The files of the folder, the oldest first.
pub(super) fn days(folder: &Path) -> io::Result<Vec<(Day, PathBuf)>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let day = name.to_str().and_then(|name| Day::parse(name.strip_suffix(".jsonl")?));
        days.extend(day.map(|day| (day, entry.path())));
    }
    days.sort_unstable();
    Ok(days)
}

fn append(path: &Path) -> io::Result<File> {
    let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600).custom_flags(no_link).open(path)
}

/// The end of a file.
struct Tail {
    /// Its last whole line, without its end.
    last: Option<String>,
    /// Bytes behind that.
    unfinished: u64,
}

impl Tail {
    fn of(file: &mut File, bytes: u64) -> io::Result<Self> {
        let wanted = (2 * LINE_BYTES_MAX as u64).min(bytes);
        file.seek(SeekFrom::Start(bytes - wanted))?;
        let mut tail = Vec::new();
        file.take(wanted).read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, unfinished) = tail.split_at(whole);
        let mut lines = lines.strip_suffix(b"\n").unwrap_or(lines).rsplit(|byte| *byte == b'\n');
        let last = lines.next().filter(|line| !line.is_empty());
        let last = last.map(|line| String::from_utf8_lossy(line).into_owned());
        Ok(Self { last, unfinished: unfinished.len() as u64 })
    }
}

/// Whether a file is all before this place of the chain.
pub(super) fn ends_at(path: &Path, head: &Head) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let last = Tail::of(&mut file, bytes)?.last;
    Ok(last.is_some_and(|last| head_of(&last).is_ok_and(|found| found == *head)))
}

/// Where the chain is behind this line.
fn head_of(line: &str) -> Result<Head, String> {
    let link: chain::Link =
        serde_json::from_str(line).map_err(|error| format!("is none of the log: {error}"))?;
    Ok(Head { seq: link.seq, hash: chain::hash(line) })
}
