//! Contents of the files that the operator named under `[files]` in the manifest, as they were when
//! this generation of the plugin was made. There is no other file system.

use crate::bindings::portcullis::plugin::files;
/// Why a file could not be read.
pub use crate::bindings::portcullis::plugin::files::Error;

/// The most that one [`read`] returns.
pub const READ_BYTES_MAX: u32 = 1 << 20;

/// The size in bytes.
///
/// # Errors
/// The manifest names no such file.
pub fn size(name: &str) -> Result<u64, Error> {
    files::size(name)
}

/// At most `length` bytes from `offset`, none at the end of the file; `length` at most
/// [`READ_BYTES_MAX`].
///
/// # Errors
/// The manifest names no such file, or the range is too long.
pub fn read(name: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
    files::read(name, offset, length)
}

/// All lines whose text before the first `separator` equals `key`, each without its line end. The
/// host keeps an index, so a large file never enters the plugin. Lines that start with `#` are not
/// indexed.
///
/// # Errors
/// The manifest names no such file, or the lines are more than 64 or longer than 64 KiB in all.
pub fn lookup(name: &str, separator: char, key: &str) -> Result<Vec<Vec<u8>>, Error> {
    files::lookup(name, separator, key)
}

/// The whole file, if it has at most `bytes_max` bytes: it has to fit into the plugin's memory.
///
/// # Errors
/// The manifest names no such file, it is larger, or it ended before its size.
pub fn read_whole(name: &str, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let size = size(name)?;
    if size > bytes_max {
        return Err(Error::TooLarge(format!("{size} bytes; at most {bytes_max} are read")));
    }
    // A file that does not fit a 32-bit memory is above any bound that makes sense.
    let size = usize::try_from(size).map_err(|_| Error::TooLarge(format!("{size} bytes")))?;
    let mut content = Vec::with_capacity(size);
    while content.len() < size {
        let part = read(name, content.len() as u64, READ_BYTES_MAX)?;
        if part.is_empty() {
            return Err(Error::TooLarge(format!("ends after {} of {size} bytes", content.len())));
        }
        content.extend(part);
    }
    Ok(content)
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Unknown(name) => {
                Self::misconfigured(format!("[files]: no file `{name}` in the manifest"))
            }
            Error::TooLarge(text) => Self::misconfigured(format!("[files]: {text}")),
        }
    }
}
