//! `portcullis import`: users and permissions of other brokers, as files of ours.
//!
//! A file for each kind of input; `written` makes the text of our files. What cannot be carried over is said with
//! its line, and never widens a right: an allow is left out, a deny becomes wider.

pub(crate) mod hivemq;
pub(crate) mod mosquitto_acl;
mod mosquitto_passwd;
mod written;

use std::{fs, io::Write, path::Path};

use crate::{
    atomic_file::{replace, replace_public},
    cli::ImportCommand,
    failure::Failure,
};

/// What an input became.
pub(crate) struct Imported<T> {
    pub(crate) made: T,
    /// What is not as it was, line by line.
    pub(crate) lost: Vec<Note>,
    /// What is different by nature, whatever the lines say.
    pub(crate) notes: Vec<&'static str>,
}

/// A sentence about a line of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Note {
    pub(crate) fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// Does what the command says.
pub(crate) fn run(command: &ImportCommand) -> Result<(), Failure> {
    match command {
        ImportCommand::MosquittoAcl { file, output, anonymous_as } => {
            let read = |text: &str| mosquitto_acl::convert(text, anonymous_as.as_deref());
            let imported = convert(file, read)?;
            write_out(output.as_deref(), imported.made.as_bytes(), replace_public)?;
            told(file, &imported)
        }
        ImportCommand::MosquittoPasswd { file, output } => {
            let imported = convert(file, mosquitto_passwd::convert)?;
            write_out(output.as_deref(), imported.made.as_bytes(), replace)?;
            told(file, &imported)
        }
        ImportCommand::HivemqRbac { file, acl, passwords, password_type } => {
            for output in [acl, passwords] {
                refuse_existing(output)?;
            }
            if acl == passwords {
                return Err(Failure::Usage("--acl and --passwords are one file".to_owned()));
            }
            let imported = convert(file, |text| hivemq::convert(text, *password_type))?;
            write_out(Some(acl.as_path()), imported.made.acl.as_bytes(), replace_public)?;
            write_out(Some(passwords.as_path()), imported.made.passwords.as_bytes(), replace)?;
            told(file, &imported)
        }
    }
}

/// Reads the input. What the other broker itself would refuse is refused as a whole.
fn convert<T>(
    file: &Path,
    convert: impl FnOnce(&str) -> Result<Imported<T>, ImportError>,
) -> Result<Imported<T>, Failure> {
    let name = file.display();
    let size = fs::metadata(file).map_or(0, |metadata| metadata.len());
    if size > INPUT_BYTES_MAX {
        let what = format!("{name}: {size} bytes; at most {INPUT_BYTES_MAX} are read");
        return Err(Failure::Refused(what));
    }
    let text = fs::read(file)
        .map_err(|error| Failure::Refused(format!("{name}: cannot be read: {error}")))?;
    let text = String::from_utf8(text)
        .map_err(|error| Failure::Refused(format!("{name}: is not UTF-8: {error}")))?;
    convert(&text).map_err(|error| match error {
        ImportError::Line(Note { line, text }) => {
            Failure::Refused(format!("{name}:{line}: {text}; nothing was written"))
        }
        ImportError::Whole(text) => {
            Failure::Refused(format!("{name}: {text}; nothing was written"))
        }
        ImportError::Failed(failure) => failure,
    })
}

/// Why nothing can be made of an input.
#[derive(Debug)]
pub(crate) enum ImportError {
    /// Because of a line.
    Line(Note),
    /// As a whole.
    Whole(String),
    /// We failed.
    Failed(Failure),
}

impl ImportError {
    pub(crate) fn line(line: usize, text: impl Into<String>) -> Self {
        Self::Line(Note::new(line, text))
    }
}

fn refuse_existing(output: &Path) -> Result<(), Failure> {
    if output.symlink_metadata().is_ok() {
        let what = format!("{}: is there already; import into a new file", output.display());
        return Err(Failure::Refused(what));
    }
    Ok(())
}

fn write_out(
    output: Option<&Path>,
    content: &[u8],
    replace: fn(&Path, &[u8]) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let Some(output) = output else {
        let written = std::io::stdout().write_all(content);
        return written.map_err(|error| Failure::internal("writing to standard output", error));
    };
    refuse_existing(output)?;
    replace(output, content).map_err(|error| {
        Failure::Refused(format!("{}: cannot be written: {error}", output.display()))
    })
}

/// Says what is different now. A script has to notice that something was left behind.
fn told<T>(file: &Path, imported: &Imported<T>) -> Result<(), Failure> {
    let name = file.display();
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
    for Note { line, text } in &imported.lost {
        eprintln!("{name}:{line}: {text}");
    }
    match imported.lost.len() {
        0 => Ok(()),
        1 => Err(Failure::Refused(format!("{name}: 1 line could not be carried over as it is"))),
        count => {
            let what = format!("{name}: {count} lines could not be carried over as they are");
            Err(Failure::Refused(what))
        }
    }
}

/// Far above what those brokers are configured with by hand.
const INPUT_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests;
