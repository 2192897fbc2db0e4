//! Files that are read while a configuration is: certificates and keys that it names by their path.
//!
//! Knows nothing of keys; they stand in `READ_AT_ONCE` of `shown` as well, so that the API has nothing read for
//! strangers. Only regular files, and only so much of them: a device or a pipe would be read for ever.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything that is in a regular file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for whoever writes into it.
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_wait).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let what = format!("it is too long, allowed: at most {FILE_BYTES_MAX} bytes");
        return Err(io::Error::other(what));
    }
    Ok(bytes)
}

/// The same for a text.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::Error::other("it is no UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_folders_and_what_is_too_long_are_not_read() {
        let refused = |path: &Path| read(path).unwrap_err().to_string();
        for path in ["/dev/urandom", "/dev/zero", "/"] {
            assert!(refused(Path::new(path)).contains("no regular file"), "{path}");
        }
        let folder = std::env::temp_dir().join(format!("config-files-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (pipe, file) = (folder.join("pipe"), folder.join("file"));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(refused(&pipe).contains("no regular file"));
        std::fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(read_text(&file).unwrap().len(), 1 << 20);
        std::fs::write(&file, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert!(refused(&file).contains("too long"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
