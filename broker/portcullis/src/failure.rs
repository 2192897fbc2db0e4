//! How a command ends when it does not end well: a sentence and an exit code.

use std::{fmt, process::ExitCode};

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The input is not acceptable: exit code 1.
    Refused(String),
    /// The command line is not acceptable: exit code 2.
    Usage(String),
    /// The machine or the program failed: exit code 70.
    Internal(String),
}

impl Failure {
    /// A failure of the machine, with what was being done.
    pub(crate) fn internal(doing: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self::Internal(format!("{doing}: {error}"))
    }

    /// Exit code (DESIGN section 4).
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Internal(_) => 70,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(what) | Self::Usage(what) | Self::Internal(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {}
