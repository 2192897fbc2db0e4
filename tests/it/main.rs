//! The integration tests: dialogues over real sockets with a broker inside the test process.
//!
//! One binary, one module per subject; the support library is `tests/src`.
