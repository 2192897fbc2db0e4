//! `portcullis audit verify`: whether an audit log is what the broker wrote.
//!
//! Knows nothing of how it is written; asks `admin`.

use std::{error::Error, path::Path};

use admin::AuditReport;

use crate::failure::Failure;

/// Prints how far the chain of hashes goes, or refuses with the first line that breaks it.
pub(crate) fn verify(folder: &Path) -> Result<(), Failure> {
    let AuditReport { files, lines, last, hash } =
        admin::verify_audit(folder).map_err(|fault| {
            let cause = fault.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            Failure::Refused(format!("{fault}{cause}"))
        })?;
    println!("{lines} lines in {files} files follow each other; line {last} has the hash {hash}");
    Ok(())
}
