//! The file of rules that the plugin `acl-file` reads, for whoever reads it: that plugin, and the
//! commands of the program that check such a file and write one.
//!
//! - *Owns* the file format (`file`), the shape of a topic in it (`topic`), whom a rule is about
//!   (`scope`, `address`), and what stands for `${attr.NAME}` (`template`).
//! - *Knows nothing of* Wasm, of the broker, and of topics that are published.
//! - *Start reading at* [`parse`], then [`Document::select`].
//! - *Invariant*: a file that cannot be understood to the last key is refused; a file without rules
//!   denies everything (CVE-2018-12550).
#![forbid(unsafe_code)]

mod address;
mod document;
mod file;
mod rule;
mod scope;
mod template;
mod topic;
mod value;

pub use address::Block;
pub use document::{Depends, Document, Selected};
pub use file::{Fault, RULES_MAX, parse};
pub use rule::{Effect, Rule};
pub use scope::{Certificate, CertificateScope, Scope, Who};
pub use topic::{check as check_topic, is_share_name};
