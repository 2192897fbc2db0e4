//! What all lists have in common: how long a page may be, and who may choose by a field.
//!
//! Knows nothing of single lists.

use std::ops::RangeInclusive;

use crate::{
    field::{Field, Fields},
    problem::Problem,
};

/// Lines of a page.
pub(crate) const LIMIT: RangeInclusive<usize> = 1..=1000;

pub(crate) fn default_limit() -> usize {
    100
}

/// The length of a page that was asked for.
pub(crate) fn check_limit(limit: usize) -> Result<usize, Problem> {
    if LIMIT.contains(&limit) {
        return Ok(limit);
    }
    let problem = Problem::invalid(format!("limit = {limit} is out of range"));
    Err(problem.about("limit").allowed("1 to 1000"))
}

/// Whoever may not see a field may not choose by it either: the answers would say what it holds, letter by letter.
pub(crate) fn may_choose_by(
    fields: Fields,
    field: Field,
    (parameter, is_used): (&str, bool),
) -> Result<(), Problem> {
    if !is_used || fields.has(field) {
        return Ok(());
    }
    let problem = Problem::forbidden(format!("choosing by {parameter} needs {}", field.name()));
    Err(problem.about(parameter))
}
