//! The generator beside a broker that makes mistakes: each must be noticed.
