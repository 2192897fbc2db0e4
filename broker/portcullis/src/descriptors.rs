//! The limit of open files: each connection needs one, and the soft limit of a login shell is
//! small.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is taken where the system says "no limit".
const UNLIMITED: u64 = 1 << 30;

/// Raises the soft limit to the hard one and tells what holds then. A limit that cannot be raised
/// is no reason not to run: the number of connections follows from what is returned.
pub(crate) fn raise_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = raise_limit();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum);
        assert!(limit > 0);
    }
}
