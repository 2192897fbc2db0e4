# The only list of commands; `just` alone prints it. One profile (release) for everything, so that each heavy
# dependency is compiled once.

_list:
    @just --list --unsorted

# Format, lints, licences and advisories, house rules
check:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings
    cargo deny check

# Everything: unit, integration, hostile guests, foreign clients; installs what is missing
test:
    ./tests/run

# Tests whose name contains NAME
test-one NAME:
    cargo test --release --workspace {{NAME}}

# Fuzz TARGET for SECONDS (targets: tests/fuzz/fuzz_targets)
fuzz TARGET SECONDS="300":
    cd tests/fuzz && cargo +nightly fuzz run {{TARGET}} -- -max_total_time={{SECONDS}}

# Benchmarks; BENCH picks one
bench BENCH="":
    cargo bench -p portcullis-benches {{ if BENCH == "" { "" } else { "--bench " + BENCH } }}

# A broker with a demo user in ./portcullis-data
run *ARGS:
    cargo run --release -- quickstart {{ARGS}}

# Build the bundled plugins and put them into plugins/prebuilt
plugin *ARGS:
    ./plugins/build {{ARGS}}

# API documentation of the workspace's own crates
docs:
    cargo doc --release --workspace --no-deps

# The quickstart's proof, without leaving anything running or on disk
proof:
    #!/usr/bin/env bash
    set -euo pipefail
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    cargo run --release -- quickstart --once --dir "$dir/data"
