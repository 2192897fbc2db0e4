//! What the process gives up before and after it starts: the modes of new files, core dumps, a debugger's view.
//!
//! Knows nothing of the file system rules: those are `confinement.rs`.

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask},
};

/// New files and folders are the user's own, whatever whoever started the process would let them be; no memory with
/// passwords in it becomes a file.
pub(crate) fn at_start() {
    umask(Mode::RWXG | Mode::RWXO);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be turned off");
    }
}

/// Other processes of the same user can neither attach nor read the memory, and no handler of core dumps gets it.
///
/// Not before the plugins were started: what makes their instances cheap to clean, `/proc/self/pagemap`, cannot be opened
/// by a process that is not root any more afterwards.
pub(crate) fn after_start() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the process cannot be kept from being dumped");
    }
}
