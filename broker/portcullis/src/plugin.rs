//! `portcullis plugin ...`: working on plugins, most of it without a broker.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod new;
pub(crate) mod remote;
pub(crate) mod replay;
pub(crate) mod sign;
pub(crate) mod test;
