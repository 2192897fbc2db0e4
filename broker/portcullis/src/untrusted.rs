//! What the fuzz targets need of the program.

use crate::config::Config;

/// Whether `text` is a configuration, and what is wrong with it, a sentence each. Relative paths lead nowhere.
pub fn configuration(text: &str) -> (bool, Vec<String>) {
    Config::faults(text)
}
