//! Custom sections of a component: appended to its end, found without understanding the rest. A
//! custom section changes the bytes of a component, and so its generation, but nothing that it
//! does.

/// Appends a custom section. Any number of them may follow each other.
pub fn append_custom_section(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut content = Vec::new();
    write_leb128(&mut content, name.len());
    content.extend(name.as_bytes());
    content.extend(data);
    component.push(CUSTOM_SECTION);
    write_leb128(component, content.len());
    component.extend(content);
}

/// The content of the last custom section of this name on the top level; none too when the bytes
/// are no component.
#[must_use]
pub fn find_custom_section<'a>(component: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    let mut rest = component.strip_prefix(MAGIC)?.get(VERSION_BYTES..)?;
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = read_leb128(after)?;
        let (content, after) = after.split_at_checked(size)?;
        rest = after;
        if id == CUSTOM_SECTION {
            let (length, content) = read_leb128(content)?;
            let (this, data) = content.split_at_checked(length)?;
            if this == name.as_bytes() {
                found = Some(data);
            }
        }
    }
    found
}

fn write_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    while value > 0x7F {
        bytes.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(LEB128_BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

const MAGIC: &[u8] = b"\0asm";
/// Version and layer follow the magic number.
const VERSION_BYTES: usize = 4;
const CUSTOM_SECTION: u8 = 0;
/// A 32-bit number takes at most five.
const LEB128_BYTES_MAX: usize = 5;
