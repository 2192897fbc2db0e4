//! Tests of `inflight`.
