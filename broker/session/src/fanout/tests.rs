//! Tests of `fanout`.
