//! Tests of `outbound`.
