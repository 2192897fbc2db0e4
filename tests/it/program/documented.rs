//! Configurations out of the documentation: what stands there is what runs here.

use std::fs;

use super::process::root;

/// The block of a page (`secure/ldap.md`) that begins with the comment `# FILE`.
pub(super) fn documented(page: &str, file: &str) -> String {
    let path = root().join("docs").join(page);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
    let block = text.split("```toml\n").find_map(|block| {
        let block = block.strip_prefix(&format!("# {file}\n"))?;
        block.split_once("```").map(|(block, _)| block.to_owned())
    });
    block.unwrap_or_else(|| panic!("{page} has no ```toml block that begins with # {file}"))
}
