//! Configurations as `docs/` shows them: what is tested is the text of the page.

use std::fs;

use super::process::root;

/// The block of TOML that begins with this line.
#[track_caller]
pub(super) fn block(page: &str, first: &str) -> String {
    let text = fs::read_to_string(root().join("docs").join(page)).expect("a page");
    let fence = |text: &str| text.split("```").next().map(str::to_owned);
    let found = text.split("```toml\n").skip(1).find(|block| block.starts_with(first));
    found.and_then(fence).unwrap_or_else(|| panic!("{page} has no block {first:?}"))
}
