//! Cuts a file that arrives in parts into numbered lines. Knows nothing of what they say.

use portcullis_plugin::Error;

/// Reads a file part by part and hands each line, without its end, to `each` with its number from
/// 1, until that returns `false`.
///
/// # Errors
/// What `read` or `each` says, and a line longer than [`LINE_BYTES_MAX`].
pub(crate) fn for_each(
    read: impl Fn(u64, u32) -> Result<Vec<u8>, Error>,
    mut each: impl FnMut(u64, &[u8]) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut number = 0;
    let mut offset = 0;
    let mut rest = Vec::new();
    loop {
        let part = read(offset, PART_BYTES)?;
        offset += part.len() as u64;
        let at_end = part.is_empty();
        rest.extend(part);
        let mut done = 0;
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            if !at_end && !line.ends_with(b"\n") {
                break;
            }
            done += line.len();
            number += 1;
            check_length(number, line)?;
            if !each(number, without_end(line))? {
                return Ok(());
            }
        }
        rest.drain(..done);
        check_length(number + 1, &rest)?;
        if at_end {
            return Ok(());
        }
    }
}

/// The line without `\n` or `\r\n`.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn check_length(number: u64, line: &[u8]) -> Result<(), Error> {
    if line.len() <= LINE_BYTES_MAX {
        return Ok(());
    }
    Err(Error::misconfigured(format!(
        "passwords: line {number}: is longer than {LINE_BYTES_MAX} bytes"
    )))
}

/// Far above any hash. Also the bound of what is kept between two parts.
const LINE_BYTES_MAX: usize = 4_096;
/// A quarter of what the host would give: enough to make the calls not count, little enough for a
/// small memory.
const PART_BYTES: u32 = 256 * 1024;

#[cfg(test)]
mod tests;
