//! Tests of `topic_alias`.
